// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>
	/// The client's view of one type of room: of which one it is in, by its own wish or the server's, and why it is
	/// out again. A client is in one room of each type at a time. Client.Room returns it, always the same one.
	/// </summary>
	public sealed class Room
	{
		readonly Client client;
		readonly List<string> behind = new List<string>(); // rooms that it was moved out of, until room.left of them comes
		readonly List<IDisposable> stay = new List<IDisposable>(); // handlers that end with it
		readonly Dictionary<string, RoomInfo> listed = new Dictionary<string, RoomInfo>(); // by key, of the list that is followed
		Action<RoomInfo[]> onList;
		int follows; // calls of Follow and Unfollow

		internal Room(Client client, string type)
		{
			this.client = client;
			Type = type;
		}

		/// <summary>The name of the type.</summary>
		public string Type { get; private set; }

		/// <summary>The key of the room that the client is in, null if it is in none of the type.</summary>
		public string Key { get; private set; }

		/// <summary>Reports whether the client is in as a spectator.</summary>
		public bool Watching { get; private set; }

		/// <summary>
		/// Told the key when the client gets into a room of the type, by Join or because the server has put it there:
		/// after the messages that the room sent on the way in, and before Join completes. If a server has crashed, the
		/// client joins its rooms again by itself. It is then told once more, with the same key and without OnLeft: the
		/// room was made anew, and knows nothing of what the client has told it.
		/// </summary>
		public event Action<string> OnJoined;

		/// <summary>
		/// Told the key when the client is out of a room of the type, and why: by Leave, because the room has ended,
		/// the server has taken it out or moved it to another room (OnJoined comes first then), because the session has
		/// ended, or because the server has crashed and the room does not let it in again (RoomCode.Lost). No message of
		/// the room comes after.
		/// </summary>
		public event Action<string, LeaveReason> OnLeft;

		// --- handlers of one stay

		/// <summary>
		/// As Client.OnMessage, until the client is out of the type of room: just before OnLeft the handler is taken
		/// away. A move to another room keeps it. Register before Join: what the room sends on the way in comes first.
		/// </summary>
		public IDisposable OnMessage<M>(string route, M message, Action<M> handler) where M : class, IMessage
		{
			return UntilLeft(client.OnMessage(route, message, handler));
		}

		/// <summary>As Client.OnRequest, until the client is out of the type of room.</summary>
		public IDisposable OnRequest<Q, A>(string route, Q question, Func<Q, A> handler) where Q : class, IMessage where A : class, IMessage
		{
			return UntilLeft(client.OnRequest(route, question, handler));
		}

		/// <summary>As Client.OnRequestAsync, until the client is out of the type of room.</summary>
		public IDisposable OnRequestAsync<Q, A>(string route, Q question, Func<Q, Task<A>> handler) where Q : class, IMessage where A : class, IMessage
		{
			return UntilLeft(client.OnRequestAsync(route, question, handler));
		}

		IDisposable UntilLeft(IDisposable handler)
		{
			stay.Add(handler);
			return handler;
		}

		// --- requests

		/// <summary>
		/// Takes a seat in the room of a key and returns the key. An empty key chooses the fullest room that takes
		/// strangers and has a free seat, or a new one. In the room that the client is in it is in already. Completes
		/// and fails as Client.Request does.
		/// </summary>
		public async Task<string> Join(string key = "", TimeSpan? timeout = null)
		{
			client.AppDecides(Type);
			return (await Ask("room.join", key, new Told<string>(r => r.Str()), timeout)).Value;
		}

		/// <summary>Enters the room of a key to listen only, where the server allows spectators. Completes and fails as Client.Request does.</summary>
		public Task Watch(string key, TimeSpan? timeout = null)
		{
			client.AppDecides(Type);
			return Ask("room.watch", key, new Told<string>(r => r.Str()), timeout);
		}

		/// <summary>Gives up the seat. Completes and fails as Client.Request does.</summary>
		public Task Leave(TimeSpan? timeout = null)
		{
			client.AppDecides(Type);
			return Ask("room.leave", null, new Nothing(), timeout);
		}

		/// <summary>
		/// Returns rooms of the type, by key, 100 at most, and how many there are. A filter is terms with blanks
		/// between, all of which must hold, as in "map=ice rating&gt;=1000 free&gt;0": a field that rooms publish, or
		/// key, players, seats, free, watched or open; one of = != &lt; &lt;= &gt; &gt;=; and a value, between double
		/// quotes where it has blanks. An empty one chooses all. Completes and fails as Client.Request does: with
		/// BadRequest for a filter that can't be read, with Refused where the server lists no rooms of the type.
		/// </summary>
		public async Task<RoomList> List(string filter = "", TimeSpan? timeout = null)
		{
			ListMessage m = await Ask("room.list", filter, new ListMessage(), timeout);
			return new RoomList(m.Total, m.Rooms.ToArray());
		}

		/// <summary>
		/// List again and again: handler gets the rooms, by key, before the task completes, and whenever they have
		/// changed, half a second later at most. The array is the handler's own. A list of more than 20 rooms comes in
		/// parts. A second Follow takes the place of the first, unless it is refused. It ends with the session: follow
		/// again when Opened comes. A RESET and a move to another server begin the list anew. Completes and fails as
		/// List does.
		/// </summary>
		public async Task Follow(string filter, Action<RoomInfo[]> handler, TimeSpan? timeout = null)
		{
			Action<RoomInfo[]> was = onList;
			int turn = ++follows;
			onList = handler;
			try
			{
				await Ask("room.follow", filter, new Nothing(), timeout);
			}
			catch (LifelineException e)
			{
				if (e.Code > 0 && e.Code != LifelineException.Reset && turn == follows)
				{
					onList = was; // the server has changed nothing
				}
				throw;
			}
		}

		/// <summary>Ends Follow at once, also on this side. Completes and fails as Client.Request does.</summary>
		public Task Unfollow(TimeSpan? timeout = null)
		{
			onList = null;
			follows++;
			return Ask("room.unfollow", null, new Nothing(), timeout);
		}

		Task<A> Ask<A>(string route, string what, A answer, TimeSpan? timeout) where A : class, IMessage
		{
			Asked question = new Asked(w =>
			{
				w.Array(what == null ? 1 : 2);
				w.Str(Type);
				if (what != null)
				{
					w.Str(what);
				}
			});
			return client.Request(route, question, answer, timeout);
		}

		// --- what the server tells

		internal void Joined(string key, bool watching)
		{
			bool known = Key == key && Watching == watching && Again == null;
			string old = Key == key ? null : Key;
			bool lost = Again != null;
			Again = null;
			if (old != null)
			{
				behind.Add(old);
			}
			Key = key;
			Watching = watching;
			if (!known)
			{
				client.Raise(OnJoined, key);
			}
			if (old != null && lost) // the server does not know of the room that was lost
			{
				Left(old, new LeaveReason(RoomCode.Moved, ""));
			}
		}

		/// <summary>The client may be in another room of the type by now: it was moved.</summary>
		internal void Left(string key, LeaveReason why)
		{
			if (!behind.Remove(key) && Key == key)
			{
				Again = null;
				Key = null;
				Watching = false;
				stay.ForEach(h => h.Dispose());
				stay.Clear();
			}
			if (OnLeft != null)
			{
				client.Guard(() => OnLeft(key, why));
			}
		}

		/// <summary>What would have told that the client is out of these is lost.</summary>
		internal void LeftBehind(LeaveReason why)
		{
			while (behind.Count > 0)
			{
				Left(behind[0], why);
			}
		}

		// --- a room whose server has crashed

		const int maxAgain = 6;                              // how often it is asked again if the answer is BUSY
		const long pauseAgain = 500 * Nanos.Millisecond;     // bounds the pause before that, and doubles with each
		const long gameCodes = 1000;

		/// <summary>Null unless the room is lost, and asked for again.</summary>
		internal Again Again;

		internal void AskAgain()
		{
			bool decided = Again != null && Again.Last; // by the app
			Again = decided ? null : new Again();
			if (!decided)
			{
				EnterAgain();
			}
		}

		// Goes on in an Update.
		internal async void EnterAgain()
		{
			Again a = Again;
			a.Due = Nanos.Never;
			LifelineException why = a.Why;
			if (!a.Last)
			{
				try
				{
					await Ask(Watching ? "room.watch" : "room.join", Key, new Nothing(), TimeSpan.FromTicks(-1));
					why = null;
				}
				catch (LifelineException e)
				{
					why = e;
				}
			}
			if (Again != a)
			{
				return; // it is over
			}
			if (why == null)
			{
				Again = null; // it was a member still
				return;
			}
			RefusedAgain(why);
		}

		void RefusedAgain(LifelineException why)
		{
			if (why.Code == LifelineException.Reset || why.Code == LifelineException.Closed)
			{
				return; // room.all is to come, or it is over
			}
			// A room to be watched is there once one of its members is back.
			bool busy = why.Code == LifelineException.Busy || why.Code == LifelineException.QueueFull || Watching && why.Code == LifelineException.Refused;
			if (!busy || Again.Last || Again.Tries >= maxAgain)
			{
				Left(Key, new LeaveReason(why.Code >= gameCodes ? why.Code : RoomCode.Lost, why.Message));
				return;
			}
			Again.Why = why;
			client.AgainAfter(Again, pauseAgain << Again.Tries++);
		}

		internal void Listed(ListNews news)
		{
			if (news.Whole)
			{
				listed.Clear();
			}
			news.Rooms.ForEach(r => listed[r.Key] = r);
			news.Gone.ForEach(key => listed.Remove(key));
			if (onList == null)
			{
				return;
			}
			RoomInfo[] all = new RoomInfo[listed.Count];
			listed.Values.CopyTo(all, 0);
			Array.Sort(all, (a, b) => string.CompareOrdinal(a.Key, b.Key));
			client.Raise(onList, all);
		}
	}

	/// <summary>Why a client has left a room.</summary>
	public struct LeaveReason
	{
		/// <summary>
		/// A code of CloseCode, one of RoomCode, or one of the game's, from 1,000 on. It is 0 if that was told while the
		/// client was away and is lost.
		/// </summary>
		public readonly long Code;
		/// <summary>For people to read.</summary>
		public readonly string Text;

		internal LeaveReason(long code, string text)
		{
			Code = code;
			Text = text;
		}

		/// <summary>The code, and the text if there is one.</summary>
		public override string ToString()
		{
			return "code " + Code + (string.IsNullOrEmpty(Text) ? "" : ": " + Text);
		}
	}

	/// <summary>The codes of a LeaveReason that are no session's.</summary>
	public static class RoomCode
	{
		/// <summary>The room has finished.</summary>
		public const int Finished = 300;
		/// <summary>Nobody is left in it.</summary>
		public const int Empty = 301;
		/// <summary>The client is in another room of the type.</summary>
		public const int Moved = 302;
		/// <summary>The server has taken the client out.</summary>
		public const int Removed = 303;
		/// <summary>The room's server has crashed, and the room did not let the client in again: the text says why.</summary>
		public const int Lost = 304;
	}

	/// <summary>What a list tells of a room.</summary>
	public sealed class RoomInfo
	{
		/// <summary>What Room.Join takes.</summary>
		public readonly string Key;
		/// <summary>Players that are in.</summary>
		public readonly int Players;
		/// <summary>How many may be; 0: no limit.</summary>
		public readonly int Seats;
		/// <summary>Spectators that are in.</summary>
		public readonly int Watched;
		/// <summary>Reports whether the room takes strangers.</summary>
		public readonly bool Open;
		/// <summary>What the room has published, by name.</summary>
		public readonly IReadOnlyDictionary<string, string> Published;

		internal RoomInfo(Reader r)
		{
			int n = r.Array();
			Key = n > 0 ? r.Str() : "";
			Players = n > 1 ? r.I32() : 0;
			Seats = n > 2 ? r.I32() : 0;
			Watched = n > 3 ? r.I32() : 0;
			Open = n > 4 && r.Bool();
			Dictionary<string, string> published = new Dictionary<string, string>();
			for (int left = n > 5 ? r.Array() : 0; left > 0; left--)
			{
				int m = r.Array();
				string name = m > 0 ? r.Str() : "";
				published[name] = m > 1 ? r.Str() : "";
				r.Skip(m - 2);
			}
			Published = published;
			r.Skip(n - 6);
		}
	}

	/// <summary>The answer to Room.List.</summary>
	public sealed class RoomList
	{
		/// <summary>How many rooms the filter chooses.</summary>
		public readonly int Total;
		/// <summary>The first 100 of them at most, by key.</summary>
		public readonly RoomInfo[] Rooms;

		internal RoomList(int total, RoomInfo[] rooms)
		{
			Total = total;
			Rooms = rooms;
		}
	}
}
