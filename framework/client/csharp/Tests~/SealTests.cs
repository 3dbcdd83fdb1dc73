// SPDX-License-Identifier: MIT

using System;
using System.IO;

namespace Lifeline.Tests
{
	/// <summary>Sealed datagrams against transport/seal/testdata/vectors.json, and what is hostile.</summary>
	static class SealTests
	{
		public static void Run(Check check, string root)
		{
			Json vectors = Json.Parse(File.ReadAllText(root + "/transport/seal/testdata/vectors.json"));
			foreach (Json v in vectors["keys"].List)
			{
				check.Run("seal key", () => Key(check, v));
			}
			foreach (Json v in vectors["handshakes"].List)
			{
				check.Run("seal handshake", () => Handshake(check, v));
			}
			foreach (Json v in vectors["resumes"].List)
			{
				check.Run("seal resume", () => Resume(check, v));
			}
			foreach (Json v in vectors["datagrams"].List)
			{
				check.Run("seal datagram " + v.Str("number"), () => Datagram(check, v));
			}
			foreach (Json v in vectors["numbers"].List)
			{
				check.Run("seal number", () => Number(check, v));
			}
			foreach (Json v in vectors["payloads"].List)
			{
				check.Run("seal payload " + v.Str("plain"), () => Payload(check, v));
			}
			foreach (Json v in vectors["controls"].List)
			{
				check.Run("seal control " + v.Str("plain"), () => Control(check, v));
			}
			check.Run("seal window", () => Window(check));
			check.Run("seal doubt", () => Doubt(check));
			check.Run("seal forged answers", () => ForgedAnswers(check, vectors["handshakes"].List[0], vectors["resumes"].List[0]));
		}

		static void Key(Check check, Json v)
		{
			byte[] key = X25519.PublicKey(Hex.Decode(v.Str("private")));
			check.Equal(Hex.Encode(key), v.Str("public"), "public key");
			check.Equal(SealWire.PublicKeyText(key), v.Str("public_text"), "text");
			check.Equal(Hex.Encode(SealWire.ParsePublicKey(v.Str("public_text"))), v.Str("public"), "text read");
			check.Equal(Hex.Encode(Sha256.Sum(key, 0, 32), 0, 8), v.Str("id"), "id");
			foreach (string bad in new[] { "", v.Str("private_text"), v.Str("public_text") + "A", v.Str("public_text").Substring(1), v.Str("public_text").Replace(".", ".=") })
			{
				try
				{
					SealWire.ParsePublicKey(bad);
					check.Fail("taken: " + bad);
				}
				catch (FormatException)
				{
					check.Passed++;
				}
			}
		}

		static SealInitiator Begin(Json v)
		{
			byte[] server = X25519.PublicKey(Hex.Decode(v.Str("server")));
			return new SealInitiator((byte[])server.Clone(), Hex.Decode(v.Str("ephemeral")));
		}

		static void Handshake(Check check, Json v)
		{
			SealInitiator i = Begin(v);
			int steps = 0;
			for (int n = 1; !i.Ready; n++)
			{
				steps += i.Work(n);
			}
			check.Equal(steps, 2 * X25519.Steps, "steps until the hello");
			check.Equal(Hex.Encode(i.Hello, 0, v.Str("hello").Length / 2), v.Str("hello"), "hello");
			Cookie(check, i);
			byte[] accept = Hex.Decode(v.Str("accept"));
			i.Handle(accept, accept.Length);
			check.That(i.Conn == null, "accepted before the work");
			check.Equal(i.Work(1000000), X25519.Steps, "steps of the answer");
			Accepted(check, i, v);
		}

		static void Resume(Check check, Json v)
		{
			byte[] secret = Hex.Decode(v.Str("secret")), session = Hex.Decode(v.Str("session"));
			HmacSha256 mac = new HmacSha256(secret);
			mac.Update(System.Text.Encoding.ASCII.GetBytes("lifeline/seal/1 resume key"));
			mac.Update(session);
			byte[] key = new byte[32];
			mac.Finish(key, 0);
			check.Equal(Hex.Encode(key), v.Str("seal_key"), "seal key");
			SealInitiator i = new SealInitiator(session, key, Hex.Decode(v.Str("client_nonce")));
			check.That(i.Ready && i.Work(100) == 0, "there is work to do");
			check.Equal(Hex.Encode(i.Hello, 0, v.Str("hello").Length / 2), v.Str("hello"), "hello");
			Cookie(check, i);
			byte[] accept = Hex.Decode(v.Str("accept"));
			i.Handle(accept, accept.Length);
			Accepted(check, i, v);
		}

		// A server under load wants a cookie. The tag of a resume does not cover it, nor does Noise.
		static void Cookie(Check check, SealInitiator i)
		{
			byte[] before = (byte[])i.Hello.Clone();
			byte[] cookie = new byte[32];
			cookie[4] = (byte)PacketType.Cookie;
			cookie[5] = SealWire.Version;
			Buffer.BlockCopy(i.Hello, 32, cookie, 8, 8);
			for (int k = 16; k < 32; k++)
			{
				cookie[k] = (byte)k;
			}
			check.That(i.Handle(cookie, 32), "the cookie changes nothing");
			check.That(!i.Handle(cookie, 32), "the same cookie again changes something");
			check.That(ByteOps.Equal(i.Hello, 16, cookie, 16, 16), "the cookie is not in the hello");
			check.That(ByteOps.Equal(i.Hello, 0, before, 0, 16) && ByteOps.Equal(i.Hello, 32, before, 32, before.Length - 32), "another byte changed");
			cookie[16]++;
			check.That(i.Handle(cookie, 32), "a second cookie changes nothing");
			cookie[16]++;
			check.That(!i.Handle(cookie, 32) && i.Hello[16] == cookie[16], "a third one is answered at once, or not kept");
			i.Repeat();
			cookie[16]++;
			check.That(i.Handle(cookie, 32), "after a repetition none is answered");
			cookie[8] ^= 1;
			check.That(!i.Handle(cookie, 32), "a cookie for another hello was taken");
		}

		static void Accepted(Check check, SealInitiator i, Json v)
		{
			if (i.Conn == null)
			{
				check.Fail("not accepted");
				return;
			}
			check.Equal(i.Conn.Connection, v.Num("connection"), "connection");
			check.Equal(Hex.Encode(i.Greeting), v.Str("greeting"), "greeting");
			check.Equal(Hex.Encode(i.Nonce), v.Str("nonce"), "nonce");
			// The keys show by what they seal: our conn against one with the vector's keys, mirrored.
			SealConn server = new SealConn(i.Conn.Connection, Hex.Decode(v.Str("server_key")), 0, Hex.Decode(v.Str("client_key")), 0);
			byte[] b = new byte[100];
			int n = i.Conn.Seal(PacketType.Sealed, b, 20);
			check.That(server.Open(b, n) == SealError.None, "the server can't open it");
			n = server.Seal(PacketType.Control, b, 9);
			check.That(i.Conn.Open(b, n) == SealError.None, "the client can't open it");
		}

		static void Datagram(Check check, Json v)
		{
			byte[] key = Hex.Decode(v.Str("key")), plain = Hex.Decode(v.Str("plain"));
			SealConn c = new SealConn((uint)v.Num("connection"), key, 0, key, 0);
			c.Renumber((ulong)v.Num("number"), (ulong)v.Num("number"));
			byte[] b = new byte[plain.Length + SealWire.Overhead];
			Buffer.BlockCopy(plain, 0, b, SealWire.HeaderSize, plain.Length);
			int n = c.Seal((PacketType)v.Num("what"), b, plain.Length);
			check.Equal(Hex.Encode(b, 0, n), v.Str("datagram"), "sealed");
			for (int i = 0; i < n; i++)
			{
				byte[] changed = (byte[])b.Clone();
				changed[i] ^= 0x10;
				if (i < 4)
				{
					continue; // the id is looked at before
				}
				check.That(c.Open(changed, n) != SealError.None, "byte " + i + " may change");
			}
			check.That(c.Open(b, n) == SealError.None && Hex.Encode(b, SealWire.HeaderSize, plain.Length) == v.Str("plain"), "it does not open");
			check.Equal((long)c.Number, v.Num("number"), "number");
		}

		static void Number(Check check, Json v)
		{
			SealConn c = new SealConn(1, new byte[32], 0, new byte[32], 0);
			c.Renumber(0, (ulong)(v.Num("highest") + 1));
			check.Equal((long)c.NumberOf((uint)v.Num("low")), v.Num("number"), "number");
		}

		static void Payload(Check check, Json v)
		{
			byte[] b = Hex.Decode("ff" + v.Str("plain") + "ff");
			int framesAt, frames, n = b.Length - 2;
			bool ok = SealWire.SplitPayload(b, 1, n, out framesAt, out frames);
			if (v.Has("refused"))
			{
				check.That(!ok, "it was taken");
				return;
			}
			check.That(ok, "it was refused");
			check.Equal(Hex.Encode(b, framesAt, frames), v.Str("frames"), "frames");
			int rest = framesAt + frames;
			check.Equal(Hex.Encode(b, rest, 1 + n - rest), v.Str("segments"), "segments");
			byte[] head = new byte[3];
			check.Equal(SealWire.PutPayload(head, 0, frames), framesAt - 1, "length of the length");
			check.That(ByteOps.Equal(head, 0, b, 1, framesAt - 1), "length");
		}

		static void Control(Check check, Json v)
		{
			byte[] b = Hex.Decode("ff" + v.Str("plain"));
			SealControl kind;
			bool ok = SealWire.ParseControl(b, 1, b.Length - 1, out kind);
			check.That(ok == !v.Has("refused"), "taken: " + ok);
			if (ok)
			{
				check.Equal((long)kind, v.Num("kind"), "kind");
				check.Equal(kind == SealControl.Close ? "" : Hex.Encode(b, 2, 8), v.Str("token").Trim('0') == "" ? "" : v.Str("token"), "token");
			}
		}

		// The window against a set: random numbers around the highest one, some twice.
		static void Window(Check check)
		{
			Dice dice = new Dice(3);
			SealConn from = new SealConn(5, new byte[32], 0, new byte[32], 0);
			SealConn to = new SealConn(5, new byte[32], 0, new byte[32], 0);
			System.Collections.Generic.HashSet<long> seen = new System.Collections.Generic.HashSet<long>();
			long highest = -1;
			byte[] b = new byte[40];
			for (int i = 0; i < 20000; i++)
			{
				long n = Math.Max(0, highest + dice.Below(600) - (dice.Below(20) == 0 ? 0 : 500));
				from.Renumber((ulong)n, 0);
				int size = from.Seal(PacketType.Sealed, b, 3);
				SealError e = to.Open(b, size);
				bool wanted = n > highest || n >= highest - 255 && !seen.Contains(n);
				if (wanted != (e == SealError.None) || !wanted && e != SealError.Replay)
				{
					check.Fail("number " + n + " after " + highest + ": " + e);
					return;
				}
				seen.Add(n);
				highest = Math.Max(highest, n);
			}
			check.Passed++;
		}

		static void Doubt(Check check)
		{
			SealDoubt d = new SealDoubt();
			byte[] sent = new byte[32], reset = new byte[16];
			check.That(!d.Reset(0, reset, 16), "a reset before anything was sent");
			for (byte i = 1; i <= 70; i++)
			{
				sent[24] = i;
				d.Sent(sent, 32);
			}
			reset[8] = 6; // the 65th before the last
			check.That(!d.Reset(0, reset, 16), "a reset of a datagram long ago");
			reset[8] = 7;
			check.That(!d.Reset(0, reset, 15), "a short reset");
			check.That(d.Reset(Nanos.Second, reset, 16), "no doubt");
			check.That(!d.Reset(Nanos.Second, reset, 16), "a second question");
			check.That(!d.Lost(Nanos.Second + 399 * Nanos.Millisecond) && d.Lost(Nanos.Second + 400 * Nanos.Millisecond), "when it is lost");
			d.Heard();
			check.That(!d.Lost(9 * Nanos.Second) && d.Due == Nanos.Never, "doubt after an answer");
		}

		// Answers that are not authentic change nothing, and the true one is still taken.
		static void ForgedAnswers(Check check, Json handshake, Json resume)
		{
			Dice dice = new Dice(4);
			byte[] accept = Hex.Decode(handshake.Str("accept"));
			SealInitiator i = Begin(handshake);
			i.Work(2 * X25519.Steps);
			for (int k = 0; k < 40; k++)
			{
				byte[] forged = (byte[])accept.Clone();
				forged[dice.Below(forged.Length)] ^= (byte)(1 + dice.Below(255));
				i.Handle(forged, forged.Length - (k % 4 == 0 ? dice.Below(forged.Length) : 0));
				i.Work(X25519.Steps);
				if (i.Conn != null)
				{
					check.Fail("a forged answer was taken");
					return;
				}
			}
			byte[] zero = (byte[])accept.Clone();
			Array.Clear(zero, 16, 32); // a point of low order
			i.Handle(zero, zero.Length);
			i.Work(X25519.Steps);
			check.That(i.Conn == null, "a point of low order was taken");
			i.Handle(accept, accept.Length);
			i.Work(X25519.Steps);
			check.That(i.Conn != null, "the true answer was not taken");
			SealInitiator r = new SealInitiator(Hex.Decode(resume.Str("session")), Hex.Decode(resume.Str("seal_key")), Hex.Decode(resume.Str("client_nonce")));
			accept = Hex.Decode(resume.Str("accept"));
			for (int k = 0; k < accept.Length; k++)
			{
				byte[] forged = (byte[])accept.Clone();
				forged[k] ^= 1;
				r.Handle(forged, k % 2 == 0 ? forged.Length : k);
				if (r.Conn != null && k >= 8)
				{
					check.Fail("a forged answer was taken: byte " + k);
					return;
				}
			}
			r.Handle(accept, accept.Length);
			check.That(r.Conn != null, "the true answer was not taken");
		}
	}
}
