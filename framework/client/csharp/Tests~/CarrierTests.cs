// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;

namespace Lifeline.Tests
{
	/// <summary>Carriers whose server is a socket of the test. The time is the test's.</summary>
	static class CarrierTests
	{
		public static void Run(Check check)
		{
			check.Run("frames are no part of the round trip", () => Frames(check));
			check.Run("resets on plain KCP", () => Resets(check));
			check.Run("each socket has a port of its own", () => Ports(check));
		}

		// A link to the socket, whose first datagram is in d: n bytes.
		static PlainKcpCarrier Open(Socket socket, KcpPool pool, long now, byte[] d, out int n, out EndPoint from)
		{
			socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
			socket.ReceiveTimeout = 10000;
			Places places = new Places("127.0.0.1", ((IPEndPoint)socket.LocalEndPoint).Port);
			places.Resolve();
			PlainKcpCarrier c = new PlainKcpCarrier(places, 7, pool);
			c.Receive(now);
			n = Send(c, socket, now, d, out from);
			return c;
		}

		// Linux chooses from 28,000 ports by chance: of 800 sockets that may share one, some do.
		static void Ports(Check check)
		{
			List<UdpSocket> sockets = new List<UdpSocket>();
			HashSet<string> ports = new HashSet<string>();
			try
			{
				for (int i = 0; i < 800; i++)
				{
					sockets.Add(new UdpSocket(new IPEndPoint(IPAddress.Loopback, 9)));
					check.That(ports.Add(sockets[i].Local.ToString()), "two sockets at " + sockets[i].Local);
				}
			}
			finally
			{
				sockets.ForEach(s => s.Close());
			}
		}

		// Answers are looked at once in 200 ms. What is lost is sent again as after a round trip of 100 ms: after 100 ms
		// and 4 times half of them.
		static void Frames(Check check)
		{
			const long frame = 200 * Nanos.Millisecond, timeout = 300 * Nanos.Millisecond;
			KcpPool pool = new KcpPool();
			Kcp server = new Kcp(7, 1200, pool);
			using (Socket socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
			{
				long now = 1000 * Nanos.Second;
				byte[] d = new byte[1200];
				EndPoint from;
				int n;
				PlainKcpCarrier c = Open(socket, pool, now, d, out n, out from);
				check.Equal(server.Input(now, d, 0, n).ToString(), "None", "the server's opinion");
				n = server.Output(now, d, 0, 1200);
				socket.SendTo(d, n, SocketFlags.None, from);
				now += frame;
				check.That(c.Receive(now), "no acknowledgement");
				Send(c, socket, now, d, out from); // and the server does not answer
				c.Receive(now + timeout - 1);
				c.Flush(now + timeout - 1);
				check.That(!socket.Poll(0, SelectMode.SelectRead), "sent again too early");
				c.Flush(now + timeout);
				check.That(socket.Poll(0, SelectMode.SelectRead), "sent again too late");
				c.Destroy();
			}
			server.Release();
		}

		// A reset makes the client ask: a server that knows the conversation answers, and one that does not has lost
		// the link 400 ms later. Before the server has answered, and for what was not sent, it means nothing.
		static void Resets(Check check)
		{
			foreach (bool known in new[] { true, false })
			{
				KcpPool pool = new KcpPool();
				Kcp server = new Kcp(7, 1200, pool);
				using (Socket socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
				{
					long now = 1000 * Nanos.Second;
					byte[] d = new byte[1200];
					EndPoint from;
					int n;
					PlainKcpCarrier c = Open(socket, pool, now, d, out n, out from);
					SendReset(socket, from, d, n, 0);
					check.That(c.Receive(now), "the first reset");
					now += 500 * Nanos.Millisecond;
					c.Receive(now);
					check.Equal(c.State.ToString(), "Up", "after a reset of a link that was never answered");
					server.Input(now, d, 0, n);
					n = server.Output(now, d, 0, 1200);
					socket.SendTo(d, n, SocketFlags.None, from);
					check.That(c.Receive(now), "no acknowledgement");
					n = Send(c, socket, now, d, out from);
					server.Input(now, d, 0, n);
					SendReset(socket, from, d, n, 1);
					check.That(c.Receive(now), "the second reset");
					check.That(!socket.Poll(0, SelectMode.SelectRead), "asked because of a reset for what was not sent");
					SendReset(socket, from, d, n, 0);
					check.That(c.Receive(now), "the third reset");
					n = socket.ReceiveFrom(d, ref from);
					check.That(n >= 24 && d[n - 20] == 83, "it does not ask");
					check.Equal(server.Input(now, d, 0, n).ToString(), "None", "the server's opinion");
					c.Receive(now + 399 * Nanos.Millisecond);
					check.Equal(c.State.ToString(), "Up", "before the time is over");
					n = server.Output(now, d, 0, 1200);
					if (known)
					{
						socket.SendTo(d, n, SocketFlags.None, from);
						check.That(c.Receive(now + 399 * Nanos.Millisecond), "no answer");
					}
					c.Receive(now + 400 * Nanos.Millisecond);
					check.Equal(c.State.ToString(), known ? "Up" : "Broken", "after it");
					c.Destroy();
				}
				server.Release();
			}
		}

		// Sends the reset of a datagram, with another end if other is not 0.
		static void SendReset(Socket socket, EndPoint to, byte[] d, int n, byte other)
		{
			byte[] reset = { 7, 0, 0, 0, 0x1f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
			Buffer.BlockCopy(d, n - 8, reset, 8, 8);
			reset[15] ^= other;
			socket.SendTo(reset, reset.Length, SocketFlags.None, to);
		}

		// Writes a byte, which arrives in a datagram of its own, and returns the size of that.
		static int Send(Carrier c, Socket to, long now, byte[] d, out EndPoint from)
		{
			ByteBuffer b = new ByteBuffer();
			b.Append(1);
			c.Write(b);
			c.Flush(now);
			from = new IPEndPoint(IPAddress.Any, 0);
			return to.ReceiveFrom(d, ref from);
		}
	}
}
