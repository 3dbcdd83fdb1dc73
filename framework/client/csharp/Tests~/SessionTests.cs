// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;
using System.IO;

namespace Lifeline.Tests
{
	/// <summary>Tokens, proofs and control packets against session/testdata/vectors.json, and all scripts.</summary>
	static class SessionTests
	{
		public static void Run(Check check, string root)
		{
			Json vectors = Json.Parse(File.ReadAllText(root + "/session/testdata/vectors.json"));
			List<Json> tokens = new List<Json>(vectors["keys"].List);
			tokens.AddRange(vectors["seal_keys"].List);
			foreach (Json v in tokens)
			{
				check.Run("session token", () => Token(check, v));
			}
			check.Run("session no tokens", () => NoTokens(check));
			foreach (Json v in vectors["proofs"].List)
			{
				check.Run("session proof", () => Proof(check, v));
			}
			foreach (Json v in vectors["controls"].List)
			{
				check.Run("session control " + v.Str("kind"), () => Controls(check, v));
			}
			Script.Run(check, root);
			check.Run("session queue", () => Queues(check));
		}

		static void Token(Check check, Json v)
		{
			byte[] seal = v.Has("seal") ? Hex.Decode(v.Str("seal")) : null;
			if (v.Has("secret"))
			{
				check.Equal(Hex.Encode(HmacSha256.Sum(Hex.Decode(v.Str("secret")), Hex.Decode(v.Str("sid")))), v.Str("key"), "key");
			}
			Identity who = new Identity(Hex.Decode(v.Str("sid")), Hex.Decode(v.Str("key")), seal);
			check.Equal(who.Token, v.Str("token"), "token");
			Identity read = Identity.Parse(v.Str("token"));
			check.Equal(Hex.Encode(read.Sid) + Hex.Encode(read.Key) + (read.Seal == null ? "" : Hex.Encode(read.Seal)), v.Str("sid") + v.Str("key") + v.Str("seal"), "read");
		}

		static void NoTokens(Check check)
		{
			foreach (string s in new[] { "", "ll1.", "ll2.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwK", "ll1.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwKAA", "ll1.AQIDBAUGBwgJCgsMDQ4PEJRSo/zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwK" })
			{
				check.That(Identity.Parse(s) == null, "taken: " + s);
			}
		}

		static void Proof(Check check, Json v)
		{
			byte[] sid = Hex.Decode(v.Str("sid")), nonce = Hex.Decode(v.Str("nonce")), key = Hex.Decode(v.Str("key"));
			ulong attempt = ulong.Parse(v.Str("attempt"));
			long recv = v["recv"].IsNull ? -1 : v.Num("recv");
			byte[] input = Control.ProofInput(sid, nonce, attempt, recv, v.Num("lowest"));
			check.Equal(Hex.Encode(input), v.Str("input"), "input");
			check.Equal(Hex.Encode(HmacSha256.Sum(key, input)), v.Str("proof"), "proof");
			ByteBuffer b = new ByteBuffer();
			Control.AppendResume(b, new Identity(sid, key, null), nonce, attempt, recv, v.Num("lowest"), 0);
			check.Equal(Hex.Encode(b), v.Str("frame"), "frame");
		}

		static string Text(Json v)
		{
			if (v.List == null)
			{
				return v.IsNull ? "nil" : v.Text;
			}
			return "[" + string.Join(" ", v.List.ConvertAll(Text).ToArray()) + "]";
		}

		static string Millis(params long[] times)
		{
			return string.Join(" ", Array.ConvertAll(times, t => (t / Nanos.Millisecond).ToString()));
		}

		static string Text(SessionParameters p)
		{
			return "[" + Millis(p.Interval, p.Timeout, p.Grace, p.Window) + " " + p.MaxBody + " " + p.Packets + " " + p.Bytes + (p.Reopens ? " true]" : "]");
		}

		static string Text(string[] routes)
		{
			return routes == null ? "nil" : "[" + string.Join(" ", routes) + "]";
		}

		// Packets of the server are read and their fields compared; those of a client are written.
		static void Controls(Check check, Json v)
		{
			byte[] frame = Hex.Decode(v.Str("frame"));
			Packet p = new Packet();
			check.Equal(Codec.ParseFrame(frame, 0, frame.Length, Codec.DefaultMaxBody, ref p), frame.Length, "size");
			List<Json> f = v["fields"].List;
			string want = Text(v["fields"]);
			ByteBuffer b = new ByteBuffer();
			switch (v.Str("kind"))
			{
				case "GREETING":
					Control.GreetingBody g = Control.ReadGreeting(p);
					check.Equal("[" + g.Version + " " + Hex.Encode(g.Nonce) + "]", want, "fields");
					break;
				case "WELCOME":
					Control.WelcomeBody w = Control.ReadWelcome(p);
					check.Equal("[" + Hex.Encode(w.Who.Sid) + " " + Hex.Encode(w.Who.Key) + " " + w.Base + " " + w.Recv + " " + Text(w.Parameters) + " " + Text(w.Routes) +
						" " + (w.Who.Seal == null ? "nil" : Hex.Encode(w.Who.Seal)) + "]", want, "fields");
					break;
				case "RESUMED":
					Control.ResumedBody r = Control.ReadResumed(p);
					check.Equal("[" + r.Epoch + " " + r.Recv + " " + (r.Hold ? "true" : "false") + " " + Text(r.Parameters) + "]", want, "fields");
					break;
				case "RESET":
					r = Control.ReadReset(p);
					check.Equal("[" + r.Epoch + " " + r.Base + " " + r.Recv + " " + (r.Hold ? "true" : "false") + " " + r.Reason + " " + Text(r.Parameters) + " " + Text(r.Routes) + (r.Restart ? " true]" : "]"), want, "fields");
					break;
				case "REFUSED":
				case "BYE":
					CloseReason end = Control.ReadEnd(p);
					check.Equal("[" + end.Code + " " + end.Text + " " + end.Detail + "]", want, "fields");
					if (v.Str("kind") == "BYE" && end.Detail == 0)
					{
						Control.AppendBye(b, end.Code, end.Text);
						check.Equal(Hex.Encode(b), v.Str("frame"), "frame");
					}
					break;
				case "TUNE":
					long interval, timeout;
					Control.ReadTune(p, out interval, out timeout);
					check.Equal("[" + Millis(interval, timeout) + "]", want, "fields");
					break;
				case "MOVE":
					long delay;
					string address;
					Control.ReadMove(p, out delay, out address);
					check.Equal("[" + Millis(delay) + " " + address + "]", want, "fields");
					break;
				case "HELLO":
					Control.AppendHello(b, Hex.Decode(f[1].Text), Hex.Decode(f[2].Text), f[3].IsNull ? null : Hex.Decode(f[3].Text), f[4].Text,
						f[5].IsNull ? null : Hex.Decode(f[5].Text), ulong.Parse(f[6].Text));
					check.Equal(Hex.Encode(b), v.Str("frame"), "frame");
					break;
				case "DETACH":
					Control.AppendDetach(b);
					check.Equal(Hex.Encode(b), v.Str("frame"), "frame");
					break;
				case "RESUME": // see Proof: its frame needs the key
					break;
				default:
					check.Fail("no such kind");
					break;
			}
		}

		static void Queues(Check check)
		{
			PacketQueue q = new PacketQueue();
			Dice dice = new Dice(5);
			Queue<byte[]> model = new Queue<byte[]>();
			for (int i = 0; i < 20000; i++)
			{
				if (dice.Below(100) < 55 && model.Count < 200)
				{
					byte[] b = dice.Bytes(1 + dice.Below(80));
					model.Enqueue(b);
					q.Push(PacketKind.Message, b, 0, b.Length);
				}
				else if (model.Count > 0)
				{
					byte[] want = model.Dequeue();
					QueuedPacket p = q.Take();
					if (Hex.Encode(p.Body) != Hex.Encode(want))
					{
						check.Fail("another packet came out");
						return;
					}
				}
				if (q.Count != model.Count)
				{
					check.Fail("count");
					return;
				}
			}
			check.Passed++;
		}
	}
}
