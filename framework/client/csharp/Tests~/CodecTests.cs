// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>The codec against codec/testdata/vectors.json, and against random bytes.</summary>
	static class CodecTests
	{
		public static void Run(Check check, string root)
		{
			Json vectors = Json.Parse(File.ReadAllText(root + "/codec/testdata/vectors.json"));
			foreach (KeyValuePair<string, Json> section in vectors.Fields)
			{
				foreach (Json v in section.Value["accepted"].List)
				{
					check.Run("codec " + section.Key + ": " + v.Str("name"), () => Accepted(check, section.Key, v));
				}
				foreach (Json v in section.Value["refused"].List)
				{
					check.Run("codec " + section.Key + ", refused: " + v.Str("name"), () => Refused(check, section.Key, v));
				}
				if (section.Value.Has("partial"))
				{
					foreach (Json v in section.Value["partial"].List)
					{
						check.Run("codec partial: " + v.Str("name"), () => Partial(check, v));
					}
				}
			}
			check.Run("codec values", () => Values(check));
			check.Run("codec buffer", () => Buffers(check));
		}

		static void Accepted(Check check, string section, Json v)
		{
			byte[] b = Hex.Decode(v.Str("hex"));
			string want = v.Has("again") ? v.Str("again") : v.Str("hex");
			check.Equal(Rewrite(section, v, b, 0, b.Length), want, "read and written again");
			// The same in the middle of other bytes: nothing may look at what is around it.
			byte[] around = new byte[b.Length + 7];
			Buffer.BlockCopy(b, 0, around, 3, b.Length);
			check.Equal(Rewrite(section, v, around, 3, b.Length), want, "among other bytes");
			if (section == "headers" || section == "frames")
			{
				Packet p = new Packet();
				Codec.ParseHeader(b, section == "frames" ? b.Length - BodyOf(v) - 8 : 0, b.Length, ref p);
				check.Equal((long)p.Kind, v.Num("kind"), "kind");
				check.That(p.Counted == v["counted"].IsTrue, "counted");
				check.Equal((long)p.Flags, v.Num("flags"), "flags");
				check.Equal(p.Seq, v.Num("seq"), "seq");
				check.Equal(p.Ack, v.Num("ack"), "ack");
			}
		}

		static int BodyOf(Json v)
		{
			return v.Str("body").Length / 2;
		}

		// Parses b as its section says, compares the fields, and encodes what was found.
		static string Rewrite(string section, Json v, byte[] b, int at, int n)
		{
			ByteBuffer to = new ByteBuffer();
			Packet p = new Packet();
			switch (section)
			{
				case "headers":
					Codec.ParseHeader(b, at, at + n, ref p);
					Codec.AppendHeader(to, p.Kind, p.Flags, p.Seq, p.Ack);
					return Hex.Encode(to);
				case "frames":
					int size = Codec.ParseFrame(b, at, at + n, Codec.DefaultMaxBody, ref p);
					if (size != n || size != Codec.FrameSize(p.Length))
					{
						return "size " + size;
					}
					Codec.AppendFrame(to, p.Kind, p.Flags, p.Seq, p.Ack, p.Bytes, p.At, p.Length);
					return Hex.Encode(to);
				case "bodies":
					Codec.CheckBody(b, at, n);
					return Hex.Encode(b, at, n);
				case "structs":
					Codec.CheckBody(b, at, n);
					Hero hero = new Hero();
					hero.Read(new Reader(b, at, n));
					if (v.Has("value"))
					{
						Json value = v["value"];
						string got = hero.Id + " " + hero.Name + " " + hero.At.X + " " + hero.At.Y;
						string want = value.Num("id") + " " + value.Str("name") + " " + value.Num("x") + " " + value.Num("y");
						if (got != want)
						{
							return got;
						}
					}
					hero.Write(new Writer(to));
					return Hex.Encode(to);
			}
			return Envelopes(v, b, at, n);
		}

		static string Envelopes(Json v, byte[] b, int at, int n)
		{
			Writer w = new Writer();
			Envelope e = new Envelope();
			string shape = v.Str("shape");
			switch (shape)
			{
				case "request":
					e = Envelope.ParseRequest(b, at, n);
					Envelope.BeginRequest(w, e.Id, e.RouteNumber, Name(b, e));
					break;
				case "response":
					e = Envelope.ParseResponse(b, at, n);
					Envelope.BeginResponse(w, e.Id);
					break;
				case "failure":
					e = Envelope.ParseFailure(b, at, n);
					Envelope.WriteFailure(w, e.Id, e.Code, Encoding.UTF8.GetString(b, e.TextAt, e.TextLength));
					break;
				default:
					e = Envelope.ParseMessage(b, at, n);
					Envelope.BeginMessage(w, e.RouteNumber, Name(b, e));
					break;
			}
			if (shape != "failure")
			{
				w.Raw(b, e.PayloadAt, e.PayloadLength);
				if (v.Has("payload") && v.Str("payload") != Hex.Encode(b, e.PayloadAt, e.PayloadLength))
				{
					return "payload " + Hex.Encode(b, e.PayloadAt, e.PayloadLength);
				}
			}
			if (v.Has("id") && v.Str("id") != e.Id.ToString())
			{
				return "id " + e.Id;
			}
			if (v.Has("route") && v.Str("route") != (e.RouteNumber < 0 ? Name(b, e) : e.RouteNumber.ToString()))
			{
				return "route " + e.RouteNumber;
			}
			if (v.Has("code") && v.Num("code") != e.Code)
			{
				return "code " + e.Code;
			}
			return Hex.Encode(w.Buffer);
		}

		static string Name(byte[] b, Envelope e)
		{
			return e.RouteNumber < 0 ? Encoding.UTF8.GetString(b, e.NameAt, e.NameLength) : "";
		}

		static void Refused(Check check, string section, Json v)
		{
			byte[] b = Hex.Decode(v.Str("hex"));
			try
			{
				string got = Rewrite(section, v, b, 0, b.Length);
				check.Fail("it was taken: " + got);
			}
			catch (CodecException e)
			{
				check.Equal(CodecException.WordOf(e.Error), v.Str("error"), "word");
			}
		}

		static void Partial(Check check, Json v)
		{
			byte[] b = Hex.Decode(v.Str("hex"));
			Packet p = new Packet();
			check.Equal(Codec.ParseFrame(b, 0, b.Length, Codec.DefaultMaxBody, ref p), 0, "size");
		}

		static void Values(Check check)
		{
			Writer w = new Writer();
			long[] ints = { 0, 1, 127, 128, 255, 256, 65535, 65536, uint.MaxValue, 1L << 32, long.MaxValue, -1, -32, -33, -128, -129, -32768, -32769, int.MinValue, (long)int.MinValue - 1, long.MinValue };
			foreach (long i in ints)
			{
				w.Int(i);
			}
			w.UInt(ulong.MaxValue);
			w.F32(0.5f);
			w.F64(Math.PI);
			w.Bool(true);
			string text = "x\u00e4\ud83d\ude00" + new string('y', 70000);
			w.Str(text);
			w.Bin(new byte[300]);
			w.Nil();
			Reader r = new Reader(w.ToArray());
			foreach (long i in ints)
			{
				check.Equal(r.Int(), i, "integer");
			}
			check.That(r.UInt() == ulong.MaxValue, "the largest integer");
			check.That(r.F32() == 0.5f && r.F64() == Math.PI && r.Bool(), "floats and a bool");
			check.That(r.Str() == text, "a string");
			check.That(r.Bin().Length == 300 && r.Bin() == null && r.AtEnd, "bytes");
			Mismatch(check, 0xc3, q => q.Int());
			Mismatch(check, 0x01, q => q.Str());
			Mismatch(check, 0xff, q => q.UInt());
			Mismatch(check, 0x7f, q => q.Int(0, 100));
			Mismatch(check, 0xe0, q => q.Int(-10, 10));
			Mismatch(check, 0xa0, q => q.Array());
			Mismatch(check, 0x90, q => q.F64());
			Mismatch(check, 0x80, q => q.Bool());
			Mismatch(check, 0xa0, q => q.Fixed(new byte[2]));
		}

		static void Mismatch(Check check, byte b, Action<Reader> read)
		{
			try
			{
				read(new Reader(new[] { b }));
				check.Fail(b.ToString("x2") + " was read");
			}
			catch (CodecException e)
			{
				check.That(e.Error == CodecError.Mismatch, e.Message);
			}
		}

		static void Buffers(Check check)
		{
			ByteBuffer b = new ByteBuffer();
			Dice dice = new Dice(2);
			byte next = 0, expected = 0;
			for (int i = 0; i < 20000; i++)
			{
				int n = dice.Below(300);
				byte[] bytes = new byte[n];
				for (int k = 0; k < n; k++)
				{
					bytes[k] = next++;
				}
				b.Append(bytes, 0, n);
				n = Math.Min(dice.Below(310), b.Length);
				for (int k = 0; k < n; k++)
				{
					if (b.Bytes[b.Start + k] != expected++)
					{
						check.Fail("the content changed");
						return;
					}
				}
				b.Consume(n);
			}
			check.That(b.Bytes.Length < 1 << 16, "it grew to " + b.Bytes.Length);
		}
	}

	/// <summary>The struct of the vectors.</summary>
	sealed class Hero : IMessage
	{
		public byte Id;
		public string Name = "";
		public readonly Point At = new Point();

		public void Read(Reader r)
		{
			int n = r.Array();
			Id = n > 0 ? r.U8() : (byte)0;
			Name = n > 1 ? r.Str() : "";
			if (n > 2)
			{
				At.Read(r);
			}
			else
			{
				At.X = At.Y = 0;
			}
			r.Skip(n - 3);
		}

		public void Write(Writer w)
		{
			w.Array(3);
			w.UInt(Id);
			w.Str(Name);
			At.Write(w);
		}
	}

	sealed class Point : IMessage
	{
		public short X, Y;

		public void Read(Reader r)
		{
			int n = r.Array();
			X = n > 0 ? r.I16() : (short)0;
			Y = n > 1 ? r.I16() : (short)0;
			r.Skip(n - 2);
		}

		public void Write(Writer w)
		{
			w.Array(2);
			w.Int(X);
			w.Int(Y);
		}
	}
}
