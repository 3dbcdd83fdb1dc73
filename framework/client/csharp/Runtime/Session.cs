// SPDX-License-Identifier: MIT

// The client's end of a session as a pure state machine: it is told packets and times, and says what to
// write and when to look again. Section numbers are those of session/SPEC.md. The same rules in Go are in
// session/client.go, and the scripts in session/testdata/scripts hold both to them.

using System;
using System.Collections.Generic;

namespace Lifeline
{
	/// <summary>How a session behaves. Times are nanoseconds; what is zero has its default.</summary>
	sealed class SessionConfig
	{
		/// <summary>
		/// Gets what the game's authentication gets to see; called for every new login. False: there is none at
		/// present, so the attempt to log in has failed, and another one follows. If null, there is no ticket.
		/// </summary>
		public TicketSource Ticket;
		/// <summary>Describes the client to the server.</summary>
		public string Info = "";
		/// <summary>Resumes the session of an earlier run of the app instead of logging in.</summary>
		public string Token = "";
		/// <summary>Bound what waits to be accepted by the server. If zero, 1,024 packets and 1 MiB.</summary>
		public int MaxPackets, MaxBytes;
		/// <summary>The largest body that this client reads, in bytes. A server that may send larger ones ends it: VERSION. If zero, 1 MiB. At least 64 KiB.</summary>
		public int MaxReceive;
		/// <summary>How long a link has to become a session's. If zero, 5 s.</summary>
		public long OpeningTimeout;
		/// <summary>Bound the pauses between attempts. If zero, 0.5 s and 30 s.</summary>
		public long MinDelay, MaxDelay;
		/// <summary>Returns 64 unpredictable bits.</summary>
		public Func<ulong> Random;
	}

	delegate bool TicketSource(out byte[] ticket);

	/// <summary>Where a session stands: SPEC 7.2.</summary>
	enum SessionState { Waiting, Dialing, Opening, Open, Paused, Ended }

	/// <summary>
	/// What Check asks of the owner of the socket. Dial: open a link, then call LinkUp or LinkDown. Cut: close
	/// the link, after writing what Output appends.
	/// </summary>
	enum SessionAction { Wait, Dial, Cut }

	/// <summary>What became of the session.</summary>
	enum ChangeKind
	{
		/// <summary>A new session.</summary>
		Opened,
		/// <summary>The link is gone; the client is coming back.</summary>
		Lost,
		/// <summary>It is back: nothing was lost, nothing comes twice.</summary>
		Resumed,
		/// <summary>It is back, but the server's stream starts anew: expect a snapshot.</summary>
		Reset,
		/// <summary>The session is gone.</summary>
		Ending,
		/// <summary>The server will let it go after Delay, to Address.</summary>
		Moving,
		/// <summary>The server said no for now; the next attempt is after Delay.</summary>
		PutOff,
	}

	sealed class SessionChange
	{
		public ChangeKind Kind;
		public CloseReason Reason; // Lost, Reset, Ending, PutOff
		/// <summary>Lost: something came in time, but not the answer to a question. Another way may do better.</summary>
		public bool Stuck;
		/// <summary>
		/// What was sent and will not arrive. At Ending: all that the server is not known to have accepted. At
		/// Opened: bodies larger than it takes. At Reset: what a server that was lost may have handled. Never null.
		/// </summary>
		public List<QueuedPacket> Undelivered = new List<QueuedPacket>();
		/// <summary>Reset: by another server, since that of the session was lost (SPEC 6.8).</summary>
		public bool Restart;
		public long Delay;     // Moving, PutOff
		public string Address; // Moving
	}

	/// <summary>The client's end of a session. Its owner feeds it with packets and times and does what it says.</summary>
	sealed partial class Session
	{
		const long probeLimit = 2500 * Nanos.Millisecond; // that a suspected link has to answer: SPEC 8.6
		const long lateLimit = Nanos.Second;              // how late a Check may come: SPEC 5.4
		const long sleepLimit = 2 * Nanos.Second;         // how far the wall clock may run ahead: SPEC 8.6
		const long openingLife = 60 * Nanos.Second;       // of an opening id and its ticket: SPEC 6.1
		const long knockEvery = 500 * Nanos.Millisecond;  // on plain KCP: SPEC 2.2
		const int followedAtOnce = 2;                     // REFUSED{MOVED} since the session was last open: SPEC 8.9
		const int maxReferrals = 8;                       // of them; further ones are failed resumes: SPEC 8.3
		const long maxWait = 600 * Nanos.Second;          // because a server says so: SPEC 3.4

		readonly SessionConfig cfg;
		readonly int maxPackets, maxBytes, maxReceive;
		readonly long openingTimeout, minDelay, maxDelay;
		readonly SessionEnd end = new SessionEnd();
		readonly ByteBuffer control = new ByteBuffer(); // control frames to write
		readonly Queue<SessionChange> changes = new Queue<SessionChange>();
		SessionParameters parameters = SessionParameters.Default;

		Identity who;     // of the session to resume, null without one
		bool fresh;       // what it had received is lost: a restarted app with a stored token
		bool everUp;      // this session was open at least once in this run
		byte[] opening;   // of the present attempt to log in, null without one
		byte[] ticket;    // that goes with it
		long drawn;       // when both were made
		byte[] nonce;
		bool greeted;
		bool knock;       // the server speaks only after our first heartbeat
		long knockAt;
		ulong attempt;
		string moveTo = ""; // where the server will send us (3.11), at moveAt
		long moveAt;
		bool retried;     // STALE was answered by one more attempt
		string[] dictionary = new string[0]; // the last one that a server told
		bool numbers;     // the session's server goes by it
		static readonly string[] noRoutes = new string[0];

		bool cutting;     // the link is to be closed
		int tries;        // attempts since the link was last stable
		int failures;     // resumes that failed
		int referrals;    // REFUSED{MOVED} since the session was last open
		long dialAt;
		long openBy;
		long openedAt;
		long beatEvery;   // the present interval with its jitter
		long probeBy = Nanos.Never;
		long carriedAt;   // when the carrier itself last said something

		bool checkedOnce;
		long checkedAt, checkedWall, checkedDue = Nanos.Never; // of the last Check

		/// <summary>Makes a session that wants to dial at once. Throws FormatException for a token that is none.</summary>
		public Session(SessionConfig config)
		{
			cfg = config;
			maxPackets = cfg.MaxPackets > 0 ? cfg.MaxPackets : 1024;
			maxBytes = cfg.MaxBytes > 0 ? cfg.MaxBytes : 1 << 20;
			maxReceive = cfg.MaxReceive > 0 ? Math.Max(cfg.MaxReceive, Codec.DefaultMaxBody) : 1 << 20;
			openingTimeout = cfg.OpeningTimeout > 0 ? cfg.OpeningTimeout : 5 * Nanos.Second;
			minDelay = cfg.MinDelay > 0 ? cfg.MinDelay : 500 * Nanos.Millisecond;
			maxDelay = cfg.MaxDelay > 0 ? cfg.MaxDelay : 30 * Nanos.Second;
			Address = "";
			if (!string.IsNullOrEmpty(cfg.Token))
			{
				who = Identity.Parse(cfg.Token);
				fresh = true;
				if (who == null)
				{
					throw new FormatException("lifeline: not a reconnect token");
				}
			}
		}

		public SessionState State { get; private set; }

		/// <summary>What the session is resumed with, null without a session.</summary>
		public Identity Who { get { return who; } }

		/// <summary>The reconnect token, empty without a session.</summary>
		public string Token { get { return who == null ? "" : who.Token; } }

		/// <summary>What the server dictates.</summary>
		public SessionParameters Parameters { get { return parameters; } }

		/// <summary>The smoothed round trip of heartbeats on this link, 0 before the first.</summary>
		public long Rtt { get { return end.Rtt; } }

		/// <summary>
		/// The dictionary of the session: route number n is the n-th. Empty while there is none. It never changes:
		/// another one is another array.
		/// </summary>
		public string[] Routes { get { return numbers ? dictionary : noRoutes; } }

		/// <summary>Where the server sent this client, as URLs with blanks between: SPEC 8.9. Empty: anywhere.</summary>
		public string Address { get; private set; }

		/// <summary>How many packets, and bytes of their bodies, the server has not accepted.</summary>
		public int QueuedPackets { get { return end.Out.Count; } }
		public int QueuedBytes { get { return end.Out.BodyBytes; } }

		/// <summary>How many counted packets were accepted.</summary>
		public long Received { get { return end.Recv; } }

		/// <summary>Returns the next thing that happened, null when there is none.</summary>
		public SessionChange NextChange()
		{
			return changes.Count > 0 ? changes.Dequeue() : null;
		}

		void Change(ChangeKind kind, CloseReason reason = null)
		{
			changes.Enqueue(new SessionChange { Kind = kind, Reason = reason });
		}

		/// <summary>
		/// Appends a counted packet, connected or not. Full refuses it when too much waits, which never drops what
		/// was taken before; Closed after the end. Throws CodecException if no server would take it.
		/// </summary>
		public SendResult Send(PacketKind kind, byte[] b, int at, int n)
		{
			if (!Codec.IsCounted(kind))
			{
				throw new CodecException(CodecError.Counted);
			}
			if (n == 0)
			{
				throw new CodecException(CodecError.NoBody);
			}
			if (n > parameters.MaxBody)
			{
				throw new CodecException(CodecError.TooLarge, n + " bytes, at most " + parameters.MaxBody);
			}
			if (State == SessionState.Ended)
			{
				return SendResult.Closed;
			}
			if (end.Out.Count >= maxPackets || end.Out.BodyBytes + n > maxBytes && end.Out.Count > 0)
			{
				return SendResult.Full;
			}
			end.Push(kind, b, at, n);
			return SendResult.Ok;
		}

		/// <summary>Asks the server to stop sending counted packets, or to go on.</summary>
		public void Hold(bool on)
		{
			end.Hold(on);
		}

		// --- what the app wants

		/// <summary>Says goodbye: the caller writes Output once more and closes the link.</summary>
		public void Close()
		{
			if (State == SessionState.Ended)
			{
				return;
			}
			bool wasOpen = State == SessionState.Open;
			Finish(new CloseReason(CloseCode.Left));
			if (wasOpen)
			{
				Control.AppendBye(control, CloseCode.Left, "");
			}
		}

		/// <summary>Goes to the background: the server is told to start the grace now.</summary>
		public void Pause(long now)
		{
			if (State == SessionState.Ended || State == SessionState.Paused)
			{
				return;
			}
			control.Clear();
			if (State == SessionState.Open)
			{
				Control.AppendDetach(control);
				Moved(now);
				Change(ChangeKind.Lost, new CloseReason(CloseCode.LinkLost, "paused"));
			}
			State = SessionState.Paused;
			cutting = true;
		}

		/// <summary>Tries again at once: the app came to the foreground, or the network changed.</summary>
		public void Hurry(long now)
		{
			if (State == SessionState.Waiting || State == SessionState.Paused)
			{
				State = SessionState.Waiting;
				dialAt = now;
				tries = 0;
			}
			else if (State == SessionState.Open && probeBy == Nanos.Never &&
				now - end.PingAt >= Math.Max(Nanos.Second, parameters.Interval / 4))
			{
				Probe(now); // not with every call: the server answers only so many pings
			}
		}

		void Probe(long now)
		{
			end.PingDue = true;
			end.Pings = 3; // the next is a fourth, which stays in the stream: SPEC 5.8
			probeBy = Math.Min(probeBy, now + probeLimit);
		}

		// --- the link

		/// <summary>
		/// Tells that the link asked for is there. wall is nanoseconds since 1970; knocks says that its server stays
		/// silent until it has heard a heartbeat (plain KCP: SPEC 2.2).
		/// </summary>
		public void LinkUp(long now, long wall, bool knocks)
		{
			if (State != SessionState.Dialing)
			{
				// It came too late. A link in use is not cut for it.
				cutting = cutting || State != SessionState.Opening && State != SessionState.Open;
				return;
			}
			State = SessionState.Opening;
			greeted = false;
			knock = knocks;
			knockAt = now;
			openBy = now + openingTimeout;
			attempt = Math.Max(attempt + 1, (ulong)Math.Max(wall / Nanos.Microsecond, 0));
			control.Clear();
		}

		/// <summary>Tells that the app itself left the link. That says nothing about the network: the next attempt is soon.</summary>
		public void LinkDropped(long now)
		{
			tries = 0;
			LinkDown(now, false);
		}

		/// <summary>Tells that the link broke or could not be opened. Returns whether another address may do better.</summary>
		public bool LinkDown(long now)
		{
			bool stuck = BrokenOpen();
			LinkDown(now, stuck);
			return stuck;
		}

		void LinkDown(long now, bool stuck)
		{
			if (State == SessionState.Dialing || State == SessionState.Opening || State == SessionState.Open)
			{
				Down(now, new CloseReason(CloseCode.LinkLost), 0, stuck);
			}
		}

		// Reports that something arrived so long after a question that is open was sent: the path is open, and the
		// stream does not move. SPEC 5.6.
		bool PathOpen(long since)
		{
			return State == SessionState.Open && end.Asking && Math.Max(end.LastRecv, carriedAt) - end.AskedAt >= since;
		}

		// The same for a link that others have ended: an answer may have been on its way.
		bool BrokenOpen()
		{
			return PathOpen(parameters.Timeout / 2);
		}

		/// <summary>Has the server acknowledge what was written: its echo tells the count.</summary>
		public void Ask()
		{
			if (State == SessionState.Open)
			{
				end.PingDue = true;
				end.Pings = 3; // in the stream, behind it: SPEC 5.8
			}
		}

		/// <summary>Appends the frames that are due, counted packets as far as they fit into room bytes.</summary>
		public void Output(ByteBuffer to, long now, long room)
		{
			if (control.Length > 0)
			{
				to.Append(control.Bytes, control.Start, control.Length);
				control.Clear();
			}
			if (State == SessionState.Open)
			{
				end.Output(to, now, room, parameters.Packets, parameters.Bytes, cfg.Random);
			}
		}

		/// <summary>
		/// Appends the heartbeats that are due and may travel in a datagram, where the link has an unreliable
		/// channel: SPEC 5.8. Output follows.
		/// </summary>
		public void OutputDatagram(ByteBuffer to, long now)
		{
			if (State == SessionState.Open)
			{
				end.OutputDatagram(to, now, cfg.Random);
			}
		}

		/// <summary>The acknowledgement of a DATAGRAM that the caller writes itself.</summary>
		public uint Ack { get { return (uint)end.Recv; } }

		/// <summary>Tells of bytes of the stream that made no whole packet yet: SPEC 5.2.</summary>
		public void Saw(long now)
		{
			if (State == SessionState.Open && now > end.LastRecv)
			{
				end.Saw(now);
				probeBy = Nanos.Never;
			}
		}

		/// <summary>The largest body of the server that is read, in bytes.</summary>
		public int MaxReceive { get { return maxReceive; } }

		/// <summary>
		/// Tells when the carrier itself last said something, as an acknowledgement of KCP. That is no life of the
		/// server, but a sign that the way there is open.
		/// </summary>
		public void Carried(long at)
		{
			carriedAt = at;
		}

		void Heard(long now)
		{
			end.LastRecv = now;
			probeBy = Nanos.Never;
		}

		/// <summary>
		/// Takes a packet from the link and reports whether it is the app's. A LinkException ends the link; call
		/// LinkDown after closing it.
		/// </summary>
		public bool Receive(Packet p, long now)
		{
			return Receive(p, now, false);
		}

		/// <summary>Takes a packet that came in a datagram. One that overtook the answer to the opening is ignored.</summary>
		public bool ReceiveDatagram(Packet p, long now)
		{
			if (p.Kind != PacketKind.Heartbeat && p.Kind != PacketKind.Datagram)
			{
				throw new LinkException(LinkError.Kind);
			}
			return State != SessionState.Opening && Receive(p, now, true);
		}

		bool Receive(Packet p, long now, bool byDatagram)
		{
			if (State == SessionState.Opening)
			{
				ReceiveOpening(p, now);
				return false;
			}
			if (State != SessionState.Open)
			{
				throw new LinkException(LinkError.Fenced); // what a left link still delivers
			}
			Heard(now);
			if (p.Kind == PacketKind.Heartbeat || p.Kind >= PacketKind.Request) // a control packet's ack means nothing
			{
				end.Acknowledged(p.Ack, now);
			}
			if (p.Counted)
			{
				return end.Count(p.Seq, p.Length, parameters.Packets, parameters.Bytes);
			}
			switch (p.Kind)
			{
				case PacketKind.Heartbeat:
					end.Beat(p.Flags, p.Seq, now, byDatagram);
					return false;
				case PacketKind.Datagram:
					return true;
				case PacketKind.Tune:
					long interval, timeout;
					Control.ReadTune(p, out interval, out timeout); // one that can't work changes neither
					parameters.Interval = interval;
					parameters.Timeout = timeout;
					beatEvery = Math.Min(beatEvery, parameters.Interval);
					return false;
				case PacketKind.Bye:
					Bye(p, now);
					return false;
				case PacketKind.Move:
					Move(p, now);
					return false;
				case PacketKind.Resumed:
				case PacketKind.Reset:
				case PacketKind.Welcome: // an answer given twice
					return false;
			}
			throw new LinkException(LinkError.Kind);
		}

		// The server's goodbye. The range of its code says what to do.
		void Bye(Packet p, long now)
		{
			CloseReason why = Control.ReadEnd(p);
			if (CloseCode.IsFinal(why.Code))
			{
				Finish(why);
				return;
			}
			cutting = true;
			long spread = Math.Min(parameters.Window, maxWait);
			if (why.Code == CloseCode.Moved)
			{
				moveTo = ""; // this one knows better
				spread = 0;  // and its server moves us one by one
			}
			Down(now, why, spread, why.Code == CloseCode.LinkLost && BrokenOpen());
			if (why.Code == CloseCode.Moved)
			{
				Address = why.Text;
				Follow(now);
			}
			if (!CloseCode.IsResumable(why.Code) && who != null)
			{
				Gone(why, 0);
			}
		}

		void Move(Packet p, long now)
		{
			long delay;
			Control.ReadMove(p, out delay, out moveTo);
			delay = Math.Min(delay, maxWait);
			moveAt = now + delay;
			changes.Enqueue(new SessionChange { Kind = ChangeKind.Moving, Delay = delay, Address = moveTo });
		}

		// --- leaving: SPEC 8.1 to 8.3

		// A random duration below d.
		long Below(long d)
		{
			return d <= 0 ? 0 : (long)(cfg.Random() % (ulong)d);
		}

		// The pause before the next attempt: full jitter over a time that doubles, and is spread at least.
		long Backoff(long spread)
		{
			long d = maxDelay;
			if (maxDelay >> Math.Min(tries, 62) > minDelay)
			{
				d = minDelay << tries;
			}
			return Below(Math.Max(d, spread));
		}

		// Leaves the link, whatever state it was in, and plans the next one.
		void Down(long now, CloseReason why, long spread, bool stuck = false)
		{
			SessionState was = State;
			State = SessionState.Waiting;
			probeBy = Nanos.Never;
			control.Clear();
			bool moved = false;
			if (was == SessionState.Open)
			{
				moved = Moved(now);
				if (now - openedAt >= parameters.Timeout)
				{
					tries = 0;
				}
				changes.Enqueue(new SessionChange { Kind = ChangeKind.Lost, Reason = why, Stuck = stuck });
			}
			dialAt = now + Backoff(spread);
			tries++;
			if (moved && spread == 0)
			{
				Follow(now); // only the BYE{MOVED} is missing
			}
		}

		// Reports whether the time of a MOVE has come, and goes where it leads: the link has ended, whatever ended it.
		bool Moved(long now)
		{
			bool due = moveTo != "" && now >= moveAt;
			if (due)
			{
				Address = moveTo;
			}
			moveTo = "";
			return due;
		}

		// Dials at once where the server sent us. That server answered, so this is no attempt that failed: SPEC 8.9.
		void Follow(long now)
		{
			dialAt = now;
			tries--; // Down counted it
		}

		// Counts a RESUME that was answered, but not taken. A link that died before its answer says nothing about
		// the session: SPEC 8.3.
		void Failed()
		{
			if (++failures >= 3)
			{
				Gone(new CloseReason(CloseCode.Unknown, "three resumes failed"), 0);
			}
		}

		// Ends a session that the server must have given up by now, by the clock that stands still while the
		// device sleeps: SPEC 8.6.
		void GiveUpLate(long now)
		{
			if (who != null && everUp && State != SessionState.Open && now - end.LastRecv > parameters.Timeout + parameters.Grace)
			{
				Gone(new CloseReason(CloseCode.Expired, "no server could be reached for the whole grace"), 0);
			}
		}

		// Gives up the session: the next link logs in. final is how much the server had accepted at the end, as
		// far as it is known.
		void Gone(CloseReason why, ulong final)
		{
			if (final <= (ulong)end.Wrote && final > (ulong)end.Acked)
			{
				end.Trim((long)final);
			}
			changes.Enqueue(new SessionChange { Kind = ChangeKind.Ending, Reason = why, Undelivered = end.Clear() });
			who = null;
			opening = null;
			Address = "";
			fresh = everUp = retried = numbers = false;
			failures = 0;
		}

		// Ends the client for good.
		void Finish(CloseReason why)
		{
			Gone(why, 0);
			State = SessionState.Ended;
			cutting = true;
			control.Clear();
		}

		// --- time

		/// <summary>When Check has something to do.</summary>
		public long Due
		{
			get
			{
				switch (State)
				{
					case SessionState.Waiting: return dialAt;
					case SessionState.Opening: return knock && !greeted ? Math.Min(openBy, knockAt) : openBy;
					case SessionState.Open: return Math.Min(end.LastRecv + parameters.Timeout, Math.Min(BeatAt, probeBy));
				}
				return Nanos.Never;
			}
		}

		/// <summary>Reports whether Output has something to write, room given.</summary>
		public bool Wants
		{
			get { return control.Length > 0 || State == SessionState.Open && end.Wants(parameters.Packets, parameters.Bytes); }
		}

		// An interval after the last time anything was received, or sent, whichever is longer ago.
		long BeatAt
		{
			get
			{
				if (end.PingDue)
				{
					return Nanos.Never;
				}
				// Asked already in this silence: the next interval begins there.
				return Math.Max(Math.Min(end.LastRecv, end.LastSent), end.PingAt) + beatEvery;
			}
		}

		/// <summary>
		/// Does what is due and says what the owner of the socket must do. Call it after everything else that
		/// happens and when Due has come. now is of a clock that never jumps, wall is the time that people read, in
		/// nanoseconds since 1970.
		/// </summary>
		public SessionAction Check(long now, long wall)
		{
			if (State == SessionState.Open)
			{
				bool slept = checkedOnce && wall - checkedWall - (now - checkedAt) > sleepLimit;
				// Output, too, may have moved what is due further away.
				bool late = checkedDue != Nanos.Never && now - Math.Max(checkedDue, Due) > lateLimit;
				if (slept || late)
				{
					// The device slept, its clock was set, or we stood still with answers still unread: ask before
					// believing anything.
					end.Excuse(now, parameters.Timeout, 2 * probeLimit);
					Probe(now);
				}
			}
			checkedOnce = true;
			checkedAt = now;
			checkedWall = wall;
			SessionAction action = Act(now);
			checkedDue = Due;
			return action;
		}

		SessionAction Act(long now)
		{
			if (State == SessionState.Opening)
			{
				CheckOpening(now);
			}
			else if (State == SessionState.Open)
			{
				CheckOpen(now);
			}
			if (cutting)
			{
				cutting = false;
				return SessionAction.Cut;
			}
			if (State == SessionState.Waiting && now >= dialAt)
			{
				GiveUpLate(now);
				State = SessionState.Dialing;
				return SessionAction.Dial;
			}
			return SessionAction.Wait;
		}

		void CheckOpening(long now)
		{
			if (now >= openBy)
			{
				cutting = true;
				Down(now, new CloseReason(CloseCode.OpeningTimeout), 0);
			}
			else if (knock && !greeted && now >= knockAt)
			{
				knockAt = now + knockEvery;
				Codec.AppendFrame(control, PacketKind.Heartbeat, HeartbeatFlags.None, 0, 0, null, 0, 0);
			}
		}

		void CheckOpen(long now)
		{
			bool silent = end.LastRecv + parameters.Timeout <= now || probeBy <= now;
			bool stuck = end.Stuck(now, parameters.Timeout);
			if (silent || stuck)
			{
				stuck = stuck || PathOpen(1);
				cutting = true;
				Down(now, new CloseReason(CloseCode.LinkLost, "nothing came back in time"), 0, stuck);
			}
			else if (now >= BeatAt)
			{
				end.PingDue = true;
				beatEvery = parameters.Interval * 9 / 10 + Below(parameters.Interval / 5);
			}
		}
	}

	/// <summary>What became of a packet that was to be sent.</summary>
	enum SendResult
	{
		Ok,
		/// <summary>Too much waits to be accepted by the server.</summary>
		Full,
		/// <summary>The client has ended.</summary>
		Closed,
	}
}
