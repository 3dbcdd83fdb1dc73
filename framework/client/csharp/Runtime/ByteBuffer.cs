// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>
	/// Bytes that are appended at the end and consumed at the start. Its array only grows, so a
	/// buffer that has seen its largest content allocates nothing any more.
	/// </summary>
	sealed class ByteBuffer
	{
		/// <summary>The memory. The content is Bytes[Start] up to, not including, Bytes[End].</summary>
		public byte[] Bytes = new byte[256];
		public int Start;
		public int End;

		public int Length { get { return End - Start; } }

		public void Clear()
		{
			Start = End = 0;
		}

		/// <summary>Makes room for n more bytes at End. It may move the content.</summary>
		public void Reserve(int n)
		{
			if (End + n <= Bytes.Length)
			{
				return;
			}
			int length = Length;
			byte[] to = Bytes;
			// Move the content to the front only when that frees as much as it costs.
			if (length + n > Bytes.Length || length > Bytes.Length / 2)
			{
				to = new byte[Math.Max(length + n, 2 * Bytes.Length)];
			}
			Buffer.BlockCopy(Bytes, Start, to, 0, length);
			Bytes = to;
			Start = 0;
			End = length;
		}

		public void Append(byte[] b, int at, int n)
		{
			Reserve(n);
			Buffer.BlockCopy(b, at, Bytes, End, n);
			End += n;
		}

		public void Append(byte b)
		{
			Reserve(1);
			Bytes[End++] = b;
		}

		/// <summary>Drops n bytes at the start, which must be there.</summary>
		public void Consume(int n)
		{
			Start += n;
			if (Start == End)
			{
				Clear();
			}
		}
	}

	/// <summary>Integers in byte arrays, without garbage and whatever the machine's byte order is.</summary>
	static class LittleEndian
	{
		public static uint Get32(byte[] b, int at)
		{
			return b[at] | (uint)b[at + 1] << 8 | (uint)b[at + 2] << 16 | (uint)b[at + 3] << 24;
		}

		public static ulong Get64(byte[] b, int at)
		{
			return Get32(b, at) | (ulong)Get32(b, at + 4) << 32;
		}

		public static void Put32(byte[] b, int at, uint v)
		{
			b[at] = (byte)v;
			b[at + 1] = (byte)(v >> 8);
			b[at + 2] = (byte)(v >> 16);
			b[at + 3] = (byte)(v >> 24);
		}

		public static void Put64(byte[] b, int at, ulong v)
		{
			Put32(b, at, (uint)v);
			Put32(b, at + 4, (uint)(v >> 32));
		}
	}

	static class ByteOps
	{
		/// <summary>Reports whether two ranges are equal, in a time that only depends on n.</summary>
		public static bool Equal(byte[] a, int atA, byte[] b, int atB, int n)
		{
			int difference = 0;
			for (int i = 0; i < n; i++)
			{
				difference |= a[atA + i] ^ b[atB + i];
			}
			return difference == 0;
		}

		public static byte[] Slice(byte[] b, int at, int n)
		{
			byte[] slice = new byte[n];
			Buffer.BlockCopy(b, at, slice, 0, n);
			return slice;
		}
	}
}
