// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays the scripts of session/testdata/scripts, whose language is in session/SPEC.md 12. The Go player is
	/// session/script_test.go.
	/// </summary>
	sealed class Script
	{
		const int manyZeros = 33;

		// A line of what happened. Packets that only count on share one.
		sealed class Line
		{
			public string Before, After;
			public long From, To; // of seq, if From is not 0

			public override string ToString()
			{
				return Before + (From == 0 ? "" : From == To ? " seq=" + From : " seq=" + From + "-" + To) + After;
			}
		}

		readonly string dir;
		readonly List<KeyValuePair<string, string>> lets = new List<KeyValuePair<string, string>>();
		readonly List<Line> lines = new List<Line>();
		Session c;
		long now;
		long wall = 1700000000 * Nanos.Second;
		long random;
		int room = 1 << 20;
		bool stamp; // lines tell the time
		bool isSealed; // the link has datagrams besides its stream

		Script(string dir)
		{
			this.dir = dir;
		}

		public static void Run(Check check, string root)
		{
			string dir = root + "/session/testdata/scripts";
			Scripts.Run(check, "script", dir, () => new Script(dir).Did);
			Scripts.Run(check, "script", dir + "/carriers", () => new Script(dir).Did);
		}

		IEnumerable<string> Did(string command)
		{
			lines.Clear();
			Do(command);
			return lines.ConvertAll(l => Shorten(l.ToString()));
		}

		/// <summary>Is the program that framework/conform plays scripts to: its README has the language.</summary>
		public static void Serve(TextReader from, TextWriter to)
		{
			Script s = null;
			for (string command = from.ReadLine(); command != null; command = from.ReadLine())
			{
				if (command.StartsWith("script ", StringComparison.Ordinal))
				{
					s = new Script("");
				}
				else
				{
					s.Do(command);
				}
				s.lines.ForEach(l => to.WriteLine(l));
				s.lines.Clear();
				to.WriteLine(".");
				to.Flush();
			}
		}

		string Shorten(string text)
		{
			foreach (KeyValuePair<string, string> l in lets)
			{
				text = text.Replace(l.Value, "$" + l.Key);
			}
			return text;
		}

		string Expand(string text)
		{
			for (int i = lets.Count - 1; i >= 0; i--)
			{
				text = text.Replace("$" + lets[i].Key, lets[i].Value);
			}
			return text;
		}

		void Print(string before, long seq = 0, string after = "")
		{
			if (stamp)
			{
				before = Seconds(now) + " " + before;
			}
			Line last = lines.Count > 0 ? lines[lines.Count - 1] : null;
			if (seq > 0 && last != null && last.Before == before && last.After == after && last.To + 1 == seq)
			{
				last.To++;
				return;
			}
			lines.Add(new Line { Before = before, After = after, From = seq, To = seq });
		}

		static void Cut(string s, char by, out string before, out string after)
		{
			int i = s.IndexOf(by);
			before = i < 0 ? s : s.Substring(0, i);
			after = i < 0 ? "" : s.Substring(i + 1);
		}

		static long Duration(string s)
		{
			int digits = 0;
			while (char.IsDigit(s[digits]) || s[digits] == '.')
			{
				digits++;
			}
			decimal n = decimal.Parse(s.Substring(0, digits), CultureInfo.InvariantCulture);
			switch (s.Substring(digits))
			{
				case "ns": return (long)n;
				case "us": return (long)(n * Nanos.Microsecond);
				case "ms": return (long)(n * Nanos.Millisecond);
				case "s": return (long)(n * Nanos.Second);
				case "m": return (long)(n * 60 * Nanos.Second);
				case "h": return (long)(n * 3600 * Nanos.Second);
			}
			throw new FormatException("no duration: " + s);
		}

		static string Seconds(long t)
		{
			return t == Nanos.Never ? "never" : (Math.Round(t / 1000m, MidpointRounding.AwayFromZero) / 1000000m).ToString("0.######", CultureInfo.InvariantCulture) + "s";
		}

		void Do(string text)
		{
			string verb, rest;
			Cut(text, ' ', out verb, out rest);
			switch (verb)
			{
				case "after":
					foreach (string command in File.ReadAllLines(dir + "/" + rest + ".txt"))
					{
						if (command != "" && command[0] != '#' && command[0] != '\t')
						{
							Do(command);
						}
					}
					lines.Clear();
					return;
				case "let":
					string name, value;
					Cut(rest, ' ', out name, out value);
					lets.Add(new KeyValuePair<string, string>(name, value));
					return;
				case "random":
					random = Duration(rest);
					return;
				case "room":
					room = int.Parse(rest);
					return;
				case "advance":
					Advance(Duration(rest));
					return;
				case "state":
					Print(c.State.ToString().ToLowerInvariant() + " session=" + (c.Token != "" ? "true" : "false") + " queued=" + c.QueuedPackets + "/" + c.QueuedBytes + " received=" + c.Received +
						" routes=" + c.Routes.Length + " rtt=" + Seconds(c.Rtt) + " due=" + Seconds(c.Due));
					if (c.Address != "")
					{
						Print("at " + c.Address);
					}
					return;
			}
			Act(verb, rest, text);
			Settle();
		}

		void Act(string verb, string rest, string text)
		{
			switch (verb)
			{
				case "config": Config(Expand(rest)); break;
				case "up": Up(Expand(rest)); break;
				case "down": c.LinkDown(now); break;
				case "dropped": c.LinkDropped(now); break;
				case "saw": c.Saw(now); break;
				case "in": In(Expand(rest)); break;
				case "send": Send(Expand(rest)); break;
				case "hold": c.Hold(rest == "on"); break;
				case "hurry": c.Hurry(now); break;
				case "pause": c.Pause(now); break;
				case "close": c.Close(); break;
				case "stall": // the client does not look meanwhile
					now += Duration(rest);
					wall += Duration(rest);
					break;
				case "sleep": // the clock stands still, the wall clock goes on
					wall += Duration(rest);
					break;
				default: throw new FormatException("no command: " + text);
			}
		}

		void Config(string text)
		{
			Json v = Json.Parse(text);
			byte[] ticket = v.Str("ticket") == "" ? null : Encoding.UTF8.GetBytes(v.Str("ticket"));
			c = new Session(new SessionConfig
			{
				Ticket = (out byte[] t) => { t = ticket; return true; },
				Info = v.Str("info"),
				Token = v.Str("token"),
				MaxPackets = (int)v.Num("maxPackets"),
				MaxBytes = (int)v.Num("maxBytes"),
				MaxReceive = (int)v.Num("maxReceive"),
				OpeningTimeout = v.Num("openingTimeout") * Nanos.Millisecond,
				MinDelay = v.Num("minDelay") * Nanos.Millisecond,
				MaxDelay = v.Num("maxDelay") * Nanos.Millisecond,
				Random = () => (ulong)random,
			});
		}

		// Opens the link: a stream, or what the words say.
		void Up(string words)
		{
			string[] w = words.Split(' ');
			isSealed = w[0] == "kcp";
			c.LinkUp(now, wall, w[0] == "plain-kcp");
			if (isSealed)
			{
				c.Greeted(byte.Parse(w[1]), Hex.Decode(w[2].Trim('"').Substring(2)), now);
			}
		}

		// What the owner of a client does after everything that happens.
		void Settle()
		{
			for (; ; )
			{
				SessionAction action = c.Check(now, wall);
				Changes();
				if (action == SessionAction.Wait)
				{
					break;
				}
				if (action == SessionAction.Dial)
				{
					Print("dial");
					break;
				}
				Output(0);
				Print("cut");
			}
			Output(room);
		}

		void Changes()
		{
			for (SessionChange ch = c.NextChange(); ch != null; ch = c.NextChange())
			{
				string text = ch.Kind == ChangeKind.PutOff ? "put off" : ch.Kind.ToString().ToLowerInvariant();
				if (ch.Reason != null)
				{
					text += " " + ch.Reason.Code + (ch.Reason.Remote ? " by the server" : "");
				}
				if (ch.Kind == ChangeKind.PutOff)
				{
					text += " for " + Seconds(ch.Delay);
				}
				if (ch.Stuck)
				{
					text += " stuck";
				}
				if (ch.Kind == ChangeKind.Moving)
				{
					text += " after " + Seconds(ch.Delay) + " " + ch.Address;
				}
				Print(text.TrimEnd(' '));
				foreach (QueuedPacket p in ch.Undelivered)
				{
					Print("undelivered " + p.Kind.ToString().ToUpperInvariant(), 0, Body(p.Body, 0, p.Body.Length));
				}
			}
		}

		void Output(int room)
		{
			ByteBuffer b = new ByteBuffer();
			if (isSealed)
			{
				c.OutputDatagram(b, now);
				Frames("out datagram", b);
			}
			c.Output(b, now, room);
			Frames("out", b);
		}

		void Frames(string what, ByteBuffer b)
		{
			while (b.Length > 0)
			{
				Packet p = new Packet();
				int n = Codec.ParseFrame(b.Bytes, b.Start, b.End, 1 << 28, ref p);
				Print(what, p);
				b.Consume(n);
			}
		}

		// Lets the time pass for a client that looks when it is due.
		void Advance(long d)
		{
			stamp = true;
			for (long end = now + d; ; )
			{
				long at = Math.Max(Math.Min(c.Due, end), now);
				wall += at - now;
				now = at;
				bool last = c.Due > end;
				Settle();
				if (last)
				{
					break;
				}
			}
			stamp = false;
		}

		static PacketKind KindNamed(string name)
		{
			return (PacketKind)Enum.Parse(typeof(PacketKind), name, true);
		}

		void Send(string text)
		{
			string kind, value;
			Cut(text, ' ', out kind, out value);
			byte[] b = Encode(value);
			SendResult result;
			try
			{
				result = c.Send(KindNamed(kind), b, 0, b.Length);
			}
			catch (CodecException)
			{
				Print("refused");
				return;
			}
			if (result != SendResult.Ok)
			{
				Print(result.ToString().ToLowerInvariant());
			}
		}

		// Hands the client the packet that text describes, or several that count on.
		void In(string text)
		{
			string name, rest;
			bool datagram = text.StartsWith("datagram ", StringComparison.Ordinal);
			Cut(datagram ? text.Substring(9) : text, ' ', out name, out rest);
			Packet p = new Packet { Kind = KindNamed(name), Bytes = new byte[0] };
			long from = 0, to = 0;
			while (rest != "" && rest[0] != '[' && rest[0] != '{')
			{
				string word, key, value;
				Cut(rest, ' ', out word, out rest);
				Cut(word, '=', out key, out value);
				switch (key)
				{
					case "echo-wanted": p.Flags |= HeartbeatFlags.EchoWanted; break;
					case "echo": p.Flags |= HeartbeatFlags.Echo; break;
					case "hold": p.Flags |= HeartbeatFlags.Hold; break;
					case "ack": p.Ack = (uint)ulong.Parse(value); break;
					case "seq":
						string a, b;
						Cut(value, '-', out a, out b);
						from = long.Parse(a);
						to = b == "" ? from : long.Parse(b);
						break;
					default: throw new FormatException("in " + text + ": " + word);
				}
			}
			if (rest != "")
			{
				p.Bytes = Encode(rest);
				p.Length = p.Bytes.Length;
			}
			for (long seq = from; seq <= to; seq++)
			{
				p.Seq = (ushort)seq;
				try
				{
					bool deliver = datagram ? c.ReceiveDatagram(p, now) : c.Receive(p, now);
					Changes();
					if (deliver)
					{
						Print("deliver", p);
					}
				}
				catch (LinkException e)
				{
					Changes();
					Print("broken " + LinkException.WordOf(e.Error));
					if (e.Error != LinkError.Fenced) // that one was left already
					{
						c.LinkDown(now);
					}
					return;
				}
			}
		}

		void Print(string what, Packet p)
		{
			string before = what + " " + p.Kind.ToString().ToUpperInvariant();
			before += (p.Flags & HeartbeatFlags.EchoWanted) != 0 ? " echo-wanted" : "";
			before += (p.Flags & HeartbeatFlags.Echo) != 0 ? " echo" : "";
			before += (p.Flags & HeartbeatFlags.Hold) != 0 ? " hold" : "";
			Print(before, p.Seq, (p.Ack == 0 ? "" : " ack=" + p.Ack) + Body(p.Bytes, p.At, p.Length));
		}

		// A msgpack value as JSON, bytes as "0x..." and many zeros as {"zeros": n}.
		static string Body(byte[] b, int at, int n)
		{
			if (n == 0)
			{
				return "";
			}
			StringBuilder s = new StringBuilder(" ");
			PutJson(s, new Reader(b, at, n));
			return s.ToString();
		}

		static void PutJson(StringBuilder s, Reader r)
		{
			if (r.IsArray)
			{
				s.Append('[');
				for (int i = 0, n = r.Array(); i < n; i++)
				{
					s.Append(i > 0 ? "," : "");
					PutJson(s, r);
				}
				s.Append(']');
			}
			else if (r.IsBin)
			{
				byte[] b = r.Bin();
				bool zeros = b.Length >= manyZeros && Array.TrueForAll(b, v => v == 0);
				s.Append(zeros ? "{\"zeros\":" + b.Length + "}" : "\"0x" + Hex.Encode(b) + "\"");
			}
			else if (r.IsStr)
			{
				s.Append('"').Append(r.Str().Replace("\\", "\\\\").Replace("\"", "\\\"")).Append('"');
			}
			else if (r.Nil())
			{
				s.Append("null");
			}
			else if (r.IsInt)
			{
				byte type = r.Source[r.At];
				s.Append(type >= 0xd0 ? r.Int().ToString() : r.UInt().ToString());
			}
			else
			{
				s.Append(r.Bool() ? "true" : "false");
			}
		}

		static byte[] Encode(string text)
		{
			Writer w = new Writer();
			PutMsgpack(w, Json.Parse(text));
			return w.ToArray();
		}

		static void PutMsgpack(Writer w, Json v)
		{
			if (v.List != null)
			{
				w.Array(v.List.Count);
				v.List.ForEach(e => PutMsgpack(w, e));
			}
			else if (v.Fields != null)
			{
				w.Bin(new byte[v.Num("zeros")]);
			}
			else if (v.IsNull)
			{
				w.Nil();
			}
			else if (v.IsBool)
			{
				w.Bool(v.IsTrue);
			}
			else if (!v.IsString)
			{
				w.UInt(ulong.Parse(v.Text));
			}
			else if (v.Text.StartsWith("0x", StringComparison.Ordinal) && v.Text.Length % 2 == 0 && IsHex(v.Text))
			{
				w.Bin(Hex.Decode(v.Text.Substring(2)));
			}
			else
			{
				w.Str(v.Text);
			}
		}

		static bool IsHex(string s)
		{
			for (int i = 2; i < s.Length; i++)
			{
				if ("0123456789abcdef".IndexOf(s[i]) < 0)
				{
					return false;
				}
			}
			return true;
		}
	}
}
