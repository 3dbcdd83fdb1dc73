// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>SHA-256 (FIPS 180-4). One object may be used again and again: Finish resets it.</summary>
	sealed class Sha256
	{
		public const int Size = 32;
		public const int BlockSize = 64;

		readonly uint[] h = new uint[8];
		readonly uint[] w = new uint[64];
		readonly byte[] block = new byte[BlockSize];
		int filled;
		ulong length;

		static readonly uint[] K =
		{
			0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
			0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
			0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
			0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
			0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
			0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
			0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
			0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
		};

		public Sha256()
		{
			Reset();
		}

		public void Reset()
		{
			h[0] = 0x6a09e667;
			h[1] = 0xbb67ae85;
			h[2] = 0x3c6ef372;
			h[3] = 0xa54ff53a;
			h[4] = 0x510e527f;
			h[5] = 0x9b05688c;
			h[6] = 0x1f83d9ab;
			h[7] = 0x5be0cd19;
			filled = 0;
			length = 0;
		}

		public void Update(byte[] b)
		{
			Update(b, 0, b.Length);
		}

		public void Update(byte[] b, int at, int n)
		{
			length += (ulong)n;
			while (n > 0)
			{
				int take = Math.Min(n, BlockSize - filled);
				Buffer.BlockCopy(b, at, block, filled, take);
				filled += take;
				at += take;
				n -= take;
				if (filled == BlockSize)
				{
					Compress();
					filled = 0;
				}
			}
		}

		/// <summary>Writes the digest, 32 bytes, to sum[at] and resets the hash.</summary>
		public void Finish(byte[] sum, int at)
		{
			ulong bits = length * 8;
			block[filled++] = 0x80;
			if (filled > BlockSize - 8)
			{
				Array.Clear(block, filled, BlockSize - filled);
				Compress();
				filled = 0;
			}
			Array.Clear(block, filled, BlockSize - 8 - filled);
			for (int i = 0; i < 8; i++)
			{
				block[BlockSize - 1 - i] = (byte)(bits >> (8 * i));
			}
			Compress();
			for (int i = 0; i < Size; i++)
			{
				sum[at + i] = (byte)(h[i / 4] >> (24 - 8 * (i % 4)));
			}
			Reset();
		}

		/// <summary>Hashes n bytes of b.</summary>
		public static byte[] Sum(byte[] b, int at, int n)
		{
			Sha256 hash = new Sha256();
			hash.Update(b, at, n);
			byte[] sum = new byte[Size];
			hash.Finish(sum, 0);
			return sum;
		}

		static uint Rotate(uint v, int n)
		{
			return v >> n | v << (32 - n);
		}

		void Compress()
		{
			for (int i = 0; i < 16; i++)
			{
				w[i] = (uint)block[4 * i] << 24 | (uint)block[4 * i + 1] << 16 | (uint)block[4 * i + 2] << 8 | block[4 * i + 3];
			}
			for (int i = 16; i < 64; i++)
			{
				uint x = w[i - 15];
				uint y = w[i - 2];
				w[i] = w[i - 16] + (Rotate(x, 7) ^ Rotate(x, 18) ^ x >> 3) + w[i - 7] + (Rotate(y, 17) ^ Rotate(y, 19) ^ y >> 10);
			}
			uint a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
			for (int i = 0; i < 64; i++)
			{
				uint t = k + (Rotate(e, 6) ^ Rotate(e, 11) ^ Rotate(e, 25)) + (e & f ^ ~e & g) + K[i] + w[i];
				uint u = (Rotate(a, 2) ^ Rotate(a, 13) ^ Rotate(a, 22)) + (a & b ^ a & c ^ b & c);
				k = g;
				g = f;
				f = e;
				e = d + t;
				d = c;
				c = b;
				b = a;
				a = t + u;
			}
			h[0] += a;
			h[1] += b;
			h[2] += c;
			h[3] += d;
			h[4] += e;
			h[5] += f;
			h[6] += g;
			h[7] += k;
		}
	}

	/// <summary>HMAC-SHA-256 (RFC 2104). Finish resets it, for another message with the same key.</summary>
	sealed class HmacSha256
	{
		readonly Sha256 hash = new Sha256();
		readonly byte[] inner = new byte[Sha256.BlockSize];
		readonly byte[] outer = new byte[Sha256.BlockSize];
		readonly byte[] digest = new byte[Sha256.Size];

		public HmacSha256(byte[] key)
		{
			if (key.Length > Sha256.BlockSize)
			{
				key = Sha256.Sum(key, 0, key.Length);
			}
			for (int i = 0; i < Sha256.BlockSize; i++)
			{
				byte k = i < key.Length ? key[i] : (byte)0;
				inner[i] = (byte)(k ^ 0x36);
				outer[i] = (byte)(k ^ 0x5c);
			}
			hash.Update(inner);
		}

		public void Update(byte[] b)
		{
			hash.Update(b, 0, b.Length);
		}

		public void Update(byte[] b, int at, int n)
		{
			hash.Update(b, at, n);
		}

		/// <summary>Writes the tag, 32 bytes, to tag[at].</summary>
		public void Finish(byte[] tag, int at)
		{
			hash.Finish(digest, 0);
			hash.Update(outer);
			hash.Update(digest);
			hash.Finish(tag, at);
			hash.Update(inner);
		}

		public static byte[] Sum(byte[] key, byte[] message)
		{
			HmacSha256 mac = new HmacSha256(key);
			mac.Update(message);
			byte[] tag = new byte[Sha256.Size];
			mac.Finish(tag, 0);
			return tag;
		}
	}

	/// <summary>HKDF-SHA-256 (RFC 5869).</summary>
	static class Hkdf
	{
		/// <summary>Derives n bytes, at most 255 * 32.</summary>
		public static byte[] Derive(byte[] secret, byte[] salt, byte[] info, int n)
		{
			if (n > 255 * Sha256.Size)
			{
				throw new ArgumentOutOfRangeException("n");
			}
			HmacSha256 mac = new HmacSha256(HmacSha256.Sum(salt, secret));
			byte[] key = new byte[n];
			byte[] block = new byte[Sha256.Size];
			byte[] counter = new byte[1];
			for (int at = 0; at < n; at += Sha256.Size)
			{
				if (at > 0)
				{
					mac.Update(block);
				}
				counter[0]++;
				mac.Update(info);
				mac.Update(counter);
				mac.Finish(block, 0);
				Buffer.BlockCopy(block, 0, key, at, Math.Min(Sha256.Size, n - at));
			}
			return key;
		}
	}
}
