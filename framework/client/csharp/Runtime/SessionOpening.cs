// SPDX-License-Identifier: MIT

using System;
using System.Collections.Generic;

namespace Lifeline
{
	// Opening a link: session/SPEC.md 2, 6 and 8.3 to 8.5.
	sealed partial class Session
	{
		// Takes the packets of a link that carries no session yet.
		void ReceiveOpening(Packet p, long now)
		{
			if (p.Kind == PacketKind.Heartbeat)
			{
				return;
			}
			bool resuming = who != null;
			if (p.Kind == PacketKind.Greeting && !greeted)
			{
				Control.GreetingBody b = Control.ReadGreeting(p);
				Greeted(b.Version, b.Nonce, now);
			}
			else if (!greeted)
			{
				throw new LinkException(LinkError.Kind);
			}
			else if (p.Kind == PacketKind.Welcome && !resuming)
			{
				Welcome(p, now);
			}
			else if (p.Kind == PacketKind.Resumed && resuming)
			{
				Resumed(p, now);
			}
			else if (p.Kind == PacketKind.Reset && resuming)
			{
				Reset(p, now);
			}
			else if (p.Kind == PacketKind.Refused || p.Kind == PacketKind.Bye)
			{
				Refused(p, now);
			}
			else
			{
				throw new LinkException(LinkError.Kind);
			}
		}

		/// <summary>
		/// Tells what a GREETING would. On a sealed link none travels: both values come with the link, and so right
		/// after LinkUp (SPEC 2.6).
		/// </summary>
		public void Greeted(byte version, byte[] linkNonce, long now)
		{
			if (State != SessionState.Opening || greeted)
			{
				return;
			}
			if (version != Control.Version)
			{
				Finish(new CloseReason(CloseCode.Version, "the server speaks version " + version));
				return;
			}
			greeted = true;
			nonce = linkNonce;
			Ask(now);
		}

		/// <summary>
		/// Reports whether a link that is greeted at that time is asked for another login, with another ticket: neither
		/// for the session nor for a login that is repeated.
		/// </summary>
		public bool LogsInAnew(long at)
		{
			return who == null && (opening == null || at - drawn >= openingLife);
		}

		// Writes what the client wants of a greeted link.
		void Ask(long now)
		{
			if (who != null)
			{
				Control.AppendResume(control, who, nonce, attempt, fresh ? -1 : end.Recv, end.Acked + 1, parameters.Reopens ? Control.CanRestart : 0);
				return;
			}
			if (LogsInAnew(now) && !DrawOpening(now))
			{
				cutting = true; // never a login without its ticket
				Down(now, new CloseReason(CloseCode.LinkLost, "no ticket"), 0);
				return;
			}
			Control.AppendHello(control, nonce, opening, ticket, cfg.Info, Control.RoutesHash(dictionary), attempt);
		}

		bool DrawOpening(long now)
		{
			ticket = null;
			opening = null;
			if (cfg.Ticket != null && !cfg.Ticket(out ticket))
			{
				return false;
			}
			opening = new byte[16];
			LittleEndian.Put64(opening, 0, cfg.Random());
			LittleEndian.Put64(opening, 8, cfg.Random());
			drawn = now;
			return true;
		}

		// Ends a client that could not read the largest body that the server may send it: SPEC 3.4. Else it would
		// come back to that body again and again.
		bool Unreadable(SessionParameters p)
		{
			if (p.MaxBody <= maxReceive)
			{
				return false;
			}
			Finish(new CloseReason(CloseCode.Version, "the server may send bodies of " + p.MaxBody + " bytes, MaxReceive is " + maxReceive));
			Control.AppendBye(control, CloseCode.Left, "");
			return true;
		}

		// Starts a new session. What the app has sent so far gets its numbers now.
		void Welcome(Packet p, long now)
		{
			Control.WelcomeBody b = Control.ReadWelcome(p);
			Learn(b.Routes);
			if (Unreadable(b.Parameters))
			{
				return;
			}
			who = b.Who;
			fresh = false;
			parameters = b.Parameters;
			SessionChange change = new SessionChange { Kind = ChangeKind.Opened };
			TakeTooLarge(change.Undelivered);
			end.Renumber(b.Recv);
			end.Recv = b.Base;
			Up(now);
			changes.Enqueue(change);
		}

		// Takes over the dictionary; null stands for the one whose hash the server was told.
		void Learn(string[] routes)
		{
			if (routes != null)
			{
				dictionary = routes;
			}
			numbers = dictionary.Length > 0;
		}

		// Removes what was sent before this server told that it takes no such bodies: SPEC 4.7.
		void TakeTooLarge(List<QueuedPacket> taken)
		{
			for (int i = end.Out.Count; i > 0; i--)
			{
				QueuedPacket p = end.Out.Take();
				if (p.Body.Length > parameters.MaxBody)
				{
					taken.Add(p);
				}
				else
				{
					end.Out.Push(p.Kind, p.Body, 0, p.Body.Length);
				}
			}
		}

		void Up(long now)
		{
			end.Attach(now);
			State = SessionState.Open;
			everUp = true;
			failures = 0;
			referrals = 0;
			retried = false;
			openedAt = now;
			probeBy = Nanos.Never;
			end.PingAt = now;
			carriedAt = 0;
			end.AckDue = true; // a word at once: only a client that was heard has its grace (SPEC 6.6)
			beatEvery = Below(parameters.Interval); // the first beats of a million clients are spread
		}

		void Back(Control.ResumedBody b, long now)
		{
			parameters = b.Parameters;
			Up(now);
			end.HoldPeer = b.Hold;
		}

		void Resumed(Packet p, long now)
		{
			Control.ResumedBody b = Control.ReadResumed(p);
			if (fresh || b.Recv < end.Acked || b.Recv > end.Wrote)
			{
				throw Contradicted("RESUMED");
			}
			if (Unreadable(b.Parameters))
			{
				return;
			}
			end.Trim(b.Recv);
			Back(b, now);
			Change(ChangeKind.Resumed);
		}

		// Carries on behind what either side has: SPEC 6.5.
		void Reset(Packet p, long now)
		{
			Control.ResumedBody b = Control.ReadReset(p);
			if (Unreadable(b.Parameters))
			{
				return;
			}
			SessionChange change = new SessionChange { Kind = ChangeKind.Reset, Reason = new CloseReason(b.Reason, "", true) };
			if (fresh)
			{
				Learn(b.Routes);
				end.Renumber(b.Recv);
			}
			else if (b.Recv < end.Acked || b.Recv > end.Wrote || b.Base < end.Recv)
			{
				throw Contradicted("RESET");
			}
			else
			{
				end.Trim(b.Recv);
				if (b.Restart) // SPEC 6.8
				{
					change.Restart = true;
					end.TakeWritten(change.Undelivered);
					end.Renumber(b.Recv);
				}
			}
			end.Recv = b.Base;
			fresh = false;
			Back(b, now);
			changes.Enqueue(change);
		}

		// Gives up a session whose server tells counts that can't be. The next link logs in.
		LinkException Contradicted(string what)
		{
			string text = what + " tells a count that can't be";
			Gone(new CloseReason(CloseCode.Inconsistent, text), 0);
			return new LinkException(LinkError.Control, text);
		}

		// Reports that a REFUSED is followed by another RESUME on the same link: SPEC 8.4.
		bool TriesAbove(CloseReason why)
		{
			return why.Code == CloseCode.Stale && who != null && !retried && why.Detail != ulong.MaxValue;
		}

		/// <summary>Reports that a REFUSED is followed by a HELLO on the same link: SPEC 8.5.</summary>
		public bool LogsInAfter(CloseReason why)
		{
			return State == SessionState.Opening && who != null && !CloseCode.IsFinal(why.Code) && !CloseCode.IsResumable(why.Code) && !TriesAbove(why);
		}

		// The answer that is neither WELCOME nor RESUMED: SPEC 6.4, 8.3.
		void Refused(Packet p, long now)
		{
			CloseReason why = Control.ReadEnd(p);
			if (CloseCode.IsFinal(why.Code))
			{
				Finish(why);
				return;
			}
			if (TriesAbove(why))
			{
				// A later attempt than ours was accepted, maybe by an earlier run of this app. Try once above it, on
				// the same link.
				retried = true;
				attempt = Math.Max(attempt, why.Detail) + 1;
				Ask(now);
				return;
			}
			if (who != null && !CloseCode.IsResumable(why.Code))
			{
				// The session is gone; this link is as good as any to log in on.
				Gone(why, why.Code == CloseCode.Gone ? why.Detail : 0);
				Ask(now);
				return;
			}
			cutting = true;
			if (!CloseCode.IsResumable(why.Code))
			{
				opening = null; // this login was answered: the next one is another
			}
			Down(now, why, 0);
			if (why.Code == CloseCode.Busy)
			{
				long wait = Math.Min((long)Math.Min(why.Detail, 1UL << 31) * Nanos.Millisecond, maxWait);
				dialAt = wait > 0 ? now + wait + Below(wait / 4) : dialAt;
				PutOff(why, now);
				return;
			}
			if (why.Code == CloseCode.Moved)
			{
				Address = why.Text;
				referrals++;
				if (referrals <= followedAtOnce)
				{
					Follow(now);
				}
			}
			else
			{
				PutOff(why, now);
			}
			if (who != null && (why.Code != CloseCode.Moved || referrals > maxReferrals))
			{
				Failed();
			}
		}

		// Tells the app why it waits, which else it could not know before the first WELCOME.
		void PutOff(CloseReason why, long now)
		{
			changes.Enqueue(new SessionChange { Kind = ChangeKind.PutOff, Reason = why, Delay = dialAt - now });
		}
	}
}
