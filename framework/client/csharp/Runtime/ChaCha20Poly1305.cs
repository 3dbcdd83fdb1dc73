// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>
	/// ChaCha20-Poly1305 (RFC 8439) with one key. The nonce is 4 zero bytes and a 64-bit number, as
	/// Noise and transport/seal have it. Sealing and opening are in place and allocate nothing.
	/// </summary>
	sealed class ChaCha20Poly1305
	{
		public const int KeySize = 32;
		public const int TagSize = 16;

		readonly uint[] key = new uint[8];
		readonly uint[] nonce = new uint[3];
		readonly byte[] stream = new byte[64];
		readonly byte[] tag = new byte[TagSize];
		readonly Poly1305 mac = new Poly1305();

		public ChaCha20Poly1305(byte[] key, int at)
		{
			for (int i = 0; i < 8; i++)
			{
				this.key[i] = LittleEndian.Get32(key, at + 4 * i);
			}
		}

		/// <summary>
		/// Encrypts n bytes of b from at on and writes the tag behind them. The associated data are
		/// adLength bytes of ad from adAt on, which may be of the same array.
		/// </summary>
		public void Seal(ulong number, byte[] ad, int adAt, int adLength, byte[] b, int at, int n)
		{
			SetNonce(number);
			Cipher(b, at, n);
			Authenticate(ad, adAt, adLength, b, at, n);
			Buffer.BlockCopy(tag, 0, b, at + n, TagSize);
		}

		/// <summary>
		/// Decrypts n bytes of b from at on, behind which their tag stands. Reports false, and leaves b
		/// as it was, if the tag is wrong.
		/// </summary>
		public bool Open(ulong number, byte[] ad, int adAt, int adLength, byte[] b, int at, int n)
		{
			SetNonce(number);
			Authenticate(ad, adAt, adLength, b, at, n);
			if (!ByteOps.Equal(tag, 0, b, at + n, TagSize))
			{
				return false;
			}
			Cipher(b, at, n);
			return true;
		}

		/// <summary>Goes on with another key, which does not tell the present one: REKEY of Noise, revision 34, 4.2.</summary>
		public void Rekey()
		{
			SetNonce(ulong.MaxValue);
			Block(1);
			for (int i = 0; i < 8; i++)
			{
				key[i] = LittleEndian.Get32(stream, 4 * i);
			}
		}

		/// <summary>For tests with a nonce of any 12 bytes; the next Seal or Open sets another one.</summary>
		internal void Cipher(byte[] nonce12, uint counter, byte[] b, int at, int n)
		{
			for (int i = 0; i < 3; i++)
			{
				nonce[i] = LittleEndian.Get32(nonce12, 4 * i);
			}
			Cipher(counter, b, at, n);
		}

		void SetNonce(ulong number)
		{
			nonce[0] = 0;
			nonce[1] = (uint)number;
			nonce[2] = (uint)(number >> 32);
		}

		void Cipher(byte[] b, int at, int n)
		{
			Cipher(1, b, at, n);
		}

		void Cipher(uint counter, byte[] b, int at, int n)
		{
			for (; n > 0; counter++)
			{
				Block(counter);
				int take = Math.Min(n, 64);
				for (int i = 0; i < take; i++)
				{
					b[at + i] ^= stream[i];
				}
				at += take;
				n -= take;
			}
		}

		void Authenticate(byte[] ad, int adAt, int adLength, byte[] b, int at, int n)
		{
			Block(0);
			mac.Init(stream);
			mac.Update(ad, adAt, adLength);
			mac.Update(b, at, n);
			mac.Lengths((ulong)adLength, (ulong)n);
			mac.Finish(tag);
		}

		// One block of key stream.
		void Block(uint counter)
		{
			uint a0 = 0x61707865, a1 = 0x3320646e, a2 = 0x79622d32, a3 = 0x6b206574;
			uint b0 = key[0], b1 = key[1], b2 = key[2], b3 = key[3];
			uint c0 = key[4], c1 = key[5], c2 = key[6], c3 = key[7];
			uint d0 = counter, d1 = nonce[0], d2 = nonce[1], d3 = nonce[2];
			for (int i = 0; i < 10; i++)
			{
				a0 += b0; d0 ^= a0; d0 = d0 << 16 | d0 >> 16; c0 += d0; b0 ^= c0; b0 = b0 << 12 | b0 >> 20;
				a1 += b1; d1 ^= a1; d1 = d1 << 16 | d1 >> 16; c1 += d1; b1 ^= c1; b1 = b1 << 12 | b1 >> 20;
				a2 += b2; d2 ^= a2; d2 = d2 << 16 | d2 >> 16; c2 += d2; b2 ^= c2; b2 = b2 << 12 | b2 >> 20;
				a3 += b3; d3 ^= a3; d3 = d3 << 16 | d3 >> 16; c3 += d3; b3 ^= c3; b3 = b3 << 12 | b3 >> 20;
				a0 += b0; d0 ^= a0; d0 = d0 << 8 | d0 >> 24; c0 += d0; b0 ^= c0; b0 = b0 << 7 | b0 >> 25;
				a1 += b1; d1 ^= a1; d1 = d1 << 8 | d1 >> 24; c1 += d1; b1 ^= c1; b1 = b1 << 7 | b1 >> 25;
				a2 += b2; d2 ^= a2; d2 = d2 << 8 | d2 >> 24; c2 += d2; b2 ^= c2; b2 = b2 << 7 | b2 >> 25;
				a3 += b3; d3 ^= a3; d3 = d3 << 8 | d3 >> 24; c3 += d3; b3 ^= c3; b3 = b3 << 7 | b3 >> 25;
				a0 += b1; d3 ^= a0; d3 = d3 << 16 | d3 >> 16; c2 += d3; b1 ^= c2; b1 = b1 << 12 | b1 >> 20;
				a1 += b2; d0 ^= a1; d0 = d0 << 16 | d0 >> 16; c3 += d0; b2 ^= c3; b2 = b2 << 12 | b2 >> 20;
				a2 += b3; d1 ^= a2; d1 = d1 << 16 | d1 >> 16; c0 += d1; b3 ^= c0; b3 = b3 << 12 | b3 >> 20;
				a3 += b0; d2 ^= a3; d2 = d2 << 16 | d2 >> 16; c1 += d2; b0 ^= c1; b0 = b0 << 12 | b0 >> 20;
				a0 += b1; d3 ^= a0; d3 = d3 << 8 | d3 >> 24; c2 += d3; b1 ^= c2; b1 = b1 << 7 | b1 >> 25;
				a1 += b2; d0 ^= a1; d0 = d0 << 8 | d0 >> 24; c3 += d0; b2 ^= c3; b2 = b2 << 7 | b2 >> 25;
				a2 += b3; d1 ^= a2; d1 = d1 << 8 | d1 >> 24; c0 += d1; b3 ^= c0; b3 = b3 << 7 | b3 >> 25;
				a3 += b0; d2 ^= a3; d2 = d2 << 8 | d2 >> 24; c1 += d2; b0 ^= c1; b0 = b0 << 7 | b0 >> 25;
			}
			LittleEndian.Put32(stream, 0, a0 + 0x61707865);
			LittleEndian.Put32(stream, 4, a1 + 0x3320646e);
			LittleEndian.Put32(stream, 8, a2 + 0x79622d32);
			LittleEndian.Put32(stream, 12, a3 + 0x6b206574);
			LittleEndian.Put32(stream, 16, b0 + key[0]);
			LittleEndian.Put32(stream, 20, b1 + key[1]);
			LittleEndian.Put32(stream, 24, b2 + key[2]);
			LittleEndian.Put32(stream, 28, b3 + key[3]);
			LittleEndian.Put32(stream, 32, c0 + key[4]);
			LittleEndian.Put32(stream, 36, c1 + key[5]);
			LittleEndian.Put32(stream, 40, c2 + key[6]);
			LittleEndian.Put32(stream, 44, c3 + key[7]);
			LittleEndian.Put32(stream, 48, d0 + counter);
			LittleEndian.Put32(stream, 52, d1 + nonce[0]);
			LittleEndian.Put32(stream, 56, d2 + nonce[1]);
			LittleEndian.Put32(stream, 60, d3 + nonce[2]);
		}
	}

	/// <summary>Poly1305 (RFC 8439 2.5) in 26-bit limbs; every Update is padded with zeros to 16 bytes.</summary>
	sealed class Poly1305
	{
		uint r0, r1, r2, r3, r4;
		uint h0, h1, h2, h3, h4;
		uint p0, p1, p2, p3;
		readonly byte[] last = new byte[16];

		/// <summary>Begins with a one-time key of 32 bytes.</summary>
		public void Init(byte[] key)
		{
			r0 = LittleEndian.Get32(key, 0) & 0x3ffffff;
			r1 = LittleEndian.Get32(key, 3) >> 2 & 0x3ffff03;
			r2 = LittleEndian.Get32(key, 6) >> 4 & 0x3ffc0ff;
			r3 = LittleEndian.Get32(key, 9) >> 6 & 0x3f03fff;
			r4 = LittleEndian.Get32(key, 12) >> 8 & 0x00fffff;
			p0 = LittleEndian.Get32(key, 16);
			p1 = LittleEndian.Get32(key, 20);
			p2 = LittleEndian.Get32(key, 24);
			p3 = LittleEndian.Get32(key, 28);
			h0 = h1 = h2 = h3 = h4 = 0;
		}

		public void Update(byte[] b, int at, int n)
		{
			for (; n >= 16; at += 16, n -= 16)
			{
				Add(b, at, 1 << 24);
			}
			if (n > 0)
			{
				Array.Clear(last, 0, 16);
				Buffer.BlockCopy(b, at, last, 0, n);
				Add(last, 0, 1 << 24);
			}
		}

		/// <summary>The block that ends a message of the AEAD.</summary>
		public void Lengths(ulong ad, ulong text)
		{
			LittleEndian.Put64(last, 0, ad);
			LittleEndian.Put64(last, 8, text);
			Add(last, 0, 1 << 24);
		}

		/// <summary>Adds a message as RFC 8439 2.5 has it, without padding; nothing may follow. For tests.</summary>
		internal void UpdateUnpadded(byte[] b, int at, int n)
		{
			int whole = n & ~15;
			Update(b, at, whole);
			if (n > whole)
			{
				Array.Clear(last, 0, 16);
				Buffer.BlockCopy(b, at + whole, last, 0, n - whole);
				last[n - whole] = 1;
				Add(last, 0, 0);
			}
		}

		void Add(byte[] b, int at, uint high)
		{
			h0 += LittleEndian.Get32(b, at) & 0x3ffffff;
			h1 += LittleEndian.Get32(b, at + 3) >> 2 & 0x3ffffff;
			h2 += LittleEndian.Get32(b, at + 6) >> 4 & 0x3ffffff;
			h3 += LittleEndian.Get32(b, at + 9) >> 6;
			h4 += LittleEndian.Get32(b, at + 12) >> 8 | high;
			uint s1 = 5 * r1, s2 = 5 * r2, s3 = 5 * r3, s4 = 5 * r4;
			ulong d0 = (ulong)h0 * r0 + (ulong)h1 * s4 + (ulong)h2 * s3 + (ulong)h3 * s2 + (ulong)h4 * s1;
			ulong d1 = (ulong)h0 * r1 + (ulong)h1 * r0 + (ulong)h2 * s4 + (ulong)h3 * s3 + (ulong)h4 * s2;
			ulong d2 = (ulong)h0 * r2 + (ulong)h1 * r1 + (ulong)h2 * r0 + (ulong)h3 * s4 + (ulong)h4 * s3;
			ulong d3 = (ulong)h0 * r3 + (ulong)h1 * r2 + (ulong)h2 * r1 + (ulong)h3 * r0 + (ulong)h4 * s4;
			ulong d4 = (ulong)h0 * r4 + (ulong)h1 * r3 + (ulong)h2 * r2 + (ulong)h3 * r1 + (ulong)h4 * r0;
			d1 += d0 >> 26;
			d2 += d1 >> 26;
			d3 += d2 >> 26;
			d4 += d3 >> 26;
			h0 = ((uint)d0 & 0x3ffffff) + (uint)(d4 >> 26) * 5;
			h1 = ((uint)d1 & 0x3ffffff) + (h0 >> 26);
			h0 &= 0x3ffffff;
			h2 = (uint)d2 & 0x3ffffff;
			h3 = (uint)d3 & 0x3ffffff;
			h4 = (uint)d4 & 0x3ffffff;
		}

		/// <summary>Writes the tag of 16 bytes.</summary>
		public void Finish(byte[] tag)
		{
			uint c = h1 >> 26; h1 &= 0x3ffffff;
			h2 += c; c = h2 >> 26; h2 &= 0x3ffffff;
			h3 += c; c = h3 >> 26; h3 &= 0x3ffffff;
			h4 += c; c = h4 >> 26; h4 &= 0x3ffffff;
			h0 += c * 5; c = h0 >> 26; h0 &= 0x3ffffff;
			h1 += c;
			// h minus 2^130 - 5, if that is not negative.
			uint g0 = h0 + 5; c = g0 >> 26; g0 &= 0x3ffffff;
			uint g1 = h1 + c; c = g1 >> 26; g1 &= 0x3ffffff;
			uint g2 = h2 + c; c = g2 >> 26; g2 &= 0x3ffffff;
			uint g3 = h3 + c; c = g3 >> 26; g3 &= 0x3ffffff;
			uint g4 = h4 + c - (1 << 26);
			uint mask = (g4 >> 31) - 1;
			h0 = h0 & ~mask | g0 & mask;
			h1 = h1 & ~mask | g1 & mask;
			h2 = h2 & ~mask | g2 & mask;
			h3 = h3 & ~mask | g3 & mask;
			h4 = h4 & ~mask | g4 & mask;
			ulong f = (ulong)(h0 | h1 << 26) + p0;
			LittleEndian.Put32(tag, 0, (uint)f);
			f = (ulong)(h1 >> 6 | h2 << 20) + p1 + (f >> 32);
			LittleEndian.Put32(tag, 4, (uint)f);
			f = (ulong)(h2 >> 12 | h3 << 14) + p2 + (f >> 32);
			LittleEndian.Put32(tag, 8, (uint)f);
			f = (ulong)(h3 >> 18 | h4 << 8) + p3 + (f >> 32);
			LittleEndian.Put32(tag, 12, (uint)f);
		}
	}
}
