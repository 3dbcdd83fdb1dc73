// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>
	/// The client's view of the server's matchmaking: a player waits in one queue at a time. Client.Queue returns it,
	/// always the same one. (Unity's scripts use System.Collections, which has a Queue.)
	/// </summary>
	public sealed class MatchQueue
	{
		readonly Client client;

		internal MatchQueue(Client client)
		{
			this.client = client;
			Ticket = new QueueTicket("");
			client.OnMessage("match.ticket", new Told<QueueTicket>(r => new QueueTicket(r)), m => Take(m.Value));
		}

		/// <summary>How it stands. Never null: its State is None in no queue.</summary>
		public QueueTicket Ticket { get; private set; }

		/// <summary>Told whenever the ticket has changed. It runs where the handlers of Client.OnMessage do.</summary>
		public event Action<QueueTicket> OnTicket;

		/// <summary>
		/// Waits for a match in a queue, with the player's party. OnTicket tells of what follows. Completes and fails as
		/// Client.Request does: with Refused if it waits already or has declined too often, with Busy if the queue is
		/// full, with InRoom if it is in such a room.
		/// </summary>
		public Task Enter(string queue, Wish wish = null, TimeSpan? timeout = null)
		{
			return client.Request("match.enter", new Asked(w => (wish ?? new Wish()).Write(w, queue)), new Nothing(), timeout);
		}

		/// <summary>
		/// Leaves the queue. Completes and fails as Client.Request does: with Refused if the player waits in none, or if
		/// the match begins already.
		/// </summary>
		public Task Cancel(TimeSpan? timeout = null)
		{
			return client.Request("match.cancel", new Nothing(), new Nothing(), timeout);
		}

		/// <summary>
		/// Accepts the match of a ticket that is Proposed. Completes and fails as Client.Request does: with Refused if it
		/// is too late.
		/// </summary>
		public Task Accept(ulong match, TimeSpan? timeout = null)
		{
			return Answer(match, true, timeout);
		}

		/// <summary>
		/// Declines it. The party is out of the queue, and the game may let it wait before it enters again. Completes and
		/// fails as Accept does.
		/// </summary>
		public Task Decline(ulong match, TimeSpan? timeout = null)
		{
			return Answer(match, false, timeout);
		}

		Task Answer(ulong match, bool accept, TimeSpan? timeout)
		{
			Asked answer = new Asked(w =>
			{
				w.Array(2);
				w.UInt(match);
				w.Bool(accept);
			});
			return client.Request("match.answer", answer, new Nothing(), timeout);
		}

		void Take(QueueTicket ticket)
		{
			Ticket = ticket;
			client.Raise(OnTicket, ticket);
		}

		internal void SessionEnded()
		{
			if (Ticket.State != TicketState.None)
			{
				Take(new QueueTicket("the session has ended"));
			}
		}
	}

	/// <summary>
	/// What a player asks for.
	/// <code>new Wish { Regions = { { "eu", 20 } }, Fields = { { "mode", "ice" } } }</code>
	/// </summary>
	public sealed class Wish
	{
		/// <summary>Where the player would play, at most 16: the round trip to each in milliseconds, 0 if it was not measured.</summary>
		public readonly Dictionary<string, int> Regions = new Dictionary<string, int>();
		/// <summary>What else the game's server reads, as a mode or a role: at most 16, of 64 bytes each.</summary>
		public readonly Dictionary<string, string> Fields = new Dictionary<string, string>();

		internal void Write(Writer w, string queue)
		{
			w.Array(3);
			w.Str(queue);
			w.Array(Regions.Count);
			foreach (KeyValuePair<string, int> region in Regions)
			{
				w.Array(2);
				w.Str(region.Key);
				w.Int(Math.Max(region.Value, 0));
			}
			w.Array(Fields.Count);
			foreach (KeyValuePair<string, string> field in Fields)
			{
				w.Array(2);
				w.Str(field.Key);
				w.Str(field.Value);
			}
		}
	}

	/// <summary>What a player waits for.</summary>
	public enum TicketState : byte
	{
		/// <summary>In no queue. Why and Text say why, if it was in one.</summary>
		None,
		/// <summary>For others.</summary>
		Waiting,
		/// <summary>For all to accept: MatchQueue.Accept.</summary>
		Proposed,
		/// <summary>For the room.</summary>
		Seating,
		/// <summary>In the room, or on the way into it.</summary>
		Matched,
	}

	/// <summary>Why a ticket waits again, or is over. A newer server may have more reasons: Text says all of them.</summary>
	public enum TicketWhy : byte
	{
		/// <summary>Neither.</summary>
		None,
		/// <summary>A member of the party has cancelled.</summary>
		Cancelled,
		/// <summary>A player has declined the match.</summary>
		Declined,
		/// <summary>A player has not answered in time.</summary>
		NotAnswered,
		/// <summary>A member of the party had no link for too long.</summary>
		ConnectionLost,
		/// <summary>The session of a member of the party has ended.</summary>
		Left,
		/// <summary>The match could not begin.</summary>
		NotBegun,
	}

	/// <summary>How it stands with a player that waits. Times are as of when it was told.</summary>
	public sealed class QueueTicket
	{
		/// <summary>The name of the queue.</summary>
		public readonly string Queue = "";
		/// <summary>What the player waits for.</summary>
		public readonly TicketState State;
		/// <summary>How many tickets are older.</summary>
		public readonly int Before;
		/// <summary>How long tickets have waited of late; zero: not known.</summary>
		public readonly TimeSpan Usual;
		/// <summary>How long this one had waited.</summary>
		public readonly TimeSpan Waited;
		/// <summary>The match to accept or decline, once Proposed.</summary>
		public readonly ulong Match;
		/// <summary>How many players the match has.</summary>
		public readonly int Players;
		/// <summary>How many of them have accepted.</summary>
		public readonly int Accepted;
		/// <summary>Whether this player has.</summary>
		public readonly bool You;
		/// <summary>How long there is to accept.</summary>
		public readonly TimeSpan Left;
		/// <summary>Why the ticket has come back or is over.</summary>
		public readonly TicketWhy Why;
		/// <summary>The same in words, empty at first.</summary>
		public readonly string Text = "";
		/// <summary>The type of the room, once Matched.</summary>
		public readonly string Type = "";
		/// <summary>The key of the room, once Matched.</summary>
		public readonly string Key = "";

		internal QueueTicket(string text)
		{
			Text = text;
		}

		internal QueueTicket(Reader r)
		{
			int n = r.Array();
			Queue = n > 0 ? r.Str() : "";
			State = n > 1 ? (TicketState)r.U8() : TicketState.None;
			Before = n > 2 ? r.I32() : 0;
			Usual = n > 3 ? Milliseconds(r) : TimeSpan.Zero;
			Waited = n > 4 ? Milliseconds(r) : TimeSpan.Zero;
			Match = n > 5 ? r.UInt() : 0;
			Players = n > 6 ? r.I32() : 0;
			Accepted = n > 7 ? r.I32() : 0;
			You = n > 8 && r.Bool();
			Left = n > 9 ? Milliseconds(r) : TimeSpan.Zero;
			Why = n > 10 ? (TicketWhy)r.U8() : TicketWhy.None;
			Text = n > 11 ? r.Str() : "";
			Type = n > 12 ? r.Str() : "";
			Key = n > 13 ? r.Str() : "";
			r.Skip(n - 14);
		}

		internal static TimeSpan Milliseconds(Reader r)
		{
			return TimeSpan.FromTicks(r.U32() * TimeSpan.TicksPerMillisecond);
		}
	}
}
