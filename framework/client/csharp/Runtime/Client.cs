// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Text;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>
	/// One player's session with a server. It comes back by itself whenever a link breaks, until Close or a final
	/// code of the server.
	///
	/// Everything happens in Update, which the game calls once a frame, and in Flush and Close: sockets are polled
	/// there, and all handlers, events and awaits run there. Every method belongs to the thread that calls Update.
	/// A client has no thread, no timer and no static state: to drop it, Dispose it and forget it.
	/// </summary>
	public sealed partial class Client : IDisposable
	{
		const long ticketLife = 60 * Nanos.Second;        // a ticket that no login has used is kept so long for the next one
		const int maxLogin = Codec.DefaultMaxBody - 64;   // what Ticket and Info may have together: their HELLO is one body, and has fields of its own
		const long ticketAhead = 5 * Nanos.Second;        // so long before it is used a ticket is fetched: a dial takes time
		const int receivesPerUpdate = 2000;              // datagrams, or pieces of a stream
		const int writesPerFlush = 8;                    // each of about 16 KiB

		readonly ClientConfig cfg;
		readonly AddressBook book;
		readonly byte[] serverKey;
		readonly Entropy entropy;
		readonly Func<long> clock, wallClock;
		readonly KcpPool pool = new KcpPool();
		readonly Session core;
		readonly RouteTable messages = new RouteTable(), requests = new RouteTable();
		readonly Dictionary<string, int> numbers = new Dictionary<string, int>(); // of the session's routes
		string[] routes = new string[0];                                         // that numbers was made of
		readonly Dictionary<ulong, Call> calls = new Dictionary<ulong, Call>();
		readonly List<ulong> expired = new List<ulong>();
		long callsDue = Nanos.Never;
		ulong lastCall;
		long sessions; // that ended
		readonly List<PendingAnswer> pending = new List<PendingAnswer>();
		readonly Writer writer = new Writer();
		readonly Reader reader = new Reader();
		readonly ByteBuffer output = new ByteBuffer();
		TaskCompletionSource<bool> opening;
		bool inside;   // of Update, Flush or Close: what the app does meanwhile is done at their end
		bool disposed;
		bool closing;  // by Close, at closeBy at the latest
		long closeBy;
		Exception failure; // without a subscriber of OnError
		string lastError = "";
		readonly List<string> causes = new List<string>(); // why parts of the present attempt failed
		bool refused;          // told already why it failed
		bool moved;            // the last refusal or goodbye named another server
		long hurryAt = long.MinValue / 2;
		SessionState tried;    // the core's state when an attempt was last looked at

		/// <summary>Told what becomes of the session, in order with the messages.</summary>
		public event Action<ClientEvent> OnEvent;

		/// <summary>
		/// Told what the app's own code threw: handlers, Ticket, and messages that are not what their Read expects.
		/// None of it disturbs the session. Without a subscriber Update throws the first of them when it is done.
		/// </summary>
		public event Action<Exception> OnError;

		/// <summary>What happened since the client was made.</summary>
		public readonly ClientStats Stats = new ClientStats();

		/// <summary>
		/// Makes a client that does nothing until Update. addresses are URLs with blanks between, the best one
		/// first: kcp://host:port, plain-kcp://host:port, stcp://host:port, tcp://host:port, ws://host/path, wss://host/path. Throws
		/// FormatException for an address, a key or a token that is none.
		/// </summary>
		public Client(string addresses, ClientConfig config = null)
		{
			cfg = config ?? new ClientConfig();
			book = new AddressBook(addresses);
			if (!string.IsNullOrEmpty(cfg.ServerKey))
			{
				serverKey = SealWire.ParsePublicKey(cfg.ServerKey);
			}
			else if (Array.Exists(book.Own, a => a.Sealed))
			{
				throw new FormatException("lifeline: a kcp:// or stcp:// address needs ClientConfig.ServerKey, the server's public key, which it logs when it starts");
			}
			entropy = new Entropy(cfg.Random);
			clock = cfg.Now ?? ClientConfig.StopwatchNow;
			wallClock = cfg.Wall ?? ClientConfig.UtcNow;
			core = new Session(new SessionConfig
			{
				Ticket = UseTicket, Info = cfg.Info ?? "", Token = cfg.Token, MaxPackets = cfg.MaxPackets, MaxBytes = cfg.MaxBytes, MaxReceive = cfg.MaxReceive,
				OpeningTimeout = ClientConfig.Nanoseconds(cfg.OpeningTimeout, 0),
				MinDelay = ClientConfig.Nanoseconds(cfg.MinDelay, 0), MaxDelay = ClientConfig.Nanoseconds(cfg.MaxDelay, 0), Random = entropy.Next,
			});
			ListenToRooms();
		}

		/// <summary>Reports whether a link carries the session now.</summary>
		public bool Connected { get { return core.State == SessionState.Open; } }

		/// <summary>Reports that the client has ended for good. Update goes on repeating its last words until Idle.</summary>
		public bool Ended { get { return disposed || core.State == SessionState.Ended; } }

		/// <summary>Reports that the client has ended and nothing is left to do.</summary>
		public bool Idle { get { return Ended && parting.Count == 0; } }

		/// <summary>
		/// The reconnect token: one opaque string that a later run of the app may hand to ClientConfig.Token while
		/// the session lives. It lets its holder play as this player: store it like a password. Empty without a session.
		/// </summary>
		public string Token { get { return core.Token; } }

		/// <summary>The id of the session, 32 hexadecimal digits, which servers log too. Empty without one.</summary>
		public string Id { get { return core.Who == null ? "" : core.Who.SidText; } }

		/// <summary>The smoothed round trip of heartbeats on this link, zero before the first.</summary>
		public TimeSpan Rtt { get { return TimeSpan.FromTicks(core.Rtt / 100); } }

		/// <summary>What the server dictates: heartbeats, grace and limits.</summary>
		public SessionParameters Parameters { get { return core.Parameters; } }

		/// <summary>How many packets the server has not accepted.</summary>
		public int QueuedPackets { get { return core.QueuedPackets; } }

		/// <summary>How many bytes of their bodies.</summary>
		public int QueuedBytes { get { return core.QueuedBytes; } }

		/// <summary>The URL of the present link, empty without one.</summary>
		public string Url { get { return link == null ? "" : link.Address.Url; } }

		/// <summary>Completes when the session is open for the first time; fails with a LifelineException if the client ends before.</summary>
		public Task WhenOpen()
		{
			if (opening == null)
			{
				opening = new TaskCompletionSource<bool>();
				if (Stats.Opens + Stats.Resets > 0)
				{
					opening.TrySetResult(true);
				}
				else if (Ended)
				{
					opening.TrySetException(new LifelineException(LifelineException.Closed, "the client has ended"));
				}
			}
			return opening.Task;
		}

		// --- the loop

		/// <summary>
		/// Reads, writes, and keeps time. Call it once a frame. When only known routes without strings speak it
		/// allocates nothing.
		/// </summary>
		public void Update()
		{
			if (inside)
			{
				throw new InvalidOperationException("lifeline: Update was called from within a handler");
			}
			if (disposed)
			{
				return;
			}
			inside = true;
			try
			{
				long now = clock();
				KeepTicket(now);
				EnterAgain(now);
				ContinueDial(now);
				ReceiveLink(now);
				ExpireCalls(now);
				PollAnswers();
				Settle(now);
				ContinueParting(now);
			}
			finally
			{
				inside = false;
			}
			ThrowFailure();
		}

		/// <summary>
		/// Writes what was sent since Update, for games that do not want to wait for the next frame. Does nothing
		/// within a handler, after which it is done anyhow.
		/// </summary>
		public void Flush()
		{
			if (!inside && !disposed)
			{
				inside = true;
				try
				{
					PollAnswers(); // the frame may have ended their tasks
					Settle(clock());
				}
				finally
				{
					inside = false;
				}
				ThrowFailure();
			}
		}

		// Throws what the app's own code threw, if nothing was subscribed to hear of it.
		void ThrowFailure()
		{
			if (failure != null)
			{
				ExceptionDispatchInfo e = ExceptionDispatchInfo.Capture(failure);
				failure = null;
				e.Throw();
			}
		}

		// Lets the core do what is due and does what it says.
		void Settle(long now)
		{
			TellAttempt(now);
			CloseWhenDone(now);
			while (!disposed) // by a handler
			{
				SessionAction action = core.Check(now, wallClock());
				Changes();
				TellAttempt(now);
				if (action == SessionAction.Cut)
				{
					PartLink(now);
					continue;
				}
				if (action == SessionAction.Dial)
				{
					StartDial(now);
					ContinueDial(now);
				}
				break;
			}
			if (dialing && core.State != SessionState.Dialing)
			{
				StopDial(); // paused: there may be no further Update
			}
			TellAttempt(now);
			Write(now);
		}

		// Tells the app of an attempt that has failed.
		void TellAttempt(long now)
		{
			SessionState was = tried;
			tried = core.State;
			if (tried != SessionState.Waiting || was != SessionState.Dialing && was != SessionState.Opening)
			{
				return;
			}
			if (refused || moved && core.Due <= now) // which says it better; the same attempt goes on at another server
			{
				refused = false;
				return;
			}
			string why = causes.Count > 0 ? string.Join("; ", causes.ToArray()) : lastError;
			Tell(new ClientEvent { Kind = ClientEventKind.Failed, Reason = new CloseReason(CloseCode.LinkLost, why), Delay = TimeSpan.FromTicks(Math.Max(core.Due - now, 0) / 100) });
		}

		// Notes why a part of the present attempt failed.
		void Cause(string why)
		{
			lastError = why;
			if (!causes.Contains(why))
			{
				causes.Add(why);
			}
		}

		// --- what the app wants of the link

		/// <summary>
		/// Says goodbye, which ends the session on the server. Before that the server gets what was sent, for which
		/// there is CloseTimeout; what it has not is Undelivered in Closed, the last event. Call Update until Idle.
		/// An app that has no time for this calls Dispose instead: it writes what waits and the goodbye once.
		/// </summary>
		public void Close()
		{
			if (closing || Ended)
			{
				return;
			}
			closing = true;
			closeBy = clock() + ClientConfig.Nanoseconds(cfg.CloseTimeout, 200 * Nanos.Millisecond);
			core.Ask();
			Flush();
		}

		// Says goodbye once the server has what was sent, or there is no more time.
		void CloseWhenDone(long now)
		{
			if (closing && (core.State != SessionState.Open || core.QueuedPackets == 0 || now >= closeBy))
			{
				core.Close();
			}
		}

		/// <summary>Reports that Pause was called, and Hurry was not yet.</summary>
		public bool Paused { get { return core.State == SessionState.Paused; } }

		/// <summary>Goes to the background: the grace of the session starts, and no link is kept until Hurry. OnApplicationPause(true).</summary>
		public void Pause()
		{
			core.Pause(clock());
			if (link != null)
			{
				link.Told = true;
			}
			Flush();
		}

		/// <summary>
		/// Tells that the app is back in the foreground or that the network changed: a lost link is opened again at
		/// once, a pause ends, and a link that seems to be fine takes another local address and is asked to prove
		/// itself within seconds. OnApplicationPause(false).
		/// </summary>
		public void Hurry()
		{
			long now = clock();
			book.Forgive();
			if (link != null && now - hurryAt >= Nanos.Second) // an app may call this with every frame
			{
				hurryAt = now;
				link.Carrier.Rebind(now);
			}
			core.Hurry(now);
			Flush();
		}

		/// <summary>
		/// Drops the link without a word on the network, as a pulled cable would; for bots and tests. The client
		/// notices at once and comes back. A TCP socket stays open, unheard, as closing it would tell the server.
		/// </summary>
		public void Cut()
		{
			if (link == null || core.State == SessionState.Ended) // it is left with a goodbye
			{
				return;
			}
			long now = clock();
			Stats.Cuts++;
			lastError = "cut";
			link.Told = true; // our own doing: the address is as good as it was
			Carrier c = LeaveLink().Carrier;
			if (c.Cut())
			{
				KeepSilent(c, now + 2 * core.Parameters.Timeout);
			}
			else
			{
				c.Destroy();
			}
			core.LinkDropped(now);
			Flush();
		}

		/// <summary>
		/// Gives the link another local address, as happens to a phone that changes networks; for bots and tests.
		/// Reports false without a link, or on a carrier that can't.
		/// </summary>
		public bool Rebind()
		{
			if (link == null || !link.Carrier.Rebind(clock()))
			{
				return false;
			}
			Stats.Rebinds++;
			return true;
		}

		/// <summary>
		/// Closes all sockets at once. After Close it writes what waits and the goodbye before, else it says nothing
		/// and the session waits for its grace. No handler runs any more; requests fail with Closed.
		/// </summary>
		public void Dispose()
		{
			if (disposed)
			{
				return;
			}
			disposed = true;
			if (closing && link != null)
			{
				long now = clock();
				Write(now);
				core.Close();
				PartLink(now);
			}
			else if (link != null)
			{
				LeaveLink().Carrier.Destroy();
			}
			StopDial();
			parting.ForEach(p => p.Carrier.Destroy());
			parting.Clear();
			silent.ForEach(p => p.Carrier.Destroy());
			silent.Clear();
			FailCalls(LifelineException.Closed, "the client was disposed", lastCall);
			if (opening != null)
			{
				opening.TrySetException(new LifelineException(LifelineException.Closed, "the client was disposed"));
			}
		}

		// --- events

		// Takes over what the core says became of the session.
		void Changes()
		{
			string[] were = routes; // by which what comes back names its own
			LearnRoutes(); // before any code of the app may send: a number means another route in another session
			ulong asked = lastCall; // what the app asks from here on is of the session that comes
			for (SessionChange ch = core.NextChange(); ch != null; ch = core.NextChange())
			{
				ClientEvent e = new ClientEvent { Reason = ch.Reason };
				foreach (QueuedPacket p in ch.Undelivered)
				{
					AddUndelivered(e, p, ch.Kind == ChangeKind.Opened, were);
				}
				switch (ch.Kind)
				{
					case ChangeKind.Opened:
						e.Kind = ClientEventKind.Opened;
						Stats.Opens++;
						Opened();
						break;
					case ChangeKind.Resumed:
						e.Kind = ClientEventKind.Resumed;
						Stats.Resumes++;
						Opened();
						break;
					case ChangeKind.Reset:
						e.Kind = ClientEventKind.Reset;
						Stats.Resets++;
						FailCalls(LifelineException.Reset, "the session was reset before the answer came", asked);
						RoomsReset(ch.Restart);
						Opened();
						break;
					case ChangeKind.Moving:
						e.Kind = ClientEventKind.Moving;
						e.Delay = TimeSpan.FromTicks(ch.Delay / 100);
						break;
					case ChangeKind.Lost:
						e.Kind = ClientEventKind.Lost;
						Stats.Losses++;
						if (e.Reason.Text == "" && !e.Reason.Remote)
						{
							e.Reason = new CloseReason(e.Reason.Code, lastError);
						}
						if (ch.Stuck && link != null)
						{
							book.Failed(link.Index); // another address may do better
						}
						break;
					case ChangeKind.PutOff:
						e.Kind = ClientEventKind.Refused;
						e.Delay = TimeSpan.FromTicks(ch.Delay / 100);
						refused = true;
						break;
					case ChangeKind.Ending:
						e.Kind = core.State == SessionState.Ended ? ClientEventKind.Closed : ClientEventKind.Gone;
						Ending(e, asked);
						break;
				}
				Tell(e);
			}
		}

		void Opened()
		{
			tried = SessionState.Open; // the link may end before that is looked at
			if (link != null)
			{
				link.Opened = true;
				book.Worked(link.Index, clock());
				Placed(link, true);
			}
			CompareSchema();
			if (opening != null)
			{
				opening.TrySetResult(true);
			}
		}

		void Ending(ClientEvent e, ulong asked)
		{
			sessions++;
			FailCalls(LifelineException.Reset, "the session ended before the answer came", asked);
			LeaveRooms(new LeaveReason(e.Reason.Code, e.Reason.Text), r => false);
			EndViews();
			if (e.Kind == ClientEventKind.Closed)
			{
				StopDial();
				silent.ForEach(p => p.Carrier.Destroy());
				silent.Clear();
				if (opening != null)
				{
					opening.TrySetException(new LifelineException(LifelineException.Closed, e.Reason.ToString()));
				}
			}
		}

		// Reads what was sent back into what the app sent. Requests that the server would not take fail.
		void AddUndelivered(ClientEvent e, QueuedPacket p, bool tooLarge, string[] were)
		{
			if (p.Kind != PacketKind.Message && p.Kind != PacketKind.Request)
			{
				return;
			}
			bool isRequest = p.Kind == PacketKind.Request;
			Envelope v = isRequest ? Envelope.ParseRequest(p.Body, 0, p.Body.Length) : Envelope.ParseMessage(p.Body, 0, p.Body.Length);
			e.Undelivered.Add(new Undelivered { Route = NameOf(p.Body, v, were), Payload = ByteOps.Slice(p.Body, v.PayloadAt, v.PayloadLength), Request = isRequest });
			Call call;
			if (tooLarge && isRequest && calls.TryGetValue(v.Id, out call))
			{
				calls.Remove(v.Id);
				call.Fail(new LifelineException(LifelineException.TooLarge, "the server takes bodies of " + core.Parameters.MaxBody + " bytes at most"));
			}
		}

		void Tell(ClientEvent e)
		{
			if (disposed || OnEvent == null)
			{
				return;
			}
			try
			{
				OnEvent(e);
			}
			catch (Exception failed)
			{
				Report(failed);
			}
		}

		// Tells what the app's own code threw.
		void Report(Exception e)
		{
			if (OnError == null)
			{
				failure = failure ?? e;
				return;
			}
			try
			{
				OnError(e);
			}
			catch (Exception another)
			{
				failure = failure ?? another;
			}
		}

		// --- routes

		void LearnRoutes()
		{
			string[] now = core.Routes;
			messages.Learn(now);
			requests.Learn(now);
			if (routes == now)
			{
				return;
			}
			routes = now;
			numbers.Clear();
			for (int i = 0; i < now.Length; i++)
			{
				numbers[now[i]] = i;
			}
		}

		// The number of a route, -1 if the server has none for it.
		int NumberOf(string route)
		{
			int n;
			if (numbers.TryGetValue(route, out n))
			{
				return n;
			}
			if (!Envelope.IsRouteName(route))
			{
				throw new CodecException(CodecError.Route, "\"" + route + "\" has not 1 to 128 bytes");
			}
			return -1;
		}

		static string NameOf(byte[] b, Envelope e, string[] routes)
		{
			if (e.RouteNumber < 0)
			{
				return Encoding.UTF8.GetString(b, e.NameAt, e.NameLength);
			}
			return e.RouteNumber < routes.Length ? routes[e.RouteNumber] : "#" + e.RouteNumber;
		}
	}
}
