// SPDX-License-Identifier: MIT

// The shell around a Session: one WebSocket at a time, one timer, and the
// app's handlers. Everything runs on the thread that made it.

import { CloseError, isFinal, isResumable } from "./code.js";
import { CodecError, defaultMaxBody, Kind, type Packet, parseFrame } from "./codec.js";
import { type Params, parseEnd } from "./control.js";
import { type ClientConfig, Failure, RequestError, type RequestOptions, type Sent, type State, type Stats, type Ticket } from "./config.js";
import * as envelope from "./envelope.js";
import type { Queued } from "./end.js";
import { followPage, takeToken } from "./page.js";
import { Session } from "./session.js";
import { abandon, openSocket, type Socket } from "./socket.js";
import { type Type, decodeBody, encodeBody, list, nothing, str } from "./types.js";

interface Call {
	settle: (error: Error | null, payload?: Uint8Array) => void;
}

interface Link {
	socket: Socket;
	index: number; // of its address; -1: the server told it
	opened: boolean;
	told: boolean; // that it did not open is not the address's fault
	waiting: Uint8Array[] | null; // what came while a ticket is fetched
}

/** The longest message that every server takes: transport/SPEC.md 7.4. */
const maxMessage = 64 << 10;

/** How long the attempts to log in repeat their ticket: session/SPEC.md 6.1. */
const ticketLife = 60_000;

/** How often a socket that takes no more is looked at; it doesn't tell. */
const drainEvery = 50;

const maxOld = 4;

const JoinBody = list(str);
const utf8 = new TextEncoder();

/**
 * One player's end of a session. It comes back by itself whenever a link
 * breaks, until close or a final code of the server.
 */
export class Client {
	/** What happened since the client was made. */
	readonly stats: Stats = { opens: 0, resumes: 0, resets: 0, losses: 0, cuts: 0, dials: 0, sent: 0, received: 0, dropped: 0, bytesIn: 0, bytesOut: 0 };

	private readonly core: Session;
	private readonly addresses: string[];
	private readonly handlers = new Map<string, (payload: Uint8Array) => void>();
	private readonly answerers = new Map<string, (payload: Uint8Array) => Promise<Uint8Array>>();
	private readonly calls = new Map<number, Call>();
	private readonly unfollow: () => void;
	private readonly opening: PromiseWithResolversOf<void>;
	private lastCall = 0;
	private started = false;
	private over = false; // end was called
	private inside = 0; // depth of callbacks that end with settle
	private link: Link | null = null;
	private old: Socket[] = []; // that cut left open
	private dialling: { stop: () => void } | null = null;
	private first = 0; // index of the address to try first
	private ticket: Uint8Array | null = null; // for the core's next HELLO
	private ticketUntil = -Infinity; // until then it is good for one more attempt
	private timer: ReturnType<typeof setTimeout> | undefined;
	private lastError = "";
	private routes: readonly string[] = []; // the dictionary that numbers is made from
	private numbers = new Map<string, number>();

	/**
	 * Makes a client that does nothing until connect, so that handlers can be
	 * registered before the first message. Addresses look like
	 * "wss://host/path" and are tried in their order; what worked last is preferred.
	 */
	constructor(addresses: string | string[], private readonly cfg: ClientConfig = {}) {
		this.addresses = typeof addresses === "string" ? [addresses] : addresses;
		if (this.addresses.length === 0) {
			throw new Error("lifeline: no address to connect to");
		}
		this.core = new Session({
			ticket: () => this.ticket, info: cfg.info, token: cfg.token ?? takeToken(cfg.keep),
			maxPackets: cfg.maxPackets, maxBytes: cfg.maxBytes, openingTimeout: cfg.openingTimeout, minDelay: cfg.minDelay, maxDelay: cfg.maxDelay,
			random: () => crypto.getRandomValues(new BigUint64Array(1))[0],
		});
		this.opening = withResolvers();
		this.opening.promise.catch(() => undefined); // whoever called connect is told
		this.unfollow = followPage(this, cfg.keep);
	}

	/** Starts the client. Resolves when its session is open for the first time. */
	connect(): Promise<void> {
		if (!this.started) {
			this.started = true;
			this.settle();
		}
		return this.opening.promise;
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

	/** Registers fn for the messages of a route. A second one for the same route throws. */
	on<T>(route: string, type: Type<T>, fn: (message: T) => void): void {
		claim(this.handlers, route, (payload) => fn(decodeBody(type, payload)));
	}

	/**
	 * Registers what answers the server's requests on a route. A RequestError is
	 * the answer as it stands; any other error tells the server only that the
	 * handler failed.
	 */
	handle<Q, A>(route: string, ask: Type<Q>, answer: Type<A>, fn: (question: Q) => A | Promise<A>): void {
		claim(this.answerers, route, async (payload) => {
			let question: Q;
			try {
				question = decodeBody(ask, payload);
			} catch (e) {
				throw new RequestError(Failure.BadRequest, String(e));
			}
			return encodeBody(answer, await fn(question));
		});
	}

	/**
	 * Sends a message. It reports false when too much waits already or the client
	 * has ended; without a link it waits to be sent.
	 */
	send<T>(route: string, type: Type<T>, value: T): boolean {
		return this.push(Kind.Message, envelope.encodeMessage(this.numbered(route), encodeBody(type, value)));
	}

	/**
	 * Asks the server and waits for the answer. The request outlives lost links;
	 * only the timeout and the signal bound the wait. Fails with a RequestError,
	 * which is what the server answered, or Failure.Reset when the session was
	 * reset or ended before the answer.
	 */
	request<Q, A>(route: string, ask: Type<Q>, value: Q, answer: Type<A>, options: RequestOptions = {}): Promise<A> {
		const { timeout = 10_000, signal } = options;
		return new Promise<A>((resolve, reject) => {
			signal?.throwIfAborted();
			const id = ++this.lastCall;
			let timer: ReturnType<typeof setTimeout> | undefined;
			const abort = (): void => call.settle(signal!.reason);
			const call: Call = {
				settle: (error, payload) => {
					this.calls.delete(id);
					clearTimeout(timer);
					signal?.removeEventListener("abort", abort);
					try {
						if (error !== null) {
							throw error;
						}
						resolve(decodeBody(answer, payload!));
					} catch (e) {
						reject(e);
					}
				},
			};
			this.calls.set(id, call);
			signal?.addEventListener("abort", abort);
			if (timeout < Infinity) {
				timer = setTimeout(() => call.settle(new Error(`lifeline: no answer to ${route} in ${timeout} ms`)), timeout);
			}
			if (!this.push(Kind.Request, envelope.encodeRequest(id, this.numbered(route), encodeBody(ask, value)))) {
				call.settle(new Error(this.core.state === "ended" ? "lifeline: closed" : "lifeline: too much waits to be sent"));
			}
		});
	}

	/** Takes a seat in a room. */
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

	/** Says goodbye, which ends the session on the server at once. */
	close(): void {
		this.started = true;
		this.core.close();
		this.settle();
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
		this.lastError = "cut";
		this.core.linkDropped(now());
		this.settle();
	}

	/** Goes to the background: the grace of the session starts, and no link is kept until hurry. */
	pause(): void {
		this.core.pause();
		if (this.link !== null) {
			this.link.told = true;
		}
		this.dialling?.stop();
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
			this.changes();
			if (action === "cut") {
				this.part();
				continue;
			}
			if (action === "dial") {
				this.dial();
			}
			break;
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
		this.dialling?.stop();
		for (const s of this.old) {
			s.close();
		}
		this.old = [];
	}

	/** Takes over what the core says became of the session. */
	private changes(): void {
		for (const ch of this.core.changes()) {
			switch (ch.kind) {
				case "opened": {
					this.stats.opens++;
					this.opened();
					const undelivered = this.undelivered(ch.undelivered, new CodecError("too-large"));
					this.tell({ kind: "opened", undelivered });
					this.opening.resolve();
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
					this.tell(ch);
					this.opening.resolve(); // by a stored token: it is open all the same
					break;
				case "moving":
					this.tell({ kind: "moving", delay: ch.delay });
					break;
				case "put off":
					this.tell({ kind: "refused", error: ch.error, delay: ch.delay });
					break;
				case "lost":
					this.stats.losses++;
					this.tell({ kind: "lost", error: ch.error.text === "" && !ch.error.remote ? new CloseError(ch.error.code, this.lastError) : ch.error });
					break;
				case "ending": {
					this.ticketUntil = -Infinity;
					const undelivered = this.undelivered(ch.undelivered);
					this.failCalls("the session ended before the answer came");
					const ended = this.core.state === "ended";
					this.tell({ kind: ended ? "closed" : "gone", error: ch.error, undelivered });
					if (ended) {
						this.opening.reject(ch.error);
					}
				}
			}
		}
	}

	private tell(s: State): void {
		guard(() => this.cfg.onState?.(s));
	}

	private opened(): void {
		if (this.link !== null) {
			this.first = Math.max(this.link.index, 0);
			this.link.opened = true;
		}
	}

	private failCalls(text: string): void {
		for (const call of [...this.calls.values()]) {
			call.settle(new RequestError(Failure.Reset, text));
		}
	}

	/** What was sent and will not arrive. With an error its requests fail. */
	private undelivered(packets: Queued[], error?: Error): Sent[] {
		const sent: Sent[] = [];
		for (const p of packets) {
			if (p.kind === Kind.Message) {
				const m = envelope.parseMessage(p.body);
				sent.push({ route: this.named(m.route), payload: m.payload, request: false });
			} else if (p.kind === Kind.Request) {
				const q = envelope.parseRequest(p.body);
				sent.push({ route: this.named(q.route), payload: q.payload, request: true });
				if (error) {
					this.calls.get(Number(q.id))?.settle(error);
				}
			}
		}
		return sent;
	}

	// --- dialling

	/** Tries the addresses once each, from the preferred one on, until one answers. */
	private dial(): void {
		this.dialling?.stop();
		let live = true;
		let undo = (): void => undefined;
		this.dialling = {
			stop: (): void => {
				live = false;
				undo();
			},
		};
		const own = this.addresses.map((_, i) => (this.first + i) % this.addresses.length);
		const list = [...this.elsewhere().map((url) => ({ url, index: -1 })), ...own.map((index) => ({ url: this.addresses[index], index }))];
		const next = (i: number): void => {
			if (i === list.length) {
				this.dialling = null;
				this.core.linkDown(now());
				this.settle();
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
					this.lastError = socket;
					next(i + 1);
					return;
				}
				this.dialling = null;
				this.linkUp(socket, index);
			});
		};
		if (!this.cfg.ticket || this.core.token !== "" || now() < this.ticketUntil) {
			next(0);
			return;
		}
		void this.fetchTicket().then(() => {
			if (live) {
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

	/** Fetches what the core's next HELLO carries. */
	private async fetchTicket(): Promise<void> {
		let t: Ticket = null;
		try {
			t = await this.cfg.ticket!();
		} catch (e) {
			report(e);
		}
		this.ticket = typeof t === "string" ? utf8.encode(t) : t;
		this.ticketUntil = now() + ticketLife;
	}

	private linkUp(socket: Socket, index: number): void {
		const l: Link = { socket, index, opened: false, told: false, waiting: null };
		this.link = l;
		this.core.linkUp(now(), Date.now());
		socket.onmessage = (e: { data: unknown }): void => this.message(l, e.data);
		socket.onclose = (e: { code?: number }): void => this.broke(l, `the socket closed with status ${e.code ?? 0}`);
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

	private broke(l: Link, why: string): void {
		if (this.link !== l) {
			return;
		}
		this.leaveLink();
		l.socket.close();
		this.lastError = why;
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
			this.broke(l, "a message that is not binary");
		} else if (l.waiting !== null) {
			l.waiting.push(b);
		} else {
			this.stats.bytesIn += b.length;
			this.take(l, b, 0);
		}
	}

	/** Takes the frames of a message from at on. fetched: the first one has its ticket. */
	private take(l: Link, b: Uint8Array, at: number, fetched = false): void {
		this.inside++;
		let broken = "";
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
			broken = String(e);
		}
		this.inside--;
		this.changes();
		if (broken !== "") {
			this.broke(l, broken);
		}
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
		void this.fetchTicket().then(() => {
			const later = l.waiting!;
			l.waiting = null;
			this.take(l, b, at, true);
			later.forEach((m) => this.message(l, m));
		});
	}

	private packet(p: Packet): void {
		if ((p.kind === Kind.Refused || p.kind === Kind.Bye) && this.link !== null) {
			this.link.told = true;
			this.lastError = "";
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
			report(e);
		}
	}

	private deliver(p: Packet): void {
		switch (p.kind) {
			case Kind.Response: {
				const { id, payload } = envelope.parseResponse(p.body);
				this.calls.get(Number(id))?.settle(null, payload);
				break;
			}
			case Kind.Failure: {
				const { id, code, text } = envelope.parseFailure(p.body);
				this.calls.get(Number(id))?.settle(new RequestError(code, text));
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
					fn(payload);
				} else if (this.cfg.onMessage) {
					this.cfg.onMessage(name, payload);
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
				report(e);
				answer(Kind.Failure, envelope.encodeFailure(id, Failure.Internal, "the client's handler failed"));
			},
		);
	}
}

/** A clock that never jumps, in milliseconds. */
function now(): number {
	return performance.now();
}

function claim<V>(map: Map<string, V>, route: string, v: V): void {
	if (map.has(route)) {
		throw new Error(`lifeline: route ${route} has a handler already`);
	}
	map.set(route, v);
}

/** An error of the app's own code, which must not stop the session. */
function report(e: unknown): void {
	if (typeof reportError === "function") {
		reportError(e);
	} else {
		console.error(e);
	}
}

function guard(fn: () => void): void {
	try {
		fn();
	} catch (e) {
		report(e);
	}
}

interface PromiseWithResolversOf<T> {
	promise: Promise<T>;
	resolve: (v: T) => void;
	reject: (e: unknown) => void;
}

function withResolvers(): PromiseWithResolversOf<void> {
	let resolve!: () => void;
	let reject!: (e: unknown) => void;
	const promise = new Promise<void>((res, rej) => {
		resolve = res;
		reject = rej;
	});
	return { promise, resolve, reject };
}
