// SPDX-License-Identifier: MIT

// A player of examples/room. It walks in a circle in the lobby and prints what it hears; when somebody says
// "play", as the page's visitors may, it goes to a match and runs after the gems.
//
// Messages.cs is written by framework/gen: go test ./examples/room.
//
//	mcs -langversion:7 -out:player.exe Runtime/*.cs Samples~/Console/*.cs
//	mono player.exe tcp://127.0.0.1:7777 ann

using System;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Arena;
using Lifeline;

sealed class Player
{
	readonly Client client;
	readonly Lifeline.Room match;
	readonly Move move = new Move(); // one object for all messages: no garbage
	long me;                         // in the match
	bool going;                      // to one

	static void Main(string[] args)
	{
		bool over = false;
		Console.CancelKeyPress += (sender, e) => e.Cancel = over = true;
		Player player = new Player(args.Length > 0 ? args[0] : "tcp://127.0.0.1:7777", args.Length > 1 ? args[1] : "ann", args.Length > 2 ? args[2] : null);
		for (int frame = 0; !over && !player.client.Ended; frame++)
		{
			player.Frame(frame);
			Thread.Sleep(16);
		}
		player.client.Close();
		while (!player.client.Idle)
		{
			player.client.Update();
			Thread.Sleep(16);
		}
	}

	// key is the server's public key, for kcp:// and stcp://.
	Player(string addresses, string name, string key)
	{
		client = new Client(addresses, new ClientConfig
		{
			Schema = Routes.Schema,
			Ticket = () => Task.FromResult(Encoding.UTF8.GetBytes(name)),
			ServerKey = key,
		});
		client.OnError += e => Console.WriteLine(e);
		client.OnEvent += Changed;
		client.OnMessage(Routes.Chat, new Chat(), Hear);
		client.OnMessage(Routes.Seat, new Seat(), m => Console.WriteLine("seat " + m.ID));
		client.Room("arena").OnJoined += key_ => Console.WriteLine("in arena/" + key_);
		match = client.Room("match");
		match.OnLeft += (key_, why) => Console.WriteLine("out of the match, " + why);
	}

	void Frame(int frame)
	{
		client.Update();
		move.X = 500 + 200 * (float)Math.Cos(frame * 0.02);
		move.Y = 500 + 200 * (float)Math.Sin(frame * 0.02);
		if (client.Connected && client.Room("arena").Key != null) // without a link it would wait, and come late
		{
			client.SendNewest(Routes.Move, move);
		}
		client.Flush();
	}

	void Changed(ClientEvent e)
	{
		Console.WriteLine(e.Kind + (e.Reason == null ? "" : ": " + e.Reason));
		if (e.Kind == ClientEventKind.Opened)
		{
			Enter(); // a new session is in no room
		}
	}

	// Each await goes on in an Update.
	async void Enter()
	{
		try
		{
			await client.Join("arena", "lobby");
			View view = await client.Request(Routes.Look, new Nothing(), new View());
			client.Send(Routes.Chat, new Chat { N = view.Said + 1, Text = "hello" });
		}
		catch (LifelineException e)
		{
			Console.WriteLine("not in: " + e.Message);
		}
	}

	void Hear(Chat m)
	{
		Console.WriteLine(m.From + ": " + m.Text);
		if ((m.Text == "play" || m.Text.StartsWith("play ", StringComparison.Ordinal)) && match.Key == null && !going)
		{
			Play(m.Text.Substring(4).Trim());
		}
	}

	// An empty key is any match that is about to begin.
	async void Play(string key)
	{
		going = true;
		// They end with the match. Before Join, for the line-up comes on the way in.
		IDisposable[] handlers =
		{
			match.OnMessage(Routes.Lineup, new Lineup(), LineUp),
			match.OnMessage(Routes.Round, new Round(), Run),
			match.OnMessage(Routes.Got, new Got(), m => Console.WriteLine("gem " + m.N + ": " + m.By)),
			match.OnMessage(Routes.Result, new Result(), End),
		};
		try
		{
			await match.Join(key);
		}
		catch (LifelineException e)
		{
			Console.WriteLine("not in the match: " + e.Message);
			Array.ForEach(handlers, h => h.Dispose());
		}
		going = false;
	}

	void LineUp(Lineup l)
	{
		me = l.ID;
		string[] names = new string[l.Players.Count];
		for (int i = 0; i < names.Length; i++)
		{
			names[i] = l.Players[i].Name_;
		}
		Console.WriteLine("lineup: " + string.Join(", ", names));
	}

	readonly Move to = new Move();

	// Goes to the gem that is nearest.
	void Run(Round r)
	{
		float x = 0, y = 0, best = float.MaxValue;
		for (int i = 0; i < r.Players.Count; i++)
		{
			if (r.Players[i].ID == me)
			{
				x = r.Players[i].X;
				y = r.Players[i].Y;
			}
		}
		for (int i = 0; i < r.Gems.Count; i++)
		{
			Gem g = r.Gems[i];
			float far = (g.X - x) * (g.X - x) + (g.Y - y) * (g.Y - y);
			if (far < best)
			{
				best = far;
				to.X = g.X;
				to.Y = g.Y;
			}
		}
		client.SendNewest(Routes.Go, to);
	}

	void End(Result r)
	{
		string[] scores = new string[r.Scores.Count];
		for (int i = 0; i < scores.Length; i++)
		{
			scores[i] = r.Scores[i].Name + " " + r.Scores[i].Gems;
		}
		Console.WriteLine("result: " + string.Join(", ", scores));
	}
}
