// SPDX-License-Identifier: MIT

// Writing and reading msgpack values: codec/SPEC.md 5.

using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Lifeline
{
	/// <summary>
	/// A message of the game: one msgpack value. A struct of the server is an array of its fields in
	/// their order. Fields are only ever appended: write all of them, read those that are there.
	/// <code>
	/// public void Write(Writer w) { w.Array(2); w.F32(X); w.F32(Y); }
	/// public void Read(Reader r)
	/// {
	///     int n = r.Array();
	///     X = n > 0 ? r.F32() : 0;
	///     Y = n > 1 ? r.F32() : 0;
	///     r.Skip(n - 2);
	/// }
	/// </code>
	/// </summary>
	public interface IMessage
	{
		/// <summary>Takes over the next value of the reader, surplus fields and absent ones too. Throws what the reader throws.</summary>
		void Read(Reader r);
		/// <summary>Writes exactly one value.</summary>
		void Write(Writer w);
	}

	/// <summary>The message without content: nil. It reads whatever there is.</summary>
	public sealed class Nothing : IMessage
	{
		/// <summary>Skips a value.</summary>
		public void Read(Reader r)
		{
			r.Skip(1);
		}

		/// <summary>Writes nil.</summary>
		public void Write(Writer w)
		{
			w.Nil();
		}
	}

	/// <summary>Appends msgpack values to a buffer, each in its shortest form. It allocates only to grow.</summary>
	public sealed class Writer
	{
		internal readonly ByteBuffer Buffer;

		/// <summary>Makes one with an empty buffer.</summary>
		public Writer() : this(new ByteBuffer())
		{
		}

		internal Writer(ByteBuffer buffer)
		{
			Buffer = buffer;
		}

		/// <summary>What was written, in memory of its own.</summary>
		public byte[] ToArray()
		{
			return ByteOps.Slice(Buffer.Bytes, Buffer.Start, Buffer.Length);
		}

		// Writes a type byte and an integer of some bytes, the highest one first.
		void Head(int type, int width, ulong v)
		{
			Buffer.Reserve(1 + width);
			byte[] b = Buffer.Bytes;
			b[Buffer.End++] = (byte)type;
			for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
			{
				b[Buffer.End++] = (byte)(v >> shift);
			}
		}

		/// <summary>Writes nil.</summary>
		public void Nil()
		{
			Head(0xc0, 0, 0);
		}

		/// <summary>Writes a bool.</summary>
		public void Bool(bool v)
		{
			Head(v ? 0xc3 : 0xc2, 0, 0);
		}

		/// <summary>Writes an unsigned integer, of any size.</summary>
		public void UInt(ulong v)
		{
			if (v <= 0x7f)
			{
				Head((int)v, 0, 0);
			}
			else if (v <= 0xff)
			{
				Head(0xcc, 1, v);
			}
			else if (v <= 0xffff)
			{
				Head(0xcd, 2, v);
			}
			else if (v <= 0xffffffff)
			{
				Head(0xce, 4, v);
			}
			else
			{
				Head(0xcf, 8, v);
			}
		}

		/// <summary>Writes an integer, of any size.</summary>
		public void Int(long v)
		{
			if (v >= 0)
			{
				UInt((ulong)v);
			}
			else if (v >= -32)
			{
				Head((int)v & 0xff, 0, 0);
			}
			else if (v >= sbyte.MinValue)
			{
				Head(0xd0, 1, (ulong)v);
			}
			else if (v >= short.MinValue)
			{
				Head(0xd1, 2, (ulong)v);
			}
			else if (v >= int.MinValue)
			{
				Head(0xd2, 4, (ulong)v);
			}
			else
			{
				Head(0xd3, 8, (ulong)v);
			}
		}

		/// <summary>Writes a float.</summary>
		public void F32(float v)
		{
			Head(0xca, 4, new FloatBits { Float = v }.Bits);
		}

		/// <summary>Writes a double.</summary>
		public void F64(double v)
		{
			Head(0xcb, 8, (ulong)BitConverter.DoubleToInt64Bits(v));
		}

		/// <summary>Writes a string; null as an empty one.</summary>
		public void Str(string s)
		{
			s = s ?? "";
			int n = Encoding.UTF8.GetByteCount(s);
			StrHead(n);
			Buffer.Reserve(n);
			Buffer.End += Encoding.UTF8.GetBytes(s, 0, s.Length, Buffer.Bytes, Buffer.End);
		}

		/// <summary>Writes a string that is UTF-8 already.</summary>
		public void Str(byte[] utf8, int at, int n)
		{
			StrHead(n);
			Buffer.Append(utf8, at, n);
		}

		void StrHead(int n)
		{
			if (n <= 31)
			{
				Head(0xa0 | n, 0, 0);
			}
			else
			{
				Sized(0xd9, 0xda, 0xdb, n);
			}
		}

		void Sized(int type8, int type16, int type32, int n)
		{
			if (n <= 0xff)
			{
				Head(type8, 1, (ulong)n);
			}
			else if (n <= 0xffff)
			{
				Head(type16, 2, (ulong)n);
			}
			else
			{
				Head(type32, 4, (ulong)n);
			}
		}

		/// <summary>Writes bytes; null as nil.</summary>
		public void Bin(byte[] b)
		{
			if (b == null)
			{
				Nil();
			}
			else
			{
				Bin(b, 0, b.Length);
			}
		}

		/// <summary>Writes n bytes, from at on, as bin.</summary>
		public void Bin(byte[] b, int at, int n)
		{
			Sized(0xc4, 0xc5, 0xc6, n);
			Buffer.Append(b, at, n);
		}

		/// <summary>Writes the head of an array; its n values follow.</summary>
		public void Array(int n)
		{
			if (n <= 15)
			{
				Head(0x90 | n, 0, 0);
			}
			else
			{
				Head(n <= 0xffff ? 0xdc : 0xdd, n <= 0xffff ? 2 : 4, (ulong)n);
			}
		}

		/// <summary>Writes the head of a map; n keys follow, each with its value behind it.</summary>
		public void Map(int n)
		{
			if (n <= 15)
			{
				Head(0x80 | n, 0, 0);
			}
			else
			{
				Head(n <= 0xffff ? 0xde : 0xdf, n <= 0xffff ? 2 : 4, (ulong)n);
			}
		}

		/// <summary>Writes a point in time (codec/SPEC.md 5.4). One that is not marked as local is taken for UTC.</summary>
		public void Time(DateTime t)
		{
			if (t.Kind == DateTimeKind.Local)
			{
				t = t.ToUniversalTime();
			}
			long ticks = t.Ticks - Reader.Epoch;
			long s = ticks / TimeSpan.TicksPerSecond;
			long rest = ticks % TimeSpan.TicksPerSecond;
			if (rest < 0)
			{
				s--;
				rest += TimeSpan.TicksPerSecond;
			}
			ulong ns = (ulong)rest * 100;
			if (s < 0 || s >> 34 != 0)
			{
				Head(0xc7, 1, 12);
				Head(0xff, 4, ns);
				Head((byte)(s >> 56), 7, (ulong)s);
			}
			else if (ns == 0 && s <= uint.MaxValue)
			{
				Head(0xd6, 1, 0xff);
				Head((byte)(s >> 24), 3, (ulong)s);
			}
			else
			{
				ulong both = ns << 34 | (ulong)s;
				Head(0xd7, 1, 0xff);
				Head((byte)(both >> 56), 7, both);
			}
		}

		/// <summary>Writes one value that is msgpack already; null and an empty array as nil.</summary>
		public void Raw(byte[] b)
		{
			if (b == null || b.Length == 0)
			{
				Nil();
			}
			else
			{
				Raw(b, 0, b.Length);
			}
		}

		/// <summary>Writes one value that is msgpack already.</summary>
		public void Raw(byte[] b, int at, int n)
		{
			Buffer.Append(b, at, n);
		}
	}

	[StructLayout(LayoutKind.Explicit)]
	struct FloatBits
	{
		[FieldOffset(0)] public float Float;
		[FieldOffset(0)] public uint Bits;
	}

	/// <summary>
	/// Reads msgpack values one after the other. nil is read as the zero of whatever is asked for.
	/// A value of another type, or a number that does not fit, throws CodecException with Mismatch.
	/// </summary>
	public sealed class Reader
	{
		byte[] b = new byte[0];
		int at;
		int end;

		/// <summary>Makes one that has nothing to read yet: Set.</summary>
		public Reader()
		{
		}

		/// <summary>Reads all of an array.</summary>
		public Reader(byte[] bytes) : this(bytes, 0, bytes.Length)
		{
		}

		/// <summary>Reads n bytes from start on.</summary>
		public Reader(byte[] bytes, int start, int n)
		{
			Set(bytes, start, n);
		}

		/// <summary>Begins to read n bytes from start on.</summary>
		public void Set(byte[] bytes, int start, int n)
		{
			b = bytes;
			at = start;
			end = start + n;
		}

		/// <summary>The memory that is read.</summary>
		public byte[] Source { get { return b; } }
		/// <summary>The offset of the next value in Source.</summary>
		public int At { get { return at; } }
		/// <summary>Reports that everything was read.</summary>
		public bool AtEnd { get { return at == end; } }

		byte TypeByte
		{
			get
			{
				if (at >= end)
				{
					throw new CodecException(CodecError.Malformed);
				}
				return b[at];
			}
		}

		/// <summary>Skips n values. Does nothing if n is not positive.</summary>
		public void Skip(int n)
		{
			for (; n > 0; n--)
			{
				at = Codec.SkipValue(b, at, end);
			}
		}

		/// <summary>Skips nil and reports whether it was there.</summary>
		public bool Nil()
		{
			if (TypeByte != 0xc0)
			{
				return false;
			}
			at++;
			return true;
		}

		/// <summary>Reads a bool.</summary>
		public bool Bool()
		{
			byte c = TypeByte;
			if (c == 0xc3)
			{
				at++;
				return true;
			}
			if (c != 0xc2 && c != 0xc0)
			{
				throw Mismatch("a bool");
			}
			at++;
			return false;
		}

		/// <summary>Reads any value, and reports whether it is true.</summary>
		public bool True()
		{
			bool yes = TypeByte == 0xc3;
			Skip(1);
			return yes;
		}

		/// <summary>Reports whether the next value is an integer.</summary>
		public bool IsInt
		{
			get
			{
				byte c = TypeByte;
				return c <= 0x7f || c >= 0xe0 || c >= 0xcc && c <= 0xd3;
			}
		}

		/// <summary>Reports whether the next value is a str.</summary>
		public bool IsStr
		{
			get
			{
				byte c = TypeByte;
				return c >= 0xa0 && c <= 0xbf || c >= 0xd9 && c <= 0xdb;
			}
		}

		/// <summary>Reports whether the next value is a bin.</summary>
		public bool IsBin
		{
			get
			{
				byte c = TypeByte;
				return c >= 0xc4 && c <= 0xc6;
			}
		}

		/// <summary>Reports whether the next value is an array.</summary>
		public bool IsArray
		{
			get
			{
				byte c = TypeByte;
				return c >= 0x90 && c <= 0x9f || c == 0xdc || c == 0xdd;
			}
		}

		// Reads an integer of any form. negative tells how its 64 bits are to be read.
		ulong Integer(out bool negative)
		{
			byte c = TypeByte;
			negative = false;
			if (c == 0xc0)
			{
				at++;
				return 0;
			}
			if (!IsInt)
			{
				throw Mismatch("an integer");
			}
			int from = at + 1;
			int values;
			at = Codec.ScanValue(b, at, end, out values);
			if (c <= 0x7f)
			{
				return c;
			}
			if (c >= 0xe0)
			{
				negative = true;
				return (ulong)(sbyte)c;
			}
			ulong v = BigEndian(from, at);
			if (c >= 0xd0)
			{
				int unused = 64 - 8 * (at - from);
				v = (ulong)((long)(v << unused) >> unused);
				negative = (long)v < 0;
			}
			return v;
		}

		ulong BigEndian(int from, int to)
		{
			ulong v = 0;
			for (; from < to; from++)
			{
				v = v << 8 | b[from];
			}
			return v;
		}

		/// <summary>Reads an integer from 0 to max.</summary>
		public ulong UInt(ulong max = ulong.MaxValue)
		{
			bool negative;
			ulong v = Integer(out negative);
			if (negative || v > max)
			{
				throw Mismatch("an integer from 0 to " + max);
			}
			return v;
		}

		/// <summary>Reads an integer from min to max.</summary>
		public long Int(long min = long.MinValue, long max = long.MaxValue)
		{
			bool negative;
			ulong v = Integer(out negative);
			long n = (long)v;
			if (!negative && v > long.MaxValue || n < min || n > max)
			{
				throw Mismatch("an integer from " + min + " to " + max);
			}
			return n;
		}

		/// <summary>Reads an integer that fits.</summary>
		public byte U8() { return (byte)UInt(byte.MaxValue); }
		/// <summary>Reads an integer that fits.</summary>
		public ushort U16() { return (ushort)UInt(ushort.MaxValue); }
		/// <summary>Reads an integer that fits.</summary>
		public uint U32() { return (uint)UInt(uint.MaxValue); }
		/// <summary>Reads an integer that fits.</summary>
		public sbyte I8() { return (sbyte)Int(sbyte.MinValue, sbyte.MaxValue); }
		/// <summary>Reads an integer that fits.</summary>
		public short I16() { return (short)Int(short.MinValue, short.MaxValue); }
		/// <summary>Reads an integer that fits.</summary>
		public int I32() { return (int)Int(int.MinValue, int.MaxValue); }

		/// <summary>Reads what F64 reads, as a float.</summary>
		public float F32()
		{
			if (TypeByte == 0xca)
			{
				return Single();
			}
			return (float)F64();
		}

		/// <summary>Reads a float of either width, or any integer.</summary>
		public double F64()
		{
			byte c = TypeByte;
			if (c == 0xca)
			{
				return Single();
			}
			if (c == 0xcb)
			{
				int from = at + 1;
				int values;
				at = Codec.ScanValue(b, at, end, out values);
				return BitConverter.Int64BitsToDouble((long)BigEndian(from, at));
			}
			bool negative;
			ulong v = Integer(out negative);
			return negative ? (double)(long)v : (double)v;
		}

		float Single()
		{
			int from = at + 1;
			int values;
			at = Codec.ScanValue(b, at, end, out values);
			return new FloatBits { Bits = (uint)BigEndian(from, at) }.Float;
		}

		// Steps over the head of a str or bin and then its n bytes; returns where those begin.
		int Content(out int n)
		{
			byte c = TypeByte;
			int from = at + 1;
			if (c >= 0xc4 && c <= 0xc6)
			{
				from += 1 << (c - 0xc4);
			}
			else if (c >= 0xd9 && c <= 0xdb)
			{
				from += 1 << (c - 0xd9);
			}
			int values;
			at = Codec.ScanValue(b, at, end, out values);
			n = at - from;
			return from;
		}

		/// <summary>Reads a str, or a bin as one. nil is the empty string.</summary>
		public string Str()
		{
			int from, n;
			Span(out from, out n);
			return n == 0 ? "" : Encoding.UTF8.GetString(b, from, n);
		}

		/// <summary>Reads a bin, or a str as one, into memory of its own. nil is null.</summary>
		public byte[] Bin()
		{
			if (TypeByte == 0xc0)
			{
				at++;
				return null;
			}
			int from, n;
			Span(out from, out n);
			return ByteOps.Slice(b, from, n);
		}

		/// <summary>Reads a bin or a str where it stands: n bytes of Source, from from on.</summary>
		public void Span(out int from, out int n)
		{
			if (TypeByte == 0xc0)
			{
				from = at++;
				n = 0;
				return;
			}
			if (!IsStr && !IsBin)
			{
				throw Mismatch("a str or a bin");
			}
			from = Content(out n);
		}

		/// <summary>Reads a bin or a str of exactly to.Length bytes. nil is zeros.</summary>
		public void Fixed(byte[] to)
		{
			if (TypeByte == 0xc0)
			{
				at++;
				System.Array.Clear(to, 0, to.Length);
				return;
			}
			int from, n;
			Span(out from, out n);
			if (n != to.Length)
			{
				throw Mismatch(to.Length + " bytes");
			}
			Buffer.BlockCopy(b, from, to, 0, n);
		}

		/// <summary>Reads the head of an array and returns how many values follow. nil has none.</summary>
		public int Array()
		{
			if (TypeByte == 0xc0)
			{
				at++;
				return 0;
			}
			if (!IsArray)
			{
				throw Mismatch("an array");
			}
			int values;
			at = Codec.ScanValue(b, at, end, out values);
			return values;
		}

		/// <summary>Reads the head of an array of exactly n values, which follow. False: it was nil.</summary>
		public bool Exactly(int n)
		{
			if (Nil())
			{
				return false;
			}
			int from = at;
			if (Array() != n)
			{
				at = from;
				throw Mismatch("an array of " + n);
			}
			return true;
		}

		internal const long Epoch = 621355968000000000; // 1970 in ticks

		/// <summary>
		/// Reads a point in time, in UTC. nil is the zero of DateTime, as of Go. What is finer than 100 ns is cut off; a
		/// time that DateTime does not have is a mismatch.
		/// </summary>
		public DateTime Time()
		{
			byte c = TypeByte;
			if (c == 0xc0)
			{
				at++;
				return default(DateTime);
			}
			int head = c == 0xc7 ? 2 : c == 0xc8 ? 3 : c == 0xc9 ? 5 : c >= 0xd4 && c <= 0xd8 ? 1 : 0;
			int values;
			int next = Codec.ScanValue(b, at, end, out values);
			int from = at + head + 1; // behind the type
			int n = next - from;
			if (head == 0 || b[from - 1] != 0xff || n != 4 && n != 8 && n != 12)
			{
				throw Mismatch("a timestamp");
			}
			ulong both = BigEndian(n == 12 ? from + 4 : from, next);
			long s = n == 8 ? (long)(both & 0x3ffffffff) : (long)both;
			ulong ns = n == 4 ? 0 : n == 8 ? both >> 34 : BigEndian(from, from + 4);
			const long least = -Epoch / TimeSpan.TicksPerSecond, most = 253402300799; // the years 1 to 9999
			if (s < least || s > most || ns > 999999999)
			{
				throw Mismatch("a time of the years 1 to 9999");
			}
			at = next;
			return new DateTime(Epoch + s * TimeSpan.TicksPerSecond + (long)(ns / 100), DateTimeKind.Utc);
		}

		/// <summary>Reads one value as it stands, into memory of its own.</summary>
		public byte[] Raw()
		{
			int from = at;
			Skip(1);
			return ByteOps.Slice(b, from, at - from);
		}

		/// <summary>Reads the head of a map and returns how many keys follow, each with its value behind it. nil has none.</summary>
		public int Map()
		{
			byte c = TypeByte;
			if (c == 0xc0)
			{
				at++;
				return 0;
			}
			if (!(c >= 0x80 && c <= 0x8f || c == 0xde || c == 0xdf))
			{
				throw Mismatch("a map");
			}
			int values;
			at = Codec.ScanValue(b, at, end, out values);
			return values / 2;
		}

		CodecException Mismatch(string wanted)
		{
			return new CodecException(CodecError.Mismatch, "type byte " + b[at < end ? at : end - 1].ToString("x2") + " where " + wanted + " belongs");
		}
	}
}
