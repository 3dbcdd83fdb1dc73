// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Net;
using System.Reflection;
using System.Text;
using System.Threading.Tasks;

namespace Lifeline.Tests
{
	/// <summary>The polled client against a server that the test plays, on a clock that the test moves.</summary>
	static class ClientTests
	{
		public static void Run(Check check)
		{
			check.Run("client life", () => Life(check));
			check.Run("client messages", () => Messages(check));
			check.Run("another schema", () => OtherSchema(check));
			check.Run("client requests", () => Requests(check));
			check.Run("client asked", () => Asked(check));
			check.Run("client throws", () => Throws(check));
			check.Run("client handlers", () => Handlers(check));
			check.Run("client undelivered", () => NotDelivered(check));
			check.Run("client between sessions", () => BetweenSessions(check));
			check.Run("client tickets", () => Tickets(check));
			check.Run("client ticket of one login", () => TicketOfOneLogin(check, 4, 0));
			check.Run("client ticket of one login, slow", () => TicketOfOneLogin(check, 20, 1));
			check.Run("client ticket repeated", () => TicketRepeated(check));
			check.Run("client ticket too large", () => TicketTooLarge(check));
			check.Run("client attempts", () => Attempts(check));
			check.Run("client attempts that end", () => AttemptsThatEnd(check));
			check.Run("client malformed", () => Malformed(check));
			check.Run("client hostile", () => Hostile(check));
			check.Run("client order", () => Order(check));
			check.Run("client moved", () => Moved(check));
			check.Run("client background", () => Background(check));
			check.Run("client dispose", () => Dispose(check));
			check.Run("client configuration", () => Configuration(check));
			check.Run("addresses", () => Addresses(check));
			check.Run("address book", () => Book(check));
			check.Run("resolver", () => Resolve(check));
		}

		static void Life(Check check)
		{
			World w = new World();
			Task open = w.Client.WhenOpen();
			w.Login();
			check.That(open.Status == TaskStatus.RanToCompletion && w.Client.Connected, "not open");
			check.Equal(w.History, "Opened", "login");
			check.Equal(w.Client.Id, Hex.Encode(World.Sid), "id");
			string said = w.Heard();
			check.That(said.StartsWith("Hello ", StringComparison.Ordinal) && said.EndsWith("Heartbeat", StringComparison.Ordinal), said);
			w.Socket.Broken = true;
			w.Client.Update();
			check.Equal(w.History, "Lost 1", "the socket broke");
			check.Equal(w.LastEvent.Reason.Text, "the WebSocket closed with status 1006", "why");
			w.Client.Update();
			check.Equal(w.Sockets.Count, 2, "sockets");
			w.Greet();
			w.Client.Update();
			w.Resumed(0);
			w.Client.Update();
			check.Equal(w.History, "Resumed", "back");
			w.End(PacketKind.Bye, CloseCode.Kicked, "bad manners");
			w.Client.Update();
			check.Equal(w.History, "Closed 200", "kicked");
			check.That(w.LastEvent.Reason.Text == "bad manners" && w.LastEvent.Reason.Remote && w.Client.Ended, "why");
			w.Advance(Nanos.Second);
			check.Equal(w.Sockets.Count, 2, "sockets after the end");
			check.That(w.Client.Idle && !w.Client.Send("x", new Nothing()), "it is not at its end");
			check.Equal(w.Failures.Count, 0, "failures");
		}

		// A server of another version is asked what does not fit, and the app learns it by name.
		static void OtherSchema(Check check)
		{
			const string text = "push said string\n", other = "schema.0123456789abcdef";
			World w = new World("ws://a/", new ClientConfig { Schema = text });
			w.Login("said", other);
			string question = w.Heard();
			check.That(question.EndsWith("Request 930101b170757368207361696420737472696e670a", StringComparison.Ordinal), "the question: " + question);
			w.Say(PacketKind.Response, r => { r.Array(2); r.UInt(1); r.Array(1); r.Str("push said: the client has string, the server int"); }, 1);
			w.Client.Update();
			check.That(w.Failures.Count == 1 && ((SchemaException)w.Failures[0]).Problems[0].StartsWith("push said: ", StringComparison.Ordinal), "it is told");
			foreach (string same in new[] { Client.SchemaName(text), "schema.other" })
			{
				w = new World("ws://a/", new ClientConfig { Schema = text });
				w.Login("said", same);
				check.That(w.Heard().IndexOf("Request", StringComparison.Ordinal) < 0, "asked about " + same);
			}
			w = new World("ws://a/", new ClientConfig { Schema = new string('x', 600) });
			w.MaxBody = 512;
			w.Login(other);
			check.That(w.Failures.Count == 1 && w.Failures[0] is LifelineException && w.Client.Connected, "a text that the server does not take");
			check.Equal(Client.SchemaName(""), "schema.e3b0c44298fc1c14", "name");
		}

		static void Messages(Check check)
		{
			List<string> other = new List<string>();
			World w = new World("ws://a/", new ClientConfig { OnMessage = (route, r) => other.Add(route + "=" + r.UInt()) });
			ulong got = 0;
			w.Client.OnMessage("said", new Count(), m => got = got * 10 + m.N);
			w.Client.Send("early", new Count { N = 1 }); // waits for the session
			w.Login("move", "said");
			check.That(w.Heard().EndsWith("Message 92a56561726c7901", StringComparison.Ordinal), "what was sent before the login");
			w.Push("said", 1);
			w.Push(r => r.UInt(1), 2); // by its number
			w.Push("unknown", 3);
			w.Push(r => r.UInt(99), 4);
			w.Client.Update();
			check.Equal((long)got, 12, "heard");
			check.Equal(string.Join(" ", other.ToArray()), "unknown=3 #99=4", "without a handler");
			w.Client.Send("move", new Count { N = 5 });
			w.Client.Send("fire", new Count { N = 6 });
			check.Equal(w.Heard(), "", "nothing is written outside of Update and Flush");
			w.Client.Flush();
			check.Equal(w.Heard(), "Message 920005, Message 92a46669726506", "by number and by name");
			w.Client.SendNewest("move", new Count { N = 7 });
			w.Client.Update();
			check.Equal(w.Heard(), "Message 920007", "newest on a carrier without datagrams");
			Throws<CodecException>(check, () => w.Client.Send("", new Nothing()));
			Throws<CodecException>(check, () => w.Client.Send(new string('x', 129), new Nothing()));
			Throws<CodecException>(check, () => w.Client.Send("two", new Two()));
			Throws<CodecException>(check, () => w.Client.Send("big", new Big()));
			Throws<ArgumentException>(check, () => w.Client.OnMessage("said", new Count(), m => { }));
			w.Client.Update();
			check.Equal(w.Heard(), "", "what was refused is not sent");
			int sent = 0;
			while (w.Client.Send("fire", new Nothing()))
			{
				sent++;
			}
			check.Equal(w.Client.QueuedPackets, 1024, "packets that wait"); // none was acknowledged
			check.That(sent > 1000, "sent " + sent);
		}

		sealed class Two : IMessage
		{
			public void Read(Reader r)
			{
			}

			public void Write(Writer w)
			{
				w.Nil();
				w.Nil();
			}
		}

		sealed class Picky : IMessage
		{
			public void Read(Reader r)
			{
				throw new FormatException("no");
			}

			public void Write(Writer w)
			{
				w.Nil();
			}
		}

		sealed class Big : IMessage
		{
			public void Read(Reader r)
			{
			}

			public void Write(Writer w)
			{
				w.Bin(new byte[70000]);
			}
		}

		static void Throws<E>(Check check, Action a) where E : Exception
		{
			try
			{
				a();
				check.Fail("no " + typeof(E).Name);
			}
			catch (E)
			{
				check.Passed++;
			}
		}

		// What a failed task failed with.
		static long Code(Task t)
		{
			LifelineException e = t.Exception == null ? null : t.Exception.InnerException as LifelineException;
			return e == null ? 0 : e.Code;
		}

		static void Requests(Check check)
		{
			World w = new World();
			w.Login();
			w.Heard();
			Count answer = new Count();
			Task<Count> one = w.Client.Request("a", new Count { N = 1 }, answer);
			Task<Count> two = w.Client.Request("b", new Nothing(), new Count());
			Task<Count> late = w.Client.Request("c", new Nothing(), new Count(), TimeSpan.FromSeconds(1));
			int awaited = 0;
			Await(one, () => awaited++);
			w.Client.Update();
			check.Equal(w.Heard(), "Request 9301a16101, Request 9302a162c0, Request 9303a163c0", "asked");
			w.Answer(1, 42);
			w.Fail(2, 1001, "no");
			check.That(!one.IsCompleted, "answered before Update");
			w.Client.Update();
			check.That(one.Result == answer && answer.N == 42 && awaited == 1, "what awaits it did not go on in Update");
			check.Equal(Code(two), 1001, "failure");
			check.Equal(two.Exception.InnerException.Message, "no", "text");
			w.Advance(999 * Nanos.Millisecond);
			check.That(!late.IsCompleted, "too early");
			w.Advance(2 * Nanos.Millisecond);
			check.Equal(Code(late), LifelineException.Timeout, "no answer");
			w.Answer(3, 1); // nobody waits for it
			w.Answer(99, 1);
			w.Client.Update();
			check.Equal(w.Failures.Count, 0, "failures");
			// Of another type.
			Task<Hero> hero = w.Client.Request("d", new Nothing(), new Hero());
			w.Client.Update();
			w.Answer(4, 1);
			w.Client.Update();
			check.Equal(Code(hero), LifelineException.Mismatch, "another type");
			Task<Picky> picky = w.Client.Request("d", new Nothing(), new Picky());
			w.Client.Update();
			w.Answer(5, 1);
			w.Client.Update();
			check.Equal(Code(picky), LifelineException.Mismatch, "an answer whose Read throws");
			check.Equal(Code(w.Client.Request("e", new Big(), new Count())), LifelineException.TooLarge, "a question that is too large");
			check.Equal(Code(w.Client.Room("a").List(new string('x', 70000))), LifelineException.TooLarge, "a filter that is too large");
			// It outlives its link, and not its session.
			Task<Count> kept = w.Client.Request("e", new Nothing(), new Count());
			Task<Count> lost = w.Client.Request("f", new Nothing(), new Count());
			w.Client.Update();
			w.Heard();
			long accepted = w.Accepted;
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Resumed(accepted);
			w.Client.Update();
			w.Answer(8, 7);
			w.Client.Update();
			check.That(kept.Result.N == 7 && !lost.IsCompleted, "across a lost link");
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Reset(100, accepted);
			w.Client.Update();
			check.Equal(Code(lost), LifelineException.Reset, "reset");
			Task<Count> last = w.Client.Request("g", new Nothing(), new Count());
			w.Client.Close();
			check.That(!w.Client.Send("x", new Nothing()) && w.Heard().IndexOf("Request", StringComparison.Ordinal) >= 0, "after Close");
			check.That(!w.Client.Ended, "it does not wait for the server");
			w.Advance(200 * Nanos.Millisecond);
			check.That(w.Client.Ended && w.LastEvent.Undelivered.Count == 1, "it waits for ever");
			check.Equal(Code(last), LifelineException.Reset, "closed");
			check.Equal(Code(w.Client.Request("h", new Nothing(), new Count())), LifelineException.Closed, "after the end");
		}

		static async void Await(Task t, Action then)
		{
			await t;
			then();
		}

		static void Asked(Check check)
		{
			World w = new World();
			TaskCompletionSource<Count> slow = new TaskCompletionSource<Count>();
			w.Client.OnRequest("double", new Count(), q => new Count { N = 2 * q.N });
			w.Client.OnRequest("refuse", new Count(), new Func<Count, Count>(q => { throw new LifelineException(1007, "not today"); }));
			w.Client.OnRequest("break", new Count(), new Func<Count, Count>(q => { throw new Exception("a secret of the client"); }));
			w.Client.OnRequestAsync("slow", new Count(), q => slow.Task);
			w.Login();
			w.Heard();
			w.Ask(1, "double", p => p.UInt(21));
			w.Ask(2, "refuse", p => p.UInt(1));
			w.Ask(3, "nobody", p => p.UInt(1));
			w.Ask(4, "double", p => p.Str("x"));
			w.Ask(5, "break", p => p.UInt(1));
			w.Ask(6, "slow", p => p.UInt(1));
			w.Client.Update();
			string[] said = w.Heard().Split(new[] { ", " }, StringSplitOptions.None);
			check.Equal(said.Length, 5, "answers");
			check.Equal(said[0], "Response 92012a", "answer");
			check.Equal(said[1], "Failure 9302cd03efa96e6f7420746f646179", "refusal");
			check.That(said[2].StartsWith("Failure 930302", StringComparison.Ordinal), "no route: " + said[2]);
			check.That(said[3].StartsWith("Failure 930403", StringComparison.Ordinal), "bad request: " + said[3]);
			check.That(said[4].StartsWith("Failure 930501", StringComparison.Ordinal) && said[4].IndexOf("736563726574", StringComparison.Ordinal) < 0, "a secret was told: " + said[4]);
			check.Equal(w.Failures.Count, 1, "failures");
			slow.SetResult(new Count { N = 9 });
			w.Client.Flush();
			check.Equal(w.Heard(), "Response 920609", "the slow one, in the frame in which it is done");
			// In another session its id is another request's.
			slow = new TaskCompletionSource<Count>();
			w.Ask(7, "slow", p => p.UInt(1));
			w.Client.Update();
			w.Heard();
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.End(PacketKind.Refused, CloseCode.Unknown);
			w.Client.Update();
			w.Welcome();
			w.Client.Update();
			w.Heard();
			slow.SetResult(new Count { N = 9 });
			w.Client.Update();
			w.Client.Update();
			check.Equal(w.Heard(), "", "an answer to a request of another session");
			// A text that the server does not take is left out.
			w = new World { MaxBody = 512 };
			w.Client.OnRequest("refuse", new Count(), new Func<Count, Count>(q => { throw new LifelineException(1007, new string('x', 600)); }));
			slow = new TaskCompletionSource<Count>();
			w.Client.OnRequestAsync("slow", new Count(), q => slow.Task);
			w.Login();
			w.Heard();
			w.Ask(1, "refuse", p => p.UInt(1));
			w.Ask(2, "slow", p => p.UInt(1));
			w.Client.Update();
			slow.SetException(new LifelineException(1007, new string('x', 600)));
			w.Client.Update();
			check.Equal(w.Heard(), "Failure 9301cd03efa0, Failure 9302cd03efa0", "refusals with a long text");
			// A code that is none is no other one.
			w.Client.OnRequest("none", new Count(), new Func<Count, Count>(q => { throw new LifelineException((1L << 32) + 1007, "no"); }));
			w.Ask(3, "none", p => p.UInt(1));
			w.Client.Update();
			check.That(w.Heard().StartsWith("Failure 930301", StringComparison.Ordinal), "a code of more than 32 bits");
		}

		static void Throws(Check check)
		{
			World w = new World();
			int heard = 0;
			w.Client.OnMessage("said", new Count(), m =>
			{
				heard++;
				if (m.N == 1)
				{
					throw new InvalidOperationException("no");
				}
			});
			w.Login();
			w.Push("said", 1);
			w.Push(r => r.Str("said"), 2);
			w.Say(PacketKind.Message, b => { b.Array(2); b.Str("said"); b.Str("x"); }, 3);
			w.Client.Update();
			check.Equal(heard, 2, "heard");
			check.That(w.Failures.Count == 2 && w.Failures[0] is InvalidOperationException && w.Failures[1] is CodecException, "failures");
			check.Equal(w.Client.Stats.Dropped, 1, "dropped");
			check.That(w.Client.Connected, "the session did not survive it");
			// Without a subscriber Update throws, when all is done.
			World quiet = new World();
			Client c = new Client("ws://a/", new ClientConfig { Now = () => quiet.Now, OpenWebSocket = url => { quiet.Sockets.Add(new FakeSocket(url)); return quiet.Socket; } });
			c.OnEvent += e => { throw new TimeZoneNotFoundException(); };
			c.Update();
			quiet.Greet();
			c.Update();
			quiet.Welcome();
			Throws<TimeZoneNotFoundException>(check, c.Update);
			c.Update();
			check.That(c.Connected, "the session did not survive it");
		}

		// What the app does within a handler is done when the handler has returned.
		static void Handlers(Check check)
		{
			World w = new World();
			int calls = 0;
			w.Client.OnMessage("said", new Count(), m =>
			{
				calls++;
				Throws<InvalidOperationException>(check, w.Client.Update);
				w.Client.Send("reply", m);
				w.Client.Flush();
				check.Equal(w.Heard(), "", "written within a handler");
				if (m.N == 2)
				{
					w.Client.Cut();
				}
				if (m.N == 3)
				{
					w.Client.Close();
				}
			});
			w.Login();
			w.Heard();
			w.Push("said", 1);
			w.Push("said", 2);
			w.Push("said", 9); // on a link that the handler left
			FakeSocket first = w.Socket;
			w.Client.Update();
			check.Equal(calls, 2, "calls");
			check.Equal(w.Heard(first), "", "written to a link that was cut");
			check.Equal(w.History, "Opened, Lost 1", "cut");
			check.That(!first.Closed, "closing would tell the server");
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Heard();
			w.Resumed(0);
			w.Client.Update();
			check.Equal(w.Heard(), "Heartbeat, Message 92a57265706c7901, Message 92a57265706c7902", "written again, behind the first ping");
			w.Say(PacketKind.Message, b => { b.Array(2); b.Str("said"); b.UInt(3); }, 3);
			w.Client.Update();
			check.Equal(w.Heard(), "Heartbeat, Message 92a57265706c7903", "what was sent comes before the goodbye");
			w.Say(PacketKind.Heartbeat, null);
			w.Client.Update();
			check.That(w.Heard().StartsWith("Bye ", StringComparison.Ordinal) && w.Socket.Closed, "the goodbye");
			check.Equal(w.History, "Resumed, Closed 106", "closed");
			check.Equal(w.LastEvent.Undelivered.Count, 0, "undelivered");
			check.That(first.Closed, "a socket stayed open");
			World cut = new World();
			cut.Client.OnEvent += e => { if (e.Kind == ClientEventKind.Closed) { cut.Client.Cut(); } };
			cut.Login();
			cut.Heard();
			cut.Client.Close();
			cut.Client.Update();
			check.That(cut.Client.Idle && cut.Socket.Closed && cut.Heard().IndexOf("Bye ", StringComparison.Ordinal) >= 0, "cut at its end");
		}

		static void NotDelivered(Check check)
		{
			World w = new World();
			w.Login("a");
			w.Heard();
			w.Client.Send("a", new Count { N = 1 });
			w.Client.Send("b", new Count { N = 2 });
			Task<Count> r = w.Client.Request("c", new Count { N = 3 }, new Count());
			w.Client.Update();
			w.Heard();
			w.Accepted = 1;
			w.Say(PacketKind.Heartbeat, null);
			w.End(PacketKind.Bye, CloseCode.TooOld);
			w.Client.Update();
			check.Equal(w.History, "Opened, Lost 105, Gone 105", "gone");
			List<string> left = new List<string>();
			foreach (Undelivered u in w.LastEvent.Undelivered)
			{
				left.Add(u.Route + (u.Request ? "? " : " ") + Hex.Encode(u.Payload));
			}
			check.Equal(string.Join(", ", left.ToArray()), "b 02, c? 03", "undelivered");
			check.Equal(Code(r), LifelineException.Reset, "the request");
			// The next session begins anew, by itself.
			w.Advance(3 * Nanos.Second);
			w.Greet();
			w.Client.Update();
			check.That(w.Heard().StartsWith("Hello", StringComparison.Ordinal), "no login");
		}

		// What the app sends when it hears that a session is over is of the next one, whose server may number its routes
		// otherwise.
		static void BetweenSessions(Check check)
		{
			World w = new World();
			w.Login("fire", "buy");
			w.Client.OnEvent += e =>
			{
				if (e.Kind == ClientEventKind.Lost)
				{
					w.Client.Send("buy", new Count { N = 1 });
				}
			};
			After(w.Client.Request("fire", new Count { N = 2 }, new Count()), () => w.Client.Send("fire", new Count { N = 3 }));
			w.Client.Update();
			w.Heard();
			w.End(PacketKind.Bye, CloseCode.TooOld);
			w.Client.Update();
			check.Equal(w.History, "Opened, Lost 105, Gone 105", "events");
			check.Equal(w.LastEvent.Undelivered.Count == 1 ? w.LastEvent.Undelivered[0].Route : "", "fire", "undelivered");
			w.Advance(3 * Nanos.Second);
			w.Greet();
			w.Client.Update();
			w.Heard();
			w.Welcome("buy", "fire");
			w.Client.Update();
			check.Equal(w.Heard(), "Heartbeat, Message 92a362757901, Message 92a46669726503", "by their names");
			// A request of then is answered in it.
			w = new World();
			w.Login();
			Task<Count> asked = null;
			w.Client.OnEvent += e =>
			{
				if (e.Kind == ClientEventKind.Lost)
				{
					asked = w.Client.Request("buy", new Count { N = 1 }, new Count());
				}
			};
			w.End(PacketKind.Bye, CloseCode.TooOld);
			w.Client.Update();
			check.That(!asked.IsCompleted, "it failed, and is sent nevertheless");
			w.Advance(3 * Nanos.Second);
			w.Greet();
			w.Client.Update();
			w.Welcome();
			w.Client.Update();
			w.Answer(1, 42);
			w.Client.Update();
			check.That(asked.IsCompleted && asked.Result.N == 42, "its answer");
		}

		static async void After(Task t, Action then)
		{
			try
			{
				await t;
			}
			catch (LifelineException)
			{
				then();
			}
		}

		static void Tickets(Check check)
		{
			Queue<TaskCompletionSource<byte[]>> asked = new Queue<TaskCompletionSource<byte[]>>();
			World w = new World("ws://a/", new ClientConfig
			{
				Ticket = () =>
				{
					asked.Enqueue(new TaskCompletionSource<byte[]>());
					return asked.Peek().Task;
				},
			});
			w.Client.Update();
			w.Client.Update();
			check.That(asked.Count == 1 && w.Sockets.Count == 0, "dialed without a ticket");
			asked.Dequeue().SetException(new Exception("no account server"));
			w.Client.Update();
			check.That(w.Failures.Count == 1 && w.Sockets.Count == 0, "a ticket that failed");
			w.Advance(Nanos.Second);
			check.Equal(asked.Count, 1, "tickets after a while");
			asked.Dequeue().SetResult(Encoding.ASCII.GetBytes("ann"));
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			check.That(w.Heard().IndexOf("c403616e6e", StringComparison.Ordinal) > 0, "no ticket in HELLO");
			w.Welcome();
			w.Client.Update();
			// The session is gone when the client comes back: another ticket, on the same link.
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Heard();
			w.End(PacketKind.Refused, CloseCode.Unknown);
			w.Client.Update();
			w.Client.Update();
			check.That(asked.Count == 1 && w.Heard() == "", "a login without another ticket");
			asked.Dequeue().SetResult(Encoding.ASCII.GetBytes("bob"));
			w.Client.Update();
			check.That(w.Heard().IndexOf("c403626f62", StringComparison.Ordinal) > 0, "no new ticket in HELLO");
			w.Welcome();
			w.Client.Update();
			check.Equal(w.History, "Failed 1, Opened, Lost 1, Gone 100, Opened", "events");
			check.Equal(w.Sockets.Count, 2, "sockets");
			// A session that is resumed needs none, at the second attempt either.
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.End(PacketKind.Refused, CloseCode.Stale);
			w.Client.Update();
			w.Resumed(0);
			w.Client.Update();
			check.That(w.History == "Lost 1, Resumed" && asked.Count == 0, "a ticket to resume");
			// After a refused login the next one has another ticket. One that was put off repeats its own.
			int calls = 0;
			w = new World("ws://a/", new ClientConfig { Ticket = () => Task.FromResult(new[] { (byte)++calls }) });
			foreach (uint code in new uint[] { CloseCode.Busy, CloseCode.Internal, 0 })
			{
				w.Advance(Nanos.Second);
				w.Greet();
				w.Client.Update();
				check.That(w.Heard().IndexOf("c401" + (code == 0 ? "02" : "01"), StringComparison.Ordinal) > 0, "the ticket of the login before " + code);
				w.End(PacketKind.Refused, code);
				w.Client.Update();
			}
		}

		// A ticket is for one login, also where the minute of that ends while a link is dialled. A dial that takes
		// longer than a ticket is fetched ahead says nothing, and fails.
		static void TicketOfOneLogin(Check check, int seconds, int failures)
		{
			byte drawn = 0, calls = 0;
			World w = new World("ws://a/", new ClientConfig
			{
				Random = b => { for (int i = 0; i < b.Length; b[i++] = ++drawn) { } }, DialTimeout = TimeSpan.FromMinutes(1),
				MinDelay = TimeSpan.FromMilliseconds(1), MaxDelay = TimeSpan.FromMilliseconds(1),
				Ticket = () => Task.FromResult(new[] { ++calls }),
			});
			HashSet<string> logins = new HashSet<string>(), tickets = new HashSet<string>();
			long dialed = 0;
			bool first = true;
			w.OnOpen = s => { s.Open = false; dialed = w.Now; };
			for (long end = w.Now + 90 * Nanos.Second; w.Now < end; w.Advance(10 * Nanos.Millisecond))
			{
				w.Client.Update();
				if (w.Sockets.Count == 0 || w.Socket.Open || !first && w.Now < dialed + seconds * Nanos.Second)
				{
					continue;
				}
				first = false;
				w.Socket.Open = true;
				w.Greet();
				w.Client.Update();
				string said = w.Heard(); // kind, head, version, nonce, opening id, ticket
				if (said == "")
				{
					continue;
				}
				logins.Add(said.Substring(46, 42));
				tickets.Add(said.Substring(82, 6));
				w.End(PacketKind.Refused, CloseCode.Busy);
				w.Client.Update();
			}
			check.Equal(logins.Count + " " + tickets.Count + " " + calls, "2 2 2", "logins, tickets, calls");
			check.Equal(w.Events.FindAll(e => e == "Failed 1").Count, failures, "attempts that failed");
		}

		// A login on the link of a session that is gone is repeated with its ticket like any other. After a BYE there is
		// no such link: the next one has another ticket.
		static void TicketRepeated(Check check)
		{
			foreach (PacketKind kind in new[] { PacketKind.Refused, PacketKind.Bye })
			{
				byte calls = 0;
				World w = new World("ws://a/", new ClientConfig { Ticket = () => Task.FromResult(new[] { ++calls }) });
				w.Login();
				w.Socket.Broken = true;
				w.Advance(Nanos.Second);
				w.Greet();
				w.Client.Update();
				w.Heard();
				w.End(kind, CloseCode.Gone);
				w.Client.Update();
				w.Client.Update();
				check.That(kind == PacketKind.Bye || w.Heard().IndexOf("c40102", StringComparison.Ordinal) > 0, "a login on the same link");
				w.Socket.Broken = true;
				w.Advance(Nanos.Second);
				w.Greet();
				w.Client.Update();
				check.That(w.Heard().IndexOf("c40102", StringComparison.Ordinal) > 0, "the ticket after " + kind);
				check.Equal(calls, (byte)2, "calls after " + kind);
			}
		}

		// What no server takes would only be told as a link that breaks.
		static void TicketTooLarge(Check check)
		{
			int size = 65470;
			World w = new World("ws://a/", new ClientConfig { Info = "test", Ticket = () => Task.FromResult(new byte[size--]) });
			w.Client.Update();
			check.Equal(w.History, "Failed 1", "65,470 bytes");
			check.Equal(w.LastEvent.Reason.Text, "no ticket: 65470 bytes of Ticket and 4 of Info: a server takes 65472 together", "why");
			w.Advance(2 * Nanos.Second);
			w.Greet();
			w.Client.Update();
			check.That(w.Heard().Length > 2 * 65468 && size == 65467 && w.Sockets.Count == 1, "65,468 bytes: " + size);
		}

		// An app is told why it is not in.
		static void Attempts(Check check)
		{
			World w = new World("ws://a/ ws://b/", new ClientConfig { DialTimeout = TimeSpan.FromSeconds(1) });
			w.OnOpen = s => { s.Broken = s.Url == "ws://a/"; s.Open = false; };
			w.Client.Update();
			w.Advance(1100 * Nanos.Millisecond);
			check.Equal(w.History, "Failed 1", "no address answers");
			check.Equal(w.LastEvent.Reason.Text, "ws://a/: the WebSocket closed with status 1006; ws://b/: it takes connections and then says nothing: no Lifeline server on that port, or one for another scheme", "why");
			w.OnOpen = s => { };
			w.Advance(Nanos.Second);
			w.Events.Clear();
			w.Greet();
			w.Client.Update();
			w.End(PacketKind.Refused, CloseCode.Busy, "full house");
			w.Client.Update();
			check.Equal(w.History, "Refused 7", "put off");
			check.Equal(w.LastEvent.Reason.Text, "full house", "why");
			// A ticket that hangs fails its attempt, and the next one waits for the same call.
			int calls = 0;
			TaskCompletionSource<byte[]> slow = new TaskCompletionSource<byte[]>();
			w = new World("ws://a/", new ClientConfig { Ticket = () => { calls++; return slow.Task; }, TicketTimeout = TimeSpan.FromSeconds(2) });
			w.Client.Update();
			w.Advance(2100 * Nanos.Millisecond);
			check.That(w.History == "Failed 1" && w.LastEvent.Reason.Text == "no ticket in time", "a ticket that hangs");
			w.Advance(Nanos.Second);
			check.That(calls == 1 && w.Sockets.Count == 0, "calls " + calls);
			slow.SetResult(null);
			w.Login();
			check.Equal(w.History, "Opened", "with it");
			// It does not come either when the session was refused on a link: nothing is said there, and the link is left.
			slow = new TaskCompletionSource<byte[]>();
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Heard();
			FakeSocket second = w.Socket;
			w.End(PacketKind.Refused, CloseCode.Gone);
			w.Client.Update();
			w.Advance(2100 * Nanos.Millisecond);
			check.That(w.Heard(second) == "" && second.Closed, "a login without its ticket");
			check.Equal(w.History, "Lost 1, Gone 101, Failed 1", "events");
			// A server that may send what the client would not read.
			w = new World("ws://a/", new ClientConfig { MaxReceive = 65536 });
			w.MaxBody = 65537;
			w.Login();
			check.Equal(w.History, "Closed 203", "larger bodies than MaxReceive");
			// The last words are said, whatever else had come.
			w = new World("ws://a/", new ClientConfig { MaxReceive = 65536 });
			w.MaxBody = 65537;
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Heard();
			w.Welcome();
			w.Push("said", 1);
			w.Client.Update();
			check.That(w.Heard().StartsWith("Bye ", StringComparison.Ordinal), "the goodbye of such a client");
		}

		static void AttemptsThatEnd(Check check)
		{
			// An app that pauses when it hears of a refusal has given the attempt up. The next one is another.
			World w = new World();
			Action<ClientEvent> pause = e => w.Client.Pause();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.End(PacketKind.Refused, CloseCode.Busy);
			w.Client.OnEvent += pause;
			w.Client.Update();
			w.Client.OnEvent -= pause;
			w.OnOpen = s => { s.Broken = true; w.OnOpen = t => { }; };
			w.Client.Hurry();
			check.Equal(w.History, "Refused 7, Failed 1", "an attempt after a pause");
			// One that has opened a session has not failed, even if its link ends at once.
			w = new World();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.Welcome();
			w.End(PacketKind.Bye, CloseCode.ShuttingDown);
			w.Client.Update();
			check.Equal(w.History, "Opened, Lost 8", "WELCOME and BYE at once");
			// A ticket that comes while the app pauses is kept for a minute, like any other.
			int asks = 0;
			TaskCompletionSource<byte[]> late = new TaskCompletionSource<byte[]>();
			World away = new World("ws://a/", new ClientConfig { Ticket = () => { asks++; return late.Task; }, TicketTimeout = TimeSpan.FromSeconds(2) });
			away.Client.Update();
			away.Advance(2100 * Nanos.Millisecond);
			away.Client.Pause();
			late.SetResult(null);
			away.Advance(61 * Nanos.Second);
			away.Client.Hurry();
			check.That(asks == 2, "a ticket that came a minute ago is used");
		}

		static void Malformed(Check check)
		{
			World w = new World();
			w.Client.OnRequest("double", new Count(), q => q);
			w.Login();
			Task<Count> r = w.Client.Request("a", new Nothing(), new Count());
			w.Client.Update();
			w.Heard();
			ushort seq = 0;
			w.Say(PacketKind.Request, b => { b.Array(2); b.UInt(7); b.UInt(1); }, ++seq);
			w.Say(PacketKind.Response, b => { b.Array(1); b.UInt(1); }, ++seq);
			w.Say(PacketKind.Message, b => b.Nil(), ++seq);
			w.Client.Update();
			check.That(w.Heard().StartsWith("Failure 930703", StringComparison.Ordinal), "who asked was not told");
			check.Equal(Code(r), LifelineException.Mismatch, "who waits was not told");
			check.Equal(w.Failures.Count, 3, "failures");
			check.Equal(w.Client.Stats.Dropped, 3, "dropped");
			check.That(w.Client.Connected, "it ended the link");
		}

		static void Hostile(Check check)
		{
			foreach (string bytes in new[] { "ffffffff", "8000", "0011000000000000", "0a8c000100000000" + "9301a16101", "09110100000000009200c0" })
			{
				World w = new World();
				w.Login();
				byte[] b = Hex.Decode(bytes);
				w.Socket.ToClient.Append(b, 0, b.Length);
				w.Client.Update();
				check.That(w.Client.Connected || w.History == "Opened, Lost 1", "after " + bytes);
			}
			// A link that never greets ends after its time, and the client tries again.
			World silent = new World();
			silent.Client.Update();
			silent.Advance(6 * Nanos.Second);
			check.Equal(silent.Sockets.Count, 2, "sockets");
			// One that is silent later ends after the timeout, having been asked.
			World w2 = new World();
			w2.Login();
			w2.Heard();
			w2.Advance(36 * Nanos.Second);
			check.That(w2.Heard(w2.Sockets[0]).IndexOf("Heartbeat", StringComparison.Ordinal) >= 0, "it was not asked");
			check.Equal(w2.History, "Opened, Lost 1", "silence");
		}

		static void Order(Check check)
		{
			// The first of the list does not answer: the second one is dialed after the time of a dial.
			World w = new World("ws://a/ ws://b/");
			w.OnOpen = s => s.Open = s.Url != "ws://a/";
			w.Client.Update();
			w.Advance(4900 * Nanos.Millisecond);
			check.Equal(w.Sockets.Count, 1, "sockets before the time is over");
			w.Advance(200 * Nanos.Millisecond);
			check.Equal(w.Socket.Url, "ws://b/", "the next address");
			w.Greet();
			w.Client.Update();
			w.Welcome();
			w.Client.Update();
			// It stands back for 30 s.
			w.Client.Cut();
			w.Client.Update();
			check.Equal(w.Socket.Url, "ws://b/", "after a cut");
			w.Greet();
			w.Client.Update();
			w.Resumed(0);
			w.Client.Update();
			for (int i = 0; i < 4; i++)
			{
				w.Say(PacketKind.Heartbeat, null);
				w.Advance(8 * Nanos.Second);
			}
			w.OnOpen = s => { };
			w.Client.Cut();
			w.Client.Update();
			check.Equal(w.Socket.Url, "ws://a/", "after a while the first one is tried again");
			check.That(w.Client.Connected == false && w.Client.Stats.Failures == 1, "failures");
		}

		static void Moved(Check check)
		{
			World w = new World();
			w.Login();
			w.End(PacketKind.Bye, CloseCode.Moved, "tcp://c:1 ws://b/ wss://d/");
			w.Client.Update();
			w.Client.Update();
			check.Equal(w.Socket.Url, "ws://b/", "where it was sent, by carriers that the app chose");
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			check.Equal(w.Socket.Url, "ws://b/", "again");
			w.Greet();
			w.Client.Update();
			w.Resumed(0);
			w.Client.Update();
			check.Equal(w.History, "Opened, Lost 9, Failed 1, Resumed", "events");
			w.Say(PacketKind.Move, b => { b.Array(2); b.UInt(3000); b.Str("ws://e/"); });
			w.Client.Update();
			check.That(w.History == "Moving" && w.LastEvent.Delay == TimeSpan.FromSeconds(3), "it was not told");
			w.Advance(4 * Nanos.Second);
			w.Socket.Broken = true;
			w.Client.Update();
			w.Client.Update();
			check.Equal(w.Socket.Url, "ws://e/", "after its time has come");
			// A login that is sent on has not failed.
			w = new World();
			w.Client.Update();
			w.Greet();
			w.Client.Update();
			w.End(PacketKind.Refused, CloseCode.Moved, "ws://b/");
			w.Client.Update();
			check.Equal(w.Socket.Url + w.History, "ws://b/", "a login that is sent on");
		}

		static void Background(Check check)
		{
			World w = new World();
			w.Login();
			w.Heard();
			FakeSocket first = w.Socket;
			w.Client.Pause();
			check.That(w.Heard().StartsWith("Detach", StringComparison.Ordinal) && first.Closed, "paused");
			w.Advance(5 * Nanos.Second);
			check.Equal(w.Sockets.Count, 1, "sockets while paused");
			w.Client.Hurry();
			w.Client.Update();
			check.Equal(w.Sockets.Count, 2, "sockets after Hurry");
			w.Greet();
			w.Client.Update();
			w.Resumed(0);
			w.Client.Update();
			check.Equal(w.History, "Opened, Lost 1, Resumed", "events");
			w.Heard();
			w.Advance(2 * Nanos.Second);
			// A dial is left too, without a further Update.
			World dialing = new World();
			dialing.OnOpen = s => s.Open = false;
			dialing.Client.Update();
			dialing.Client.Pause();
			check.That(dialing.Socket.Closed, "a socket that connects in the background");
			// A handler may do it, and what comes behind its message waits for the next link.
			World by = new World();
			by.Client.OnMessage("said", new Count(), m => by.Client.Pause());
			by.Login();
			by.Heard();
			by.Push("said", 1);
			by.Push("said", 2);
			by.Client.Update();
			check.That(by.Heard().StartsWith("Detach", StringComparison.Ordinal) && by.Socket.Closed, "paused by a handler");
			// The device slept: the link is asked at once, and left if it does not answer in 2.5 s.
			w.Wall += 3600 * Nanos.Second;
			w.Client.Update();
			check.Equal(w.Heard(), "Heartbeat", "asked");
			w.Advance(2600 * Nanos.Millisecond);
			check.Equal(w.History, "Lost 1", "no answer");
			// Not updated for long: the link is asked, and not judged.
			World late = new World();
			late.Login();
			late.Heard();
			late.Now += 100 * Nanos.Second;
			late.Wall += 100 * Nanos.Second;
			late.Client.Update();
			check.That(late.Heard() == "Heartbeat" && late.Client.Connected, "after a long frame");
		}

		static void Dispose(Check check)
		{
			World w = new World();
			Task open = w.Client.WhenOpen();
			w.Client.Update();
			w.Client.Dispose();
			check.Equal(Code(open), LifelineException.Closed, "waiting for it");
			w = new World();
			w.Login();
			Task<Count> r = w.Client.Request("a", new Nothing(), new Count());
			w.History.ToString();
			w.Client.Dispose();
			w.Client.Dispose();
			check.That(w.Socket.Closed && w.Heard().IndexOf("Bye", StringComparison.Ordinal) < 0, "not without a word");
			check.Equal(Code(r), LifelineException.Closed, "requests");
			w.Client.Update();
			w.Client.Flush();
			check.Equal(w.History, "", "events after it");
			// A handler may do it.
			w = new World();
			w.Client.OnMessage("said", new Count(), m => w.Client.Dispose());
			w.Login();
			w.Push("said", 1);
			w.Push("said", 2);
			w.Client.Update();
			w.Advance(Nanos.Second);
			check.That(w.Sockets.Count == 1 && w.Socket.Closed && w.History == "Opened", "disposed by a handler");
			// An app that quits: what it sent, and the goodbye, are written once.
			w = new World();
			w.Login();
			w.Heard();
			w.Events.Clear();
			w.Client.Send("a", new Nothing());
			w.Client.Close();
			w.Client.Dispose();
			string said = w.Heard();
			check.That(said.IndexOf("Message 92a161c0, Bye", StringComparison.Ordinal) >= 0 && w.Socket.Closed, said);
			check.Equal(w.History, "", "events");
			// A WebSocket of the app's own that throws is a dial that failed.
			w = new World("ws://a/ ws://b/");
			w.OnOpen = s => { if (s.Url == "ws://a/") { throw new NotSupportedException("no"); } };
			w.Client.Update();
			check.That(w.Socket.Url == "ws://b/" && w.Failures.Count == 1, "the next address");
		}

		static void Configuration(Check check)
		{
			Throws<FormatException>(check, () => new Client(""));
			Throws<FormatException>(check, () => new Client("kcp://a:1"));
			Throws<FormatException>(check, () => new Client("kcp://a:1", new ClientConfig { ServerKey = "llp1.x" }));
			Throws<FormatException>(check, () => new Client("tcp://a:1", new ClientConfig { Token = "ll1.x" }));
			Client c = new Client("tcp://a:1", new ClientConfig { Token = "ll1.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwK" });
			check.Equal(c.Token, "ll1.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwK", "token");
		}

		static void Addresses(Check check)
		{
			foreach (string bad in new[] { "", "a:1", "http://a:1", "tcp://a", "tcp://:1", "tcp://a:0", "tcp://a:x", "tcp://a:70000", "ws://", "kcp://[::1]" })
			{
				Throws<FormatException>(check, () => new Address(bad));
			}
			string[,] good =
			{
				{ "tcp://play.example:7777", "Tcp play.example 7777 / play.example:7777" },
				{ "kcp://[2001:db8::1]:7", "Kcp 2001:db8::1 7 / [2001:db8::1]:7" },
				{ "plain-kcp://10.0.0.1:9", "PlainKcp 10.0.0.1 9 / 10.0.0.1:9" },
				{ "ws://h/game?x=1", "WebSocket h 80 /game?x=1 h" },
				{ "wss://h", "WebSocket h 443 / h" },
				{ "wss://h:8443?x", "WebSocket h 8443 /?x h:8443" },
			};
			for (int i = 0; i < good.GetLength(0); i++)
			{
				Address a = new Address(good[i, 0]);
				check.Equal(a.Carrier + " " + a.Host + " " + a.Port + " " + a.Path + " " + a.Authority, good[i, 1], good[i, 0]);
			}
		}

		static string Text(int[] order)
		{
			return string.Join(" ", Array.ConvertAll(order, i => i.ToString()));
		}

		static void Book(Check check)
		{
			AddressBook b = new AddressBook("kcp://a:1 tcp://b:1, ws://c/");
			check.Equal(Text(b.Order(0)), "0 1 2", "at first");
			b.Failed(0);
			b.Failed(1);
			check.Equal(Text(b.Order(0)), "2 0 1", "what failed comes last");
			b.Worked(2, 0);
			check.Equal(Text(b.Order(0)), "2 0 1", "and stands back");
			check.Equal(Text(b.Order(30 * Nanos.Second)), "0 1 2", "for 30 s");
			b.Failed(0);
			b.Worked(1, 30 * Nanos.Second);
			check.Equal(Text(b.Order(89 * Nanos.Second)), "1 2 0", "twice as long the second time");
			check.Equal(Text(b.Order(90 * Nanos.Second)), "0 1 2", "and no longer");
			b.Failed(0);
			b.Worked(1, 100 * Nanos.Second);
			b.Forgive();
			check.Equal(Text(b.Order(100 * Nanos.Second)), "0 1 2", "on another network");
			b.Failed(0);
			b.Failed(1);
			b.Failed(2);
			check.Equal(Text(b.Order(200 * Nanos.Second)), "0 1 2", "when nothing can be reached");
			check.Equal(b.Patience(b.Own[0], 5), 5, "patience with UDP");
			check.That(b.Patience(b.Own[1], 5) == Nanos.Never, "patience with TCP");
			AddressBook udp = new AddressBook("kcp://a:1 plain-kcp://b:1");
			check.That(udp.Patience(udp.Own[0], 5) == Nanos.Never, "patience where there is nothing else");
			check.Equal(Urls(b.Elsewhere("plain-kcp://x:1 tcp://y:1 junk wss://v/ kcp://z:1")), "tcp://y:1 kcp://z:1", "elsewhere");
			b.Failed(-1);
			check.Equal(Urls(b.Elsewhere("tcp://y:1 kcp://z:1")), "kcp://z:1 tcp://y:1", "the next of them first");
		}

		static string Urls(List<Address> list)
		{
			return string.Join(" ", list.ConvertAll(a => a.Url).ToArray());
		}

		static void Resolve(Check check)
		{
			Places p = new Places("h", 1);
			IPAddress[] list = Array.ConvertAll(new[] { "2001:db8::1", "2001:db8::2", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1" }, IPAddress.Parse);
			check.Equal(Hosts(p, list), "2001:db8::1 10.0.0.1 2001:db8::2 10.0.0.2 10.0.0.3", "families in turn");
			p.Note(new IPEndPoint(IPAddress.Parse("2001:db8::1"), 1), false);
			check.Equal(Hosts(p, list), "10.0.0.1 2001:db8::2 10.0.0.2 10.0.0.3 2001:db8::1", "what did not work comes last");
			p.Note(new IPEndPoint(IPAddress.Parse("10.0.0.3"), 1), true);
			check.Equal(Hosts(p, list), "10.0.0.3 10.0.0.1 2001:db8::2 10.0.0.2 2001:db8::1", "what worked comes first");
			p.Note(new IPEndPoint(IPAddress.Parse("10.0.0.3"), 1), false);
			check.Equal(Hosts(p, list), "2001:db8::1 10.0.0.1 2001:db8::2 10.0.0.2 10.0.0.3", "until it does not");
			// A lookup that failed after its dial had given up says nothing about now.
			Places late = new Places(new string('x', 64), 5);
			late.Resolve();
			FieldInfo lookup = typeof(Places).GetField("lookup", BindingFlags.Instance | BindingFlags.NonPublic);
			object first = lookup.GetValue(late);
			((IAsyncResult)first).AsyncWaitHandle.WaitOne();
			late.Resolve();
			check.That(lookup.GetValue(late) != first, "what failed once is taken for the present");
			Places literal = new Places("127.0.0.1", 5);
			literal.Resolve();
			check.That(literal.Found[0].Port == 5, "a literal");
		}

		static string Hosts(Places p, IPAddress[] list)
		{
			return string.Join(" ", Array.ConvertAll(p.Arrange(list), e => e.Address.ToString()));
		}
	}
}
