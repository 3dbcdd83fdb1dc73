// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>The client's view of its party. Client.Party returns it, always the same one.</summary>
	public sealed class Party
	{
		readonly Client client;

		internal Party(Client client)
		{
			this.client = client;
			State = new PartyState("");
			client.OnMessage("party.state", new Told<PartyState>(r => new PartyState(r)), m => Take(m.Value));
			client.OnMessage("party.invited", new Told<Invitation>(r => new Invitation(r)), m => client.Raise(OnInvited, m.Value));
		}

		/// <summary>The party. Never null: its Id is 0 without one.</summary>
		public PartyState State { get; private set; }

		/// <summary>Told whenever the party has changed. It runs where the handlers of Client.OnMessage do.</summary>
		public event Action<PartyState> OnChanged;

		/// <summary>Told of an invitation: Join or Decline it. It runs where OnChanged does.</summary>
		public event Action<Invitation> OnInvited;

		/// <summary>
		/// Invites a user, into a new party if there is none. Completes and fails as Client.Request does: with Refused if
		/// the user may not be invited, with Full if the party is full, with Busy if too many are invited.
		/// </summary>
		public Task Invite(string user, TimeSpan? timeout = null)
		{
			return Ask("party.invite", w => w.Str(user), timeout);
		}

		/// <summary>Accepts an invitation. Completes and fails as Invite does.</summary>
		public Task Join(ulong party, TimeSpan? timeout = null)
		{
			return Ask("party.join", w => w.UInt(party), timeout);
		}

		/// <summary>Declines an invitation. Completes and fails as Invite does.</summary>
		public Task Decline(ulong party, TimeSpan? timeout = null)
		{
			return Ask("party.decline", w => w.UInt(party), timeout);
		}

		/// <summary>Leaves the party. The lead passes on. Completes and fails as Invite does.</summary>
		public Task Leave(TimeSpan? timeout = null)
		{
			return Ask("party.leave", w => w.Nil(), timeout);
		}

		/// <summary>Takes a user out of the party that the player leads. Completes and fails as Invite does.</summary>
		public Task Kick(string user, TimeSpan? timeout = null)
		{
			return Ask("party.kick", w => w.Str(user), timeout);
		}

		/// <summary>Passes the lead to a user. Completes and fails as Invite does.</summary>
		public Task Lead(string user, TimeSpan? timeout = null)
		{
			return Ask("party.lead", w => w.Str(user), timeout);
		}

		/// <summary>
		/// Says whether the player is ready. It is not any more when somebody comes or goes. Completes and fails as
		/// Invite does.
		/// </summary>
		public Task Ready(bool ready, TimeSpan? timeout = null)
		{
			return Ask("party.ready", w => w.Bool(ready), timeout);
		}

		Task Ask(string route, Action<Writer> question, TimeSpan? timeout)
		{
			return client.Request(route, new Asked(question), new Nothing(), timeout);
		}

		void Take(PartyState state)
		{
			State = state;
			client.Raise(OnChanged, state);
		}

		internal void SessionEnded()
		{
			if (State.Id != 0)
			{
				Take(new PartyState("the session has ended"));
			}
		}
	}

	/// <summary>A party.</summary>
	public sealed class PartyState
	{
		/// <summary>What names it; 0: none.</summary>
		public readonly ulong Id;
		/// <summary>The user that leads it.</summary>
		public readonly string Leader = "";
		/// <summary>How many members it may have.</summary>
		public readonly int Size;
		/// <summary>Those that it has.</summary>
		public readonly PartyMember[] Members = new PartyMember[0];
		/// <summary>How it ended for the player, once Id is 0: "left", "kicked".</summary>
		public readonly string Why = "";

		internal PartyState(string why)
		{
			Why = why;
		}

		internal PartyState(Reader r)
		{
			int n = r.Array();
			Id = n > 0 ? r.UInt() : 0;
			Leader = n > 1 ? r.Str() : "";
			Size = n > 2 ? r.I32() : 0;
			List<PartyMember> members = new List<PartyMember>();
			for (int left = n > 3 ? r.Array() : 0; left > 0; left--)
			{
				members.Add(new PartyMember(r));
			}
			Members = members.ToArray();
			Why = n > 4 ? r.Str() : "";
			r.Skip(n - 5);
		}
	}

	/// <summary>A user of a party.</summary>
	public sealed class PartyMember
	{
		/// <summary>The user.</summary>
		public readonly string User;
		/// <summary>Reports that it has no link now. Its place is kept.</summary>
		public readonly bool Away;
		/// <summary>Reports that it is ready.</summary>
		public readonly bool Ready;

		internal PartyMember(Reader r)
		{
			int n = r.Array();
			User = n > 0 ? r.Str() : "";
			Away = n > 1 && r.Bool();
			Ready = n > 2 && r.Bool();
			r.Skip(n - 3);
		}
	}

	/// <summary>An invitation into a party.</summary>
	public sealed class Invitation
	{
		/// <summary>What Party.Join and Party.Decline take.</summary>
		public readonly ulong Party;
		/// <summary>The user that invites.</summary>
		public readonly string By;
		/// <summary>For how long it stands, from when it was told.</summary>
		public readonly TimeSpan Left;

		internal Invitation(Reader r)
		{
			int n = r.Array();
			Party = n > 0 ? r.UInt() : 0;
			By = n > 1 ? r.Str() : "";
			Left = n > 2 ? QueueTicket.Milliseconds(r) : TimeSpan.Zero;
			r.Skip(n - 3);
		}
	}

	/// <summary>The client's view of the users that it watches. Client.Friends returns it, always the same one.</summary>
	public sealed class Friends
	{
		readonly Client client;
		readonly List<UserState> all = new List<UserState>(); // by user

		internal Friends(Client client)
		{
			this.client = client;
			client.OnMessage("presence.changed", new Told<UserState>(r => new UserState(r)), m => Take(m.Value));
			client.OnMessage("presence.all", new Told<UserState[]>(UserState.ReadAll), m => Array.ForEach(m.Value, Take));
		}

		/// <summary>
		/// The users that are watched, by name. A view: it changes within Update. A loop with an index makes no garbage,
		/// foreach some.
		/// </summary>
		public IReadOnlyList<UserState> All { get { return all; } }

		/// <summary>Told when a user that is watched comes, goes, or does something else. It runs where the handlers of Client.OnMessage do.</summary>
		public event Action<UserState> OnChanged;

		/// <summary>Where a user is, null if it is not watched.</summary>
		public UserState Find(string user)
		{
			int i = Search(user);
			return i < 0 ? null : all[i];
		}

		/// <summary>
		/// Watches users, and returns where they are: those that the game lets the player watch. Watches end with the
		/// session: watch again when Opened comes. Completes and fails as Client.Request does: with Full if they are too
		/// many.
		/// </summary>
		public async Task<UserState[]> Watch(string[] users, TimeSpan? timeout = null)
		{
			UserState[] before = all.ToArray();
			return (await client.Request("presence.watch", Names(users), new Told<UserState[]>(r => Watched(r, before)), timeout)).Value;
		}

		// Takes the answer in its place among what the server tells.
		UserState[] Watched(Reader r, UserState[] before)
		{
			UserState[] told = UserState.ReadAll(r);
			foreach (UserState s in told)
			{
				int i = Search(s.User);
				if (i < 0)
				{
					all.Insert(~i, s);
				}
				else if (Array.IndexOf(before, all[i]) >= 0) // else it was told of meanwhile, perhaps after this
				{
					all[i] = s;
				}
			}
			return told;
		}

		/// <summary>Watches users no more, or nobody if users is null or empty. Completes and fails as Client.Request does.</summary>
		public Task Unwatch(string[] users = null, TimeSpan? timeout = null)
		{
			users = users ?? new string[0];
			return client.Request("presence.unwatch", Names(users), new Told<Nothing>(r => Unwatched(r, users)), timeout);
		}

		Nothing Unwatched(Reader r, string[] users)
		{
			r.Skip(1);
			all.RemoveAll(s => users.Length == 0 || Array.IndexOf(users, s.User) >= 0);
			return null;
		}

		static Asked Names(string[] users)
		{
			return new Asked(w =>
			{
				w.Array(users.Length);
				Array.ForEach(users, w.Str);
			});
		}

		void Take(UserState now)
		{
			int i = Search(now.User);
			bool news = i < 0 || all[i].Presence != now.Presence || all[i].Text != now.Text;
			if (i < 0)
			{
				all.Insert(~i, now);
			}
			else
			{
				all[i] = now;
			}
			if (news)
			{
				client.Raise(OnChanged, now);
			}
		}

		// Returns where a user is, or the complement of where it belongs.
		int Search(string user)
		{
			int low = 0, high = all.Count;
			while (low < high)
			{
				int middle = (low + high) / 2;
				int order = string.CompareOrdinal(all[middle].User, user);
				if (order == 0)
				{
					return middle;
				}
				if (order < 0)
				{
					low = middle + 1;
				}
				else
				{
					high = middle;
				}
			}
			return ~low;
		}

		internal void SessionEnded()
		{
			all.Clear();
		}
	}

	/// <summary>Where a user is.</summary>
	public enum Presence : byte
	{
		/// <summary>Has no session.</summary>
		Offline,
		/// <summary>Has a session without a link: it may come back any moment.</summary>
		Away,
		/// <summary>Is there.</summary>
		Online,
		/// <summary>Is there, and in a match.</summary>
		Playing,
	}

	/// <summary>Where a user is, and what the game says of it.</summary>
	public sealed class UserState
	{
		/// <summary>The user.</summary>
		public readonly string User;
		/// <summary>Where it is.</summary>
		public readonly Presence Presence;
		/// <summary>What the game says of it, as "ranked, 2:1".</summary>
		public readonly string Text;

		internal UserState(Reader r)
		{
			int n = r.Array();
			User = n > 0 ? r.Str() : "";
			Presence = n > 1 ? (Presence)r.U8() : Presence.Offline;
			Text = n > 2 ? r.Str() : "";
			r.Skip(n - 3);
		}

		internal static UserState[] ReadAll(Reader r)
		{
			List<UserState> all = new List<UserState>();
			for (int left = r.Array(); left > 0; left--)
			{
				all.Add(new UserState(r));
			}
			return all.ToArray();
		}
	}
}
