// SPDX-License-Identifier: MIT

using System;
using System.IO;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Threading;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>A stream of bytes below a carrier, polled.</summary>
	abstract class ByteStream
	{
		public CarrierState State { get; protected set; }
		public string Error = "";

		/// <summary>The address of the server, once State is Up.</summary>
		public virtual IPEndPoint Remote { get { return null; } }

		/// <summary>Goes on connecting. Call it until State is another.</summary>
		public abstract void Connect(long now);

		/// <summary>Reads at most n bytes; 0 when there is nothing. The end of the stream breaks it.</summary>
		public abstract int Read(byte[] b, int at, int n);

		/// <summary>Writes as many bytes as the socket takes.</summary>
		public abstract int Write(byte[] b, int at, int n);

		/// <summary>Says that nothing more is written.</summary>
		public abstract void CloseWrite();

		public abstract void Close();

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
	/// A TCP connection to the first address of a host that answers. One that is silent for a while gets company
	/// by the next one: RFC 8305 5.
	/// </summary>
	sealed class TcpStream : ByteStream
	{
		readonly Places places;
		Socket[] attempts;
		int started;
		long nextAt;
		Socket socket;
		IPEndPoint remote;
		string lastError = "";

		public TcpStream(Places places)
		{
			this.places = places;
		}

		public override IPEndPoint Remote { get { return remote; } }

		public override void Connect(long now)
		{
			if (State != CarrierState.Connecting || !places.Poll())
			{
				return;
			}
			IPEndPoint[] found = places.Found;
			if (attempts == null)
			{
				attempts = new Socket[found.Length];
			}
			bool pending = false;
			for (int i = 0; i < started; i++)
			{
				if (attempts[i] != null && Finished(i))
				{
					return;
				}
				pending = pending || attempts[i] != null;
			}
			while (started < found.Length && (!pending || now >= nextAt))
			{
				int i = started++;
				nextAt = now + Places.HeadStart;
				if (Begin(i, found[i]))
				{
					return;
				}
				pending = pending || attempts[i] != null;
			}
			if (!pending)
			{
				Break(lastError != "" ? lastError : places.Error != "" ? places.Error : "no address");
			}
		}

		// Begins an attempt. Reports true if it is connected already.
		bool Begin(int i, IPEndPoint to)
		{
			Socket s = null;
			try
			{
				s = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
				s.NoDelay = true;
				s.Blocking = false;
				attempts[i] = s;
				s.Connect(to);
				return Won(i);
			}
			catch (SocketException e)
			{
				if (e.SocketErrorCode != SocketError.WouldBlock && e.SocketErrorCode != SocketError.InProgress && e.SocketErrorCode != SocketError.AlreadyInProgress)
				{
					Lost(i, to + ": " + e.SocketErrorCode);
				}
			}
			catch (Exception e) // a system without this family
			{
				Lost(i, to + ": " + e.Message);
			}
			return false;
		}

		// Reports true if the i-th attempt is connected.
		bool Finished(int i)
		{
			Socket s = attempts[i];
			try
			{
				if (!s.Poll(0, SelectMode.SelectWrite) && !s.Poll(0, SelectMode.SelectError))
				{
					return false;
				}
				int error = (int)s.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error);
				if (error == 0)
				{
					return Won(i);
				}
				Lost(i, places.Found[i] + ": " + (SocketError)error);
			}
			catch (SocketException e)
			{
				Lost(i, places.Found[i] + ": " + e.SocketErrorCode);
			}
			return false;
		}

		bool Won(int i)
		{
			socket = attempts[i];
			remote = places.Found[i];
			attempts[i] = null;
			CloseAttempts();
			State = CarrierState.Up;
			return true;
		}

		void Lost(int i, string why)
		{
			lastError = why;
			if (attempts[i] != null)
			{
				attempts[i].Close();
				attempts[i] = null;
			}
		}

		void CloseAttempts()
		{
			for (int i = 0; attempts != null && i < attempts.Length; i++)
			{
				if (attempts[i] != null)
				{
					attempts[i].Close();
					attempts[i] = null;
				}
			}
		}

		public override int Read(byte[] b, int at, int n)
		{
			if (State != CarrierState.Up || n == 0)
			{
				return 0;
			}
			SocketError error;
			int got = socket.Receive(b, at, n, SocketFlags.None, out error);
			if (error == SocketError.WouldBlock || error == SocketError.Interrupted)
			{
				return 0;
			}
			if (error != SocketError.Success)
			{
				Break("the connection broke: " + error);
				return 0;
			}
			if (got == 0)
			{
				Break("the server closed the connection");
			}
			return got;
		}

		public override int Write(byte[] b, int at, int n)
		{
			if (State != CarrierState.Up || n == 0)
			{
				return 0;
			}
			SocketError error;
			int put = socket.Send(b, at, n, SocketFlags.None, out error);
			if (error == SocketError.WouldBlock || error == SocketError.NoBufferSpaceAvailable || error == SocketError.Interrupted)
			{
				return Math.Max(put, 0);
			}
			if (error != SocketError.Success)
			{
				Break("the connection broke: " + error);
				return 0;
			}
			return put;
		}

		public override void CloseWrite()
		{
			try
			{
				socket.Shutdown(SocketShutdown.Send);
			}
			catch (SocketException)
			{
				// it is closed already, which is as good
			}
		}

		public override void Close()
		{
			CloseAttempts();
			if (socket != null)
			{
				socket.Close();
			}
			Break("closed");
		}
	}

	/// <summary>
	/// TLS over TCP, by SslStream, which never waits: it reads and writes memory, and Update moves that from and to the
	/// socket. Unlike the others it allocates with every read and write, as SslStream does.
	/// </summary>
	sealed class TlsStream : ByteStream
	{
		const int most = 64 << 10; // bytes that wait for the socket

		readonly TcpStream tcp;
		readonly string host;
		readonly RemoteCertificateValidationCallback check;
		readonly byte[] readBuffer = new byte[16 << 10];
		readonly PolledStream under = new PolledStream();
		SslStream tls;
		Task handshake, writing;
		Task<int> reading;
		int readAt, readEnd;

		public TlsStream(Places places, string host, RemoteCertificateValidationCallback check)
		{
			tcp = new TcpStream(places);
			this.host = host;
			this.check = check;
		}

		public override void Connect(long now)
		{
			tcp.Connect(now);
			if (tcp.State == CarrierState.Connecting || State != CarrierState.Connecting)
			{
				return;
			}
			if (tls == null && tcp.State == CarrierState.Broken)
			{
				Break(tcp.Error);
				return;
			}
			try
			{
				if (tls == null)
				{
					tls = new SslStream(under, false, check);
					// Without revocation, as Go: where its list can't be fetched .NET would refuse the server.
					handshake = tls.AuthenticateAsClientAsync(host, null, SslProtocols.Tls12, false);
				}
				under.Pump(tcp);
				if (handshake.IsCompleted)
				{
					handshake.GetAwaiter().GetResult();
					under.HandsOff = false;
					State = CarrierState.Up;
				}
			}
			catch (Exception e) // what SslStream throws depends on the system
			{
				Break("TLS: " + e.GetBaseException().Message);
			}
		}

		public override IPEndPoint Remote { get { return tcp.Remote; } }

		public override int Read(byte[] b, int at, int n)
		{
			if (State != CarrierState.Up)
			{
				return 0;
			}
			try
			{
				under.Pump(tcp);
				if (readAt == readEnd)
				{
					reading = reading ?? tls.ReadAsync(readBuffer, 0, readBuffer.Length);
					if (!reading.IsCompleted)
					{
						return 0;
					}
					readAt = 0;
					readEnd = reading.GetAwaiter().GetResult();
					reading = null;
					if (readEnd == 0)
					{
						Break("the server closed the connection");
						return 0;
					}
				}
			}
			catch (Exception e)
			{
				Break("the connection broke: " + e.Message);
				return 0;
			}
			int take = Math.Min(n, readEnd - readAt);
			Buffer.BlockCopy(readBuffer, readAt, b, at, take);
			readAt += take;
			return take;
		}

		public override int Write(byte[] b, int at, int n)
		{
			if (State != CarrierState.Up)
			{
				return 0;
			}
			try
			{
				if (writing != null && writing.IsCompleted)
				{
					writing.GetAwaiter().GetResult();
					writing = null;
				}
				n = writing != null || under.Waiting >= most ? 0 : Math.Min(n, 16 << 10);
				if (n > 0)
				{
					writing = tls.WriteAsync(ByteOps.Slice(b, at, n), 0, n);
				}
				under.Pump(tcp);
				return n;
			}
			catch (Exception e)
			{
				Break("the connection broke: " + e.Message);
				return 0;
			}
		}

		public override void CloseWrite()
		{
			// TLS has its own goodbye, and SslStream says it with Close.
		}

		public override void Close()
		{
			if (tls != null)
			{
				tls.Close();
				under.Pump(tcp);
			}
			tcp.Close();
			Break("closed");
		}
	}

	/// <summary>
	/// What SslStream reads and writes in place of a socket. It ends a read when Pump has brought bytes. All of it runs on
	/// the thread of Update, but for the handshake, whose cryptography would cost frames: SslStream goes on with it on
	/// threads of the system. Guarded by this.
	/// </summary>
	sealed class PolledStream : Stream
	{
		readonly ByteBuffer arrived = new ByteBuffer(), leaving = new ByteBuffer();
		TaskCompletionSource<int> pending; // a read that waits, into to
		byte[] to;
		int toAt, toSize;
		bool ended;

		/// <summary>Whether what follows a read runs on another thread.</summary>
		public bool HandsOff = true;

		/// <summary>How many bytes wait for the socket.</summary>
		public int Waiting
		{
			get
			{
				lock (this)
				{
					return leaving.Length;
				}
			}
		}

		/// <summary>Moves what the socket takes and what it has, and ends a read that waits for that.</summary>
		public void Pump(TcpStream tcp)
		{
			TaskCompletionSource<int> done = null;
			int n = 0;
			lock (this)
			{
				leaving.Consume(tcp.Write(leaving.Bytes, leaving.Start, leaving.Length));
				for (int got = 1; got > 0 && arrived.Length < 64 << 10; arrived.End += got)
				{
					arrived.Reserve(4 << 10);
					got = tcp.Read(arrived.Bytes, arrived.End, arrived.Bytes.Length - arrived.End);
				}
				ended = ended || tcp.State == CarrierState.Broken;
				if (pending != null && (arrived.Length > 0 || ended))
				{
					done = pending;
					pending = null;
					n = Take(to, toAt, toSize);
				}
			}
			if (done != null)
			{
				End(done, n);
			}
		}

		// A task goes on at once, on this thread, where no context of the engine wants it elsewhere.
		void End(TaskCompletionSource<int> read, int n)
		{
			SynchronizationContext engine = SynchronizationContext.Current;
			SynchronizationContext.SetSynchronizationContext(null);
			try
			{
				read.TrySetResult(n);
			}
			finally
			{
				SynchronizationContext.SetSynchronizationContext(engine);
			}
		}

		int Take(byte[] b, int at, int n)
		{
			n = Math.Min(n, arrived.Length);
			Buffer.BlockCopy(arrived.Bytes, arrived.Start, b, at, n);
			arrived.Consume(n);
			return n;
		}

		public override Task<int> ReadAsync(byte[] b, int at, int n, CancellationToken cancel)
		{
			lock (this)
			{
				if (n == 0 || arrived.Length > 0 || ended)
				{
					return Task.FromResult(Take(b, at, n));
				}
				to = b;
				toAt = at;
				toSize = n;
				pending = new TaskCompletionSource<int>(HandsOff ? TaskCreationOptions.RunContinuationsAsynchronously : TaskCreationOptions.None);
				return pending.Task;
			}
		}

		// The .NET Framework reads so.
		public override IAsyncResult BeginRead(byte[] b, int at, int n, AsyncCallback callback, object state)
		{
			TaskCompletionSource<int> read = new TaskCompletionSource<int>(state);
			ReadAsync(b, at, n, CancellationToken.None).ContinueWith(t =>
			{
				read.SetResult(t.Result);
				if (callback != null)
				{
					callback(read.Task);
				}
			}, TaskContinuationOptions.ExecuteSynchronously);
			return read.Task;
		}

		public override int EndRead(IAsyncResult read)
		{
			return ((Task<int>)read).Result;
		}

		public override Task WriteAsync(byte[] b, int at, int n, CancellationToken cancel)
		{
			Write(b, at, n);
			return Task.FromResult(0);
		}

		public override void Write(byte[] b, int at, int n)
		{
			lock (this)
			{
				leaving.Append(b, at, n);
			}
		}

		public override Task FlushAsync(CancellationToken cancel)
		{
			return Task.FromResult(0);
		}

		public override void Flush()
		{
		}

		public override bool CanRead { get { return true; } }
		public override bool CanWrite { get { return true; } }
		public override bool CanSeek { get { return false; } }
		public override long Length { get { throw new NotSupportedException(); } }
		public override long Position { get { throw new NotSupportedException(); } set { throw new NotSupportedException(); } }

		public override int Read(byte[] b, int at, int n)
		{
			throw new NotSupportedException(); // it would wait
		}

		public override long Seek(long offset, SeekOrigin origin)
		{
			throw new NotSupportedException();
		}

		public override void SetLength(long n)
		{
			throw new NotSupportedException();
		}
	}

	/// <summary>Frames on a TCP stream, as they are or in records.</summary>
	abstract class StreamCarrier : Carrier
	{
		/// <summary>The connection, which the handshake may replace.</summary>
		protected ByteStream Stream;
		/// <summary>What the socket has not taken yet.</summary>
		protected readonly ByteBuffer Waiting = new ByteBuffer();
		protected bool Silent;
		bool parting, shut;
		long partUntil;

		public override IPEndPoint Remote { get { return Stream.Remote; } }

		/// <summary>Reads what there is, up to the capacity of a buffer. Reports false when there is nothing.</summary>
		protected bool Read(ByteBuffer to, long now)
		{
			to.Reserve(4 << 10);
			int n = Stream.Read(to.Bytes, to.End, to.Bytes.Length - to.End);
			if (n > 0)
			{
				to.End += n;
				LastIn = now;
			}
			return n > 0;
		}

		/// <summary>Hands to the socket what waits.</summary>
		protected void Pump()
		{
			while (Waiting.Length > 0)
			{
				int n = Stream.Write(Waiting.Bytes, Waiting.Start, Waiting.Length);
				if (n == 0)
				{
					return;
				}
				Waiting.Consume(n);
			}
		}

		public override int Room { get { return Chunk - Waiting.Length; } }

		public override bool TakesLarge { get { return Waiting.Length == 0; } }

		public override void Flush(long now)
		{
			if (Silent || State != CarrierState.Up)
			{
				return;
			}
			Pump();
			if (Stream.State == CarrierState.Broken)
			{
				Break(Stream.Error);
			}
			if (parting && !shut && Waiting.Length == 0 && State == CarrierState.Up)
			{
				shut = true;
				Stream.CloseWrite();
			}
		}

		// The peer closes in turn: a close while its last bytes are unread would reset the connection and
		// swallow ours.
		public override void Part(long now, long until)
		{
			parting = true;
			partUntil = until;
			Flush(now);
		}

		public override bool Parted(long now)
		{
			return State != CarrierState.Up || now >= partUntil;
		}

		public override bool Cut()
		{
			Silent = true;
			return true;
		}

		public override void Destroy()
		{
			Stream.Close();
			Break("closed");
		}
	}

	/// <summary>Frames on a TCP stream: transport/SPEC.md 2.</summary>
	sealed class TcpCarrier : StreamCarrier
	{
		public TcpCarrier(Places places)
		{
			Stream = new TcpStream(places);
		}

		public override bool Receive(long now)
		{
			if (Silent || State == CarrierState.Broken)
			{
				return false;
			}
			if (State == CarrierState.Connecting)
			{
				Stream.Connect(now);
				State = Stream.State == CarrierState.Up ? CarrierState.Up : State;
			}
			bool came = State == CarrierState.Up && Read(In, now);
			if (Stream.State == CarrierState.Broken)
			{
				Break(Stream.Error);
			}
			return came;
		}

		public override void Write(ByteBuffer b)
		{
			Waiting.Append(b.Bytes, b.Start, b.Length);
		}
	}
}
