// SPDX-License-Identifier: MIT

// Sealed byte streams: transport/seal/SPEC.md 10, whose sections the comments cite.

using System;
using System.Text;

namespace Lifeline
{
	/// <summary>
	/// The client's half of a handshake on a byte stream: SPEC 10.2 and 10.3. It has no clock and no socket: call
	/// Work until Ready, send Hello once, hand what comes back to Accept, and call Work until Stream is there or
	/// Refused tells why it won't be.
	/// </summary>
	sealed class StreamInitiator
	{
		public const int HelloSize = 64;
		/// <summary>The most that an answer can be, in bytes.</summary>
		public const int MaxAnswer = acceptHead + 255;
		const int acceptHead = 9; // of an answer: the header, and the length of the rest
		const int atKeyId = 8, atBody = 16, atSession = 32, atTag = 48;
		const string labelPrologue = "lifeline/seal/1 stream";
		const string labelResumeTag = "lifeline/seal/1 stream resume hello";
		const string labelResume = "lifeline/seal/1 stream resume link";

		readonly byte[] hello = new byte[HelloSize];
		readonly NoiseInitiator noise; // null: the session has a seal key
		readonly byte[] resumeKey;

		/// <summary>
		/// Begins a stream to the server that has the private half of serverKey. ephemeral is 32 random bytes that
		/// nothing else uses. The hello needs two public-key operations, the answer a third one.
		/// </summary>
		public StreamInitiator(byte[] serverKey, byte[] ephemeral)
		{
			SealWire.PutHead(hello, PacketType.Hello);
			SealWire.PutKeyId(hello, atKeyId, serverKey);
			noise = new NoiseInitiator(labelPrologue, hello, atBody, serverKey, ephemeral);
		}

		/// <summary>
		/// Begins a stream for a session that was told its seal key. nonce is 16 random bytes. It needs no public-key
		/// operation.
		/// </summary>
		public StreamInitiator(byte[] session, byte[] sealKey, byte[] nonce)
		{
			resumeKey = sealKey;
			SealWire.PutHead(hello, PacketType.ResumeHello);
			Buffer.BlockCopy(nonce, 0, hello, atBody, 16);
			Buffer.BlockCopy(session, 0, hello, atSession, 16);
			HmacSha256 mac = new HmacSha256(sealKey);
			mac.Update(Encoding.ASCII.GetBytes(labelResumeTag));
			mac.Update(hello, 0, atTag);
			byte[] tag = new byte[Sha256.Size];
			mac.Finish(tag, 0);
			Buffer.BlockCopy(tag, 0, hello, atTag, 16);
			Ready = true;
		}

		/// <summary>Reports that the stream is begun with a seal key, which the server may have forgotten.</summary>
		public bool Resumes { get { return noise == null; } }

		/// <summary>Reports whether Hello may be sent.</summary>
		public bool Ready { get; private set; }

		/// <summary>What to send, HelloSize bytes.</summary>
		public byte[] Hello { get { return hello; } }

		/// <summary>Reports that a whole answer came, which Work may have yet to look at.</summary>
		public bool Answered { get; private set; }

		/// <summary>The link, once the server has accepted it.</summary>
		public SealStream Stream { get; private set; }

		/// <summary>16 bytes that only the two ends of this link know: SPEC 5.3.</summary>
		public byte[] Nonce { get; private set; }

		/// <summary>What the server's upper layer had to say: its session version, one byte.</summary>
		public byte[] Greeting { get; private set; }

		/// <summary>Why the answer was none. None of these is worth another try: SPEC 10.4.</summary>
		public SealError Refused { get; private set; }

		/// <summary>Does public-key work: at most so many steps of X25519. Returns how many it did.</summary>
		public int Work(int steps)
		{
			if (noise == null)
			{
				return 0;
			}
			bool looking = noise.Answered && !noise.Done;
			int did = noise.Work(steps);
			if (!Ready && noise.Ready)
			{
				Buffer.BlockCopy(noise.First, 0, hello, atBody, NoiseInitiator.FirstSize);
				Ready = true;
			}
			if (looking && noise.Done)
			{
				Accepted(noise.Payload, noise.Keys, noise.Nonce);
			}
			else if (looking && !noise.Answered)
			{
				Refused = SealError.Forged;
			}
			return did;
		}

		/// <summary>
		/// Takes what has come back so far, n bytes from at on. Returns how many of them are the answer, 0 while it is
		/// not whole, or refused. Records may follow it at once.
		/// </summary>
		public int Accept(byte[] b, int at, int n)
		{
			if (n < acceptHead || Answered || Refused != SealError.None)
			{
				return 0;
			}
			uint connection = LittleEndian.Get32(b, at);
			PacketType want = Resumes ? PacketType.ResumeAccept : PacketType.Accept;
			if (connection != 0 || b[at + 4] != (byte)want || b[at + 6] != 0 || b[at + 7] != 0)
			{
				Refused = SealError.Type;
				return 0;
			}
			if (b[at + 5] != SealWire.Version)
			{
				Refused = SealError.Version;
				return 0;
			}
			int rest = b[at + 8];
			if (rest < (Resumes ? 16 + ChaCha20Poly1305.TagSize : NoiseInitiator.FirstSize))
			{
				Refused = SealError.Size;
				return 0;
			}
			if (n < acceptHead + rest)
			{
				return 0;
			}
			Answered = true;
			byte[] answer = ByteOps.Slice(b, at, acceptHead + rest);
			if (Resumes)
			{
				ResumeAccept(answer);
			}
			else
			{
				noise.Answer(ByteOps.Slice(answer, acceptHead, rest));
			}
			return answer.Length;
		}

		void ResumeAccept(byte[] b)
		{
			const int head = acceptHead + 16; // all that is not sealed
			byte[] keys = SealWire.ResumeKeys(labelResume, resumeKey, hello, atBody, b, acceptHead);
			int n = b.Length - head - ChaCha20Poly1305.TagSize;
			if (new ChaCha20Poly1305(keys, 64).Open(0, b, 0, head, b, head, n))
			{
				Accepted(ByteOps.Slice(b, head, n), keys, ByteOps.Slice(keys, 96, 16));
			}
			else
			{
				Refused = SealError.Forged;
			}
		}

		void Accepted(byte[] greeting, byte[] keys, byte[] nonce)
		{
			Stream = new SealStream(keys, 0, keys, 32);
			Nonce = nonce;
			Greeting = greeting;
		}
	}

	/// <summary>
	/// Seals and opens the records of one link on a byte stream: SPEC 10.5 and 10.6. The stream keeps their order, so
	/// numbers are counted and not sent. It allocates nothing.
	/// </summary>
	sealed class SealStream
	{
		/// <summary>The length before each record, in bytes.</summary>
		public const int HeadSize = 3;
		/// <summary>How much longer a record is than its plaintext, in bytes.</summary>
		public const int Overhead = HeadSize + ChaCha20Poly1305.TagSize;
		/// <summary>The most plaintext that one record carries, in bytes.</summary>
		public const int MaxPlain = (1 << 24) - 1 - ChaCha20Poly1305.TagSize;
		const ulong rekeyEvery = 1 << 16; // records of a direction

		readonly ChaCha20Poly1305 sealer, opener;
		ulong upNumber, downNumber; // of the next record

		/// <summary>Takes two keys of 32 bytes that nothing has used before.</summary>
		public SealStream(byte[] sealKey, int sealAt, byte[] openKey, int openAt)
		{
			sealer = new ChaCha20Poly1305(sealKey, sealAt);
			opener = new ChaCha20Poly1305(openKey, openAt);
		}

		SealStream(ChaCha20Poly1305 sealer, ChaCha20Poly1305 opener)
		{
			this.sealer = sealer;
			this.opener = opener;
		}

		/// <summary>For tests: the other end of the link, in place of this one.</summary>
		internal SealStream Peer()
		{
			return new SealStream(opener, sealer);
		}

		/// <summary>
		/// Makes a record of n bytes of plaintext, at most MaxPlain, in place: they stand HeadSize bytes behind at, and
		/// there is room for the tag behind them. Returns its size.
		/// </summary>
		public int Seal(byte[] b, int at, int n)
		{
			int rest = n + ChaCha20Poly1305.TagSize;
			b[at] = (byte)rest;
			b[at + 1] = (byte)(rest >> 8);
			b[at + 2] = (byte)(rest >> 16);
			Turn(sealer, upNumber);
			sealer.Seal(upNumber++, b, at, HeadSize, b, at + HeadSize, n);
			return Overhead + n;
		}

		/// <summary>
		/// The size of the record that begins at at, of which n bytes came: 0 if that is too few to tell, -1 if the
		/// record has no plaintext or more than most bytes of it, which ends the link.
		/// </summary>
		public static int SizeOf(byte[] b, int at, int n, int most)
		{
			if (n < HeadSize)
			{
				return 0;
			}
			int rest = b[at] | b[at + 1] << 8 | b[at + 2] << 16;
			return rest <= ChaCha20Poly1305.TagSize || rest - ChaCha20Poly1305.TagSize > most ? -1 : HeadSize + rest;
		}

		/// <summary>
		/// Opens the next record, size bytes from at on, in place: the plaintext stands HeadSize bytes behind at and has
		/// size - Overhead bytes. Reports false if it is not authentic, which ends the link.
		/// </summary>
		public bool Open(byte[] b, int at, int size)
		{
			if (size < Overhead)
			{
				return false;
			}
			Turn(opener, downNumber);
			return opener.Open(downNumber++, b, at, HeadSize, b, at + HeadSize, size - Overhead);
		}

		// Changes the key where that is due: one that is disclosed later opens no record before the change.
		static void Turn(ChaCha20Poly1305 cipher, ulong number)
		{
			if (number > 0 && number % rekeyEvery == 0)
			{
				cipher.Rekey();
			}
		}
	}
}
