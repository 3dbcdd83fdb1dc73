// SPDX-License-Identifier: MIT

using System;
using System.IO;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>The random cases that framework/client/foreign/cases wrote: what Go makes of them, this must too.</summary>
	static class CasesTests
	{
		public static void Run(Check check, string file)
		{
			check.Run("cases", () => Play(check, file));
		}

		static void Play(Check check, string file)
		{
			Kcp kcp = null;
			KcpPool pool = new KcpPool();
			string seed = "";
			long line = 0;
			foreach (string text in File.ReadLines(file))
			{
				line++;
				string[] f = text.Split(' ');
				string got = "";
				switch (f[0])
				{
					case "seed":
						seed = f[1];
						Console.WriteLine("cases of seed " + seed);
						continue;
					case "kcp":
						if (kcp != null)
						{
							kcp.Release();
						}
						kcp = new Kcp(uint.Parse(f[1]), int.Parse(f[2]), pool, int.Parse(f[3]), int.Parse(f[4]), long.Parse(f[5]));
						continue;
					case "in":
					case "out":
					case "read":
					case "write":
					case "moved":
					case "mtu":
						got = Step(kcp, f);
						break;
					default:
						got = Primitive(f);
						break;
				}
				if (got != f[f.Length - 1] && got != text)
				{
					check.Fail("seed " + seed + ", line " + line + ": got " + got + ", want " + text);
					return;
				}
				check.Passed++;
			}
		}

		static byte[] Bytes(string hex)
		{
			return hex == "-" ? new byte[0] : Hex.Decode(hex);
		}

		static string Text(byte[] b, int n)
		{
			return n == 0 ? "-" : Hex.Encode(b, 0, n);
		}

		static string Primitive(string[] f)
		{
			byte[] a = Bytes(f[1]);
			switch (f[0])
			{
				case "sha256": return Hex.Encode(Sha256.Sum(a, 0, a.Length));
				case "hmac": return Hex.Encode(HmacSha256.Sum(a, Bytes(f[2])));
				case "hkdf": return Hex.Encode(Hkdf.Derive(a, Bytes(f[2]), Bytes(f[3]), f[4].Length / 2));
				case "x25519": return Hex.Encode(X25519.Multiply(a, Bytes(f[2])));
				case "aead":
					byte[] ad = Bytes(f[3]), plain = Bytes(f[4]);
					byte[] b = new byte[plain.Length + ChaCha20Poly1305.TagSize];
					Buffer.BlockCopy(plain, 0, b, 0, plain.Length);
					ChaCha20Poly1305 aead = new ChaCha20Poly1305(a, 0);
					aead.Seal(ulong.Parse(f[2]), ad, 0, ad.Length, b, 0, plain.Length);
					string sealedText = Hex.Encode(b);
					bool opened = aead.Open(ulong.Parse(f[2]), ad, 0, ad.Length, b, 0, plain.Length);
					return opened && ByteOps.Equal(b, 0, plain, 0, plain.Length) ? sealedText : "it does not open";
				case "rekey":
					byte[] text = new byte[Bytes(f[2]).Length + ChaCha20Poly1305.TagSize];
					Buffer.BlockCopy(Bytes(f[2]), 0, text, 0, text.Length - ChaCha20Poly1305.TagSize);
					ChaCha20Poly1305 turned = new ChaCha20Poly1305(a, 0);
					turned.Rekey();
					turned.Seal(0, text, 0, 0, text, 0, text.Length - ChaCha20Poly1305.TagSize);
					return Hex.Encode(text);
				case "stream": return Stream(new StreamInitiator(a, Bytes(f[2])), f, 3);
				case "resumed-stream": return Stream(new StreamInitiator(a, Bytes(f[2]), Bytes(f[3])), f, 4);
			}
			return "no such case";
		}

		// Opens a stream with the answer that stands at at, takes the record behind it, and seals what was in it.
		// Returns the line with what it made of all that.
		static string Stream(StreamInitiator i, string[] f, int at)
		{
			byte[] answer = Bytes(f[at]), record = Bytes(f[at + 1]);
			i.Work(2 * X25519.Steps);
			i.Accept(answer, 0, answer.Length);
			i.Work(X25519.Steps);
			if (i.Stream == null || !i.Stream.Open(record, 0, record.Length))
			{
				return "refused: " + i.Refused;
			}
			int n = record.Length - SealStream.Overhead;
			string plain = Hex.Encode(record, SealStream.HeadSize, n);
			i.Stream.Seal(record, 0, n);
			return string.Join(" ", f, 0, at + 2) + " " + Hex.Encode(i.Hello) + " " + Hex.Encode(i.Nonce) + " " + plain + " " + Hex.Encode(record);
		}

		static string Step(Kcp kcp, string[] f)
		{
			byte[] b;
			switch (f[0])
			{
				case "in":
					b = Bytes(f[2]);
					return Word(kcp.Input(long.Parse(f[1]), b, 0, b.Length));
				case "write":
					b = Bytes(f[1]);
					kcp.Write(b, 0, b.Length);
					return f[1];
				case "read":
					ByteBuffer buffer = new ByteBuffer();
					kcp.Read(buffer);
					return Text(ByteOps.Slice(buffer.Bytes, buffer.Start, buffer.Length), buffer.Length);
				case "moved":
					kcp.Moved();
					return "moved";
				case "mtu":
					kcp.SetMtu(int.Parse(f[1]));
					return f[1];
			}
			long now = long.Parse(f[1]);
			b = new byte[1600];
			StringBuilder datagrams = new StringBuilder();
			for (int n = kcp.Output(now, b, 7, 1472); n > 0; n = kcp.Output(now, b, 7, 1472))
			{
				datagrams.Append(' ').Append(Hex.Encode(b, 7, n));
			}
			return "out " + now + " " + kcp.NextDeadline(now) + " " + (kcp.Stalled ? "true" : "false") + datagrams;
		}

		static string Word(KcpError e)
		{
			switch (e)
			{
				case KcpError.None: return "ok";
				case KcpError.TooLarge: return "too-large";
			}
			return e.ToString().ToLowerInvariant();
		}
	}
}
