// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>The servers of framework/client/foreign/probe.</summary>
	sealed class Probe : IDisposable
	{
		readonly Process process;
		public readonly Dictionary<string, string> First = new Dictionary<string, string>(), Second = new Dictionary<string, string>(); // URLs by carrier
		public readonly string Key;

		public Probe(string program, string arguments)
		{
			process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true });
			Read(First, process.StandardOutput.ReadLine());
			Read(Second, process.StandardOutput.ReadLine());
			Key = process.StandardOutput.ReadLine().Substring("key ".Length);
		}

		static void Read(Dictionary<string, string> urls, string line)
		{
			string[] words = line.Split(' ');
			for (int i = 1; i < words.Length; i++)
			{
				urls[words[i].Substring(0, words[i].IndexOf(':'))] = words[i];
			}
		}

		/// <summary>Ends it without a word, as a crash would.</summary>
		public void Dispose()
		{
			if (!process.HasExited)
			{
				process.Kill();
			}
			process.WaitForExit();
		}
	}

	/// <summary>A blob of 200 bytes that is read without garbage.</summary>
	sealed class Blob : IMessage
	{
		public readonly byte[] Bytes;

		public Blob(int size)
		{
			Bytes = new byte[size];
		}

		public void Read(Reader r)
		{
			r.Fixed(Bytes);
		}

		public void Write(Writer w)
		{
			w.Bin(Bytes);
		}
	}

	sealed class Question : IMessage
	{
		public string Route;
		public ulong N;

		public void Read(Reader r)
		{
			r.Skip(1);
		}

		public void Write(Writer w)
		{
			w.Array(2);
			w.Str(Route);
			w.UInt(N);
		}
	}

	sealed class Text : IMessage
	{
		public string Value = "";

		public void Read(Reader r)
		{
			Value = r.Str();
		}

		public void Write(Writer w)
		{
			w.Str(Value);
		}
	}

	sealed class Burst : IMessage
	{
		public int After, Count, Size;

		public void Read(Reader r)
		{
			r.Skip(1);
		}

		public void Write(Writer w)
		{
			w.Array(3);
			w.Int(After);
			w.Int(Count);
			w.Int(Size);
		}
	}

	sealed class Numbered : IMessage
	{
		public ulong N;
		public int Size;

		public void Read(Reader r)
		{
			r.Array();
			N = r.UInt();
			int at;
			r.Span(out at, out Size);
		}

		public void Write(Writer w)
		{
			w.Nil();
		}
	}

	/// <summary>The client against real servers, on every carrier.</summary>
	sealed class LiveTests
	{
		static readonly string[] carriers = { "tcp", "stcp", "ws", "wss", "plain-kcp", "kcp" };

		readonly Check check;
		readonly Probe probe;
		readonly List<string> events = new List<string>();
		string name = "ann", last = "";
		Client c;
		LiveTests beside; // another player, whose client is updated as well

		LiveTests(Check check, Probe probe)
		{
			this.check = check;
			this.probe = probe;
		}

		/// <summary>tls false leaves out wss://, for runtimes without a TLS of their own.</summary>
		public static void Run(Check check, string program, bool tls)
		{
			using (Probe probe = new Probe(program, ""))
			{
				foreach (string carrier in carriers)
				{
					if (carrier == "wss" && !tls)
					{
						continue;
					}
					Stopwatch watch = Stopwatch.StartNew();
					check.Run("live " + carrier, () => new LiveTests(check, probe).All(carrier));
					Console.WriteLine(carrier + ": " + watch.ElapsedMilliseconds + " ms");
				}
				check.Run("live cookie", () => new LiveTests(check, probe).Cookie());
				check.Run("live newest", () => new LiveTests(check, probe).Newest());
				check.Run("live rooms", () => new LiveTests(check, probe).Rooms());
				foreach (string carrier in new[] { "tcp", "ws", "kcp" })
				{
					check.Run("live rooms " + carrier, () => new LiveTests(check, probe).Matches(carrier));
				}
				check.Run("live social", () => new LiveTests(check, probe).Social("kcp", "ws"));
				check.Run("live fall-back", () => new LiveTests(check, probe).FallBack());
				check.Run("live another key", () => new LiveTests(check, probe).AnotherKey());
				check.Run("live host names", () => new LiveTests(check, probe).HostNames());
				if (tls)
				{
					check.Run("live certificate", () => new LiveTests(check, probe).Certificate());
				}
				check.Run("live token", () => new LiveTests(check, probe).StoredToken());
			}
			check.Run("live restart", () => Restart(check, program));
		}

		/// <summary>100,000 Updates with messages of 200 bytes each way and no garbage collection, and some on every carrier.</summary>
		public static void RunGarbage(Check check, string program)
		{
			check.Run("garbage, no network", () => NoGarbage(check));
			using (Probe probe = new Probe(program, ""))
			{
				foreach (string carrier in new[] { "tcp", "stcp", "ws", "plain-kcp", "kcp" })
				{
					check.Run("garbage " + carrier, () => new LiveTests(check, probe).Garbage(carrier));
				}
			}
		}

		/// <summary>Opens n clients on every carrier in one process, and prints what each holds when it has said and heard something.</summary>
		public static void RunMemory(Check check, string program, int n)
		{
			foreach (string carrier in new[] { "tcp", "stcp", "ws", "plain-kcp", "kcp" })
			{
				using (Probe probe = new Probe(program, ""))
				{
					check.Run("memory " + carrier, () => Memory(check, probe, carrier, n));
				}
			}
		}

		static void Memory(Check check, Probe probe, string carrier, int n)
		{
			long before = GC.GetTotalMemory(true);
			LiveTests[] all = new LiveTests[n];
			int heard = 0;
			for (int i = 0; i < n; i++)
			{
				all[i] = new LiveTests(check, probe) { name = carrier + i };
				all[i].Make(probe.First[carrier]);
				all[i].c.OnMessage("said", new Blob(200), m => heard++);
				all[i].c.Send("say", new Blob(200));
			}
			Stopwatch watch = Stopwatch.StartNew();
			while (heard < n && watch.Elapsed.TotalSeconds < 120)
			{
				Array.ForEach(all, t => t.c.Update());
				Thread.Sleep(5);
			}
			check.Equal(heard, n, "heard");
			long each = (GC.GetTotalMemory(true) - before) / n;
			Console.WriteLine(carrier + ": " + n + " clients, " + each + " bytes each, open after " + watch.ElapsedMilliseconds + " ms");
			watch.Restart();
			for (int i = 0; i < 100; i++)
			{
				Array.ForEach(all, t => t.c.Update());
			}
			Console.WriteLine(carrier + ": an Update with nothing to do takes " + (watch.Elapsed.TotalMilliseconds * 10 / n).ToString("0.00") + " us");
			Array.ForEach(all, t => t.c.Dispose());
		}

		Client Make(string urls, Action<ClientConfig> more = null)
		{
			ClientConfig cfg = new ClientConfig
			{
				ServerKey = probe.Key, Ticket = () => Task.FromResult(Encoding.ASCII.GetBytes(name)), CheckCertificate = (a, b, d, e) => true,
				MinDelay = TimeSpan.FromMilliseconds(5), MaxDelay = TimeSpan.FromMilliseconds(50),
			};
			if (more != null)
			{
				more(cfg);
			}
			c = new Client(urls, cfg);
			c.OnEvent += e =>
			{
				events.Add(e.Kind + (e.Reason == null ? "" : " " + e.Reason.Code));
				last = e.Kind + " " + e.Reason;
			};
			c.OnError += e => check.Fail(e.ToString());
			return c;
		}

		bool Until(Func<bool> done, double seconds = 20)
		{
			Stopwatch watch = Stopwatch.StartNew();
			while (!done())
			{
				if (watch.Elapsed.TotalSeconds > seconds)
				{
					return false;
				}
				c.Update();
				c.Flush();
				if (beside != null)
				{
					beside.c.Update();
				}
				Thread.Sleep(1);
			}
			return true;
		}

		void Done(Task t, string what)
		{
			bool done = Until(() => t.IsCompleted) && t.Status == TaskStatus.RanToCompletion;
			check.That(done, what + ": " + (t.Exception == null ? "no end; last " + last : t.Exception.InnerException.Message));
		}

		string History
		{
			get
			{
				string s = string.Join(", ", events.ToArray());
				events.Clear();
				return s;
			}
		}

		void All(string carrier)
		{
			Make(probe.First[carrier]);
			c.OnRequest("double", new Count(), q =>
			{
				c.Cut(); // the answer finds its way all the same
				return new Count { N = 2 * q.N };
			});
			Done(c.WhenOpen(), "opening");
			Done(Echoes(), "echo");
			Count answer = new Count();
			Done(c.Request("ask", new Question { Route = "double", N = 21 }, answer), "asked");
			check.Equal((long)answer.N, 42, "what the server was answered");
			Task<Count> nobody = c.Request("ask", new Question { Route = "nobody", N = 1 }, new Count());
			Until(() => nobody.IsCompleted);
			check.Equal(((LifelineException)nobody.Exception.InnerException).Code, 1000 + LifelineException.NoRoute, "a request that nobody answers");
			check.Equal(History, "Opened, Lost 1, Resumed", "events");
			ManyWithCuts();
			Bursts();
			Slow();
			Pauses();
			Moves(carrier);
			c.Send("kick", new Count { N = CloseCode.Kicked });
			check.That(Until(() => c.Ended), "not kicked");
			check.Equal(History, "Closed 200", "kicked");
			check.That(Until(() => c.Idle, 2), "not idle");
			c.Dispose();
		}

		async Task Echoes()
		{
			foreach (int size in new[] { 0, 1, 200, 1151, 1152, 5000, 60000, 65000 })
			{
				Blob sent = new Blob(size);
				new Random(size).NextBytes(sent.Bytes);
				Blob back = await c.Request("echo", sent, new Blob(size));
				check.That(ByteOps.Equal(sent.Bytes, 0, back.Bytes, 0, size), "echo of " + size + " bytes");
			}
		}

		// Messages each way, the cable pulled now and then: each comes once and in order.
		void ManyWithCuts()
		{
			const int n = 1500;
			ulong heard = 0, sent = 0, cutAt = 250;
			bool wrong = false;
			c.OnMessage("said", new Count(), m => wrong = wrong || m.N != ++heard);
			Count next = new Count();
			Until(() =>
			{
				for (int i = 0; i < 10 && sent < n && sent - heard < 150; i++) // the server keeps 200 for a player
				{
					next.N = sent + 1;
					sent += c.Send("say", next) ? 1u : 0;
				}
				if (sent >= cutAt && sent < n) // once: the way back takes a while
				{
					cutAt += 250;
					c.Cut();
				}
				return heard == n;
			}, 30);
			check.That(!wrong && heard == n, "heard " + heard + " of " + sent + (wrong ? ", in another order" : "") + ": " + string.Join(", ", events.GetRange(0, Math.Min(events.Count, 20)).ToArray()));
			events.Clear();
		}

		void Bursts()
		{
			ulong heard = 0;
			bool wrong = false;
			IDisposable handler = c.OnMessage("numbered", new Numbered(), m => wrong = wrong || m.N != ++heard || m.Size != 900);
			c.Send("burst", new Burst { After = 5, Count = 150, Size = 900 });
			check.That(Until(() => heard == 150) && !wrong, "a burst: " + heard + " of 150");
			handler.Dispose();
		}

		// Frames that come rarely take all that came meanwhile, not a piece each.
		void Slow()
		{
			int heard = 0, most = 0;
			IDisposable handler = c.OnMessage("numbered", new Numbered(), m => heard++);
			for (int i = 0; i < 20; i++)
			{
				c.Send("burst", new Burst { Count = 1, Size = 10 });
				c.Flush();
				Thread.Sleep(3);
			}
			Thread.Sleep(200);
			bool all = Until(() =>
			{
				int before = heard;
				c.Update();
				most = Math.Max(most, heard - before);
				return heard == 20;
			});
			check.That(all && most > 5, heard + " of 20, at most " + most + " with one Update");
			handler.Dispose();
		}

		void Pauses()
		{
			c.Pause();
			events.Clear();
			Stopwatch watch = Stopwatch.StartNew();
			Until(() => watch.ElapsedMilliseconds > 300);
			check.That(!c.Connected, "a link in the background");
			c.Send("say", new Count { N = 1501 }); // waits
			c.Hurry();
			check.That(Until(() => c.Connected) && History == "Resumed", "back from the background");
		}

		void Moves(string carrier)
		{
			c.Send("move", new Nothing());
			events.Clear();
			bool moved = Until(() => events.Contains("Resumed"));
			check.That(moved, "not moved: " + History);
			if (carrier != "wss") // the second server has none, so the client comes back to the first, and logs in
			{
				check.Equal(c.Url, probe.Second[carrier], "where it went");
			}
			Done(Echoes(), "echo after it");
			events.Clear();
		}

		// The second server wants a cookie of every hello.
		void Cookie()
		{
			Make(probe.Second["kcp"]);
			Done(c.WhenOpen(), "a login");
			c.Cut();
			check.That(Until(() => c.Stats.Resumes == 1), "a resume");
			c.Close();
			check.That(Until(() => c.Idle, 2), "not idle");
		}

		void Newest()
		{
			Make(probe.First["kcp"]);
			ulong highest = 0, heard = 0;
			c.OnMessage("said", new Count(), m =>
			{
				heard++;
				highest = Math.Max(highest, m.N);
			});
			Done(c.WhenOpen(), "opening");
			Until(() => c.Stats.Received > 0 || c.Rtt > TimeSpan.Zero, 0.2);
			for (ulong i = 1; i <= 100; i++)
			{
				c.SendNewest("say", new Count { N = i });
				c.Rebind();
				ulong now = i;
				Until(() => heard >= now, 0.1);
			}
			check.That(highest == 100 && heard > 90, "heard " + heard + ", the newest " + highest);
			check.Equal(c.Stats.Resumes, 0, "resumes");
			check.Equal(c.Stats.Rebinds, 100, "rebinds");
			c.Close();
			check.That(Until(() => c.Idle, 2), "not idle");
		}

		void Rooms()
		{
			Make(probe.First["ws"]);
			Client first = c;
			Task<string> key = c.JoinAny("hall");
			Done(key, "joining any");
			check.That(key.Status == TaskStatus.RanToCompletion && key.Result != "", "no key");
			LiveTests other = new LiveTests(check, probe) { name = "bob" };
			other.Make(probe.First["kcp"]);
			Task full = other.c.Join("hall", key.Result);
			other.Until(() => full.IsCompleted);
			check.Equal(Code(full), LifelineException.Full, "the only seat is taken");
			Task none = other.c.Join("castle", "x");
			other.Until(() => none.IsCompleted);
			check.Equal(Code(none), LifelineException.NoRoute, "no such type of room");
			Done(c.Leave(), "leaving");
			other.Done(other.c.Join("hall", key.Result), "the seat that became free");
			first.Close();
			other.c.Close();
			first.Dispose();
			other.c.Dispose();
		}

		// In and out of rooms, as the player and as the server want it; across a cut, a RESET and the end of the room.
		void Matches(string carrier)
		{
			Make(probe.First[carrier]);
			Room match = c.Room("match");
			ulong said = 0;
			List<string> told = new List<string>();
			Action enter = () =>
			{
				match.OnMessage("greeted", new Text(), m => told.Add("greeted in " + m.Value));
				match.OnMessage("said", new Count(), m => said = m.N);
			};
			match.OnJoined += key => told.Add("in " + key);
			match.OnLeft += (key, why) => told.Add("out of " + key + ", " + why);
			enter();
			Done(c.WhenOpen(), "opening");
			Task<string> joined = match.Join("north" + carrier);
			Done(joined, "joining");
			check.That(joined.Result == "north" + carrier && match.Key == joined.Result, "key " + match.Key);
			c.Cut();
			Text where = new Text();
			Done(c.Request("where", new Nothing(), where), "a request in the room");
			check.Equal(where.Value, match.Key, "where");
			c.Send("take", new Text { Value = "south" + carrier });
			check.That(Until(() => told.Count == 5), "not moved");
			c.Send("cast", new Count { N = 7 });
			check.That(Until(() => said == 7), "the room is not heard after a move");
			Overflow(false);
			Done(c.Request("where", new Nothing(), where), "a request after the RESET");
			check.That(match.Key == "south" + carrier, "a RESET took it out");
			c.Send("finish", new Text { Value = "red wins" });
			check.That(Until(() => match.Key == null), "not out");
			check.Equal(string.Join("; ", told.ToArray()).Replace(carrier, ""),
				"greeted in north; in north; greeted in south; in south; out of north, code 302; out of south, code 300: red wins", "told");
			Task none = c.Request("where", new Nothing(), new Text());
			Until(() => none.IsCompleted);
			check.Equal(Code(none), LifelineException.NotJoined, "a request outside of the room");
			enter(); // the handlers went with the stay
			Done(match.Join("north" + carrier), "joining again");
			Overflow(true);
			check.That(Until(() => match.Key == null), "still in a room that has ended meanwhile");
			check.Equal(told[told.Count - 1].Replace(carrier, ""), "out of north, code 0: while the client was away", "told after a RESET");
			c.Close();
			check.That(Until(() => c.Idle, 2), "not idle");
		}

		// Away for so long that what another one says in the room runs over the server's buffer for this player.
		void Overflow(bool finish)
		{
			long resets = c.Stats.Resets;
			c.Pause();
			LiveTests bob = new LiveTests(check, probe) { name = "bob" };
			bob.Make(probe.First["tcp"]);
			ulong heard = 0;
			Room room = bob.c.Room("match");
			room.OnMessage("said", new Count(), m => heard = m.N);
			bob.Done(room.Join(c.Room("match").Key), "bob joining");
			for (ulong i = 1; i <= 300; i++)
			{
				bob.c.Send("cast", new Count { N = i });
				if (i % 50 == 0) // or bob, who hears it all too, would have a RESET as well
				{
					check.That(bob.Until(() => heard == i), "bob heard " + heard + " of " + i);
				}
			}
			if (finish)
			{
				bob.c.Send("finish", new Text { Value = "while you were away" });
				check.That(bob.Until(() => room.Key == null), "bob is still in");
			}
			bob.c.Close();
			bob.c.Dispose();
			c.Hurry();
			check.That(Until(() => c.Stats.Resets == resets + 1), "no RESET");
		}

		// Two players, each on its carrier: friends, a party, and a match that both accept; across a RESET.
		void Social(string carrier, string other)
		{
			Make(probe.First[carrier]);
			int tickets = 0;
			c.Queue.OnTicket += t => tickets++;
			Friends friends = c.Friends;
			Party party = c.Party;
			Done(c.WhenOpen(), "opening");
			LiveTests bob = new LiveTests(check, probe) { name = "bobby" };
			Done(friends.Watch(new[] { bob.name }), "watching");
			check.That(friends.Find(bob.name).Presence == Presence.Offline, "before it is there");
			bob.Make(probe.First[other]);
			beside = bob;
			Party bobs = bob.c.Party;
			bobs.OnInvited += i => bobs.Join(i.Party);
			bob.c.Queue.OnTicket += t =>
			{
				if (t.State == TicketState.Proposed && !t.You)
				{
					bob.c.Queue.Accept(t.Match);
				}
			};
			check.That(Until(() => friends.Find(bob.name).Presence == Presence.Online), "not online");
			Done(party.Invite(bob.name), "inviting");
			check.That(Until(() => party.State.Members.Length == 2 && bobs.State.Id == party.State.Id), "no party");
			Done(bobs.Ready(true), "ready");
			check.That(Until(() => Array.Exists(party.State.Members, m => m.User == bob.name && m.Ready)), "not ready");
			Done(party.Kick(bob.name), "kicking");
			check.That(Until(() => bobs.State.Why == "kicked") && bobs.State.Id == 0, "not kicked");

			Done(c.Queue.Enter("ranked", new Wish { Regions = { { "eu", 20 } } }), "entering");
			check.That(Until(() => c.Queue.Ticket.State == TicketState.Waiting), "not waiting");
			Task twice = c.Queue.Enter("ranked");
			Until(() => twice.IsCompleted);
			check.Equal(Code(twice), LifelineException.Refused, "entering twice");
			Done(c.Room("match").Join("social"), "joining");
			int before = tickets;
			Overflow(false);
			check.That(Until(() => tickets > before) && c.Queue.Ticket.State == TicketState.Waiting, "not told after the RESET");
			Done(bob.c.Queue.Enter("ranked"), "entering too");
			check.That(Until(() => c.Queue.Ticket.State == TicketState.Proposed), "not proposed");
			Done(c.Queue.Accept(c.Queue.Ticket.Match), "accepting");
			check.That(Until(() => c.Queue.Ticket.State == TicketState.Matched && c.Room("duel").Key == c.Queue.Ticket.Key), "not matched: " + c.Queue.Ticket.State);
			bob.c.Close();
			check.That(Until(() => friends.Find(bob.name).Presence == Presence.Offline), "still online");
			c.Send("kick", new Count { N = CloseCode.Kicked });
			check.That(Until(() => c.Ended) && c.Queue.Ticket.State == TicketState.None && friends.All.Count == 0, "after the end");
			bob.c.Dispose();
			c.Dispose();
		}

		static long Code(Task t)
		{
			LifelineException e = t.Exception == null ? null : t.Exception.InnerException as LifelineException;
			return e == null ? 0 : e.Code;
		}

		// UDP that is silent costs its patience once.
		void FallBack()
		{
			using (Socket hole = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
			{
				hole.Bind(new IPEndPoint(IPAddress.Loopback, 0));
				string to = "127.0.0.1:" + ((IPEndPoint)hole.LocalEndPoint).Port;
				foreach (string udp in new[] { "kcp://", "plain-kcp://" })
				{
					string stream = probe.First[udp == "kcp://" ? "stcp" : "tcp"];
					Make(udp + to + " " + stream, cfg => cfg.Fallback = TimeSpan.FromMilliseconds(300));
					Stopwatch watch = Stopwatch.StartNew();
					Done(c.WhenOpen(), "opening");
					check.That(watch.ElapsedMilliseconds >= 300, "too early");
					check.Equal(c.Url, stream, "where it went");
					c.Cut();
					check.That(Until(() => c.Stats.Resumes == 1) && c.Url == stream, "after a cut");
					check.Equal(c.Stats.Failures + (udp == "kcp://" ? 0 : 1), 1, "dials that failed");
					c.Dispose();
				}
			}
			// What refuses is left at once.
			Make("tcp://127.0.0.1:1 ws://127.0.0.1:1/ " + probe.First["kcp"]);
			Done(c.WhenOpen(), "opening");
			check.Equal(c.Url, probe.First["kcp"], "where it went");
			c.Close();
		}

		// A server with another key hangs up, and says nothing of a player.
		void AnotherKey()
		{
			string key = SealWire.PublicKeyText(X25519.PublicKey(new byte[32]));
			Make(probe.First["stcp"], cfg => cfg.ServerKey = key);
			check.That(Until(() => c.Stats.Failures > 0), "no failure");
			check.That(Until(() => last.StartsWith("Failed", StringComparison.Ordinal)) && last.Contains("ServerKey"), "what is told: " + last);
			c.Dispose();
		}

		void HostNames()
		{
			foreach (string carrier in new[] { "tcp", "stcp", "ws", "plain-kcp", "kcp" })
			{
				Make(probe.First[carrier].Replace("127.0.0.1", "localhost"));
				Done(c.WhenOpen(), "opening " + carrier + " by name");
				c.Close();
				c.Dispose();
			}
			Make("tcp://no-such-host.invalid:1 " + probe.First["tcp"]);
			Done(c.WhenOpen(), "opening the next one");
			c.Dispose();
		}

		void Certificate()
		{
			Make(probe.First["wss"] + " " + probe.First["tcp"], cfg => cfg.CheckCertificate = null);
			Done(c.WhenOpen(), "opening the next one");
			check.Equal(c.Url, probe.First["tcp"], "a certificate that nobody vouches for");
			c.Dispose();
		}

		// An app that is started anew comes back with its token.
		void StoredToken()
		{
			Make(probe.First["kcp"]);
			Done(c.WhenOpen(), "opening");
			string token = c.Token, id = c.Id;
			c.Dispose();
			Make(probe.First["kcp"], cfg => cfg.Token = token);
			Done(c.WhenOpen(), "coming back");
			check.That(c.Id == id && c.Token == token, "another session");
			check.Equal(History, "Opened, Reset 101", "events");
			Done(Echoes(), "echo");
			c.Close();
		}

		// A server that is killed and started anew: the client logs in again, on a sealed link within a second.
		static void Restart(Check check, string program)
		{
			int ports = 20000 + new Random().Next(10000);
			string arguments = "-ports " + ports + " -key " + System.IO.Path.GetTempFileName() + ".key";
			Probe probe = new Probe(program, arguments);
			List<LiveTests> all = new List<LiveTests>();
			foreach (string carrier in new[] { "kcp", "stcp", "tcp", "ws", "plain-kcp" })
			{
				LiveTests t = new LiveTests(check, probe) { name = carrier };
				t.Make(probe.First[carrier], cfg => cfg.MaxDelay = TimeSpan.FromMilliseconds(200));
				t.Done(t.c.WhenOpen(), "opening " + carrier);
				all.Add(t);
			}
			probe.Dispose();
			using (probe = new Probe(program, arguments))
			{
				StringBuilder times = new StringBuilder();
				Stopwatch watch = Stopwatch.StartNew();
				foreach (LiveTests t in all)
				{
					t.c.Send("say", new Count { N = 1 });
				}
				while (watch.Elapsed.TotalSeconds < 15 && !all.TrueForAll(t => t.c.Stats.Opens == 2))
				{
					foreach (LiveTests t in all)
					{
						bool before = t.c.Stats.Opens == 2;
						t.c.Update();
						if (!before && t.c.Stats.Opens == 2)
						{
							times.Append(' ').Append(t.c.Url.Substring(0, t.c.Url.IndexOf(':'))).Append(' ').Append(watch.ElapsedMilliseconds).Append(" ms");
						}
					}
					Thread.Sleep(1);
				}
				Console.WriteLine("back after a restart:" + times);
				foreach (LiveTests t in all)
				{
					string history = t.History;
					check.That(history == "Opened, Lost 1, Gone 100, Opened" || history.StartsWith("Opened, Lost 1, Gone 10", StringComparison.Ordinal), t.c.Url + ": " + history);
					t.Done(t.Echoes(), "echo");
					t.c.Dispose();
				}
			}
		}

		// --- garbage

		// Messages each way over a socket that the test holds.
		static void NoGarbage(Check check)
		{
			const int n = 100000;
			World w = new World();
			ulong heard = 0;
			Blob blob = new Blob(200);
			w.Client.OnMessage("said", new Blob(200), m => heard++);
			w.Login("say", "said");
			w.Heard();
			ByteBuffer body = new ByteBuffer();
			Writer writer = new Writer(body);
			Packet p = new Packet();
			Litter litter = new Litter();
			for (int i = 1; i <= n + 1000; i++)
			{
				if (i == 1001) // by then all buffers have their size
				{
					litter.Begin();
				}
				w.Now += 16 * Nanos.Millisecond;
				w.Wall += 16 * Nanos.Millisecond;
				body.Clear();
				Envelope.BeginMessage(writer, 1, null);
				blob.Write(writer);
				Codec.AppendFrame(w.Socket.ToClient, PacketKind.Message, HeartbeatFlags.None, (ushort)i, w.Accepted, body.Bytes, body.Start, body.Length);
				w.Client.Send("say", blob);
				w.Client.Update();
				ByteBuffer said = w.Socket.ToServer;
				while (said.Length > 0)
				{
					said.Consume(Codec.ParseFrame(said.Bytes, said.Start, said.End, 1 << 20, ref p));
					w.Count(p);
				}
			}
			litter.End();
			litter.Judge(check, "no network, " + n + " Updates with a message each way");
			check.Equal((long)heard, n + 1000, "heard");
		}

		void Garbage(string carrier)
		{
			const int n = 20000;
			Make(probe.First[carrier]);
			long heard = 0;
			c.OnMessage("said", new Blob(200), m => heard++);
			Friends friends = c.Friends;
			MatchQueue queue = c.Queue;
			Party party = c.Party;
			Done(c.WhenOpen(), "opening");
			Done(friends.Watch(new[] { "a friend" }), "watching");
			Blob blob = new Blob(200);
			long sent = 0, seen = 0;
			Litter litter = new Litter();
			Stopwatch watch = Stopwatch.StartNew();
			while (heard < n && watch.Elapsed.TotalSeconds < 60)
			{
				if (heard < 2000) // by then all buffers have their size
				{
					litter.Begin();
				}
				if (sent - heard < 16)
				{
					sent += c.Send("say", blob) ? 1 : 0;
				}
				long last = heard;
				c.Update();
				if (heard == last && sent - heard == 16)
				{
					Thread.Sleep(1); // let the server have the processor
				}
			}
			litter.End();
			litter.Judge(check, carrier + ", " + (n - 2000) + " messages each way", Grown); // where the network stalled, a buffer grew
			check.That(heard >= n, "heard " + heard);
			litter.Begin();
			for (int i = 0; i < 1500; i++) // heartbeats of a server that has one every second
			{
				c.Update();
				for (int k = 0; k < friends.All.Count; k++) // as a game draws them
				{
					seen += friends.All[k].User.Length + queue.Ticket.Before + party.State.Members.Length;
				}
				Thread.Sleep(1);
			}
			litter.End();
			litter.Judge(check, carrier + ", 1500 Updates at rest");
			check.Equal(seen, 1500 * "a friend".Length, "seen of a friend");
			for (int i = 0; i < 1500; i++)
			{
				if (i == 500)
				{
					litter.Begin();
				}
				c.SendNewest("say", blob);
				c.Update();
				Thread.Sleep(1);
			}
			litter.End();
			litter.Judge(check, carrier + ", 1000 Updates that send the newest", Grown);
			c.Dispose();
		}

		/// <summary>What buffers may grow by while the network stalls, in bytes: less than a message each would cost.</summary>
		const long Grown = 96 << 10;

		/// <summary>What was allocated on this thread meanwhile, and how often that was collected.</summary>
		sealed class Litter
		{
			long bytes;
			int collections;

			public void Begin()
			{
				GC.Collect(); // else what came before may be collected now
				collections = GC.CollectionCount(0);
				bytes = GC.GetAllocatedBytesForCurrentThread();
			}

			public void End()
			{
				bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
				collections = GC.CollectionCount(0) - collections;
			}

			public void Judge(Check check, string what, long most = 0)
			{
				check.That(bytes <= most, what + ": " + bytes + " bytes were allocated");
				check.Equal(collections, 0, "collections: " + what);
				Console.WriteLine(what + ": " + bytes + " bytes, " + collections + " collections");
			}
		}
	}
}
