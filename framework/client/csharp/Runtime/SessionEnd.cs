// SPDX-License-Identifier: MIT

// Counting, the outgoing queue with its cursor, and the liveness of the current link: session/SPEC.md 4
// and 5. The same rules in Go are in session/endpoint.go.

using System;
using System.Collections.Generic;

namespace Lifeline
{
	/// <summary>A counted packet, in memory of its own.</summary>
	sealed class QueuedPacket
	{
		public readonly PacketKind Kind;
		public readonly byte[] Body;

		public QueuedPacket(PacketKind kind, byte[] body)
		{
			Kind = kind;
			Body = body;
		}
	}

	/// <summary>Counted packets in their order, in one array that only grows.</summary>
	sealed class PacketQueue
	{
		struct Entry
		{
			public PacketKind Kind;
			public int Length;
			public long At; // of the body, counted over all bytes that were ever appended
		}

		readonly ByteBuffer bodies = new ByteBuffer();
		long consumed; // bytes that were taken out of bodies
		Entry[] ring = new Entry[16];
		int first;

		public int Count { get; private set; }
		public int BodyBytes { get { return bodies.Length; } }

		public void Push(PacketKind kind, byte[] b, int at, int n)
		{
			if (Count == ring.Length)
			{
				Entry[] larger = new Entry[2 * ring.Length];
				for (int i = 0; i < Count; i++)
				{
					larger[i] = ring[(first + i) % ring.Length];
				}
				ring = larger;
				first = 0;
			}
			Entry e = new Entry { Kind = kind, Length = n, At = consumed + bodies.Length };
			bodies.Append(b, at, n);
			ring[(first + Count) % ring.Length] = e;
			Count++;
		}

		/// <summary>Drops the first packet and returns the length of its body.</summary>
		public int Pop()
		{
			int n = ring[first].Length;
			bodies.Consume(n);
			consumed += n;
			first = (first + 1) % ring.Length;
			Count--;
			return n;
		}

		public int LengthAt(int i)
		{
			return ring[(first + i) % ring.Length].Length;
		}

		/// <summary>The i-th packet; its body stands in Bytes from the offset on until anything is pushed or popped.</summary>
		public PacketKind At(int i, out int at, out int n)
		{
			Entry e = ring[(first + i) % ring.Length];
			at = bodies.Start + (int)(e.At - consumed);
			n = e.Length;
			return e.Kind;
		}

		public byte[] Bytes { get { return bodies.Bytes; } }

		/// <summary>Takes the first packet out.</summary>
		public QueuedPacket Take()
		{
			int at, n;
			PacketKind kind = At(0, out at, out n);
			QueuedPacket p = new QueuedPacket(kind, ByteOps.Slice(bodies.Bytes, at, n));
			Pop();
			return p;
		}
	}

	/// <summary>
	/// One end of a session. The counters live as long as the session; SPEC 4.1:
	/// acked &lt;= wrote &lt;= sent and acked &lt; next &lt;= sent + 1.
	/// </summary>
	sealed class SessionEnd
	{
		const int ackEvery = 32;       // so many accepted packets are acknowledged at once: SPEC 4.4
		const int stuckBytes = 1024;   // what the thinnest line must carry in a second: SPEC 5.6
		const int maxHeard = Codec.DefaultMaxBody; // how much an answer may have to wait for: SPEC 5.6

		public readonly PacketQueue Out = new PacketQueue(); // packets Acked + 1 ... Sent
		public long Acked;    // accepted by the peer, trimmed here
		public long Wrote;    // highest number ever put on a link
		public long Sent;     // highest number assigned
		public long Next = 1; // cursor: number to write next on this link
		public long Recv;     // accepted from the peer

		// Of the current link; Attach resets all of it.
		public long LastRecv; // any progress of receiving
		public long LastSent;
		public long PingAt;
		public bool PingDue;
		public bool AckDue;
		public bool HoldPeer; // the peer asked us to send nothing counted
		public long Rtt;      // smoothed round trip of heartbeats, 0 before the first
		/// <summary>When the ping that is open was first written.</summary>
		public long AskedAt;
		/// <summary>A ping in the stream, which is a question, waits for its echo: SPEC 5.6.</summary>
		public bool Asking;
		long progressAt;      // of the streams while a question is open, or of what is outstanding
		int heard;            // body bytes that came since the question, up to maxHeard
		long pingMark;        // packets written before the ping: its echo must acknowledge them
		long flight;          // body bytes of the packets Acked + 1 ... Next - 1
		int untold;           // packets accepted since an acknowledgement was last written
		long untoldBytes;     // and their body bytes
		ushort pingId, echoId;
		bool pingOpen;        // waiting for an echo
		bool echoDue;
		bool echoByDatagram;  // its ping came in a datagram, beside the stream
		bool holdUs;          // we ask the peer; outlives links
		bool holdDue;         // and it has yet to be told
		/// <summary>Pings written; every fourth stays in the stream: SPEC 5.8.</summary>
		public int Pings;

		/// <summary>Starts a new link on which the peer has told what it accepted.</summary>
		public void Attach(long now)
		{
			untold = 0;
			untoldBytes = flight = Rtt = 0;
			Next = Acked + 1;
			LastRecv = LastSent = progressAt = now;
			pingOpen = Asking = PingDue = echoDue = AckDue = HoldPeer = false;
			holdDue = holdUs;
		}

		/// <summary>Forgets everything but the wish to hold, and returns what was not accepted.</summary>
		public List<QueuedPacket> Clear()
		{
			List<QueuedPacket> left = new List<QueuedPacket>(Out.Count);
			while (Out.Count > 0)
			{
				left.Add(Out.Take());
			}
			Acked = Wrote = Sent = Recv = flight = 0;
			Next = 1;
			return left;
		}

		public void Push(PacketKind kind, byte[] b, int at, int n)
		{
			Out.Push(kind, b, at, n);
			Sent++;
		}

		/// <summary>Continues our own stream behind what the peer has accepted.</summary>
		public void Renumber(long accepted)
		{
			Acked = Wrote = accepted;
			Sent = accepted + Out.Count;
		}

		/// <summary>Moves what was written and is not acknowledged to taken.</summary>
		public void TakeWritten(List<QueuedPacket> taken)
		{
			for (long n = Wrote - Acked; n > 0; n--)
			{
				taken.Add(Out.Take());
			}
		}

		/// <summary>Forgets what the peer has accepted.</summary>
		public void Trim(long n)
		{
			while (Acked < n)
			{
				int size = Out.Pop();
				if (++Acked < Next)
				{
					flight -= size;
				}
			}
			Next = Math.Max(Next, n + 1);
		}

		/// <summary>Asks the peer to stop or go on sending counted packets.</summary>
		public void Hold(bool on)
		{
			if (holdUs != on)
			{
				holdUs = on;
				holdDue = true;
			}
		}

		// Whether the packet at the cursor may be written.
		bool Open(int packets, int bytes)
		{
			if (HoldPeer || Next > Sent)
			{
				return false;
			}
			if (flight == 0)
			{
				return true; // one packet always may, however large
			}
			return Next - Acked <= packets && flight + Out.LengthAt((int)(Next - Acked - 1)) <= bytes;
		}

		/// <summary>Reports whether Output has something to write, room given.</summary>
		public bool Wants(int packets, int bytes)
		{
			return echoDue || PingDue || holdDue || AckDue || Open(packets, bytes);
		}

		/// <summary>
		/// Appends what is due: heartbeats first, so that a ping never waits behind bulk, then counted packets while
		/// they fit into room bytes and into the window.
		/// </summary>
		public void Output(ByteBuffer to, long now, long room, int packets, int bytes, Func<ulong> random)
		{
			int before = to.Length;
			if (echoDue)
			{
				echoDue = false;
				Heartbeat(to, HeartbeatFlags.Echo, echoId);
			}
			if (PingDue)
			{
				Question(to, now, random);
			}
			if (holdDue)
			{
				Heartbeat(to, HeartbeatFlags.None, 0);
			}
			while (Open(packets, bytes))
			{
				int at, n;
				PacketKind kind = Out.At((int)(Next - Acked - 1), out at, out n);
				room -= Codec.FrameSize(n);
				if (room < 0)
				{
					break;
				}
				if (Next == Acked + 1)
				{
					progressAt = now;
				}
				Codec.AppendFrame(to, kind, HeartbeatFlags.None, (ushort)Next, Ack(), Out.Bytes, at, n);
				Wrote = Math.Max(Wrote, Next);
				Next++;
				flight += n;
			}
			if (AckDue)
			{
				Heartbeat(to, HeartbeatFlags.None, 0);
			}
			if (to.Length > before)
			{
				LastSent = now;
			}
		}

		/// <summary>Appends the heartbeats that are due and may travel in a datagram, beside the stream: SPEC 5.8.</summary>
		public void OutputDatagram(ByteBuffer to, long now, Func<ulong> random)
		{
			if (holdUs || holdDue)
			{
				return; // what tells HOLD keeps its place in the stream
			}
			int before = to.Length;
			if (echoDue && echoByDatagram)
			{
				echoDue = false;
				Heartbeat(to, HeartbeatFlags.Echo, echoId);
			}
			if (PingDue)
			{
				// What has not moved, or was not answered, since the last ping is asked for in the stream, which
				// loses nothing.
				bool lags = Next > Acked + 1 && progressAt < PingAt;
				Pings = (Pings + 1) % 256;
				if (Pings % 4 != 0 && !pingOpen && !lags)
				{
					Ping(now, Acked, random); // its echo audits nothing
					PingDue = false;
					PingAt = now;
					Heartbeat(to, HeartbeatFlags.EchoWanted, pingId);
				}
			}
			if (to.Length > before)
			{
				LastSent = now;
			}
		}

		// Appends a ping in the stream. One that is still open is repeated with its id, so that whichever echo
		// comes first answers it: SPEC 5.6.
		void Question(ByteBuffer to, long now, Func<ulong> random)
		{
			if (!Asking)
			{
				Ping(now, Next - 1, random);
				Asking = true;
				progressAt = now;
				heard = 0;
			}
			PingDue = false;
			PingAt = now;
			Heartbeat(to, HeartbeatFlags.EchoWanted, pingId);
		}

		// Begins a new ping. Its clock starts when it is written: SPEC 5.3.
		void Ping(long now, long mark, Func<ulong> random)
		{
			pingOpen = true;
			pingId = (ushort)random();
			AskedAt = now;
			pingMark = mark;
		}

		void Heartbeat(ByteBuffer to, HeartbeatFlags flags, ushort id)
		{
			holdDue = false;
			Codec.AppendFrame(to, PacketKind.Heartbeat, holdUs ? flags | HeartbeatFlags.Hold : flags, id, Ack(), null, 0, 0);
		}

		/// <summary>The acknowledgement that every written packet carries.</summary>
		public uint Ack()
		{
			untold = 0;
			untoldBytes = 0;
			AckDue = false;
			return (uint)Recv;
		}

		/// <summary>Takes the ack of a received packet: SPEC 4.3.</summary>
		public void Acknowledged(uint ack, long now)
		{
			int d = (int)(ack - (uint)Acked);
			if (d <= 0)
			{
				return; // late: acknowledgements never go back
			}
			if (Acked + d > Wrote)
			{
				throw new LinkException(LinkError.Unsent);
			}
			Trim(Acked + d);
			progressAt = now;
		}

		/// <summary>Takes a received heartbeat.</summary>
		public void Beat(HeartbeatFlags flags, ushort id, long now, bool byDatagram)
		{
			if (HoldPeer)
			{
				progressAt = now; // a peer that holds may read nothing, echoes too
			}
			if (!byDatagram)
			{
				HoldPeer = (flags & HeartbeatFlags.Hold) != 0; // a datagram may be older than what came in the stream
			}
			if ((flags & HeartbeatFlags.EchoWanted) != 0)
			{
				echoDue = true;
				echoByDatagram = byDatagram;
				echoId = id;
			}
			if ((flags & HeartbeatFlags.Echo) == 0 || !pingOpen || id != pingId)
			{
				return; // an echo that is late, repeated or made up proves life and nothing else
			}
			pingOpen = Asking = false;
			long rtt = now - AskedAt;
			rtt = Rtt == 0 ? rtt : Rtt + (rtt - Rtt) / 8;
			Rtt = rtt - rtt % Nanos.Microsecond;
			if (Acked < pingMark)
			{
				throw new LinkException(LinkError.Gap, "the tail before our ping never arrived"); // SPEC 4.5
			}
		}

		/// <summary>Decides on a counted packet: accept it, or drop one that came before.</summary>
		public bool Count(ushort seq, int size, int packets, int bytes)
		{
			heard = Math.Min(heard + size, maxHeard);
			short d = (short)(seq - (ushort)(Recv + 1));
			if (d > 0)
			{
				throw new LinkException(LinkError.Gap);
			}
			if (d < 0)
			{
				return false;
			}
			Recv++;
			untold++;
			untoldBytes += size;
			if (untold >= Math.Min(ackEvery, Math.Max(packets / 4, 1)) || untoldBytes >= Math.Max(bytes / 4, 1))
			{
				AckDue = true;
			}
			return true;
		}

		/// <summary>Takes note of bytes of the stream that came and make no packet yet.</summary>
		public void Saw(long at)
		{
			LastRecv = Math.Max(LastRecv, at);
			if (heard < maxHeard)
			{
				progressAt = Math.Max(progressAt, at); // the answer may stand behind them
			}
		}

		/// <summary>Forgives the peer the time that passed while we stood still: it has left until the timeout.</summary>
		public void Excuse(long now, long timeout, long left)
		{
			long since = Math.Min(now, now - timeout + left);
			LastRecv = Math.Max(LastRecv, since);
			progressAt = Math.Max(progressAt, since);
		}

		/// <summary>Reports that a question in the stream was not answered in time: SPEC 5.6.</summary>
		public bool Stuck(long now, long timeout)
		{
			long patience = Math.Max(timeout, 8 * Rtt) + (flight + heard) * (Nanos.Second / stuckBytes);
			return Asking && !HoldPeer && now - progressAt > patience;
		}
	}
}
