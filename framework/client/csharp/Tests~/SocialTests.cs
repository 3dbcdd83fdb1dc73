// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>
	/// Matchmaking, parties and presence: what the server tells, by the vectors that the Go server is held against too,
	/// and what the client asks.
	/// </summary>
	sealed class SocialTests
	{
		public static void Run(Check check, string root)
		{
			Json vectors = Json.Parse(File.ReadAllText(Path.Combine(root, "framework/client/testdata/social.json")));
			check.Run("social ticket", () => new SocialTests(check, vectors).Ticket());
			check.Run("social party", () => new SocialTests(check, vectors).Parties());
			check.Run("social friends", () => new SocialTests(check, vectors).Watches());
			check.Run("social newer servers", () => new SocialTests(check, vectors).Newer());
			check.Run("social handlers that throw", () => new SocialTests(check, vectors).Throwing());
		}

		readonly Check check;
		readonly Json vectors;
		readonly World w = new World();
		readonly MatchQueue queue;
		readonly Party party;
		readonly Friends friends;

		SocialTests(Check check, Json vectors)
		{
			this.check = check;
			this.vectors = vectors;
			queue = w.Client.Queue;
			party = w.Client.Party;
			friends = w.Client.Friends;
			queue.OnTicket += t => w.Events.Add(t.State + " " + t.Why + " " + t.Text);
			party.OnChanged += s => w.Events.Add("party " + string.Join(" ", Array.ConvertAll(s.Members, m => m.User + (m.Ready ? "+" : "") + (m.Away ? "-" : ""))) + s.Why);
			party.OnInvited += i => w.Events.Add(i.By + " invites into " + i.Party + " for " + i.Left.TotalSeconds);
			friends.OnChanged += s => w.Events.Add(s.User + " " + s.Presence + " " + s.Text);
			w.Login();
			check.Equal(w.History, "Opened", "login");
			w.Heard();
		}

		void Tell(string route, string vector)
		{
			w.Tell(route, Vector(vector));
			w.Client.Update();
		}

		Action<Writer> Vector(string name)
		{
			return b => b.Raw(Hex.Decode(vectors.Str(name)));
		}

		// Lets the server answer the request of an id, and expects its task to be done.
		void Answer(Task asked, ulong id, Action<Writer> payload)
		{
			w.Answer(id, payload);
			w.Client.Update();
			check.Equal(asked.Status.ToString(), TaskStatus.RanToCompletion.ToString(), "request " + id);
		}

		// What the client has asked: the name of each route and its payload.
		string Questions()
		{
			w.Client.Update();
			List<string> all = new List<string>();
			Packet p = new Packet();
			ByteBuffer said = w.Socket.ToServer;
			while (said.Length > 0)
			{
				int n = Codec.ParseFrame(said.Bytes, said.Start, said.End, 1 << 20, ref p);
				w.Count(p);
				if (p.Kind == PacketKind.Request)
				{
					Envelope e = Envelope.ParseRequest(p.Bytes, p.At, p.Length);
					all.Add(System.Text.Encoding.UTF8.GetString(p.Bytes, e.NameAt, e.NameLength) + " " + Hex.Encode(p.Bytes, e.PayloadAt, e.PayloadLength));
				}
				said.Consume(n);
			}
			return string.Join(", ", all.ToArray());
		}

		void Ticket()
		{
			check.That(w.Client.Queue == queue && queue.Ticket.State == TicketState.None, "before");
			Task entered = queue.Enter("ranked", new Wish { Regions = { { "eu", 20 } }, Fields = { { "mode", "ice" } } });
			Answer(entered, 1, Vector("ticket"));
			check.Equal(w.History, "", "told by the answer");
			Tell("match.ticket", "ticket");
			QueueTicket t = queue.Ticket;
			check.That(t.Queue == "ranked" && t.State == TicketState.Proposed && t.Before == 3 && t.Usual.TotalMilliseconds == 4000 && t.Waited.TotalMilliseconds == 1500, "ticket");
			check.That(t.Match == 7 && t.Players == 10 && t.Accepted == 4 && t.You && t.Left.TotalMilliseconds == 9000, "match");
			check.That(t.Why == TicketWhy.Declined && t.Text == "declined" && t.Type == "arena" && t.Key == "K", "room");
			Answer(queue.Accept(7), 2, b => b.Bool(true));
			Answer(queue.Decline(7), 3, b => b.Bool(true));
			Answer(queue.Cancel(), 4, b => b.Bool(true));
			Task none = queue.Enter("");
			w.Fail(5, (uint)LifelineException.NoRoute, "there is no such queue");
			w.Client.Update();
			check.Equal(((LifelineException)none.Exception.InnerException).Code, LifelineException.NoRoute, "no such queue");
			check.Equal(Questions(), "match.enter " + vectors.Str("wish") + ", match.answer " + vectors.Str("answer") + ", match.answer 9207c2, match.cancel c0, match.enter 93a09090", "asked");
			w.Client.Close();
			w.Advance(Nanos.Second);
			check.Equal(w.History, "Proposed Declined declined, None None the session has ended, Closed 106", "events");
			check.Equal(w.Failures.Count, 0, "failures");
		}

		void Parties()
		{
			Tell("party.invited", "invitation");
			Answer(party.Join(9), 1, Vector("party"));
			Tell("party.state", "party");
			check.That(party.State.Id == 9 && party.State.Leader == "ann" && party.State.Size == 5 && party.State.Members.Length == 2, "party");
			Answer(party.Invite("eve"), 2, Vector("party"));
			Answer(party.Decline(9), 3, b => b.Bool(true));
			Answer(party.Kick("bob"), 4, b => b.Bool(true));
			Answer(party.Lead("bob"), 5, b => b.Bool(true));
			Answer(party.Ready(true), 6, b => b.Bool(true));
			Answer(party.Leave(), 7, b => b.Bool(true));
			check.Equal(Questions(), "party.join 09, party.invite a3657665, party.decline 09, party.kick a3626f62, party.lead a3626f62, party.ready c3, party.leave c0", "asked");
			w.End(PacketKind.Bye, CloseCode.TooOld, "old");
			w.Client.Update();
			check.Equal(w.History, "ann invites into 9 for 60, party ann+ bob-, Lost 105, party the session has ended, Gone 105", "events");
			check.That(party.State.Id == 0 && party.State.Members.Length == 0, "still in it");
		}

		static void User(Writer b, string name, Presence presence, string text)
		{
			b.Array(3);
			b.Str(name);
			b.UInt((ulong)presence);
			b.Str(text);
		}

		void Watches()
		{
			Task<UserState[]> watched = friends.Watch(new[] { "bob", "eve" });
			Tell("presence.changed", "user"); // before the answer, which is older
			Answer(watched, 1, b =>
			{
				b.Array(2);
				User(b, "eve", Presence.Offline, "");
				User(b, "bob", Presence.Online, "");
			});
			check.That(watched.Result.Length == 2 && watched.Result[1].User == "bob", "answer");
			check.That(friends.Find("bob").Presence == Presence.Playing && friends.Find("eve").Presence == Presence.Offline && friends.Find("ann") == null, "states");
			w.Tell("presence.all", b =>
			{
				b.Array(3);
				User(b, "bob", Presence.Playing, "2:1");
				User(b, "eve", Presence.Away, "");
				User(b, "ann", Presence.Online, "hi");
			});
			w.Client.Update();
			check.Equal(w.History, "bob Playing 2:1, eve Away , ann Online hi", "events");
			List<string> names = new List<string>();
			foreach (UserState s in friends.All)
			{
				names.Add(s.User);
			}
			check.Equal(string.Join(" ", names.ToArray()), "ann bob eve", "by name");
			Answer(friends.Unwatch(new[] { "eve" }), 2, b => b.Bool(true));
			check.That(friends.All.Count == 2 && friends.Find("eve") == null, "unwatched");
			Answer(friends.Unwatch(), 3, b => b.Bool(true));
			check.Equal(friends.All.Count, 0, "unwatched all");
			check.Equal(Questions(), "presence.watch 92a3626f62a3657665, presence.unwatch 91a3657665, presence.unwatch 90", "asked");
			Answer(friends.Watch(new[] { "bob" }), 4, b =>
			{
				b.Array(1);
				User(b, "bob", Presence.Online, "");
			});
			Answer(friends.Watch(new[] { "bob" }), 5, b => // the server has let it watch no more meanwhile
			{
				b.Array(1);
				User(b, "bob", Presence.Away, "");
			});
			check.That(friends.Find("bob").Presence == Presence.Away, "watched again");
			w.Client.Close();
			w.Advance(Nanos.Second);
			check.Equal(friends.All.Count, 0, "after the end");
			check.Equal(w.History, "Closed 106", "events at the end");
		}

		// A newer server appends fields, an older one has fewer; another one talks nonsense.
		void Newer()
		{
			foreach (string route in new[] { "match.ticket", "party.state", "party.invited", "presence.changed" })
			{
				w.Tell(route, b => b.Array(0));
			}
			w.Tell("presence.all", b => b.Nil());
			w.Tell("match.ticket", b =>
			{
				b.Array(16);
				for (int i = 0; i < 16; i++)
				{
					b.Nil();
				}
			});
			w.Tell("presence.changed", b =>
			{
				b.Array(4);
				b.Str("bob");
				b.UInt(9);
				b.Str("");
				b.Array(1);
				b.UInt(1);
			});
			w.Client.Update();
			check.Equal(w.Failures.Count, 0, "failures");
			check.That((int)friends.Find("bob").Presence == 9, "a presence of tomorrow");
			w.History.ToString();
			foreach (string route in new[] { "match.ticket", "party.state", "party.invited", "presence.changed", "presence.all" })
			{
				w.Tell(route, b => b.Str("x"));
			}
			w.Client.Update();
			check.That(w.Failures.Count == 5 && w.Failures.TrueForAll(e => e is CodecException) && w.Client.Stats.Dropped == 5, "nonsense");
			check.That(w.Client.Connected && w.History == "", "it was told, or ended the session");
		}

		void Throwing()
		{
			friends.OnChanged += s => { throw new InvalidOperationException("mine"); };
			w.Tell("presence.all", b =>
			{
				b.Array(2);
				User(b, "bob", Presence.Online, "");
				User(b, "eve", Presence.Online, "");
			});
			w.Client.Update();
			check.That(w.Failures.Count == 2 && w.Failures[0].Message == "mine" && friends.All.Count == 2, "failures");
		}
	}
}
