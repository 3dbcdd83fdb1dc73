// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;

namespace Lifeline
{
	/// <summary>What carries the frames of a link.</summary>
	enum CarrierKind { PlainKcp, Tcp, WebSocket, Kcp, SealedTcp }

	/// <summary>One way to the server.</summary>
	sealed class Address
	{
		public readonly string Url;
		public readonly CarrierKind Carrier;
		public readonly string Host;
		public readonly int Port;
		public readonly bool Secure; // wss
		public readonly string Path = "/";

		/// <summary>Reads "kcp://host:port", "plain-kcp://host:port", "stcp://host:port", "tcp://host:port", "ws://host/path" or "wss://host/path". Throws FormatException.</summary>
		public Address(string url)
		{
			Url = url;
			int colon = url.IndexOf("://", StringComparison.Ordinal);
			string scheme = colon < 0 ? "" : url.Substring(0, colon);
			string rest = colon < 0 ? "" : url.Substring(colon + 3);
			switch (scheme)
			{
				case "kcp": Carrier = CarrierKind.Kcp; break;
				case "plain-kcp": Carrier = CarrierKind.PlainKcp; break;
				case "stcp": Carrier = CarrierKind.SealedTcp; break;
				case "tcp": Carrier = CarrierKind.Tcp; break;
				case "ws":
				case "wss":
					Carrier = CarrierKind.WebSocket;
					Secure = scheme == "wss";
					Port = Secure ? 443 : 80;
					int slash = rest.IndexOfAny(new[] { '/', '?' });
					if (slash >= 0)
					{
						Path = rest[slash] == '?' ? "/" + rest.Substring(slash) : rest.Substring(slash);
						rest = rest.Substring(0, slash);
					}
					break;
				default:
					throw new FormatException("lifeline: address \"" + url + "\" begins with none of kcp://, plain-kcp://, stcp://, tcp://, ws://, wss://");
			}
			int portAt = rest.LastIndexOf(':');
			if (portAt >= 0 && rest.IndexOf(']', portAt) < 0)
			{
				if (!int.TryParse(rest.Substring(portAt + 1), out Port) || Port < 1 || Port > 65535)
				{
					throw new FormatException("lifeline: address \"" + url + "\" has no port from 1 to 65535");
				}
				rest = rest.Substring(0, portAt);
			}
			Host = rest.StartsWith("[", StringComparison.Ordinal) && rest.EndsWith("]", StringComparison.Ordinal) ? rest.Substring(1, rest.Length - 2) : rest;
			if (Host == "" || Port == 0)
			{
				throw new FormatException("lifeline: address \"" + url + "\" needs a host and a port");
			}
		}

		/// <summary>What stands in the Host header of a WebSocket's request.</summary>
		public string Authority
		{
			get
			{
				string host = Host.IndexOf(':') >= 0 ? "[" + Host + "]" : Host;
				return Port == (Secure ? 443 : 80) ? host : host + ":" + Port;
			}
		}

		/// <summary>Reports whether the server's public key seals what it carries.</summary>
		public bool Sealed { get { return Carrier == CarrierKind.Kcp || Carrier == CarrierKind.SealedTcp; } }

		/// <summary>Reports whether it goes over UDP, where nothing says no.</summary>
		public bool Udp { get { return Carrier == CarrierKind.Kcp || Carrier == CarrierKind.PlainKcp; } }
	}

	/// <summary>
	/// Which address is dialed first: that of the list's order, except that what lately failed where another one
	/// worked stands back for a while: session/SPEC.md 8.10.
	/// </summary>
	sealed class AddressBook
	{
		const long minAvoid = 30 * Nanos.Second; // that an address stands back the first time; doubles
		const long maxAvoid = 600 * Nanos.Second;

		sealed class Standing
		{
			public bool Failed; // since another one worked last
			public int Times;   // in a row that others worked where it had failed
			public long Avoid;  // until then others come first
		}

		public readonly Address[] Own;
		readonly Standing[] standings;
		int astray; // links in a row that went where the server sent us, and opened nothing

		/// <summary>Takes URLs with blanks or commas between them, the best one first.</summary>
		public AddressBook(string urls)
		{
			string[] list = urls.Split(new[] { ' ', ',', '\t', '\n' }, StringSplitOptions.RemoveEmptyEntries);
			if (list.Length == 0)
			{
				throw new FormatException("lifeline: no address to connect to");
			}
			Own = Array.ConvertAll(list, url => new Address(url));
			standings = Array.ConvertAll(list, url => new Standing());
		}

		/// <summary>The own addresses by index, in the order in which they are to be dialed.</summary>
		public int[] Order(long now)
		{
			if (Array.TrueForAll(standings, s => s.Failed)) // no server can be reached, which says nothing about any address
			{
				Array.ForEach(standings, s => s.Failed = false);
			}
			int[] order = new int[Own.Length];
			for (int i = 0; i < order.Length; i++)
			{
				int at = i;
				for (; at > 0 && Rank(order[at - 1], now) > Rank(i, now); at--)
				{
					order[at] = order[at - 1];
				}
				order[at] = i;
			}
			return order;
		}

		long Rank(int i, long now)
		{
			return standings[i].Failed ? Nanos.Never : Math.Max(standings[i].Avoid - now, 0);
		}

		/// <summary>
		/// Where the server has sent us, to be tried first. Carriers that the app did not
		/// choose are left out, so that no server takes encryption away.
		/// </summary>
		public List<Address> Elsewhere(string urls)
		{
			List<Address> list = new List<Address>();
			foreach (string url in urls.Split(new[] { ' ', '\t' }, StringSplitOptions.RemoveEmptyEntries))
			{
				try
				{
					Address a = new Address(url);
					if (Array.Exists(Own, own => own.Carrier == a.Carrier && own.Secure == a.Secure))
					{
						list.Add(a);
					}
				}
				catch (FormatException)
				{
					// of no use here
				}
			}
			if (list.Count > 1)
			{
				List<Address> front = list.GetRange(0, astray % list.Count);
				list.RemoveRange(0, front.Count);
				list.AddRange(front);
			}
			return list;
		}

		/// <summary>Notes that an address opened no session. Where the server sent us, index -1, the next attempt begins with the next of those.</summary>
		public void Failed(int index)
		{
			if (index >= 0)
			{
				standings[index].Failed = true;
			}
			else
			{
				astray++;
			}
		}

		/// <summary>Notes that an address did, unlike those that failed since.</summary>
		public void Worked(int index, long now)
		{
			astray = 0;
			if (index < 0)
			{
				return;
			}
			for (int i = 0; i < standings.Length; i++)
			{
				Standing s = standings[i];
				if (i == index)
				{
					s.Failed = false;
					s.Times = 0;
					s.Avoid = 0;
				}
				else if (s.Failed)
				{
					s.Failed = false;
					s.Avoid = now + Math.Min(minAvoid << Math.Min(s.Times, 10), maxAvoid);
					s.Times++;
				}
			}
		}

		/// <summary>Forgets what stands back: it may be another network.</summary>
		public void Forgive()
		{
			Array.ForEach(standings, s => s.Avoid = 0);
		}

		/// <summary>How long an address may be silent before another is tried; Nanos.Never where only the usual limits hold.</summary>
		public long Patience(Address a, long fallback)
		{
			return a.Udp && Array.Exists(Own, own => !own.Udp) && fallback > 0 ? fallback : Nanos.Never;
		}
	}
}
