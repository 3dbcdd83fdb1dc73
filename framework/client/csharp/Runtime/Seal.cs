// SPDX-License-Identifier: MIT

// Sealed datagrams and streams: transport/seal/SPEC.md, whose sections the comments cite.

using System;
using System.Text;

namespace Lifeline
{
	/// <summary>Byte 4 of a datagram: SPEC 2.1.</summary>
	enum PacketType : byte
	{
		Hello = 0x01, Cookie = 0x02, Accept = 0x03, ResumeHello = 0x04, ResumeAccept = 0x05,
		Sealed = 0x10, Control = 0x11, Reset = 0x1f,
	}

	/// <summary>Why a datagram was refused. None of them is worth more than a counter.</summary>
	enum SealError
	{
		None, Size, Type, Version, Forged, Replay, Unknown, Payload,
		/// <summary>The key was used as often as it may be: the link ends, and the session resumes on another.</summary>
		Exhausted,
	}

	/// <summary>What control datagrams say: SPEC 2.9.</summary>
	enum SealControl : byte { Challenge = 1, Answer = 2, Close = 3 }

	/// <summary>Layout of datagrams, and keys as text.</summary>
	static class SealWire
	{
		/// <summary>The longest datagram that every path is trusted with, in bytes.</summary>
		public const int MaxDatagram = 1200;
		public const int HelloSize = MaxDatagram;
		public const int HeaderSize = 8;
		public const int Overhead = HeaderSize + ChaCha20Poly1305.TagSize;
		public const int ResetSize = 16;
		public const byte Version = 1;
		/// <summary>A close is sent so often, so far apart: SPEC 8.1.</summary>
		public const int CloseCopies = 6;
		public const long CloseEvery = 40 * Nanos.Millisecond;

		internal const int CookieSize = 32, AtKeyId = 8, AtCookie = 16, AtName = 32, AtTag = 64;
		internal const string Prologue = "lifeline/seal/1";
		internal const string LabelNonce = "lifeline/seal/1 nonce";
		internal const string LabelResumeTag = "lifeline/seal/1 resume hello";
		internal const string LabelResume = "lifeline/seal/1 resume link";

		/// <summary>Begins a hello: SPEC 2.1.</summary>
		public static void PutHead(byte[] hello, PacketType type)
		{
			hello[4] = (byte)type;
			hello[5] = Version;
		}

		/// <summary>Writes which of the server's keys is meant, 8 bytes: SPEC 2.2.</summary>
		public static void PutKeyId(byte[] hello, int at, byte[] serverKey)
		{
			Buffer.BlockCopy(Sha256.Sum(serverKey, 0, X25519.Size), 0, hello, at, 8);
		}

		/// <summary>
		/// The keys of a link that a seal key opens, 112 bytes: the client's, the server's, that of the answer, and 16
		/// bytes of link nonce: SPEC 5.2. hello has the client's nonce, and behind it the id of the session, from at on;
		/// answer has the server's nonce from nonceAt on.
		/// </summary>
		public static byte[] ResumeKeys(string label, byte[] sealKey, byte[] hello, int at, byte[] answer, int nonceAt)
		{
			byte[] salt = new byte[32];
			Buffer.BlockCopy(hello, at, salt, 0, 16);
			Buffer.BlockCopy(answer, nonceAt, salt, 16, 16);
			byte[] info = new byte[label.Length + 16];
			Encoding.ASCII.GetBytes(label, 0, label.Length, info, 0);
			Buffer.BlockCopy(hello, at + 16, info, label.Length, 16);
			return Hkdf.Derive(sealKey, salt, info, 112);
		}

		/// <summary>Reads what every datagram begins with. Reports false if b is none of these.</summary>
		public static bool Parse(byte[] b, int n, out uint connection, out PacketType type)
		{
			connection = 0;
			type = 0;
			if (n < HeaderSize)
			{
				return false;
			}
			connection = LittleEndian.Get32(b, 0);
			type = (PacketType)b[4];
			switch (type)
			{
				case PacketType.Hello:
				case PacketType.Cookie:
				case PacketType.Accept:
				case PacketType.ResumeHello:
				case PacketType.ResumeAccept:
					return connection == 0 && b[6] == 0 && b[7] == 0;
				case PacketType.Sealed:
				case PacketType.Control:
				case PacketType.Reset:
					return connection != 0;
			}
			return false;
		}

		/// <summary>
		/// Cuts the plaintext of a sealed datagram: n bytes of b from at on. Frames outside of the
		/// stream are frames bytes from framesAt on, KCP segments the rest. Reports false if it is malformed.
		/// </summary>
		public static bool SplitPayload(byte[] b, int at, int n, out int framesAt, out int frames)
		{
			framesAt = at + 1;
			frames = 0;
			if (n < 1)
			{
				return false;
			}
			frames = b[at];
			if (frames >= 0x80)
			{
				if (n < 2 || b[at + 1] >= 0x80 || b[at + 1] == 0)
				{
					return false;
				}
				frames = frames & 0x7f | b[at + 1] << 7;
				framesAt++;
			}
			return frames <= at + n - framesAt;
		}

		/// <summary>Begins the plaintext of a sealed datagram with the length of the frames outside of the stream.</summary>
		public static int PutPayload(byte[] b, int at, int frames)
		{
			if (frames < 0x80)
			{
				b[at] = (byte)frames;
				return at + 1;
			}
			b[at] = (byte)(frames & 0x7f | 0x80);
			b[at + 1] = (byte)(frames >> 7);
			return at + 2;
		}

		/// <summary>Reads the plaintext of a control datagram. Its 8 bytes, if it has any, stand behind the first one.</summary>
		public static bool ParseControl(byte[] b, int at, int n, out SealControl kind)
		{
			kind = n > 0 ? (SealControl)b[at] : 0;
			switch (kind)
			{
				case SealControl.Challenge: return n >= 9;
				case SealControl.Answer: return n == 9;
				case SealControl.Close: return n == 1;
			}
			return false;
		}

		/// <summary>Reads a server's public key, "llp1." and 43 characters. Throws FormatException.</summary>
		public static byte[] ParsePublicKey(string text)
		{
			if (text.StartsWith("lls1.", StringComparison.Ordinal))
			{
				throw new FormatException("lifeline: this is a private key, which belongs on the server alone");
			}
			byte[] key = text.StartsWith("llp1.", StringComparison.Ordinal) ? Base64Url.Decode(text.Substring(5)) : null;
			if (key == null || key.Length != X25519.Size)
			{
				throw new FormatException("lifeline: a server's public key is \"llp1.\" and 43 characters");
			}
			return key;
		}

		public static string PublicKeyText(byte[] key)
		{
			return "llp1." + Base64Url.Encode(key);
		}
	}

	/// <summary>Seals and opens the datagrams of one link: SPEC 2.8 and 6. It allocates nothing.</summary>
	sealed class SealConn
	{
		const ulong maxNumber = 1UL << 48;
		const ulong windowSize = 256;
		const ulong span = 1 << 24, half = 1 << 23;

		readonly ChaCha20Poly1305 sealer, opener;
		readonly ulong[] seen = new ulong[windowSize / 64];
		readonly uint connection;
		ulong next;   // number of the next datagram sealed
		ulong upTo;   // 1 + the highest number opened
		uint forged;  // datagrams that opener refused

		/// <summary>Takes two keys of 32 bytes that nothing has used before.</summary>
		public SealConn(uint connection, byte[] sealKey, int sealAt, byte[] openKey, int openAt)
		{
			this.connection = connection;
			sealer = new ChaCha20Poly1305(sealKey, sealAt);
			opener = new ChaCha20Poly1305(openKey, openAt);
		}

		SealConn(uint connection, ChaCha20Poly1305 sealer, ChaCha20Poly1305 opener)
		{
			this.connection = connection;
			this.sealer = sealer;
			this.opener = opener;
		}

		/// <summary>For tests: the other end of the link.</summary>
		internal SealConn Peer()
		{
			return new SealConn(connection, opener, sealer);
		}

		/// <summary>Names the link in every datagram of both directions, and is the conversation of its KCP.</summary>
		public uint Connection { get { return connection; } }

		/// <summary>Number of the datagram that Open took last, counted from 0.</summary>
		public ulong Number { get; private set; }

		/// <summary>
		/// Seals a datagram in place: n bytes of plaintext stand behind HeaderSize bytes for the header,
		/// and there is room for the tag behind them. Returns the size, 0 if the key is used up.
		/// </summary>
		public int Seal(PacketType type, byte[] b, int n)
		{
			if (next >= maxNumber)
			{
				return 0;
			}
			Seal(type, next++, b, n);
			return SealWire.Overhead + n;
		}

		void Seal(PacketType type, ulong number, byte[] b, int n)
		{
			LittleEndian.Put32(b, 0, connection);
			LittleEndian.Put32(b, 4, (uint)number << 8 | (uint)type);
			sealer.Seal(number, b, 0, SealWire.HeaderSize, b, SealWire.HeaderSize, n);
		}

		/// <summary>For tests: continues with a number.</summary>
		internal void Renumber(ulong next, ulong upTo)
		{
			this.next = next;
			this.upTo = upTo;
		}

		/// <summary>
		/// Opens a datagram of n bytes in place. Nothing changes unless it is authentic and new. The
		/// plaintext begins at HeaderSize and has n - Overhead bytes.
		/// </summary>
		public SealError Open(byte[] b, int n)
		{
			if (n < SealWire.Overhead)
			{
				return SealError.Size;
			}
			if (forged == uint.MaxValue)
			{
				return SealError.Exhausted;
			}
			ulong number = NumberOf(b[5] | (uint)b[6] << 8 | (uint)b[7] << 16);
			if (number + windowSize < upTo || number < upTo && (seen[number / 64 % 4] & 1UL << (int)(number % 64)) != 0)
			{
				return SealError.Replay;
			}
			if (number >= maxNumber || !opener.Open(number, b, 0, SealWire.HeaderSize, b, SealWire.HeaderSize, n - SealWire.Overhead))
			{
				forged++;
				return SealError.Forged;
			}
			if (number >= upTo)
			{
				Forget(number + 1);
				upTo = number + 1;
			}
			seen[number / 64 % 4] |= 1UL << (int)(number % 64);
			Number = number;
			return SealError.None;
		}

		/// <summary>Of all numbers with the 24 bits received, the one nearest to what is expected next: SPEC 6.1.</summary>
		internal ulong NumberOf(uint low)
		{
			ulong n = upTo & ~(span - 1) | low;
			if (n + half <= upTo)
			{
				n += span;
			}
			else if (n > upTo + half && n >= span)
			{
				n -= span;
			}
			return n;
		}

		// Makes room in the window for the numbers below to.
		void Forget(ulong to)
		{
			if (to - upTo >= windowSize)
			{
				Array.Clear(seen, 0, seen.Length);
				return;
			}
			for (ulong n = upTo; n < to; n++)
			{
				seen[n / 64 % 4] &= ~(1UL << (int)(n % 64));
			}
		}
	}

	/// <summary>
	/// How a client judges resets: SPEC 8.3. A reset shows that its sender saw one of our datagrams. The
	/// server did, but an observer of the path may have, too. So a reset only raises doubt: the client asks,
	/// and believes it if nothing authentic comes within 400 ms.
	/// </summary>
	sealed class SealDoubt
	{
		const int remembered = 64;
		const long patience = 400 * Nanos.Millisecond;

		readonly ulong[] tails = new ulong[remembered];
		int sent;
		long since;
		bool inDoubt;

		/// <summary>Remembers a sealed datagram of n bytes.</summary>
		public void Sent(byte[] b, int n)
		{
			tails[sent++ % remembered] = LittleEndian.Get64(b, n - 8);
			if (sent == 1 << 30)
			{
				sent = 1 << 29; // still a multiple of remembered
			}
		}

		/// <summary>Takes a reset. Reports true if a challenge should be sent now.</summary>
		public bool Reset(long now, byte[] b, int n)
		{
			if (n != SealWire.ResetSize || inDoubt)
			{
				return false;
			}
			ulong tail = LittleEndian.Get64(b, 8);
			for (int i = 0; i < Math.Min(sent, remembered); i++)
			{
				if (tails[i] == tail)
				{
					inDoubt = true;
					since = now;
					return true;
				}
			}
			return false;
		}

		/// <summary>Takes note of an authentic datagram.</summary>
		public void Heard()
		{
			inDoubt = false;
		}

		/// <summary>Reports whether the server does not know the link any more.</summary>
		public bool Lost(long now)
		{
			return inDoubt && now - since >= patience;
		}

		/// <summary>When Lost may change; Nanos.Never without doubt.</summary>
		public long Due { get { return inDoubt ? since + patience : Nanos.Never; } }
	}

	/// <summary>base64url without padding, in its one form: RFC 4648 5.</summary>
	static class Base64Url
	{
		const string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

		public static string Encode(byte[] b)
		{
			StringBuilder s = new StringBuilder();
			int bits = 0, n = 0;
			for (int i = 0; i < b.Length; i++)
			{
				bits = bits << 8 | b[i];
				n += 8;
				for (; n >= 6; n -= 6)
				{
					s.Append(digits[bits >> (n - 6) & 63]);
				}
				bits &= 0xff;
			}
			if (n > 0)
			{
				s.Append(digits[bits << (6 - n) & 63]);
			}
			return s.ToString();
		}

		/// <summary>Returns null if s is none, or has bits that mean nothing.</summary>
		public static byte[] Decode(string s)
		{
			byte[] b = new byte[s.Length * 6 / 8];
			int bits = 0, n = 0, at = 0;
			for (int i = 0; i < s.Length; i++)
			{
				int digit = digits.IndexOf(s[i]);
				if (digit < 0)
				{
					return null;
				}
				bits = (bits << 6 | digit) & 0xffff;
				n += 6;
				if (n >= 8)
				{
					n -= 8;
					b[at++] = (byte)(bits >> n);
				}
			}
			return n >= 6 || (bits & (1 << n) - 1) != 0 ? null : b;
		}
	}

	/// <summary>Times are nanoseconds of a clock that never jumps.</summary>
	static class Nanos
	{
		public const long Microsecond = 1000;
		public const long Millisecond = 1000 * Microsecond;
		public const long Second = 1000 * Millisecond;
		/// <summary>The deadline of what waits for nothing.</summary>
		public const long Never = long.MaxValue;
	}
}
