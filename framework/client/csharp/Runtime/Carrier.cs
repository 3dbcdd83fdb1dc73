// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Net;

namespace Lifeline
{
	enum CarrierState { Connecting, Up, Broken }

	/// <summary>
	/// One connection of any carrier: frames on a stream, and on some carriers in datagrams too. Everything is
	/// polled; nothing blocks, and nothing runs on another thread.
	/// </summary>
	abstract class Carrier
	{
		/// <summary>How much is handed to a socket at once, in bytes: what a heartbeat may have to wait for.</summary>
		protected const int Chunk = 16 << 10;

		public CarrierState State { get; protected set; }

		/// <summary>Why it is broken.</summary>
		public string Error = "";

		/// <summary>What it means that nothing came back.</summary>
		public virtual string Silence { get { return "it takes connections and then says nothing: no Lifeline server on that port, or one for another scheme"; } }

		/// <summary>The address of the server, once State is Up, if the carrier knows it.</summary>
		public virtual IPEndPoint Remote { get { return null; } }

		/// <summary>A status that the server closed a WebSocket with, 0 without one.</summary>
		public int CloseStatus;

		/// <summary>Bytes of the stream, for the owner to consume.</summary>
		public readonly ByteBuffer In = new ByteBuffer();

		/// <summary>When anything authentic arrived, which need not be a whole frame; 0: nothing yet.</summary>
		public long LastIn;

		/// <summary>Whole frames that the latest Receive found outside of the stream, and the number of their datagram.</summary>
		public byte[] Frames;
		public int FramesAt, FramesLength;
		public ulong FramesNumber;

		/// <summary>
		/// Connects, and takes the next piece that arrived. Reports false when there is nothing more. Call it until
		/// then, with every Update.
		/// </summary>
		public abstract bool Receive(long now);

		/// <summary>How many bytes Write should be given now.</summary>
		public abstract int Room { get; }

		/// <summary>Reports that Write takes one frame of any size.</summary>
		public abstract bool TakesLarge { get; }

		/// <summary>Appends whole frames, all of b, to the stream.</summary>
		public abstract void Write(ByteBuffer b);

		/// <summary>Reports that frames may travel outside of the stream.</summary>
		public virtual bool HasDatagrams { get { return false; } }

		/// <summary>Sends whole frames outside of the stream, once. Reports false if it can't.</summary>
		public virtual bool WriteDatagram(long now, ByteBuffer b)
		{
			return false;
		}

		/// <summary>Hands to the network what it takes now.</summary>
		public abstract void Flush(long now);

		/// <summary>
		/// Begins to leave: what was written is to arrive, for which there is time until until. Receive and Flush go
		/// on until Parted; Destroy follows.
		/// </summary>
		public abstract void Part(long now, long until);

		/// <summary>Reports that there is nothing more to do after Part.</summary>
		public abstract bool Parted(long now);

		/// <summary>Closes the sockets at once.</summary>
		public abstract void Destroy();

		/// <summary>Makes it silent, as a pulled cable would. Reports whether Destroy would be heard by the server.</summary>
		public abstract bool Cut();

		/// <summary>Gives it another local address. Reports false if it can't have one.</summary>
		public virtual bool Rebind(long now)
		{
			return false;
		}

		/// <summary>The nonce and the version that a handshake brought in place of a GREETING; null if none did.</summary>
		public byte[] LinkNonce;
		public byte LinkVersion;

		protected void Break(string why)
		{
			if (State != CarrierState.Broken)
			{
				State = CarrierState.Broken;
				Error = why;
			}
		}
	}

	/// <summary>
	/// The addresses of a host, of which some may lead nowhere. They are looked up without waiting, and tried as
	/// RFC 8305 says: session/SPEC.md 8.10. Owned by the client, used by one dial at a time.
	/// </summary>
	sealed class Places
	{
		/// <summary>What an address has before the next one is tried too.</summary>
		public const long HeadStart = 250 * Nanos.Millisecond;
		const int maxPlaces = 8;

		readonly string host;
		readonly int port;
		IAsyncResult lookup;
		IPAddress good, bad; // what opened a session last, and what was dialed and did not

		public Places(string host, int port)
		{
			this.host = host;
			this.port = port;
		}

		/// <summary>The addresses in the order in which they are to be tried. Null until they are known; empty if there are none.</summary>
		public IPEndPoint[] Found { get; private set; }
		public string Error = "";

		/// <summary>Begins to look them up, for another dial.</summary>
		public void Resolve()
		{
			Found = null;
			Error = "";
			IPAddress literal;
			if (IPAddress.TryParse(host, out literal))
			{
				Found = new[] { new IPEndPoint(literal, port) };
				return;
			}
			if (lookup != null && Poll() && Error == "")
			{
				return; // it only was slow
			}
			Found = null;
			Error = ""; // that it failed before is no news: the network may be another
			try
			{
				lookup = lookup ?? Dns.BeginGetHostAddresses(host, null, null);
			}
			catch (Exception e)
			{
				Fail(e);
			}
		}

		/// <summary>Reports whether they are known.</summary>
		public bool Poll()
		{
			if (Found == null && lookup.IsCompleted)
			{
				IAsyncResult done = lookup;
				lookup = null;
				try
				{
					Found = Arrange(Dns.EndGetHostAddresses(done));
				}
				catch (Exception e)
				{
					Fail(e);
				}
			}
			return Found != null;
		}

		void Fail(Exception e)
		{
			lookup = null;
			Found = new IPEndPoint[0];
			Error = "no address of " + host + ": " + e.Message;
		}

		/// <summary>Notes whether an address opened a session.</summary>
		public void Note(IPEndPoint at, bool opened)
		{
			if (opened)
			{
				good = at.Address;
			}
			else
			{
				bad = at.Address;
				good = bad.Equals(good) ? null : good;
			}
		}

		// What worked comes first, what did not comes last, and between them the families take turns, the
		// resolver's first choice at the head.
		internal IPEndPoint[] Arrange(IPAddress[] list)
		{
			List<IPAddress> all = new List<IPAddress>(), same = new List<IPAddress>(), other = new List<IPAddress>();
			foreach (IPAddress ip in list)
			{
				if (!same.Contains(ip) && !other.Contains(ip))
				{
					(ip.AddressFamily == list[0].AddressFamily ? same : other).Add(ip);
				}
			}
			for (int i = 0; i < same.Count || i < other.Count; i++)
			{
				if (i < same.Count)
				{
					all.Add(same[i]);
				}
				if (i < other.Count)
				{
					all.Add(other[i]);
				}
			}
			if (bad != null && all.Remove(bad))
			{
				all.Add(bad);
			}
			if (good != null && all.Remove(good))
			{
				all.Insert(0, good);
			}
			return all.GetRange(0, Math.Min(all.Count, maxPlaces)).ConvertAll(ip => new IPEndPoint(ip, port)).ToArray();
		}
	}

	/// <summary>Unpredictable bytes, fetched from the system in pieces.</summary>
	sealed class Entropy
	{
		readonly Action<byte[]> fill;
		readonly byte[] pool = new byte[128];
		int left;

		public Entropy(Action<byte[]> fill)
		{
			if (fill == null)
			{
				System.Security.Cryptography.RandomNumberGenerator system = System.Security.Cryptography.RandomNumberGenerator.Create();
				fill = system.GetBytes;
			}
			this.fill = fill;
		}

		/// <summary>64 random bits.</summary>
		public ulong Next()
		{
			if (left < 8)
			{
				fill(pool);
				left = pool.Length;
			}
			left -= 8;
			ulong v = LittleEndian.Get64(pool, left);
			LittleEndian.Put64(pool, left, 0); // what was given out is not kept
			return v;
		}

		public byte[] Bytes(int n)
		{
			byte[] b = new byte[n];
			fill(b);
			return b;
		}
	}
}
