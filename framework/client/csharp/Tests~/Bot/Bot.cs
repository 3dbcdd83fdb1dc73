// SPDX-License-Identifier: MIT

// Bots that play in the server of examples/room. They pull their cable without a word, come back, and check
// that every numbered message arrived once and in order: examples/room/bot in C#.
//
//	mono bot.exe -addr tcp://127.0.0.1:7777 -n 50 -duration 20s -cut 3s -json

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Lifeline.Bots
{
	sealed class Options
	{
		public string Addr = "plain-kcp://127.0.0.1:7777", Key = "", Room = "bots", Name = "csbot";
		public int N = 50;
		public double Duration = 20, Cut = 3, Rebind = 0, Rate = 2, Frame = 0.002; // seconds, and messages a second
		public bool Json, Insecure;

		public static Options Parse(string[] args)
		{
			Options o = new Options { Name = "csbot" + Process.GetCurrentProcess().Id };
			for (int i = 0; i < args.Length; i++)
			{
				string name = args[i].TrimStart('-');
				if (name == "json")
				{
					o.Json = true;
					continue;
				}
				if (name == "insecure")
				{
					o.Insecure = true;
					continue;
				}
				string value = args[++i];
				switch (name)
				{
					case "addr": o.Addr = value; break;
					case "key": o.Key = value; break;
					case "room": o.Room = value; break;
					case "n": o.N = int.Parse(value); break;
					case "duration": o.Duration = Seconds(value); break;
					case "cut": o.Cut = Seconds(value); break;
					case "rebind": o.Rebind = Seconds(value); break;
					case "frame": o.Frame = Seconds(value); break;
					case "rate": o.Rate = double.Parse(value, CultureInfo.InvariantCulture); break;
					default: throw new ArgumentException("no such flag: " + name);
				}
			}
			return o;
		}

		static double Seconds(string s)
		{
			double unit = s.EndsWith("ms", StringComparison.Ordinal) ? 0.001 : s.EndsWith("m", StringComparison.Ordinal) ? 60 : 1;
			return double.Parse(s.TrimEnd('m', 's'), CultureInfo.InvariantCulture) * unit;
		}
	}

	// The messages of examples/room/swarm.

	sealed class Move : IMessage
	{
		public float X, Y;

		public void Read(Reader r)
		{
			r.Skip(1);
		}

		public void Write(Writer w)
		{
			w.Array(2);
			w.F32(X);
			w.F32(Y);
		}
	}

	sealed class Chat : IMessage
	{
		public ulong N;
		public string Text = "", From = "";

		public void Read(Reader r)
		{
			int n = r.Array();
			N = n > 0 ? r.UInt() : 0;
			Text = n > 1 ? r.Str() : "";
			From = n > 2 ? r.Str() : "";
			r.Skip(n - 3);
		}

		public void Write(Writer w)
		{
			w.Array(3);
			w.UInt(N);
			w.Str(Text);
			w.Str(From);
		}
	}

	sealed class Number : IMessage
	{
		public ulong Value;

		public void Read(Reader r)
		{
			Value = r.UInt();
		}

		public void Write(Writer w)
		{
			w.UInt(Value);
		}
	}

	/// <summary>One player.</summary>
	sealed class Bot
	{
		readonly Options o;
		readonly Random random;
		readonly Dictionary<string, ulong> heard = new Dictionary<string, ulong>();
		readonly Move move = new Move();
		readonly Chat chat = new Chat { Text = "hello" };
		double moveAt, chatAt, pingAt, cutAt, rebindAt, angle;

		public readonly Client Client;
		public readonly List<double> Rtts = new List<double>();
		public ulong Sent, Total, Duplicated, Reordered, States;
		public Task Joined;
		public string Error = "";

		public Bot(Options options, int number)
		{
			o = options;
			random = new Random(number);
			byte[] name = Encoding.UTF8.GetBytes(o.Name + "-" + number);
			Client = new Client(o.Addr, new ClientConfig
			{
				Ticket = () => Task.FromResult(name),
				Info = "csharp bot",
				ServerKey = o.Key,
				CheckCertificate = o.Insecure ? (a, b, c, d) => true : (System.Net.Security.RemoteCertificateValidationCallback)null,
			});
			Client.OnMessage("chat", new Chat(), Hear);
			Client.OnMessage("state", new Nothing(), m => States++);
			Client.OnMessage("seat", new Nothing(), m => { });
			Client.OnError += e => Fail(e.ToString());
			Client.OnEvent += e =>
			{
				if (e.Kind == ClientEventKind.Closed || e.Kind == ClientEventKind.Gone)
				{
					Fail(e.Kind + ": " + e.Reason);
				}
			};
			Joined = Join();
		}

		async Task Join()
		{
			await Client.WhenOpen();
			await Client.Join("arena", o.Room);
		}

		public bool Closing;

		void Fail(string why)
		{
			if (!Closing && Error == "")
			{
				Error = why;
			}
		}

		// Checks one numbered message.
		void Hear(Chat m)
		{
			ulong n;
			heard.TryGetValue(m.From, out n);
			if (m.N == n + 1)
			{
				heard[m.From] = m.N;
				Total++;
			}
			else if (m.N <= n)
			{
				Duplicated++;
			}
			else
			{
				Reordered++; // a gap: whatever comes late now was overtaken
				heard[m.From] = m.N;
				Total++;
			}
		}

		// A time around d.
		double Around(double d)
		{
			return d / 2 + random.NextDouble() * d;
		}

		public void Begin(double now)
		{
			moveAt = now + 0.2;
			chatAt = now + Around(1 / o.Rate);
			pingAt = now + 1;
			cutAt = o.Cut > 0 ? now + Around(o.Cut) : double.MaxValue;
			rebindAt = o.Rebind > 0 ? now + Around(o.Rebind) : double.MaxValue;
		}

		/// <summary>Moves in circles, chats, and pulls the cable now and then.</summary>
		public void Play(double now)
		{
			if (now >= moveAt)
			{
				moveAt += 0.2;
				angle += 0.05;
				move.X = (float)(500 + 300 * Math.Cos(angle));
				move.Y = (float)(500 + 300 * Math.Sin(angle));
				Client.SendNewest("move", move);
			}
			if (now >= chatAt)
			{
				chatAt = now + Around(1 / o.Rate);
				chat.N = Sent + 1;
				if (Client.Send("chat", chat))
				{
					Sent++;
				}
			}
			if (now >= pingAt)
			{
				pingAt += 1;
				Ping();
			}
			if (now >= cutAt)
			{
				cutAt = now + Around(o.Cut);
				Client.Cut();
			}
			if (now >= rebindAt)
			{
				rebindAt = now + Around(o.Rebind);
				Client.Rebind();
			}
		}

		async void Ping()
		{
			long start = Stopwatch.GetTimestamp();
			try
			{
				Number answer = await Client.Request("ping", new Number { Value = (ulong)start }, new Number(), TimeSpan.FromSeconds(30));
				if (answer.Value == (ulong)start)
				{
					Rtts.Add((Stopwatch.GetTimestamp() - start) * 1000.0 / Stopwatch.Frequency);
				}
			}
			catch (LifelineException e)
			{
				Fail("ping: " + e.Message);
			}
		}
	}

	static class Program
	{
		static int Main(string[] args)
		{
			Options o = Options.Parse(args);
			Bot[] bots = new Bot[o.N];
			for (int i = 0; i < o.N; i++)
			{
				bots[i] = new Bot(o, i + 1);
			}
			Stopwatch clock = Stopwatch.StartNew();
			// All are in before the first one speaks, so that everybody hears everything.
			Loop(o, clock, bots, clock.Elapsed.TotalSeconds + 30, () => Array.TrueForAll(bots, b => b.Joined.IsCompleted), null);
			double start = clock.Elapsed.TotalSeconds;
			Array.ForEach(bots, b => b.Begin(start));
			Loop(o, clock, bots, start + o.Duration, () => false, b => b.Play(clock.Elapsed.TotalSeconds));
			ulong sent = 0;
			Array.ForEach(bots, b => sent += b.Sent);
			Loop(o, clock, bots, clock.Elapsed.TotalSeconds + 15, () => Array.TrueForAll(bots, b => b.Total >= sent), null);
			Array.ForEach(bots, b => b.Closing = true);
			Array.ForEach(bots, b => b.Client.Close());
			Loop(o, clock, bots, clock.Elapsed.TotalSeconds + 1, () => Array.TrueForAll(bots, b => b.Client.Idle), null);
			Array.ForEach(bots, b => b.Client.Dispose());
			return Report(o, bots, sent) ? 0 : 1;
		}

		static void Loop(Options o, Stopwatch clock, Bot[] bots, double until, Func<bool> done, Action<Bot> play)
		{
			while (clock.Elapsed.TotalSeconds < until && !done())
			{
				foreach (Bot b in bots)
				{
					b.Client.Update();
					if (play != null)
					{
						play(b);
						b.Client.Flush();
					}
				}
				Thread.Sleep(TimeSpan.FromSeconds(o.Frame));
			}
		}

		static bool Report(Options o, Bot[] bots, ulong sent)
		{
			ulong received = 0, lost = 0, duplicated = 0, reordered = 0, states = 0;
			long cuts = 0, rebinds = 0, resumes = 0, resets = 0, failed = 0;
			List<double> rtts = new List<double>();
			foreach (Bot b in bots)
			{
				received += b.Total;
				lost += Math.Max(sent, b.Total) - b.Total;
				duplicated += b.Duplicated;
				reordered += b.Reordered;
				states += b.States;
				cuts += b.Client.Stats.Cuts;
				rebinds += b.Client.Stats.Rebinds;
				resumes += b.Client.Stats.Resumes;
				resets += b.Client.Stats.Resets;
				rtts.AddRange(b.Rtts);
				bool joined = b.Joined.Status == TaskStatus.RanToCompletion;
				if (b.Error != "" || !joined)
				{
					failed++;
					Console.Error.WriteLine(b.Error != "" ? b.Error : "not joined: " + b.Joined.Exception);
				}
			}
			rtts.Sort();
			double p50 = rtts.Count > 0 ? rtts[rtts.Count / 2] : 0, p99 = rtts.Count > 0 ? rtts[rtts.Count * 99 / 100] : 0;
			if (o.Json)
			{
				Console.WriteLine(string.Format(CultureInfo.InvariantCulture,
					"{{\"players\":{0},\"sent\":{1},\"received\":{2},\"lost\":{3},\"duplicated\":{4},\"reordered\":{5},\"cuts\":{6},\"rebinds\":{7},\"resumes\":{8},\"resets\":{9},\"failed\":{10},\"states\":{11},\"rtt_p50_ms\":{12:0.###},\"rtt_p99_ms\":{13:0.###}}}",
					o.N, sent, received, lost, duplicated, reordered, cuts, rebinds, resumes, resets, failed, states, p50, p99));
			}
			else
			{
				Console.WriteLine(o.N + " players sent " + sent + " numbered messages and received " + received + ": " + lost + " lost, " + duplicated + " duplicated, " + reordered + " reordered");
				Console.WriteLine(cuts + " cuts, " + rebinds + " rebinds, " + resumes + " resumes, " + resets + " resets, " + failed + " failed; round trip " + p50.ToString("0.00") + " ms, p99 " + p99.ToString("0.00") + " ms");
			}
			return lost == 0 && duplicated == 0 && reordered == 0 && failed == 0 && sent > 0;
		}
	}
}
