// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;
using System.Threading.Tasks;

namespace Lifeline
{
	// Dialing, the present link, and links that are being left.
	public sealed partial class Client
	{
		const int maxSilent = 4; // sockets that Cut leaves open

		/// <summary>A connection that the core was told of.</summary>
		sealed class Link
		{
			public Carrier Carrier;
			public Address Address;
			public int Index;          // of Address, -1: the server told it
			public bool Opened;
			public bool Told;          // that it did not open is not the address's fault
			public long Since;         // when it was dialed
			public int Seen;           // bytes of the stream that the core was told of, and that wait
			public bool HasTicket;     // for the packet that comes next
			public bool WaitsForTicket; // the packet that comes next is taken when it is there
			public ulong[] Newest = new ulong[0]; // 1 + number of the datagram that brought the newest of each route
		}

		/// <summary>A connection that was left.</summary>
		struct Left
		{
			public Carrier Carrier;
			public long Until;
		}

		Link link; // that the core knows of, null without one
		readonly List<Left> parting = new List<Left>();
		readonly List<Left> silent = new List<Left>();

		// The dial that is going on.
		bool dialing;
		readonly List<Address> dialList = new List<Address>();
		readonly List<int> dialIndex = new List<int>();
		int dialNext;
		Carrier dialCarrier;
		long dialSince, dialUntil;
		readonly Dictionary<string, Places> places = new Dictionary<string, Places>(); // by host and port

		byte[] ticket;                     // for the core's next HELLO
		bool ticketReady;                  // it was not used yet
		bool ticketWanted;                 // by the dial, or by the link
		long ticketBy;                     // how long it is waited for
		long ticketUntil;                  // until then a dial fetches no other
		Task<byte[]> ticketTask;           // the app's, one at a time

		// --- dialing

		// Lists the addresses to try, once each: where the server sent us, then our own from the preferred one on.
		void StartDial(long now)
		{
			StopDial();
			dialing = true;
			causes.Clear();
			refused = moved = false;
			dialNext = 0;
			dialList.Clear();
			dialIndex.Clear();
			foreach (Address a in book.Elsewhere(core.Address))
			{
				dialList.Add(a);
				dialIndex.Add(-1);
			}
			foreach (int i in book.Order(now))
			{
				dialList.Add(book.Own[i]);
				dialIndex.Add(i);
			}
			if (cfg.Ticket != null && core.LogsInAnew(now + ticketAhead) && (!ticketReady || now >= ticketUntil))
			{
				BeginTicket(now);
			}
		}

		void StopDial()
		{
			dialing = false;
			ticketWanted = false;
			if (dialCarrier != null)
			{
				dialCarrier.Destroy();
				dialCarrier = null;
			}
		}

		void ContinueDial(long now)
		{
			if (!dialing)
			{
				return;
			}
			if (core.State != SessionState.Dialing) // paused or closed meanwhile
			{
				StopDial();
				return;
			}
			if (ticketWanted && !TakeTicket(now))
			{
				if (!ticketWanted)
				{
					EndDial(now); // without a ticket there is nothing to say
				}
				return;
			}
			while (dialing)
			{
				if (dialCarrier == null && !OpenNext(now))
				{
					EndDial(now);
					return;
				}
				while (dialCarrier.State == CarrierState.Connecting && dialCarrier.Receive(now))
				{
				}
				if (dialCarrier.State == CarrierState.Up)
				{
					LinkUp(now);
					return;
				}
				if (dialCarrier.State == CarrierState.Connecting && now < dialUntil)
				{
					return;
				}
				Stats.Failures++;
				Cause(dialList[dialNext - 1].Url + ": " + (dialCarrier.State == CarrierState.Broken ? dialCarrier.Error : dialCarrier.Silence));
				book.Failed(dialIndex[dialNext - 1]);
				dialCarrier.Destroy();
				dialCarrier = null;
			}
		}

		void EndDial(long now)
		{
			StopDial();
			core.LinkDown(now);
		}

		// Begins to dial the next address. Reports false if there is none.
		bool OpenNext(long now)
		{
			if (dialNext == dialList.Count)
			{
				return false;
			}
			Address a = dialList[dialNext++];
			Stats.Dials++;
			dialSince = now;
			long patience = Patience(a);
			dialUntil = now + Math.Min(ClientConfig.Nanoseconds(cfg.DialTimeout, 5 * Nanos.Second), patience);
			try
			{
				dialCarrier = Open(a);
			}
			catch (Exception e) // of the app's own WebSocket
			{
				Report(e);
				Cause(a.Url + ": " + e.Message);
				book.Failed(dialIndex[dialNext - 1]);
				return OpenNext(now);
			}
			return true;
		}

		long Patience(Address a)
		{
			return book.Patience(a, ClientConfig.Nanoseconds(cfg.Fallback, 1500 * Nanos.Millisecond));
		}

		Carrier Open(Address a)
		{
			switch (a.Carrier)
			{
				case CarrierKind.Tcp:
					return new TcpCarrier(PlacesOf(a));
				case CarrierKind.PlainKcp:
					return new PlainKcpCarrier(PlacesOf(a), (uint)entropy.Next(), pool);
				case CarrierKind.Kcp:
					return new SealedKcpCarrier(PlacesOf(a), serverKey, core.Who, entropy, pool);
				case CarrierKind.SealedTcp:
					Places to = PlacesOf(a);
					return new SealedTcpCarrier(() => new TcpStream(to), serverKey, core.Who, entropy, core.MaxReceive);
			}
			if (cfg.OpenWebSocket != null)
			{
				return new BorrowedWebSocket(cfg.OpenWebSocket(a.Url));
			}
			ByteStream stream = a.Secure ? (ByteStream)new TlsStream(PlacesOf(a), a.Host, cfg.CheckCertificate) : new TcpStream(PlacesOf(a));
			return new WebSocketCarrier(stream, a.Authority, a.Path, entropy);
		}

		Places PlacesOf(Address a)
		{
			string name = a.Host + ":" + a.Port;
			Places p;
			if (!places.TryGetValue(name, out p))
			{
				p = places[name] = new Places(a.Host, a.Port);
			}
			p.Resolve();
			return p;
		}

		// Notes whether the address of a name that was dialed opened a session.
		void Placed(Link l, bool good)
		{
			Places p;
			if (l.Carrier.Remote != null && places.TryGetValue(l.Address.Host + ":" + l.Address.Port, out p))
			{
				p.Note(l.Carrier.Remote, good);
			}
		}

		void LinkUp(long now)
		{
			link = new Link { Carrier = dialCarrier, Address = dialList[dialNext - 1], Index = dialIndex[dialNext - 1], Since = dialSince };
			dialCarrier = null;
			dialing = false;
			core.LinkUp(now, wallClock(), link.Address.Carrier == CarrierKind.PlainKcp);
			if (link.Carrier.LinkNonce != null)
			{
				core.Greeted(link.Carrier.LinkVersion, link.Carrier.LinkNonce, now);
			}
		}

		// --- tickets

		void BeginTicket(long now)
		{
			ticketWanted = true;
			ticketBy = now + ClientConfig.Nanoseconds(cfg.TicketTimeout, 10 * Nanos.Second);
			if (ticketTask != null)
			{
				return; // one that hung: it is waited for again
			}
			ticketReady = false;
			try
			{
				ticketTask = cfg.Ticket() ?? Task.FromResult<byte[]>(null);
			}
			catch (Exception e)
			{
				TaskCompletionSource<byte[]> failed = new TaskCompletionSource<byte[]>();
				failed.SetException(e);
				ticketTask = failed.Task;
			}
		}

		// Takes the ticket once it is there. Reports false while it is not; ticketWanted is false too if there will
		// be none.
		bool TakeTicket(long now)
		{
			if (!ticketTask.IsCompleted)
			{
				if (now >= ticketBy)
				{
					ticketWanted = false;
					Cause("no ticket in time");
				}
				return false;
			}
			Task<byte[]> task = ticketTask;
			ticketTask = null;
			ticketWanted = false;
			try
			{
				byte[] got = task.GetAwaiter().GetResult();
				int size = got == null ? 0 : got.Length, info = Encoding.UTF8.GetByteCount(cfg.Info ?? "");
				if (size + info > maxLogin)
				{
					throw new FormatException(size + " bytes of Ticket and " + info + " of Info: a server takes " + maxLogin + " together");
				}
				ticket = got;
				ticketReady = true;
				ticketUntil = now + ticketLife;
				return true;
			}
			catch (Exception e)
			{
				Cause("no ticket: " + e.Message);
				Report(e);
				return false;
			}
		}

		// Takes a ticket that came when it was not waited for any more: from now on it is as old as others.
		void KeepTicket(long now)
		{
			if (ticketTask != null && !ticketWanted && ticketTask.IsCompleted)
			{
				TakeTicket(now);
			}
		}

		// Gives the core the ticket of another login on the present link. Another login gets another one: a server
		// must not see a ticket with two opening ids.
		bool UseTicket(out byte[] t)
		{
			t = ticket;
			bool ok = ticketReady || cfg.Ticket == null;
			ticket = null;
			ticketReady = false;
			if (!ok && !link.Told)
			{
				link.Told = true; // the address did what it could
				Cause("the login needs another ticket");
			}
			return ok;
		}

		// Reports that the core is about to log in on the link on which its session was refused.
		bool WantsTicket(Packet p)
		{
			return p.Kind == PacketKind.Refused && cfg.Ticket != null && core.LogsInAfter(Control.ReadEnd(p));
		}

		// --- receiving

		void ReceiveLink(long now)
		{
			Link l = link;
			if (l == null)
			{
				return;
			}
			if (l.WaitsForTicket && !ContinueWithTicket(l, now))
			{
				return;
			}
			for (int i = 0; i < receivesPerUpdate && link == l && l.Carrier.Receive(now); i++)
			{
				core.Carried(l.Carrier.LastIn);
				if (l.Carrier.FramesLength > 0)
				{
					TakeDatagram(l, now);
				}
				TakeStream(l, now);
			}
			TakeStream(l, now); // what came with the end of the link
			if (link == l && l.Carrier.State == CarrierState.Broken)
			{
				Broke(l, now, l.Carrier.Error);
			}
			else if (link == l && !l.Opened && l.Carrier.LastIn == 0 && Patience(l.Address) < now - l.Since)
			{
				Broke(l, now, l.Carrier.Silence);
			}
		}

		// Takes the whole frames of the stream that came.
		void TakeStream(Link l, long now)
		{
			ByteBuffer b = l.Carrier.In;
			bool fresh = b.Length > l.Seen;
			l.Seen = b.Length;
			Packet p = new Packet();
			try
			{
				while (link == l && b.Length > 0 && !l.WaitsForTicket && (core.State == SessionState.Opening || core.State == SessionState.Open))
				{
					int n = Codec.ParseFrame(b.Bytes, b.Start, b.End, Math.Max(core.Parameters.MaxBody, Codec.DefaultMaxBody), ref p);
					if (n == 0)
					{
						break;
					}
					if (WantsTicket(p) && !l.HasTicket)
					{
						BeginTicket(now);
						l.WaitsForTicket = true;
						return;
					}
					TakePacket(l, p, now);
					b.Consume(n);
					l.Seen = b.Length;
					Stats.BytesIn += n;
				}
				if (fresh && link == l)
				{
					core.Saw(now); // bytes of the stream are life before they make a packet; those that make one answer no question
				}
			}
			catch (CodecException e)
			{
				Broke(l, now, e.Message);
			}
			catch (LinkException e)
			{
				Broke(l, now, e.Message);
			}
		}

		// Goes on with a packet that waited for a ticket. Reports false while it has to wait. Without a ticket the
		// core does not log in, and the attempt fails.
		bool ContinueWithTicket(Link l, long now)
		{
			if (!TakeTicket(now) && ticketWanted)
			{
				return false;
			}
			l.WaitsForTicket = false;
			l.HasTicket = true;
			TakeStream(l, now);
			l.HasTicket = false;
			return link == l;
		}

		// Takes one packet of the stream.
		void TakePacket(Link l, Packet p, long now)
		{
			if (p.Kind == PacketKind.Refused || p.Kind == PacketKind.Bye)
			{
				l.Told = true;
				lastError = "";
				moved = Control.ReadEnd(p).Code == CloseCode.Moved;
			}
			l.HasTicket = false;
			bool deliver;
			try
			{
				deliver = core.Receive(p, now);
			}
			finally
			{
				Changes();
			}
			if (deliver)
			{
				Deliver(p);
			}
		}

		// Takes frames that came outside of the stream. They may overtake everything in it, even the WELCOME. The
		// newest of a route is the one with the highest number of its datagram.
		void TakeDatagram(Link l, long now)
		{
			Carrier c = l.Carrier;
			int at = c.FramesAt, end = c.FramesAt + c.FramesLength;
			Packet p = new Packet();
			try
			{
				while (at < end && link == l && core.State == SessionState.Open)
				{
					int n = Codec.ParseFrame(c.Frames, at, end, Codec.DefaultMaxBody, ref p);
					if (n == 0)
					{
						return;
					}
					at += n;
					Stats.BytesIn += n;
					bool wanted = p.Kind == PacketKind.Heartbeat || p.Kind == PacketKind.Datagram && IsNewest(l, p, c.FramesNumber);
					if (wanted && core.ReceiveDatagram(p, now))
					{
						Deliver(p);
					}
				}
			}
			catch (CodecException)
			{
				// not what a server sends; the stream goes on
			}
			catch (LinkException e)
			{
				Broke(l, now, e.Message);
			}
		}

		bool IsNewest(Link l, Packet p, ulong number)
		{
			Envelope e = Envelope.ParseMessage(p.Bytes, p.At, p.Length);
			if (e.RouteNumber < 0 || e.RouteNumber >= routes.Length)
			{
				return false;
			}
			if (l.Newest.Length < routes.Length)
			{
				Array.Resize(ref l.Newest, routes.Length);
			}
			if (number < l.Newest[e.RouteNumber])
			{
				return false;
			}
			l.Newest[e.RouteNumber] = number + 1;
			return true;
		}

		// --- writing

		void Write(long now)
		{
			Link l = link;
			if (l == null || l.Carrier.State != CarrierState.Up)
			{
				return;
			}
			if (l.Carrier.HasDatagrams)
			{
				output.Clear();
				core.OutputDatagram(output, now);
				if (output.Length > 0)
				{
					l.Carrier.WriteDatagram(now, output);
					Stats.BytesOut += output.Length;
				}
			}
			for (int i = 0; i < writesPerFlush; i++)
			{
				output.Clear();
				core.Output(output, now, l.Carrier.Room);
				if (output.Length == 0 && l.Carrier.TakesLarge && core.Wants)
				{
					core.Output(output, now, core.Parameters.MaxBody + 16); // the next frame alone is larger
				}
				if (output.Length > 0)
				{
					l.Carrier.Write(output);
					Stats.BytesOut += output.Length;
				}
				l.Carrier.Flush(now);
				if (output.Length == 0)
				{
					return;
				}
			}
		}

		// --- leaving; the core is told by the caller

		Link LeaveLink()
		{
			Link l = link;
			link = null;
			if (!l.Opened && !l.Told)
			{
				book.Failed(l.Index); // try another way
				Placed(l, false);
			}
			if (l.WaitsForTicket)
			{
				ticketWanted = false;
			}
			return l;
		}

		void Broke(Link l, long now, string why)
		{
			if (link != l)
			{
				return;
			}
			LeaveLink().Carrier.Destroy();
			lastError = why;
			if (!l.Opened && !l.Told)
			{
				Cause(l.Address.Url + ": " + why);
			}
			if (core.LinkDown(now))
			{
				book.Failed(l.Index); // another address may do better
			}
		}

		// Leaves the link with the core's last words, if it has any.
		void PartLink(long now)
		{
			output.Clear();
			core.Output(output, now, 0);
			if (link == null)
			{
				return;
			}
			Carrier c = LeaveLink().Carrier;
			if (output.Length > 0)
			{
				c.Write(output);
			}
			long until = output.Length > 0 ? now + ClientConfig.Nanoseconds(cfg.CloseTimeout, 200 * Nanos.Millisecond) : now;
			c.Part(now, until);
			parting.Add(new Left { Carrier = c });
		}

		void ContinueParting(long now)
		{
			for (int i = parting.Count - 1; i >= 0; i--)
			{
				Carrier c = parting[i].Carrier;
				for (int k = 0; k < receivesPerUpdate && c.Receive(now); k++)
				{
					c.In.Clear();
				}
				c.Flush(now);
				if (c.Parted(now))
				{
					c.Destroy();
					parting.RemoveAt(i);
				}
			}
			if (silent.Count > 0 && now >= silent[0].Until)
			{
				silent[0].Carrier.Destroy();
				silent.RemoveAt(0);
			}
		}

		void KeepSilent(Carrier c, long until)
		{
			if (silent.Count == maxSilent)
			{
				silent[0].Carrier.Destroy();
				silent.RemoveAt(0);
			}
			silent.Add(new Left { Carrier = c, Until = until });
		}
	}
}
