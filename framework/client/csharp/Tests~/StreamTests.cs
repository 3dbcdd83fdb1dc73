// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;

namespace Lifeline.Tests
{
	/// <summary>Sealed byte streams against transport/seal/testdata/streams.json, the carrier made of them, and what is hostile.</summary>
	static class StreamTests
	{
		const int records = 2 * (1 << 16) + 1; // two changes of the key

		public static void Run(Check check, string root)
		{
			foreach (Json v in Vectors(root))
			{
				string kind = v.Has("server") ? " by public key" : " by seal key";
				check.Run("stream vectors" + kind, () => Records(check, v));
				check.Run("stream forged answers" + kind, () => ForgedAnswers(check, v));
				check.Run("stream forged records" + kind, () => ForgedRecords(check, v));
				check.Run("stream carrier" + kind, () => Trickle(check, v));
			}
			check.Run("stream record sizes", () => Sizes(check));
			check.Run("stream hang-up", () => HangUp(check, Vectors(root)));
		}

		internal static List<Json> Vectors(string root)
		{
			return Json.Parse(File.ReadAllText(root + "/transport/seal/testdata/streams.json")).List;
		}

		/// <summary>The client of a vector.</summary>
		internal static StreamInitiator Begin(Json v)
		{
			if (v.Has("server"))
			{
				return new StreamInitiator(X25519.PublicKey(Hex.Decode(v.Str("server"))), Hex.Decode(v.Str("ephemeral")));
			}
			return new StreamInitiator(Hex.Decode(v.Str("session")), Hex.Decode(v.Str("seal_key")), Hex.Decode(v.Str("client_nonce")));
		}

		/// <summary>The same, once the server has answered.</summary>
		internal static StreamInitiator Opened(Json v)
		{
			StreamInitiator i = Begin(v);
			byte[] accept = Hex.Decode(v.Str("accept"));
			i.Work(2 * X25519.Steps);
			i.Accept(accept, 0, accept.Length);
			i.Work(X25519.Steps);
			return i;
		}

		static string Seal(SealStream by, string plain)
		{
			byte[] b = Hex.Decode("000000" + plain + "00000000000000000000000000000000");
			by.Seal(b, 0, plain.Length / 2);
			return Hex.Encode(b);
		}

		static void Records(Check check, Json v)
		{
			StreamInitiator i = Begin(v);
			int steps = 0;
			for (int n = 1; !i.Ready; n++)
			{
				steps += i.Work(n);
			}
			check.Equal(steps, v.Has("server") ? 2 * X25519.Steps : 0, "steps until the hello");
			check.Equal(Hex.Encode(i.Hello), v.Str("hello"), "hello");
			byte[] accept = Hex.Decode(v.Str("accept") + "ffff"); // and more that came at once
			for (int n = 0; n < accept.Length - 2; n++)
			{
				check.Equal(i.Accept(accept, 0, n), 0, "an answer of " + n + " bytes");
			}
			check.Equal(i.Accept(accept, 0, accept.Length), accept.Length - 2, "bytes of the answer");
			check.Equal(i.Accept(accept, 0, accept.Length), 0, "bytes of a second answer");
			check.Equal(i.Work(1000000), v.Has("server") ? X25519.Steps : 0, "steps of the answer");
			check.That(i.Refused == SealError.None && i.Stream != null, "refused: " + i.Refused);
			check.Equal(Hex.Encode(i.Nonce), v.Str("nonce"), "nonce");
			check.Equal(Hex.Encode(i.Greeting), v.Str("greeting"), "greeting");
			SealStream client = i.Stream, server = Opened(v).Stream.Peer();
			Dictionary<long, Json> up = ByNumber(v["up"]), down = ByNumber(v["down"]);
			for (int n = 0; n < records; n++)
			{
				Direction(check, client, server, v["up"], up, n);
				Direction(check, server, client, v["down"], down, n);
			}
		}

		static Dictionary<long, Json> ByNumber(Json items)
		{
			Dictionary<long, Json> all = new Dictionary<long, Json>();
			items.List.ForEach(item => all[item.Num("number")] = item);
			return all;
		}

		static void Direction(Check check, SealStream from, SealStream to, Json items, Dictionary<long, Json> told, int n)
		{
			string plain = items.List[0].Str("plain"), record = Seal(from, plain);
			Json item;
			if (told.TryGetValue(n, out item))
			{
				check.Equal(record, item.Str("record"), "record " + n);
			}
			byte[] b = Hex.Decode(record);
			if (!to.Open(b, 0, b.Length) || Hex.Encode(b, SealStream.HeadSize, plain.Length / 2) != plain)
			{
				check.Fail("record " + n + " does not open");
			}
		}

		// Each bit of the answer matters, and one that is not authentic ends it.
		static void ForgedAnswers(Check check, Json v)
		{
			byte[] accept = Hex.Decode(v.Str("accept"));
			for (int at = 0; at < accept.Length; at++)
			{
				StreamInitiator i = Begin(v);
				i.Work(2 * X25519.Steps);
				byte[] b = (byte[])accept.Clone();
				b[at] ^= 1;
				i.Accept(b, 0, b.Length);
				i.Work(X25519.Steps);
				// A length that grew only makes it wait.
				check.That(i.Stream == null && (at == 8 && b[8] > accept[8] || i.Refused != SealError.None), "byte " + at + " does not matter");
				check.Equal(i.Accept(accept, 0, accept.Length), at == 8 && b[8] > accept[8] ? accept.Length : 0, "byte " + at + ": another answer");
			}
		}

		// A record that was changed, left out, repeated, or is our own, is not opened.
		static void ForgedRecords(Check check, Json v)
		{
			for (int at = 0; at < SealStream.Overhead + 2; at++)
			{
				SealStream server = Opened(v).Stream.Peer();
				byte[] b = Hex.Decode(Seal(server, "0102"));
				b[at] ^= 1;
				check.That(!Opened(v).Stream.Open(b, 0, b.Length), "byte " + at + " does not matter");
			}
			SealStream client = Opened(v).Stream, peer = Opened(v).Stream.Peer();
			byte[] one = Hex.Decode(Seal(peer, "01")), two = Hex.Decode(Seal(peer, "02")), own = Hex.Decode(Seal(client, "01"));
			check.That(!Opened(v).Stream.Open((byte[])two.Clone(), 0, two.Length), "one was left out");
			check.That(!client.Open(own, 0, own.Length), "its own was opened");
			client = Opened(v).Stream;
			check.That(client.Open((byte[])one.Clone(), 0, one.Length) && !client.Open(one, 0, one.Length), "repeated");
			check.That(!client.Open(one, 0, SealStream.Overhead - 1), "a short one");
		}

		static void Sizes(Check check)
		{
			foreach (string c in new[] { "; 9; 0", "1100; 9; 0", "110000; 9; 20", "190000; 9; 28", "1a0000; 9; -1", "100000; 9; -1", "000000; 9; -1", "ffffff; 1048576; -1", "ffffff; 16777199; 16777218" })
			{
				string[] f = c.Split(new[] { "; " }, StringSplitOptions.None);
				byte[] b = Hex.Decode(f[0]);
				check.Equal(SealStream.SizeOf(b, 0, b.Length, int.Parse(f[1])), int.Parse(f[2]), "size of " + c);
			}
			check.Equal(SealStream.MaxPlain, 16777199, "the largest");
		}

		// --- the carrier

		/// <summary>A carrier whose server is the vector: its random bytes are the vector's.</summary>
		internal static SealedTcpCarrier Carrier(Json v, Func<ByteStream> dial)
		{
			bool resumes = !v.Has("server");
			byte[] random = Hex.Decode(v.Str(resumes ? "client_nonce" : "ephemeral"));
			Identity who = resumes ? new Identity(Hex.Decode(v.Str("session")), new byte[32], Hex.Decode(v.Str("seal_key"))) : null;
			byte[] key = resumes ? new byte[32] : X25519.PublicKey(Hex.Decode(v.Str("server")));
			return new SealedTcpCarrier(dial, key, who, new Entropy(b => Buffer.BlockCopy(random, 0, b, 0, Math.Min(b.Length, random.Length))), Codec.DefaultMaxBody);
		}

		static void Drive(SealedTcpCarrier c, Func<bool> done)
		{
			for (int i = 0; i < 100 && !done(); i++)
			{
				c.Receive(1);
			}
		}

		// The answer and records come byte by byte, and what is written is sealed.
		static void Trickle(Check check, Json v)
		{
			FakeStream s = new FakeStream();
			SealedTcpCarrier c = Carrier(v, () => s);
			Drive(c, () => s.ToServer.Length > 0);
			check.Equal(Hex.Encode(s.ToServer.Bytes, s.ToServer.Start, s.ToServer.Length), v.Str("hello"), "hello");
			s.ToServer.Clear();
			byte[] all = Hex.Decode(v.Str("accept") + v["down"].List[0].Str("record") + v["down"].List[1].Str("record"));
			foreach (byte b in all)
			{
				s.ToClient.Append(b);
				Drive(c, () => s.ToClient.Length == 0);
			}
			Drive(c, () => c.State == CarrierState.Up && c.In.Length > 4);
			check.Equal(Hex.Encode(c.In.Bytes, c.In.Start, c.In.Length), v["down"].List[0].Str("plain") + v["down"].List[1].Str("plain"), "what came");
			check.Equal(Hex.Encode(c.LinkNonce), v.Str("nonce"), "nonce");
			check.Equal(c.LinkVersion, 1, "version");
			ByteBuffer frames = new ByteBuffer();
			byte[] plain = Hex.Decode(v["up"].List[0].Str("plain"));
			frames.Append(plain, 0, plain.Length);
			c.Write(frames);
			c.Flush(1);
			check.Equal(Hex.Encode(s.ToServer.Bytes, s.ToServer.Start, s.ToServer.Length), v["up"].List[0].Str("record"), "what was written");
			s.ToClient.Append(all, 0, 30); // no record that is due
			Drive(c, () => c.State == CarrierState.Broken);
			check.That(c.State == CarrierState.Broken && c.Error != "", "a wrong record was taken");
		}

		// A server that hangs up on a RESUME-HELLO gets a HELLO. One that hangs up on that has another key.
		static void HangUp(Check check, List<Json> vectors)
		{
			List<FakeStream> streams = new List<FakeStream>();
			Json resume = vectors.Find(v => !v.Has("server"));
			SealedTcpCarrier c = Carrier(resume, () =>
			{
				streams.Add(new FakeStream());
				return streams[streams.Count - 1];
			});
			Drive(c, () => streams[0].ToServer.Length > 0);
			check.Equal(streams[0].ToServer.Bytes[4], (byte)PacketType.ResumeHello, "first hello");
			streams[0].End();
			Drive(c, () => streams.Count == 2 && streams[1].ToServer.Length > 0);
			check.Equal(streams.Count, 2, "connections");
			check.That(streams[0].Closed, "the first connection is open");
			check.Equal(streams[1].ToServer.Length, StreamInitiator.HelloSize, "bytes of the second hello");
			check.Equal(streams[1].ToServer.Bytes[4], (byte)PacketType.Hello, "second hello");
			check.Equal((long)c.State, (long)CarrierState.Connecting, "state");
			streams[1].End();
			Drive(c, () => c.State == CarrierState.Broken);
			check.That(c.Error.Contains("ServerKey"), "its error: " + c.Error);
			check.Equal(streams.Count, 2, "connections at the end");
			// What is not authentic is no reason to dial again.
			streams.Clear();
			c = Carrier(resume, () =>
			{
				streams.Add(new FakeStream());
				return streams[streams.Count - 1];
			});
			byte[] forged = Hex.Decode(resume.Str("accept"));
			forged[forged.Length - 1] ^= 1;
			streams[0].ToClient.Append(forged, 0, forged.Length);
			Drive(c, () => c.State == CarrierState.Broken);
			check.That(c.State == CarrierState.Broken && streams.Count == 1, "a forged answer: " + c.State);
		}
	}
}
