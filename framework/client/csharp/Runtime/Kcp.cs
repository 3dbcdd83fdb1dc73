// SPDX-License-Identifier: MIT

// One KCP conversation: transport/kcp/SPEC.md, whose sections the comments cite. The same rules in Go
// are in transport/kcp.

using System;

namespace Lifeline
{
	/// <summary>Why a datagram is refused as a whole: SPEC 3.1.</summary>
	enum KcpError { None, Short, Conv, Command, Truncated, Fragment, Unsent, TooLarge, Empty, Window }

	/// <summary>
	/// A KCP conversation: bytes in, bytes out, and the time as it is told. It knows no socket and no clock.
	/// Once its segments are in the pool it allocates nothing.
	/// </summary>
	sealed class Kcp
	{
		public const int HeaderSize = 24;
		public const int MinMtu = 50;
		const int maxPayload = 1536;
		const int maxAhead = 1 << 16;
		const int cutMtu = 1200;    // segments are cut for datagrams of this size at most: SPEC 6.1
		const int startWindow = 32; // segments that a peer takes before it has told: SPEC 4.2
		const int fastResend = 2;   // acks of later segments that make one lost: SPEC 5.3
		const int thin = 16;        // segments in flight that a game's stream has at most: SPEC 5.3, 5.6
		const long hasty = Nanos.Second; // the longest RTO of a stream that hurries: SPEC 5.2
		const int repeats = 2;      // segments that a datagram carries again: SPEC 5.6
		const int burst = 32;       // segments that may time out at one moment: SPEC 5.2
		const long burstGap = 10 * Nanos.Millisecond;
		const long granularity = Nanos.Millisecond; // RFC 9002 6.1.2
		const long startRto = 200 * Nanos.Millisecond;
		const long minRto = 30 * Nanos.Millisecond, maxRto = 4 * Nanos.Second;
		const long probeMin = 500 * Nanos.Millisecond, probeMax = 4 * Nanos.Second;
		const int lossMemory = 64;  // acknowledged segments that the loss looks back, about
		const int lossEvident = (1 << 16) / 100;
		const byte cmdPush = 81, cmdAck = 82, cmdAsk = 83, cmdTell = 84;

		readonly KcpPool pool;
		readonly uint conv;
		readonly int sendWindow, receiveWindow;
		readonly long stallTimeout;
		readonly int cut;
		int mtu;

		uint sndNxt;     // number of the next segment to be sent first
		uint edge;       // the peer takes segments before this number
		uint rcvNxt;     // number of the next segment in order
		int advertised;  // our window, as the peer was last told

		KcpQueue flight; // sent, not acknowledged, by number
		KcpQueue unsent; // not sent, not numbered
		KcpQueue ready;  // received in order, to be read
		KcpQueue early;  // received out of order, by number
		int inFlight, queued, readable;
		int lost;        // segments in flight that are owed again

		bool ackPending;      // of ackSn and ackTs
		uint ackSn, ackTs;
		bool earlyAckPending; // of early segments that are owed
		bool askPending, tellPending;

		long due = Nanos.Never;     // no segment in flight times out before
		long probeAt = Nanos.Never; // the next window probe, once it is known
		int probes;
		bool waiting;              // the peer owes an acknowledgement or a wider window, since since
		long since;
		bool stalled;
		int loss;                  // share of segments lost lately, of 2^16
		long srtt, rttvar, rto = startRto;

		// The best acknowledgement of a datagram: of the latest segment whose stamp we really sent.
		uint echoSn, echoTs;
		long echoRtt; // 0: there is none

		// The datagram under construction.
		byte[] to;
		int at, soft, hard;
		readonly KcpSegment[] flying = new KcpSegment[thin]; // what may be repeated in it
		int left, room;                                      // segments and bytes of that

		/// <summary>cut is the datagram that segments are cut for, at most 1,200 bytes; windows are in segments.</summary>
		public Kcp(uint conv, int cut, KcpPool pool, int sendWindow = 256, int receiveWindow = 128, long stallTimeout = 60 * Nanos.Second)
		{
			this.conv = conv;
			this.cut = mtu = Math.Min(cut, cutMtu);
			this.pool = pool;
			this.sendWindow = sendWindow;
			this.receiveWindow = advertised = receiveWindow;
			this.stallTimeout = stallTimeout;
			edge = startWindow;
		}

		public uint Conv { get { return conv; } }

		/// <summary>The smoothed round trip, 0 before the first.</summary>
		public long Srtt { get { return srtt; } }

		/// <summary>Segments that were sent again.</summary>
		public uint Retransmits { get; private set; }

		/// <summary>Segments that were sent again before anything was known to be lost: SPEC 5.6.</summary>
		public uint Repeats { get; private set; }

		/// <summary>Reports that the peer made no progress for the stall timeout: it is over, and nothing is sent any more.</summary>
		public bool Stalled { get { return stalled; } }

		/// <summary>Reports whether everything written was acknowledged.</summary>
		public bool Settled { get { return inFlight == 0 && unsent.Head == null; } }

		/// <summary>
		/// Tells that the path is another one now: what was measured on the old one counts no more, and datagrams
		/// are small until SetMtu says more.
		/// </summary>
		public void Moved()
		{
			srtt = rttvar = 0;
			rto = startRto;
			loss = 0;
			mtu = Math.Min(mtu, cut);
			if (inFlight > 0)
			{
				due = 0; // it may have been silent there
			}
		}

		/// <summary>
		/// Sends all that is in flight again with the next Output. For last words: there is no time to find out
		/// what was lost.
		/// </summary>
		public void Resend()
		{
			for (KcpSegment s = flight.Head; s != null; s = s.Next)
			{
				if (!s.Owed)
				{
					Lose(s);
				}
			}
		}

		/// <summary>Changes the size of the datagrams to come. A segment that has a number keeps its size: SPEC 6.2.</summary>
		public void SetMtu(int n)
		{
			mtu = Math.Max(n, MinMtu);
		}

		/// <summary>For tests: a new conversation continues with numbers.</summary>
		internal void Renumber(uint next, uint expected)
		{
			sndNxt = next;
			rcvNxt = expected;
			edge = next + startWindow;
		}

		int Mss { get { return Math.Min(mtu, cut) - HeaderSize; } }

		/// <summary>How many bytes Write takes now.</summary>
		public int Room
		{
			get
			{
				int room = Math.Max(sendWindow - inFlight - queued, 0) * Mss;
				return unsent.Tail == null ? room : room + Math.Max(Mss - unsent.Tail.Length, 0);
			}
		}

		/// <summary>Appends n bytes, at most Room, to the stream to the peer. Output sends them.</summary>
		public void Write(byte[] b, int from, int n)
		{
			KcpSegment last = unsent.Tail;
			if (last != null && last.Length < Mss)
			{
				int take = Math.Min(Mss - last.Length, n);
				pool.Extend(last, b, from, take);
				from += take;
				n -= take;
			}
			while (n > 0)
			{
				int take = Math.Min(Mss, n);
				unsent.Push(pool.Get(b, from, take));
				queued++;
				from += take;
				n -= take;
			}
		}

		/// <summary>Moves all bytes received in order to the end of a buffer.</summary>
		public void Read(ByteBuffer buffer)
		{
			while (ready.Head != null)
			{
				buffer.Append(ready.Head.Data, 0, ready.Head.Length);
				readable--;
				pool.Put(ready.Pop());
			}
			if (advertised * 4 < receiveWindow && Window > advertised)
			{
				tellPending = true;
			}
		}

		// How many segments from rcvNxt on there is room for.
		int Window { get { return receiveWindow - readable; } }

		/// <summary>Gives all memory back to the pool; nothing may follow.</summary>
		public void Release()
		{
			pool.Put(ref flight);
			pool.Put(ref unsent);
			pool.Put(ref ready);
			pool.Put(ref early);
			stalled = true;
		}

		static uint Stamp(long now)
		{
			return (uint)(now / Nanos.Millisecond);
		}

		static bool Before(uint a, uint b)
		{
			return (int)(a - b) < 0;
		}

		// --- input

		/// <summary>Takes one datagram, n bytes of b from from on, or refuses it as a whole before anything has changed.</summary>
		public KcpError Input(long now, byte[] b, int from, int n)
		{
			KcpError error = CheckDatagram(b, from, from + n);
			if (error != KcpError.None)
			{
				return error;
			}
			KcpSegment oldest = flight.Head;
			bool again = oldest != null && oldest.Again;
			echoRtt = 0;
			for (int end = from + n; from < end; )
			{
				uint ts = LittleEndian.Get32(b, from + 8), sn = LittleEndian.Get32(b, from + 12), una = LittleEndian.Get32(b, from + 16);
				int size = (int)LittleEndian.Get32(b, from + 20);
				switch (b[from + 4])
				{
					case cmdAck:
						Acked(now, sn, ts);
						break;
					case cmdPush:
						Receive(sn, ts, b, from + HeaderSize, size);
						break;
					case cmdAsk:
						tellPending = true;
						break;
				}
				// After the ack, whose segment una may cover as well: it measures.
				AckedBefore(now, una);
				UpdateWindow(una, b[from + 6] | b[from + 7] << 8);
				from += HeaderSize + size;
			}
			if (echoRtt > 0)
			{
				Sample(echoRtt);
				CountSkips();
			}
			if (again && inFlight > 0)
			{
				due = 0; // after a silence the others may have timed out long ago
			}
			if (flight.Head != oldest)
			{
				since = now;
				if (echoRtt == 0)
				{
					rto = Measured; // no sample, but it is there again
				}
			}
			return KcpError.None;
		}

		KcpError CheckDatagram(byte[] b, int from, int end)
		{
			if (from == end)
			{
				return KcpError.Short;
			}
			while (from < end)
			{
				if (end - from < HeaderSize)
				{
					return KcpError.Short;
				}
				KcpError error = CheckSegment(b, from, end - from - HeaderSize);
				if (error != KcpError.None)
				{
					return error;
				}
				from += HeaderSize + (int)LittleEndian.Get32(b, from + 20);
			}
			return KcpError.None;
		}

		// Judges the header at b[from] with rest bytes behind it. It changes nothing.
		KcpError CheckSegment(byte[] b, int from, int rest)
		{
			byte cmd = b[from + 4];
			uint sn = LittleEndian.Get32(b, from + 12), una = LittleEndian.Get32(b, from + 16), size = LittleEndian.Get32(b, from + 20);
			if (LittleEndian.Get32(b, from) != conv)
			{
				return KcpError.Conv;
			}
			if (cmd < cmdPush || cmd > cmdTell)
			{
				return KcpError.Command;
			}
			if (size > (uint)rest)
			{
				return KcpError.Truncated;
			}
			if (b[from + 5] >= receiveWindow)
			{
				return KcpError.Fragment;
			}
			if (Before(sndNxt, una) || cmd == cmdAck && !Before(sn, sndNxt))
			{
				return KcpError.Unsent;
			}
			if (cmd != cmdPush && size != 0 || size > maxPayload)
			{
				return KcpError.TooLarge;
			}
			if (cmd == cmdPush && size == 0)
			{
				return KcpError.Empty;
			}
			return cmd == cmdPush && (int)(sn - rcvNxt) >= maxAhead ? KcpError.Window : KcpError.None;
		}

		// Takes one PUSH: SPEC 4.1.
		void Receive(uint sn, uint ts, byte[] b, int from, int n)
		{
			int ahead = (int)(sn - rcvNxt);
			if (ahead >= Window)
			{
				return; // no ack: the peer sends it again when there is room
			}
			if (ahead > 0)
			{
				Keep(sn, ts, b, from, n);
				return;
			}
			if (ahead == 0)
			{
				Accept(pool.Get(b, from, n), sn);
				while (early.Head != null && early.Head.Sn == rcvNxt)
				{
					KcpSegment s = early.Pop();
					Accept(s, s.Sn);
				}
			}
			// una acknowledges all that is in order; one ack more carries the stamp.
			ackPending = true;
			ackSn = sn;
			ackTs = ts;
		}

		void Accept(KcpSegment s, uint sn)
		{
			ready.Push(s);
			readable++;
			rcvNxt = sn + 1;
		}

		// Stores a PUSH whose predecessors are missing. The segment itself remembers that it must be
		// acknowledged: there is no list that a flood of duplicates could lengthen.
		void Keep(uint sn, uint ts, byte[] b, int from, int n)
		{
			KcpSegment previous = early.Tail;
			if (previous != null && !Before(previous.Sn, sn))
			{
				previous = null;
				for (KcpSegment p = early.Head; Before(p.Sn, sn); p = p.Next)
				{
					previous = p;
				}
			}
			KcpSegment s = previous == null ? early.Head : previous.Next;
			if (s == null || s.Sn != sn)
			{
				s = pool.Get(b, from, n);
				s.Sn = sn;
				early.Insert(previous, s);
			}
			s.Ts = ts;
			s.Owed = true;
			earlyAckPending = true;
		}

		// --- acknowledgements: SPEC 5

		void Acked(long now, uint sn, uint ts)
		{
			KcpSegment previous = null, s = flight.Head;
			while (s != null && Before(s.Sn, sn))
			{
				previous = s;
				s = s.Next;
			}
			if (s == null || s.Sn != sn)
			{
				return; // had been acknowledged before
			}
			// The stamp must lie between the first and the latest transmission. So a forged one measures at
			// worst the time that the segment really waited.
			if (ts - s.Ts <= Stamp(s.Sent) - s.Ts && (echoRtt == 0 || Before(echoSn, sn)))
			{
				long rtt = now - s.Sent;
				if (ts != Stamp(s.Sent))
				{
					rtt = (Stamp(now) - ts) * Nanos.Millisecond;
				}
				echoSn = sn;
				echoTs = ts;
				echoRtt = Math.Max(rtt, 1);
			}
			NoteLoss(WasLost(now, s) && ts != s.Ts);
			Settle(previous, s);
		}

		// The cumulative acknowledgement. One that goes back is an old packet, and acknowledges nothing new.
		void AckedBefore(long now, uint una)
		{
			while (flight.Head != null && Before(flight.Head.Sn, una))
			{
				NoteLoss(WasLost(now, flight.Head));
				Settle(null, flight.Head);
			}
		}

		// Ends the flight of s, which stands behind previous.
		void Settle(KcpSegment previous, KcpSegment s)
		{
			flight.Remove(previous, s);
			if (s.Owed)
			{
				lost--;
			}
			if (--inFlight == 0)
			{
				due = Nanos.Never;
				waiting = false;
			}
			pool.Put(s);
		}

		// Moves the edge of the peer's window, never back: SPEC 4.2.
		void UpdateWindow(uint una, int wnd)
		{
			// Relative to sndNxt, which una doesn't exceed, nothing overflows.
			int room = (int)(una - sndNxt) + wnd;
			if (room > (int)(edge - sndNxt))
			{
				edge = sndNxt + (uint)room;
			}
		}

		// Whether the first transmission of s did not arrive in time, as far as is known: a repeat may have come
		// before the timeout.
		bool WasLost(long now, KcpSegment s)
		{
			return s.Again || s.Ts != Stamp(s.Sent) && Stamp(now) - s.Ts > Stamp(rto);
		}

		void NoteLoss(bool gone)
		{
			loss += gone ? (0xffff - loss) / lossMemory : -(loss / lossMemory);
		}

		// RFC 6298.
		void Sample(long rtt)
		{
			if (srtt == 0)
			{
				srtt = rtt;
				rttvar = rtt / 2;
			}
			else
			{
				rttvar += (Math.Abs(srtt - rtt) - rttvar) / 4;
				srtt += (rtt - srtt) / 8;
			}
			rto = Measured;
		}

		static long Bound(long d)
		{
			return Math.Max(Math.Min(d, maxRto), minRto);
		}

		// The timeout as the round trip tells it, without its backing off.
		long Measured { get { return Bound(srtt == 0 ? startRto : srtt + Math.Max(granularity, 4 * rttvar)); } }

		// A thin stream on a path that loses: SPEC 5.6.
		bool Repeating { get { return loss >= lossEvident && inFlight <= thin; } }

		// How long a transmission of s waits for its acknowledgement: SPEC 5.2.
		long Patience(KcpSegment s)
		{
			long measured = Measured;
			if (!Repeating || rto >= 3 * measured || measured > hasty)
			{
				return rto;
			}
			return s.Again ? measured / 2 : measured;
		}

		// Finds the segments that the acknowledged one overtook: SPEC 5.3. One datagram counts once, however
		// many acks it has: they were sent together.
		void CountSkips()
		{
			int enough = unsent.Head == null && inFlight <= thin ? 1 : fastResend;
			for (KcpSegment s = flight.Head; s != null && Before(s.Sn, echoSn); s = s.Next)
			{
				if (s.Owed || Before(echoTs, Stamp(s.Sent)))
				{
					continue; // sent after the one that arrived: no evidence
				}
				if (++s.Skips >= enough)
				{
					Lose(s);
				}
			}
		}

		void Lose(KcpSegment s)
		{
			s.Owed = s.Again = true;
			lost++;
		}

		// Takes for lost what has been silent for too long, and finds the next moment at which that can be:
		// SPEC 5.2.
		void Expire(long now)
		{
			bool silent = rto >= 3 * Measured;
			if (!flight.Head.Owed && now >= flight.Head.Due)
			{
				rto = Bound(rto * 3 / 2); // only the oldest segment backs off, once for each of its timeouts
			}
			due = Nanos.Never;
			int expired = 0;
			for (KcpSegment s = flight.Head; s != null && !(silent && s != flight.Head); s = s.Next)
			{
				if (s.Owed)
				{
					continue;
				}
				if (now >= s.Due)
				{
					if (expired < burst)
					{
						Lose(s);
					}
					else
					{
						s.Due = now + expired / burst * burstGap;
					}
					expired++;
				}
				if (!s.Owed)
				{
					due = Math.Min(due, s.Due);
				}
			}
		}

		// --- output

		/// <summary>
		/// Writes one datagram of what is due, at most limit bytes, to b[from] and returns its size; 0 when
		/// nothing is due. Call it until it returns 0.
		/// </summary>
		public int Output(long now, byte[] b, int from, int limit)
		{
			Tick(now);
			if (!Pending)
			{
				return 0;
			}
			to = b;
			at = from;
			soft = from + Math.Min(limit, lost > 0 ? Math.Min(mtu, cut) : mtu);
			hard = from + limit;
			PutAcks();
			if (askPending && Fits(from, 0))
			{
				Put(cmdAsk, 0, Stamp(now), null);
				askPending = false;
			}
			PutLost(now, from);
			PutRepeats(now, from);
			PutNew(now, from);
			if (tellPending && at == from && Fits(from, 0))
			{
				Put(cmdTell, 0, Stamp(now), null);
			}
			to = null;
			if (at > from) // every header tells the window
			{
				tellPending = false;
				advertised = Window;
			}
			return at - from;
		}

		bool Pending
		{
			get
			{
				return !stalled && (ackPending || earlyAckPending || askPending || tellPending || lost != 0 || unsent.Head != null && !Blocked);
			}
		}

		/// <summary>Has the next Output ask for the peer's window, which any peer answers that knows the conversation.</summary>
		public void AskWindow()
		{
			askPending = true;
		}

		// Whether the peer's window alone holds data back.
		bool Blocked { get { return unsent.Head != null && !Before(sndNxt, edge); } }

		/// <summary>
		/// When Output has something to do: now if it has already, Nanos.Never if only Input or Write can change
		/// that. It may be early, never late.
		/// </summary>
		public long NextDeadline(long now)
		{
			if (stalled)
			{
				return Nanos.Never;
			}
			if (Pending)
			{
				return now;
			}
			long next = due;
			if (Blocked)
			{
				next = Math.Min(next, probeAt);
			}
			return waiting ? Math.Min(next, since + stallTimeout) : next;
		}

		// What only time brings about: stalls, timeouts, window probes.
		void Tick(long now)
		{
			if (stalled)
			{
				return;
			}
			bool blocked = Blocked;
			if (!blocked && inFlight == 0)
			{
				waiting = false;
			}
			else if (!waiting)
			{
				waiting = true;
				since = now;
			}
			else if (now - since >= stallTimeout)
			{
				stalled = true;
				return;
			}
			if (now >= due)
			{
				Expire(now);
			}
			Probe(now, blocked);
		}

		// Asks for the window from time to time while it holds data back: SPEC 4.3.
		void Probe(long now, bool blocked)
		{
			if (!blocked)
			{
				probeAt = Nanos.Never;
				probes = 0;
				return;
			}
			bool asks = now >= probeAt;
			if (asks)
			{
				askPending = true;
				probes++;
			}
			if (asks || probeAt == Nanos.Never)
			{
				probeAt = now + Math.Min(probeMin << Math.Min(probes, 8), probeMax);
			}
		}

		// Whether a segment with n bytes may be added. One that is too large by itself may, alone, up to the hard end.
		bool Fits(int from, int n)
		{
			int end = at + HeaderSize + n;
			return end <= soft || at == from && end <= hard;
		}

		void Put(byte cmd, uint sn, uint ts, KcpSegment s)
		{
			LittleEndian.Put32(to, at, conv);
			to[at + 4] = cmd;
			to[at + 5] = 0;
			to[at + 6] = (byte)Window;
			to[at + 7] = (byte)(Window >> 8);
			LittleEndian.Put32(to, at + 8, ts);
			LittleEndian.Put32(to, at + 12, sn);
			LittleEndian.Put32(to, at + 16, rcvNxt);
			LittleEndian.Put32(to, at + 20, s == null ? 0 : (uint)s.Length);
			at += HeaderSize;
			if (s != null)
			{
				Buffer.BlockCopy(s.Data, 0, to, at, s.Length);
				at += s.Length;
			}
		}

		void Push(long now, KcpSegment s)
		{
			s.Sent = now;
			Put(cmdPush, s.Sn, Stamp(now), s);
		}

		// The acks that are owed, as far as they fit: SPEC 4.4.
		void PutAcks()
		{
			int from = at;
			if (ackPending && Fits(from, 0))
			{
				Put(cmdAck, ackSn, ackTs, null);
				ackPending = false;
			}
			if (!earlyAckPending)
			{
				return;
			}
			for (KcpSegment s = early.Head; s != null; s = s.Next)
			{
				if (!s.Owed)
				{
					continue;
				}
				if (!Fits(from, 0))
				{
					return;
				}
				Put(cmdAck, s.Sn, s.Ts, null);
				s.Owed = false;
			}
			earlyAckPending = false;
		}

		// Segments that are owed again, the oldest first.
		void PutLost(long now, int from)
		{
			for (KcpSegment s = flight.Head; s != null && lost > 0; s = s.Next)
			{
				if (!s.Owed)
				{
					continue;
				}
				if (!Fits(from, s.Length))
				{
					return;
				}
				s.Owed = false;
				lost--;
				Retransmits++;
				Transmit(now, s);
			}
		}

		// Segments in flight once more, in front of the one that is new, as far as they fit and if the path
		// loses: SPEC 5.6.
		void PutRepeats(long now, int from)
		{
			KcpSegment fresh = unsent.Head;
			if (!Repeating || inFlight == 0 || lost > 0 || fresh == null || fresh.Next != null || Blocked)
			{
				return;
			}
			int n = 0;
			for (KcpSegment s = flight.Head; s != null; s = s.Next)
			{
				if (s.Sent == now)
				{
					return; // another datagram of the same flush has left
				}
				s.Chosen = false;
				flying[n++] = s;
			}
			left = repeats;
			room = Math.Min(soft, from + cut) - at - HeaderSize - fresh.Length;
			for (int i = 0; i < n; i++) // without those, nothing behind them can be read
			{
				Choose(flying[i], true);
			}
			for (int i = n - 1; i >= 0; i--)
			{
				Choose(flying[i], false);
			}
			for (int i = 0; i < n; i++)
			{
				KcpSegment s = flying[i];
				flying[i] = null;
				if (s.Chosen)
				{
					Repeats++;
					Push(now, s);
					s.Due = Math.Max(s.Due, now + Patience(s));
				}
			}
		}

		// Chooses s for a repeat, if it fits and was sent again or not, as is asked for.
		void Choose(KcpSegment s, bool again)
		{
			int size = HeaderSize + s.Length;
			if (s.Again == again && left > 0 && size <= room)
			{
				left--;
				room -= size;
				s.Chosen = true;
			}
		}

		// Numbers and adds new segments, as the windows allow.
		void PutNew(long now, int from)
		{
			if (lost > 0)
			{
				return; // they come first, and there was no room for them
			}
			while (unsent.Head != null && Before(sndNxt, edge))
			{
				KcpSegment s = unsent.Head;
				int n = Math.Min(s.Length, Mss);
				if (!Fits(from, n))
				{
					return;
				}
				unsent.Pop();
				if (n < s.Length) // cut before SetMtu lowered the MTU
				{
					unsent.Insert(null, pool.Get(s.Data, n, s.Length - n));
					queued++;
					s.Length = n;
				}
				queued--;
				inFlight++;
				flight.Push(s);
				s.Sn = sndNxt++;
				s.Ts = Stamp(now);
				Transmit(now, s);
			}
		}

		// Adds s, which fits, and starts its timeout.
		void Transmit(long now, KcpSegment s)
		{
			s.Due = now + Patience(s);
			s.Skips = 0;
			due = Math.Min(due, s.Due);
			Push(now, s);
		}
	}

	/// <summary>A piece of the stream that waits. Owned by the queue that holds it, or by the pool.</summary>
	sealed class KcpSegment
	{
		public KcpSegment Next;
		public byte[] Data;
		public int Length;
		public long Sent;  // in flight: the latest transmission
		public long Due;   // in flight: when silence means loss
		public uint Sn;
		public uint Ts;    // in flight: stamp of the first transmission; early: the peer's stamp
		public int Skips;  // in flight: acks of later segments that passed this one by
		public bool Owed;  // in flight: send it again; early: acknowledge it
		public bool Again; // in flight: it was taken for lost
		public bool Chosen; // in flight: it is repeated now
	}

	/// <summary>A list of segments in the order of the stream.</summary>
	struct KcpQueue
	{
		public KcpSegment Head, Tail;

		public void Push(KcpSegment s)
		{
			s.Next = null;
			if (Tail == null)
			{
				Head = s;
			}
			else
			{
				Tail.Next = s;
			}
			Tail = s;
		}

		/// <summary>Puts s behind previous, or first if that is null.</summary>
		public void Insert(KcpSegment previous, KcpSegment s)
		{
			if (previous == Tail)
			{
				Push(s);
			}
			else if (previous == null)
			{
				s.Next = Head;
				Head = s;
			}
			else
			{
				s.Next = previous.Next;
				previous.Next = s;
			}
		}

		/// <summary>Takes s out, which stands behind previous, or first if that is null.</summary>
		public void Remove(KcpSegment previous, KcpSegment s)
		{
			if (previous == null)
			{
				Head = s.Next;
			}
			else
			{
				previous.Next = s.Next;
			}
			if (Tail == s)
			{
				Tail = previous;
			}
			s.Next = null;
		}

		public KcpSegment Pop()
		{
			KcpSegment s = Head;
			Remove(null, s);
			return s;
		}
	}

	/// <summary>Keeps segments for reuse, in two sizes. Belongs to one client.</summary>
	sealed class KcpPool
	{
		const int small = 256, large = 1536;
		const int retained = 512; // segments of each size

		KcpSegment smallFree, largeFree;
		int smallCount, largeCount;

		internal KcpSegment Get(byte[] b, int from, int n)
		{
			KcpSegment s = Get(n);
			Buffer.BlockCopy(b, from, s.Data, 0, n);
			s.Length = n;
			return s;
		}

		KcpSegment Get(int n)
		{
			KcpSegment s = n > small ? largeFree : smallFree;
			if (s == null)
			{
				return new KcpSegment { Data = new byte[n > small ? large : small] };
			}
			if (n > small)
			{
				largeFree = s.Next;
				largeCount--;
			}
			else
			{
				smallFree = s.Next;
				smallCount--;
			}
			s.Next = null;
			return s;
		}

		/// <summary>Appends to a segment, in a large array if the small one can't hold both.</summary>
		internal void Extend(KcpSegment s, byte[] b, int from, int n)
		{
			if (s.Length + n > s.Data.Length)
			{
				KcpSegment larger = Get(large);
				Buffer.BlockCopy(s.Data, 0, larger.Data, 0, s.Length);
				byte[] data = s.Data;
				s.Data = larger.Data;
				larger.Data = data;
				Put(larger);
			}
			Buffer.BlockCopy(b, from, s.Data, s.Length, n);
			s.Length += n;
		}

		internal void Put(KcpSegment s)
		{
			bool isLarge = s.Data.Length > small;
			if ((isLarge ? largeCount : smallCount) >= retained)
			{
				return;
			}
			s.Length = 0;
			s.Sent = s.Due = 0;
			s.Sn = s.Ts = 0;
			s.Skips = 0;
			s.Owed = s.Again = false;
			s.Next = isLarge ? largeFree : smallFree;
			if (isLarge)
			{
				largeFree = s;
				largeCount++;
			}
			else
			{
				smallFree = s;
				smallCount++;
			}
		}

		internal void Put(ref KcpQueue q)
		{
			while (q.Head != null)
			{
				Put(q.Pop());
			}
		}
	}
}
