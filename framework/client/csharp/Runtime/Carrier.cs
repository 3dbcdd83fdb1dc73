// SPDX-License-Identifier: MIT

using System;
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

	/// <summary>Finds the addresses of a host, without waiting for them.</summary>
	sealed class Resolver
	{
		readonly string host;
		readonly int port;
		IAsyncResult lookup;

		/// <summary>Null until they are known; empty if there are none.</summary>
		public IPEndPoint[] Found { get; private set; }
		public string Error = "";

		public Resolver(string host, int port)
		{
			this.host = host;
			this.port = port;
			IPAddress literal;
			if (IPAddress.TryParse(host, out literal))
			{
				Found = new[] { new IPEndPoint(literal, port) };
				return;
			}
			try
			{
				lookup = Dns.BeginGetHostAddresses(host, null, null);
			}
			catch (Exception e)
			{
				Fail(e);
			}
		}

		public bool Poll()
		{
			if (Found == null && lookup.IsCompleted)
			{
				try
				{
					Found = Interleave(Dns.EndGetHostAddresses(lookup), port);
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
			Found = new IPEndPoint[0];
			Error = "no address of " + host + ": " + e.Message;
		}

		/// <summary>Takes the families in turn, beginning with that of the first address: RFC 8305 4.</summary>
		internal static IPEndPoint[] Interleave(IPAddress[] list, int port)
		{
			IPEndPoint[] ordered = new IPEndPoint[list.Length];
			bool[] used = new bool[list.Length];
			for (int n = 0; n < list.Length; n++)
			{
				int pick = -1;
				for (int i = 0; i < list.Length; i++)
				{
					if (used[i])
					{
						continue;
					}
					if (pick < 0)
					{
						pick = i; // whatever is left, if the other family is used up
					}
					if (n == 0 || list[i].AddressFamily != ordered[n - 1].AddressFamily)
					{
						pick = i;
						break;
					}
				}
				used[pick] = true;
				ordered[n] = new IPEndPoint(list[pick], port);
			}
			return ordered;
		}
	}

	/// <summary>Random bytes that nobody can guess, fetched from the system in pieces.</summary>
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
