// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>Which rooms the client is in: as a server that the test plays tells it, and as the app hears it.</summary>
	sealed class RoomsTests
	{
		public static void Run(Check check)
		{
			check.Run("rooms put in, moved, removed", () => new RoomsTests(check).PutIn());
			check.Run("rooms after a RESET", () => new RoomsTests(check).AfterReset());
			check.Run("a RESET on the way to another room", () => new RoomsTests(check).AfterResetOnTheMove());
			check.Run("rooms of a session that ends", () => new RoomsTests(check).SessionEnds());
			check.Run("rooms handlers that throw", () => new RoomsTests(check).Throwing());
			check.Run("rooms handlers of a stay", () => new RoomsTests(check).Stay());
			check.Run("rooms requests", () => new RoomsTests(check).Asks());
			check.Run("rooms lists", () => new RoomsTests(check).Lists());
			check.Run("rooms newer servers", () => new RoomsTests(check).Newer());
			check.Run("rooms dispose", () => new RoomsTests(check).Disposed());
			check.Run("handlers that are taken away", () => new RoomsTests(check).TakenAway());
			check.Run("a message that was refused", () => new RoomsTests(check).Refused());
		}

		readonly Check check;
		readonly World w = new World();
		readonly Room lobby, match;

		RoomsTests(Check check)
		{
			this.check = check;
			lobby = w.Client.Room("lobby");
			match = w.Client.Room("match");
			foreach (Room r in new[] { lobby, match })
			{
				string type = r.Type;
				r.OnJoined += key => w.Events.Add("in " + type + "/" + key);
				r.OnLeft += (key, why) => w.Events.Add("out of " + type + "/" + key + ", " + why);
			}
			w.Login();
			check.Equal(w.History, "Opened", "login");
			w.Heard();
		}

		void Joined(string type, string key, bool watching = false)
		{
			w.Tell("room.joined", b => Spot(b, type, key, watching));
			w.Client.Update();
		}

		static void Spot(Writer b, string type, string key, bool watching)
		{
			b.Array(3);
			b.Str(type);
			b.Str(key);
			b.Bool(watching);
		}

		void Left(string type, string key, ulong code, string text = "")
		{
			w.Tell("room.left", b =>
			{
				b.Array(4);
				b.Str(type);
				b.Str(key);
				b.UInt(code);
				b.Str(text);
			});
			w.Client.Update();
		}

		void PutIn()
		{
			check.That(w.Client.Room("match") == match && match.Key == null && !match.Watching, "before");
			Joined("lobby", "europe");
			Joined("match", "a");
			Joined("match", "a"); // it is known
			Joined("match", "b");
			Left("match", "a", RoomCode.Moved);
			check.Equal(match.Key, "b", "key");
			Left("match", "b", 1234, "cheat");
			check.That(match.Key == null && lobby.Key == "europe", "keys");
			Joined("match", "c", true);
			check.That(match.Watching, "not watching");
			Joined("match", "c");
			check.That(!match.Watching, "watching");
			check.Equal(w.History, "in lobby/europe, in match/a, in match/b, out of match/a, code 302, out of match/b, code 1234: cheat, in match/c, in match/c", "events");
			check.Equal(w.Failures.Count, 0, "failures");
		}

		void AfterReset()
		{
			Joined("match", "a");
			Joined("lobby", "europe");
			w.History.ToString();
			w.Tell("room.all", b =>
			{
				b.Array(1);
				Spot(b, "match", "b", false);
			});
			w.Client.Update();
			check.Equal(w.History, "out of lobby/europe, code 0: while the client was away, out of match/a, code 0: while the client was away, in match/b", "events");
			check.That(lobby.Key == null && match.Key == "b", "keys");
			w.Tell("room.all", b => b.Array(0));
			w.Client.Update();
			check.That(match.Key == null, "still in");
		}

		// room.left of the old one follows room.joined of the new one, unless something comes in between.
		void AfterResetOnTheMove()
		{
			Joined("match", "a");
			Joined("match", "b");
			Joined("match", "a"); // and back
			Left("match", "a", RoomCode.Moved);
			check.Equal(match.Key, "a", "moved back");
			w.History.ToString();
			w.Tell("room.all", b =>
			{
				b.Array(1);
				Spot(b, "match", "a", false);
			});
			w.Client.Update();
			check.Equal(w.History, "out of match/b, code 0: while the client was away", "after a RESET");
			Joined("match", "c");
			w.History.ToString();
			w.Client.Close();
			w.Client.Update();
			check.Equal(w.History, "out of match/a, code 106, out of match/c, code 106, Closed 106", "the end");
		}

		// The end of a session is the end of its rooms, before the event.
		void SessionEnds()
		{
			Joined("match", "a");
			w.History.ToString();
			w.End(PacketKind.Bye, CloseCode.TooOld, "old");
			w.Client.Update();
			check.Equal(w.History, "Lost 105, out of match/a, code 105: old, Gone 105", "events");
			check.That(match.Key == null, "still in");
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Welcome();
			w.Client.Update();
			w.Tell("room.joined", b => Spot(b, "match", "b", false));
			w.Client.Update();
			w.Client.Close();
			w.Advance(Nanos.Second);
			check.Equal(w.History, "Opened, in match/b, out of match/b, code 106, Closed 106", "closed");
		}

		void Throwing()
		{
			match.OnJoined += key => { throw new InvalidOperationException("mine"); };
			w.Tell("room.all", b =>
			{
				b.Array(2);
				Spot(b, "match", "a", false);
				Spot(b, "lobby", "b", false);
			});
			w.Client.Update();
			check.Equal(w.History, "in match/a, in lobby/b", "events");
			check.That(w.Failures.Count == 1 && w.Failures[0].Message == "mine", "failures");
			check.Equal(w.Client.Stats.Dropped, 0, "dropped");
		}

		// A handler of a room ends with the stay, and is there for what the room sends on the way in.
		void Stay()
		{
			List<ulong> heard = new List<ulong>();
			Action enter = () => match.OnMessage("shot", new Count(), m => heard.Add(m.N));
			match.OnLeft += (key, why) =>
			{
				if (match.Key == null)
				{
					enter(); // for the next stay
				}
			};
			enter();
			match.OnRequest("turn", new Count(), q => new Count { N = q.N + 1 });
			w.Push("shot", 1); // on the way in
			Joined("match", "a");
			w.Ask(7, "turn", b => b.UInt(1));
			w.Push("shot", 2);
			Joined("match", "b");
			Left("match", "a", RoomCode.Moved);
			w.Push("shot", 3); // a move keeps it
			w.Client.Update();
			check.Equal(w.Heard(), "Response 920702", "answered in the room");
			Left("match", "b", RoomCode.Removed);
			w.Ask(8, "turn", b => b.UInt(1));
			w.Client.Update();
			check.That(w.Heard().StartsWith("Failure 930802", StringComparison.Ordinal), "answered outside of the room");
			w.Push("shot", 4);
			w.Client.Update();
			check.Equal(string.Join(" ", heard.ConvertAll(n => n.ToString()).ToArray()), "1 2 3 4", "heard, once each");
		}

		void Asks()
		{
			Task<string> joined = match.Join();
			Task watched = match.Watch("9"), left = match.Leave(), any = w.Client.Leave();
			Task<string> wrong = match.Join("x");
			w.Client.Update();
			// [1,"room.join",["match",""]] and so on.
			check.Equal(w.Heard(), "Request 9301a9726f6f6d2e6a6f696e92a56d61746368a0, Request 9302aa726f6f6d2e776174636892a56d61746368a139, "
				+ "Request 9303aa726f6f6d2e6c6561766591a56d61746368, Request 9304aa726f6f6d2e6c6561766590, Request 9305a9726f6f6d2e6a6f696e92a56d61746368a178", "asked");
			w.Answer(1, b => b.Str("7"));
			w.Answer(2, b => b.Str("9"));
			w.Answer(3, b => b.Nil());
			w.Answer(4, b => b.Nil());
			w.Fail(5, (uint)LifelineException.Full, "no seat");
			w.Client.Update();
			check.Equal(joined.Result, "7", "key");
			check.That(watched.Status == TaskStatus.RanToCompletion && left.Status == TaskStatus.RanToCompletion && any.Status == TaskStatus.RanToCompletion, "not done");
			check.Equal(((LifelineException)wrong.Exception.InnerException).Code, LifelineException.Full, "full");
		}

		static void Row(Writer b, string key, int players)
		{
			b.Array(6);
			b.Str(key);
			b.Int(players);
			b.UInt(4);
			b.UInt(1);
			b.Bool(true);
			b.Array(1);
			b.Array(2);
			b.Str("map");
			b.Str("ice");
		}

		void News(bool whole, string key, int players, params string[] gone)
		{
			w.Tell("room.listed", b =>
			{
				b.Array(4);
				b.Str("match");
				b.Bool(whole);
				b.Array(1);
				Row(b, key, players);
				b.Array(gone.Length);
				Array.ForEach(gone, b.Str);
			});
			w.Client.Update();
		}

		void Lists()
		{
			Task<RoomList> list = match.List("map=ice");
			w.Client.Update();
			check.Equal(w.Heard(), "Request 9301a9726f6f6d2e6c69737492a56d61746368a76d61703d696365", "asked");
			w.Answer(1, b =>
			{
				b.Array(2);
				b.UInt(7);
				b.Array(1);
				Row(b, "a", 1);
			});
			w.Client.Update();
			RoomInfo one = list.Result.Rooms[0];
			check.That(list.Result.Total == 7 && list.Result.Rooms.Length == 1, "list");
			check.That(one.Key == "a" && one.Players == 1 && one.Seats == 4 && one.Watched == 1 && one.Open && one.Published["map"] == "ice", "room");
			List<string> seen = new List<string>();
			Task follow = match.Follow("", all => seen.Add(string.Join(" ", Array.ConvertAll(all, r => r.Key + r.Players))));
			News(true, "b", 1);
			News(false, "a", 2);
			check.That(!follow.IsCompleted, "before its answer");
			w.Answer(2, b => b.UInt(2));
			News(false, "B", 0, "b");
			News(true, "z", 3);
			check.That(follow.Status == TaskStatus.RanToCompletion, "follow");
			check.Equal(string.Join(", ", seen.ToArray()), "b1, a2 b1, B0 a2, z3", "followed");
			Task wrong = match.Follow("map=", all => seen.Add("refused"));
			w.Fail(3, (uint)LifelineException.BadRequest, "no such filter");
			w.Client.Update();
			News(false, "z", 3);
			check.That(wrong.IsFaulted && seen.Count == 5 && seen[4] == "z3", "a filter that is refused");
			seen.RemoveAt(4);
			Task end = match.Unfollow();
			News(false, "y", 1); // on its way when the app lost interest
			w.Answer(4, b => b.Nil());
			w.Client.Update();
			check.That(end.Status == TaskStatus.RanToCompletion && seen.Count == 4, "unfollowed");
			check.Equal(w.Failures.Count, 0, "failures");
		}

		// A newer server appends fields, an older one has fewer; another one talks nonsense.
		void Newer()
		{
			w.Tell("room.joined", b =>
			{
				b.Array(4);
				b.Str("match");
				b.Str("a");
				b.Bool(false);
				b.Array(1);
				b.UInt(1);
			});
			w.Tell("room.joined", b =>
			{
				b.Array(2);
				b.Str("lobby");
				b.Str("b");
			});
			w.Tell("room.left", b =>
			{
				b.Array(2);
				b.Str("lobby");
				b.Str("b");
			});
			w.Client.Update();
			check.Equal(w.History, "in match/a, in lobby/b, out of lobby/b, code 0", "events");
			check.Equal(w.Failures.Count, 0, "failures");
			foreach (string route in new[] { "room.joined", "room.left", "room.all", "room.listed", "message.refused" })
			{
				w.Tell(route, b => b.Str("x"));
			}
			w.Client.Update();
			check.That(w.Failures.Count == 5 && w.Failures.TrueForAll(e => e is CodecException) && w.Client.Stats.Dropped == 5, "nonsense");
			check.That(w.Client.Connected && match.Key == "a", "it ended the session");
		}

		// No handler runs any more, also when one of them does it.
		void Disposed()
		{
			lobby.OnLeft += (key, why) => w.Client.Dispose();
			Joined("lobby", "a");
			Joined("match", "b");
			w.History.ToString();
			w.Tell("room.all", b => b.Array(0));
			w.Client.Update();
			check.Equal(w.History, "out of lobby/a, code 0: while the client was away", "events");
		}

		void TakenAway()
		{
			List<string> heard = new List<string>();
			IDisposable first = w.Client.OnMessage("said", new Count(), m => heard.Add("first " + m.N));
			w.Push("said", 1);
			w.Client.Update();
			first.Dispose();
			first.Dispose();
			w.Push("said", 2);
			w.Client.Update();
			check.Equal(w.Client.Stats.Dropped, 1, "dropped");
			IDisposable second = null;
			second = w.Client.OnMessage("said", new Count(), m =>
			{
				heard.Add("second " + m.N);
				second.Dispose(); // within itself
			});
			first.Dispose(); // not the second one
			w.Push("said", 3);
			w.Push("said", 4);
			w.Client.Update();
			check.Equal(string.Join(", ", heard.ToArray()), "first 1, second 3", "heard");
			Chains();
		}

		// Names with the same FNV-1a hash.
		void Chains()
		{
			string[] same = { "costarring", "liquid" };
			RouteTable table = new RouteTable();
			RouteHandler[] all = Array.ConvertAll(same, n => table.Add(new MessageHandler<Count>(n, new Count(), m => { })));
			foreach (RouteHandler gone in all)
			{
				gone.Dispose();
				Array.ForEach(all, h => check.That(Find(table, h.Route) == (h == gone ? null : h), h.Route + " without " + gone.Route));
				all[Array.IndexOf(all, gone)] = table.Add(new MessageHandler<Count>(gone.Route, new Count(), m => { }));
			}
		}

		static RouteHandler Find(RouteTable table, string route)
		{
			table.Learn(new[] { route });
			return table.Find(null, new Envelope { RouteNumber = 0 });
		}

		void Refused()
		{
			w.Tell("message.refused", b =>
			{
				b.Array(3);
				b.Str("shuot");
				b.UInt(2);
				b.Str("nothing handles this route");
			});
			w.Client.Update();
			check.That(w.Failures.Count == 1 && ((LifelineException)w.Failures[0]).Code == LifelineException.NoRoute, "failure");
			check.Equal(w.Failures[0].Message, "message shuot: nothing handles this route", "text");
		}
	}
}
