// SPDX-License-Identifier: MIT

// Counting, the outbound buffer with its cursor, and the liveness of the
// current link: session/SPEC.md 4 and 5. It has no clock: all times are
// milliseconds that it is told.

import { encodeFrame, Flag, frameSize, type Header, Kind, type Packet } from "./codec.js";
import { LinkError } from "./control.js";

/** So many accepted packets are acknowledged at once: SPEC 4.4. */
const ackEvery = 32;

/** What the thinnest line must carry a second, in bytes: SPEC 5.6. */
const stuckBytes = 1024;

/** How much an answer may have to wait for, in bytes: SPEC 5.6. */
const maxHeard = 65_536;

/** A counted packet that the peer has not accepted. */
export interface Queued {
	kind: Kind;
	body: Uint8Array;
}

/** How much may be unacknowledged on a link: SPEC 4.6. */
export interface Window {
	packets: number;
	bytes: number;
}

/**
 * One end of a session. The counters live as long as the session; SPEC 4.1:
 *
 *	acked <= wrote <= sent    and    acked < next <= sent+1
 */
export class End {
	out: Queued[] = []; // packets acked+1 ... sent
	outBytes = 0; // of their bodies
	acked = 0; // accepted by the peer, trimmed here
	wrote = 0; // highest number ever put on a link
	sent = 0; // highest number assigned
	next = 1; // cursor: number to write next on this link
	recv = 0; // accepted from the peer

	// Of the current link; attach resets all of it.
	lastRecv = 0; // any progress of receiving
	lastSent = 0;
	pingAt = 0;
	pingDue = false;
	ackDue = false;
	holdPeer = false; // the peer asked us to send nothing counted
	rtt = 0; // smoothed round trip; 0 before the first
	private told = 0; // the acknowledgement last written
	private toldBytes = 0; // body bytes accepted since
	asking = false; // a ping in the stream waits for its echo: a question, SPEC 5.6
	askedAt = 0; // when that was first written
	private heard = 0; // body bytes that came since, up to maxHeard
	private progressAt = 0; // of the streams while a question is open, or of what is outstanding
	private pingMark = 0; // packets written before the ping: its echo must acknowledge them
	private pingID = 0;
	private echoID = 0;
	private echoDue = false;
	private holdUs = false; // we ask the peer; outlives links
	private holdDue = false; // and it has yet to be told
	private flight = 0; // body bytes of the packets acked+1 ... next-1

	/** Forgets everything but the wish to hold. */
	clear(): Queued[] {
		const left = this.out;
		this.out = [];
		this.outBytes = this.acked = this.wrote = this.sent = this.recv = this.flight = 0;
		this.next = 1;
		return left;
	}

	/** Starts a new link on which the peer has told what it accepted. */
	attach(now: number): void {
		this.told = this.recv;
		this.toldBytes = this.flight = this.rtt = 0;
		this.next = this.acked + 1;
		this.lastRecv = this.lastSent = this.progressAt = now;
		this.asking = this.pingDue = this.echoDue = this.ackDue = this.holdPeer = false;
		this.holdDue = this.holdUs;
	}

	push(kind: Kind, body: Uint8Array): void {
		this.out.push({ kind, body });
		this.outBytes += body.length;
		this.sent++;
	}

	/** Continues our own stream behind what the peer has accepted. */
	renumber(accepted: number): void {
		this.acked = this.wrote = accepted;
		this.sent = accepted + this.out.length;
	}

	/** Forgets what was written and is not acknowledged, and returns it. */
	takeWritten(): Queued[] {
		const taken = this.out.splice(0, this.wrote - this.acked);
		for (const p of taken) {
			this.outBytes -= p.body.length;
		}
		return taken;
	}

	/** Forgets what the peer has accepted. */
	trim(n: number): void {
		for (const p of this.out.splice(0, n - this.acked)) {
			this.outBytes -= p.body.length;
			if (++this.acked < this.next) {
				this.flight -= p.body.length;
			}
		}
		this.next = Math.max(this.next, n + 1);
	}

	/** Asks the peer to stop or go on sending counted packets. */
	hold(on: boolean): void {
		if (this.holdUs !== on) {
			this.holdUs = on;
			this.holdDue = true;
		}
	}

	/** Reports whether the packet at the cursor may be written. */
	private open(w: Window): boolean {
		if (this.holdPeer || this.next > this.sent) {
			return false;
		}
		if (this.flight === 0) {
			return true; // one packet always may, however large
		}
		return this.next - this.acked <= w.packets && this.flight + this.cursor().body.length <= w.bytes;
	}

	private cursor(): Queued {
		return this.out[this.next - this.acked - 1];
	}

	/**
	 * Returns the frames that are due: heartbeats first, so that a ping never
	 * waits behind bulk, then counted packets while they fit into room bytes and
	 * into the window.
	 */
	frames(now: number, room: number, w: Window, random16: () => number): Uint8Array[] {
		const frames: Uint8Array[] = [];
		if (this.echoDue) {
			this.echoDue = false;
			frames.push(this.heartbeat(Flag.Echo, this.echoID));
		}
		if (this.pingDue) {
			// Its clock starts when it is first written (SPEC 5.3); one that is open is
			// repeated with its id, so that whichever echo comes first answers it.
			if (!this.asking) {
				this.asking = true;
				this.pingID = random16();
				this.askedAt = this.progressAt = now;
				this.pingMark = this.next - 1;
				this.heard = 0;
			}
			this.pingDue = false;
			this.pingAt = now;
			frames.push(this.heartbeat(Flag.EchoWanted, this.pingID));
		}
		if (this.holdDue) {
			frames.push(this.heartbeat(0, 0));
		}
		while (this.open(w)) {
			const p = this.cursor();
			room -= frameSize(p.body.length);
			if (room < 0) {
				break;
			}
			if (this.next === this.acked + 1) {
				this.progressAt = now;
			}
			frames.push(encodeFrame({ kind: p.kind, flags: 0, seq: this.next & 0xffff, ack: this.ack() }, p.body));
			this.wrote = Math.max(this.wrote, this.next);
			this.next++;
			this.flight += p.body.length;
		}
		if (this.ackDue) {
			frames.push(this.heartbeat(0, 0));
		}
		if (frames.length > 0) {
			this.lastSent = now;
		}
		return frames;
	}

	private heartbeat(flags: number, id: number): Uint8Array {
		this.holdDue = false;
		return encodeFrame({ kind: Kind.Heartbeat, flags: this.holdUs ? flags | Flag.Hold : flags, seq: id, ack: this.ack() });
	}

	/** The acknowledgement that every written packet carries. */
	private ack(): number {
		this.told = this.recv;
		this.toldBytes = 0;
		this.ackDue = false;
		return this.recv % 2 ** 32;
	}

	/** Takes the ack32 of a received packet: SPEC 4.3. */
	acknowledged(p: Packet, now: number): void {
		if (p.kind !== Kind.Heartbeat && p.kind < Kind.Request) {
			return; // a control packet's means nothing
		}
		const d = (p.ack - (this.acked % 2 ** 32)) | 0;
		if (d <= 0) {
			return; // late: acknowledgements never go back
		}
		if (this.acked + d > this.wrote) {
			throw new LinkError("unsent");
		}
		this.trim(this.acked + d);
		this.progressAt = now;
	}

	/** Takes a received heartbeat. */
	beat(h: Header, now: number): void {
		if (this.holdPeer) {
			this.progressAt = now; // whoever holds may read nothing, echoes too
		}
		this.holdPeer = (h.flags & Flag.Hold) !== 0;
		if ((h.flags & Flag.EchoWanted) !== 0) {
			this.echoDue = true;
			this.echoID = h.seq;
		}
		if ((h.flags & Flag.Echo) === 0 || !this.asking || h.seq !== this.pingID) {
			return; // an echo that is late, repeated or made up proves life and nothing else
		}
		this.asking = false;
		const rtt = now - this.askedAt;
		this.rtt = this.rtt === 0 ? rtt : this.rtt + (rtt - this.rtt) / 8;
		if (this.acked < this.pingMark) {
			throw new LinkError("gap", "the tail before our ping never arrived"); // SPEC 4.5
		}
	}

	/** Decides on a counted packet: accept it, or drop one that came before. */
	count(seq: number, size: number, w: Window): boolean {
		this.heard = Math.min(this.heard + size, maxHeard);
		const d = ((seq - (this.recv + 1)) << 16) >> 16;
		if (d > 0) {
			throw new LinkError("gap");
		}
		if (d < 0) {
			return false;
		}
		this.recv++;
		this.toldBytes += size;
		const n = this.recv - this.told;
		if (n >= Math.min(ackEvery, Math.max(Math.floor(w.packets / 4), 1)) || this.toldBytes >= Math.max(Math.floor(w.bytes / 4), 1)) {
			this.ackDue = true;
		}
		return true;
	}

	/** Takes note of bytes that came and make no packet yet. */
	saw(now: number): void {
		this.lastRecv = now;
		if (this.heard < maxHeard) {
			this.progressAt = now; // the answer may stand behind them
		}
	}

	/** Forgives the peer the time that passed while we stood still: it has left until the timeout. */
	excuse(now: number, timeout: number, left: number): void {
		const since = Math.min(now, now - timeout + left);
		this.lastRecv = Math.max(this.lastRecv, since);
		this.progressAt = Math.max(this.progressAt, since);
	}

	/** Reports that a question in the stream was not answered in time: SPEC 5.6. */
	stuck(now: number, timeout: number): boolean {
		const patience = Math.max(timeout, 8 * this.rtt) + ((this.flight + this.heard) * 1000) / stuckBytes;
		return this.asking && !this.holdPeer && now - this.progressAt > patience;
	}
}
