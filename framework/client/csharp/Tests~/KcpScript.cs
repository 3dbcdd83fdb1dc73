// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays the scripts of transport/kcp/testdata/scripts, whose language is in the README there. The Go player is
	/// transport/kcp/script_test.go.
	/// </summary>
	sealed class KcpScript
	{
		const int limit = 1472; // the largest datagram that a look may make
		static readonly string[] commands = { "PUSH", "ACK", "WASK", "WINS" };

		Kcp kcp;
		uint conv;
		long now;
		bool raw;   // datagrams are printed as bytes
		bool stamp; // lines tell the time
		readonly List<string> lines = new List<string>();

		public static void Run(Check check, string root)
		{
			Scripts.Run(check, "kcp script", root + "/transport/kcp/testdata/scripts", () => new KcpScript().Line);
		}

		KcpScript()
		{
			Config("");
		}

		IEnumerable<string> Line(string text)
		{
			lines.Clear();
			Do(text);
			return lines;
		}

		void Print(string line)
		{
			lines.Add(stamp ? Seconds(now) + " " + line : line);
		}

		static string Seconds(long t)
		{
			return (Math.Round(t / 1000m, MidpointRounding.AwayFromZero) / 1000000m).ToString("0.######", CultureInfo.InvariantCulture) + "s";
		}

		static long Duration(string s)
		{
			return s.EndsWith("ms", StringComparison.Ordinal) ? long.Parse(s.Substring(0, s.Length - 2)) * Nanos.Millisecond : long.Parse(s.Substring(0, s.Length - 1)) * Nanos.Second;
		}

		void Do(string text)
		{
			string[] w = text.Split(new[] { ' ' }, 2);
			string rest = w.Length > 1 ? w[1] : "";
			switch (w[0])
			{
				case "config": Config(rest); return;
				case "clock": now = Duration(rest); return;
				case "numbers":
					string[] n = rest.Split(' ');
					kcp.Renumber(uint.Parse(n[0]), uint.Parse(n[1]));
					return;
				case "bytes": raw = rest == "on"; return;
				case "state":
					Print("srtt=" + Seconds(kcp.Srtt) + " retransmits=" + kcp.Retransmits + " repeats=" + kcp.Repeats + " settled=" + Word(kcp.Settled) + " stalled=" + Word(kcp.Stalled));
					return;
				case "advance": Advance(Duration(rest)); return;
				case "write": Write(Data(rest)); break;
				case "in":
					byte[] b = Datagram(rest);
					KcpError e = kcp.Input(now, b, 0, b.Length);
					if (e != KcpError.None)
					{
						Print("refused " + (e == KcpError.TooLarge ? "too-large" : e.ToString().ToLowerInvariant()));
					}
					break;
				case "read":
					ByteBuffer got = new ByteBuffer();
					kcp.Read(got);
					Print("read " + Text(got.Bytes, got.Start, got.Length));
					break;
				case "mtu": kcp.SetMtu(int.Parse(rest)); break;
				case "moved": kcp.Moved(); break;
				default: throw new FormatException("no command: " + text);
			}
			Look();
		}

		static string Word(bool b)
		{
			return b ? "true" : "false";
		}

		void Config(string words)
		{
			int cut = 1200, send = 256, receive = 128;
			long stall = 60 * Nanos.Second;
			conv = 9;
			foreach (string word in words.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries))
			{
				string[] kv = word.Split('=');
				switch (kv[0])
				{
					case "conv": conv = uint.Parse(kv[1]); break;
					case "cut": cut = int.Parse(kv[1]); break;
					case "send": send = int.Parse(kv[1]); break;
					case "receive": receive = int.Parse(kv[1]); break;
					case "stall": stall = Duration(kv[1]); break;
					default: throw new FormatException("no setting: " + word);
				}
			}
			kcp = new Kcp(conv, cut, new KcpPool(), send, receive, stall);
		}

		void Write(byte[] b)
		{
			if (b.Length > kcp.Room)
			{
				Print("full");
				return;
			}
			kcp.Write(b, 0, b.Length);
		}

		// Sends all that is due.
		void Look()
		{
			byte[] b = new byte[limit];
			for (int n = kcp.Output(now, b, 0, limit); n > 0; n = kcp.Output(now, b, 0, limit))
			{
				Print("out " + (raw ? Hex.Encode(b, 0, n) : Segments(b, n)));
			}
		}

		void Advance(long d)
		{
			stamp = true;
			bool was = kcp.Stalled;
			for (long end = now + d; ; )
			{
				long at = Math.Max(Math.Min(kcp.NextDeadline(now), end), now);
				bool last = at == end;
				now = at;
				Look();
				if (kcp.Stalled && !was)
				{
					was = true;
					Print("stalled");
				}
				if (last)
				{
					break;
				}
			}
			stamp = false;
		}

		byte[] Datagram(string text)
		{
			if (text == "" || char.IsDigit(text[0]))
			{
				return Hex.Decode(text);
			}
			List<byte> all = new List<byte>();
			foreach (string segment in text.Split(new[] { "; " }, StringSplitOptions.None))
			{
				byte[] h = new byte[Kcp.HeaderSize];
				byte[] data = new byte[0];
				LittleEndian.Put32(h, 0, conv);
				h[6] = 128;
				foreach (string word in segment.Split(' '))
				{
					string[] kv = word.Split('=');
					uint n = kv.Length > 1 ? uint.Parse(kv[1]) : 0;
					switch (kv[0])
					{
						case "sn": LittleEndian.Put32(h, 12, n); break;
						case "ts": LittleEndian.Put32(h, 8, n); break;
						case "una": LittleEndian.Put32(h, 16, n); break;
						case "wnd":
							h[6] = (byte)n;
							h[7] = (byte)(n >> 8);
							break;
						case "frg": h[5] = (byte)n; break;
						case "conv": LittleEndian.Put32(h, 0, n); break;
						default:
							int command = Array.IndexOf(commands, word);
							if (command >= 0)
							{
								h[4] = (byte)(81 + command);
							}
							else
							{
								data = Data(word);
							}
							break;
					}
				}
				LittleEndian.Put32(h, 20, (uint)data.Length);
				all.AddRange(h);
				all.AddRange(data);
			}
			return all.ToArray();
		}

		static string Segments(byte[] b, int n)
		{
			List<string> list = new List<string>();
			for (int at = 0; at < n; )
			{
				int size = (int)LittleEndian.Get32(b, at + 20);
				string l = commands[b[at + 4] - 81] + " sn=" + LittleEndian.Get32(b, at + 12) + " ts=" + LittleEndian.Get32(b, at + 8) + " una=" + LittleEndian.Get32(b, at + 16) + " wnd=" + (b[at + 6] | b[at + 7] << 8);
				at += Kcp.HeaderSize;
				list.Add(size == 0 ? l : l + " " + Text(b, at, size));
				at += size;
			}
			return string.Join("; ", list);
		}

		// Runs of one letter: a*100+b is 100 a and one b.
		static byte[] Data(string text)
		{
			StringBuilder b = new StringBuilder();
			foreach (string run in text.Split('+'))
			{
				string[] f = run.Split('*');
				b.Append(f.Length > 1 ? new string(f[0][0], int.Parse(f[1])) : run);
			}
			return Encoding.ASCII.GetBytes(b.ToString());
		}

		// What Data reads: runs of more than four letters are counted.
		static string Text(byte[] b, int at, int size)
		{
			List<string> runs = new List<string>();
			string plain = "";
			for (int end = at + size; at < end; )
			{
				int n = 1;
				while (at + n < end && b[at + n] == b[at])
				{
					n++;
				}
				if (n <= 4)
				{
					plain += new string((char)b[at], n);
				}
				else
				{
					if (plain != "")
					{
						runs.Add(plain);
					}
					plain = "";
					runs.Add((char)b[at] + "*" + n);
				}
				at += n;
			}
			if (plain != "" || runs.Count == 0)
			{
				runs.Add(plain);
			}
			return string.Join("+", runs);
		}
	}
}
