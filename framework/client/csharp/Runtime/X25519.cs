// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>
	/// X25519 (RFC 7748): one scalar multiplication, done in as many steps as the caller likes, so
	/// that a game may spread it over frames. Steps take the same time whatever the scalar is, as
	/// far as the runtime lets them.
	/// </summary>
	sealed class X25519
	{
		public const int Size = 32;
		/// <summary>How many steps a multiplication takes.</summary>
		public const int Steps = 255 + inversion;
		const int inversion = 26; // steps, each about as long as one of the ladder

		readonly byte[] scalar = new byte[Size];
		readonly byte[] result = new byte[Size];
		readonly FieldElement x1 = new FieldElement(), x2 = new FieldElement(), z2 = new FieldElement();
		readonly FieldElement x3 = new FieldElement(), z3 = new FieldElement();
		readonly FieldElement t0 = new FieldElement(), t1 = new FieldElement();
		int swap;
		int step;

		/// <summary>Begins the product of a scalar and a point, both 32 bytes.</summary>
		public void Start(byte[] scalar, byte[] point, int pointAt)
		{
			Buffer.BlockCopy(scalar, 0, this.scalar, 0, Size);
			this.scalar[0] &= 248;
			this.scalar[31] &= 127;
			this.scalar[31] |= 64;
			x1.Read(point, pointAt);
			x2.Set(1);
			z2.Set(0);
			x3.Copy(x1);
			z3.Set(1);
			swap = 0;
			step = 0;
		}

		/// <summary>Begins the product of a scalar and the base point: the public key.</summary>
		public void StartBase(byte[] scalar)
		{
			byte[] point = new byte[Size];
			point[0] = 9;
			Start(scalar, point, 0);
		}

		public bool Done { get { return step == Steps; } }

		/// <summary>The product, once it is done.</summary>
		public byte[] Result { get { return result; } }

		/// <summary>Does n steps more, at most, and returns how many it did.</summary>
		public int Advance(int n)
		{
			int did = 0;
			for (; did < n && step < Steps; did++, step++)
			{
				if (step < 255)
				{
					Ladder(254 - step);
				}
				else
				{
					Invert(step - 255);
				}
			}
			return did;
		}

		/// <summary>The product of a scalar and a point, at once.</summary>
		public static byte[] Multiply(byte[] scalar, byte[] point)
		{
			X25519 x = new X25519();
			x.Start(scalar, point, 0);
			x.Advance(Steps);
			return x.Result;
		}

		/// <summary>The public half of a private key, at once.</summary>
		public static byte[] PublicKey(byte[] scalar)
		{
			X25519 x = new X25519();
			x.StartBase(scalar);
			x.Advance(Steps);
			return x.Result;
		}

		/// <summary>Reports whether the result is zero, as points of low order make it: RFC 7748 6.1.</summary>
		public bool IsZero
		{
			get
			{
				int any = 0;
				for (int i = 0; i < Size; i++)
				{
					any |= result[i];
				}
				return any == 0;
			}
		}

		// One bit of the scalar.
		void Ladder(int position)
		{
			int bit = scalar[position / 8] >> (position % 8) & 1;
			swap ^= bit;
			FieldElement.Swap(x2, x3, swap);
			FieldElement.Swap(z2, z3, swap);
			swap = bit;
			FieldElement.Subtract(t0, x3, z3);
			FieldElement.Subtract(t1, x2, z2);
			FieldElement.Add(x2, x2, z2);
			FieldElement.Add(z2, x3, z3);
			FieldElement.Multiply(z3, t0, x2);
			FieldElement.Multiply(z2, z2, t1);
			FieldElement.Square(t0, t1);
			FieldElement.Square(t1, x2);
			FieldElement.Add(x3, z3, z2);
			FieldElement.Subtract(z2, z3, z2);
			FieldElement.Multiply(x2, t1, t0);
			FieldElement.Subtract(t1, t1, t0);
			FieldElement.Square(z2, z2);
			FieldElement.MultiplySmall(z3, t1);
			FieldElement.Square(x3, x3);
			FieldElement.Add(t0, t0, z3);
			FieldElement.Multiply(z3, x1, z2);
			FieldElement.Multiply(z2, t1, t0);
		}

		// The result is x2 / z2 = x2 * z2^(2^255 - 21). In groups of five bits that exponent is 50 times
		// 11111 and then 01011: 31 and 11. A step does two groups.
		void Invert(int part)
		{
			if (part == 0)
			{
				FieldElement.Swap(x2, x3, swap);
				FieldElement.Swap(z2, z3, swap);
				swap = 0;
				FieldElement.Square(t0, z2);
				FieldElement.Square(t1, t0);
				FieldElement.Square(t1, t1);
				FieldElement.Multiply(t1, t1, z2); // z^9
				FieldElement.Multiply(x3, t0, t1); // z^11
				FieldElement.Square(z3, x3);
				FieldElement.Multiply(z3, z3, t1); // z^31
				t0.Set(1);
			}
			for (int group = 2 * part; group < 51 && group < 2 * part + 2; group++)
			{
				for (int i = 0; i < 5; i++)
				{
					FieldElement.Square(t0, t0);
				}
				FieldElement.Multiply(t0, t0, group < 50 ? z3 : x3);
			}
			if (part == inversion - 1)
			{
				FieldElement.Multiply(x2, x2, t0);
				x2.Write(result);
			}
		}
	}

	/// <summary>
	/// A number modulo 2^255 - 19 in ten limbs of 26 and 25 bits in turn, each with a sign. Nothing
	/// here branches on a value or looks one up.
	/// </summary>
	sealed class FieldElement
	{
		long l0, l1, l2, l3, l4, l5, l6, l7, l8, l9;

		public void Set(int v)
		{
			l0 = v;
			l1 = l2 = l3 = l4 = l5 = l6 = l7 = l8 = l9 = 0;
		}

		public void Copy(FieldElement f)
		{
			l0 = f.l0; l1 = f.l1; l2 = f.l2; l3 = f.l3; l4 = f.l4;
			l5 = f.l5; l6 = f.l6; l7 = f.l7; l8 = f.l8; l9 = f.l9;
		}

		/// <summary>Reads 32 bytes; the highest bit is ignored.</summary>
		public void Read(byte[] b, int at)
		{
			ulong a = LittleEndian.Get64(b, at), c = LittleEndian.Get64(b, at + 8);
			ulong d = LittleEndian.Get64(b, at + 16), e = LittleEndian.Get64(b, at + 24);
			l0 = (long)(a & 0x3ffffff);
			l1 = (long)(a >> 26 & 0x1ffffff);
			l2 = (long)((a >> 51 | c << 13) & 0x3ffffff);
			l3 = (long)(c >> 13 & 0x1ffffff);
			l4 = (long)(c >> 38);
			l5 = (long)(d & 0x1ffffff);
			l6 = (long)(d >> 25 & 0x3ffffff);
			l7 = (long)((d >> 51 | e << 13) & 0x1ffffff);
			l8 = (long)(e >> 12 & 0x3ffffff);
			l9 = (long)(e >> 38 & 0x1ffffff);
		}

		/// <summary>Writes 32 bytes, the one form below 2^255 - 19.</summary>
		public void Write(byte[] b)
		{
			// How often 2^255 - 19 is contained in it, from the carry that 19 more would make.
			long q = (19 * l9 + (1L << 24)) >> 25;
			q = (l0 + q) >> 26; q = (l1 + q) >> 25; q = (l2 + q) >> 26; q = (l3 + q) >> 25; q = (l4 + q) >> 26;
			q = (l5 + q) >> 25; q = (l6 + q) >> 26; q = (l7 + q) >> 25; q = (l8 + q) >> 26; q = (l9 + q) >> 25;
			long h0 = l0 + 19 * q, h1 = l1, h2 = l2, h3 = l3, h4 = l4, h5 = l5, h6 = l6, h7 = l7, h8 = l8, h9 = l9;
			h1 += h0 >> 26; h0 &= 0x3ffffff;
			h2 += h1 >> 25; h1 &= 0x1ffffff;
			h3 += h2 >> 26; h2 &= 0x3ffffff;
			h4 += h3 >> 25; h3 &= 0x1ffffff;
			h5 += h4 >> 26; h4 &= 0x3ffffff;
			h6 += h5 >> 25; h5 &= 0x1ffffff;
			h7 += h6 >> 26; h6 &= 0x3ffffff;
			h8 += h7 >> 25; h7 &= 0x1ffffff;
			h9 += h8 >> 26; h8 &= 0x3ffffff;
			h9 &= 0x1ffffff;
			LittleEndian.Put64(b, 0, (ulong)h0 | (ulong)h1 << 26 | (ulong)h2 << 51);
			LittleEndian.Put64(b, 8, (ulong)h2 >> 13 | (ulong)h3 << 13 | (ulong)h4 << 38);
			LittleEndian.Put64(b, 16, (ulong)h5 | (ulong)h6 << 25 | (ulong)h7 << 51);
			LittleEndian.Put64(b, 24, (ulong)h7 >> 13 | (ulong)h8 << 12 | (ulong)h9 << 38);
		}

		/// <summary>Exchanges f and g if swap is 1, and does as much if it is 0.</summary>
		public static void Swap(FieldElement f, FieldElement g, int swap)
		{
			long mask = -swap, x;
			x = mask & (f.l0 ^ g.l0); f.l0 ^= x; g.l0 ^= x;
			x = mask & (f.l1 ^ g.l1); f.l1 ^= x; g.l1 ^= x;
			x = mask & (f.l2 ^ g.l2); f.l2 ^= x; g.l2 ^= x;
			x = mask & (f.l3 ^ g.l3); f.l3 ^= x; g.l3 ^= x;
			x = mask & (f.l4 ^ g.l4); f.l4 ^= x; g.l4 ^= x;
			x = mask & (f.l5 ^ g.l5); f.l5 ^= x; g.l5 ^= x;
			x = mask & (f.l6 ^ g.l6); f.l6 ^= x; g.l6 ^= x;
			x = mask & (f.l7 ^ g.l7); f.l7 ^= x; g.l7 ^= x;
			x = mask & (f.l8 ^ g.l8); f.l8 ^= x; g.l8 ^= x;
			x = mask & (f.l9 ^ g.l9); f.l9 ^= x; g.l9 ^= x;
		}

		public static void Add(FieldElement h, FieldElement f, FieldElement g)
		{
			h.l0 = f.l0 + g.l0; h.l1 = f.l1 + g.l1; h.l2 = f.l2 + g.l2; h.l3 = f.l3 + g.l3; h.l4 = f.l4 + g.l4;
			h.l5 = f.l5 + g.l5; h.l6 = f.l6 + g.l6; h.l7 = f.l7 + g.l7; h.l8 = f.l8 + g.l8; h.l9 = f.l9 + g.l9;
		}

		public static void Subtract(FieldElement h, FieldElement f, FieldElement g)
		{
			h.l0 = f.l0 - g.l0; h.l1 = f.l1 - g.l1; h.l2 = f.l2 - g.l2; h.l3 = f.l3 - g.l3; h.l4 = f.l4 - g.l4;
			h.l5 = f.l5 - g.l5; h.l6 = f.l6 - g.l6; h.l7 = f.l7 - g.l7; h.l8 = f.l8 - g.l8; h.l9 = f.l9 - g.l9;
		}

		/// <summary>h = 121666 * f, the constant of the ladder.</summary>
		public static void MultiplySmall(FieldElement h, FieldElement f)
		{
			const long k = 121666;
			Reduce(h, k * f.l0, k * f.l1, k * f.l2, k * f.l3, k * f.l4, k * f.l5, k * f.l6, k * f.l7, k * f.l8, k * f.l9);
		}

		/// <summary>h = f * g. Limbs of f and g are below 1.65 * 2^26 and 2^25, those of h below 1.01 times 2^25 and 2^24.</summary>
		public static void Multiply(FieldElement h, FieldElement f, FieldElement g)
		{
			long f0 = f.l0, f1 = f.l1, f2 = f.l2, f3 = f.l3, f4 = f.l4, f5 = f.l5, f6 = f.l6, f7 = f.l7, f8 = f.l8, f9 = f.l9;
			long g0 = g.l0, g1 = g.l1, g2 = g.l2, g3 = g.l3, g4 = g.l4, g5 = g.l5, g6 = g.l6, g7 = g.l7, g8 = g.l8, g9 = g.l9;
			long g1x = 19 * g1, g2x = 19 * g2, g3x = 19 * g3, g4x = 19 * g4, g5x = 19 * g5, g6x = 19 * g6, g7x = 19 * g7, g8x = 19 * g8, g9x = 19 * g9;
			long d1 = 2 * f1, d3 = 2 * f3, d5 = 2 * f5, d7 = 2 * f7, d9 = 2 * f9;
			long h0 = f0 * g0 + d1 * g9x + f2 * g8x + d3 * g7x + f4 * g6x + d5 * g5x + f6 * g4x + d7 * g3x + f8 * g2x + d9 * g1x;
			long h1 = f0 * g1 + f1 * g0 + f2 * g9x + f3 * g8x + f4 * g7x + f5 * g6x + f6 * g5x + f7 * g4x + f8 * g3x + f9 * g2x;
			long h2 = f0 * g2 + d1 * g1 + f2 * g0 + d3 * g9x + f4 * g8x + d5 * g7x + f6 * g6x + d7 * g5x + f8 * g4x + d9 * g3x;
			long h3 = f0 * g3 + f1 * g2 + f2 * g1 + f3 * g0 + f4 * g9x + f5 * g8x + f6 * g7x + f7 * g6x + f8 * g5x + f9 * g4x;
			long h4 = f0 * g4 + d1 * g3 + f2 * g2 + d3 * g1 + f4 * g0 + d5 * g9x + f6 * g8x + d7 * g7x + f8 * g6x + d9 * g5x;
			long h5 = f0 * g5 + f1 * g4 + f2 * g3 + f3 * g2 + f4 * g1 + f5 * g0 + f6 * g9x + f7 * g8x + f8 * g7x + f9 * g6x;
			long h6 = f0 * g6 + d1 * g5 + f2 * g4 + d3 * g3 + f4 * g2 + d5 * g1 + f6 * g0 + d7 * g9x + f8 * g8x + d9 * g7x;
			long h7 = f0 * g7 + f1 * g6 + f2 * g5 + f3 * g4 + f4 * g3 + f5 * g2 + f6 * g1 + f7 * g0 + f8 * g9x + f9 * g8x;
			long h8 = f0 * g8 + d1 * g7 + f2 * g6 + d3 * g5 + f4 * g4 + d5 * g3 + f6 * g2 + d7 * g1 + f8 * g0 + d9 * g9x;
			long h9 = f0 * g9 + f1 * g8 + f2 * g7 + f3 * g6 + f4 * g5 + f5 * g4 + f6 * g3 + f7 * g2 + f8 * g1 + f9 * g0;
			Reduce(h, h0, h1, h2, h3, h4, h5, h6, h7, h8, h9);
		}

		/// <summary>h = f * f.</summary>
		public static void Square(FieldElement h, FieldElement f)
		{
			long f0 = f.l0, f1 = f.l1, f2 = f.l2, f3 = f.l3, f4 = f.l4, f5 = f.l5, f6 = f.l6, f7 = f.l7, f8 = f.l8, f9 = f.l9;
			long f0d = 2 * f0, f1d = 2 * f1, f2d = 2 * f2, f3d = 2 * f3, f4d = 2 * f4, f5d = 2 * f5, f6d = 2 * f6, f7d = 2 * f7;
			long f5x = 38 * f5, f6x = 19 * f6, f7x = 38 * f7, f8x = 19 * f8, f9x = 38 * f9;
			long h0 = f0 * f0 + f1d * f9x + f2d * f8x + f3d * f7x + f4d * f6x + f5 * f5x;
			long h1 = f0d * f1 + f2 * f9x + f3d * f8x + f4 * f7x + f5d * f6x;
			long h2 = f0d * f2 + f1d * f1 + f3d * f9x + f4d * f8x + f5d * f7x + f6 * f6x;
			long h3 = f0d * f3 + f1d * f2 + f4 * f9x + f5d * f8x + f6 * f7x;
			long h4 = f0d * f4 + f1d * f3d + f2 * f2 + f5d * f9x + f6d * f8x + f7 * f7x;
			long h5 = f0d * f5 + f1d * f4 + f2d * f3 + f6 * f9x + f7d * f8x;
			long h6 = f0d * f6 + f1d * f5d + f2d * f4 + f3d * f3 + f7d * f9x + f8 * f8x;
			long h7 = f0d * f7 + f1d * f6 + f2d * f5 + f3d * f4 + f8 * f9x;
			long h8 = f0d * f8 + f1d * f7d + f2d * f6 + f3d * f5d + f4 * f4 + f9 * f9x;
			long h9 = f0d * f9 + f1d * f8 + f2d * f7 + f3d * f6 + f4d * f5;
			Reduce(h, h0, h1, h2, h3, h4, h5, h6, h7, h8, h9);
		}
		// Carries, each rounded to the nearest, so that limbs stay small on both sides of zero.
		static void Reduce(FieldElement h, long h0, long h1, long h2, long h3, long h4, long h5, long h6, long h7, long h8, long h9)
		{
			const long half26 = 1L << 25, half25 = 1L << 24;
			long c;
			c = (h0 + half26) >> 26; h1 += c; h0 -= c << 26;
			c = (h4 + half26) >> 26; h5 += c; h4 -= c << 26;
			c = (h1 + half25) >> 25; h2 += c; h1 -= c << 25;
			c = (h5 + half25) >> 25; h6 += c; h5 -= c << 25;
			c = (h2 + half26) >> 26; h3 += c; h2 -= c << 26;
			c = (h6 + half26) >> 26; h7 += c; h6 -= c << 26;
			c = (h3 + half25) >> 25; h4 += c; h3 -= c << 25;
			c = (h7 + half25) >> 25; h8 += c; h7 -= c << 25;
			c = (h4 + half26) >> 26; h5 += c; h4 -= c << 26;
			c = (h8 + half26) >> 26; h9 += c; h8 -= c << 26;
			c = (h9 + half25) >> 25; h0 += 19 * c; h9 -= c << 25;
			c = (h0 + half26) >> 26; h1 += c; h0 -= c << 26;
			h.l0 = h0; h.l1 = h1; h.l2 = h2; h.l3 = h3; h.l4 = h4;
			h.l5 = h5; h.l6 = h6; h.l7 = h7; h.l8 = h8; h.l9 = h9;
		}
	}
}
