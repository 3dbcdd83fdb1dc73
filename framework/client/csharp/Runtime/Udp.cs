// SPDX-License-Identifier: MIT

using System;
using System.Net;
using System.Net.Sockets;

namespace Lifeline
{
	/// <summary>
	/// A connected UDP socket that never blocks. It is connected because then the system lets nothing pass that
	/// others sent, and because Send and Receive of such a socket allocate nothing.
	/// </summary>
	sealed class UdpSocket
	{
		readonly IPEndPoint to;
		Socket socket;

		/// <summary>Throws SocketException where the family of the address does not exist, or has no route.</summary>
		public UdpSocket(IPEndPoint to)
		{
			this.to = to;
			socket = Open();
		}

		Socket Open()
		{
			Socket s = new Socket(to.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
			try
			{
				s.Blocking = false;
				Own(s);
				s.ReceiveBufferSize = 256 << 10;
				s.Connect(to);
				return s;
			}
			catch (Exception)
			{
				s.Close();
				throw;
			}
		}

		// Mono, and so Unity, lets sockets share an address unless told otherwise: Linux may then choose a port that
		// another socket to the same server has, and what comes goes to one of the two.
		static void Own(Socket s)
		{
			try
			{
				s.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, false);
			}
			catch (SocketException)
			{
				// a system without the option
			}
		}

		public IPEndPoint Remote { get { return to; } }

		public EndPoint Local { get { return socket.LocalEndPoint; } }

		/// <summary>Takes another local port, and address if the network changed. Reports false if there is no network.</summary>
		public bool Rebind()
		{
			Socket old = socket;
			try
			{
				socket = Open();
			}
			catch (Exception) // what is thrown where there is no such family, or no network, differs
			{
				return false;
			}
			old.Close();
			return true;
		}

		/// <summary>Takes a datagram; 0 when there is none, or none that makes sense.</summary>
		public int Receive(byte[] b, out bool failed)
		{
			SocketError error;
			int n = socket.Receive(b, 0, b.Length, SocketFlags.None, out error);
			failed = error != SocketError.Success && error != SocketError.WouldBlock && error != SocketError.Interrupted && error != SocketError.MessageSize;
			return error == SocketError.Success ? n : 0;
		}

		/// <summary>Sends a datagram. Reports false if the socket is of no use any more; a full buffer only loses the datagram.</summary>
		public bool Send(byte[] b, int at, int n)
		{
			SocketError error;
			socket.Send(b, at, n, SocketFlags.None, out error);
			return error == SocketError.Success || error == SocketError.WouldBlock || error == SocketError.NoBufferSpaceAvailable || error == SocketError.Interrupted;
		}

		public void Close()
		{
			socket.Close();
		}
	}

	/// <summary>Frames on the stream of a KCP conversation, whatever its datagrams are wrapped in.</summary>
	abstract class KcpCarrier : Carrier
	{
		protected const int Window = 128;             // segments
		const long partEvery = 40 * Nanos.Millisecond; // last words are sent again so often

		/// <summary>The datagram that was received, or is being made.</summary>
		protected readonly byte[] Datagram = new byte[2048];
		protected Kcp Kcp;
		protected bool Silent, Parting;
		protected long PartUntil;
		long partAgain;
		long quietAt; // nothing that has yet to be read had come by then, as far as is known
		readonly ByteBuffer overflow = new ByteBuffer(); // what KCP's window did not take: the rest of a large frame

		protected void Begin(Kcp kcp, long now)
		{
			Kcp = kcp;
			quietAt = now;
			State = CarrierState.Up;
		}

		public override int Room { get { return Kcp == null || overflow.Length > 0 ? 0 : Math.Min(Kcp.Room, Chunk); } }

		public override bool TakesLarge { get { return overflow.Length == 0; } }

		public override void Write(ByteBuffer b)
		{
			if (State == CarrierState.Up)
			{
				int n = overflow.Length > 0 ? 0 : Math.Min(b.Length, Kcp.Room);
				Kcp.Write(b.Bytes, b.Start, n);
				overflow.Append(b.Bytes, b.Start + n, b.Length - n);
			}
		}

		public override void Flush(long now)
		{
			if (State != CarrierState.Up || Silent)
			{
				return;
			}
			if (Parting && now >= partAgain)
			{
				partAgain = now + partEvery;
				Kcp.Resend();
			}
			Quiet(now); // an answer to what is sent now comes later
			int n = Math.Min(overflow.Length, Kcp.Room);
			Kcp.Write(overflow.Bytes, overflow.Start, n);
			overflow.Consume(n);
			SendSegments(now);
			if (Kcp.Stalled)
			{
				Break("the server acknowledges nothing");
			}
		}

		/// <summary>Sends all datagrams that are due.</summary>
		protected abstract void SendSegments(long now);

		/// <summary>Notes that everything that came by now was read.</summary>
		protected void Quiet(long now)
		{
			quietAt = now;
		}

		/// <summary>
		/// Takes KCP segments of the conversation. Reports false if they are refused. A game looks once a frame, and no
		/// frame is part of the round trip, by which KCP knows what is lost: they came in the middle of the time in
		/// which they can have come.
		/// </summary>
		protected bool TakeSegments(long now, int at, int n)
		{
			if (Kcp.Input(quietAt + (now - quietAt) / 2, Datagram, at, n) != KcpError.None)
			{
				return false;
			}
			Kcp.Read(In);
			return true;
		}

		// Last words are sent again and again: few will be needed, but there is no time for KCP to find out which.
		public override void Part(long now, long until)
		{
			Parting = true;
			PartUntil = until;
			partAgain = now + partEvery;
			Flush(now);
		}

		/// <summary>Reports that the server has the last words, or won't have them.</summary>
		protected bool Heard(long now)
		{
			return State != CarrierState.Up || now >= PartUntil || Kcp.Settled && overflow.Length == 0;
		}

		public override bool Cut()
		{
			Silent = true;
			return false;
		}

		public override void Destroy()
		{
			if (Kcp != null)
			{
				Kcp.Release();
			}
			Break("closed");
		}
	}

	/// <summary>
	/// KCP without encryption: transport/SPEC.md 3. It has no handshake. So where the name of the server has
	/// several addresses, a heartbeat asks each of them for an answer: session/SPEC.md 2.2, 8.10.
	/// </summary>
	sealed class PlainKcpCarrier : KcpCarrier
	{
		const int mtu = 1200;

		readonly Places places;
		readonly uint conv;
		readonly KcpPool pool;
		UdpSocket[] sockets;
		Kcp[] asked;
		int opened;
		long openAt;
		UdpSocket socket;
		readonly SealDoubt doubt = new SealDoubt();
		string lastError = "";

		public PlainKcpCarrier(Places places, uint conv, KcpPool pool)
		{
			this.places = places;
			this.conv = conv;
			this.pool = pool;
		}

		public override string Silence { get { return "no answer: no server there, or a firewall that drops UDP"; } }

		public override IPEndPoint Remote { get { return socket == null ? null : socket.Remote; } }

		public override bool Receive(long now)
		{
			if (State == CarrierState.Connecting && places.Poll())
			{
				Connect(now);
			}
			if (State != CarrierState.Up || Silent)
			{
				return false;
			}
			bool failed;
			int n = socket.Receive(Datagram, out failed);
			if (failed)
			{
				Break("the server's port is closed, or the network is gone");
			}
			if (n == 0)
			{
				Quiet(now);
				if (doubt.Lost(now))
				{
					Break("the server does not know the link any more");
				}
			}
			else if (TakeSegments(now, 0, n))
			{
				LastIn = now;
				doubt.Heard();
			}
			else
			{
				Doubt(now, n);
			}
			return n > 0;
		}

		// Asks the server whether a reset is true, if it is of a link that the server knew: transport/SPEC.md 3.8.
		void Doubt(long now, int n)
		{
			uint id;
			PacketType type;
			if (LastIn > 0 && SealWire.Parse(Datagram, n, out id, out type) && type == PacketType.Reset && id == conv && doubt.Reset(now, Datagram, n))
			{
				Kcp.AskWindow();
				SendSegments(now);
			}
		}

		void Connect(long now)
		{
			IPEndPoint[] found = places.Found;
			if (sockets == null)
			{
				sockets = new UdpSocket[found.Length];
				asked = new Kcp[found.Length];
			}
			bool any = Array.Exists(sockets, s => s != null);
			while (opened < found.Length && (!any || now >= openAt))
			{
				openAt = now + Places.HeadStart;
				any = Open(opened, found[opened]) || any;
				opened++;
			}
			if (found.Length == 1 && any) // there is no choice
			{
				Choose(0, now);
				return;
			}
			for (int k = 0; k < opened && State == CarrierState.Connecting; k++)
			{
				Ask(k, now);
			}
			if (State == CarrierState.Connecting && opened == found.Length && !Array.Exists(sockets, s => s != null))
			{
				Break(lastError != "" ? lastError : places.Error);
			}
		}

		bool Open(int k, IPEndPoint to)
		{
			try
			{
				sockets[k] = new UdpSocket(to);
				asked[k] = new Kcp(conv, mtu, pool, Window, Window);
				Codec.AppendFrame(In, PacketKind.Heartbeat, HeartbeatFlags.None, 0, 0, null, 0, 0);
				asked[k].Write(In.Bytes, In.Start, In.Length);
				In.Clear();
				return true;
			}
			catch (Exception e)
			{
				lastError = to + ": " + e.Message;
				return false;
			}
		}

		// Sends the heartbeat to the k-th address, again too, and takes the address if it answers.
		void Ask(int k, long now)
		{
			if (sockets[k] == null)
			{
				return;
			}
			bool failed;
			int n = sockets[k].Receive(Datagram, out failed);
			if (n > 0 && asked[k].Input(now, Datagram, 0, n) == KcpError.None)
			{
				LastIn = now;
				asked[k].Read(In);
				Choose(k, now);
				return;
			}
			for (n = asked[k].Output(now, Datagram, 0, mtu); n > 0 && !failed; n = asked[k].Output(now, Datagram, 0, mtu))
			{
				failed = !sockets[k].Send(Datagram, 0, n);
			}
			if (failed)
			{
				lastError = sockets[k].Remote + ": the port is closed, or there is no way to it";
				Drop(k);
			}
		}

		void Choose(int k, long now)
		{
			socket = sockets[k];
			sockets[k] = null;
			Begin(asked[k], now);
			asked[k] = null;
			for (int i = 0; i < sockets.Length; i++)
			{
				Drop(i);
			}
		}

		void Drop(int k)
		{
			if (sockets[k] != null)
			{
				sockets[k].Close();
				sockets[k] = null;
			}
			if (asked[k] != null)
			{
				asked[k].Release();
				asked[k] = null;
			}
		}

		protected override void SendSegments(long now)
		{
			for (int n = Kcp.Output(now, Datagram, 0, mtu); n > 0; n = Kcp.Output(now, Datagram, 0, mtu))
			{
				doubt.Sent(Datagram, n);
				if (!socket.Send(Datagram, 0, n))
				{
					Break("the server's port is closed, or the network is gone");
					return;
				}
			}
		}

		public override bool Parted(long now)
		{
			return Heard(now);
		}

		public override void Destroy()
		{
			base.Destroy();
			for (int k = 0; sockets != null && k < sockets.Length; k++)
			{
				Drop(k);
			}
			if (socket != null)
			{
				socket.Close();
			}
		}
	}
}
