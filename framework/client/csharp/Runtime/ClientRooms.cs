// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline
{
	// Which rooms the client is in: codec/SPEC.md 6.4.
	public sealed partial class Client
	{
		readonly Dictionary<string, Room> rooms = new Dictionary<string, Room>();

		/// <summary>Returns the view of a type of room, always the same one.</summary>
		public Room Room(string type)
		{
			Room r;
			if (!rooms.TryGetValue(type, out r))
			{
				rooms[type] = r = new Room(this, type);
			}
			return r;
		}

		/// <summary>Takes a seat in a room, as Room(room).Join does. Completes and fails as Request does.</summary>
		public Task Join(string room, string key)
		{
			return Room(room).Join(key);
		}

		/// <summary>Takes a seat in the fullest room of a type that takes strangers, or in a new one, and returns its key. Completes and fails as Request does.</summary>
		public Task<string> JoinAny(string room)
		{
			return Room(room).Join();
		}

		/// <summary>Gives up the seat in the only room that the client is in. Completes and fails as Request does.</summary>
		public Task Leave()
		{
			AppDecides(null);
			return Request("room.leave", new Asked(w => w.Array(0)), new Nothing());
		}

		void ListenToRooms()
		{
			OnMessage("room.joined", new Place(), p => Room(p.Type).Joined(p.Key, p.Watching));
			OnMessage("room.left", new LeftPlace(), p => Room(p.Type).Left(p.Key, new LeaveReason(p.Code, p.Text)));
			OnMessage("room.all", new AllPlaces(), AllRooms);
			OnMessage("room.listed", new ListNews(), n => Room(n.Type).Listed(n));
			OnMessage("message.refused", new RefusedMessage(), m => Report(new LifelineException(m.Code, "message " + m.Route + ": " + m.Text)));
		}

		// Takes over which rooms the client is in: what was told before may be lost.
		void AllRooms(AllPlaces here)
		{
			foreach (Room r in SortedRooms())
			{
				if (r.Key != null && (restart || r.Again != null) && !here.All.Exists(p => p.Type == r.Type))
				{
					r.AskAgain(); // unless the app has decided otherwise
				}
			}
			LeaveRooms(new LeaveReason(0, "while the client was away"), r => here.All.Exists(p => p.Type == r.Type) ? here.All.Exists(p => p.Type == r.Type && p.Key == r.Key) : r.Again != null);
			here.All.ForEach(p => Room(p.Type).Joined(p.Key, p.Watching));
		}

		// Takes note that all rooms were left, except those that stays says.
		void LeaveRooms(LeaveReason why, Predicate<Room> stays)
		{
			restart = false;
			foreach (Room r in SortedRooms())
			{
				r.LeftBehind(why);
				if (r.Key != null && !stays(r))
				{
					r.Left(r.Key, why);
				}
			}
		}

		Room[] SortedRooms()
		{
			Room[] all = new Room[rooms.Count];
			rooms.Values.CopyTo(all, 0);
			Array.Sort(all, (a, b) => string.CompareOrdinal(a.Type, b.Type));
			return all;
		}

		// --- rooms of a server that has crashed: framework/client/CLIENT.md 7

		bool restart; // the server of the session was lost, and room.all has not come since
		long againDue = Nanos.Never; // when a room is asked for again, at the earliest

		// room.all is to come, and until then nothing is asked.
		void RoomsReset(bool lost)
		{
			restart = restart || lost;
			againDue = Nanos.Never;
			foreach (Room r in rooms.Values)
			{
				if (r.Again != null)
				{
					r.Again.Due = Nanos.Never;
				}
			}
		}

		// The app wishes something of a type of room, or of the only room if it is null. The client does not ask again
		// by itself from here on.
		internal void AppDecides(string type)
		{
			foreach (Room r in rooms.Values)
			{
				if (r.Again != null && (type == null || type == r.Type))
				{
					r.Again.Last = true;
					if (r.Again.Due != Nanos.Never)
					{
						againDue = r.Again.Due = clock(); // told in an Update
					}
				}
			}
		}

		// Asks again after a random pause, most at the most.
		internal void AgainAfter(Again a, long most)
		{
			a.Due = clock() + (long)(entropy.Next() % (ulong)most);
			againDue = Math.Min(againDue, a.Due);
		}

		// Asks again for the rooms whose pause is over.
		void EnterAgain(long now)
		{
			if (now < againDue)
			{
				return;
			}
			againDue = Nanos.Never;
			foreach (Room r in SortedRooms())
			{
				if (r.Again == null)
				{
					continue;
				}
				if (r.Again.Due <= now)
				{
					r.EnterAgain();
				}
				else
				{
					againDue = Math.Min(againDue, r.Again.Due);
				}
			}
		}

		/// <summary>Calls the app's own code. What it throws goes to OnError, and stops nothing.</summary>
		internal void Guard(Action call)
		{
			if (disposed)
			{
				return;
			}
			try
			{
				call();
			}
			catch (Exception e)
			{
				Report(e);
			}
		}

		/// <summary>Tells the app's own handlers, if there are any, as Guard does.</summary>
		internal void Raise<T>(Action<T> handlers, T news)
		{
			if (handlers != null)
			{
				Guard(() => handlers(news));
			}
		}
	}

	/// <summary>A wish to be in a room again whose server has crashed: framework/client/CLIENT.md 7.</summary>
	sealed class Again
	{
		public int Tries;
		public LifelineException Why; // the last answer
		public long Due = Nanos.Never; // when the client asks again; Never: it waits for the answer
		public bool Last; // the app has decided for itself: the client does not ask again
	}

	sealed class Place : News
	{
		public string Type, Key;
		public bool Watching;

		public override void Read(Reader r)
		{
			int n = r.Array();
			Type = n > 0 ? r.Str() : "";
			Key = n > 1 ? r.Str() : "";
			Watching = n > 2 && r.Bool();
			r.Skip(n - 3);
		}
	}

	sealed class AllPlaces : News
	{
		public readonly List<Place> All = new List<Place>();

		public override void Read(Reader r)
		{
			All.Clear();
			for (int left = r.Array(); left > 0; left--)
			{
				Place p = new Place();
				p.Read(r);
				All.Add(p);
			}
		}
	}

	sealed class LeftPlace : News
	{
		public string Type, Key, Text;
		public long Code;

		public override void Read(Reader r)
		{
			int n = r.Array();
			Type = n > 0 ? r.Str() : "";
			Key = n > 1 ? r.Str() : "";
			Code = n > 2 ? r.U32() : 0;
			Text = n > 3 ? r.Str() : "";
			r.Skip(n - 4);
		}
	}

	sealed class ListMessage : News
	{
		public int Total;
		public readonly List<RoomInfo> Rooms = new List<RoomInfo>();

		public override void Read(Reader r)
		{
			int n = r.Array();
			Total = n > 0 ? r.I32() : 0;
			ReadRooms(r, n > 1 ? r.Array() : 0, Rooms);
			r.Skip(n - 2);
		}

		public static void ReadRooms(Reader r, int n, List<RoomInfo> into)
		{
			into.Clear();
			for (; n > 0; n--)
			{
				into.Add(new RoomInfo(r));
			}
		}
	}

	sealed class ListNews : News
	{
		public string Type;
		public bool Whole;
		public readonly List<RoomInfo> Rooms = new List<RoomInfo>();
		public readonly List<string> Gone = new List<string>();

		public override void Read(Reader r)
		{
			int n = r.Array();
			Type = n > 0 ? r.Str() : "";
			Whole = n > 1 && r.Bool();
			ListMessage.ReadRooms(r, n > 2 ? r.Array() : 0, Rooms);
			Gone.Clear();
			for (int left = n > 3 ? r.Array() : 0; left > 0; left--)
			{
				Gone.Add(r.Str());
			}
			r.Skip(n - 4);
		}
	}

	/// <summary>What a strict server tells of a message that came to nothing.</summary>
	sealed class RefusedMessage : News
	{
		public string Route, Text;
		public long Code;

		public override void Read(Reader r)
		{
			int n = r.Array();
			Route = n > 0 ? r.Str() : "";
			Code = n > 1 ? r.U32() : 0;
			Text = n > 2 ? r.Str() : "";
			r.Skip(n - 3);
		}
	}
}
