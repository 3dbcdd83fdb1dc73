// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>
	/// Plays the scripts of framework/client/testdata/rooms, whose language is in the README there. The Go player is
	/// framework/client/roomagain_test.go.
	/// </summary>
	sealed class RoomScript
	{
		readonly World w = new World("ws://a/", new ClientConfig { Random = Fill }); // no pause is 0
		readonly List<string> asks = new List<string>(), told = new List<string>();
		readonly List<ulong> waits = new List<ulong>(); // the ids of requests, the oldest first
		readonly List<Task> asking = new List<Task>(); // of the app; what comes of it is of no interest
		int asked, said; // counted packets, of either side

		public static void Run(Check check, string root)
		{
			Scripts.Run(check, "room script", root + "/framework/client/testdata/rooms", () => new RoomScript().Line);
		}

		RoomScript()
		{
			foreach (string type in new[] { "a", "b" })
			{
				string name = type;
				w.Client.Room(type).OnJoined += key => told.Add("in " + name + " " + key);
				w.Client.Room(type).OnLeft += (key, why) => told.Add(("out " + name + " " + key + " " + why.Code + " " + why.Text).TrimEnd());
			}
			w.Login();
			w.Heard();
		}

		IEnumerable<string> Line(string text)
		{
			asks.Clear();
			told.Clear();
			string[] words = text.Split(' ');
			Do(words[0], new ArraySegment<string>(words, 1, words.Length - 1));
			w.Client.Update();
			Hear();
			asks.AddRange(told);
			return asks;
		}

		static void Fill(byte[] random)
		{
			for (int i = 0; i < random.Length; i++)
			{
				random[i] = 0x55;
			}
		}

		// Reads what the client has sent.
		void Hear()
		{
			ByteBuffer b = w.Socket.ToServer;
			while (b.Length > 0)
			{
				Packet p = new Packet();
				int n = Codec.ParseFrame(b.Bytes, b.Start, b.End, 1 << 20, ref p);
				w.Count(p);
				if (p.Kind == PacketKind.Heartbeat && (p.Flags & HeartbeatFlags.EchoWanted) != 0)
				{
					w.Say(PacketKind.Heartbeat, null, p.Seq, HeartbeatFlags.Echo);
				}
				if (p.Kind == PacketKind.Request)
				{
					Envelope e = Envelope.ParseRequest(p.Bytes, p.At, p.Length);
					string line = "asks " + Encoding.UTF8.GetString(p.Bytes, e.NameAt, e.NameLength);
					Reader r = new Reader();
					r.Set(p.Bytes, e.PayloadAt, e.PayloadLength);
					for (int left = r.Array(); left > 0; left--)
					{
						line += " " + r.Str();
					}
					asks.Add(line);
					waits.Add(e.Id);
					asked++;
				}
				b.Consume(n);
			}
		}

		static void Spot(Writer b, IList<string> words)
		{
			b.Array(3);
			b.Str(words[0]);
			b.Str(words[1]);
			b.Bool(words.Count > 2);
		}

		static string Rest(IList<string> words, int from)
		{
			List<string> rest = new List<string>(words);
			return string.Join(" ", rest.GetRange(from, rest.Count - from).ToArray());
		}

		ulong Oldest()
		{
			ulong id = waits[0];
			waits.RemoveAt(0);
			said++;
			return id;
		}

		// The link is lost, and the client is back with a RESET.
		void Back(bool restart)
		{
			waits.Clear();
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Hurry();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Heard();
			w.Reset(said, asked, restart);
		}

		void Do(string verb, IList<string> args)
		{
			switch (verb)
			{
				case "joined":
					said++;
					w.Tell("room.joined", b => Spot(b, args));
					break;
				case "left":
					said++;
					w.Tell("room.left", b =>
					{
						b.Array(4);
						b.Str(args[0]);
						b.Str(args[1]);
						b.UInt(ulong.Parse(args[2]));
						b.Str(Rest(args, 3));
					});
					break;
				case "all":
					said++;
					w.Tell("room.all", b =>
					{
						b.Array(args.Count);
						foreach (string spot in args)
						{
							Spot(b, spot.Split('/'));
						}
					});
					break;
				case "reset": Back(false); break;
				case "restart": Back(true); break;
				case "answer": w.Answer(Oldest(), b => b.Str("key")); break;
				case "fail": w.Fail(Oldest(), uint.Parse(args[0]), Rest(args, 1)); break;
				case "pause": w.Advance(17 * Nanos.Second); break;
				case "join": asking.Add(w.Client.Room(args[0]).Join(args[1])); break;
				case "watch": asking.Add(w.Client.Room(args[0]).Watch(args[1])); break;
				case "leave": asking.Add(w.Client.Room(args[0]).Leave()); break;
				case "end": w.End(PacketKind.Bye, uint.Parse(args[0]), Rest(args, 1)); break;
				case "where": Where(); break;
				default: throw new Exception("no command: " + verb);
			}
		}

		void Where()
		{
			List<string> all = new List<string>();
			foreach (string type in new[] { "a", "b" })
			{
				Room r = w.Client.Room(type);
				if (r.Key != null)
				{
					all.Add(type + "/" + r.Key + (r.Watching ? "/watching" : ""));
				}
			}
			if (all.Count > 0)
			{
				told.Add(string.Join(" ", all.ToArray()));
			}
		}
	}
}
