// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Net.Security;
using System.Threading.Tasks;

namespace Lifeline
{
	/// <summary>How a client behaves. Everything has a default: what is zero or null has it.</summary>
	public sealed class ClientConfig
	{
		/// <summary>
		/// Ticket returns what the game's authentication gets to see. It is called, from within Update, for every
		/// login and never while a session is resumed, one call at a time. The client looks at the task with every
		/// Update. A task that fails makes the attempt fail, and another one follows: Failed. So does a ticket that no
		/// server takes: with Info it has a little less than 64 KiB. If null, the ticket is empty.
		/// </summary>
		public Func<Task<byte[]>> Ticket;

		/// <summary>TicketTimeout is how long an attempt waits for Ticket. If zero, 10 s.</summary>
		public TimeSpan TicketTimeout;

		/// <summary>Token resumes the session of an earlier run of the app instead of logging in: see Client.Token.</summary>
		public string Token;

		/// <summary>
		/// Schema is the text of the messages that the app was built with: Routes.Schema of what framework/gen wrote. If
		/// the server has others that do not fit, OnError gets a SchemaException that names type and field. If null,
		/// nothing is compared.
		/// </summary>
		public string Schema;

		/// <summary>Info describes the client to the server: build, platform. For people to read.</summary>
		public string Info = "";

		/// <summary>
		/// ServerKey is the server's public key, "llp1." and 43 characters, which the server logs when it starts.
		/// kcp:// and stcp:// addresses need it. It is no secret, so it may ship with the app.
		/// </summary>
		public string ServerKey;

		/// <summary>OnMessage takes the messages of routes without a handler. The reader is good until it returns. If null, they are dropped and counted.</summary>
		public Action<string, Reader> OnMessage;

		/// <summary>MaxPackets is how many packets may wait to be accepted by the server: beyond it Send reports false. If zero, 1,024.</summary>
		public int MaxPackets;

		/// <summary>MaxBytes is how many bytes may wait, as MaxPackets. If zero, 1 MiB.</summary>
		public int MaxBytes;

		/// <summary>MaxReceive is the largest body that the client reads, in bytes. If zero, 1 MiB. At least 64 KiB. A server that may send larger ones ends it with Version.</summary>
		public int MaxReceive;

		/// <summary>DialTimeout is how long one address has to answer. If zero, 5 s.</summary>
		public TimeSpan DialTimeout;

		/// <summary>OpeningTimeout is how long a link has to become the session's before the next address is tried. If zero, 5 s.</summary>
		public TimeSpan OpeningTimeout;

		/// <summary>
		/// Fallback is how long UDP may be silent before the next address is tried, if one of them is not over
		/// UDP. If zero, 1.5 s. If negative, as long as other addresses may.
		/// </summary>
		public TimeSpan Fallback;

		/// <summary>MinDelay is the bound of the first pause between attempts: the n-th is random in 0 ... min(MaxDelay, MinDelay * 2^n). If zero, 0.5 s.</summary>
		public TimeSpan MinDelay;

		/// <summary>MaxDelay is the bound of all pauses between attempts. If zero, 30 s.</summary>
		public TimeSpan MaxDelay;

		/// <summary>CloseTimeout bounds how long Close waits for the server to have what was sent, and how long a link that is left repeats its last words. If zero, 200 ms.</summary>
		public TimeSpan CloseTimeout;

		/// <summary>OpenWebSocket opens a ws:// or wss:// address, where the app brings its own WebSocket, as in a browser. If null, the client's own over TCP and TLS.</summary>
		public Func<string, IWebSocket> OpenWebSocket;

		/// <summary>
		/// CheckCertificate judges the certificate of a wss:// server. If null, the system does: its name, its time and
		/// its issuer. Neither asks whether it was revoked, as the Go client does not. It alone is called by a thread
		/// of the system, beside Update: it touches nothing of the game's, nor of Unity.
		/// </summary>
		public RemoteCertificateValidationCallback CheckCertificate;

		/// <summary>Now returns nanoseconds of a clock that never jumps, and stands still, if possible, while the device sleeps. If null, Stopwatch.</summary>
		public Func<long> Now;

		/// <summary>Wall returns the time of day in nanoseconds since 1970. If null, DateTime.UtcNow.</summary>
		public Func<long> Wall;

		/// <summary>Random fills an array with unpredictable bytes. If null, the system's RandomNumberGenerator.</summary>
		public Action<byte[]> Random;

		internal static long Nanoseconds(TimeSpan t, long otherwise)
		{
			return t.Ticks == 0 ? otherwise : Math.Min(t.Ticks, TimeSpan.TicksPerDay * 10000) * 100;
		}

		internal static long StopwatchNow()
		{
			long ticks = Stopwatch.GetTimestamp();
			return ticks / Stopwatch.Frequency * Nanos.Second + ticks % Stopwatch.Frequency * Nanos.Second / Stopwatch.Frequency;
		}

		internal static long UtcNow()
		{
			const long epoch = 621355968000000000; // of ticks, in 1970
			return (DateTime.UtcNow.Ticks - epoch) * 100;
		}
	}

	/// <summary>
	/// What became of the session. The usual order is Opened (Lost (Resumed | Reset | Gone Opened))* Closed, with
	/// any number of Failed and Refused where the client tries to get in.
	/// </summary>
	public enum ClientEventKind
	{
		/// <summary>A new session; after Gone it is another one. What was sent before and is larger than this server takes is undelivered.</summary>
		Opened,
		/// <summary>The link is gone and the client is coming back. Send and Request go on working: what they take waits.</summary>
		Lost,
		/// <summary>The session is back. Nothing was lost and nothing comes twice.</summary>
		Resumed,
		/// <summary>
		/// It is back, but what the server sent meanwhile is lost: expect a snapshot. Requests without an answer have
		/// failed. If its server has crashed, the client joins its rooms again by itself: see Room.OnJoined. Undelivered
		/// is what a server that was lost may have handled, or not: mostly nothing.
		/// </summary>
		Reset,
		/// <summary>The session is over and the client logs in anew. Undelivered is what was sent and not accepted, as far as it is known.</summary>
		Gone,
		/// <summary>
		/// The server stops or sheds load, and lets this client go after Delay. Nothing changes until then; the
		/// client comes back by itself, where it was told to.
		/// </summary>
		Moving,
		/// <summary>
		/// The server said no for now, as when it is full: Reason has its code, Busy mostly, and its text. The client
		/// asks again by itself, after Delay.
		/// </summary>
		Refused,
		/// <summary>
		/// An attempt to reach the server failed in another way: no address answered, or there was no ticket.
		/// Reason tells why, address by address. The next attempt follows after Delay, or at once by Hurry.
		/// </summary>
		Failed,
		/// <summary>The client has ended for good. It is the last event.</summary>
		Closed,
	}

	/// <summary>One step in the life of a session.</summary>
	public sealed class ClientEvent
	{
		/// <summary>What became of it.</summary>
		public ClientEventKind Kind;
		/// <summary>Why: with Lost, Reset, Gone, Refused, Failed and Closed, else null.</summary>
		public CloseReason Reason;
		/// <summary>With Opened, Reset, Gone and Closed, never null.</summary>
		public readonly List<Undelivered> Undelivered = new List<Undelivered>();
		/// <summary>With Moving, how long the server still serves this client; with Refused and Failed, how long it is until the next attempt.</summary>
		public TimeSpan Delay;
	}

	/// <summary>Something that was sent and will not arrive, or of which that is not known. It is not sent again.</summary>
	public struct Undelivered
	{
		/// <summary>Where it was sent to.</summary>
		public string Route;
		/// <summary>One msgpack value.</summary>
		public byte[] Payload;
		/// <summary>Reports that it was a request and no message.</summary>
		public bool Request;
	}

	/// <summary>
	/// What a request failed with. Thrown by a handler of requests, it is the answer. Codes up to 999 are the
	/// framework's, codec/SPEC.md 6.3, those from 1,000 on the game's. Negative ones never travel.
	/// </summary>
	public sealed class LifelineException : Exception
	{
		/// <summary>The handler failed; why is in the log of its side.</summary>
		public const long Internal = 1;
		/// <summary>Nothing handles the route, or there is no such type of room.</summary>
		public const long NoRoute = 2;
		/// <summary>The payload is not what the route takes.</summary>
		public const long BadRequest = 3;
		/// <summary>Too much is going on; try again later.</summary>
		public const long Busy = 4;
		/// <summary>The route belongs to a room that the player is not in.</summary>
		public const long NotJoined = 5;
		/// <summary>It may not be: the room lets no player in, the player waits in a queue already. A refusal by the game has a code of its own.</summary>
		public const long Refused = 6;
		/// <summary>The session was reset, or ended, before the answer came.</summary>
		public const long Reset = 7;
		/// <summary>The room, or the party, has no free seat; too many users are watched.</summary>
		public const long Full = 8;
		/// <summary>The player is in another room of the type, or on its way into one.</summary>
		public const long InRoom = 9;
		/// <summary>No answer came in time, which says nothing about what the server did.</summary>
		public const long Timeout = -1;
		/// <summary>Too much waits to be accepted by the server.</summary>
		public const long QueueFull = -2;
		/// <summary>The client has ended.</summary>
		public const long Closed = -3;
		/// <summary>The server takes no bodies of this size.</summary>
		public const long TooLarge = -4;
		/// <summary>The answer is not of the type that was expected.</summary>
		public const long Mismatch = -5;

		/// <summary>One of the above, or of the game's, from 1,000 on.</summary>
		public readonly long Code;

		/// <summary>A handler of requests throws one with a code of the game's, from 1,000 on, to refuse.</summary>
		public LifelineException(long code, string text = "") : base(text == "" ? "request failed: code " + code : text)
		{
			Code = code;
		}
	}

	/// <summary>Counts what happened since the client was made.</summary>
	public sealed class ClientStats
	{
		/// <summary>Sessions.</summary>
		public long Opens;
		/// <summary>Links that carried a session on, nothing lost.</summary>
		public long Resumes;
		/// <summary>Links that carried a session on, the server's stream anew.</summary>
		public long Resets;
		/// <summary>Open links that were lost, those cut included.</summary>
		public long Losses;
		/// <summary>Links that Cut dropped.</summary>
		public long Cuts;
		/// <summary>Changes of the local address that Rebind made.</summary>
		public long Rebinds;
		/// <summary>Addresses dialed.</summary>
		public long Dials;
		/// <summary>Dials that failed.</summary>
		public long Failures;
		/// <summary>Requests and messages that were taken.</summary>
		public long Sent;
		/// <summary>Messages, answers and requests of the server.</summary>
		public long Received;
		/// <summary>Those of them without a handler, malformed, or not of its type.</summary>
		public long Dropped;
		/// <summary>Bytes of frames that came.</summary>
		public long BytesIn;
		/// <summary>Bytes of frames that were written.</summary>
		public long BytesOut;
	}
}
