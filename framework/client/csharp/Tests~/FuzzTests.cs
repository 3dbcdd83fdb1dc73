// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>
	/// Random bytes, and correct ones with a few of them changed, into everything that reads from the network.
	/// Nothing but the codec's and the link's own exceptions may come of it.
	/// </summary>
	static class FuzzTests
	{
		public static void Run(Check check, string root, int rounds, ulong seed)
		{
			Dice dice = new Dice(seed);
			List<byte[]> corpus = Corpus(root);
			Console.WriteLine("fuzz of seed " + seed);
			check.Run("fuzz codec", () => CodecReaders(check, dice, corpus, 20 * rounds));
			check.Run("fuzz kcp", () => Segments(check, dice, rounds));
			check.Run("fuzz seal", () => Sealed(check, dice, rounds));
			check.Run("fuzz stream", () => Streams(check, dice, StreamTests.Vectors(root), rounds));
			check.Run("fuzz session", () => Sessions(check, dice, corpus, rounds));
			check.Run("fuzz client", () => Clients(check, dice, corpus, rounds / 10));
			check.Run("fuzz websocket", () => WebSockets(check, dice, rounds));
		}

		// What the vectors have in hexadecimal.
		static List<byte[]> Corpus(string root)
		{
			List<byte[]> corpus = new List<byte[]>();
			foreach (string file in new[] { "codec", "session" })
			{
				Collect(Json.Parse(File.ReadAllText(root + "/" + file + "/testdata/vectors.json")), corpus);
			}
			return corpus;
		}

		static void Collect(Json v, List<byte[]> corpus)
		{
			if (v.List != null)
			{
				v.List.ForEach(e => Collect(e, corpus));
			}
			else if (v.Fields != null)
			{
				foreach (KeyValuePair<string, Json> f in v.Fields)
				{
					if ((f.Key == "hex" || f.Key == "frame") && f.Value.Text != "")
					{
						corpus.Add(Hex.Decode(f.Value.Text));
					}
					Collect(f.Value, corpus);
				}
			}
		}

		static byte[] Mutated(Dice dice, byte[] b)
		{
			b = (byte[])b.Clone();
			for (int n = dice.Below(4); n > 0 && b.Length > 0; n--)
			{
				b[dice.Below(b.Length)] = (byte)dice.Next();
			}
			if (dice.Below(4) == 0)
			{
				Array.Resize(ref b, dice.Below(b.Length + 1));
			}
			return b;
		}

		static byte[] Any(Dice dice, List<byte[]> corpus)
		{
			return dice.Below(3) == 0 ? dice.Bytes(dice.Below(60)) : Mutated(dice, corpus[dice.Below(corpus.Count)]);
		}

		static void Codecs(byte[] b, Action<byte[]> read)
		{
			try
			{
				read(b);
			}
			catch (CodecException)
			{
			}
			catch (LinkException)
			{
			}
		}

		static void CodecReaders(Check check, Dice dice, List<byte[]> corpus, int rounds)
		{
			Packet p = new Packet();
			Action<byte[]>[] readers =
			{
				b => Codec.ParseFrame(b, 0, b.Length, 1000, ref p),
				b => Codec.CheckBody(b, 0, b.Length),
				b => Envelope.ParseRequest(b, 0, b.Length),
				b => Envelope.ParseResponse(b, 0, b.Length),
				b => Envelope.ParseFailure(b, 0, b.Length),
				b => Envelope.ParseMessage(b, 0, b.Length),
				b => new Hero().Read(new Reader(b)),
				b => Walk(new Reader(b), dice),
				b => Control.ReadGreeting(PacketOf(b)),
				b => Control.ReadWelcome(PacketOf(b)),
				b => Control.ReadResumed(PacketOf(b)),
				b => Control.ReadReset(PacketOf(b)),
				b => Control.ReadEnd(PacketOf(b)),
			};
			for (int i = 0; i < rounds; i++)
			{
				byte[] b = Any(dice, corpus);
				Array.ForEach(readers, read => Codecs(b, read));
				check.Passed++;
			}
		}

		static Packet PacketOf(byte[] b)
		{
			// The body of a frame, if it is one.
			int at = Math.Min(9, b.Length);
			return new Packet { Kind = PacketKind.Welcome, Bytes = b, At = at, Length = b.Length - at };
		}

		// Reads values, each as what it is not, more often than not.
		static void Walk(Reader r, Dice dice)
		{
			while (!r.AtEnd)
			{
				switch (dice.Below(10))
				{
					case 0: r.Bool(); break;
					case 1: r.Int(); break;
					case 2: r.UInt(); break;
					case 3: r.F32(); break;
					case 4: r.F64(); break;
					case 5: r.Str(); break;
					case 6: r.Bin(); break;
					case 7: r.Array(); break;
					case 8: r.Map(); break;
					default: r.Skip(1); break;
				}
			}
		}

		// Two ends and, between them, a network that changes what it likes.
		static void Segments(Check check, Dice dice, int rounds)
		{
			KcpPool pool = new KcpPool();
			byte[] d = new byte[2048];
			for (int talk = 0; talk < rounds / 50; talk++)
			{
				Kcp[] ends = { new Kcp(7, 1200, pool), new Kcp(7, 1200, pool) };
				long now = (long)(dice.Next() >> 8);
				for (int i = 0; i < 50; i++)
				{
					now += dice.Below(50) * Nanos.Millisecond;
					Kcp from = ends[i & 1], to = ends[i & 1 ^ 1];
					byte[] b = dice.Bytes(Math.Min(dice.Below(3000), from.Room));
					from.Write(b, 0, b.Length);
					for (int n = from.Output(now, d, 0, 1200); n > 0; n = from.Output(now, d, 0, 1200))
					{
						byte[] changed = dice.Below(2) == 0 ? ByteOps.Slice(d, 0, n) : Mutated(dice, ByteOps.Slice(d, 0, n));
						to.Input(now, changed, 0, changed.Length);
					}
					ByteBuffer read = new ByteBuffer();
					to.Read(read);
					check.Passed++;
				}
				ends[0].Release();
				ends[1].Release();
			}
		}

		static void Sealed(Check check, Dice dice, int rounds)
		{
			byte[] key = dice.Bytes(32), d = new byte[100];
			SealConn a = new SealConn(7, key, 0, key, 0), b = new SealConn(7, key, 0, key, 0);
			SealInitiator resumer = new SealInitiator(dice.Bytes(16), key, dice.Bytes(16));
			SealInitiator hello = new SealInitiator(X25519.PublicKey(key), dice.Bytes(32));
			hello.Work(2 * X25519.Steps);
			SealDoubt doubt = new SealDoubt();
			int framesAt, frames;
			SealControl kind;
			for (int i = 0; i < rounds; i++)
			{
				int n = a.Seal(PacketType.Sealed, d, dice.Below(60));
				byte[] whole = ByteOps.Slice(d, 0, n);
				byte[] changed = Mutated(dice, whole);
				if (b.Open(changed, changed.Length) == SealError.None && Hex.Encode(whole, 0, 8) != Hex.Encode(changed, 0, 8))
				{
					check.Fail("a changed datagram was opened");
					return;
				}
				byte[] junk = dice.Bytes(dice.Below(120));
				SealWire.SplitPayload(junk, 0, junk.Length, out framesAt, out frames);
				SealWire.ParseControl(junk, 0, junk.Length, out kind);
				doubt.Reset(i, junk, junk.Length);
				b.Open(junk, junk.Length);
				// Answers that begin as true ones do.
				if (junk.Length >= 16)
				{
					SealInitiator to = i % 2 == 0 ? resumer : hello;
					Array.Clear(junk, 0, 8);
					junk[4] = (byte)(i % 2 == 0 ? PacketType.ResumeAccept : i % 50 == 1 ? PacketType.Accept : PacketType.Cookie);
					junk[5] = SealWire.Version;
					Buffer.BlockCopy(to.Hello, 32, junk, 8, 8);
					to.Handle(junk, junk.Length);
					to.Work(X25519.Steps);
					if (to.Conn != null)
					{
						check.Fail("a forged answer was taken");
						return;
					}
				}
				check.Passed++;
			}
		}

		// What a server that knows the keys never sends, into the handshake and behind it.
		static void Streams(Check check, Dice dice, List<Json> vectors, int rounds)
		{
			for (int i = 0; i < rounds / 5; i++)
			{
				Json v = vectors[i % 20 == 0 ? 0 : 1]; // the one with public keys is slow
				byte[] answer = Hex.Decode(v.Str("accept")), record = Hex.Decode(v["down"].List[0].Str("record"));
				bool opens = dice.Below(2) == 0;
				FakeStream s = new FakeStream();
				SealedTcpCarrier c = StreamTests.Carrier(v, () => s);
				answer = opens ? answer : dice.Below(2) == 0 ? Mutated(dice, answer) : dice.Bytes(dice.Below(400));
				s.ToClient.Append(answer, 0, answer.Length);
				for (int k = 0; k < 12; k++)
				{
					c.Receive(k);
				}
				check.That(!opens || c.State == CarrierState.Up, "a correct answer was refused: " + c.Error);
				for (int k = 0; k < 20; k++)
				{
					byte[] b = dice.Below(3) == 0 ? dice.Bytes(dice.Below(60)) : Mutated(dice, record);
					s.ToClient.Append(b, 0, b.Length);
					c.Receive(k);
				}
				check.That(c.In.Length <= 4, "more than the one true record came out");
			}
		}

		static void Sessions(Check check, Dice dice, List<byte[]> corpus, int rounds)
		{
			ByteBuffer to = new ByteBuffer();
			Packet p = new Packet();
			for (int i = 0; i < rounds / 20; i++)
			{
				long now = 0, wall = 1700000000 * Nanos.Second;
				Session s = new Session(new SessionConfig { Random = dice.Next });
				for (int k = 0; k < 60; k++)
				{
					now += (long)(dice.Next() % (ulong)(2 * Nanos.Second));
					byte[] b = Any(dice, corpus);
					if (k % 3 == 0 && s.State == SessionState.Opening)
					{
						b = Hex.Decode("1401000000000000009201c410000102030405060708090a0b0c0d0e0f"); // a GREETING
					}
					Codecs(b, f =>
					{
						if (Codec.ParseFrame(f, 0, f.Length, 1 << 16, ref p) > 0)
						{
							s.Receive(p, now);
						}
					});
					switch (dice.Below(8))
					{
						case 0: s.Hurry(now); break;
						case 1: s.Hold(dice.Below(2) == 0); break;
						case 2: s.Send(PacketKind.Message, new byte[] { 0x92, 0xa1, 0x61, 0xc0 }, 0, 4); break;
						case 3: s.LinkDown(now); break;
					}
					SessionAction action = s.Check(now, wall + now);
					if (action == SessionAction.Dial)
					{
						s.LinkUp(now, wall + now, dice.Below(2) == 0);
					}
					to.Clear();
					s.Output(to, now, 1000);
					while (s.NextChange() != null)
					{
					}
					check.Passed++;
				}
			}
		}

		// A whole client, fed by a tape.
		static void Clients(Check check, Dice dice, List<byte[]> corpus, int rounds)
		{
			for (int i = 0; i < rounds; i++)
			{
				World w = new World();
				w.Client.OnMessage("a", new Count(), m => { });
				w.Client.OnRequest("b", new Count(), q => q);
				w.Client.Update();
				w.Greet();
				w.Client.Update();
				w.Welcome("a", "b");
				for (int k = 0; k < 30 && !w.Client.Ended; k++)
				{
					w.Client.Update();
					if (w.Sockets.Count > 0)
					{
						byte[] b = Any(dice, corpus);
						w.Socket.ToClient.Append(b, 0, b.Length);
					}
					w.Now += (long)(dice.Next() % (ulong)Nanos.Second);
					check.Passed++;
				}
				w.Client.Dispose();
			}
		}

		static void WebSockets(Check check, Dice dice, int rounds)
		{
			check.Equal(WebSocketCarrier.AcceptOf("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455 1.3");
			for (int i = 0; i < rounds / 5; i++)
			{
				FakeStream stream = new FakeStream();
				WebSocketCarrier c = new WebSocketCarrier(stream, "h", "/", new Entropy(b => Array.Clear(b, 0, b.Length)));
				c.Receive(0);
				string accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
					WebSocketCarrier.AcceptOf("AAAAAAAAAAAAAAAAAAAAAA==") + "\r\n\r\n";
				byte[] answer = Encoding.ASCII.GetBytes(accept);
				if (i % 3 == 0)
				{
					answer = Mutated(dice, answer);
				}
				stream.ToClient.Append(answer, 0, answer.Length);
				c.Receive(0);
				check.That(i % 3 == 0 || c.State == CarrierState.Up, "a correct answer was refused: " + c.Error);
				for (int k = 0; k < 20; k++)
				{
					byte[] frame = dice.Bytes(2 + dice.Below(40));
					if (dice.Below(3) > 0)
					{
						frame[0] = (byte)(0x80 | new[] { 0, 1, 2, 8, 9, 10 }[dice.Below(6)]);
						frame[1] = (byte)(frame.Length - 2);
					}
					stream.ToClient.Append(frame, 0, frame.Length);
					c.Receive(0);
				}
				check.That(c.In.Length < 1 << 12, "more came out than went in");
			}
		}
	}
}
