// SPDX-License-Identifier: MIT

// A player of examples/room: it joins the lobby, says hello, walks in a circle, and prints what it hears.
//
//	mcs -langversion:7 -out:player.exe Runtime/*.cs Samples~/Console/Program.cs
//	mono player.exe tcp://127.0.0.1:7777 ann

using System;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Lifeline;

/// <summary>On "move": where the player wants to be.</summary>
sealed class Move : IMessage
{
	public float X, Y;

	public void Read(Reader r)
	{
		int n = r.Array();
		X = n > 0 ? r.F32() : 0;
		Y = n > 1 ? r.F32() : 0;
		r.Skip(n - 2);
	}

	public void Write(Writer w)
	{
		w.Array(2);
		w.F32(X);
		w.F32(Y);
	}
}

/// <summary>On "chat": goes to everybody in the room.</summary>
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

static class Player
{
	static void Main(string[] args)
	{
		string addresses = args.Length > 0 ? args[0] : "tcp://127.0.0.1:7777";
		string name = args.Length > 1 ? args[1] : "ann";
		bool over = false;
		Console.CancelKeyPress += (sender, e) => e.Cancel = over = true;

		Client client = new Client(addresses, new ClientConfig
		{
			Ticket = () => Task.FromResult(Encoding.UTF8.GetBytes(name)),
			ServerKey = args.Length > 2 ? args[2] : null, // for kcp://
		});
		client.OnEvent += e => Console.WriteLine(e.Kind + (e.Reason == null ? "" : ": " + e.Reason));
		client.OnMessage("chat", new Chat(), m => Console.WriteLine(m.From + ": " + m.Text));
		client.OnMessage("state", new Nothing(), m => { });
		client.OnMessage("seat", new Nothing(), m => { });
		Play(client);

		Move move = new Move();
		for (int frame = 0; !over && !client.Ended; frame++)
		{
			client.Update();
			move.X = 500 + 200 * (float)Math.Cos(frame * 0.02);
			move.Y = 500 + 200 * (float)Math.Sin(frame * 0.02);
			client.SendNewest("move", move);
			client.Flush();
			Thread.Sleep(16);
		}
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
			client.Send("chat", new Chat { N = 1, Text = "hello" });
		}
		catch (LifelineException e)
		{
			Console.WriteLine("not in: " + e.Message);
		}
	}
}
