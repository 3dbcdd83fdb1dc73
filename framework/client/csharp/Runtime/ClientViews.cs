// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	// Matchmaking, parties and presence: framework/client/CLIENT.md 9. A game that asks for none of them has none.
	public sealed partial class Client
	{
		MatchQueue queue;
		Party party;
		Friends friends;

		/// <summary>
		/// The view of the server's matchmaking, always the same one. Ask for it before the first Update: what the server
		/// tells before that is lost. Throws ArgumentException if the app has a handler of its own for one of its routes.
		/// </summary>
		public MatchQueue Queue { get { return queue ?? (queue = new MatchQueue(this)); } }

		/// <summary>The view of the player's party, always the same one. Ask for it before the first Update, as for Queue.</summary>
		public Party Party { get { return party ?? (party = new Party(this)); } }

		/// <summary>The view of the users that the player watches, always the same one. Ask for it before the first Update, as for Queue.</summary>
		public Friends Friends { get { return friends ?? (friends = new Friends(this)); } }

		// Tells the views that the session is over.
		void EndViews()
		{
			if (queue != null)
			{
				queue.SessionEnded();
			}
			if (party != null)
			{
				party.SessionEnded();
			}
			if (friends != null)
			{
				friends.SessionEnded();
			}
		}
	}

	/// <summary>What the server tells is only ever read.</summary>
	abstract class News : IMessage
	{
		public abstract void Read(Reader r);

		public void Write(Writer w)
		{
			throw new NotSupportedException();
		}
	}

	/// <summary>What the server tells, as an object of its own each time: the app may keep it.</summary>
	sealed class Told<T> : News where T : class
	{
		readonly Func<Reader, T> read;
		public T Value;

		public Told(Func<Reader, T> read)
		{
			this.read = read;
		}

		public override void Read(Reader r)
		{
			Value = read(r);
		}
	}

	/// <summary>A question, as one call writes it.</summary>
	sealed class Asked : IMessage
	{
		readonly Action<Writer> write;

		public Asked(Action<Writer> write)
		{
			this.write = write;
		}

		public void Read(Reader r)
		{
			throw new NotSupportedException();
		}

		public void Write(Writer w)
		{
			write(w);
		}
	}
}
