// SPDX-License-Identifier: MIT

// The app's handlers of messages and of the server's requests.

import { Failure, RequestError } from "./config.js";
import { onRoute } from "./routes.js";
import { decodeBody, encodeBody, type Type } from "./types.js";

/** Handlers by the names of their routes. */
export class Handlers {
	private readonly messages = new Map<string, (payload: Uint8Array) => unknown>();
	private readonly requests = new Map<string, (payload: Uint8Array) => Promise<Uint8Array>>();

	/** Registers a handler of messages, and returns what removes it. */
	onMessage<T>(route: string, type: Type<T>, fn: (message: T) => unknown): () => void {
		return register(this.messages, route, (payload) => fn(onRoute(route, () => decodeBody(type, payload))));
	}

	/** Registers a handler of requests, and returns what removes it. */
	onRequest<Q, A>(route: string, ask: Type<Q>, answer: Type<A>, fn: (question: Q) => A | Promise<A>): () => void {
		return register(this.requests, route, async (payload) => {
			const question = onRoute(route, () => decodeBody(ask, payload)); // a CodecError: see failureOf
			let reply: A;
			try {
				reply = await fn(question);
			} catch (e) {
				throw e instanceof RequestError ? e : new HandlerError(e);
			}
			try {
				return onRoute(route, () => encodeBody(answer, reply));
			} catch (e) {
				throw new HandlerError(e);
			}
		});
	}

	message(route: string): ((payload: Uint8Array) => unknown) | undefined {
		return this.messages.get(route);
	}

	request(route: string): ((payload: Uint8Array) => Promise<Uint8Array>) | undefined {
		return this.requests.get(route);
	}
}

/** A mistake of the app's own handler. The server learns no more than that there was one. */
export class HandlerError extends Error {
	constructor(cause: unknown) {
		super("a handler failed", { cause });
	}
}

/**
 * What a handler of requests rejected with: the answer to the server, and what
 * there is to report here. A question that can't be read is counted as well:
 * session/SPEC.md 4.11.
 */
export function failureOf(e: unknown): { answer: RequestError; report?: unknown; malformed: boolean } {
	if (e instanceof RequestError) {
		return { answer: e, malformed: false };
	}
	if (e instanceof HandlerError) {
		return { answer: new RequestError(Failure.Internal, "the client's handler failed"), report: e.cause, malformed: false };
	}
	return { answer: new RequestError(Failure.BadRequest, e instanceof Error ? e.message : String(e)), report: e, malformed: true };
}

function register<V>(map: Map<string, V>, route: string, handler: V): () => void {
	if (map.has(route)) {
		throw new Error(`lifeline: route ${route} has a handler already`);
	}
	map.set(route, handler);
	return () => {
		if (map.get(route) === handler) {
			map.delete(route);
		}
	};
}
