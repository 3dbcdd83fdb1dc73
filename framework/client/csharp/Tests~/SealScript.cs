// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Globalization;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays the scripts of transport/seal/testdata/scripts, whose language is in the README there, but not those of
	/// servers. The Go player is transport/seal/script_test.go.
	/// </summary>
	sealed class SealScript
	{
		const long step = 10 * Nanos.Millisecond; // in which time passes

		long now;
		bool stamp; // lines tell the time
		readonly List<byte> random = new List<byte>();
		readonly List<string[]> lets = new List<string[]>();
		readonly List<string> lines = new List<string>();
		byte[] key, session, sealKey;
		List<SealInitiator> tries;
		HelloTimes times;
		SealConn conn, server; // null before the link
		SealDoubt doubt;
		ulong next; // number of the client's next datagram
		readonly List<byte[]> tails = new List<byte[]>();
		bool over;
		int closes;
		long closeAt;

		public static void Run(Check check, string root)
		{
			Scripts.Run(check, "seal script", root + "/transport/seal/testdata/scripts", () => new SealScript().Line);
		}

		IEnumerable<string> Line(string text)
		{
			lets.ForEach(let => text = text.Replace("$" + let[0], let[1]));
			lines.Clear();
			Do(text.Split(' '));
			return lines.ConvertAll(Shorten);
		}

		string Shorten(string line)
		{
			lets.ForEach(let => line = line.Replace(let[1], "$" + let[0]));
			return line;
		}

		void Print(string line)
		{
			lines.Add(stamp ? (now / (decimal)Nanos.Second).ToString("0.######", CultureInfo.InvariantCulture) + "s " + line : line);
		}

		byte[] Draw(int n)
		{
			byte[] b = random.GetRange(0, n).ToArray();
			random.RemoveRange(0, n);
			return b;
		}

		void Do(string[] w)
		{
			switch (w[0])
			{
				case "let": lets.Add(new[] { w[1], w[2] }); break;
				case "random": random.AddRange(Hex.Decode(w[1])); break;
				case "hello": Dial(w[1], null, null); break;
				case "resume": Dial(w[3], Hex.Decode(w[1]), Hex.Decode(w[2])); break;
				case "in": In(w); break;
				case "send": Send(PacketType.Sealed, Hex.Decode(w[1])); break;
				case "close":
					closes = SealWire.CloseCopies;
					closeAt = now;
					break;
				case "advance":
					long d = long.Parse(w[1].TrimEnd('m', 's')) * (w[1].EndsWith("ms", StringComparison.Ordinal) ? Nanos.Millisecond : Nanos.Second);
					stamp = true;
					for (long end = now + d; now < end; )
					{
						now += step;
						Look();
					}
					stamp = false;
					return;
				default: throw new FormatException("no command: " + string.Join(" ", w));
			}
			Look();
		}

		void Dial(string text, byte[] session, byte[] sealKey)
		{
			try
			{
				key = SealWire.ParsePublicKey(text);
			}
			catch (FormatException)
			{
				Print("refused");
				return;
			}
			this.session = session;
			this.sealKey = sealKey;
			tries = new List<SealInitiator>();
			times = new HelloTimes();
			conn = server = null;
			doubt = new SealDoubt();
			tails.Clear();
			next = 0;
			over = false;
			closes = 0;
		}

		void Begin(bool resume)
		{
			SealInitiator i = resume ? new SealInitiator(session, sealKey, Draw(16)) : new SealInitiator(key, Draw(32));
			i.Work(int.MaxValue);
			tries.Add(i);
		}

		// Does what is due.
		void Look()
		{
			if (tries != null && conn == null && times.Next(now))
			{
				if (tries.Count == 0)
				{
					Begin(session != null);
				}
				else if (session != null && tries.Count == 1 && times.Joined)
				{
					Begin(false);
				}
				foreach (SealInitiator i in tries)
				{
					i.Repeat();
					Hello(i);
				}
			}
			if (conn != null && !over && doubt.Lost(now))
			{
				over = true;
				Print("lost reset");
			}
			for (; closes > 0 && now >= closeAt; closeAt += SealWire.CloseEvery)
			{
				closes--;
				over = true;
				Send(PacketType.Control, new[] { (byte)SealControl.Close });
			}
		}

		void Hello(SealInitiator i)
		{
			string name = i.Hello[4] == (byte)PacketType.ResumeHello ? "RESUME-HELLO" : "HELLO";
			Print("out " + name + " cookie=" + Hex.Encode(i.Hello, 16, 16) + " " + Hex.Encode(i.Hello, 32, 48));
		}

		static byte[] Sealed(SealConn by, PacketType type, byte[] plain)
		{
			byte[] b = new byte[SealWire.Overhead + plain.Length];
			Buffer.BlockCopy(plain, 0, b, SealWire.HeaderSize, plain.Length);
			by.Seal(type, b, plain.Length);
			return b;
		}

		void Send(PacketType type, byte[] plain)
		{
			byte[] b = Sealed(conn, type, plain);
			doubt.Sent(b, b.Length);
			tails.Add(ByteOps.Slice(b, b.Length - 8, 8));
			Print("out " + (type == PacketType.Control ? "control " : "sealed ") + next++ + " " + Hex.Encode(plain));
		}

		// Hands the client a datagram: bytes, or what the server seals.
		void In(string[] w)
		{
			byte[] b;
			switch (w[1])
			{
				case "sealed":
				case "control":
					server.Renumber(ulong.Parse(w[2]), 0);
					b = Sealed(server, w[1] == "sealed" ? PacketType.Sealed : PacketType.Control, Hex.Decode(w[3]));
					b[b.Length - 1] ^= (byte)(w.Length > 4 ? 1 : 0); // forged
					break;
				case "reset":
					b = new byte[SealWire.ResetSize];
					LittleEndian.Put32(b, 0, conn.Connection);
					b[4] = (byte)PacketType.Reset;
					b[5] = SealWire.Version;
					Buffer.BlockCopy(w[2].Length == 16 ? Hex.Decode(w[2]) : tails[int.Parse(w[2])], 0, b, 8, 8);
					break;
				default: b = Hex.Decode(w[1]); break;
			}
			if (over)
			{
				Print("drop");
			}
			else if (conn == null)
			{
				Answer(b);
			}
			else
			{
				Take(b);
			}
		}

		void Answer(byte[] b)
		{
			foreach (SealInitiator i in tries)
			{
				byte[] copy = new byte[SealWire.MaxDatagram];
				Buffer.BlockCopy(b, 0, copy, 0, b.Length);
				if (i.Handle(copy, b.Length))
				{
					Hello(i);
					return;
				}
				i.Work(int.MaxValue);
				if (i.Conn != null)
				{
					conn = i.Conn;
					server = conn.Peer();
					Print("open connection=" + conn.Connection + " greeting=" + Hex.Encode(i.Greeting) + " nonce=" + Hex.Encode(i.Nonce));
					return;
				}
			}
			Print("drop");
		}

		// What a client does with a datagram of its link: SPEC 6 to 8.
		void Take(byte[] b)
		{
			uint connection;
			PacketType type;
			if (!SealWire.Parse(b, b.Length, out connection, out type) || connection != conn.Connection)
			{
				Print("drop");
				return;
			}
			if (type == PacketType.Reset)
			{
				if (!doubt.Reset(now, b, b.Length))
				{
					Print("drop");
					return;
				}
				byte[] challenge = new byte[9];
				challenge[0] = (byte)SealControl.Challenge;
				Buffer.BlockCopy(Draw(8), 0, challenge, 1, 8);
				Send(PacketType.Control, challenge);
				return;
			}
			if (conn.Open(b, b.Length) != SealError.None)
			{
				Print("drop");
				return;
			}
			doubt.Heard();
			int n = b.Length - SealWire.Overhead, at, frames;
			if (type == PacketType.Sealed)
			{
				bool ok = SealWire.SplitPayload(b, SealWire.HeaderSize, n, out at, out frames);
				Print(ok ? "deliver " + conn.Number + " frames=" + Hex.Encode(b, at, frames) + " segments=" + Hex.Encode(b, at + frames, SealWire.HeaderSize + n - at - frames) : "drop");
				return;
			}
			SealControl kind;
			if (!SealWire.ParseControl(b, SealWire.HeaderSize, n, out kind))
			{
				Print("drop");
			}
			else if (kind == SealControl.Challenge)
			{
				byte[] answer = ByteOps.Slice(b, SealWire.HeaderSize, 9);
				answer[0] = (byte)SealControl.Answer;
				Send(PacketType.Control, answer);
			}
			else if (kind == SealControl.Close)
			{
				over = true;
				Print("lost close");
			}
		}
	}
}
