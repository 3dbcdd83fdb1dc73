// SPDX-License-Identifier: MIT

// What an app tells the client.

import { LifelineError } from "./errors.js";
import type { ClientEvent } from "./events.js";
import type { NoSchema, Schema } from "./schema.js";
import type { Platform } from "./platform.js";
import type { Socket } from "./socket.js";
import type { WaitOptions } from "./wait.js";

/** What authenticates a player, for the game's own hook. */
export type Ticket = Uint8Array | string | null;

/** How a client behaves. Everything has a default; durations are milliseconds. */
export interface ClientConfig<S extends Schema = NoSchema> {
	/**
	 * The routes of the server, which framework/gen writes: send, request, onMessage
	 * and onRequest know their types by it. If the server's messages do not fit,
	 * onError gets a SchemaError that names what.
	 */
	schema?: S | undefined;
	/**
	 * What the game's authentication gets to see. Called for every login, never
	 * while a session is resumed. If it fails or takes too long, the attempt
	 * failed, and another one follows; to give up, call close. The signal ends
	 * when the ticket is no longer waited for.
	 */
	ticket?: ((signal: AbortSignal) => Ticket | Promise<Ticket>) | undefined;
	/** How long ticket may take: 10 s. */
	ticketTimeout?: number | undefined;
	/** Describes the client to the server: build, platform. */
	info?: string | undefined;
	/** Resumes the session of an earlier run instead of logging in: see Client.token. Another string throws. */
	token?: string | undefined;
	/**
	 * In a browser: the name under which the token survives a reload of the page,
	 * in sessionStorage. Without one a reload logs in anew. Each client of a page
	 * needs a name of its own.
	 */
	storageKey?: string | undefined;
	/**
	 * Told what becomes of the session, in order with the messages. If absent,
	 * the console is warned of what a player would notice.
	 */
	onEvent?: ((e: ClientEvent) => unknown) | undefined;
	/** Takes the messages of routes without a handler. */
	onMessage?: ((route: string, payload: Uint8Array) => unknown) | undefined;
	/**
	 * Told what a handler threw or rejected with, and messages that don't fit
	 * their type. If absent: reportError in a browser, console.error elsewhere.
	 */
	onError?: ((error: unknown) => void) | undefined;
	/** Bound what waits to be accepted by the server: 1,024 packets and 1 MiB. */
	maxPackets?: number | undefined;
	maxBytes?: number | undefined;
	/** The largest body that is read, in bytes: 1 MiB, at least 64 KiB. A server that may send larger ones ends the client. */
	maxReceive?: number | undefined;
	/** How long one address has to answer: 5 s. */
	dialTimeout?: number | undefined;
	/** How long a link has to become the session's: 5 s. */
	openingTimeout?: number | undefined;
	/** Bound the pauses between attempts: 0.5 s and 30 s. */
	minDelay?: number | undefined;
	maxDelay?: number | undefined;
	/** The clock and the random numbers. If absent, performance and crypto, which browsers, workers and Node have. */
	platform?: Platform | undefined;
	/** Opens a WebSocket. If absent, the global one; Node 20 has none: pass that of the package ws. */
	open?: ((url: string) => Socket) | undefined;
}

/** The codes of a failed request: codec/SPEC.md 6.3. From 1,000 on they are the game's. */
export const Failure = { Internal: 1, NoRoute: 2, BadRequest: 3, Busy: 4, NotJoined: 5, Refused: 6, Reset: 7, Full: 8, InRoom: 9 } as const;

/** What a request failed with. Thrown by a handler of requests, it is the answer. */
export class RequestError extends LifelineError {
	override readonly name = "RequestError";
	constructor(readonly code: number, readonly text = "") {
		super(`request failed: ${text || `code ${code}`}`);
	}
}

/** Counts what happened since the client was made. */
export interface Stats {
	opens: number; // sessions
	resumes: number; // links that carried a session on, nothing lost
	resets: number; // links that carried a session on, the server's stream anew
	losses: number; // open links that were lost, those cut included
	cuts: number; // links that cut dropped
	dials: number; // addresses dialed
	sent: number; // requests and messages that were taken
	received: number; // messages, answers and requests of the server
	dropped: number; // of them without a handler, malformed, or not of its type
	bytesIn: number; // of frames
	bytesOut: number;
}

export interface RequestOptions extends WaitOptions {
	/** How long to wait for the answer: 10 s. */
	timeout?: number | undefined;
	/** Ends the wait, not the work of the server. */
	signal?: AbortSignal | undefined;
}

/** Either ends the client, too, unless it is connected. */
export interface ConnectOptions extends WaitOptions {
	/** How long to try: as long as it takes. */
	timeout?: number | undefined;
}
