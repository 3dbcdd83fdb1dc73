// SPDX-License-Identifier: MIT

// The client's end of a session as a pure state machine: it is told packets
// and times, and says what to write and when to look again. Section numbers are
// those of session/SPEC.md; the same rules in Go are in session/client.go, and
// the scripts in session/testdata/scripts hold both to them.

import { CodecError, defaultMaxBody, isCounted, Kind, type Packet } from "./codec.js";
import { Code, CloseError, isFinal, isResumable } from "./code.js";
import * as control from "./control.js";
import { LinkError, type Params } from "./control.js";
import { End, type Queued } from "./end.js";

/** How a session behaves. All durations are milliseconds. */
export interface SessionConfig {
	/**
	 * What the game's authentication gets to see; called for every new login. Undefined:
	 * there is none at present, so the attempt has failed, and another one follows.
	 */
	ticket?: (() => Uint8Array | null | undefined) | undefined;
	/** Describes the client to the server. */
	info?: string | undefined;
	/** Resumes the session of an earlier run of the app instead of logging in. */
	token?: string | undefined;
	/** Bound what waits to be accepted by the server: 1,024 packets and 1 MiB. */
	maxPackets?: number | undefined;
	maxBytes?: number | undefined;
	/** The largest body that is read, in bytes: 1 MiB, at least 64 KiB. A server that may send larger ones ends the client. */
	maxReceive?: number | undefined;
	/** How long a link has to become a session's: 5 s. */
	openingTimeout?: number | undefined;
	/** Bound the pauses between attempts: 0.5 s and 30 s. */
	minDelay?: number | undefined;
	maxDelay?: number | undefined;
	/** 64 random bits that nobody can guess. */
	random: () => bigint;
}

/** Where a client stands: SPEC 7.2. */
export type SessionState = "waiting" | "dialing" | "opening" | "open" | "paused" | "ended";

/**
 * What check asks of whoever holds the socket. "dial": open a link, then call
 * linkUp or linkDown. "cut": close the link, after writing what output returns.
 */
export type Action = "wait" | "dial" | "cut";

/**
 * What became of the session. Undelivered is what was sent and will not arrive:
 * with "opened" bodies larger than the server takes, with "reset" what a server that
 * was lost may have handled, with "ending" all that it is not known to have accepted.
 */
export type Change =
	| { kind: "opened"; undelivered: Queued[] } // a new session
	| { kind: "lost"; error: CloseError; stuck: boolean } // the link is gone; the client is coming back. stuck: another way may do better (SPEC 5.6)
	| { kind: "resumed" } // nothing was lost, nothing comes twice
	| { kind: "reset"; error: CloseError; undelivered: Queued[]; restart: boolean } // the server's stream starts anew: expect a snapshot. restart: its server was lost
	| { kind: "put off"; error: CloseError; delay: number } // the server said no for now: the next attempt is after delay
	| { kind: "moving"; delay: number; address: string } // the server will let it go after delay
	| { kind: "ending"; error: CloseError; undelivered: Queued[] }; // the session is gone

/** How long a suspected link has to answer: SPEC 8.6. */
const probeLimit = 2500;

/** How late a check may come before its caller stood still: SPEC 5.4. */
const lateLimit = 1000;

/** How far the wall clock may run ahead before the device must have slept: SPEC 8.6. */
const sleepLimit = 2000;

/** The longest pause that is made because a server says so: SPEC 3.4. */
const maxWait = 600_000;

/** How long one attempt to log in repeats its opening id and ticket: SPEC 6.1. */
const openingLife = 60_000;

/** How many REFUSED{MOVED} since the session was last open are followed at once: SPEC 8.9. */
const followedAtOnce = 2;

/** How many are no failed resumes: a server may name one that has just died. SPEC 8.3. */
const maxReferrals = 8;

const maxAttempt = (1n << 64n) - 1n;

/** These hold until the server dictates its own: SPEC 3.4. */
const defaultParams: Params = {
	interval: 10_000, timeout: 35_000, grace: 60_000, window: 2000, maxBody: defaultMaxBody, packets: 256, bytes: 128 << 10, reopens: false,
};

export class Session {
	private readonly cfg;
	private readonly end = new End();
	private st: SessionState = "waiting";
	private par = defaultParams;
	private who: control.Identity | null = null; // of the session to resume, null without one
	private fresh = false; // what it had received is lost: a restarted app with a stored token
	private everUp = false; // this session was open at least once in this run
	private opening: { id: Uint8Array; ticket: Uint8Array | null; drawn: number } | null = null;
	private nonce: Uint8Array = new Uint8Array(16);
	private greeted = false;
	private attempt = 0n;
	private at = ""; // where the server sent us (8.9), empty: anywhere
	private moveTo: { address: string; after: number } | null = null; // where it will (3.11)
	private retried = false; // STALE was answered by one more attempt
	private dictionary: readonly string[] = []; // the last one that a server told
	private numbers = false; // the session's server goes by it

	private ctl: Uint8Array[] = []; // control frames to write
	private changed: Change[] = [];
	private cutting = false; // the link is to be closed
	private tries = 0; // attempts since the link was last stable
	private failures = 0; // resumes that failed
	private referrals = 0; // REFUSED{MOVED} since the session was last open
	private dialAt = 0;
	private openBy = 0;
	private openedAt = 0;
	private beatEvery = 0; // the present interval with its jitter
	private probeBy = Infinity;

	private checked: { now: number; wall: number; due: number } | null = null; // of the last check

	/** Makes a session that wants to dial at once. A token that is none throws. */
	constructor(cfg: SessionConfig) {
		this.cfg = {
			ticket: cfg.ticket ?? ((): null => null),
			info: cfg.info ?? "",
			maxPackets: cfg.maxPackets ?? 1024,
			maxBytes: cfg.maxBytes ?? 1 << 20,
			maxReceive: cfg.maxReceive ?? 1 << 20,
			openingTimeout: cfg.openingTimeout ?? 5000,
			minDelay: cfg.minDelay ?? 500,
			maxDelay: cfg.maxDelay ?? 30_000,
			random: cfg.random,
		};
		if (this.cfg.maxReceive < defaultMaxBody) {
			throw new Error(`session: maxReceive ${this.cfg.maxReceive} is below ${defaultMaxBody}, which every server may send`);
		}
		if (cfg.token && !this.adopt(cfg.token)) {
			throw new Error("session: not a reconnect token");
		}
	}

	/** Resumes the session of an earlier run instead of logging in. False: it is no token. */
	adopt(token: string): boolean {
		this.who = control.parseToken(token);
		this.fresh = this.who !== null;
		return this.fresh;
	}

	get state(): SessionState {
		return this.st;
	}

	/** The reconnect token, empty without a session. */
	get token(): string {
		return this.who === null ? "" : control.makeToken(this.who);
	}

	/** The id of the session, empty without one. */
	get id(): string {
		return this.who === null ? "" : control.hex(this.who.sid);
	}

	/** What the server dictates. */
	get params(): Params {
		return this.par;
	}

	/** The smoothed round trip of heartbeats on this link; 0 before the first. */
	get rtt(): number {
		return this.end.rtt;
	}

	/**
	 * The dictionary of the session: route number n is the n-th. It is empty while
	 * there is none, and never changes: another one is another array.
	 */
	get routes(): readonly string[] {
		return this.numbers ? this.dictionary : [];
	}

	/** Where the server sent us, as URLs with blanks between: SPEC 8.9. Empty: anywhere. */
	get address(): string {
		return this.at;
	}

	/** How much the server has not accepted. */
	get queued(): { packets: number; bytes: number } {
		return { packets: this.end.out.length, bytes: this.end.outBytes };
	}

	/** Reports whether a packet that is sent now would be written at once, as far as the window lets it. */
	get writable(): boolean {
		return this.st === "open" && this.end.next > this.end.sent;
	}

	/** How many counted packets were accepted. */
	get received(): number {
		return this.end.recv;
	}

	/** What happened since the last call. */
	changes(): Change[] {
		const c = this.changed;
		this.changed = [];
		return c;
	}

	/**
	 * Appends a counted packet, connected or not. It is refused by "full" when
	 * too much waits, which never drops what was accepted before, by "closed"
	 * after the end, and by a CodecError if no server would take it.
	 */
	send(kind: Kind, body: Uint8Array): "ok" | "full" | "closed" {
		if (!isCounted(kind)) {
			throw new CodecError("counted");
		}
		if (body.length === 0) {
			throw new CodecError("no-body");
		}
		if (body.length > this.par.maxBody) {
			throw new CodecError("too-large");
		}
		if (this.st === "ended") {
			return "closed";
		}
		const { out, outBytes } = this.end;
		if (out.length >= this.cfg.maxPackets || (outBytes + body.length > this.cfg.maxBytes && out.length > 0)) {
			return "full";
		}
		this.end.push(kind, body);
		return "ok";
	}

	/** Asks the server to stop sending counted packets, or to go on. */
	hold(on: boolean): void {
		this.end.hold(on);
	}

	// --- what the app wants

	/** Says goodbye: the caller writes output once more and closes the link. */
	close(): void {
		if (this.st === "ended") {
			return;
		}
		const bye = this.st === "open" ? goodbye() : [];
		this.finish(new CloseError(Code.Left));
		this.ctl = bye;
	}

	/** Goes to the background: the server is told to start the grace now. */
	pause(now: number): void {
		if (this.st === "ended" || this.st === "paused") {
			return;
		}
		this.ctl = [];
		if (this.st === "open") {
			this.ctl.push(control.encodeControl(Kind.Detach, control.Detach, {}));
			this.moved(now);
			this.changed.push({ kind: "lost", error: new CloseError(Code.LinkLost, "paused"), stuck: false });
		}
		this.st = "paused";
		this.cutting = true;
	}

	/** Tries again at once: the app came to the foreground, or the network changed. */
	hurry(now: number): void {
		if (this.st === "waiting" || this.st === "paused") {
			this.st = "waiting";
			this.dialAt = now;
			this.tries = 0;
		} else if (this.st === "open") {
			// An app may call this with every frame; the server answers only so
			// many pings.
			if (this.probeBy === Infinity && now - this.end.pingAt >= Math.max(1000, this.par.interval / 4)) {
				this.probe(now);
			}
		}
	}

	private probe(now: number): void {
		this.end.pingDue = true;
		this.probeBy = Math.min(this.probeBy, now + probeLimit);
	}

	// --- the link

	/** Tells that the link asked for is there. */
	linkUp(now: number, wall: number): void {
		if (this.st !== "dialing") {
			// Nobody waits for it any more. A link in use is not cut for it.
			this.cutting ||= this.st !== "opening" && this.st !== "open";
			return;
		}
		this.st = "opening";
		this.greeted = false;
		this.openBy = now + this.cfg.openingTimeout;
		const micros = BigInt(Math.max(Math.floor(wall), 0)) * 1000n;
		this.attempt = this.attempt >= micros ? this.attempt + 1n : micros;
		this.ctl = [];
	}

	/** Tells that the app itself left the link: the next attempt is soon. */
	linkDropped(now: number): void {
		this.tries = 0;
		this.linkDown(now, false);
	}

	/**
	 * Tells that the link broke or could not be opened. It returns whether another address
	 * may do better.
	 */
	linkDown(now: number, stuck = this.brokenOpen()): boolean {
		if (this.st === "dialing" || this.st === "opening" || this.st === "open") {
			this.down(now, new CloseError(Code.LinkLost), 0, stuck);
		}
		return stuck;
	}

	/**
	 * Whether something arrived so long after a question that is open was sent: the path is
	 * open, and the stream does not move. SPEC 5.6.
	 */
	private pathOpen(since: number): boolean {
		return this.st === "open" && this.end.asking && this.end.lastRecv - this.end.askedAt >= since;
	}

	/** The same for a link that others have ended: an answer may have been on its way. */
	private brokenOpen(): boolean {
		return this.pathOpen(this.par.timeout / 2);
	}

	/** Returns the frames that are due, counted packets as far as they fit into room bytes. */
	output(now: number, room: number): Uint8Array[] {
		const ctl = this.ctl;
		this.ctl = [];
		if (this.st !== "open") {
			return ctl;
		}
		return ctl.concat(this.end.frames(now, room, this.par, () => Number(this.cfg.random() & 0xffffn)));
	}

	/** Tells of bytes of the stream that made no whole packet yet: SPEC 5.2. */
	saw(now: number): void {
		if (this.st === "open" && now > this.end.lastRecv) {
			this.end.saw(now);
			this.probeBy = Infinity;
		}
	}

	private heard(now: number): void {
		this.end.lastRecv = now;
		this.probeBy = Infinity;
	}

	/**
	 * Takes a packet from the link and reports whether it is the application's.
	 * What it throws ends the link; call linkDown after closing it.
	 */
	receive(p: Packet, now: number): boolean {
		if (this.st === "opening") {
			this.receiveOpening(p, now);
			return false;
		}
		if (this.st !== "open") {
			throw new LinkError("fenced"); // what a left link still delivers
		}
		this.heard(now);
		this.end.acknowledged(p, now);
		if (isCounted(p.kind)) {
			return this.end.count(p.seq, p.body.length, this.par);
		}
		switch (p.kind) {
			case Kind.Heartbeat:
				this.end.beat(p, now);
				return false;
			case Kind.Datagram:
				return true;
			case Kind.Tune:
				this.par = control.checkParams({ ...this.par, ...control.decodeControl(p, control.Tune) });
				this.beatEvery = Math.min(this.beatEvery, this.par.interval);
				return false;
			case Kind.Bye:
				this.bye(p, now);
				return false;
			case Kind.Move: {
				const { delay, address } = control.decodeControl(p, control.Move);
				const wait = Math.min(delay, maxWait);
				this.moveTo = { address, after: now + wait };
				this.changed.push({ kind: "moving", delay: wait, address });
				return false;
			}
			case Kind.Resumed: case Kind.Reset: case Kind.Welcome: // an answer given twice
				return false;
		}
		throw new LinkError("kind");
	}

	/** The server's goodbye. The range of its code says what to do. */
	private bye(p: Packet, now: number): void {
		const why = control.parseEnd(p);
		if (isFinal(why.code)) {
			this.finish(why);
			return;
		}
		this.cutting = true;
		let spread = Math.min(this.par.window, maxWait);
		if (why.code === Code.Moved) {
			this.moveTo = null; // this one knows better
			spread = 0; // and its server moves us one by one
		}
		this.down(now, why, spread, why.code === Code.LinkLost && this.brokenOpen());
		if (why.code === Code.Moved) {
			this.at = why.text;
			this.follow(now);
		}
		if (!isResumable(why.code) && this.who !== null) {
			this.gone(why, 0);
		}
	}

	// --- opening: SPEC 2, 6 and 8.3 to 8.5

	private receiveOpening(p: Packet, now: number): void {
		if (p.kind === Kind.Heartbeat) {
			return;
		}
		if (p.kind === Kind.Greeting && !this.greeted) {
			this.greeting(p, now);
			return;
		}
		const resuming = this.who !== null;
		if (!this.greeted) {
			throw new LinkError("kind");
		} else if (p.kind === Kind.Welcome && !resuming) {
			this.welcome(p, now);
		} else if (p.kind === Kind.Resumed && resuming) {
			this.resumed(p, now);
		} else if (p.kind === Kind.Reset && resuming) {
			this.reset(p, now);
		} else if (p.kind === Kind.Refused || p.kind === Kind.Bye) {
			this.refused(p, now);
		} else {
			throw new LinkError("kind");
		}
	}

	private greeting(p: Packet, now: number): void {
		const g = control.decodeControl(p, control.Greeting);
		if (g.version !== control.protocolVersion) {
			this.finish(new CloseError(Code.Version, `the server speaks version ${g.version}`));
			return;
		}
		this.greeted = true;
		this.nonce = g.nonce;
		this.ask(now);
	}

	/**
	 * Reports whether a link that is greeted at that time is asked for another login, with
	 * another ticket: neither for the session nor for a login that is repeated.
	 */
	logsInAnew(at: number): boolean {
		return this.who === null && (this.opening === null || at - this.opening.drawn >= openingLife);
	}

	/** Writes what the client wants of a greeted link. */
	private ask(now: number): void {
		if (this.who !== null) {
			const claim = { sid: this.who.sid, attempt: this.attempt, recv: this.fresh ? null : this.end.recv, lowest: this.end.acked + 1 };
			const proof = control.prove(this.who.key, claim, this.nonce);
			this.ctl.push(this.par.reopens
				? control.encodeControl(Kind.Resume, control.ResumeCan, { ...claim, proof, can: control.canRestart })
				: control.encodeControl(Kind.Resume, control.Resume, { ...claim, proof }));
			return;
		}
		if (this.logsInAnew(now)) {
			const ticket = this.cfg.ticket();
			if (ticket === undefined) {
				this.cutting = true; // never a login without its ticket
				this.down(now, new CloseError(Code.LinkLost), 0);
				return;
			}
			const id = new Uint8Array(16);
			const view = new DataView(id.buffer);
			view.setBigUint64(0, this.cfg.random(), true);
			view.setBigUint64(8, this.cfg.random(), true);
			this.opening = { id, ticket, drawn: now };
		}
		this.ctl.push(control.encodeControl(Kind.Hello, control.Hello, {
			version: control.protocolVersion, nonce: this.nonce, opening: this.opening!.id, ticket: this.opening!.ticket,
			info: this.cfg.info, routes: control.routesHash(this.dictionary), attempt: this.attempt,
		}));
	}

	/** Starts a new session. What the app has sent so far gets its numbers now. */
	private welcome(p: Packet, now: number): void {
		const w = control.decodeControl(p, control.Welcome);
		const params = control.checkParams(w.params);
		const base = control.checkCount(w.base);
		const recv = control.checkCount(w.recv);
		this.learn(w.routes);
		if (this.unreadable(params)) {
			return;
		}
		this.who = { sid: w.sid, key: w.key, seal: w.seal ?? new Uint8Array(0) };
		this.fresh = false;
		this.par = params;
		const undelivered = this.takeTooLarge();
		this.end.renumber(recv);
		this.end.recv = base;
		this.up(now);
		this.changed.push({ kind: "opened", undelivered });
	}

	/** Takes over the dictionary; null stands for the one whose hash the server was told. */
	private learn(routes: string[] | null): void {
		if (routes !== null) {
			this.dictionary = control.checkRoutes(routes);
		}
		this.numbers = this.dictionary.length > 0;
	}

	/** Ends a client that could not read the largest body that the server may send it: SPEC 3.4. */
	private unreadable(p: Params): boolean {
		if (p.maxBody <= this.cfg.maxReceive) {
			return false;
		}
		this.finish(new CloseError(Code.Version, `the server may send bodies of ${p.maxBody} bytes, maxReceive is ${this.cfg.maxReceive}`));
		this.ctl = goodbye();
		return true;
	}

	/** Removes what was sent before this server told that it takes no such bodies: SPEC 4.7. */
	private takeTooLarge(): Queued[] {
		const taken = this.end.out.filter((p) => p.body.length > this.par.maxBody);
		for (const p of taken) {
			this.end.out.splice(this.end.out.indexOf(p), 1);
			this.end.outBytes -= p.body.length;
		}
		return taken;
	}

	private up(now: number): void {
		this.end.attach(now);
		this.st = "open";
		this.everUp = true;
		this.failures = this.referrals = 0;
		this.retried = false;
		this.openedAt = now;
		this.probeBy = Infinity;
		this.end.pingAt = now;
		this.end.ackDue = true; // a word at once: only a heard client has its grace (SPEC 6.6)
		this.beatEvery = this.below(this.par.interval); // the first beat of a million clients is spread
	}

	private back(hold: boolean, params: Params, now: number): void {
		this.par = params;
		this.up(now);
		this.end.holdPeer = hold;
	}

	private resumed(p: Packet, now: number): void {
		const r = control.decodeControl(p, control.Resumed);
		const params = control.checkParams(r.params);
		const recv = Number(r.recv);
		if (this.fresh || recv < this.end.acked || recv > this.end.wrote) {
			this.contradicted("RESUMED");
		}
		if (this.unreadable(params)) {
			return;
		}
		this.end.trim(recv);
		this.back(r.hold, params, now);
		this.changed.push({ kind: "resumed" });
	}

	/** Carries on behind what either side has: SPEC 6.5. */
	private reset(p: Packet, now: number): void {
		const r = control.decodeControl(p, control.Reset);
		const params = control.checkParams(r.params);
		const base = control.checkCount(r.base);
		const recv = control.checkCount(r.recv);
		if (this.unreadable(params)) {
			return;
		}
		let undelivered: Queued[] = [];
		const restart = r.restart && !this.fresh; // SPEC 6.8
		if (this.fresh) {
			this.learn(r.routes);
			this.end.renumber(recv);
		} else if (recv < this.end.acked || recv > this.end.wrote || base < this.end.recv) {
			this.contradicted("RESET");
		} else {
			this.end.trim(recv);
			if (restart) {
				undelivered = this.end.takeWritten();
				this.end.renumber(recv);
			}
		}
		this.end.recv = base;
		this.fresh = false;
		this.back(r.hold, params, now);
		this.changed.push({ kind: "reset", error: new CloseError(r.reason, "", true), undelivered, restart });
	}

	/** Gives up a session whose server tells counts that can't be. The next link logs in. */
	private contradicted(what: string): never {
		const text = `${what} tells a count that can't be`;
		this.gone(new CloseError(Code.Inconsistent, text), 0);
		throw new LinkError("control", text);
	}

	/** Reports that a REFUSED is followed by another RESUME on the same link: SPEC 8.4. */
	private triesAbove(why: CloseError): boolean {
		return why.code === Code.Stale && this.who !== null && !this.retried && why.detail !== maxAttempt;
	}

	/** Reports that a REFUSED is followed by a HELLO on the same link: SPEC 8.5. */
	logsInAfter(why: CloseError): boolean {
		return this.st === "opening" && this.who !== null && !isFinal(why.code) && !isResumable(why.code) && !this.triesAbove(why);
	}

	/** The answer that is neither WELCOME nor RESUMED: SPEC 6.4, 8.3. */
	private refused(p: Packet, now: number): void {
		const why = control.parseEnd(p);
		if (isFinal(why.code)) {
			this.finish(why);
			return;
		}
		if (this.triesAbove(why)) {
			// A later attempt than ours was accepted, maybe by an earlier run of
			// this app. Try once above it, on the same link.
			this.retried = true;
			this.attempt = (this.attempt > why.detail ? this.attempt : why.detail) + 1n;
			this.ask(now);
			return;
		}
		if (this.who !== null && !isResumable(why.code)) {
			// The session is gone; this link is as good as any to log in on.
			this.gone(why, why.code === Code.Gone ? Number(why.detail) : 0);
			this.ask(now);
			return;
		}
		this.cutting = true;
		if (!isResumable(why.code)) {
			this.opening = null; // this login was answered: the next one is another
		}
		this.down(now, why, 0);
		if (why.code === Code.Busy) {
			const wait = Math.min(Number(why.detail), maxWait);
			if (wait > 0) {
				this.dialAt = now + wait + this.below(wait / 4);
			}
			this.putOff(why, now);
			return;
		}
		if (why.code === Code.Moved) {
			this.at = why.text;
			if (++this.referrals <= followedAtOnce) {
				this.follow(now);
			}
		} else {
			this.putOff(why, now);
		}
		if (this.who !== null && (why.code !== Code.Moved || this.referrals > maxReferrals)) {
			this.failed();
		}
	}

	/** Tells the app why it waits, which else it could not know before the first WELCOME. */
	private putOff(error: CloseError, now: number): void {
		this.changed.push({ kind: "put off", error, delay: this.dialAt - now });
	}

	// --- leaving: SPEC 8.1 to 8.3

	/** A random duration below d. */
	private below(d: number): number {
		const nanos = BigInt(Math.round(d * 1e6));
		return nanos <= 0n ? 0 : Number(this.cfg.random() % nanos) / 1e6;
	}

	/** The pause before the next attempt: full jitter over a time that doubles. SPEC 8.2. */
	private backoff(spread: number): number {
		return this.below(Math.max(Math.min(this.cfg.maxDelay, this.cfg.minDelay * 2 ** this.tries), spread));
	}

	/** Leaves the link, whatever state it was in, and plans the next one. */
	private down(now: number, why: CloseError, spread: number, stuck = false): void {
		const was = this.st;
		this.st = "waiting";
		this.probeBy = Infinity;
		this.ctl = [];
		let moved = false;
		if (was === "open") {
			moved = this.moved(now);
			if (now - this.openedAt >= this.par.timeout) {
				this.tries = 0;
			}
			this.changed.push({ kind: "lost", error: why, stuck });
		}
		this.dialAt = now + this.backoff(spread);
		this.tries++;
		if (moved && spread === 0) {
			this.follow(now); // only the BYE{MOVED} is missing
		}
	}

	/** Reports whether the time of a MOVE has come, and goes where it leads: the link has ended, whatever ended it. */
	private moved(now: number): boolean {
		const to = this.moveTo;
		this.moveTo = null;
		if (to === null || to.address === "" || now < to.after) {
			return false;
		}
		this.at = to.address;
		return true;
	}

	/**
	 * Dials at once where the server sent us. That server answered, so this is no
	 * attempt that failed: SPEC 8.9.
	 */
	private follow(now: number): void {
		this.dialAt = now;
		this.tries--; // down counted it
	}

	/** Counts a RESUME that was answered, but not taken: SPEC 8.3. */
	private failed(): void {
		if (++this.failures >= 3) {
			this.gone(new CloseError(Code.Unknown, "three resumes failed"), 0);
		}
	}

	/**
	 * Ends a session that the server must have given up by now, by the clock
	 * that stands still while the device sleeps: SPEC 8.6.
	 */
	private giveUpLate(now: number): void {
		if (this.who !== null && this.everUp && this.st !== "open" && now - this.end.lastRecv > this.par.timeout + this.par.grace) {
			this.gone(new CloseError(Code.Expired, "nobody could be reached for the whole grace"), 0);
		}
	}

	/**
	 * Gives up the session: the next link logs in. final is how much the server
	 * had accepted at the end, as far as it is known.
	 */
	private gone(error: CloseError, final: number): void {
		if (final <= this.end.wrote && final > this.end.acked) {
			this.end.trim(final);
		}
		this.changed.push({ kind: "ending", error, undelivered: this.end.clear() });
		this.who = this.opening = null;
		this.at = "";
		this.fresh = this.everUp = this.retried = this.numbers = false;
		this.failures = 0;
	}

	/** Ends the client for good. */
	private finish(why: CloseError): void {
		this.gone(why, 0);
		this.st = "ended";
		this.cutting = true;
		this.ctl = [];
	}

	// --- time

	/** When check has something to do. */
	due(): number {
		switch (this.st) {
			case "waiting":
				return this.dialAt;
			case "opening":
				return this.openBy;
			case "open":
				return Math.min(this.end.lastRecv + this.par.timeout, this.beatAt(), this.probeBy);
		}
		return Infinity;
	}

	/** An interval after the last time anything was received, or sent, whichever is longer ago. */
	private beatAt(): number {
		if (this.end.pingDue) {
			return Infinity;
		}
		// Asked already in this silence: the next interval begins there.
		return Math.max(Math.min(this.end.lastRecv, this.end.lastSent), this.end.pingAt) + this.beatEvery;
	}

	/**
	 * Does what is due and says what the owner of the socket must do. Call it
	 * after everything else that happens and when due has come. now is of a
	 * clock that never jumps, wall of the one that people read.
	 */
	check(now: number, wall: number): Action {
		if (this.checked !== null && this.st === "open") {
			const slept = wall - this.checked.wall - (now - this.checked.now) > sleepLimit;
			// Output, too, may have moved what is due further away.
			const late = now - Math.max(this.checked.due, this.due()) > lateLimit;
			if (slept || late) {
				// The device slept, its clock was set, or we stood still with
				// answers still unread: ask before believing anything.
				this.end.excuse(now, this.par.timeout, 2 * probeLimit);
				this.probe(now);
			}
		}
		const action = this.act(now);
		this.checked = { now, wall, due: this.due() };
		return action;
	}

	private act(now: number): Action {
		if (this.st === "opening" && now >= this.openBy) {
			this.cutting = true;
			this.down(now, new CloseError(Code.OpeningTimeout), 0);
		} else if (this.st === "open") {
			this.checkOpen(now);
		}
		if (this.cutting) {
			this.cutting = false;
			return "cut";
		}
		if (this.st === "waiting" && now >= this.dialAt) {
			this.giveUpLate(now);
			this.st = "dialing";
			return "dial";
		}
		return "wait";
	}

	private checkOpen(now: number): void {
		const silent = this.end.lastRecv + this.par.timeout <= now || this.probeBy <= now;
		const stuck = this.end.stuck(now, this.par.timeout);
		if (silent || stuck) {
			this.cutting = true;
			this.down(now, new CloseError(Code.LinkLost, "nothing came back in time"), 0, stuck || this.pathOpen(Number.MIN_VALUE));
		} else if (now >= this.beatAt()) {
			this.end.pingDue = true;
			this.beatEvery = this.par.interval * 0.9 + this.below(this.par.interval / 5);
		}
	}
}

function goodbye(): Uint8Array[] {
	return [control.encodeControl(Kind.Bye, control.End, { code: Code.Left, text: "", detail: 0n })];
}
