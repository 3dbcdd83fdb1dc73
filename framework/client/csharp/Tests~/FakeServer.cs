// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;

namespace Lifeline.Tests
{
	/// <summary>A WebSocket whose server is the test. The clock stands still unless the test moves it.</summary>
	sealed class FakeSocket : IWebSocket
	{
		public readonly string Url;
		public readonly ByteBuffer ToClient = new ByteBuffer(), ToServer = new ByteBuffer();
		public bool Open = true, Broken, Closed;

		public FakeSocket(string url)
		{
			Url = url;
		}

		public bool IsOpen { get { return Open && !Broken; } }
		public bool IsBroken { get { return Broken; } }
		public int CloseStatus { get { return Broken ? 1006 : 0; } }
		public int Buffered { get { return 0; } }

		public int Receive(byte[] b, int at, int n)
		{
			n = Math.Min(n, ToClient.Length);
			Buffer.BlockCopy(ToClient.Bytes, ToClient.Start, b, at, n);
			ToClient.Consume(n);
			return n;
		}

		public void Send(byte[] b, int at, int n)
		{
			ToServer.Append(b, at, n);
		}

		public void Close()
		{
			Closed = true;
		}
	}

	/// <summary>A stream that the test writes.</summary>
	sealed class FakeStream : ByteStream
	{
		public readonly ByteBuffer ToClient = new ByteBuffer(), ToServer = new ByteBuffer();
		public bool Closed;

		public FakeStream()
		{
			State = CarrierState.Up;
		}

		/// <summary>The server closes it.</summary>
		public void End()
		{
			Break("the server closed the connection");
		}

		public override void Connect(long now)
		{
		}

		public override int Read(byte[] b, int at, int n)
		{
			n = Math.Min(n, ToClient.Length);
			Buffer.BlockCopy(ToClient.Bytes, ToClient.Start, b, at, n);
			ToClient.Consume(n);
			return n;
		}

		public override int Write(byte[] b, int at, int n)
		{
			ToServer.Append(b, at, n);
			return n;
		}

		public override void CloseWrite()
		{
		}

		public override void Close()
		{
			Closed = true;
		}
	}

	/// <summary>A server made of fake sockets, a client, and the time.</summary>
	sealed class World
	{
		public static readonly byte[] Sid = Hex.Decode("000102030405060708090a0b0c0d0e0f"), Key = new byte[32], Nonce = new byte[16];

		public long Now = 1000 * Nanos.Second, Wall = 1700000000 * Nanos.Second;
		public readonly List<FakeSocket> Sockets = new List<FakeSocket>();
		public readonly List<string> Events = new List<string>();
		public readonly List<Exception> Failures = new List<Exception>();
		public Action<FakeSocket> OnOpen = s => { };
		public ClientEvent LastEvent;
		public readonly Client Client;
		ushort seq;
		public uint Accepted; // counted packets of the client

		public World(string addresses = "ws://a/", ClientConfig cfg = null, Func<string, ClientConfig, Client> make = null)
		{
			cfg = cfg ?? new ClientConfig();
			cfg.Now = () => Now;
			cfg.Wall = () => Wall;
			cfg.Random = cfg.Random ?? (b => Array.Clear(b, 0, b.Length)); // pauses are 0, ping ids 0
			cfg.OpenWebSocket = url =>
			{
				FakeSocket s = new FakeSocket(url);
				Sockets.Add(s);
				OnOpen(s);
				return s;
			};
			Client = make == null ? new Client(addresses, cfg) : make(addresses, cfg);
			Client.OnEvent += e =>
			{
				LastEvent = e;
				Events.Add(e.Kind + (e.Reason == null ? "" : " " + e.Reason.Code));
			};
			Client.OnError += e => Failures.Add(e);
		}

		public FakeSocket Socket { get { return Sockets[Sockets.Count - 1]; } }

		public string History
		{
			get
			{
				string s = string.Join(", ", Events.ToArray());
				Events.Clear();
				return s;
			}
		}

		public void Advance(long d, long step = 10 * Nanos.Millisecond)
		{
			for (long end = Now + d; Now < end; )
			{
				long by = Math.Min(step, end - Now);
				Now += by;
				Wall += by;
				Client.Update();
			}
		}

		// --- what the server says

		public void Say(PacketKind kind, Action<Writer> body, ushort number = 0, HeartbeatFlags flags = HeartbeatFlags.None)
		{
			Writer w = new Writer();
			if (body != null)
			{
				body(w);
			}
			Codec.AppendFrame(Socket.ToClient, kind, flags, number, Accepted, w.Buffer.Bytes, 0, w.Buffer.Length);
		}

		public void Greet()
		{
			Say(PacketKind.Greeting, w => { w.Array(2); w.UInt(1); w.Bin(Nonce); });
		}

		public uint MaxBody = 65536;

		void Parameters(Writer w)
		{
			w.Array(7);
			foreach (uint v in new uint[] { 10000, 35000, 60000, 2000, MaxBody, 256, 131072 })
			{
				w.UInt(v);
			}
		}

		public void Welcome(params string[] routes)
		{
			seq = 0;
			Accepted = 0;
			Say(PacketKind.Welcome, w =>
			{
				w.Array(6);
				w.Bin(Sid);
				w.Bin(Key);
				w.UInt(0);
				w.UInt(0);
				Parameters(w);
				w.Array(routes.Length);
				Array.ForEach(routes, w.Str);
			});
		}

		public void Resumed(long recv)
		{
			Say(PacketKind.Resumed, w => { w.Array(4); w.UInt(2); w.UInt((ulong)recv); w.Bool(false); Parameters(w); });
		}

		public void Reset(long at, long recv, bool restart = false)
		{
			seq = (ushort)at;
			Say(PacketKind.Reset, w => { w.Array(8); w.UInt(2); w.UInt((ulong)at); w.UInt((ulong)recv); w.Bool(false); w.UInt(104); Parameters(w); w.Nil(); w.Bool(restart); });
		}

		public void End(PacketKind kind, uint code, string text = "")
		{
			Say(kind, w => { w.Array(3); w.UInt(code); w.Str(text); w.UInt(0); });
		}

		public void Push(Action<Writer> route, ulong n)
		{
			Say(PacketKind.Message, w => { w.Array(2); route(w); w.UInt(n); }, ++seq);
		}

		public void Push(string route, ulong n)
		{
			Push(w => w.Str(route), n);
		}

		/// <summary>A message with any payload.</summary>
		public void Tell(string route, Action<Writer> payload)
		{
			Say(PacketKind.Message, w => { w.Array(2); w.Str(route); payload(w); }, ++seq);
		}

		public void Ask(ulong id, string route, Action<Writer> payload)
		{
			Say(PacketKind.Request, w => { w.Array(3); w.UInt(id); w.Str(route); payload(w); }, ++seq);
		}

		public void Answer(ulong id, ulong n)
		{
			Answer(id, w => w.UInt(n));
		}

		public void Answer(ulong id, Action<Writer> payload)
		{
			Say(PacketKind.Response, w => { w.Array(2); w.UInt(id); payload(w); }, ++seq);
		}

		public void Fail(ulong id, uint code, string text)
		{
			Say(PacketKind.Failure, w => { w.Array(3); w.UInt(id); w.UInt(code); w.Str(text); }, ++seq);
		}

		/// <summary>Logs the client in.</summary>
		public void Login(params string[] routes)
		{
			Client.Update();
			Greet();
			Client.Update();
			Welcome(routes);
			Client.Update();
		}

		/// <summary>Accepts a packet of the client, if it is the next one.</summary>
		public void Count(Packet p)
		{
			if (p.Counted && p.Seq == (ushort)(Accepted + 1))
			{
				Accepted++;
			}
		}

		// --- what the client said

		/// <summary>The packets that the client wrote to a socket since the last call: kind and body in hexadecimal.</summary>
		public string Heard(FakeSocket s = null)
		{
			s = s ?? Socket;
			List<string> all = new List<string>();
			while (s.ToServer.Length > 0)
			{
				Packet p = new Packet();
				int n = Codec.ParseFrame(s.ToServer.Bytes, s.ToServer.Start, s.ToServer.End, 1 << 20, ref p);
				if (n == 0)
				{
					throw new Exception("half a frame");
				}
				Count(p);
				all.Add(p.Length == 0 ? p.Kind.ToString() : p.Kind + " " + Hex.Encode(p.Bytes, p.At, p.Length));
				s.ToServer.Consume(n);
			}
			return string.Join(", ", all.ToArray());
		}
	}

	/// <summary>A message that is one integer.</summary>
	sealed class Count : IMessage
	{
		public ulong N;

		public void Read(Reader r)
		{
			N = r.UInt();
		}

		public void Write(Writer w)
		{
			w.UInt(N);
		}
	}
}
