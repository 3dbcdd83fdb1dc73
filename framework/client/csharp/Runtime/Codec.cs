// SPDX-License-Identifier: MIT

// What a packet is, byte by byte: header, frame, and the check of a body.
// Section numbers are those of codec/SPEC.md.

using System;

namespace Lifeline
{
	/// <summary>What is wrong with bytes from the network: SPEC 7.</summary>
	public enum CodecError
	{
		/// <summary>A packet of fewer than 8 bytes.</summary>
		Short,
		/// <summary>A kind of packet that is none.</summary>
		Kind,
		/// <summary>The counted bit does not fit the kind.</summary>
		Counted,
		/// <summary>An unknown flag, or one where none belongs.</summary>
		Flags,
		/// <summary>A number on a packet that has none.</summary>
		Seq,
		/// <summary>A heartbeat with a body.</summary>
		Body,
		/// <summary>Another packet without one.</summary>
		NoBody,
		/// <summary>A length above the limit.</summary>
		TooLarge,
		/// <summary>A length that is not in its shortest form.</summary>
		LengthForm,
		/// <summary>Not msgpack, or cut short.</summary>
		Malformed,
		/// <summary>Nesting above 16.</summary>
		TooDeep,
		/// <summary>Bytes behind the value.</summary>
		Trailing,
		/// <summary>Not the array that the kind of packet needs.</summary>
		Envelope,
		/// <summary>No route where one belongs.</summary>
		Route,
		/// <summary>A value of another type than its reader wants.</summary>
		Mismatch,
	}

	/// <summary>Bytes that no correct peer sends or, for Mismatch, a value of another type than its reader wants.</summary>
	public sealed class CodecException : Exception
	{
		/// <summary>What is wrong.</summary>
		public readonly CodecError Error;

		internal CodecException(CodecError error) : this(error, "")
		{
		}

		internal CodecException(CodecError error, string detail) : base("codec: " + WordOf(error) + (detail == "" ? "" : ": " + detail))
		{
			Error = error;
		}

		/// <summary>The word that SPEC 7 and the test vectors have for an error.</summary>
		public static string WordOf(CodecError error)
		{
			return words[(int)error];
		}

		static readonly string[] words =
		{
			"short", "kind", "counted", "flags", "seq", "body", "no-body", "too-large", "length-form",
			"malformed", "too-deep", "trailing", "envelope", "route", "mismatch",
		};
	}

	/// <summary>SPEC 3.</summary>
	enum PacketKind : byte
	{
		Heartbeat, Greeting, Hello, Welcome, Resume, Resumed, Reset, Refused,
		Tune, Detach, Bye, Move, Request, Response, Failure, Message, Datagram,
	}

	/// <summary>Flags of a heartbeat: SPEC 2.2.</summary>
	[Flags]
	enum HeartbeatFlags : byte { None = 0, EchoWanted = 1, Echo = 2, Hold = 4 }

	/// <summary>One packet. Its body stands in the memory that it was parsed from.</summary>
	struct Packet
	{
		public PacketKind Kind;
		public HeartbeatFlags Flags; // heartbeats only
		public ushort Seq;           // low 16 bits of the sequence number; the ping id of a heartbeat
		public uint Ack;             // low 32 bits of how many counted packets the sender has accepted
		public byte[] Bytes;         // of the body: Length bytes from At on
		public int At;
		public int Length;

		/// <summary>Reports whether packets of this kind have a sequence number: SPEC 2.1.</summary>
		public bool Counted { get { return Codec.IsCounted(Kind); } }
	}

	/// <summary>Headers, frames and the check of bodies.</summary>
	static class Codec
	{
		public const int HeaderSize = 8;
		/// <summary>The limit of a body unless the server tells another one, in bytes.</summary>
		public const int DefaultMaxBody = 64 << 10;
		/// <summary>How deep arrays and maps may stand inside each other.</summary>
		public const int MaxDepth = 16;
		const int maxLengthBytes = 4;
		/// <summary>The most that a frame adds to its body, in bytes.</summary>
		public const int FrameOverhead = maxLengthBytes + HeaderSize;
		const int countedBit = 0x80;

		public static bool IsCounted(PacketKind kind)
		{
			return kind >= PacketKind.Request && kind <= PacketKind.Message;
		}

		/// <summary>Reads the header at b[at]; the body is left alone. end is behind the last byte that may be read.</summary>
		public static void ParseHeader(byte[] b, int at, int end, ref Packet p)
		{
			if (end - at < HeaderSize)
			{
				throw new CodecException(CodecError.Short);
			}
			int kind = b[at] & ~countedBit;
			if (kind > (int)PacketKind.Datagram)
			{
				throw new CodecException(CodecError.Kind);
			}
			p.Kind = (PacketKind)kind;
			p.Flags = (HeartbeatFlags)b[at + 1];
			p.Seq = (ushort)(b[at + 2] | b[at + 3] << 8);
			p.Ack = LittleEndian.Get32(b, at + 4);
			if (p.Counted != (b[at] & countedBit) > 0)
			{
				throw new CodecException(CodecError.Counted);
			}
			if (p.Kind == PacketKind.Heartbeat)
			{
				// A packet can't ask for an echo and be one: two ids would share a field.
				const HeartbeatFlags both = HeartbeatFlags.EchoWanted | HeartbeatFlags.Echo;
				if ((byte)p.Flags > 7 || (p.Flags & both) == both)
				{
					throw new CodecException(CodecError.Flags);
				}
			}
			else if (p.Flags != 0)
			{
				throw new CodecException(CodecError.Flags);
			}
			else if (!p.Counted && p.Seq != 0)
			{
				throw new CodecException(CodecError.Seq);
			}
		}

		static void PutHeader(ByteBuffer to, PacketKind kind, HeartbeatFlags flags, ushort seq, uint ack)
		{
			byte[] b = to.Bytes;
			int at = to.End;
			b[at] = (byte)(IsCounted(kind) ? (int)kind | countedBit : (int)kind);
			b[at + 1] = (byte)flags;
			b[at + 2] = (byte)seq;
			b[at + 3] = (byte)(seq >> 8);
			LittleEndian.Put32(b, at + 4, ack);
			to.End += HeaderSize;
		}

		/// <summary>Appends a header of 8 bytes.</summary>
		public static void AppendHeader(ByteBuffer to, PacketKind kind, HeartbeatFlags flags, ushort seq, uint ack)
		{
			to.Reserve(HeaderSize);
			PutHeader(to, kind, flags, seq, ack);
		}

		/// <summary>How long the frame of a body of n bytes is.</summary>
		public static int FrameSize(int n)
		{
			int size = HeaderSize + n + 1;
			for (; n >= 0x80; n >>= 7)
			{
				size++;
			}
			return size;
		}

		/// <summary>Appends a frame: SPEC 4. The body is n bytes of b from at on.</summary>
		public static void AppendFrame(ByteBuffer to, PacketKind kind, HeartbeatFlags flags, ushort seq, uint ack, byte[] b, int at, int n)
		{
			to.Reserve(FrameSize(n));
			int left = n;
			for (; left >= 0x80; left >>= 7)
			{
				to.Bytes[to.End++] = (byte)(left & 0x7f | 0x80);
			}
			to.Bytes[to.End++] = (byte)left;
			PutHeader(to, kind, flags, seq, ack);
			if (n > 0)
			{
				Buffer.BlockCopy(b, at, to.Bytes, to.End, n);
				to.End += n;
			}
		}

		/// <summary>
		/// Reads one frame at b[at] and returns its size. Returns 0 for a frame that is not complete,
		/// unless it is clear already that it can't be right. end is behind the last byte that is there.
		/// </summary>
		public static int ParseFrame(byte[] b, int at, int end, int maxBody, ref Packet p)
		{
			int n = 0;
			int i = at;
			for (int shift = 0; ; shift += 7)
			{
				if (i >= end)
				{
					return 0;
				}
				byte c = b[i++];
				n |= (c & 0x7f) << shift;
				if (c < 0x80)
				{
					if (shift > 0 && c == 0)
					{
						throw new CodecException(CodecError.LengthForm);
					}
					break;
				}
				if (shift == 7 * (maxLengthBytes - 1))
				{
					throw new CodecException(CodecError.TooLarge);
				}
			}
			if (n > maxBody)
			{
				throw new CodecException(CodecError.TooLarge, n + " bytes, at most " + maxBody);
			}
			if (end - i < HeaderSize)
			{
				return 0;
			}
			ParseHeader(b, i, end, ref p);
			// Neither needs its body to be found out.
			if (p.Kind == PacketKind.Heartbeat && n > 0)
			{
				throw new CodecException(CodecError.Body);
			}
			if (p.Kind != PacketKind.Heartbeat && n == 0)
			{
				throw new CodecException(CodecError.NoBody);
			}
			i += HeaderSize;
			if (end - i < n)
			{
				return 0;
			}
			p.Bytes = b;
			p.At = i;
			p.Length = n;
			return i + n - at;
		}

		// --- bodies: SPEC 5

		/// <summary>Refuses a body that is not exactly one msgpack value within the limits.</summary>
		public static void CheckBody(byte[] b, int at, int n)
		{
			if (SkipValue(b, at, at + n) != at + n)
			{
				throw new CodecException(CodecError.Trailing);
			}
		}

		/// <summary>
		/// Returns the offset behind the value at b[at]. What it accepts can be decoded without a
		/// further check of any length.
		/// </summary>
		public static int SkipValue(byte[] b, int at, int end)
		{
			return SkipValue(b, at, end, 0);
		}

		static int SkipValue(byte[] b, int at, int end, int depth)
		{
			int values;
			at = ScanValue(b, at, end, out values);
			if (values < 0)
			{
				return at;
			}
			// An empty container is as deep as a full one.
			if (depth == MaxDepth)
			{
				throw new CodecException(CodecError.TooDeep);
			}
			for (; values > 0; values--)
			{
				at = SkipValue(b, at, end, depth + 1);
			}
			return at;
		}

		// For c4 to df: bytes of length, bytes on top of the length, values that an element of a container takes.
		static readonly byte[] lengths = { 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4 };
		static readonly byte[] extras = { 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0 };
		static readonly byte[] elements = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2 };

		/// <summary>
		/// Reads the type byte at b[at] and what tells how long the value is. Returns the offset behind
		/// the value, or behind a container's head. values is how many values follow in the container, -1 if it is none.
		/// </summary>
		public static int ScanValue(byte[] b, int at, int end, out int values)
		{
			if (at >= end)
			{
				throw new CodecException(CodecError.Malformed);
			}
			values = -1;
			byte c = b[at++];
			if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3)
			{
				return at;
			}
			if (c <= 0x8f)
			{
				return Container(at, end, c & 0x0f, 2, out values);
			}
			if (c <= 0x9f)
			{
				return Container(at, end, c & 0x0f, 1, out values);
			}
			if (c <= 0xbf)
			{
				return ByteString(at, end, c & 0x1f);
			}
			if (c == 0xc1)
			{
				throw new CodecException(CodecError.Malformed);
			}
			int form = c - 0xc4;
			int length = lengths[form];
			if (end - at < length)
			{
				throw new CodecException(CodecError.Malformed);
			}
			long n = 0;
			for (; length > 0; length--)
			{
				n = n << 8 | b[at++];
			}
			return elements[form] > 0 ? Container(at, end, n, elements[form], out values) : ByteString(at, end, n + extras[form]);
		}

		static int Container(int at, int end, long n, int perElement, out int values)
		{
			if (n > (end - at) / perElement)
			{
				throw new CodecException(CodecError.Malformed);
			}
			values = (int)n * perElement;
			return at;
		}

		static int ByteString(int at, int end, long n)
		{
			if (n > end - at)
			{
				throw new CodecException(CodecError.Malformed);
			}
			return at + (int)n;
		}
	}
}
