// SPDX-License-Identifier: MIT

using System;
using System.Text;

namespace Lifeline
{
	/// <summary>
	/// The client's half of a handshake: transport/seal/SPEC.md 2 to 5. It has no clock: call Work until
	/// Ready, then send Hello, again and again with growing pauses, until Conn is there. It sends the same
	/// hello each time, so that a server counts it once.
	/// </summary>
	sealed class SealInitiator
	{
		const int maxSpent = 2; // cookies that are answered at once: an observer of a hello can forge them

		readonly byte[] hello = new byte[SealWire.HelloSize];
		readonly NoiseInitiator noise; // null: the session has a seal key
		readonly byte[] resumeKey;
		int spent;  // since Repeat
		bool ready; // the hello is whole

		/// <summary>
		/// Begins a handshake with the server that has the private half of serverKey. ephemeral is 32 random
		/// bytes that nothing else uses. The hello needs two public-key operations, the answer a third one.
		/// </summary>
		public SealInitiator(byte[] serverKey, byte[] ephemeral)
		{
			SealWire.PutHead(hello, PacketType.Hello);
			SealWire.PutKeyId(hello, SealWire.AtKeyId, serverKey);
			noise = new NoiseInitiator(SealWire.Prologue, hello, SealWire.AtCookie, serverKey, ephemeral);
		}

		/// <summary>
		/// Begins a handshake for a session that was told its seal key. nonce is 16 random bytes. It needs no
		/// public-key operation.
		/// </summary>
		public SealInitiator(byte[] session, byte[] sealKey, byte[] nonce)
		{
			resumeKey = sealKey;
			SealWire.PutHead(hello, PacketType.ResumeHello);
			Buffer.BlockCopy(nonce, 0, hello, SealWire.AtName, 16);
			Buffer.BlockCopy(session, 0, hello, SealWire.AtName + 16, 16);
			HmacSha256 mac = new HmacSha256(sealKey);
			mac.Update(Encoding.ASCII.GetBytes(SealWire.LabelResumeTag));
			mac.Update(hello, 0, SealWire.AtCookie);
			mac.Update(hello, SealWire.AtName, SealWire.AtTag - SealWire.AtName);
			byte[] tag = new byte[Sha256.Size];
			mac.Finish(tag, 0);
			Buffer.BlockCopy(tag, 0, hello, SealWire.AtTag, 16);
			ready = true;
		}

		/// <summary>Reports whether Hello may be sent.</summary>
		public bool Ready { get { return ready; } }

		/// <summary>Reports that an answer came, which Work has yet to look at, or that Conn is there.</summary>
		public bool Answered { get { return Conn != null || noise != null && noise.Answered; } }

		/// <summary>The datagram to send, HelloSize bytes. A cookie changes it.</summary>
		public byte[] Hello { get { return hello; } }

		/// <summary>Tells that Hello is sent because it is time: after that the next two cookies are answered at once.</summary>
		public void Repeat()
		{
			spent = 0;
		}

		/// <summary>The link, once the server has accepted it.</summary>
		public SealConn Conn { get; private set; }

		/// <summary>16 bytes that only the two ends of this link know: SPEC 5.3.</summary>
		public byte[] Nonce { get; private set; }

		/// <summary>What the server's upper layer had to say: its session version, one byte.</summary>
		public byte[] Greeting { get; private set; }

		/// <summary>Does public-key work: at most so many steps of X25519. Returns how many it did.</summary>
		public int Work(int steps)
		{
			if (noise == null || Conn != null)
			{
				return 0;
			}
			int did = noise.Work(steps);
			if (!ready && noise.Ready)
			{
				Buffer.BlockCopy(noise.First, 0, hello, SealWire.AtName, NoiseInitiator.FirstSize);
				ready = true;
			}
			if (noise.Done)
			{
				Accepted(noise.Payload, 0, noise.Payload.Length, noise.Keys, noise.Nonce);
			}
			return did;
		}

		/// <summary>
		/// Takes a datagram of n bytes. Reports true if Hello has changed and should be sent at once: the server
		/// wanted a cookie. What is not for this handshake, or not authentic, changes nothing. After an ACCEPT
		/// there is work to do before Conn is there.
		/// </summary>
		public bool Handle(byte[] b, int n)
		{
			uint connection;
			PacketType type;
			if (!ready || Answered || !SealWire.Parse(b, n, out connection, out type) || connection != 0 ||
				b[5] != SealWire.Version || n < 16 || !ByteOps.Equal(b, 8, hello, SealWire.AtName, 8))
			{
				return false;
			}
			if (type == PacketType.Cookie && n == SealWire.CookieSize)
			{
				bool again = spent < maxSpent && !ByteOps.Equal(hello, SealWire.AtCookie, b, 16, 16);
				spent += again ? 1 : 0;
				Buffer.BlockCopy(b, 16, hello, SealWire.AtCookie, 16);
				return again;
			}
			if (type == PacketType.Accept && noise != null && n >= 16 + NoiseInitiator.FirstSize + 4)
			{
				noise.Answer(ByteOps.Slice(b, 16, n - 16));
			}
			else if (type == PacketType.ResumeAccept && noise == null && n >= 32 + 4 + ChaCha20Poly1305.TagSize)
			{
				ResumeAccept(ByteOps.Slice(b, 0, n));
			}
			return false;
		}

		void ResumeAccept(byte[] b)
		{
			byte[] keys = SealWire.ResumeKeys(SealWire.LabelResume, resumeKey, hello, SealWire.AtName, b, 16);
			int n = b.Length - 32 - ChaCha20Poly1305.TagSize;
			if (new ChaCha20Poly1305(keys, 64).Open(0, b, 0, 32, b, 32, n))
			{
				Accepted(b, 32, n, keys, ByteOps.Slice(keys, 96, 16));
			}
		}

		// Takes the payload of the answer: SPEC 2.7. keys are the client's and the server's.
		void Accepted(byte[] b, int at, int n, byte[] keys, byte[] nonce)
		{
			uint connection = n < 4 ? 0 : LittleEndian.Get32(b, at);
			if (connection != 0)
			{
				Conn = new SealConn(connection, keys, 0, keys, 32);
				Nonce = nonce;
				Greeting = ByteOps.Slice(b, at + 4, n - 4);
			}
		}
	}

	/// <summary>When the hellos of a link are sent: SPEC 3.2.</summary>
	sealed class HelloTimes
	{
		const long first = 200 * Nanos.Millisecond; // until a hello is repeated; doubles
		const long last = 2 * Nanos.Second;
		long at;

		/// <summary>How often they were due.</summary>
		public int Sent { get; private set; }

		/// <summary>Reports whether a HELLO goes with a RESUME-HELLO: two of these were not answered.</summary>
		public bool Joined { get { return Sent > 2; } }

		/// <summary>Reports whether hellos are due, and takes them for sent.</summary>
		public bool Next(long now)
		{
			if (now < at)
			{
				return false;
			}
			at = now + Math.Min(first << Math.Min(Sent, 8), last);
			Sent++;
			return true;
		}
	}

	/// <summary>
	/// The client's half of Noise_NK_25519_ChaChaPoly_SHA256: SPEC 3.1 and 5. Call Work until Ready, send First,
	/// hand what came to Answer, and call Work until Answered is false, or Done is true.
	/// </summary>
	sealed class NoiseInitiator
	{
		/// <summary>The size of the first message, and the least of the second one, in bytes: a key and a tag.</summary>
		public const int FirstSize = X25519.Size + ChaCha20Poly1305.TagSize;

		readonly byte[] serverKey, ephemeral, prologue;
		readonly X25519 curve = new X25519();
		NoiseState begun;           // as it was after the first message
		byte[] answer;              // of which the public-key operation is being done
		Stage stage;

		enum Stage { PublicKey, Shared, Ready, Answer, Done }

		/// <summary>The prologue is a label and the first n bytes of a hello. ephemeral is 32 random bytes that nothing else uses.</summary>
		public NoiseInitiator(string label, byte[] hello, int n, byte[] serverKey, byte[] ephemeral)
		{
			this.serverKey = serverKey;
			this.ephemeral = ephemeral;
			prologue = new byte[label.Length + n];
			Encoding.ASCII.GetBytes(label, 0, label.Length, prologue, 0);
			Buffer.BlockCopy(hello, 0, prologue, label.Length, n);
			curve.StartBase(ephemeral);
		}

		/// <summary>Reports whether First is there.</summary>
		public bool Ready { get { return stage >= Stage.Ready; } }

		/// <summary>Reports that there is an answer that Work has yet to look at, or that was authentic.</summary>
		public bool Answered { get { return stage > Stage.Ready; } }

		/// <summary>Reports that an authentic answer came: Payload, Keys and Nonce are there.</summary>
		public bool Done { get { return stage == Stage.Done; } }

		/// <summary>The first message, FirstSize bytes.</summary>
		public readonly byte[] First = new byte[FirstSize];

		/// <summary>What the second message carries.</summary>
		public byte[] Payload { get; private set; }

		/// <summary>Two keys of 32 bytes: the client's, and the server's.</summary>
		public byte[] Keys { get; private set; }

		/// <summary>16 bytes that only the two ends know: SPEC 5.3.</summary>
		public byte[] Nonce { get; private set; }

		/// <summary>Begins to look at a second message of at least FirstSize bytes, which it keeps.</summary>
		public void Answer(byte[] message)
		{
			answer = message;
			curve.Start(ephemeral, answer, 0);
			stage = Stage.Answer;
		}

		/// <summary>Does at most so many steps of X25519. Returns how many it did.</summary>
		public int Work(int steps)
		{
			int did = 0;
			while (did < steps && (stage == Stage.PublicKey || stage == Stage.Shared || stage == Stage.Answer))
			{
				did += curve.Advance(steps - did);
				if (!curve.Done)
				{
					break;
				}
				if (stage == Stage.PublicKey)
				{
					Buffer.BlockCopy(curve.Result, 0, First, 0, X25519.Size);
					curve.Start(ephemeral, serverKey, 0);
					stage = Stage.Shared;
				}
				else if (stage == Stage.Shared)
				{
					FirstMessage();
					stage = Stage.Ready;
				}
				else
				{
					stage = SecondMessage() ? Stage.Done : Stage.Ready;
					answer = null;
				}
			}
			return did;
		}

		// Message 1: e, es, and an empty payload.
		void FirstMessage()
		{
			begun = new NoiseState();
			begun.Begin("Noise_NK_25519_ChaChaPoly_SHA256");
			begun.MixHash(prologue, 0, prologue.Length);
			begun.MixHash(serverKey, 0, X25519.Size);
			begun.MixHash(First, 0, X25519.Size);
			begun.MixKey(curve.Result);
			begun.EncryptAndHash(First, X25519.Size, 0);
		}

		// Message 2: e, ee, and the payload. Reports false if it is not authentic.
		bool SecondMessage()
		{
			NoiseState state = begun.Clone(); // what fails must leave nothing behind
			state.MixHash(answer, 0, X25519.Size);
			state.MixKey(curve.Result);
			int n = answer.Length - FirstSize;
			if (curve.IsZero || !state.DecryptAndHash(answer, X25519.Size, n))
			{
				return false;
			}
			Payload = ByteOps.Slice(answer, X25519.Size, n);
			Keys = state.Split();
			Sha256 hash = new Sha256();
			hash.Update(Encoding.ASCII.GetBytes(SealWire.LabelNonce));
			hash.Update(state.Hash);
			byte[] sum = new byte[Sha256.Size];
			hash.Finish(sum, 0);
			Nonce = ByteOps.Slice(sum, 0, 16);
			return true;
		}
	}

	/// <summary>The symmetric state of Noise, revision 34, 5.2. Its cipher is used once for each key, so its nonce is always 0.</summary>
	sealed class NoiseState
	{
		byte[] h = new byte[Sha256.Size];
		byte[] ck = new byte[Sha256.Size];
		byte[] key;
		readonly Sha256 hash = new Sha256();

		public byte[] Hash { get { return h; } }

		public NoiseState Clone()
		{
			return new NoiseState { h = (byte[])h.Clone(), ck = (byte[])ck.Clone(), key = key };
		}

		/// <summary>name has 32 characters: it is its own hash.</summary>
		public void Begin(string name)
		{
			h = Encoding.ASCII.GetBytes(name);
			ck = (byte[])h.Clone();
		}

		public void MixHash(byte[] b, int at, int n)
		{
			hash.Update(h);
			hash.Update(b, at, n);
			hash.Finish(h, 0);
		}

		public void MixKey(byte[] secret)
		{
			byte[] keys = Hkdf.Derive(secret, ck, new byte[0], 64);
			ck = ByteOps.Slice(keys, 0, 32);
			key = ByteOps.Slice(keys, 32, 32);
		}

		public void EncryptAndHash(byte[] b, int at, int n)
		{
			new ChaCha20Poly1305(key, 0).Seal(0, h, 0, h.Length, b, at, n);
			MixHash(b, at, n + ChaCha20Poly1305.TagSize);
		}

		public bool DecryptAndHash(byte[] b, int at, int n)
		{
			byte[] sealedText = ByteOps.Slice(b, at, n + ChaCha20Poly1305.TagSize);
			if (!new ChaCha20Poly1305(key, 0).Open(0, h, 0, h.Length, b, at, n))
			{
				return false;
			}
			MixHash(sealedText, 0, sealedText.Length);
			return true;
		}

		/// <summary>Two keys of 32 bytes: the initiator's to seal with, and the responder's.</summary>
		public byte[] Split()
		{
			return Hkdf.Derive(new byte[0], ck, new byte[0], 64);
		}
	}
}
