// SPDX-License-Identifier: MIT

using System;
using System.Net;
using System.Text;

namespace Lifeline
{
	/// <summary>
	/// A WebSocket that the app brings along, as the browser's in a WebGL build. Everything is polled: nothing
	/// blocks, and nothing is called from elsewhere.
	/// </summary>
	public interface IWebSocket
	{
		/// <summary>Reports that it is open. False again after it broke.</summary>
		bool IsOpen { get; }

		/// <summary>Reports that it could not be opened, or was closed.</summary>
		bool IsBroken { get; }

		/// <summary>The status that it was closed with, 0 if it is not known.</summary>
		int CloseStatus { get; }

		/// <summary>Takes bytes of binary messages, at most n; 0 when there are none. Borders of messages mean nothing.</summary>
		int Receive(byte[] b, int at, int n);

		/// <summary>Sends n bytes as one binary message.</summary>
		void Send(byte[] b, int at, int n);

		/// <summary>How many bytes of what was sent wait in the socket.</summary>
		int Buffered { get; }

		/// <summary>Closes it, after what was sent.</summary>
		void Close();
	}

	/// <summary>Frames in the messages of a WebSocket that the app brought along: transport/SPEC.md 7.</summary>
	sealed class BorrowedWebSocket : Carrier
	{
		readonly IWebSocket socket;
		bool silent;

		public BorrowedWebSocket(IWebSocket socket)
		{
			this.socket = socket;
		}

		public override bool Receive(long now)
		{
			if (silent || State == CarrierState.Broken)
			{
				return false;
			}
			if (socket.IsOpen)
			{
				State = CarrierState.Up;
			}
			In.Reserve(4 << 10);
			int n = socket.Receive(In.Bytes, In.End, In.Bytes.Length - In.End);
			if (n > 0)
			{
				In.End += n;
				LastIn = now;
				return true;
			}
			if (socket.IsBroken)
			{
				CloseStatus = socket.CloseStatus;
				Break("the WebSocket closed with status " + CloseStatus);
			}
			return false;
		}

		public override int Room { get { return Chunk - socket.Buffered; } }

		public override bool TakesLarge { get { return socket.Buffered == 0; } }

		public override void Write(ByteBuffer b)
		{
			if (!silent && State == CarrierState.Up)
			{
				socket.Send(b.Bytes, b.Start, b.Length);
			}
		}

		public override void Flush(long now)
		{
		}

		public override void Part(long now, long until)
		{
			socket.Close();
			Break("left");
		}

		public override bool Parted(long now)
		{
			return true;
		}

		public override bool Cut()
		{
			silent = true;
			return true;
		}

		public override void Destroy()
		{
			socket.Close();
			Break("closed");
		}
	}

	/// <summary>
	/// Frames in the messages of a WebSocket of our own over TCP or TLS: RFC 6455, and transport/SPEC.md 7. No
	/// extension is ever agreed on.
	/// </summary>
	sealed class WebSocketCarrier : Carrier
	{
		const int maxHead = 16 << 10;
		const byte opContinuation = 0, opText = 1, opBinary = 2, opClose = 8, opPing = 9, opPong = 10;

		readonly ByteStream stream;
		readonly string host, path;
		readonly Entropy entropy;
		readonly ByteBuffer raw = new ByteBuffer();     // bytes that came and were not looked at
		readonly ByteBuffer waiting = new ByteBuffer(); // bytes to be written
		readonly byte[] controlBody = new byte[125];
		readonly string key;
		bool asked, silent, closeSent, inMessage;
		long left;          // bytes of the present data frame that have yet to come
		long partUntil;

		/// <summary>host is what stands in the Host header, path what is asked for.</summary>
		public WebSocketCarrier(ByteStream stream, string host, string path, Entropy entropy)
		{
			this.stream = stream;
			this.host = host;
			this.path = path;
			this.entropy = entropy;
			key = Convert.ToBase64String(entropy.Bytes(16));
		}

		public override IPEndPoint Remote { get { return stream.Remote; } }

		public override bool Receive(long now)
		{
			if (silent || State == CarrierState.Broken)
			{
				return false;
			}
			if (stream.State == CarrierState.Connecting)
			{
				stream.Connect(now);
			}
			if (stream.State == CarrierState.Connecting)
			{
				return false;
			}
			if (!asked)
			{
				Ask();
				Flush(now);
			}
			int before = raw.Length;
			raw.Reserve(4 << 10);
			raw.End += stream.Read(raw.Bytes, raw.End, raw.Bytes.Length - raw.End);
			bool came = raw.Length > before;
			if (came)
			{
				LastIn = now;
			}
			if (State == CarrierState.Connecting && ReadAnswer())
			{
				State = CarrierState.Up;
			}
			while (State == CarrierState.Up && ReadFrame())
			{
			}
			if (stream.State == CarrierState.Broken)
			{
				Break(CloseStatus != 0 ? "the server closed the WebSocket with status " + CloseStatus : stream.Error);
			}
			return came;
		}

		// --- opening: RFC 6455 4.1

		void Ask()
		{
			asked = true;
			byte[] b = Encoding.UTF8.GetBytes("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key +
				"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: lifeline\r\n\r\n");
			waiting.Append(b, 0, b.Length);
		}

		// Reads the server's answer. Reports true once it is there and right.
		bool ReadAnswer()
		{
			int end = -1;
			for (int i = raw.Start; i + 3 < raw.End; i++)
			{
				if (raw.Bytes[i] == '\r' && raw.Bytes[i + 1] == '\n' && raw.Bytes[i + 2] == '\r' && raw.Bytes[i + 3] == '\n')
				{
					end = i + 4;
					break;
				}
			}
			if (end < 0)
			{
				if (raw.Length > maxHead)
				{
					Break("the answer to the WebSocket's request is too long");
				}
				return false;
			}
			string[] lines = Encoding.UTF8.GetString(raw.Bytes, raw.Start, end - raw.Start).Split(new[] { "\r\n" }, StringSplitOptions.RemoveEmptyEntries);
			raw.Consume(end - raw.Start);
			string[] status = lines[0].Split(' ');
			if (status.Length < 2 || !status[0].StartsWith("HTTP/1.1", StringComparison.Ordinal) || status[1] != "101")
			{
				Break("no WebSocket: " + lines[0]);
				return false;
			}
			string accept = "", upgrade = "", extensions = "";
			for (int i = 1; i < lines.Length; i++)
			{
				int colon = lines[i].IndexOf(':');
				string name = colon < 0 ? "" : lines[i].Substring(0, colon).Trim().ToLowerInvariant();
				string value = colon < 0 ? "" : lines[i].Substring(colon + 1).Trim();
				accept = name == "sec-websocket-accept" ? value : accept;
				upgrade = name == "upgrade" ? value.ToLowerInvariant() : upgrade;
				extensions = name == "sec-websocket-extensions" ? value : extensions;
			}
			if (accept != AcceptOf(key) || upgrade != "websocket" || extensions != "")
			{
				Break("no WebSocket: its server did not answer our key");
				return false;
			}
			return true;
		}

		internal static string AcceptOf(string key)
		{
			byte[] b = Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
			return Convert.ToBase64String(Sha1.Sum(b));
		}

		// --- frames: RFC 6455 5

		// Takes what there is of the present data frame, or the head of the next one. Reports false when more has
		// to come first. Nothing is set aside for a length that a head claims.
		bool ReadFrame()
		{
			if (left > 0)
			{
				int n = (int)Math.Min(left, raw.Length);
				In.Append(raw.Bytes, raw.Start, n);
				raw.Consume(n);
				left -= n;
				return left == 0;
			}
			int op, head;
			bool fin;
			long length;
			if (!ReadHead(out op, out fin, out head, out length))
			{
				return false;
			}
			if (op < opClose)
			{
				raw.Consume(head);
				inMessage = !fin;
				left = length;
				return true;
			}
			if (raw.Length < head + length)
			{
				return false;
			}
			TakeControl(op, raw.Start + head, (int)length);
			raw.Consume(head + (int)length);
			return true;
		}

		// Reads the head of a frame. Reports false if it is not whole, or breaks a rule.
		bool ReadHead(out int op, out bool fin, out int head, out long length)
		{
			op = head = 0;
			fin = false;
			length = 0;
			if (raw.Length < 2)
			{
				return false;
			}
			byte first = raw.Bytes[raw.Start], second = raw.Bytes[raw.Start + 1];
			op = first & 0x0f;
			fin = (first & 0x80) != 0;
			length = second & 0x7f;
			head = length == 126 ? 4 : length == 127 ? 10 : 2;
			bool known = op == opContinuation ? inMessage : op == opBinary ? !inMessage : op == opClose || op == opPing || op == opPong;
			if ((first & 0x70) != 0 || (second & 0x80) != 0 || !known || op >= opClose && (length > 125 || !fin))
			{
				Break(op == opText ? "the server sent text" : "the server violated RFC 6455");
				return false;
			}
			if (raw.Length < head)
			{
				return false;
			}
			if (head > 2)
			{
				length = 0;
				for (int i = 2; i < head; i++)
				{
					length = length << 8 | raw.Bytes[raw.Start + i];
				}
				if (length < 0)
				{
					Break("the server violated RFC 6455");
					return false;
				}
			}
			return true;
		}

		void TakeControl(int op, int at, int n)
		{
			if (op == opPing)
			{
				Buffer.BlockCopy(raw.Bytes, at, controlBody, 0, n);
				PutFrame(opPong, controlBody, 0, n);
			}
			else if (op == opClose)
			{
				CloseStatus = n >= 2 ? raw.Bytes[at] << 8 | raw.Bytes[at + 1] : 1005;
				SendClose();
			}
		}

		// Appends a frame, masked as those of a client are.
		void PutFrame(byte op, byte[] b, int at, int n)
		{
			waiting.Reserve(14 + n);
			byte[] to = waiting.Bytes;
			to[waiting.End++] = (byte)(0x80 | op);
			if (n < 126)
			{
				to[waiting.End++] = (byte)(0x80 | n);
			}
			else if (n <= 0xffff)
			{
				to[waiting.End++] = 0x80 | 126;
				to[waiting.End++] = (byte)(n >> 8);
				to[waiting.End++] = (byte)n;
			}
			else
			{
				to[waiting.End++] = 0x80 | 127;
				for (int shift = 56; shift >= 0; shift -= 8)
				{
					to[waiting.End++] = (byte)((long)n >> shift);
				}
			}
			int mask = waiting.End;
			LittleEndian.Put32(to, mask, (uint)entropy.Next());
			waiting.End += 4;
			for (int i = 0; i < n; i++)
			{
				to[waiting.End++] = (byte)(b[at + i] ^ to[mask + (i & 3)]);
			}
		}

		void SendClose()
		{
			if (!closeSent)
			{
				closeSent = true;
				controlBody[0] = 1000 >> 8;
				controlBody[1] = 1000 & 0xff;
				PutFrame(opClose, controlBody, 0, 2);
			}
		}

		public override int Room { get { return Chunk - waiting.Length; } }

		public override bool TakesLarge { get { return waiting.Length == 0; } }

		public override void Write(ByteBuffer b)
		{
			if (!closeSent)
			{
				PutFrame(opBinary, b.Bytes, b.Start, b.Length);
			}
		}

		public override void Flush(long now)
		{
			while (!silent && waiting.Length > 0)
			{
				int n = stream.Write(waiting.Bytes, waiting.Start, waiting.Length);
				if (n == 0)
				{
					break;
				}
				waiting.Consume(n);
			}
		}

		public override void Part(long now, long until)
		{
			partUntil = until;
			if (State == CarrierState.Up)
			{
				SendClose();
				Flush(now);
			}
		}

		public override bool Parted(long now)
		{
			return State != CarrierState.Up || now >= partUntil || CloseStatus != 0 && waiting.Length == 0;
		}

		public override bool Cut()
		{
			silent = true;
			return true;
		}

		public override void Destroy()
		{
			stream.Close();
			Break("closed");
		}
	}

	/// <summary>SHA-1 (RFC 3174), for nothing but the handshake of RFC 6455.</summary>
	static class Sha1
	{
		public static byte[] Sum(byte[] message)
		{
			int blocks = (message.Length + 8) / 64 + 1;
			byte[] b = new byte[64 * blocks];
			Buffer.BlockCopy(message, 0, b, 0, message.Length);
			b[message.Length] = 0x80;
			ulong bits = 8 * (ulong)message.Length;
			for (int i = 0; i < 8; i++)
			{
				b[b.Length - 1 - i] = (byte)(bits >> (8 * i));
			}
			uint[] h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
			uint[] w = new uint[80];
			for (int block = 0; block < blocks; block++)
			{
				for (int i = 0; i < 80; i++)
				{
					int at = 64 * block + 4 * i;
					w[i] = i < 16 ? (uint)b[at] << 24 | (uint)b[at + 1] << 16 | (uint)b[at + 2] << 8 | b[at + 3] : Rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
				}
				uint a = h[0], c = h[1], d = h[2], e = h[3], f = h[4];
				for (int i = 0; i < 80; i++)
				{
					uint mix = i < 20 ? (c & d | ~c & e) + 0x5a827999 : i < 40 ? (c ^ d ^ e) + 0x6ed9eba1 : i < 60 ? (c & d | c & e | d & e) + 0x8f1bbcdc : (c ^ d ^ e) + 0xca62c1d6;
					uint t = Rotate(a, 5) + mix + f + w[i];
					f = e;
					e = d;
					d = Rotate(c, 30);
					c = a;
					a = t;
				}
				h[0] += a;
				h[1] += c;
				h[2] += d;
				h[3] += e;
				h[4] += f;
			}
			byte[] sum = new byte[20];
			for (int i = 0; i < 20; i++)
			{
				sum[i] = (byte)(h[i / 4] >> (24 - 8 * (i % 4)));
			}
			return sum;
		}

		static uint Rotate(uint v, int n)
		{
			return v << n | v >> (32 - n);
		}
	}
}
