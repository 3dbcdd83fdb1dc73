// SPDX-License-Identifier: MIT

// The shell around a Session: one WebSocket at a time, one timer, and the
// app's handlers. Everything runs on the thread that made it.

import { CloseError, Code, isFinal, isResumable } from "./code.js";
import { CodecError, defaultMaxBody, Kind, type Packet, parseFrame } from "./codec.js";
import { type Params, parseEnd } from "./control.js";
import { type ClientConfig, type ConnectOptions, Failure, RequestError, type RequestOptions, type Sent, type ClientEvent, type Stats } from "./config.js";
import * as envelope from "./envelope.js";
import type { Queued } from "./end.js";
import { Page } from "./page.js";
import { type Change, Session } from "./session.js";
import { abandon, openSocket, type Socket } from "./socket.js";
import { Tickets } from "./ticket.js";
import { type Type, decodeBody, encodeBody, list, nothing, str } from "./types.js";
import { bound, checkTimeout, within } from "./wait.js";

interface Call {
	answer: (payload: Uint8Array) => void;
	fail: (reason: unknown) => void;
}

/** The promise of connect. */
interface Opening {
	promise: Promise<void>;
	resolve: () => void;
	reject: (reason: unknown) => void;
}

interface Link {
	socket: Socket;
	index: number; // of its address; -1: the server told it
	opened: boolean;
	told: boolean; // that it did not open is not the address's fault
	waiting: Uint8Array[] | null; // what came while a ticket is fetched
	waitingBytes: number;
}

/** The longest message that every server takes: transport/SPEC.md 7.4. */
const maxMessage = 64 << 10;

/** How often a socket that takes no more is looked at; it doesn't tell. */
const drainEvery = 50;

const maxOld = 4;

/** What may come while a ticket is fetched, in messages: a server waits for the login. */
const maxWaiting = 64;

const JoinBody = list(str);
const utf8 = new TextEncoder();

/**
 * One player's end of a session. It comes back by itself whenever a link
 * breaks, until close or a final code of the server.
 */
export class Client {
	/** What happened since the client was made. */
	readonly stats: Stats = { opens: 0, resumes: 0, resets: 0, losses: 0, cuts: 0, dials: 0, sent: 0, received: 0, dropped: 0, bytesIn: 0, bytesOut: 0 };

	private core: Session;
	private readonly addresses: string[];
	private readonly handlers = new Map<string, (payload: Uint8Array) => unknown>();
	private readonly answerers = new Map<string, (payload: Uint8Array) => Promise<Uint8Array>>();
	private readonly calls = new Map<number, Call>();
	private readonly page: Page;
	private readonly tickets: Tickets;
	private opening: Opening | null = null; // once connect was called
	private unfollow: () => void = () => undefined;
	private lastCall = 0;
	private started = false;
	private over = false; // end was called
	private inside = 0; // depth of callbacks that end with settle
	private untold: Change[] = [];
	private link: Link | null = null;
	private old: Socket[] = []; // that cut left open
	private dialing: { stop: () => void } | null = null;
	private trying = false; // connecting was told, and not what came of it
	private first = 0; // index of the address to try first
	private timer: ReturnType<typeof setTimeout> | undefined;
	private cause: Error | null = null; // why the last link or attempt ended, as far as we know
	private routes: readonly string[] = []; // the dictionary that numbers is made from
	private numbers = new Map<string, number>();

	/**
	 * Makes a client that does nothing until connect, so that handlers can be
	 * registered before the first message. Addresses look like
	 * "wss://host/path" and are tried in their order; what worked last is
	 * preferred. What can't be an address throws.
	 */
	constructor(addresses: string | readonly string[], private readonly cfg: ClientConfig = {}) {
		this.addresses = typeof addresses === "string" ? [addresses] : [...addresses];
		if (this.addresses.length === 0) {
			throw new Error("lifeline: no address to connect to");
		}
		this.addresses.forEach(checkAddress);
		this.page = new Page(cfg.storageKey);
		this.tickets = new Tickets(cfg.ticket, cfg.ticketTimeout);
		this.core = this.makeCore();
	}

	private makeCore(): Session {
		const { info, token, maxPackets, maxBytes, maxReceive, openingTimeout, minDelay = 500, maxDelay = 30_000 } = this.cfg;
		return new Session({
			ticket: () => this.tickets.value, info, token, maxPackets, maxBytes, maxReceive, openingTimeout,
			minDelay: Math.max(minDelay, 1), maxDelay: Math.max(maxDelay, 1), // without a pause nothing else would run
			random: () => crypto.getRandomValues(new BigUint64Array(1))[0],
		});
	}

	/**
	 * Starts the client. Resolves when its session is open for the first time,
	 * and rejects when the client ends before. It tries until then: see the
	 * states connecting and failed. Another call returns the same promise; after
	 * the client has ended it rejects.
	 */
	connect(options: ConnectOptions = {}): Promise<void> {
		checkTimeout(options.timeout);
		const wrong = this.core.state === "ended" ? "the client has ended: make a new one" : lacking(this.cfg);
		if (wrong !== "") {
			return Promise.reject(new Error(`lifeline: ${wrong}`));
		}
		const opening = (this.opening ??= this.begin());
		if (options.timeout === undefined && options.signal === undefined) {
			return opening.promise;
		}
		const late = (): Error => new Error(`lifeline: not connected in ${options.timeout} ms${this.cause ? `; last: ${this.cause.message}` : ""}`, { cause: this.cause });
		return within(opening.promise, options, late, () => this.close());
	}

	private begin(): Opening {
		const opening = {} as Opening;
		opening.promise = new Promise((resolve, reject) => Object.assign(opening, { resolve, reject }));
		opening.promise.catch(() => undefined); // the one who called connect is told
		void this.start(opening);
		return opening;
	}

	/** Starts after the caller has run: what React mounts and unmounts at once leaves no trace. */
	private async start(opening: Opening): Promise<void> {
		await undefined;
		if (this.opening !== opening) {
			return;
		}
		const token = this.cfg.token || this.cfg.storageKey === undefined ? "" : await this.page.take();
		if (this.opening !== opening) {
			if (this.opening === null) {
				this.page.putBack(token);
			}
			return;
		}
		this.started = true;
		if (token !== "") {
			this.core.adopt(token);
		}
		if (this.core.state === "paused") {
			this.core.hurry(now());
		}
		this.unfollow = this.page.follow(this);
		this.settle();
	}

	/** The reconnect token: whoever has it is the player. Empty without a session. */
	get token(): string {
		return this.core.token;
	}

	/** The id of the session, empty without one. */
	get id(): string {
		return this.core.id;
	}

	/** The smoothed round trip of heartbeats in milliseconds; 0 before the first on a link. */
	get rtt(): number {
		return this.core.rtt;
	}

	/** Reports whether a link carries the session at this moment. */
	get connected(): boolean {
		return this.core.state === "open";
	}

	/** What the server dictates: heartbeats, grace and limits. */
	get params(): Readonly<Params> {
		return this.core.params;
	}

	/** How much the server has not accepted. */
	get queued(): { packets: number; bytes: number } {
		return this.core.queued;
	}

	// --- messages and requests

	/**
	 * Registers fn for the messages of a route, and returns what takes it off
	 * again. A second one for the same route throws.
	 */
	onMessage<T>(route: string, type: Type<T>, fn: (message: T) => unknown): () => void {
		checkType(type);
		return claim(this.handlers, route, (payload) => fn(named(route, () => decodeBody(type, payload))));
	}

	/**
	 * Registers what answers the server's requests on a route, and returns what
	 * takes it off again. A RequestError is the answer as it stands; any other
	 * error tells the server only that the handler failed. A second one for the
	 * same route throws.
	 */
	onRequest<Q, A>(route: string, ask: Type<Q>, answer: Type<A>, fn: (question: Q) => A | Promise<A>): () => void {
		checkType(ask);
		checkType(answer);
		return claim(this.answerers, route, async (payload) => {
			let question: Q;
			try {
				question = decodeBody(ask, payload);
			} catch (e) {
				throw new RequestError(Failure.BadRequest, String(e));
			}
			const reply = await fn(question);
			return named(route, () => encodeBody(answer, reply));
		});
	}

	/**
	 * Sends a message. It reports false when too much waits already or the client
	 * has ended; without a link it waits to be sent. A value that does not fit the
	 * type throws.
	 */
	send<T>(route: string, type: Type<T>, value: T): boolean {
		checkType(type);
		return this.push(Kind.Message, envelope.encodeMessage(this.numbered(route), named(route, () => encodeBody(type, value))));
	}

	/**
	 * Asks the server and waits for the answer. The request outlives lost links;
	 * only the timeout and the signal bound the wait. Fails with a RequestError,
	 * which is what the server answered, or Failure.Reset when the session was
	 * reset or ended before the answer.
	 */
	request<Q, A>(route: string, ask: Type<Q>, value: Q, answer: Type<A>, options: RequestOptions = {}): Promise<A> {
		return new Promise<A>((resolve, reject) => {
			checkType(ask);
			checkType(answer);
			options.signal?.throwIfAborted();
			const { timeout = 10_000, signal } = options;
			const id = ++this.lastCall;
			const body = envelope.encodeRequest(id, this.numbered(route), named(route, () => encodeBody(ask, value)));
			const end = (): void => {
				this.calls.delete(id);
				undo();
			};
			const call: Call = {
				answer: (payload) => {
					end();
					try {
						resolve(named(route, () => decodeBody(answer, payload)));
					} catch (e) {
						reject(e);
					}
				},
				fail: (reason) => {
					end();
					reject(reason);
				},
			};
			const undo = bound({ timeout, signal }, () => new Error(`lifeline: no answer to ${route} in ${timeout} ms`), call.fail);
			this.calls.set(id, call);
			try {
				if (!this.push(Kind.Request, body)) {
					call.fail(new Error(this.core.state === "ended" ? "lifeline: closed" : "lifeline: too much waits to be sent"));
				}
			} catch (e) {
				call.fail(e);
			}
		});
	}

	/**
	 * Takes a seat in a room; there is one at a time. The seat belongs to the
	 * session: whenever another one was opened, the client is in no room. So join
	 * in the state opened.
	 */
	join(room: string, key: string, options?: RequestOptions): Promise<void> {
		return this.request("room.join", JoinBody, [room, key], nothing, options);
	}

	/** Gives up the seat in the room. */
	leave(options?: RequestOptions): Promise<void> {
		return this.request("room.leave", JoinBody, [], nothing, options);
	}

	private push(kind: Kind, body: Uint8Array): boolean {
		const ok = this.core.send(kind, body) === "ok";
		if (ok) {
			this.stats.sent++;
			this.settle();
		}
		return ok;
	}

	/** A route as its number, if the server's dictionary has it. */
	private numbered(route: string): envelope.Route {
		if (this.routes !== this.core.routes) {
			this.routes = this.core.routes;
			this.numbers = new Map(this.routes.map((name, n) => [name, n]));
		}
		const n = this.numbers.get(route);
		if (n !== undefined) {
			return n;
		}
		const size = route.length <= envelope.maxRouteName ? utf8.encode(route).length : Infinity;
		if (size < 1 || size > envelope.maxRouteName) {
			throw new CodecError("route", route);
		}
		return route;
	}

	/** A route as its name; a number that nobody listed as # and the number. */
	private named(route: envelope.Route): string {
		const routes = this.core.routes.length > 0 ? this.core.routes : this.routes;
		return typeof route === "string" ? route : (routes[route] ?? `#${route}`);
	}

	// --- what the app wants of the link

	/**
	 * Says goodbye, which ends the session on the server at once, and the client
	 * for good: the state closed follows, and what waits for an answer fails.
	 * Before connect, or at once after it, nothing has begun: what was sent so far
	 * is dropped, and the client may connect again.
	 */
	close(): void {
		if (this.started) {
			this.core.close();
			this.settle();
			return;
		}
		this.opening?.reject(new CloseError(Code.Left));
		this.opening = null;
		this.core = this.makeCore();
		this.failCalls("closed before the client had started");
	}

	/**
	 * Drops the link without a word on the network, as a pulled cable would; for
	 * tests. The client notices at once and comes back. The socket stays open,
	 * unheard, as closing it would tell the server.
	 */
	cut(): void {
		const l = this.link;
		if (l === null) {
			return;
		}
		this.stats.cuts++;
		l.told = true; // our own doing: the address is as good as it was
		this.leaveLink();
		this.old.push(l.socket);
		if (this.old.length > maxOld) {
			this.old.shift()!.close();
		}
		this.cause = new Error("cut");
		this.core.linkDropped(now());
		this.settle();
	}

	/** Goes to the background: the grace of the session starts, and no link is kept until hurry. */
	pause(): void {
		this.core.pause();
		if (this.link !== null) {
			this.link.told = true;
		}
		this.leaveAttempt();
		this.settle();
	}

	/**
	 * Tells that the app is back in the foreground or that the network changed: a
	 * lost link is opened again at once, a pause ends, and a link that seems to
	 * be fine is asked to prove it within seconds.
	 */
	hurry(): void {
		this.core.hurry(now());
		this.settle();
	}

	// --- the loop: everything that happens ends with settle

	private settle(): void {
		if (!this.started || this.inside > 0) {
			return; // whoever is inside settles
		}
		this.inside++;
		for (;;) {
			const action = this.core.check(now(), Date.now());
			const told = this.changes();
			if (action === "cut") {
				this.part();
			} else if (action === "dial") {
				this.dial();
			} else if (!told && !this.tellFailed()) {
				break; // nothing happened that the app could have reacted to
			}
		}
		this.inside--;
		this.write();
		this.arm();
		if (this.core.state === "ended" && !this.over) {
			this.over = true;
			this.end();
		}
	}

	/** Sets the one timer for when there is something to do. */
	private arm(): void {
		clearTimeout(this.timer);
		let at = this.core.due();
		if (this.link !== null && this.link.socket.bufferedAmount > 0 && this.core.queued.packets > 0) {
			at = Math.min(at, now() + drainEvery);
		}
		if (at < Infinity) {
			this.timer = setTimeout(() => this.settle(), Math.min(Math.max(at - now(), 0), 2 ** 30));
		}
	}

	private end(): void {
		clearTimeout(this.timer);
		this.unfollow();
		this.leaveAttempt();
		for (const s of this.old) {
			s.close();
		}
		this.old = [];
	}

	private leaveAttempt(): void {
		this.dialing?.stop();
		this.dialing = null;
		this.tickets.stop();
	}

	/** Takes over what the core says became of the session. False: nothing. */
	private changes(): boolean {
		this.untold.push(...this.core.changes());
		if (this.untold.length === 0) {
			return false;
		}
		this.inside++;
		for (let ch = this.untold.shift(); ch !== undefined; ch = this.untold.shift()) {
			this.change(ch);
			this.untold.push(...this.core.changes()); // the app may have closed
		}
		this.inside--;
		return true;
	}

	private change(ch: Change): void {
		switch (ch.kind) {
			case "opened": {
				this.stats.opens++;
				this.opened();
				const undelivered = this.undelivered(ch.undelivered, new CodecError("too-large"));
				this.tell({ kind: "opened", undelivered });
				this.opening?.resolve();
				break;
			}
			case "resumed":
				this.stats.resumes++;
				this.opened();
				this.tell(ch);
				break;
			case "reset":
				this.stats.resets++;
				this.opened();
				this.failCalls("the session was reset before the answer came");
				this.tell({ kind: "reset", reason: ch.error.code });
				this.opening?.resolve(); // by a stored token: it is open all the same
				break;
			case "moving":
				this.tell({ kind: "moving", delay: ch.delay });
				break;
			case "put off":
				this.trying = false; // the server itself has said why
				this.tell({ kind: "refused", error: ch.error, delay: ch.delay });
				break;
			case "lost":
				this.stats.losses++;
				if (ch.stuck && this.link !== null && this.link.index >= 0) {
					this.first = (this.link.index + 1) % this.addresses.length; // another way may do better
				}
				this.tell({ kind: "lost", error: ch.error.text === "" && !ch.error.remote ? new CloseError(ch.error.code, this.cause?.message) : ch.error });
				break;
			case "ending": {
				this.tickets.forget();
				void this.page.hold("");
				const undelivered = this.undelivered(ch.undelivered);
				this.failCalls("the session ended before the answer came");
				const closed = this.core.state === "ended" && !this.untold.some((later) => later.kind === "ending");
				this.tell({ kind: closed ? "closed" : "gone", error: ch.error, undelivered });
				if (closed) {
					this.opening?.reject(ch.error);
				}
			}
		}
	}

	/** Tells of an attempt that came to nothing. False: there is none. */
	private tellFailed(): boolean {
		const { state } = this.core;
		if (!this.trying || state === "dialing" || state === "opening") {
			return false;
		}
		this.trying = false;
		if (state !== "waiting") {
			return false; // paused or closed meanwhile
		}
		this.cause ??= new CloseError(Code.OpenTimeout);
		const delay = Math.max(this.core.due() - now(), 0);
		if (delay === 0 && this.cause instanceof CloseError && this.cause.code === Code.Moved) {
			return false; // sent on: the same attempt, elsewhere
		}
		this.tell({ kind: "failed", error: this.cause, delay });
		return true;
	}

	private tell(s: ClientEvent): void {
		if (this.cfg.onEvent) {
			this.run(() => this.cfg.onEvent!(s));
		} else if (s.kind === "failed" || s.kind === "refused" || s.kind === "gone" || (s.kind === "closed" && s.error.code !== Code.Left)) {
			console.warn(`lifeline: ${s.kind}: ${s.error.message}`);
		}
	}

	private opened(): void {
		this.trying = false;
		if (this.cfg.storageKey !== undefined) {
			void this.page.hold(this.core.id);
		}
		if (this.link !== null) {
			this.first = Math.max(this.link.index, 0);
			this.link.opened = true;
		}
	}

	private failCalls(text: string): void {
		for (const call of [...this.calls.values()]) {
			call.fail(new RequestError(Failure.Reset, text));
		}
	}

	/** What was sent and will not arrive. With an error its requests fail. */
	private undelivered(packets: Queued[], error?: Error): Sent[] {
		return packets
			.filter((p) => p.kind === Kind.Message || p.kind === Kind.Request)
			.map((p) => {
				const request = p.kind === Kind.Request;
				try {
					const { route, payload } = request ? envelope.parseRequest(p.body) : envelope.parseMessage(p.body);
					if (request && error) {
						this.calls.get(Number(envelope.parseRequest(p.body).id))?.fail(error);
					}
					return { route: this.named(route), payload, request };
				} catch {
					return { route: "", payload: p.body, request }; // what became of a session never depends on parsing
				}
			});
	}

	// --- dialing

	/** Tries the addresses once each, from the preferred one on, until one answers. */
	private dial(): void {
		this.dialing?.stop();
		this.trying = true;
		this.tell({ kind: "connecting" });
		if (this.core.state !== "dialing") {
			return; // the app thought better of it
		}
		this.cause = null;
		let live = true;
		let undo = (): void => undefined;
		this.dialing = {
			stop: (): void => {
				live = false;
				undo();
			},
		};
		const own = this.addresses.map((_, i) => (this.first + i) % this.addresses.length);
		const list = [...this.elsewhere().map((url) => ({ url, index: -1 })), ...own.map((index) => ({ url: this.addresses[index], index }))];
		const failed = (why: Error): void => {
			this.dialing = null;
			this.cause = why;
			this.core.linkDown(now());
			this.settle();
		};
		const reasons: string[] = [];
		const next = (i: number): void => {
			if (i === list.length) {
				failed(new Error(reasons.join("; ")));
				return;
			}
			const { url, index } = list[i];
			this.stats.dials++;
			undo = openSocket(this.cfg.open, url, this.cfg.dialTimeout ?? 5000, (socket) => {
				if (!live) { // paused or closed meanwhile
					if (typeof socket !== "string") {
						abandon(socket);
					}
					return;
				}
				if (typeof socket === "string") {
					reasons.push(socket);
					next(i + 1);
					return;
				}
				this.dialing = null;
				this.linkUp(socket, index);
			});
		};
		if (this.core.token !== "" || this.tickets.ready(now())) {
			next(0);
			return;
		}
		void this.tickets.fetch(now).then((error) => {
			if (live && error) {
				failed(error);
			} else if (live) {
				next(0);
			}
		});
	}

	/**
	 * Where the server sent us, as far as the app chose that carrier itself: nobody
	 * is talked out of encryption. session/SPEC.md 8.9.
	 */
	private elsewhere(): string[] {
		const scheme = (url: string): string => url.slice(0, url.indexOf(":"));
		return this.core.address.split(/\s+/).filter((url) => url !== "" && this.addresses.some((own) => scheme(own) === scheme(url)));
	}

	private linkUp(socket: Socket, index: number): void {
		const l: Link = { socket, index, opened: false, told: false, waiting: null, waitingBytes: 0 };
		this.link = l;
		this.core.linkUp(now(), Date.now());
		socket.onmessage = (e: { data: unknown }): void => this.message(l, e.data);
		socket.onclose = (e: { code?: number }): void => this.broke(l, new Error(`the socket closed with status ${e.code ?? 0}`));
		this.settle();
	}

	// --- leaving a link

	private leaveLink(): Link | null {
		const l = this.link;
		this.link = null;
		if (l !== null) {
			if (!l.opened && !l.told && l.index >= 0) {
				this.first = (l.index + 1) % this.addresses.length; // try another way
			}
			l.socket.onmessage = l.socket.onclose = null;
			l.socket.onerror = (): void => undefined;
		}
		return l;
	}

	/** Leaves the link with the core's last words, if it has any. */
	private part(): void {
		const last = this.core.output(now(), 0);
		const l = this.leaveLink();
		if (l !== null) {
			this.transmit(l, last);
			l.socket.close();
		}
	}

	private broke(l: Link, why: Error): void {
		if (this.link !== l) {
			return;
		}
		this.leaveLink();
		l.socket.close();
		this.cause = why;
		this.core.linkDown(now());
		this.settle();
	}

	// --- writing

	private write(): void {
		const l = this.link;
		if (l === null) {
			return;
		}
		// A whole frame always fits into an empty socket.
		const limit = Math.max(maxMessage, this.core.params.maxBody + 16);
		this.transmit(l, this.core.output(now(), limit - l.socket.bufferedAmount));
	}

	/** Sends frames in as few messages as there may be. */
	private transmit(l: Link, frames: Uint8Array[]): void {
		for (let from = 0; from < frames.length; ) {
			let size = frames[from].length;
			let to = from + 1;
			while (to < frames.length && size + frames[to].length <= maxMessage) {
				size += frames[to++].length;
			}
			const b = new Uint8Array(size);
			for (let at = 0; from < to; at += frames[from++].length) {
				b.set(frames[from], at);
			}
			this.stats.bytesOut += size;
			l.socket.send(b);
		}
	}

	// --- reading

	private message(l: Link, data: unknown): void {
		if (this.link !== l) {
			return;
		}
		const b = data instanceof ArrayBuffer ? new Uint8Array(data) : ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : null;
		if (b === null) {
			this.broke(l, new Error("a message that is not binary"));
		} else if (l.waiting !== null) {
			l.waiting.push(b);
			l.waitingBytes += b.length;
			if (l.waiting.length > maxWaiting || l.waitingBytes > maxMessage) {
				this.broke(l, new Error("the server sends on before its session is open"));
			}
		} else {
			this.stats.bytesIn += b.length;
			this.take(l, b, 0);
		}
	}

	/** Takes the frames of a message from at on. fetched: the first one has its ticket. */
	private take(l: Link, b: Uint8Array, at: number, fetched = false): void {
		this.inside++;
		let broken: Error | null = null;
		try {
			while (at < b.length && this.link === l && this.listening) {
				const f = parseFrame(b, at, Math.max(this.core.params.maxBody, defaultMaxBody));
				if (f === null) {
					throw new CodecError("malformed", "a message that ends in the middle of a frame");
				}
				if (!fetched && this.wantsTicket(f.packet)) {
					this.fetchFor(l, b, at);
					break;
				}
				at = f.end;
				fetched = false;
				this.packet(f.packet);
			}
		} catch (e) {
			broken = e as Error;
		}
		this.changes();
		if (broken !== null) {
			this.broke(l, broken);
		}
		this.inside--;
		this.settle();
	}

	private get listening(): boolean {
		return this.core.state === "open" || this.core.state === "opening";
	}

	/** Reports that the core is about to log in on the link on which its session was refused. */
	private wantsTicket(p: Packet): boolean {
		if (p.kind !== Kind.Refused || this.core.state !== "opening" || this.core.token === "" || !this.cfg.ticket) {
			return false;
		}
		const code = parseEnd(p).code;
		return !isFinal(code) && !isResumable(code);
	}

	/** Fetches a ticket before the rest of a message is taken. */
	private fetchFor(l: Link, b: Uint8Array, at: number): void {
		l.waiting = [];
		void this.tickets.fetch(now).then((error) => {
			const later = l.waiting!;
			l.waiting = null;
			if (error) {
				l.told = true;
				this.broke(l, error);
				return;
			}
			this.take(l, b, at, true);
			later.forEach((m) => this.message(l, m));
		});
	}

	private packet(p: Packet): void {
		if ((p.kind === Kind.Refused || p.kind === Kind.Bye) && this.link !== null) {
			this.link.told = true;
			this.cause = parseEnd(p);
		}
		const deliver = this.core.receive(p, now());
		this.changes();
		if (!deliver) {
			return;
		}
		this.stats.received++;
		try {
			this.deliver(p);
		} catch (e) {
			this.stats.dropped++;
			this.report(e);
		}
	}

	private deliver(p: Packet): void {
		switch (p.kind) {
			case Kind.Response: {
				const { id, payload } = envelope.parseResponse(p.body);
				this.calls.get(Number(id))?.answer(payload);
				break;
			}
			case Kind.Failure: {
				const { id, code, text } = envelope.parseFailure(p.body);
				this.calls.get(Number(id))?.fail(new RequestError(code, text));
				break;
			}
			case Kind.Request:
				this.asked(p);
				break;
			default: {
				const { route, payload } = envelope.parseMessage(p.body);
				const name = this.named(route);
				const fn = this.handlers.get(name);
				if (fn) {
					this.watch(fn(payload));
				} else if (this.cfg.onMessage) {
					this.watch(this.cfg.onMessage(name, payload));
				} else {
					this.stats.dropped++;
				}
			}
		}
	}

	/** Answers a request of the server, in the session in which it was asked. */
	private asked(p: Packet): void {
		const { id, route, payload } = envelope.parseRequest(p.body);
		const name = this.named(route);
		const session = this.core.id;
		const answer = (kind: Kind, body: Uint8Array): void => {
			if (this.core.id === session) {
				this.push(kind, body);
			}
		};
		const fn = this.answerers.get(name);
		if (!fn) {
			answer(Kind.Failure, envelope.encodeFailure(id, Failure.NoRoute, `the client does not answer ${name}`));
			return;
		}
		fn(payload).then(
			(reply) => answer(Kind.Response, envelope.encodeResponse(id, reply)),
			(e: unknown) => {
				if (e instanceof RequestError) {
					answer(Kind.Failure, envelope.encodeFailure(id, e.code, e.text));
					return;
				}
				this.report(e);
				answer(Kind.Failure, envelope.encodeFailure(id, Failure.Internal, "the client's handler failed"));
			},
		);
	}

	// --- errors of the app's own code, which must not stop the session

	/** Runs a callback of the app. */
	private run(fn: () => unknown): void {
		try {
			this.watch(fn());
		} catch (e) {
			this.report(e);
		}
	}

	/** Waits for what an async callback ends with. */
	private watch(result: unknown): void {
		if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
			(result as PromiseLike<unknown>).then(undefined, (e: unknown) => this.report(e));
		}
	}

	private report(e: unknown): void {
		try {
			if (this.cfg.onError) {
				this.cfg.onError(e);
			} else if (typeof reportError === "function" && !("process" in globalThis)) {
				reportError(e); // outside of browsers it may end the process
			} else {
				console.error(e);
			}
		} catch (again) {
			console.error(again, e);
		}
	}
}

/** A clock that never jumps, in milliseconds. */
function now(): number {
	return performance.now();
}

function claim<V>(map: Map<string, V>, route: string, v: V): () => void {
	if (map.has(route)) {
		throw new Error(`lifeline: route ${route} has a handler already`);
	}
	map.set(route, v);
	return () => {
		if (map.get(route) === v) {
			map.delete(route);
		}
	};
}

/** Adds the route to what is wrong with its value. */
function named<T>(route: string, fn: () => T): T {
	try {
		return fn();
	} catch (e) {
		throw e instanceof CodecError ? new CodecError(e.word, e.detail, e.path === "" ? route : `${route}: ${e.path}`) : e;
	}
}

function checkType(type: Type<any>): void {
	if (typeof type?.write !== "function") {
		throw new TypeError("lifeline: a type is missing, such as str, struct({ x: f32 }) or anything");
	}
}

function checkAddress(url: string): void {
	let why = "";
	if (!/^wss?:\/\//i.test(url)) {
		why = "it must begin with ws:// or wss://";
	} else if (url.includes("#")) {
		why = "a WebSocket takes no #fragment";
	} else {
		try {
			new URL(url);
		} catch {
			why = "it is no URL";
		}
	}
	if (why !== "") {
		throw new Error(`lifeline: address ${JSON.stringify(url)}: ${why}`);
	}
}

/** What this place lacks, in words. Not asked before connect: pages are made on servers, too. */
function lacking(cfg: ClientConfig): string {
	if (!cfg.open && typeof WebSocket === "undefined") {
		return "there is no WebSocket here: pass open, for example with the package ws";
	}
	if (typeof globalThis.crypto?.getRandomValues !== "function") {
		return "there is no crypto.getRandomValues here: load a polyfill first, such as react-native-get-random-values";
	}
	return "";
}
