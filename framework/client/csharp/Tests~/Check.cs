// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Text;

namespace Lifeline.Tests
{
	/// <summary>Counts what was checked and prints what was wrong. One for each run.</summary>
	sealed class Check
	{
		public int Passed;
		public int Failed;
		string where = "";

		/// <summary>Runs a group of checks; an exception in it is one failure.</summary>
		public void Run(string name, Action test)
		{
			where = name;
			int before = Passed;
			try
			{
				test();
			}
			catch (Exception e)
			{
				Fail(e.ToString());
			}
			if (Passed == before)
			{
				Fail("nothing was checked");
			}
		}

		public void Fail(string what)
		{
			Failed++;
			Console.WriteLine("FAIL " + where + ": " + what);
		}

		public void That(bool ok, string what)
		{
			if (ok)
			{
				Passed++;
			}
			else
			{
				Fail(what);
			}
		}

		/// <summary>Compares two texts and tells the first line that differs.</summary>
		public void SameLines(string got, string want)
		{
			string[] a = want.Split('\n'), b = got.Split('\n');
			int i = 0;
			while (i < Math.Min(a.Length, b.Length) - 1 && a[i] == b[i])
			{
				i++;
			}
			That(got == want, got == want ? "" : "line " + (i + 1) + ": got " + b[i] + ", want " + a[i]);
		}

		public void Equal(string got, string want, string what)
		{
			That(got == want, got == want ? "" : what + ": got " + Short(got) + ", want " + Short(want));
		}

		public void Equal(long got, long want, string what)
		{
			That(got == want, got == want ? "" : what + ": got " + got + ", want " + want);
		}

		static string Short(string s)
		{
			return s.Length > 400 ? s.Substring(0, 400) + "..." : s;
		}
	}

	/// <summary>Random bytes from a seed: a run can be repeated.</summary>
	sealed class Dice
	{
		ulong state;

		public Dice(ulong seed)
		{
			state = seed;
		}

		// splitmix64
		public ulong Next()
		{
			ulong z = state += 0x9e3779b97f4a7c15;
			z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
			z = (z ^ z >> 27) * 0x94d049bb133111eb;
			return z ^ z >> 31;
		}

		public int Below(int n)
		{
			return (int)(Next() % (ulong)n);
		}

		public byte[] Bytes(int n)
		{
			byte[] b = new byte[n];
			for (int i = 0; i < n; i++)
			{
				b[i] = (byte)Next();
			}
			return b;
		}
	}

	static class Hex
	{
		public static byte[] Decode(string s)
		{
			s = s.Replace(" ", "");
			byte[] b = new byte[s.Length / 2];
			for (int i = 0; i < b.Length; i++)
			{
				b[i] = Convert.ToByte(s.Substring(2 * i, 2), 16);
			}
			return b;
		}

		public static string Encode(byte[] b)
		{
			return Encode(b, 0, b.Length);
		}

		public static string Encode(ByteBuffer b)
		{
			return Encode(b.Bytes, b.Start, b.Length);
		}

		public static string Encode(byte[] b, int at, int n)
		{
			const string digits = "0123456789abcdef";
			StringBuilder s = new StringBuilder(2 * n);
			for (int i = at; i < at + n; i++)
			{
				s.Append(digits[b[i] >> 4]).Append(digits[b[i] & 15]);
			}
			return s.ToString();
		}
	}

	/// <summary>As much of JSON as the vectors and scripts need. Numbers stay text.</summary>
	sealed class Json
	{
		public List<Json> List;                 // of an array, else null
		public Dictionary<string, Json> Fields; // of an object, else null
		public string Text;                     // of a string or number
		public bool IsString, IsNull, IsBool, IsTrue;

		public Json this[string name]
		{
			get
			{
				Json v;
				return Fields.TryGetValue(name, out v) ? v : null;
			}
		}

		public long Long { get { return long.Parse(Text); } }

		/// <summary>The text of a field, "" if it is absent.</summary>
		public string Str(string name)
		{
			Json v = this[name];
			return v == null ? "" : v.Text;
		}

		public long Num(string name)
		{
			Json v = this[name];
			return v == null ? 0 : v.Long;
		}

		public bool Has(string name)
		{
			return Fields.ContainsKey(name);
		}

		public static Json Parse(string s)
		{
			int at = 0;
			Json v = Value(s, ref at);
			Blanks(s, ref at);
			if (at != s.Length)
			{
				throw new FormatException("JSON: something follows: " + s.Substring(at));
			}
			return v;
		}

		static void Blanks(string s, ref int at)
		{
			while (at < s.Length && char.IsWhiteSpace(s[at]))
			{
				at++;
			}
		}

		static Json Value(string s, ref int at)
		{
			Blanks(s, ref at);
			char c = s[at];
			if (c == '{')
			{
				return Object(s, ref at);
			}
			if (c == '[')
			{
				return Array(s, ref at);
			}
			if (c == '"')
			{
				return new Json { IsString = true, Text = String(s, ref at) };
			}
			int from = at;
			while (at < s.Length && ",]} \t\r\n".IndexOf(s[at]) < 0)
			{
				at++;
			}
			string word = s.Substring(from, at - from);
			return new Json { Text = word, IsNull = word == "null", IsBool = word == "true" || word == "false", IsTrue = word == "true" };
		}

		static Json Object(string s, ref int at)
		{
			Json v = new Json { Fields = new Dictionary<string, Json>() };
			at++;
			for (; ; )
			{
				Blanks(s, ref at);
				if (s[at] == '}')
				{
					at++;
					return v;
				}
				if (s[at] == ',')
				{
					at++;
					continue;
				}
				string name = String(s, ref at);
				Blanks(s, ref at);
				at++; // the colon
				v.Fields[name] = Value(s, ref at);
			}
		}

		static Json Array(string s, ref int at)
		{
			Json v = new Json { List = new List<Json>() };
			at++;
			for (; ; )
			{
				Blanks(s, ref at);
				if (s[at] == ']')
				{
					at++;
					return v;
				}
				if (s[at] == ',')
				{
					at++;
					continue;
				}
				v.List.Add(Value(s, ref at));
			}
		}

		static string String(string s, ref int at)
		{
			StringBuilder text = new StringBuilder();
			for (at++; s[at] != '"'; at++)
			{
				if (s[at] != '\\')
				{
					text.Append(s[at]);
					continue;
				}
				at++;
				switch (s[at])
				{
					case 'n': text.Append('\n'); break;
					case 't': text.Append('\t'); break;
					case 'r': text.Append('\r'); break;
					case 'b': text.Append('\b'); break;
					case 'f': text.Append('\f'); break;
					case 'u':
						text.Append((char)Convert.ToInt32(s.Substring(at + 1, 4), 16));
						at += 4;
						break;
					default: text.Append(s[at]); break;
				}
			}
			at++;
			return text.ToString();
		}
	}
}
