// SPDX-License-Identifier: MIT

using System;
using System.Text;
using System.Threading.Tasks;
using Arena;
using Godot;
using Lifeline;

/// <summary>
/// A player of examples/room in Godot 4 with .NET. Start the server with go run ./examples/room, open this folder
/// as a project and press Play. Each player is a circle; the arrow keys move yours. Messages are those of
/// ../Console, which framework/gen writes from the server's code.
/// </summary>
public partial class ArenaPlayer : Node2D
{
	[Export] public string Addresses = "tcp://127.0.0.1:7777"; // best first, with blanks between
	[Export] public string ServerKey = "";                     // for kcp:// and stcp://: the server prints it
	[Export] public string PlayerName = "godot";

	const float speed = 300; // a second, in the arena's own measure

	Client client;
	readonly State state = new State();
	readonly Move move = new Move { X = 500, Y = 500 };
	long me;
	float side = 1000;

	public override void _Ready()
	{
		client = new Client(Addresses, new ClientConfig
		{
			Schema = Routes.Schema,
			ServerKey = ServerKey,
			Ticket = () => Task.FromResult(Encoding.UTF8.GetBytes(PlayerName)),
			Info = "godot arena",
		});
		client.OnError += e => GD.PushError(e.ToString());
		client.OnEvent += Changed;
		client.OnMessage(Routes.Seat, new Seat(), m => me = m.ID);
		client.OnMessage(Routes.State, state, m => QueueRedraw());
		client.OnMessage(Routes.Chat, new Chat(), m => GD.Print(m.From + ": " + m.Text));
		client.Room("arena").OnLeft += (key, why) => GD.Print("out of the arena, " + why);
	}

	void Changed(ClientEvent e)
	{
		GD.Print(e.Kind + (e.Reason == null ? "" : ": " + e.Reason));
		if (e.Kind == ClientEventKind.Opened || e.Kind == ClientEventKind.Reset)
		{
			Enter(); // a new session is in no room; after a RESET it may be in none any more
		}
	}

	// Each await goes on in an Update, on Godot's thread.
	async void Enter()
	{
		try
		{
			await client.Join("arena", "lobby");
			View view = await client.Request(Routes.Look, new Nothing(), new View());
			me = view.ID;
			side = view.Side;
			client.Send(Routes.Chat, new Chat { N = view.Said + 1, Text = "hello from Godot" });
		}
		catch (LifelineException e)
		{
			GD.Print("not in: " + e.Message);
		}
	}

	public override void _Process(double delta)
	{
		client.Update();
		Vector2 to = Input.GetVector("ui_left", "ui_right", "ui_up", "ui_down");
		move.X = Math.Min(Math.Max(move.X + to.X * speed * (float)delta, 0), side);
		move.Y = Math.Min(Math.Max(move.Y + to.Y * speed * (float)delta, 0), side);
		if (client.Connected)
		{
			client.SendNewest(Routes.Move, move);
		}
		client.Flush(); // what was sent leaves with this frame
	}

	public override void _Draw()
	{
		Vector2 size = GetViewportRect().Size;
		for (int i = 0; i < state.Players.Count; i++)
		{
			Spot s = state.Players[i];
			Vector2 at = new Vector2(s.X / side * size.X, s.Y / side * size.Y);
			DrawCircle(at, s.Dropped ? 6 : 12, s.ID == me ? new Color(1, 0.6f, 0.2f) : new Color(0.4f, 0.7f, 1));
		}
	}

	// Phones: the session waits while the app is in the background.
	public override void _Notification(int what)
	{
		if (client == null)
		{
			return;
		}
		if (what == NotificationApplicationPaused)
		{
			client.Pause();
		}
		else if (what == NotificationApplicationResumed)
		{
			client.Hurry();
		}
	}

	// Also when the app quits: there are no further frames, so the goodbye is written at once.
	public override void _ExitTree()
	{
		client.Close();
		client.Dispose();
	}
}
