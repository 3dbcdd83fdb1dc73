// SPDX-License-Identifier: MIT

// A player of examples/room: it joins the lobby, says hello, walks in a circle, and prints what it hears.
//
// Messages.cs is written by framework/gen: go test ./examples/room.
//
//	mcs -langversion:7 -out:player.exe Runtime/*.cs Samples~/Console/*.cs
//	mono player.exe tcp://127.0.0.1:7777 ann

using System;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Lifeline;
using Arena;

static class Player
{
	static void Main(string[] args)
	{
		string addresses = args.Length > 0 ? args[0] : "tcp://127.0.0.1:7777";
		string name = args.Length > 1 ? args[1] : "ann";
		bool over = false;
		int players = 0;
		Console.CancelKeyPress += (sender, e) => e.Cancel = over = true;

		Client client = new Client(addresses, new ClientConfig
		{
			Schema = Routes.Schema,
			Ticket = () => Task.FromResult(Encoding.UTF8.GetBytes(name)),
			ServerKey = args.Length > 2 ? args[2] : null, // for kcp://
		});
		client.OnError += e => Console.WriteLine(e.Message);
		client.OnEvent += e => Console.WriteLine(e.Kind + (e.Reason == null ? "" : ": " + e.Reason));
		client.OnMessage(Routes.Chat, new Chat(), m => Console.WriteLine(m.From + ": " + m.Text));
		client.OnMessage(Routes.State, new State(), m => players = m.Players.Count);
		client.OnMessage(Routes.Seat, new Seat(), m => Console.WriteLine("seat " + m.ID));
		Play(client);

		Move move = new Move();
		for (int frame = 0; !over && !client.Ended; frame++)
		{
			client.Update();
			move.X = 500 + 200 * (float)Math.Cos(frame * 0.02);
			move.Y = 500 + 200 * (float)Math.Sin(frame * 0.02);
			client.SendNewest(Routes.Move, move);
			client.Flush();
			Thread.Sleep(16);
		}
		Console.WriteLine("players seen last: " + players);
		client.Close();
		while (!client.Idle)
		{
			client.Update();
			Thread.Sleep(16);
		}
	}

	// Each await goes on in an Update.
	static async void Play(Client client)
	{
		try
		{
			await client.WhenOpen();
			await client.Join("arena", "lobby");
			client.Send(Routes.Chat, new Chat { N = 1, Text = "hello" });
		}
		catch (LifelineException e)
		{
			Console.WriteLine("not in: " + e.Message);
		}
	}
}
