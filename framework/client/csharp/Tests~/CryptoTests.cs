// SPDX-License-Identifier: MIT

using System;
using System.Diagnostics;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>The primitives against the vectors of their RFCs.</summary>
	static class CryptoTests
	{
		public static void Run(Check check)
		{
			check.Run("sha256", () => Sha(check));
			check.Run("hmac", () => Hmac(check));
			check.Run("hkdf", () => HkdfVectors(check));
			check.Run("chacha20", () => ChaCha(check));
			check.Run("poly1305", () => Poly(check));
			check.Run("aead", () => Aead(check));
			check.Run("x25519", () => Curve(check));
		}

		static string Repeat(string hex, int n)
		{
			return new StringBuilder().Insert(0, hex, n).ToString();
		}

		static void Sha(Check check)
		{
			string[,] vectors =
			{
				{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
				{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
				{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
			};
			for (int i = 0; i < vectors.GetLength(0); i++)
			{
				byte[] b = Encoding.ASCII.GetBytes(vectors[i, 0]);
				check.Equal(Hex.Encode(Sha256.Sum(b, 0, b.Length)), vectors[i, 1], vectors[i, 0]);
			}
			byte[] many = new byte[1000000];
			for (int i = 0; i < many.Length; i++)
			{
				many[i] = (byte)'a';
			}
			Sha256 hash = new Sha256();
			for (int at = 0; at < many.Length; at += 997) // pieces that end anywhere in a block
			{
				hash.Update(many, at, Math.Min(997, many.Length - at));
			}
			byte[] sum = new byte[32];
			hash.Finish(sum, 0);
			check.Equal(Hex.Encode(sum), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "a million times a");
		}

		static void Hmac(Check check)
		{
			// RFC 4231, cases 1, 2, 3 and 6.
			string[,] vectors =
			{
				{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
				{ "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
				{ Repeat("aa", 20), Repeat("dd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
				{ Repeat("aa", 131), "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
			};
			for (int i = 0; i < vectors.GetLength(0); i++)
			{
				check.Equal(Hex.Encode(HmacSha256.Sum(Hex.Decode(vectors[i, 0]), Hex.Decode(vectors[i, 1]))), vectors[i, 2], "case " + i);
			}
		}

		static void HkdfVectors(Check check)
		{
			// RFC 5869, cases 1 and 3.
			byte[] secret = Hex.Decode(Repeat("0b", 22));
			check.Equal(Hex.Encode(Hkdf.Derive(secret, Hex.Decode("000102030405060708090a0b0c"), Hex.Decode("f0f1f2f3f4f5f6f7f8f9"), 42)),
				"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", "case 1");
			check.Equal(Hex.Encode(Hkdf.Derive(secret, new byte[0], new byte[0], 42)),
				"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", "case 3");
		}

		static void ChaCha(Check check)
		{
			// RFC 8439 2.4.2.
			byte[] key = Hex.Decode("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
			byte[] b = Encoding.ASCII.GetBytes("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.");
			new ChaCha20Poly1305(key, 0).Cipher(Hex.Decode("000000000000004a00000000"), 1, b, 0, b.Length);
			check.Equal(Hex.Encode(b), "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b357"
				+ "1639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74a35be6b40b8eedf2785e42874d", "2.4.2");
		}

		static void Poly(Check check)
		{
			// RFC 8439 2.5.2 and A.3, 7 to 11: carries and sums near 2^130 - 5.
			string[,] vectors =
			{
				{ "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", "43727970746f6772617068696320466f72756d2052657365617263682047726f7570", "a8061dc1305136c6c22b8baf0c0127a9" },
				{ "0200000000000000000000000000000000000000000000000000000000000000", "ffffffffffffffffffffffffffffffff", "03000000000000000000000000000000" },
				{ "02000000000000000000000000000000ffffffffffffffffffffffffffffffff", "02000000000000000000000000000000", "03000000000000000000000000000000" },
				{ "0100000000000000000000000000000000000000000000000000000000000000", "fffffffffffffffffffffffffffffffff0ffffffffffffffffffffffffffffff11000000000000000000000000000000", "05000000000000000000000000000000" },
				{ "0100000000000000000000000000000000000000000000000000000000000000", "fffffffffffffffffffffffffffffffffbfefefefefefefefefefefefefefefe01010101010101010101010101010101", "00000000000000000000000000000000" },
				{ "0200000000000000000000000000000000000000000000000000000000000000", "fdffffffffffffffffffffffffffffff", "faffffffffffffffffffffffffffffff" },
				{ "0100000000000000040000000000000000000000000000000000000000000000", "e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000000000000000000001000000000000000000000000000000", "14000000000000005500000000000000" },
			};
			byte[] tag = new byte[16];
			Poly1305 mac = new Poly1305();
			for (int i = 0; i < vectors.GetLength(0); i++)
			{
				byte[] b = Hex.Decode(vectors[i, 1]);
				mac.Init(Hex.Decode(vectors[i, 0]));
				mac.UpdateUnpadded(b, 0, b.Length);
				mac.Finish(tag);
				check.Equal(Hex.Encode(tag), vectors[i, 2], "case " + i);
			}
		}

		static void Aead(Check check)
		{
			// RFC 8439 A.5 has a nonce of another form, so this only shows that what is sealed opens, that
			// nothing else does, and that lengths of every kind work. The sealed vectors pin the bytes.
			Dice dice = new Dice(1);
			ChaCha20Poly1305 aead = new ChaCha20Poly1305(dice.Bytes(32), 0);
			for (int n = 0; n < 200; n++)
			{
				byte[] plain = dice.Bytes(8 + n);
				byte[] b = new byte[8 + n + 16];
				Array.Copy(plain, b, 8 + n);
				ulong number = dice.Next() >> 16;
				aead.Seal(number, b, 0, 8, b, 8, n);
				int flip = dice.Below(b.Length);
				b[flip] ^= 1;
				check.That(!aead.Open(number, b, 0, 8, b, 8, n), "a changed byte was taken");
				b[flip] ^= 1;
				check.That(!aead.Open(number + 1, b, 0, 8, b, 8, n), "another number was taken");
				check.That(aead.Open(number, b, 0, 8, b, 8, n) && ByteOps.Equal(b, 0, plain, 0, 8 + n), "it did not open");
			}
		}

		static void Curve(Check check)
		{
			// RFC 7748 5.2 and 6.1.
			string[,] vectors =
			{
				{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
				{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d", "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493", "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
			};
			for (int i = 0; i < 2; i++)
			{
				check.Equal(Hex.Encode(X25519.Multiply(Hex.Decode(vectors[i, 0]), Hex.Decode(vectors[i, 1]))), vectors[i, 2], "case " + i);
			}
			byte[] alice = Hex.Decode("77076d0a7318a57d3c16c17251b26645df4c2f92ebc099f6a0b6c4d0a0b6c4d0");
			byte[] bob = Hex.Decode("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
			check.Equal(Hex.Encode(X25519.PublicKey(bob)), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", "Bob's public key");
			check.Equal(Hex.Encode(X25519.Multiply(alice, X25519.PublicKey(bob))), Hex.Encode(X25519.Multiply(bob, X25519.PublicKey(alice))), "both shared secrets");
			// RFC 7748 5.2: a thousand times. In steps of a few, as a game does it.
			byte[] k = new byte[32], u = new byte[32];
			k[0] = u[0] = 9;
			X25519 x = new X25519();
			int step = 1;
			Stopwatch watch = Stopwatch.StartNew();
			for (int i = 0; i < 1000; i++)
			{
				x.Start(k, u, 0);
				while (!x.Done)
				{
					x.Advance(step++ % 97);
				}
				u = k;
				k = (byte[])x.Result.Clone();
				if (i == 0)
				{
					check.Equal(Hex.Encode(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", "once");
				}
			}
			check.Equal(Hex.Encode(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", "a thousand times");
			Console.WriteLine("x25519 " + (watch.Elapsed.TotalMilliseconds / 1000).ToString("0.000") + " ms");
			// A point of low order gives zero, which a handshake must refuse.
			x.Start(alice, new byte[32], 0);
			x.Advance(X25519.Steps);
			check.That(x.IsZero, "a point of low order is not zero");
		}
	}
}
