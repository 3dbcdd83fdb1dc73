// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;
using System.Threading.Tasks;
using Lifeline;
using Lifeline.Unity;
using UnityEngine;

namespace Arena
{
	/// <summary>
	/// A player of examples/room: put it on an empty object of an empty scene, start the server with
	/// go run ./examples/room, and press Play. Each player is a ball; the arrow keys move yours, which walks in a
	/// circle until then. Messages.cs is written by framework/gen from the server's code.
	/// </summary>
	public sealed class ArenaPlayer : MonoBehaviour
	{
		[Tooltip("Best first, with blanks between. In WebGL ws:// or wss:// only.")]
		public string Addresses = "tcp://127.0.0.1:7777 ws://127.0.0.1:7778/";
		[Tooltip("The server prints it. For kcp:// and stcp://.")]
		public string ServerKey = "";
		public string PlayerName = "unity";

		/// <summary>What is drawn of a player.</summary>
		sealed class Body
		{
			public GameObject Ball;
			public Vector3 Target;
			public ulong Seen; // tick of the last state that it was in
		}

		const float speed = 300; // a second, in the arena's own measure
		const float sendEvery = 0.05f;

		Client client;
		Room arena;
		readonly List<IDisposable> handlers = new List<IDisposable>();
		readonly Dictionary<long, Body> bodies = new Dictionary<long, Body>();
		readonly List<long> gone = new List<long>();
		readonly Move move = new Move { X = 500, Y = 500 }; // one object for all messages: no garbage
		long me;
		float side = 1000, sendAt, angle;
		bool steered;
		string status = "connecting", lastChat = "";

		// CreatePrimitive needs these, which builds leave out where nothing names them.
		MeshFilter Filter { get; set; }
		MeshRenderer Mesh { get; set; }
		SphereCollider Collider { get; set; }

		// Not Start: after a reload of scripts this is called again, and the session goes on.
		void OnEnable()
		{
			GameObject there = GameObject.Find("Lifeline"); // of an earlier scene
			LifelineBehaviour lifeline = there == null ? null : there.GetComponent<LifelineBehaviour>();
			if (lifeline == null)
			{
				lifeline = new GameObject("Lifeline").AddComponent<LifelineBehaviour>();
			}
			client = lifeline.Client;
			if (client == null || client.Ended)
			{
				client = lifeline.Open(Addresses, new ClientConfig
				{
					Schema = Routes.Schema,
					ServerKey = ServerKey,
					Ticket = () => Task.FromResult(Encoding.UTF8.GetBytes(PlayerName)),
					Info = "unity arena",
				});
			}
			client.OnEvent += Changed;
			arena = client.Room("arena");
			arena.OnLeft += Left;
			handlers.Add(client.OnMessage(Routes.Seat, new Seat(), m => Sit(m.ID, m.Side)));
			handlers.Add(client.OnMessage(Routes.State, new State(), Show));
			handlers.Add(client.OnMessage(Routes.Chat, new Chat(), m => lastChat = m.From + ": " + m.Text));
			if (client.Connected)
			{
				Enter();
			}
		}

		// What this object registered ends with it: the client may live on in the next scene.
		void OnDisable()
		{
			client.OnEvent -= Changed;
			arena.OnLeft -= Left;
			handlers.ForEach(h => h.Dispose());
			handlers.Clear();
			foreach (Body b in bodies.Values)
			{
				Destroy(b.Ball);
			}
			bodies.Clear();
		}

		void Changed(ClientEvent e)
		{
			status = e.Kind + (e.Reason == null || e.Reason.Text == "" ? "" : ": " + e.Reason.Text);
			Debug.Log(status);
			if (e.Kind == ClientEventKind.Opened || e.Kind == ClientEventKind.Reset)
			{
				Enter(); // a new session is in no room; after a RESET it may be in none any more
			}
		}

		// Each await goes on in an Update, on Unity's thread.
		async void Enter()
		{
			try
			{
				await arena.Join("lobby"); // is answered at once in the room already
				View view = await client.Request(Routes.Look, new Nothing(), new View());
				Sit(view.ID, view.Side);
				client.Send(Routes.Chat, new Chat { N = view.Said + 1, Text = "hello from Unity" });
			}
			catch (LifelineException e)
			{
				status = "not in: " + e.Message;
			}
		}

		void Sit(long id, float length)
		{
			me = id;
			side = length;
		}

		void Left(string key, LeaveReason why)
		{
			status = "out of the arena, " + why;
		}

		// The same State for every message: what is kept is copied.
		void Show(State s)
		{
			for (int i = 0; i < s.Players.Count; i++)
			{
				Spot spot = s.Players[i];
				Body b;
				if (!bodies.TryGetValue(spot.ID, out b))
				{
					b = new Body { Ball = GameObject.CreatePrimitive(PrimitiveType.Sphere) };
					b.Ball.name = "player " + spot.ID;
					b.Ball.GetComponent<Renderer>().material.color = Color.HSVToRGB(Mathf.Repeat(spot.ID * 0.38f, 1), 0.6f, 1);
					b.Ball.transform.position = Place(spot.X, spot.Y);
					bodies[spot.ID] = b;
				}
				b.Seen = s.Tick;
				b.Target = Place(spot.X, spot.Y);
				b.Ball.transform.localScale = Vector3.one * (spot.Dropped ? 0.15f : 0.3f);
			}
			gone.Clear();
			foreach (KeyValuePair<long, Body> b in bodies)
			{
				if (b.Value.Seen != s.Tick)
				{
					gone.Add(b.Key);
				}
			}
			for (int i = 0; i < gone.Count; i++)
			{
				Destroy(bodies[gone[i]].Ball);
				bodies.Remove(gone[i]);
			}
		}

		// The arena fills what the camera of an empty scene sees.
		Vector3 Place(float x, float y)
		{
			return new Vector3((x / side - 0.5f) * 10, (0.5f - y / side) * 10 + 1, 0);
		}

		void Update()
		{
			Steer();
			foreach (KeyValuePair<long, Body> b in bodies)
			{
				Transform t = b.Value.Ball.transform;
				t.position = b.Key == me ? Place(move.X, move.Y) : Vector3.Lerp(t.position, b.Value.Target, 15 * Time.deltaTime);
			}
			if (client.Connected && Time.unscaledTime >= sendAt)
			{
				sendAt = Time.unscaledTime + sendEvery;
				client.SendNewest(Routes.Move, move);
			}
		}

		void Steer()
		{
			float right = 0, up = 0;
#if ENABLE_LEGACY_INPUT_MANAGER // of Unity 6 it is off by default: Project Settings, Player, Active Input Handling
			right = Input.GetAxisRaw("Horizontal");
			up = Input.GetAxisRaw("Vertical");
#endif
			steered = steered || right != 0 || up != 0;
			if (steered)
			{
				move.X = Mathf.Clamp(move.X + right * speed * Time.deltaTime, 0, side);
				move.Y = Mathf.Clamp(move.Y - up * speed * Time.deltaTime, 0, side);
				return;
			}
			angle += Time.deltaTime;
			move.X = side * (0.5f + 0.2f * Mathf.Cos(angle));
			move.Y = side * (0.5f + 0.2f * Mathf.Sin(angle));
		}

		void OnGUI()
		{
			GUILayout.Label(status + ", " + bodies.Count + " players, " + client.Rtt.TotalMilliseconds.ToString("0") + " ms");
			GUILayout.Label(lastChat);
		}
	}
}
