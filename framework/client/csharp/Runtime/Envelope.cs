// SPDX-License-Identifier: MIT

// The bodies of requests, answers and messages: codec/SPEC.md 6.

using System.Text;

namespace Lifeline
{
	/// <summary>A parsed envelope. What it points at stands in the memory of the body.</summary>
	struct Envelope
	{
		public const int MaxRouteName = 128;
		public const int MaxRouteNumber = 65535;

		public ulong Id;          // of a request and its answer
		public int RouteNumber;   // index into the server's dictionary; -1: the route is a name
		public int NameAt;        // of the name in UTF-8
		public int NameLength;
		public uint Code;         // of a failure
		public int TextAt;
		public int TextLength;
		public int PayloadAt;
		public int PayloadLength;

		/// <summary>Writes the route as its number, or as its name if that is negative.</summary>
		public static void PutRoute(Writer w, int number, string name)
		{
			if (number >= 0)
			{
				w.UInt((ulong)number);
			}
			else
			{
				w.Str(name);
			}
		}

		/// <summary>Begins a REQUEST; the payload, one value, follows.</summary>
		public static void BeginRequest(Writer w, ulong id, int routeNumber, string routeName)
		{
			w.Array(3);
			w.UInt(id);
			PutRoute(w, routeNumber, routeName);
		}

		/// <summary>Begins a RESPONSE; the payload, one value, follows.</summary>
		public static void BeginResponse(Writer w, ulong id)
		{
			w.Array(2);
			w.UInt(id);
		}

		/// <summary>Begins a MESSAGE or a DATAGRAM; the payload, one value, follows.</summary>
		public static void BeginMessage(Writer w, int routeNumber, string routeName)
		{
			w.Array(2);
			PutRoute(w, routeNumber, routeName);
		}

		/// <summary>Writes a FAILURE.</summary>
		public static void WriteFailure(Writer w, ulong id, uint code, string text)
		{
			w.Array(3);
			w.UInt(id);
			w.UInt(code);
			w.Str(text);
		}

		public static Envelope ParseRequest(byte[] b, int at, int n)
		{
			Walk w = new Walk(b, at, n, 3);
			Envelope e = new Envelope();
			e.Id = w.Integer(ulong.MaxValue);
			w.Route(ref e);
			w.Payload(ref e);
			w.Close();
			return e;
		}

		public static Envelope ParseResponse(byte[] b, int at, int n)
		{
			Walk w = new Walk(b, at, n, 2);
			Envelope e = new Envelope();
			e.Id = w.Integer(ulong.MaxValue);
			w.Payload(ref e);
			w.Close();
			return e;
		}

		public static Envelope ParseFailure(byte[] b, int at, int n)
		{
			Walk w = new Walk(b, at, n, 3);
			Envelope e = new Envelope();
			e.Id = w.Integer(ulong.MaxValue);
			e.Code = (uint)w.Integer(uint.MaxValue);
			if (!w.Text(out e.TextAt, out e.TextLength))
			{
				throw new CodecException(CodecError.Envelope);
			}
			w.Close();
			return e;
		}

		/// <summary>Reads a MESSAGE or a DATAGRAM.</summary>
		public static Envelope ParseMessage(byte[] b, int at, int n)
		{
			Walk w = new Walk(b, at, n, 2);
			Envelope e = new Envelope();
			w.Route(ref e);
			w.Payload(ref e);
			w.Close();
			return e;
		}

		/// <summary>
		/// Reads the id with which the body of a REQUEST, a RESPONSE or a FAILURE begins, also if what follows is
		/// refused, so that the side that asked, or that waits for the answer, can be told. Reports false if it can't be read.
		/// </summary>
		public static bool TryId(byte[] b, int at, int n, out ulong id)
		{
			try
			{
				id = new Walk(b, at, n, 1).Integer(ulong.MaxValue);
				return true;
			}
			catch (CodecException)
			{
				id = 0;
				return false;
			}
		}

		/// <summary>Reports whether the length of a route name is one that codec/SPEC.md 6.1 allows.</summary>
		public static bool IsRouteName(string name)
		{
			return name != null && name.Length > 0 && name.Length <= MaxRouteName && Encoding.UTF8.GetByteCount(name) <= MaxRouteName;
		}

		/// <summary>Walks the elements of one array. Each is checked before it is looked at.</summary>
		struct Walk
		{
			readonly byte[] b;
			readonly int end;
			int at;
			int left;

			public Walk(byte[] b, int at, int n, int known)
			{
				this.b = b;
				end = at + n;
				if (n > 0 && !(b[at] >= 0x90 && b[at] <= 0x9f || b[at] == 0xdc || b[at] == 0xdd))
				{
					throw new CodecException(CodecError.Envelope);
				}
				this.at = Codec.ScanValue(b, at, end, out left);
				if (left < known)
				{
					throw new CodecException(CodecError.Envelope);
				}
			}

			// The next element, checked. Nesting is counted from here.
			int Value()
			{
				int from = at;
				at = Codec.SkipValue(b, at, end);
				left--;
				return from;
			}

			// Reads an integer that is not negative; false if the value at from is none.
			bool Integer(int from, out ulong v)
			{
				byte c = b[from];
				v = c;
				if (c <= 0x7f)
				{
					return true;
				}
				if (c < 0xcc || c > 0xd3)
				{
					return false;
				}
				v = 0;
				for (int i = from + 1; i < at; i++)
				{
					v = v << 8 | b[i];
				}
				// A signed one is negative if its highest bit is set.
				return c <= 0xcf || (b[from + 1] & 0x80) == 0;
			}

			public ulong Integer(ulong limit)
			{
				ulong v;
				if (!Integer(Value(), out v) || v > limit)
				{
					throw new CodecException(CodecError.Envelope);
				}
				return v;
			}

			bool Text(int from, out int textAt, out int n)
			{
				byte c = b[from];
				bool fix = c >= 0xa0 && c <= 0xbf;
				textAt = from + 1;
				n = 0;
				if (!fix && (c < 0xd9 || c > 0xdb))
				{
					return false;
				}
				textAt += fix ? 0 : 1 << (c - 0xd9);
				n = at - textAt;
				return true;
			}

			public bool Text(out int textAt, out int n)
			{
				return Text(Value(), out textAt, out n);
			}

			public void Route(ref Envelope e)
			{
				int from = Value();
				ulong number;
				if (Text(from, out e.NameAt, out e.NameLength))
				{
					e.RouteNumber = -1;
					if (e.NameLength >= 1 && e.NameLength <= MaxRouteName)
					{
						return;
					}
				}
				else if (Integer(from, out number) && number <= MaxRouteNumber)
				{
					e.RouteNumber = (int)number;
					return;
				}
				throw new CodecException(CodecError.Route);
			}

			public void Payload(ref Envelope e)
			{
				e.PayloadAt = Value();
				e.PayloadLength = at - e.PayloadAt;
			}

			// Steps over what later versions appended; nothing may follow the array.
			public void Close()
			{
				while (left > 0)
				{
					Value();
				}
				if (at != end)
				{
					throw new CodecException(CodecError.Trailing);
				}
			}
		}
	}
}
