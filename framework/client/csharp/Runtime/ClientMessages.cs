// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Lifeline
{
	// Messages and requests, both ways.
	public sealed partial class Client
	{
		static readonly TimeSpan defaultTimeout = TimeSpan.FromSeconds(10);

		/// <summary>A request that waits for its answer.</summary>
		abstract class Call
		{
			public long Deadline;

			public abstract void Answer(Reader payload);
			public abstract void Fail(Exception e);
		}

		sealed class Call<A> : Call where A : class, IMessage
		{
			readonly A answer;
			readonly TaskCompletionSource<A> done = new TaskCompletionSource<A>();

			public Call(A answer)
			{
				this.answer = answer;
			}

			public Task<A> Task { get { return done.Task; } }

			public override void Answer(Reader payload)
			{
				try
				{
					answer.Read(payload);
				}
				catch (Exception e) // a Read of the app's own may throw anything
				{
					Fail(new LifelineException(LifelineException.Mismatch, e.Message));
					return;
				}
				done.TrySetResult(answer); // code that awaits it goes on in here
			}

			public override void Fail(Exception e)
			{
				done.TrySetException(e);
			}
		}

		/// <summary>A request of the server that a task is to answer.</summary>
		sealed class PendingAnswer
		{
			public ulong Id;
			public long Session; // in which it was asked: its id means nothing in another one
			public RouteHandler Handler;
			public Task Task;
		}

		// --- handlers

		/// <summary>
		/// Registers what takes the messages of a route. message is the object that each of them is read into: the
		/// handler copies what it keeps. Throws ArgumentException if the route has a handler already. Dispose what it
		/// returns to take the handler away, as when a scene ends.
		/// </summary>
		public IDisposable OnMessage<M>(string route, M message, Action<M> handler) where M : class, IMessage
		{
			return messages.Add(new MessageHandler<M>(route, message, handler));
		}

		/// <summary>
		/// Registers what answers the server's requests on a route. question is the object that each of them is read
		/// into. A LifelineException is the answer as it stands; any other one tells the server only that the
		/// handler failed. Dispose what it returns to take the handler away.
		/// </summary>
		public IDisposable OnRequest<Q, A>(string route, Q question, Func<Q, A> handler) where Q : class, IMessage where A : class, IMessage
		{
			return requests.Add(new RequestHandler<Q, A>(route, question, handler));
		}

		/// <summary>The same with an answer that takes time. The handler copies what it needs of question before its first await.</summary>
		public IDisposable OnRequestAsync<Q, A>(string route, Q question, Func<Q, Task<A>> handler) where Q : class, IMessage where A : class, IMessage
		{
			return requests.Add(new AsyncRequestHandler<Q, A>(route, question, handler));
		}

		// --- sending

		/// <summary>
		/// Sends a message. It reports false when too much waits already, or the client has ended. Without a link it
		/// waits to be sent. Throws CodecException if no server would take it.
		/// </summary>
		public bool Send(string route, IMessage message)
		{
			writer.Buffer.Clear();
			Envelope.BeginMessage(writer, NumberOf(route), route);
			PutPayload(message);
			return Push(PacketKind.Message) == SendResult.Ok;
		}

		/// <summary>
		/// Sends a message for the moment: what is overtaken by a later one on the same route, or lost, is of no use
		/// any more, as with inputs and positions. It goes outside of the stream where the link can do that (kcp://,
		/// and a route that the server has numbered), and else, or without a link, as Send does.
		/// </summary>
		public bool SendNewest(string route, IMessage message)
		{
			int number = NumberOf(route);
			if (closing || link == null || !link.Carrier.HasDatagrams || number < 0 || core.State != SessionState.Open)
			{
				return Send(route, message);
			}
			writer.Buffer.Clear();
			Envelope.BeginMessage(writer, number, route);
			PutPayload(message);
			datagram.Clear();
			Codec.AppendFrame(datagram, PacketKind.Datagram, HeartbeatFlags.None, 0, core.Ack, writer.Buffer.Bytes, writer.Buffer.Start, writer.Buffer.Length);
			if (!link.Carrier.WriteDatagram(clock(), datagram))
			{
				return Push(PacketKind.Message) == SendResult.Ok;
			}
			Stats.Sent++;
			Stats.BytesOut += datagram.Length;
			return true;
		}

		readonly ByteBuffer datagram = new ByteBuffer();

		/// <summary>
		/// Asks the server. The answer is read into answer, which is the task's result. The task completes in an
		/// Update, on its thread, and so does what awaits it. The request outlives lost links; only timeout bounds the
		/// wait, 10 s if it is absent, for ever if it is negative. Fails with a LifelineException. Throws CodecException
		/// for a route that can't be, or where Write writes not exactly one value.
		/// </summary>
		public Task<A> Request<A>(string route, IMessage question, A answer, TimeSpan? timeout = null) where A : class, IMessage
		{
			Call<A> call = new Call<A>(answer);
			ulong id = ++lastCall;
			writer.Buffer.Clear();
			Envelope.BeginRequest(writer, id, NumberOf(route), route);
			PutPayload(question);
			SendResult result;
			try
			{
				result = Push(PacketKind.Request);
			}
			catch (CodecException e) // it is too large for this server
			{
				call.Fail(new LifelineException(LifelineException.TooLarge, e.Message));
				return call.Task;
			}
			if (result != SendResult.Ok)
			{
				bool closed = result == SendResult.Closed;
				call.Fail(new LifelineException(closed ? LifelineException.Closed : LifelineException.QueueFull, closed ? "the client has ended" : "too much waits to be sent"));
				return call.Task;
			}
			long patience = ClientConfig.Nanoseconds(timeout ?? defaultTimeout, 0);
			call.Deadline = patience < 0 ? Nanos.Never : clock() + patience;
			callsDue = Math.Min(callsDue, call.Deadline);
			calls[id] = call;
			return call.Task;
		}

		// Writes the payload of an envelope, which must be exactly one value.
		void PutPayload(IMessage message)
		{
			ByteBuffer b = writer.Buffer;
			int before = b.Length;
			message.Write(writer);
			if (b.Length == before || Codec.SkipValue(b.Bytes, b.Start + before, b.End) != b.End)
			{
				throw new CodecException(CodecError.Trailing, message.GetType().Name + ".Write writes not exactly one value");
			}
		}

		SendResult Push(PacketKind kind)
		{
			SendResult result = closing || disposed ? SendResult.Closed : core.Send(kind, writer.Buffer.Bytes, writer.Buffer.Start, writer.Buffer.Length);
			if (result == SendResult.Ok)
			{
				Stats.Sent++;
			}
			return result;
		}

		// --- calls

		void ExpireCalls(long now)
		{
			if (now < callsDue)
			{
				return;
			}
			callsDue = Nanos.Never;
			expired.Clear();
			foreach (KeyValuePair<ulong, Call> c in calls)
			{
				if (now >= c.Value.Deadline)
				{
					expired.Add(c.Key);
				}
				else
				{
					callsDue = Math.Min(callsDue, c.Value.Deadline);
				}
			}
			foreach (ulong id in expired)
			{
				Call call;
				if (calls.TryGetValue(id, out call)) // code that awaits another one may have ended this one
				{
					calls.Remove(id);
					call.Fail(new LifelineException(LifelineException.Timeout, "no answer came in time"));
				}
			}
		}

		// Fails the calls up to the one with the id last.
		void FailCalls(long code, string text, ulong last)
		{
			ulong[] all = new ulong[calls.Count];
			calls.Keys.CopyTo(all, 0);
			foreach (ulong id in all)
			{
				Call call;
				if (id <= last && calls.TryGetValue(id, out call)) // code that awaits another one may have ended this one
				{
					calls.Remove(id);
					call.Fail(new LifelineException(code, text));
				}
			}
		}

		// --- receiving

		// Hands a packet to the app.
		void Deliver(Packet p)
		{
			Stats.Received++;
			try
			{
				switch (p.Kind)
				{
					case PacketKind.Response:
					case PacketKind.Failure:
						Answered(p);
						break;
					case PacketKind.Request:
						Asked(p);
						break;
					default:
						Pushed(p);
						break;
				}
			}
			catch (Exception e)
			{
				if (e is CodecException)
				{
					Stats.Dropped++;
					TellMalformed(p, e.Message);
				}
				Report(e);
			}
		}

		// A message that can't be read ends nothing. Its sender, or the code that waits for it, is told: session/SPEC.md 4.11.
		void TellMalformed(Packet p, string why)
		{
			ulong id;
			if (p.Kind < PacketKind.Request || p.Kind > PacketKind.Failure || !Envelope.TryId(p.Bytes, p.At, p.Length, out id))
			{
				return;
			}
			Call call;
			if (p.Kind == PacketKind.Request)
			{
				AnswerFailure(id, LifelineException.BadRequest, "malformed envelope");
			}
			else if (calls.TryGetValue(id, out call))
			{
				calls.Remove(id);
				call.Fail(new LifelineException(LifelineException.Mismatch, "malformed answer: " + why));
			}
		}

		void Pushed(Packet p)
		{
			Envelope e = Envelope.ParseMessage(p.Bytes, p.At, p.Length);
			RouteHandler h = messages.Find(p.Bytes, e);
			reader.Set(p.Bytes, e.PayloadAt, e.PayloadLength);
			if (h != null)
			{
				Task none;
				h.Handle(reader, out none);
			}
			else if (cfg.OnMessage != null)
			{
				cfg.OnMessage(NameOf(p.Bytes, e, routes), reader);
			}
			else
			{
				Stats.Dropped++;
			}
		}

		// Ids without a call are those of requests that have timed out.
		void Answered(Packet p)
		{
			bool failed = p.Kind == PacketKind.Failure;
			Envelope e = failed ? Envelope.ParseFailure(p.Bytes, p.At, p.Length) : Envelope.ParseResponse(p.Bytes, p.At, p.Length);
			Call call;
			if (!calls.TryGetValue(e.Id, out call))
			{
				return;
			}
			calls.Remove(e.Id);
			if (failed)
			{
				call.Fail(new LifelineException(e.Code, System.Text.Encoding.UTF8.GetString(p.Bytes, e.TextAt, e.TextLength)));
				return;
			}
			reader.Set(p.Bytes, e.PayloadAt, e.PayloadLength);
			call.Answer(reader);
		}

		// Answers a request of the server.
		void Asked(Packet p)
		{
			Envelope e = Envelope.ParseRequest(p.Bytes, p.At, p.Length);
			RouteHandler h = requests.Find(p.Bytes, e);
			if (h == null)
			{
				AnswerFailure(e.Id, LifelineException.NoRoute, "the client answers no such request: " + NameOf(p.Bytes, e, routes));
				return;
			}
			reader.Set(p.Bytes, e.PayloadAt, e.PayloadLength);
			long session = sessions;
			try
			{
				Task task;
				IMessage answer = h.Handle(reader, out task);
				if (task != null)
				{
					pending.Add(new PendingAnswer { Id = e.Id, Session = session, Handler = h, Task = task });
				}
				else if (session == sessions) // the handler may have ended it
				{
					AnswerWith(e.Id, answer);
				}
			}
			catch (Exception failed)
			{
				AnswerException(e.Id, session, failed);
			}
		}

		// Sends the answers of tasks that are done.
		void PollAnswers()
		{
			for (int i = 0; i < pending.Count; )
			{
				PendingAnswer a = pending[i];
				if (!a.Task.IsCompleted)
				{
					i++;
					continue;
				}
				pending.RemoveAt(i);
				try
				{
					IMessage answer = a.Handler.Answer(a.Task);
					if (a.Session == sessions)
					{
						AnswerWith(a.Id, answer);
					}
				}
				catch (Exception failed)
				{
					AnswerException(a.Id, a.Session, failed);
				}
			}
		}

		void AnswerWith(ulong id, IMessage answer)
		{
			writer.Buffer.Clear();
			Envelope.BeginResponse(writer, id);
			PutPayload(answer);
			Answer(PacketKind.Response);
		}

		void AnswerException(ulong id, long session, Exception failed)
		{
			LifelineException told = failed as LifelineException;
			if (told == null)
			{
				Report(failed);
			}
			if (session != sessions)
			{
				return;
			}
			if (told != null && told.Code > 0 && told.Code <= uint.MaxValue)
			{
				AnswerFailure(id, told.Code, told.Message);
			}
			else
			{
				AnswerFailure(id, LifelineException.Internal, "the client's handler failed");
			}
		}

		void AnswerFailure(ulong id, long code, string text)
		{
			writer.Buffer.Clear();
			Envelope.WriteFailure(writer, id, (uint)code, text);
			try
			{
				Answer(PacketKind.Failure);
			}
			catch (CodecException) // the text is too large for this server
			{
				if (text == "")
				{
					Stats.Dropped++; // it takes nothing
					return;
				}
				AnswerFailure(id, code, "");
			}
		}

		// An answer that can't be sent is not: the server's patience ends.
		void Answer(PacketKind kind)
		{
			if (Push(kind) != SendResult.Ok)
			{
				Stats.Dropped++;
			}
		}
	}
}
