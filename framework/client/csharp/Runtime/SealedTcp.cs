// SPDX-License-Identifier: MIT

using System;

namespace Lifeline
{
	/// <summary>
	/// Frames in the records of a sealed stream over TCP: transport/SPEC.md 9. It needs no TLS, only the server's
	/// public key.
	/// </summary>
	sealed class SealedTcpCarrier : StreamCarrier
	{
		const int workPerUpdate = 128; // steps of X25519 in one Update: less than half a multiplication

		readonly Func<ByteStream> dial;
		readonly byte[] serverKey;
		readonly Entropy entropy;
		readonly int most;                              // bytes of frames in a record of the server
		readonly ByteBuffer raw = new ByteBuffer();     // bytes that came and were not opened
		StreamInitiator shake;                          // null once the link is up
		SealStream link;
		bool said;                                      // the hello

		/// <summary>
		/// dial begins a connection, once more where the server has forgotten the seal key. who may be null, or without
		/// a seal key: then the server's public key opens the link. maxReceive is the largest body of the server.
		/// </summary>
		public SealedTcpCarrier(Func<ByteStream> dial, byte[] serverKey, Identity who, Entropy entropy, int maxReceive)
		{
			this.dial = dial;
			this.serverKey = serverKey;
			this.entropy = entropy;
			most = Math.Min(maxReceive + Codec.FrameOverhead, SealStream.MaxPlain);
			Stream = dial();
			shake = who != null && who.Seal != null ? new StreamInitiator(who.Sid, who.Seal, entropy.Bytes(16)) : new StreamInitiator(serverKey, entropy.Bytes(32));
		}

		public override string Silence
		{
			get { return "it takes connections and then says nothing: no sealed TCP on that port"; }
		}

		public override bool Receive(long now)
		{
			if (Silent || State == CarrierState.Broken)
			{
				return false;
			}
			if (State == CarrierState.Connecting)
			{
				Shake(now);
				return false;
			}
			bool came = Read(raw, now);
			OpenRecords();
			if (Stream.State == CarrierState.Broken)
			{
				Break(Stream.Error);
			}
			return came;
		}

		// --- handshake: transport/seal/SPEC.md 10.2 to 10.4

		void Shake(long now)
		{
			shake.Work(workPerUpdate);
			Stream.Connect(now);
			if (!said)
			{
				if (Stream.State == CarrierState.Broken)
				{
					Break(Stream.Error);
				}
				if (Stream.State != CarrierState.Up || !shake.Ready)
				{
					return;
				}
				said = true;
				Waiting.Append(shake.Hello, 0, StreamInitiator.HelloSize);
			}
			Pump();
			if (raw.Length < StreamInitiator.MaxAnswer)
			{
				Read(raw, now);
			}
			raw.Consume(shake.Accept(raw.Bytes, raw.Start, raw.Length));
			if (shake.Refused != SealError.None)
			{
				Break("the answer to the hello is not authentic: " + shake.Refused);
			}
			else if (shake.Stream != null)
			{
				Accepted();
			}
			else if (Stream.State == CarrierState.Broken && !shake.Answered)
			{
				HungUp();
			}
		}

		// A server that refuses a hello closes the connection. It need not know a seal key any more.
		void HungUp()
		{
			if (!shake.Resumes)
			{
				Break("the server hung up: its key is not the one in ServerKey, or no sealed TCP is served there");
				return;
			}
			Stream.Close();
			Waiting.Clear();
			raw.Clear();
			said = false;
			LastIn = 0;
			Stream = dial();
			shake = new StreamInitiator(serverKey, entropy.Bytes(32));
		}

		void Accepted()
		{
			if (shake.Greeting.Length != 1)
			{
				Break("the server's greeting is none");
				return;
			}
			link = shake.Stream;
			LinkNonce = shake.Nonce;
			LinkVersion = shake.Greeting[0];
			shake = null;
			State = CarrierState.Up;
			OpenRecords(); // which came with the answer
		}

		// --- records: transport/seal/SPEC.md 10.5

		// Takes the whole records that came. Of one that is not authentic nothing is taken.
		void OpenRecords()
		{
			while (State == CarrierState.Up)
			{
				int size = SealStream.SizeOf(raw.Bytes, raw.Start, raw.Length, most);
				if (size == 0 || size > raw.Length)
				{
					return;
				}
				if (size < 0)
				{
					Break("the server sent a record of a length that can't be");
				}
				else if (!link.Open(raw.Bytes, raw.Start, size))
				{
					Break("a record is not authentic");
				}
				else
				{
					In.Append(raw.Bytes, raw.Start + SealStream.HeadSize, size - SealStream.Overhead);
					raw.Consume(size);
				}
			}
		}

		public override void Write(ByteBuffer b)
		{
			if (State != CarrierState.Up)
			{
				return;
			}
			int size = SealStream.Overhead + b.Length;
			Waiting.Reserve(size);
			Buffer.BlockCopy(b.Bytes, b.Start, Waiting.Bytes, Waiting.End + SealStream.HeadSize, b.Length);
			Waiting.End += link.Seal(Waiting.Bytes, Waiting.End, b.Length);
		}
	}
}
