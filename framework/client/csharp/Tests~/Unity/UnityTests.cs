// SPDX-License-Identifier: MIT

using System;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Lifeline.Unity;
using UnityEngine;

namespace Lifeline.Tests
{
	/// <summary>
	/// The glue in Unity/ and the sample, through what happens to them in Unity, with a stub of it. Without arguments:
	/// the tests. play ADDRESS KEY NAME: the sample plays until its input ends, and prints what it draws; a line of
	/// input, "reload", is a reload of its scripts.
	/// </summary>
	static class UnityTests
	{
		static int Main(string[] args)
		{
			if (args.Length > 0)
			{
				return Play(args[1], args[2], args[3]);
			}
			Check check = new Check();
			check.Run("frames", () => Frames(check));
			check.Run("background", () => Background(check));
			check.Run("disabled", () => Disabled(check));
			check.Run("scenes", () => Scenes(check));
			check.Run("quit", () => Quit(check));
			check.Run("reload of scripts", () => Reload(check));
			check.Run("another login", () => Login(check));
			check.Run("another network", () => Network(check));
			check.Run("handlers that throw", () => Throwing(check));
			Console.WriteLine("unity: " + check.Passed + " checks passed, " + check.Failed + " failed");
			return check.Failed == 0 && check.Passed > 0 ? 0 : 1;
		}

		// A scene with a LifelineBehaviour whose client is logged in.
		static World Scene(out LifelineBehaviour glue, Action<LifelineBehaviour> set = null)
		{
			Engine.Objects.Clear();
			Engine.Log.Clear();
			LifelineBehaviour g = new GameObject("Lifeline").AddComponent<LifelineBehaviour>();
			if (set != null)
			{
				set(g);
			}
			World w = new World("ws://a/", null, g.Open);
			w.Login("said");
			w.Heard();
			w.History.ToString();
			glue = g;
			return w;
		}

		// The session is back.
		static void Back(World w)
		{
			Engine.Frame();
			w.Greet();
			Engine.Frame();
			w.Resumed(w.Accepted);
			Engine.Frame();
			w.Heard();
		}

		/// <summary>Sends in its Update what a handler heard before it.</summary>
		sealed class Speaker : MonoBehaviour
		{
			public Client Client;
			public ulong Heard;
			readonly Count count = new Count();

			void Update()
			{
				count.N = Heard;
				Client.Send("say", count);
			}
		}

		static void Frames(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			Speaker s = new GameObject("speaker").AddComponent<Speaker>();
			s.Client = w.Client;
			w.Client.OnMessage("said", new Count(), m => s.Heard = m.N);
			w.Push("said", 7);
			Engine.Frame();
			check.Equal(w.Heard(), "Message 92a373617907", "what a frame heard and said");
			w.Socket.Broken = true;
			Engine.Frame();
			Back(w);
			check.Equal(w.History, "Lost 1, Resumed", "a link that broke");
			check.Equal(Engine.Log.Count, 0, "log");
		}

		static void Background(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			Engine.Pause(false); // Unity says so when an app starts
			check.That(w.Client.Connected, "the start of the app");
			Engine.Pause(true);
			check.That(!w.Client.Connected && w.Socket.Closed, "a link in the background");
			check.That(w.Heard().StartsWith("Detach", StringComparison.Ordinal), "the server was not told");
			w.Now += 20 * Nanos.Second;
			w.Wall += 20 * Nanos.Second;
			Engine.Pause(false);
			Back(w);
			check.Equal(w.History, "Lost 1, Resumed", "events");
			// A pause of the game's own stays.
			w.Client.Pause();
			Engine.Pause(true);
			Engine.Pause(false);
			g.enabled = false;
			g.enabled = true;
			Engine.Network = NetworkReachability.ReachableViaCarrierDataNetwork;
			Engine.Time += 1;
			Engine.Frame();
			Engine.Network = NetworkReachability.ReachableViaLocalAreaNetwork;
			check.Equal(w.Sockets.Count, 2, "sockets while the game pauses");
			w.Client.Hurry();
			Back(w);
			check.Equal(w.History, "Lost 1, Resumed", "after its pause");
		}

		// An object that is disabled has no Update: the session waits, as in the background.
		static void Disabled(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			g.enabled = false;
			check.That(w.Socket.Closed, "a link of a disabled object");
			Engine.Pause(true);
			Engine.Pause(false);
			Engine.Frame();
			check.Equal(w.Sockets.Count, 1, "sockets while disabled");
			g.enabled = true;
			Back(w);
			check.Equal(w.History, "Lost 1, Resumed", "events");
		}

		static void Scenes(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			Engine.LoadScene();
			Engine.Frame();
			check.That(w.Client.Connected && g != null, "the session ended with its scene");
			w = Scene(out g, it => it.KeepBetweenScenes = false);
			Engine.LoadScene();
			check.That(w.Client.Ended && w.Socket.Closed && g == null, "it lives on");
			check.That(w.Heard().IndexOf("Bye", StringComparison.Ordinal) < 0, "the session waits for the next scene");
		}

		static void Quit(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			w.Client.Send("say", new Count { N = 1 });
			Engine.Quit();
			string said = w.Heard();
			check.That(said.IndexOf("Message 92a373617901, Bye", StringComparison.Ordinal) >= 0 && w.Socket.Closed, said);
			w = Scene(out g, it => it.GoodbyeOnQuit = false);
			Engine.Quit();
			said = w.Heard();
			check.That(said.IndexOf("Bye", StringComparison.Ordinal) < 0 && w.Socket.Closed, said);
			Engine.Quit(); // nothing is there any more
			check.Equal(Engine.Log.Count, 0, "log");
			// Without a reload of scripts between two plays the object may be the same one.
			w = Scene(out g);
			Engine.Call(g, "OnApplicationQuit");
			World again = new World("ws://a/", null, g.Open);
			again.Login();
			check.That(again.Client.Connected, "not opened again");
		}

		static void Reload(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			string token = w.Client.Token;
			Engine.Reload();
			check.That(w.Socket.Closed && g.Client == null, "what was before it");
			Engine.Frame();
			World again = new World("ws://a/", null, g.Open);
			Engine.Frame();
			again.Greet();
			Engine.Frame();
			check.That(token != "" && again.Heard().StartsWith("Resume ", StringComparison.Ordinal), "another session");
			try
			{
				g.Open("ws://a/", new ClientConfig());
				check.Fail("opened twice");
			}
			catch (InvalidOperationException)
			{
				check.Passed++;
			}
			// A client of its own, with its own token.
			w = Scene(out g);
			Engine.Reload();
			again = new World("ws://a/", new ClientConfig { Token = token }, g.Open);
			check.Equal(again.Client.Token, token, "token");
			// Only a reload brings the session back: after a logout another player may log in.
			w = Scene(out g);
			g.enabled = false;
			g.enabled = true;
			w.Client.Close();
			check.That(w.Client.Ended, "no end");
			again = new World("ws://a/", null, g.Open);
			check.Equal(again.Client.Token, "", "the token of the one before");
		}

		// A client that has ended says its last words to their end, on a real socket, beside the next one.
		static void Login(Check check)
		{
			Engine.Objects.Clear();
			Engine.Log.Clear();
			LifelineBehaviour g = new GameObject("Lifeline").AddComponent<LifelineBehaviour>();
			World w = new World(); // for what a server says
			w.Client.Update();
			w.Greet();
			w.Welcome();
			TcpListener server = new TcpListener(IPAddress.Loopback, 0);
			server.Start();
			string address = "tcp://" + server.LocalEndpoint;
			Client first = g.Open(address, new ClientConfig());
			Engine.Frame();
			Socket socket = server.AcceptSocket();
			socket.Send(w.Socket.ToClient.Bytes, w.Socket.ToClient.Start, w.Socket.ToClient.Length, SocketFlags.None);
			check.That(Frames(() => first.Connected), "no login");
			first.OnEvent += e => g.Open(address, new ClientConfig());
			first.Close();
			check.That(first.Ended && g.Client != first && !g.Client.Ended, "no other client");
			check.That(Frames(() => first.Idle), "the first client keeps its socket for ever");
			check.Equal(Engine.Log.Count, 0, "log");
			Engine.Quit();
			socket.Close();
			server.Stop();
		}

		// Frames in real time, for a second at most.
		static bool Frames(Func<bool> until)
		{
			for (int i = 0; i < 100 && !until(); i++)
			{
				Thread.Sleep(10);
				Engine.Frame();
			}
			return until();
		}

		// The frames of some seconds.
		static void Wait(float seconds)
		{
			for (float end = Engine.Time + seconds; Engine.Time < end; )
			{
				Engine.Frame();
			}
		}

		static void Network(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			w.Say(PacketKind.Heartbeat, null, 0, HeartbeatFlags.Echo); // of the first ping
			w.Advance(3 * Nanos.Second);
			w.Heard();
			Engine.Frame();
			check.Equal(w.Heard(), "", "said without a cause");
			Engine.Network = NetworkReachability.ReachableViaCarrierDataNetwork;
			Wait(1);
			check.Equal(w.Heard(), "Heartbeat", "the link is not asked to prove itself");
			Wait(1);
			check.Equal(w.Heard(), "", "asked again");
		}

		static void Throwing(Check check)
		{
			LifelineBehaviour g;
			World w = Scene(out g);
			w.Client.OnMessage("said", new Count(), m => { throw new Exception("mine"); });
			w.Push("said", 1);
			Engine.Frame();
			check.That(Engine.Log.Count == 1 && Engine.Log[0].IndexOf("mine", StringComparison.Ordinal) >= 0, "log");
			check.That(w.Client.Connected, "the session did not survive it");
		}

		// --- the sample

		static int Play(string address, string key, string name)
		{
			Engine.Add<Arena.ArenaPlayer>(new GameObject("scene"), p =>
			{
				p.Addresses = address;
				p.ServerKey = key;
				p.PlayerName = name;
			});
			Task<string> line = Task.Run(() => Console.In.ReadLine());
			int told = 0;
			while (!line.IsCompleted || line.Result != null)
			{
				if (line.IsCompleted)
				{
					Engine.Reload();
					line = Task.Run(() => Console.In.ReadLine());
				}
				Engine.Frame();
				for (; told < Engine.Log.Count; told++)
				{
					Console.WriteLine(Engine.Log[told]);
				}
				Thread.Sleep(16);
			}
			foreach (GameObject ball in Engine.Objects.FindAll(o => o.name.StartsWith("player ", StringComparison.Ordinal)))
			{
				Vector3 at = ball.transform.position;
				Console.WriteLine(string.Format(CultureInfo.InvariantCulture, "{0} at {1:0} {2:0}", ball.name, (at.x / 10 + 0.5f) * 1000, (0.5f - (at.y - 1) / 10) * 1000));
			}
			Engine.Quit();
			return 0;
		}
	}
}
