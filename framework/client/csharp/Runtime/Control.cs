// SPDX-License-Identifier: MIT

// Control packets, tokens and the proof of a RESUME. Section numbers are those of session/SPEC.md.

using System;
using System.Collections.Generic;
using System.Text;

namespace Lifeline
{
	/// <summary>
	/// Why a link or a session ended: SPEC 9. Below 100 only the link is gone, below 200 the session, from 200
	/// on the client stays away, and from 1,000 on the codes are the game's.
	/// </summary>
	public static class CloseCode
	{
		/// <summary>The carrier broke, or nothing came back in time.</summary>
		public const int LinkLost = 1;
		/// <summary>The link carried something that no correct peer sends.</summary>
		public const int Protocol = 2;
		/// <summary>A packet was swallowed on the way.</summary>
		public const int Gap = 3;
		/// <summary>This side did not read what was sent to it.</summary>
		public const int SlowReader = 4;
		/// <summary>This side went on although it was held.</summary>
		public const int Overloaded = 5;
		/// <summary>The client did not open in time.</summary>
		public const int OpeningTimeout = 6;
		/// <summary>Come back after the time in CloseReason.Detail.</summary>
		public const int Busy = 7;
		/// <summary>The server drains.</summary>
		public const int ShuttingDown = 8;
		/// <summary>The session, or the place for a new one, is at another server.</summary>
		public const int Moved = 9;
		/// <summary>The server wants this session on sealed links.</summary>
		public const int Unsealed = 10;
		/// <summary>The server knows no such session.</summary>
		public const int Unknown = 100;
		/// <summary>The session has ended before.</summary>
		public const int Gone = 101;
		/// <summary>The player did not come back within the grace.</summary>
		public const int Expired = 102;
		/// <summary>A later attempt to resume won.</summary>
		public const int Stale = 103;
		/// <summary>What waited for the player was too much, again and again.</summary>
		public const int Overflow = 104;
		/// <summary>It is older than sessions may be.</summary>
		public const int TooOld = 105;
		/// <summary>The player has logged out.</summary>
		public const int Left = 106;
		/// <summary>The server failed.</summary>
		public const int Internal = 107;
		/// <summary>The counts of both sides contradict each other.</summary>
		public const int Inconsistent = 108;
		/// <summary>The game threw the player out.</summary>
		public const int Kicked = 200;
		/// <summary>The player is banned.</summary>
		public const int Banned = 201;
		/// <summary>The same user logged in elsewhere, or another holder of the token resumed.</summary>
		public const int TakenOver = 202;
		/// <summary>The two ends use different protocols, or the server may send more than ClientConfig.MaxReceive.</summary>
		public const int Version = 203;
		/// <summary>A rule was broken, as by a flood.</summary>
		public const int Policy = 204;
		/// <summary>The game refused the ticket, without a code of its own.</summary>
		public const int Denied = 205;
		/// <summary>Another session of the user has a link, and the game allows no takeover.</summary>
		public const int AlreadyIn = 206;
		/// <summary>The app is older than the server lets in. The text is where to get a newer one, a URL, or empty.</summary>
		public const int Outdated = 207;
		/// <summary>The first of the game's own codes.</summary>
		public const int Game = 1000;

		/// <summary>Reports whether only the link ended.</summary>
		public static bool IsResumable(long code)
		{
			return code < 100;
		}

		/// <summary>Reports whether the client must not come back by itself.</summary>
		public static bool IsFinal(long code)
		{
			return code >= 200;
		}

		/// <summary>A code in words.</summary>
		public static string InWords(long code)
		{
			switch (code)
			{
				case LinkLost: return "link lost";
				case Protocol: return "protocol error";
				case Gap: return "gap";
				case SlowReader: return "slow reader";
				case Overloaded: return "overloaded";
				case OpeningTimeout: return "opening timeout";
				case Busy: return "busy";
				case ShuttingDown: return "shutting down";
				case Moved: return "moved";
				case Unsealed: return "unsealed";
				case Unknown: return "unknown session";
				case Gone: return "session gone";
				case Expired: return "expired";
				case Stale: return "stale";
				case Overflow: return "overflow";
				case TooOld: return "too old";
				case Left: return "left";
				case Internal: return "internal error";
				case Inconsistent: return "counts contradict";
				case Kicked: return "kicked";
				case Banned: return "banned";
				case TakenOver: return "taken over";
				case Version: return "version";
				case Policy: return "policy";
				case Denied: return "denied";
				case AlreadyIn: return "already logged in";
				case Outdated: return "outdated";
				default: return "code " + code;
			}
		}
	}

	/// <summary>The end of a link or a session.</summary>
	public sealed class CloseReason
	{
		/// <summary>One of CloseCode, or of the game's.</summary>
		public readonly long Code;
		/// <summary>For people to read.</summary>
		public readonly string Text;
		/// <summary>Reports that the server decided it.</summary>
		public readonly bool Remote;
		/// <summary>Of Busy: milliseconds to wait. Of Stale: the last accepted attempt. Of Gone: how much was accepted in all. Of a final code: the game's, of KickWith or of a refused login.</summary>
		public readonly ulong Detail;

		internal CloseReason(long code, string text = "", bool remote = false, ulong detail = 0)
		{
			Code = code;
			Text = text;
			Remote = remote;
			Detail = detail;
		}

		/// <summary>Side, code in words and text, for logs.</summary>
		public override string ToString()
		{
			return (Remote ? "closed by the server: " : "closed: ") + CloseCode.InWords(Code) + (Text == "" ? "" : ": " + Text);
		}
	}

	/// <summary>Why a packet ends its link. The session lives on: SPEC 4, 7.3.</summary>
	enum LinkError { Gap, Unsent, Kind, Fenced, Control }

	/// <summary>A packet that no correct server sends, or a gap. The link is closed and the session resumed.</summary>
	sealed class LinkException : Exception
	{
		public readonly LinkError Error;

		public LinkException(LinkError error, string detail = "") : base("session: " + WordOf(error) + (detail == "" ? "" : ": " + detail))
		{
			Error = error;
		}

		/// <summary>The word that the scripts of SPEC 12 have for an error.</summary>
		public static string WordOf(LinkError error)
		{
			return words[(int)error];
		}

		static readonly string[] words = { "gap", "unsent", "kind", "fenced", "control" };
	}

	/// <summary>What the server dictates: SPEC 3.4. Times are nanoseconds.</summary>
	public struct SessionParameters
	{
		/// <summary>Of heartbeats.</summary>
		public long Interval;
		/// <summary>Silence that ends a link.</summary>
		public long Timeout;
		/// <summary>How long a session without a link waits for its player.</summary>
		public long Grace;
		/// <summary>Over which clients spread their return.</summary>
		public long Window;
		/// <summary>The largest body that the server takes, in bytes.</summary>
		public int MaxBody;
		/// <summary>How many packets from the client may be unacknowledged.</summary>
		public int Packets;
		/// <summary>How many bytes of their bodies.</summary>
		public int Bytes;
		/// <summary>Reports that another server may reopen the session when this one is lost: SPEC 6.8.</summary>
		public bool Reopens;

		/// <summary>These hold until the server tells its own.</summary>
		internal static SessionParameters Default
		{
			get
			{
				return new SessionParameters
				{
					Interval = 10 * Nanos.Second, Timeout = 35 * Nanos.Second, Grace = 60 * Nanos.Second, Window = 2 * Nanos.Second,
					MaxBody = Codec.DefaultMaxBody, Packets = 256, Bytes = 128 << 10,
				};
			}
		}
	}

	/// <summary>What a session is resumed with. It lets its holder play as this player.</summary>
	sealed class Identity
	{
		const string prefix = "ll1.";

		public readonly byte[] Sid; // 16 bytes
		public readonly byte[] Key; // 32 bytes
		/// <summary>Opens sealed links without public keys, 32 bytes; null if WELCOME came over another link.</summary>
		public readonly byte[] Seal;

		public Identity(byte[] sid, byte[] key, byte[] seal)
		{
			Sid = sid;
			Key = key;
			Seal = seal;
		}

		/// <summary>The session's id as text.</summary>
		public string SidText
		{
			get
			{
				StringBuilder s = new StringBuilder();
				foreach (byte b in Sid)
				{
					s.Append(b.ToString("x2"));
				}
				return s.ToString();
			}
		}

		/// <summary>The reconnect token: SPEC 2.5.</summary>
		public string Token
		{
			get
			{
				byte[] b = new byte[Seal == null ? 48 : 80];
				Buffer.BlockCopy(Sid, 0, b, 0, 16);
				Buffer.BlockCopy(Key, 0, b, 16, 32);
				if (Seal != null)
				{
					Buffer.BlockCopy(Seal, 0, b, 48, 32);
				}
				return prefix + Base64Url.Encode(b);
			}
		}

		/// <summary>Takes a reconnect token apart; null if it is none.</summary>
		public static Identity Parse(string token)
		{
			byte[] b = token.StartsWith(prefix, StringComparison.Ordinal) ? Base64Url.Decode(token.Substring(prefix.Length)) : null;
			if (b == null || b.Length != 48 && b.Length != 80)
			{
				return null;
			}
			return new Identity(ByteOps.Slice(b, 0, 16), ByteOps.Slice(b, 16, 32), b.Length == 80 ? ByteOps.Slice(b, 48, 32) : null);
		}
	}

	/// <summary>Reads control bodies, and writes those that a client sends: SPEC 3.</summary>
	static class Control
	{
		public const byte Version = 1;
		const uint maxMillis = 1u << 31;
		const int maxWindow = (1 << 15) - 1; // keeps seq16 unambiguous: SPEC 4.2
		const int maxRoutesBytes = 48 << 10;
		const ulong maxCount = 1UL << 62;

		// --- written

		static void Append(ByteBuffer to, PacketKind kind, Writer body)
		{
			Codec.AppendFrame(to, kind, HeartbeatFlags.None, 0, 0, body.Buffer.Bytes, body.Buffer.Start, body.Buffer.Length);
		}

		/// <summary>Appends a HELLO. ticket may be null.</summary>
		public static void AppendHello(ByteBuffer to, byte[] nonce, byte[] opening, byte[] ticket, string info, byte[] routesHash, ulong attempt)
		{
			Writer w = new Writer();
			w.Array(7);
			w.UInt(Version);
			w.Bin(nonce);
			w.Bin(opening);
			w.Bin(ticket);
			w.Str(info);
			w.Bin(routesHash);
			w.UInt(attempt);
			Append(to, PacketKind.Hello, w);
		}

		/// <summary>What a client can that knows restart in a RESET: SPEC 6.8.</summary>
		public const uint CanRestart = 1;

		/// <summary>
		/// Appends a RESUME. recv is -1 if the client has lost what it had received. can is 0 unless the server's
		/// parameters say that sessions are reopened.
		/// </summary>
		public static void AppendResume(ByteBuffer to, Identity who, byte[] nonce, ulong attempt, long recv, long lowest, uint can)
		{
			Writer w = new Writer();
			w.Array(can == 0 ? 5 : 6);
			w.Bin(who.Sid);
			w.UInt(attempt);
			if (recv < 0)
			{
				w.Nil();
			}
			else
			{
				w.UInt((ulong)recv);
			}
			w.UInt((ulong)lowest);
			w.Bin(HmacSha256.Sum(who.Key, ProofInput(who.Sid, nonce, attempt, recv, lowest)));
			if (can != 0)
			{
				w.UInt(can);
			}
			Append(to, PacketKind.Resume, w);
		}

		/// <summary>The 74 bytes that a proof is made over: SPEC 6.2.</summary>
		public static byte[] ProofInput(byte[] sid, byte[] nonce, ulong attempt, long recv, long lowest)
		{
			byte[] b = new byte[74];
			Encoding.ASCII.GetBytes("lifeline/resume/1", 0, 17, b, 0);
			Buffer.BlockCopy(sid, 0, b, 17, 16);
			LittleEndian.Put64(b, 33, attempt);
			b[41] = (byte)(recv < 0 ? 0 : 1);
			LittleEndian.Put64(b, 42, (ulong)Math.Max(recv, 0));
			LittleEndian.Put64(b, 50, (ulong)lowest);
			Buffer.BlockCopy(nonce, 0, b, 58, 16);
			return b;
		}

		public static void AppendDetach(ByteBuffer to)
		{
			Writer w = new Writer();
			w.Array(0);
			Append(to, PacketKind.Detach, w);
		}

		public static void AppendBye(ByteBuffer to, long code, string text)
		{
			Writer w = new Writer();
			w.Array(3);
			w.Int(code);
			w.Str(text);
			w.UInt(0);
			Append(to, PacketKind.Bye, w);
		}

		// --- read

		// Begins to read the fields of a body, and checks it as a whole before.
		static Reader Fields(Packet p, out int n)
		{
			Codec.CheckBody(p.Bytes, p.At, p.Length);
			Reader r = new Reader(p.Bytes, p.At, p.Length);
			n = r.Array();
			return r;
		}

		static LinkException Malformed(Packet p, CodecException e)
		{
			return new LinkException(LinkError.Control, p.Kind + ": " + e.Message);
		}

		static byte[] Fixed(Reader r, int size, bool there)
		{
			byte[] b = there ? r.Bin() : null;
			if (b == null || b.Length != size)
			{
				throw new CodecException(CodecError.Mismatch, "not " + size + " bytes");
			}
			return b;
		}

		static long Count(Reader r, bool there)
		{
			ulong n = there ? r.UInt() : 0;
			if (n > maxCount)
			{
				throw new CodecException(CodecError.Mismatch, "a count of " + n);
			}
			return (long)n;
		}

		static long Millis(Reader r, bool there)
		{
			return there ? Math.Min(r.U32(), maxMillis) * Nanos.Millisecond : 0;
		}

		static SessionParameters Parameters(Reader r, bool there)
		{
			int n = there ? r.Array() : 0;
			SessionParameters p = new SessionParameters();
			p.Interval = Millis(r, n > 0);
			p.Timeout = Millis(r, n > 1);
			p.Grace = Millis(r, n > 2);
			p.Window = Millis(r, n > 3);
			p.MaxBody = n > 4 ? (int)Math.Min(r.U32(), (1u << 28) - 1) : 0;
			p.Packets = n > 5 ? (int)Math.Min(r.U32(), maxWindow) : 0;
			p.Bytes = n > 6 ? (int)Math.Min(r.U32(), 1u << 30) : 0;
			p.Reopens = n > 7 && r.True(); // a script of version 1 has a text in that place
			r.Skip(n - 8);
			if (p.Interval <= 0 || p.Timeout < 2 * p.Interval || p.MaxBody <= 0 || p.Packets <= 0 || p.Bytes < p.MaxBody)
			{
				throw new CodecException(CodecError.Mismatch, "parameters that can't work");
			}
			return p;
		}

		// A dictionary of routes; null if it is nil: SPEC 3.12.
		static string[] Routes(Reader r, bool there)
		{
			if (!there || r.Nil())
			{
				return null;
			}
			string[] routes = new string[r.Array()];
			HashSet<string> seen = new HashSet<string>();
			int size = 0;
			for (int i = 0; i < routes.Length; i++)
			{
				routes[i] = r.Str();
				size += 2 + Encoding.UTF8.GetByteCount(routes[i]);
				if (!Envelope.IsRouteName(routes[i]) || !seen.Add(routes[i]) || size > maxRoutesBytes)
				{
					throw new CodecException(CodecError.Mismatch, "no dictionary: route \"" + routes[i] + "\"");
				}
			}
			return routes;
		}

		/// <summary>What tells one dictionary from another; of an empty one it is empty.</summary>
		public static byte[] RoutesHash(string[] routes)
		{
			if (routes.Length == 0)
			{
				return new byte[0];
			}
			Sha256 hash = new Sha256();
			byte[] length = new byte[1];
			foreach (string name in routes)
			{
				byte[] b = Encoding.UTF8.GetBytes(name);
				length[0] = (byte)b.Length;
				hash.Update(length);
				hash.Update(b);
			}
			byte[] sum = new byte[Sha256.Size];
			hash.Finish(sum, 0);
			return ByteOps.Slice(sum, 0, 8);
		}

		public struct GreetingBody
		{
			public byte Version;
			public byte[] Nonce;
		}

		public static GreetingBody ReadGreeting(Packet p)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				GreetingBody b = new GreetingBody();
				b.Version = n > 0 ? r.U8() : (byte)0;
				b.Nonce = Fixed(r, 16, n > 1);
				return b;
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		public struct WelcomeBody
		{
			public Identity Who;
			public long Base;
			public long Recv;
			public SessionParameters Parameters;
			public string[] Routes; // null: those whose hash the server was told
		}

		public static WelcomeBody ReadWelcome(Packet p)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				WelcomeBody b = new WelcomeBody();
				byte[] sid = Fixed(r, 16, n > 0);
				byte[] key = Fixed(r, 32, n > 1);
				b.Base = Count(r, n > 2);
				b.Recv = Count(r, n > 3);
				b.Parameters = Parameters(r, n > 4);
				b.Routes = Routes(r, n > 5);
				b.Who = new Identity(sid, key, n > 6 && !r.Nil() ? Fixed(r, 32, true) : null);
				return b;
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		/// <summary>RESUMED or RESET.</summary>
		public struct ResumedBody
		{
			public uint Epoch;
			public long Base; // RESET only
			public long Recv;
			public bool Hold;
			public long Reason; // RESET only
			public SessionParameters Parameters;
			public string[] Routes; // RESET only
			public bool Restart; // RESET only
		}

		public static ResumedBody ReadResumed(Packet p)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				ResumedBody b = new ResumedBody();
				b.Epoch = n > 0 ? r.U32() : 0;
				b.Recv = Count(r, n > 1);
				b.Hold = n > 2 && r.Bool();
				b.Parameters = Parameters(r, n > 3);
				return b;
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		public static ResumedBody ReadReset(Packet p)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				ResumedBody b = new ResumedBody();
				b.Epoch = n > 0 ? r.U32() : 0;
				b.Base = Count(r, n > 1);
				b.Recv = Count(r, n > 2);
				b.Hold = n > 3 && r.Bool();
				b.Reason = n > 4 ? r.U32() : 0;
				b.Parameters = Parameters(r, n > 5);
				b.Routes = Routes(r, n > 6);
				b.Restart = n > 7 && r.Bool();
				return b;
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		/// <summary>Reads a REFUSED or a BYE.</summary>
		public static CloseReason ReadEnd(Packet p)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				uint code = n > 0 ? r.U32() : 0;
				string text = n > 1 ? r.Str() : "";
				return new CloseReason(code, text, true, n > 2 ? r.UInt() : 0);
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		public static void ReadTune(Packet p, out long interval, out long timeout)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				interval = Millis(r, n > 0);
				timeout = Millis(r, n > 1);
				if (interval <= 0 || timeout < 2 * interval)
				{
					throw new CodecException(CodecError.Mismatch, "an interval and a timeout that can't work");
				}
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}

		public static void ReadMove(Packet p, out long delay, out string address)
		{
			try
			{
				int n;
				Reader r = Fields(p, out n);
				delay = Millis(r, n > 0);
				address = n > 1 ? r.Str() : "";
			}
			catch (CodecException e)
			{
				throw Malformed(p, e);
			}
		}
	}
}
