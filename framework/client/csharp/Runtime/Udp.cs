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

		public IPEndPoint Remote { get { return to; } }

		/// <summary>Takes another local port, and address if the network changed. Reports false if there is no network.</summary>
		public bool Rebind()
		{
			Socket old = socket;
			try
			{
				socket = Open();
			}
			catch (SocketException)
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
		const int window = 128;                       // segments
		const long partEvery = 40 * Nanos.Millisecond; // last words are sent again so often

		/// <summary>The datagram that was received, or is being made.</summary>
		protected readonly byte[] Datagram = new byte[2048];
		protected Kcp Kcp;
		protected bool Silent, Parting;
		protected long PartUntil;
		long partAgain;
		readonly ByteBuffer overflow = new ByteBuffer(); // what KCP's window did not take: the rest of a large frame

		protected void Begin(uint conv, int cut, KcpPool pool)
		{
			Kcp = new Kcp(conv, cut, pool, window, window);
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

		/// <summary>Takes KCP segments of the conversation. Reports false if they are refused.</summary>
		protected bool TakeSegments(long now, int at, int n)
		{
			if (Kcp.Input(now, Datagram, at, n) != KcpError.None)
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

	/// <summary>KCP without encryption: transport/SPEC.md 3.</summary>
	sealed class PlainKcpCarrier : KcpCarrier
	{
		const int mtu = 1200;

		readonly Resolver resolver;
		readonly uint conv;
		readonly int which;
		readonly KcpPool pool;
		UdpSocket socket;

		/// <summary>
		/// Nothing tells whether an address answers before the session does. So each dial tries one of those that
		/// the host has, and which counts the dials.
		/// </summary>
		public PlainKcpCarrier(string host, int port, uint conv, int which, KcpPool pool)
		{
			resolver = new Resolver(host, port);
			this.conv = conv;
			this.which = which;
			this.pool = pool;
		}

		public override bool Receive(long now)
		{
			if (State == CarrierState.Connecting && resolver.Poll())
			{
				Open();
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
			if (n > 0 && TakeSegments(now, 0, n))
			{
				LastIn = now;
			}
			return n > 0;
		}

		void Open()
		{
			IPEndPoint[] found = resolver.Found;
			if (found.Length == 0)
			{
				Break(resolver.Error);
				return;
			}
			IPEndPoint to = found[which % found.Length];
			try
			{
				socket = new UdpSocket(to);
				Begin(conv, mtu, pool);
			}
			catch (SocketException e)
			{
				Break(to + ": " + e.SocketErrorCode);
			}
		}

		protected override void SendSegments(long now)
		{
			for (int n = Kcp.Output(now, Datagram, 0, mtu); n > 0; n = Kcp.Output(now, Datagram, 0, mtu))
			{
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
			if (socket != null)
			{
				socket.Close();
			}
		}
	}
}
