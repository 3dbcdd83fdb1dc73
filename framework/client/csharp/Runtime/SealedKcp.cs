// SPDX-License-Identifier: MIT

using System;
using System.Net;
using System.Net.Sockets;

namespace Lifeline
{
	/// <summary>
	/// KCP in sealed datagrams: transport/seal/SPEC.md and transport/SPEC.md 6. Its local address may change
	/// while the link goes on.
	/// </summary>
	sealed class SealedKcpCarrier : KcpCarrier
	{
		const long rebindEvery = 500 * Nanos.Millisecond;  // at most, when sockets fail
		const long silence = 2 * Nanos.Second;             // unanswered for so long, the local address may be of no use
		const int workPerUpdate = 128;                    // steps of X25519 in one Update: less than half a multiplication
		const int room = SealWire.MaxDatagram - SealWire.Overhead; // for the plaintext

		readonly Places places;
		readonly Entropy entropy;
		readonly KcpPool pool;
		readonly byte[] serverKey;

		// The handshake.
		readonly SealInitiator[] tries = new SealInitiator[2]; // the cheap one first, if there is a seal key
		readonly int[] answeredOn = new int[2];                // index of the socket on which its answer came
		UdpSocket[] sockets;
		int opened;
		long openAt;
		readonly HelloTimes hellos = new HelloTimes();
		string lastError = "";

		// The link.
		UdpSocket socket;
		SealConn conn;
		readonly SealDoubt doubt = new SealDoubt();
		readonly ByteBuffer frames = new ByteBuffer(); // outside of the stream, for the next datagram
		bool pinged;                                   // one of them is a ping
		long reboundAt;
		long waitingSince = Nanos.Never;                // first datagram sent after the latest that came
		readonly byte[] closing = new byte[SealWire.Overhead + 1];
		int closingSize, closings;
		long closingAt;

		/// <summary>who may be null, or without a seal key: then the server's public key opens the link.</summary>
		public SealedKcpCarrier(Places places, byte[] serverKey, Identity who, Entropy entropy, KcpPool pool)
		{
			this.places = places;
			this.serverKey = serverKey;
			this.entropy = entropy;
			this.pool = pool;
			Frames = new byte[room];
			tries[0] = who != null && who.Seal != null ? new SealInitiator(who.Sid, who.Seal, entropy.Bytes(16)) : new SealInitiator(serverKey, entropy.Bytes(32));
		}

		public override string Silence
		{
			get { return "no answer: no server there, or its key is not the one in ServerKey, or a firewall that drops UDP"; }
		}

		public override IPEndPoint Remote { get { return socket == null ? null : socket.Remote; } }

		public override bool Receive(long now)
		{
			FramesLength = 0;
			if (Silent || State == CarrierState.Broken)
			{
				return false;
			}
			if (State == CarrierState.Connecting)
			{
				Shake(now);
				return false;
			}
			bool failed;
			int n = socket.Receive(Datagram, out failed);
			if (failed)
			{
				RebindOnFailure(now); // no error of a socket is authentic
			}
			if (n > 0)
			{
				Take(now, n);
				return State == CarrierState.Up;
			}
			Quiet(now);
			if (doubt.Lost(now))
			{
				Break("the server does not know the link any more");
			}
			return false;
		}

		// --- handshake: transport/seal/SPEC.md 3

		void Shake(long now)
		{
			if (!places.Poll())
			{
				Work();
				return;
			}
			OpenSockets(now);
			Work();
			if (tries[0].Ready && hellos.Next(now))
			{
				if (hellos.Joined && tries[1] == null && tries[0].Hello[4] == (byte)PacketType.ResumeHello)
				{
					tries[1] = new SealInitiator(serverKey, entropy.Bytes(32));
				}
				Array.ForEach(tries, i => { if (i != null) { i.Repeat(); } });
				for (int k = 0; k < opened; k++)
				{
					SendHellos(k);
				}
			}
			for (int k = 0; k < opened; k++)
			{
				ReadAnswers(k);
			}
			Work();
			for (int i = 0; i < tries.Length && State == CarrierState.Connecting; i++)
			{
				if (tries[i] != null && tries[i].Conn != null)
				{
					Accepted(tries[i], answeredOn[i], now);
				}
			}
		}

		void Work()
		{
			int left = workPerUpdate;
			for (int i = 0; i < tries.Length && tries[i] != null; i++)
			{
				bool was = tries[i].Ready;
				left -= tries[i].Work(left);
				if (!was && tries[i].Ready && i > 0)
				{
					for (int k = 0; k < opened; k++)
					{
						SendHello(k, i);
					}
				}
			}
		}

		// Opens a socket to the first address, and after a while to the next one too.
		void OpenSockets(long now)
		{
			IPEndPoint[] found = places.Found;
			if (sockets == null)
			{
				sockets = new UdpSocket[found.Length];
			}
			bool any = false;
			for (int k = 0; k < opened; k++)
			{
				any = any || sockets[k] != null;
			}
			while (opened < found.Length && (!any || now >= openAt))
			{
				openAt = now + Places.HeadStart;
				try
				{
					sockets[opened] = new UdpSocket(found[opened]);
					any = true;
				}
				catch (Exception e) // a system, or a network, without this family
				{
					lastError = found[opened] + ": " + e.Message;
				}
				opened++;
				if (hellos.Sent > 0)
				{
					SendHellos(opened - 1);
				}
			}
			if (!any)
			{
				Break(lastError != "" ? lastError : places.Error);
			}
		}

		void SendHellos(int k)
		{
			for (int i = 0; i < tries.Length && tries[i] != null; i++)
			{
				SendHello(k, i);
			}
		}

		void SendHello(int k, int i)
		{
			if (sockets[k] != null && tries[i].Ready)
			{
				sockets[k].Send(tries[i].Hello, 0, SealWire.HelloSize);
			}
		}

		// Datagrams that are no answer are ignored.
		void ReadAnswers(int k)
		{
			if (sockets[k] == null)
			{
				return;
			}
			bool failed;
			for (int n = sockets[k].Receive(Datagram, out failed); n > 0; n = sockets[k].Receive(Datagram, out failed))
			{
				for (int i = 0; i < tries.Length && tries[i] != null; i++)
				{
					bool before = tries[i].Answered;
					if (tries[i].Handle(Datagram, n))
					{
						SendHello(k, i);
					}
					if (!before && tries[i].Answered)
					{
						answeredOn[i] = k;
					}
				}
			}
		}

		void Accepted(SealInitiator link, int k, long now)
		{
			if (link.Greeting.Length != 1)
			{
				Break("the server's greeting is none");
				return;
			}
			conn = link.Conn;
			LinkNonce = link.Nonce;
			LinkVersion = link.Greeting[0];
			socket = sockets[k];
			sockets[k] = null;
			CloseSockets();
			Begin(new Kcp(conn.Connection, room - 1, pool, Window, Window), now);
		}

		void CloseSockets()
		{
			for (int k = 0; sockets != null && k < sockets.Length; k++)
			{
				if (sockets[k] != null)
				{
					sockets[k].Close();
					sockets[k] = null;
				}
			}
		}

		// --- receiving

		void Take(long now, int n)
		{
			uint connection;
			PacketType type;
			if (!SealWire.Parse(Datagram, n, out connection, out type) || connection != conn.Connection)
			{
				return;
			}
			if (type == PacketType.Reset)
			{
				if (doubt.Reset(now, Datagram, n))
				{
					// An observer of our datagrams can make a reset too: the server is asked whether it is true.
					Datagram[SealWire.HeaderSize] = (byte)SealControl.Challenge;
					LittleEndian.Put64(Datagram, SealWire.HeaderSize + 1, entropy.Next());
					SendSealed(now, PacketType.Control, 9);
				}
				return;
			}
			if (conn.Open(Datagram, n) != SealError.None)
			{
				return; // forged, or repeated by the network
			}
			doubt.Heard();
			LastIn = now;
			waitingSince = Nanos.Never;
			n -= SealWire.Overhead;
			if (type == PacketType.Control)
			{
				TakeControl(now, n);
				return;
			}
			if (!SealWire.SplitPayload(Datagram, SealWire.HeaderSize, n, out FramesAt, out FramesLength))
			{
				FramesLength = 0;
				return;
			}
			int at = FramesAt + FramesLength;
			n = SealWire.HeaderSize + n - at;
			if (FramesLength > 0)
			{
				Buffer.BlockCopy(Datagram, FramesAt, Frames, 0, FramesLength); // their handlers may send
				FramesAt = 0;
				FramesNumber = conn.Number;
			}
			if (n > 0 && !TakeSegments(now, at, n))
			{
				Break("the server sent KCP segments that can't be");
			}
		}

		void TakeControl(long now, int n)
		{
			SealControl kind;
			if (!SealWire.ParseControl(Datagram, SealWire.HeaderSize, n, out kind))
			{
				return;
			}
			if (kind == SealControl.Challenge)
			{
				Datagram[SealWire.HeaderSize] = (byte)SealControl.Answer;
				SendSealed(now, PacketType.Control, 9);
			}
			else if (kind == SealControl.Close)
			{
				Break("the server left the link");
			}
		}

		// --- sending

		// Seals n bytes of plaintext, which stand in Datagram behind its header, and sends them.
		void SendSealed(long now, PacketType type, int n)
		{
			int size = conn.Seal(type, Datagram, n);
			if (size == 0)
			{
				Break("the link's key is used up");
				return;
			}
			doubt.Sent(Datagram, size);
			if (!Kcp.Settled || pinged)
			{
				waitingSince = Math.Min(waitingSince, now); // an answer is due
			}
			if (!socket.Send(Datagram, 0, size))
			{
				RebindOnFailure(now); // what the socket did not take is lost, as datagrams are
			}
		}

		public override bool HasDatagrams { get { return true; } }

		public override bool WriteDatagram(long now, ByteBuffer b)
		{
			if (b.Length > room - 2 || State != CarrierState.Up || Silent)
			{
				return false;
			}
			if (frames.Length > 0)
			{
				SendFrames(now, 0); // of two frames of a route in one datagram the later one would count for old
			}
			frames.Append(b.Bytes, b.Start, b.Length);
			pinged = b.Bytes[b.Start] == 0 && b.Bytes[b.Start + 1] == (byte)PacketKind.Heartbeat && (b.Bytes[b.Start + 2] & (byte)HeartbeatFlags.EchoWanted) != 0;
			return true;
		}

		// Sends a datagram of the frames that wait and as many KCP segments as are due. Returns how many bytes
		// of segments it has.
		int SendFrames(long now, int segments)
		{
			int at = SealWire.PutPayload(Datagram, SealWire.HeaderSize, frames.Length);
			Buffer.BlockCopy(frames.Bytes, frames.Start, Datagram, at, frames.Length);
			at += frames.Length;
			int limit = Math.Min(segments, SealWire.HeaderSize + room - at);
			int n = segments > 0 ? Kcp.Output(now, Datagram, at, limit) : 0;
			if (n > 0 || frames.Length > 0)
			{
				SendSealed(now, PacketType.Sealed, at + n - SealWire.HeaderSize);
				frames.Clear();
				pinged = false;
			}
			return n;
		}

		protected override void SendSegments(long now)
		{
			if (frames.Length > 0)
			{
				SendFrames(now, room);
			}
			while (State == CarrierState.Up && SendFrames(now, room) > 0)
			{
			}
			if (now - waitingSince >= silence)
			{
				waitingSince = now;
				Move(now);
			}
			SendClosing(now);
		}

		// --- another local address: transport/seal/SPEC.md 7

		public override bool Rebind(long now)
		{
			return State == CarrierState.Up && !Silent && Move(now);
		}

		// Without a network every socket fails, so this comes rarely.
		void RebindOnFailure(long now)
		{
			if (now - reboundAt >= rebindEvery || reboundAt == 0)
			{
				Move(now);
			}
		}

		bool Move(long now)
		{
			reboundAt = now;
			if (!socket.Rebind())
			{
				return false;
			}
			Kcp.Moved();
			Datagram[SealWire.HeaderSize] = 0;
			int size = conn.Seal(PacketType.Sealed, Datagram, 1); // says where we are
			if (size > 0)
			{
				doubt.Sent(Datagram, size);
				socket.Send(Datagram, 0, size);
			}
			return true;
		}

		// --- leaving: transport/seal/SPEC.md 8.1

		// Once the server has the last words, or there is no more time for them, CLOSE is said several times:
		// it has no answer.
		void SendClosing(long now)
		{
			if (!Parting || !Heard(now) || closings == SealWire.CloseCopies || now < closingAt)
			{
				return;
			}
			if (closings == 0)
			{
				closing[SealWire.HeaderSize] = (byte)SealControl.Close;
				closingSize = conn.Seal(PacketType.Control, closing, 1);
			}
			closings++;
			closingAt = now + SealWire.CloseEvery;
			socket.Send(closing, 0, closingSize);
		}

		public override bool Parted(long now)
		{
			return State != CarrierState.Up || closings == SealWire.CloseCopies;
		}

		public override void Destroy()
		{
			base.Destroy();
			CloseSockets();
			if (socket != null)
			{
				socket.Close();
			}
		}
	}
}
