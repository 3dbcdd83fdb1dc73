// SPDX-License-Identifier: MIT

// The client: a Session, one WebSocket at a time, one timer, and the app's
// handlers. Everything runs on the thread that made it.

import { CloseError, Code } from "./code.js";
import { CodecError, defaultMaxBody, Kind, type Packet, parseFrame } from "./codec.js";
import { type Params, parseEnd, schemaName } from "./control.js";
import { Calls } from "./calls.js";
import { type ClientConfig, type ConnectOptions, Failure, RequestError, type RequestOptions, type Stats } from "./config.js";
import { type Dialed, Dialer } from "./dialer.js";
import * as envelope from "./envelope.js";
import type { Queued } from "./end.js";
import type { ClientEvent, Sent } from "./events.js";
import { ClosedError, LifelineError, QueueFullError, SchemaError, TimeoutError } from "./errors.js";
import { Guard } from "./guard.js";
import { failureOf, HandlerError, Handlers } from "./handlers.js";
import { Link, maxMessage } from "./link.js";
import { Page } from "./page.js";
import { type Platform, standard } from "./platform.js";
import { Refused, type Room, Rooms, Wish } from "./rooms.js";
import { nameOf, onRoute, Routes } from "./routes.js";
import { type Asking, type NoSchema, type Payload, type RouteOf, type Schema, schemaRoute, type Sending, typesOn } from "./schema.js";
import { type Change, Session } from "./session.js";
import type { Socket } from "./socket.js";
import { Tickets } from "./ticket.js";
import { type Type, encodeBody, list, nothing, str } from "./types.js";
import { checkTimeout, reasonOf, within } from "./wait.js";

/** The promise of connect. */
interface Opening {
	promise: Promise<void>;
	resolve: () => void;
	reject: (reason: unknown) => void;
}

/** What became of a session, and what was of it: what the app does before it is told all belongs to the next one. */
interface Untold {
	change: Change;
	asked: number; // the id of its last request
	routes: readonly string[];
}

/** How often a full socket is looked at, in milliseconds: a WebSocket does not tell when it has room. */
const drainEvery = 50;

/** How long before it is used a ticket is fetched, in milliseconds: a dial takes time. */
const ticketAhead = 5000;

/** How many sockets that cut left stay open. */
const maxCutSockets = 4;

/**
 * One player's end of a session. It comes back by itself whenever a link
 * breaks, until close or a final code of the server.
 */
export class Client<S extends Schema = NoSchema> {
	/** What happened since the client was made. */
	readonly stats: Stats = { opens: 0, resumes: 0, resets: 0, losses: 0, cuts: 0, dials: 0, sent: 0, received: 0, dropped: 0, bytesIn: 0, bytesOut: 0 };

	private readonly now: Platform["now"];
	private readonly random: Platform["random"];
	private core: Session;
	private readonly routes = new Routes(() => this.core.routes);
	private readonly calls = new Calls();
	private readonly handlers = new Handlers();
	private readonly guard: Guard;
	private readonly page: Page;
	private readonly tickets: Tickets;
	private readonly dialer: Dialer;
	private readonly rooms: Rooms;
	private readonly ends: (() => unknown)[] = [];
	private opening: Opening | null = null; // since connect
	private started = false;
	private finished = false; // finish was called
	private unfollow: () => void = () => undefined;
	private depth = 0; // of functions that call the app's code and end with settle
	private untold: Untold[] = []; // what the app has not been told yet
	private link: Link | null = null;
	private cutSockets: Socket[] = []; // that cut left open
	private attempting = false; // "connecting" was told, and not yet what came of it
	private readonly newest = new Map<string, Uint8Array>(); // by route: what sendNewest has not sent yet
	private comparedWith = ""; // the server's messages that ours were compared with
	private cause: Error | null = null; // why the last link or attempt ended, as far as it is known
	private timer: ReturnType<typeof setTimeout> | undefined;

	/**
	 * Makes a client that does nothing until connect, so that handlers can be
	 * registered before the first message. Addresses look like "wss://host/path".
	 * They are tried in their order, from the one on that worked last. An address
	 * or a token that can't be one throws.
	 */
	constructor(addresses: string | readonly string[], private readonly cfg: ClientConfig<S> = {}) {
		const platform = cfg.platform ?? standard;
		this.now = () => platform.now();
		this.random = (bytes) => platform.random(bytes);
		this.dialer = new Dialer(addresses, { open: cfg.open, now: this.now, timeout: cfg.dialTimeout ?? 5000, onDial: () => this.stats.dials++ });
		this.guard = new Guard(cfg.onError);
		this.rooms = new Rooms((route, body, answer, options) => this.request(route, Wish, body, answer, options), this.guard, this.handlers, this.random);
		this.handlers.onMessage("message.refused", Refused, (m) => this.guard.report(new RequestError(m.code, `message ${m.route}: ${m.text}`)));
		this.page = new Page(cfg.storageKey);
		this.tickets = new Tickets(cfg.ticket, cfg.ticketTimeout);
		this.core = this.makeCore();
	}

	private makeCore(): Session {
		const { info, token, maxPackets, maxBytes, maxReceive, openingTimeout, minDelay = 500, maxDelay = 30_000 } = this.cfg;
		return new Session({
			ticket: () => this.takeTicket(), info, token, maxPackets, maxBytes, maxReceive, openingTimeout,
			minDelay: Math.max(minDelay, 1), maxDelay: Math.max(maxDelay, 1), // without a pause nothing else would run
			random: () => {
				const b = new Uint8Array(8);
				this.random(b);
				return new DataView(b.buffer).getBigUint64(0, true);
			},
		});
	}

	/**
	 * Starts the client. Resolves when its session is open for the first time,
	 * and rejects when the client ends before. The client tries until then: see the
	 * events connecting and failed. It ends a pause that was before it. Another call
	 * returns the same promise; after the client has ended it rejects.
	 */
	connect(options: ConnectOptions = {}): Promise<void> {
		checkTimeout(options.timeout);
		const ended = this.core.state === "ended";
		const wrong = ended ? "the client has ended: make a new one" : lacking(this.cfg);
		if (wrong !== "") {
			return Promise.reject(new (ended ? ClosedError : LifelineError)(`lifeline: ${wrong}`));
		}
		const opening = (this.opening ??= this.begin());
		const { opens, resets } = this.stats;
		if ((options.timeout === undefined && options.signal === undefined) || opens + resets > 0) {
			return opening.promise;
		}
		const late = (): Error => new TimeoutError(`lifeline: not connected in ${options.timeout} ms${this.cause ? `; last: ${this.cause.message}` : ""}`, { cause: this.cause });
		return within(opening.promise, options, late, () => this.close());
	}

	private begin(): Opening {
		this.core.hurry(this.now()); // ends a pause that was before it
		const opening = {} as Opening;
		opening.promise = new Promise((resolve, reject) => Object.assign(opening, { resolve, reject }));
		opening.promise.catch(() => undefined); // the caller of connect is told
		void this.start(opening);
		return opening;
	}

	/** Starts after the caller has run: a component that React mounts and unmounts at once leaves no trace. */
	private async start(opening: Opening): Promise<void> {
		await Promise.resolve();
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
		this.unfollow = this.page.follow(this);
		this.settle();
	}

	/** The reconnect token. It is a secret: a client that has it is the player. Empty without a session. */
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

	/** How much was sent and is not accepted by the server yet. */
	get queued(): { packets: number; bytes: number } {
		return this.core.queued;
	}

	// --- messages and requests

	/**
	 * Registers a handler for the messages of a route, and returns a function that
	 * removes it. A second handler for the same route throws. With a schema the type
	 * is known; without one, or for other routes, it stands before the handler.
	 */
	onMessage<T>(route: string, type: Type<T>, fn: (message: T) => unknown): () => void;
	onMessage<R extends RouteOf<S, "pushes">>(route: R, fn: (message: Payload<S["pushes"][R]>) => unknown): () => void;
	onMessage(route: string, ...rest: any[]): () => void {
		const [type, fn] = rest.length > 1 ? rest : [...typesOn(this.cfg.schema, "pushes", route), ...rest];
		checkType(type);
		return this.handlers.onMessage(route, type, fn);
	}

	/**
	 * Registers a handler that answers the server's requests on a route, and returns
	 * a function that removes it. If it throws a RequestError, that is the answer;
	 * after any other error the server learns only that the handler failed. A second
	 * handler for the same route throws.
	 */
	onRequest<Q, A>(route: string, ask: Type<Q>, answer: Type<A>, fn: (question: Q) => A | Promise<A>): () => void;
	onRequest<R extends RouteOf<S, "questions">>(route: R, fn: (question: Payload<S["questions"][R]>) => Payload<S["questions"][R], 1> | Promise<Payload<S["questions"][R], 1>>): () => void;
	onRequest(route: string, ...rest: any[]): () => void {
		const [ask, answer, fn] = rest.length > 1 ? rest : [...typesOn(this.cfg.schema, "questions", route), ...rest];
		checkType(ask);
		checkType(answer);
		return this.handlers.onRequest(route, ask, answer, fn);
	}

	/**
	 * Sends a message. Without a link it waits to be sent. False: too much waits
	 * already, or the client has ended. A value that does not fit the type throws.
	 */
	send<T>(route: string, type: Type<T>, value: T): boolean;
	send<R extends RouteOf<S, "messages">>(route: R, ...value: Sending<Payload<S["messages"][R]>>): boolean;
	send(route: string, ...rest: unknown[]): boolean {
		return this.push(Kind.Message, envelope.encodeMessage(this.routes.encode(route), this.payload(route, rest)));
	}

	/**
	 * Sends a message of which only the newest counts, as inputs and positions: while
	 * it waits, because there is no link or it is behind, a later one on the same
	 * route takes its place. So it takes no room from other messages, and may come
	 * after one that was sent later. What waits when the session ends is dropped.
	 * False: the client has ended. A value that does not fit the type throws.
	 */
	sendNewest<T>(route: string, type: Type<T>, value: T): boolean;
	sendNewest<R extends RouteOf<S, "messages">>(route: R, ...value: Sending<Payload<S["messages"][R]>>): boolean;
	sendNewest(route: string, ...rest: unknown[]): boolean {
		const name = this.routes.encode(route); // a name that is none throws here
		const payload = this.payload(route, rest);
		if (envelope.encodeMessage(name, payload).length > this.core.params.maxBody) {
			throw new CodecError("too-large");
		}
		if (this.core.state === "ended") {
			return false;
		}
		this.newest.set(route, payload);
		this.settle();
		return true;
	}

	/** Encodes what send was given behind the route: a type and a value, or a value of the schema's type. */
	private payload(route: string, rest: any[]): Uint8Array {
		const [type, value] = rest.length > 1 ? rest : [...typesOn(this.cfg.schema, "messages", route), ...rest];
		checkType(type);
		return onRoute(route, () => encodeBody(type, value));
	}

	/**
	 * Sends a request and waits for the answer. The request outlives lost links;
	 * only the timeout and the signal bound the wait. It rejects with a RequestError:
	 * what the server answered, or Failure.Reset when the session was reset or ended
	 * before the answer; with a TimeoutError, ClosedError or QueueFullError; or with
	 * the reason of the signal.
	 */
	request<Q, A>(route: string, ask: Type<Q>, value: Q, answer: Type<A>, options?: RequestOptions): Promise<A>;
	request<R extends RouteOf<S, "requests">>(route: R, ...rest: Asking<Payload<S["requests"][R]>>): Promise<Payload<S["requests"][R], 1>>;
	async request(route: string, ...rest: any[]): Promise<unknown> {
		if (rest.length < 3) {
			const [ask, answer] = typesOn(this.cfg.schema, "requests", route);
			rest = [ask, rest[0], answer, rest[1]];
		}
		const [ask, value, answer] = rest as [Type<unknown>, unknown, Type<unknown>];
		const options: RequestOptions = rest[3] ?? {};
		checkType(ask);
		checkType(answer);
		if (options.signal?.aborted) {
			throw reasonOf(options.signal);
		}
		const id = this.calls.next();
		const body = envelope.encodeRequest(id, this.routes.encode(route), onRoute(route, () => encodeBody(ask, value)));
		return this.calls.wait(id, route, answer, options, () => {
			if (!this.push(Kind.Request, body)) {
				throw this.core.state === "ended" ? new ClosedError("lifeline: closed") : new QueueFullError("lifeline: too much waits to be sent");
			}
		});
	}

	/** Makes fn run when a session has ended, before closed and gone are told. */
	onEnd(fn: () => unknown): void {
		this.ends.push(fn);
	}

	/**
	 * Returns the client's view of a type of room, always the same one: which room of the
	 * type it is in, and what is called when it gets in and out.
	 */
	room(type: string): Room {
		return this.rooms.room(type);
	}

	/**
	 * Takes a seat in a room; a session has one of each type at a time. A new session is in
	 * no room, so join when the event opened comes.
	 */
	join(room: string, key: string, options?: RequestOptions): Promise<void> {
		this.rooms.appDecides(room);
		return this.request("room.join", Wish, [room, key], nothing, options);
	}

	/** Gives up the seat in the only room that the client is in. */
	leave(options?: RequestOptions): Promise<void> {
		this.rooms.appDecides();
		return this.request("room.leave", Wish, [], nothing, options);
	}

	private push(kind: Kind, body: Uint8Array): boolean {
		const ok = this.core.send(kind, body) === "ok";
		if (ok) {
			this.stats.sent++;
			this.settle();
		}
		return ok;
	}

	// --- what the app wants of the link

	/**
	 * Says goodbye, which ends the session on the server at once, and ends the
	 * client: the event closed follows, and requests without an answer fail. Before
	 * connect, or at once after it, nothing has begun: what was sent so far is
	 * dropped, and the client may connect again.
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
		this.newest.clear();
		this.calls.failAll("closed before the client had started");
	}

	/**
	 * For tests: drops the link without a word on the network, as a pulled cable
	 * does. The client notices at once and comes back. The socket stays open and is
	 * ignored, because closing it would tell the server.
	 */
	cut(): void {
		const { link } = this;
		if (link === null || this.core.state === "ended") { // it is left with a goodbye
			return;
		}
		this.stats.cuts++;
		link.excused = true;
		this.leaveLink();
		this.cutSockets.push(link.socket);
		if (this.cutSockets.length > maxCutSockets) {
			this.cutSockets.shift()!.close();
		}
		this.cause = new Error("cut");
		this.core.linkDropped(this.now());
		this.settle();
	}

	/** Reports that pause was called, and hurry was not yet. */
	get paused(): boolean {
		return this.core.state === "paused";
	}

	/** Goes to the background: the grace of the session starts, and there is no link until hurry. */
	pause(): void {
		this.core.pause(this.now());
		if (this.link !== null) {
			this.link.excused = true;
		}
		this.stopAttempt();
		this.settle();
	}

	/**
	 * Call it when the app is back in the foreground or the network changed. A
	 * client without a link connects now instead of after its pause, a pause of
	 * the app ends, and a link that seems to be fine has seconds to prove it.
	 */
	hurry(): void {
		this.dialer.addresses.networkChanged();
		this.core.hurry(this.now());
		this.settle();
	}

	// --- the loop: everything that happens ends with settle

	private settle(): void {
		if (!this.started || this.depth > 0) {
			return; // the outermost call settles
		}
		this.depth++;
		for (;;) {
			const action = this.core.check(this.now(), Date.now());
			const told = this.tellChanges();
			if (action === "cut") {
				this.closeLink();
			} else if (action === "dial") {
				this.dial();
			} else if (!told && !this.tellFailed()) {
				break; // nothing happened that the app could have reacted to
			}
		}
		this.depth--;
		this.write();
		this.setTimer();
		if (this.core.state === "ended" && !this.finished) {
			this.finished = true;
			this.finish();
		}
	}

	private write(): void {
		const { link } = this;
		if (link !== null) {
			const room = Math.max(maxMessage, this.core.params.maxBody + 16); // an empty socket takes any frame
			const send = (): void => {
				this.stats.bytesOut += link.send(this.core.output(this.now(), room - link.socket.bufferedAmount));
			};
			send();
			if (this.newest.size > 0 && this.core.writable && !(link.socket.bufferedAmount >= maxMessage)) {
				this.takeNewest();
				send();
			}
		}
	}

	/** Moves what sendNewest was given to what is sent. */
	private takeNewest(): void {
		for (const [route, payload] of this.newest) {
			let taken;
			try {
				taken = this.core.send(Kind.Message, envelope.encodeMessage(this.routes.encode(route), payload));
			} catch (e) { // larger than this server takes; the one before took it
				this.newest.delete(route);
				this.guard.report(e);
				continue;
			}
			if (taken !== "ok") {
				return; // too much waits: later
			}
			this.newest.delete(route);
			this.stats.sent++;
		}
	}

	/** Sets the one timer for when there is something to do. */
	private setTimer(): void {
		clearTimeout(this.timer);
		let due = this.core.due();
		if (this.link !== null && this.link.socket.bufferedAmount > 0 && (this.core.queued.packets > 0 || this.newest.size > 0)) {
			due = Math.min(due, this.now() + drainEvery);
		}
		if (due < Infinity) {
			this.timer = setTimeout(() => this.settle(), Math.min(Math.max(due - this.now(), 0), 2 ** 30));
		}
	}

	private finish(): void {
		clearTimeout(this.timer);
		this.unfollow();
		this.stopAttempt();
		for (const s of this.cutSockets) {
			s.close();
		}
		this.cutSockets = [];
	}

	// --- events

	/** Tells the app what became of the session. False: nothing. */
	private tellChanges(): boolean {
		this.collect();
		if (this.untold.length === 0) {
			return false;
		}
		this.depth++;
		for (let ch = this.untold.shift(); ch !== undefined; ch = this.untold.shift()) {
			this.tellChange(ch);
			this.collect(); // the app may have closed
		}
		this.depth--;
		return true;
	}

	private collect(): void {
		for (const change of this.core.changes()) {
			this.untold.push({ change, asked: this.calls.last, routes: this.routes.latest });
		}
	}

	private tellChange({ change: ch, asked, routes }: Untold): void {
		switch (ch.kind) {
			case "opened": {
				this.stats.opens++;
				this.noteOpen();
				const undelivered = this.undelivered(ch.undelivered, routes, new CodecError("too-large"));
				this.tell({ kind: "opened", undelivered });
				this.opening?.resolve();
				break;
			}
			case "resumed":
				this.stats.resumes++;
				this.noteOpen();
				this.tell(ch);
				break;
			case "reset":
				this.stats.resets++;
				this.calls.failAll("the session was reset before the answer came", asked);
				this.rooms.wasReset(ch.restart);
				this.noteOpen();
				this.tell({ kind: "reset", reason: ch.error.code, undelivered: this.undelivered(ch.undelivered, routes) });
				this.opening?.resolve(); // the first session may be one that a token resumed
				break;
			case "moving":
				this.tell({ kind: "moving", delay: ch.delay });
				break;
			case "put off":
				this.attempting = false; // the server itself has said why
				this.tell({ kind: "refused", error: ch.error, delay: ch.delay });
				break;
			case "lost":
				this.stats.losses++;
				if (ch.stuck && this.link !== null) {
					this.dialer.addresses.failed(this.link.index); // another one may do better
				}
				this.tell({ kind: "lost", error: ch.error.text === "" && !ch.error.remote ? new CloseError(ch.error.code, this.cause?.message) : ch.error });
				break;
			case "ending":
				this.tellEnding(ch.error, this.undelivered(ch.undelivered, routes), asked);
		}
	}

	private tellEnding(error: CloseError, undelivered: Sent[], asked: number): void {
		void this.page.hold("");
		this.newest.clear();
		this.calls.failAll("the session ended before the answer came", asked);
		const closed = this.core.state === "ended" && !this.untold.some((later) => later.change.kind === "ending");
		this.rooms.ended(error);
		this.ends.forEach((fn) => this.guard.run(fn));
		this.tell({ kind: closed ? "closed" : "gone", error, undelivered });
		if (closed) {
			this.opening?.reject(error);
		}
	}

	/** Tells of an attempt that failed. False: there is none. */
	private tellFailed(): boolean {
		const { state } = this.core;
		if (!this.attempting || state === "dialing" || state === "opening") {
			return false;
		}
		this.attempting = false;
		if (state !== "waiting") {
			return false; // paused or closed meanwhile
		}
		this.cause ??= new CloseError(Code.OpeningTimeout);
		const delay = Math.max(this.core.due() - this.now(), 0);
		if (delay === 0 && this.wasMoved()) {
			return false;
		}
		this.tell({ kind: "failed", error: this.cause, delay });
		return true;
	}

	/** Says whether the same attempt goes on at another server. */
	private wasMoved(): boolean {
		return this.cause instanceof CloseError && this.cause.code === Code.Moved;
	}

	private tell(e: ClientEvent): void {
		const { onEvent } = this.cfg;
		if (onEvent) {
			this.guard.run(() => onEvent(e));
		} else if (e.kind === "failed" || e.kind === "refused" || e.kind === "gone" || (e.kind === "closed" && e.error.code !== Code.Left)) {
			console.warn(`lifeline: ${e.kind}: ${e.error.message}`);
		}
	}

	/** Has the server compare our messages with its own, if they are others: framework/gen. */
	private compareSchema(): void {
		const text = this.cfg.schema?.text;
		const route = this.core.routes.find((name) => schemaRoute.test(name));
		if (text === undefined || route === undefined || route === this.comparedWith) {
			return;
		}
		this.comparedWith = route;
		if (route === schemaName(text)) {
			return;
		}
		this.request(route, str, text, list(str), { timeout: Infinity }).then(
			(problems) => problems.length > 0 && this.guard.report(new SchemaError(problems)),
			(e: unknown) => {
				if (e instanceof CodecError) { // the server takes no text of this size
					this.guard.report(e);
				} else {
					this.comparedWith = ""; // the session has ended: the next one asks again
				}
			},
		);
	}

	private noteOpen(): void {
		this.attempting = false;
		this.compareSchema();
		if (this.cfg.storageKey !== undefined) {
			this.page.opened(this);
		}
		if (this.link !== null) {
			this.dialer.addresses.opened(this.link.index, this.now());
			this.link.opened = true;
		}
	}

	/** What was sent and will not arrive, as the app knows it. With an error its requests fail. */
	private undelivered(packets: Queued[], routes: readonly string[], error?: Error): Sent[] {
		return packets
			.filter((p) => p.kind === Kind.Message || p.kind === Kind.Request)
			.map((p) => {
				const request = p.kind === Kind.Request;
				try {
					const { route, payload } = request ? envelope.parseRequest(p.body) : envelope.parseMessage(p.body);
					if (request && error) {
						this.calls.fail(envelope.parseRequest(p.body).id, error);
					}
					return { route: nameOf(route, routes), payload, request };
				} catch {
					return { route: "", payload: p.body, request }; // the event comes even if this can't be parsed
				}
			});
	}

	// --- links

	private dial(): void {
		this.dialer.stop();
		if (this.attempting && !this.wasMoved()) { // the pause after an attempt that failed is over already
			this.tell({ kind: "failed", error: this.cause ?? new CloseError(Code.OpeningTimeout), delay: 0 });
		}
		this.attempting = true;
		this.tell({ kind: "connecting" });
		if (this.core.state !== "dialing") {
			return; // the app has paused or closed
		}
		this.cause = null;
		const now = this.now();
		const login = this.core.logsInAnew(now + ticketAhead) && this.tickets.due(now);
		this.dialer.dial(login ? this.tickets.fetch(this.now) : null, this.core.address, (d) => this.dialed(d));
	}

	private dialed(d: Dialed): void {
		if (d instanceof Error) {
			this.cause = d;
			this.core.linkDown(this.now());
		} else {
			const link = new Link(d.socket, d.index);
			this.link = link;
			this.core.linkUp(this.now(), Date.now());
			link.listen((b) => this.received(link, b), (why) => this.linkBroke(link, why));
		}
		this.settle();
	}

	private stopAttempt(): void {
		this.dialer.stop();
		this.tickets.stop();
	}

	private leaveLink(): Link | null {
		const { link } = this;
		this.link = null;
		if (link !== null) {
			if (!link.opened && !link.excused) {
				this.dialer.addresses.failed(link.index);
			}
			link.ignore();
		}
		return link;
	}

	/** Closes the link after the core's last words, if it has any. */
	private closeLink(): void {
		const last = this.core.output(this.now(), 0);
		const link = this.leaveLink();
		if (link !== null) {
			this.stats.bytesOut += link.send(last);
			link.socket.close();
		}
	}

	private linkBroke(link: Link, why: Error): void {
		if (this.link !== link) {
			return;
		}
		this.leaveLink();
		link.socket.close();
		this.cause = why;
		if (this.core.linkDown(this.now())) {
			this.dialer.addresses.failed(link.index); // another one may do better
		}
		this.settle();
	}

	// --- what comes in

	private received(link: Link, b: Uint8Array | null): void {
		if (this.link !== link) {
			return;
		}
		if (b === null) {
			this.linkBroke(link, new Error("a message that is not binary"));
		} else if (!link.parking) {
			this.stats.bytesIn += b.length;
			this.take(link, b, 0);
		} else if (!link.keep(b)) {
			this.linkBroke(link, new Error("the server sends on before its session is open"));
		}
	}

	/** Takes the frames of a message from offset i on. hasTicket: the ticket for the first one was fetched. */
	private take(link: Link, b: Uint8Array, i: number, hasTicket = false): void {
		this.depth++;
		let broken: Error | null = null;
		try {
			while (i < b.length && this.link === link && this.listening) {
				const f = parseFrame(b, i, Math.max(this.core.params.maxBody, defaultMaxBody));
				if (f === null) {
					throw new CodecError("malformed", "a message that ends in the middle of a frame");
				}
				if (!hasTicket && this.wantsTicket(f.packet)) {
					this.fetchTicket(link, b, i);
					break;
				}
				i = f.end;
				hasTicket = false;
				this.takePacket(f.packet);
			}
		} catch (e) {
			broken = e as Error;
		}
		this.tellChanges();
		if (broken !== null) {
			this.linkBroke(link, broken);
		}
		this.depth--;
		this.settle();
	}

	private get listening(): boolean {
		return this.core.state === "open" || this.core.state === "opening";
	}

	/** Reports that after this packet the core logs in on the link on which its session was refused. */
	private wantsTicket(p: Packet): boolean {
		return p.kind === Kind.Refused && this.cfg.ticket !== undefined && this.core.logsInAfter(parseEnd(p));
	}

	/** Fetches a ticket before the rest of a message is taken. */
	private fetchTicket(link: Link, b: Uint8Array, i: number): void {
		link.park();
		void this.tickets.fetch(this.now).then(() => {
			const later = link.unpark();
			this.take(link, b, i, true); // without a ticket the core does not log in
			later.forEach((m) => this.received(link, m));
		});
	}

	/** Gives the core the ticket of another login on the present link. */
	private takeTicket(): Uint8Array | null | undefined {
		const ticket = this.tickets.take();
		if (ticket instanceof Error) {
			this.link!.excused = true; // the address did what it could
			this.cause = ticket;
			return undefined;
		}
		return ticket;
	}

	private takePacket(p: Packet): void {
		if ((p.kind === Kind.Refused || p.kind === Kind.Bye) && this.link !== null) {
			this.link.excused = true;
			this.cause = parseEnd(p);
		}
		const deliver = this.core.receive(p, this.now());
		this.tellChanges();
		if (!deliver) {
			return;
		}
		this.stats.received++;
		try {
			this.deliver(p);
		} catch (e) {
			this.drop(e);
		}
	}

	/** Gives a packet to the app. What can't be read throws: session/SPEC.md 4.11. */
	private deliver(p: Packet): void {
		switch (p.kind) {
			case Kind.Response:
				this.calls.response(p.body);
				break;
			case Kind.Failure:
				this.calls.failure(p.body);
				break;
			case Kind.Request:
				this.answer(p.body);
				break;
			default:
				this.deliverMessage(p);
		}
	}

	private deliverMessage(p: Packet): void {
		const { route, payload } = envelope.parseMessage(p.body);
		if (p.kind === Kind.Datagram && typeof route === "string") {
			throw new CodecError("route", "a datagram names its route by a number");
		}
		const name = this.routes.name(route);
		const fn = this.handlers.message(name);
		if (fn) {
			this.guard.watch(fn(payload));
		} else if (this.cfg.onMessage) {
			this.guard.watch(this.cfg.onMessage(name, payload));
		} else {
			this.stats.dropped++;
		}
	}

	/** Answers a request of the server, unless the session in which it was made is over by then. */
	private answer(body: Uint8Array): void {
		const session = this.core.id;
		const reply = (kind: Kind, reply: Uint8Array): void => {
			if (this.core.id === session && !this.push(kind, reply)) {
				this.stats.dropped++; // too much waits: the server's patience ends
			}
		};
		let request;
		try {
			request = envelope.parseRequest(body);
		} catch (e) {
			const id = envelope.envelopeID(body);
			if (id !== undefined) {
				reply(Kind.Failure, envelope.encodeFailure(id, Failure.BadRequest, "malformed envelope"));
			}
			throw e;
		}
		const { id, route, payload } = request;
		const name = this.routes.name(route);
		const fn = this.handlers.request(name);
		if (!fn) {
			reply(Kind.Failure, envelope.encodeFailure(id, Failure.NoRoute, `the client does not answer ${name}`));
			return;
		}
		const send = (value: Uint8Array): void => {
			try {
				reply(Kind.Response, envelope.encodeResponse(id, value));
			} catch (e) {
				throw new HandlerError(e); // larger than the server takes
			}
		};
		fn(payload).then(send).catch((e: unknown) => {
			const { answer, report, malformed } = failureOf(e);
			if (malformed) {
				this.drop(report);
			} else if (report !== undefined) {
				this.guard.report(report);
			}
			const refuse = (code: number, text: string): void => reply(Kind.Failure, envelope.encodeFailure(id, code, text));
			try {
				refuse(answer.code, answer.text);
			} catch (e) { // no code, or more text than the server takes
				this.guard.report(e);
				if (e instanceof CodecError && e.word === "too-large") {
					refuse(answer.code, "");
				} else {
					refuse(Failure.Internal, "the client's handler failed");
				}
			}
		});
	}

	private drop(why: unknown): void {
		this.stats.dropped++;
		this.guard.report(why);
	}
}

function checkType(type: Type<any>): void {
	if (typeof type?.write !== "function") {
		throw new TypeError("lifeline: a type is missing, such as str, struct({ x: f32 }) or anything");
	}
}

/** What this environment lacks, in words. It is not asked before connect: pages are rendered on servers, too. */
function lacking(cfg: Pick<ClientConfig, "open" | "platform">): string {
	if (!cfg.open && typeof WebSocket === "undefined") {
		return "there is no WebSocket here: pass open, for example with the package ws";
	}
	if (!cfg.platform && typeof globalThis.crypto?.getRandomValues !== "function") {
		return "there is no crypto.getRandomValues here: load a polyfill first, such as react-native-get-random-values";
	}
	return "";
}
