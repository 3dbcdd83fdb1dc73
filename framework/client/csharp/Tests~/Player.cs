// SPDX-License-Identifier: MIT

using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>What framework/conform plays scripts to over sockets: its README has the language.</summary>
	sealed class Player
	{
		static readonly Dictionary<ClientEventKind, string> words = new Dictionary<ClientEventKind, string>
		{
			{ ClientEventKind.Opened, "opened" }, { ClientEventKind.Lost, "lost" }, { ClientEventKind.Resumed, "resumed" },
			{ ClientEventKind.Reset, "reset" }, { ClientEventKind.Gone, "ending" }, { ClientEventKind.Closed, "ending" },
			{ ClientEventKind.Moving, "moving" }, { ClientEventKind.Refused, "put off" },
		};

		// One msgpack value, whatever it is.
		sealed class Payload : IMessage
		{
			public byte[] Bytes;

			public void Read(Reader r)
			{
				int from = r.At;
				r.Skip(1);
				Bytes = new byte[r.At - from];
				Array.Copy(r.Source, from, Bytes, 0, Bytes.Length);
			}

			public void Write(Writer w)
			{
				w.Raw(Bytes, 0, Bytes.Length);
			}
		}

		readonly Dictionary<string, string> set = new Dictionary<string, string>();
		readonly TextWriter to;
		Client c;
		ulong random;

		Player(TextWriter to)
		{
			this.to = to;
		}

		public static void Run(TextReader from, TextWriter to)
		{
			BlockingCollection<string> commands = new BlockingCollection<string>();
			new Thread(() =>
			{
				for (string l = from.ReadLine(); l != null; l = from.ReadLine())
				{
					commands.Add(l);
				}
				commands.CompleteAdding();
			}) { IsBackground = true }.Start();
			Warm();
			Player p = new Player(to);
			while (!commands.IsCompleted)
			{
				string command;
				if (commands.TryTake(out command, 1))
				{
					p.Do(command.Split(' '));
					to.WriteLine(".");
				}
				if (p.c != null)
				{
					p.c.Update();
				}
				to.Flush();
			}
		}

		// A script's clock goes faster than ours: while a JIT first compiles what opens a session, deadlines would pass.
		static void Warm()
		{
			World w = new World();
			w.Login();
			w.Client.Send("a", new Payload { Bytes = new byte[] { 0xc0 } });
			w.Client.Update();
			w.Client.Dispose();
			using (Socket sink = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
			{
				sink.Bind(new IPEndPoint(IPAddress.Loopback, 0));
				Client c = new Client("plain-kcp://" + sink.LocalEndPoint);
				c.Update();
				c.Update();
				c.Dispose();
			}
		}

		string Get(string name)
		{
			string value;
			return set.TryGetValue(name, out value) ? value : "";
		}

		long Number(string name)
		{
			return Get(name) == "" ? 0 : long.Parse(Get(name), CultureInfo.InvariantCulture);
		}

		void Do(string[] w)
		{
			switch (w[0])
			{
				case "set": set[w[1]] = string.Join(" ", w, 2, w.Length - 2); break;
				case "random": random = ulong.Parse(w[1]); Forget(); break;
				case "open": Open(); break;
				case "send": Send(w[1], Hex.Decode(w[2])); break;
				case "request": c.Request(w[1], new Payload { Bytes = Hex.Decode(w[2]) }, new Payload()).ContinueWith(t => t.Exception); break;
				case "hurry": c.Hurry(); break;
				case "pause": c.Pause(); break;
				case "cut": c.Cut(); break;
				case "close": c.Close(); break;
				default: to.WriteLine("unsupported"); break;
			}
			if (c != null)
			{
				c.Flush();
			}
		}

		void Send(string route, byte[] payload)
		{
			try
			{
				if (!c.Send(route, new Payload { Bytes = payload }))
				{
					to.WriteLine(c.Ended ? "closed" : "full");
				}
			}
			catch (CodecException)
			{
				to.WriteLine("refused");
			}
		}

		// Session numbers come in lots of 128 bytes, and are the script's; keys are random.
		void Fill(byte[] b)
		{
			if (b.Length != 128)
			{
				RandomNumberGenerator.Create().GetBytes(b);
				return;
			}
			for (int i = 0; i < b.Length; i += 8)
			{
				LittleEndian.Put64(b, i, random);
			}
		}

		// Drops what is left of the last lot.
		void Forget()
		{
			if (c != null)
			{
				const BindingFlags own = BindingFlags.NonPublic | BindingFlags.Instance;
				object entropy = typeof(Client).GetField("entropy", own).GetValue(c);
				typeof(Entropy).GetField("left", own).SetValue(entropy, 0);
			}
		}

		void Open()
		{
			long speed = Math.Max(Number("speed"), 1), start = ClientConfig.StopwatchNow(), wall = ClientConfig.UtcNow();
			Func<long> now = () => (ClientConfig.StopwatchNow() - start) * speed;
			byte[] ticket = System.Text.Encoding.UTF8.GetBytes(Get("ticket"));
			c = new Client(Get("address"), new ClientConfig
			{
				Ticket = Get("ticket") == "" ? (Func<Task<byte[]>>)null : () => Task.FromResult(ticket),
				Info = Get("info"),
				Token = Get("token") == "" ? null : Get("token"),
				ServerKey = Get("key") == "" ? null : Get("key"),
				MaxPackets = (int)Number("max-packets"),
				MaxBytes = (int)Number("max-bytes"),
				MaxReceive = (int)Number("max-receive"),
				OpeningTimeout = TimeSpan.FromMilliseconds(Number("opening-timeout")),
				MinDelay = TimeSpan.FromMilliseconds(Number("min-delay")),
				MaxDelay = TimeSpan.FromMilliseconds(Number("max-delay")),
				// An address has as long as it has in real time.
				DialTimeout = TimeSpan.FromSeconds(5 * speed),
				Now = now,
				Wall = () => wall + now(),
				Random = Fill,
				OnMessage = (route, r) =>
				{
					Payload p = new Payload();
					p.Read(r);
					to.WriteLine("deliver " + route + " " + Hex.Encode(p.Bytes));
				},
			});
			c.OnEvent += Tell;
		}

		void Tell(ClientEvent e)
		{
			string word;
			if (!words.TryGetValue(e.Kind, out word))
			{
				return;
			}
			to.WriteLine(word + (e.Reason == null ? "" : " " + (uint)e.Reason.Code));
			foreach (Undelivered m in e.Undelivered)
			{
				to.WriteLine("undelivered " + m.Route + " " + Hex.Encode(m.Payload));
			}
		}
	}
}
