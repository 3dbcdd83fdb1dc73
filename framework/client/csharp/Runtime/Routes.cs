// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>What the app does with the messages, or the requests, of one route. Disposed, it is in its table no more.</summary>
	abstract class RouteHandler : IDisposable
	{
		public readonly string Route;
		public readonly byte[] Name; // in UTF-8
		public RouteHandler Next;    // with the same hash
		public RouteTable Table;     // that it is in, null if in none

		protected RouteHandler(string route)
		{
			Route = route;
			Name = Encoding.UTF8.GetBytes(route);
		}

		/// <summary>Takes a payload. Of a request it returns the answer, or null if answering is not done yet.</summary>
		public abstract IMessage Handle(Reader payload, out Task pending);

		public void Dispose()
		{
			if (Table != null)
			{
				Table.Remove(this);
			}
		}

		/// <summary>The answer of a task that Handle returned, once that is done.</summary>
		public virtual IMessage Answer(Task task)
		{
			return null;
		}
	}

	sealed class MessageHandler<M> : RouteHandler where M : class, IMessage
	{
		readonly M message;
		readonly Action<M> handler;

		public MessageHandler(string route, M message, Action<M> handler) : base(route)
		{
			this.message = message;
			this.handler = handler;
		}

		public override IMessage Handle(Reader payload, out Task pending)
		{
			pending = null;
			message.Read(payload);
			handler(message);
			return null;
		}
	}

	sealed class RequestHandler<Q, A> : RouteHandler where Q : class, IMessage where A : class, IMessage
	{
		readonly Q question;
		readonly Func<Q, A> handler;

		public RequestHandler(string route, Q question, Func<Q, A> handler) : base(route)
		{
			this.question = question;
			this.handler = handler;
		}

		public override IMessage Handle(Reader payload, out Task pending)
		{
			pending = null;
			RequestRead.Question(question, payload);
			return handler(question);
		}
	}

	sealed class AsyncRequestHandler<Q, A> : RouteHandler where Q : class, IMessage where A : class, IMessage
	{
		readonly Q question;
		readonly Func<Q, Task<A>> handler;

		public AsyncRequestHandler(string route, Q question, Func<Q, Task<A>> handler) : base(route)
		{
			this.question = question;
			this.handler = handler;
		}

		public override IMessage Handle(Reader payload, out Task pending)
		{
			RequestRead.Question(question, payload);
			pending = handler(question);
			return null;
		}

		public override IMessage Answer(Task task)
		{
			return ((Task<A>)task).GetAwaiter().GetResult();
		}
	}

	static class RequestRead
	{
		/// <summary>Reads a question. One of another type is the asker's fault, and told so.</summary>
		public static void Question(IMessage question, Reader payload)
		{
			try
			{
				question.Read(payload);
			}
			catch (CodecException e)
			{
				throw new LifelineException(LifelineException.BadRequest, "payload does not fit: " + e.Message.Replace("codec: mismatch: ", ""));
			}
		}
	}

	/// <summary>
	/// Handlers by route. A route comes as a name in UTF-8, or as a number of the session's dictionary; neither
	/// is made a string of to find its handler.
	/// </summary>
	sealed class RouteTable
	{
		readonly Dictionary<uint, RouteHandler> byHash = new Dictionary<uint, RouteHandler>();
		string[] dictionary = new string[0];
		RouteHandler[] byNumber = new RouteHandler[0];

		/// <summary>Throws ArgumentException for a route that can't be, or has a handler already.</summary>
		public RouteHandler Add(RouteHandler h)
		{
			if (!Envelope.IsRouteName(h.Route))
			{
				throw new ArgumentException("lifeline: route \"" + h.Route + "\" has not 1 to 128 bytes");
			}
			if (Find(h.Name, 0, h.Name.Length) != null)
			{
				throw new ArgumentException("lifeline: route \"" + h.Route + "\" has a handler already");
			}
			uint hash = Hash(h.Name, 0, h.Name.Length);
			RouteHandler first;
			byHash.TryGetValue(hash, out first);
			h.Next = first;
			h.Table = this;
			byHash[hash] = h;
			Number();
			return h;
		}

		public void Remove(RouteHandler h)
		{
			uint hash = Hash(h.Name, 0, h.Name.Length);
			RouteHandler first = byHash[hash];
			if (first == h)
			{
				byHash[hash] = h.Next; // null: none
			}
			else
			{
				while (first.Next != h)
				{
					first = first.Next;
				}
				first.Next = h.Next;
			}
			h.Table = null;
			Number();
		}

		/// <summary>Takes over a dictionary, if it is another one.</summary>
		public void Learn(string[] routes)
		{
			if (dictionary != routes)
			{
				dictionary = routes;
				Number();
			}
		}

		void Number()
		{
			byNumber = new RouteHandler[dictionary.Length];
			for (int i = 0; i < dictionary.Length; i++)
			{
				byte[] name = Encoding.UTF8.GetBytes(dictionary[i]);
				byNumber[i] = Find(name, 0, name.Length);
			}
		}

		public RouteHandler Find(byte[] b, Envelope e)
		{
			if (e.RouteNumber >= 0)
			{
				return e.RouteNumber < byNumber.Length ? byNumber[e.RouteNumber] : null;
			}
			return Find(b, e.NameAt, e.NameLength);
		}

		RouteHandler Find(byte[] b, int at, int n)
		{
			RouteHandler h;
			byHash.TryGetValue(Hash(b, at, n), out h);
			while (h != null && !(h.Name.Length == n && ByteOps.Equal(h.Name, 0, b, at, n)))
			{
				h = h.Next;
			}
			return h;
		}

		// FNV-1a.
		static uint Hash(byte[] b, int at, int n)
		{
			uint hash = 2166136261;
			for (int i = at; i < at + n; i++)
			{
				hash = (hash ^ b[i]) * 16777619;
			}
			return hash;
		}
	}
}
