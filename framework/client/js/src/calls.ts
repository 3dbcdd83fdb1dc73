// SPDX-License-Identifier: MIT

// Requests of the client that wait for their answers.

import { Failure, RequestError, type RequestOptions } from "./config.js";
import { LifelineError, TimeoutError } from "./errors.js";
import { envelopeID, parseFailure, parseResponse } from "./envelope.js";
import { onRoute } from "./routes.js";
import { decodeBody, type Type } from "./types.js";
import { bound } from "./wait.js";

interface Call {
	answer: (payload: Uint8Array) => void;
	fail: (reason: unknown) => void;
}

/** The open requests by their ids. It owns their timers and the listeners of their signals. */
export class Calls {
	private readonly open = new Map<number, Call>();
	/** The id of the last request. */
	last = 0;

	/** How many requests wait. */
	get size(): number {
		return this.open.size;
	}

	/** Returns the id of the next request. */
	next(): number {
		return ++this.last;
	}

	/** Sends a request, and resolves with its answer. If send throws, the request fails with what it threw. */
	wait<A>(id: number, route: string, type: Type<A>, options: RequestOptions, send: () => void): Promise<A> {
		const { timeout = 10_000, signal } = options;
		return new Promise<A>((resolve, reject) => {
			const end = (): void => {
				this.open.delete(id);
				undo();
			};
			const call: Call = {
				answer: (payload) => {
					end();
					try {
						resolve(onRoute(route, () => decodeBody(type, payload)));
					} catch (e) {
						reject(e);
					}
				},
				fail: (reason) => {
					end();
					reject(reason);
				},
			};
			const undo = bound({ timeout, signal }, () => new TimeoutError(`lifeline: no answer to ${route} in ${timeout} ms`), call.fail);
			this.open.set(id, call);
			try {
				send();
			} catch (e) {
				call.fail(e);
			}
		});
	}

	/** Takes a RESPONSE. A malformed one fails its call, and throws. */
	response(body: Uint8Array): void {
		this.read(body, () => {
			const { id, payload } = parseResponse(body);
			this.open.get(Number(id))?.answer(payload);
		});
	}

	/** Takes a FAILURE. A malformed one fails its call, and throws. */
	failure(body: Uint8Array): void {
		this.read(body, () => {
			const { id, code, text } = parseFailure(body);
			this.fail(id, new RequestError(code, text));
		});
	}

	/** Session/SPEC.md 4.11: of an answer whose id can be read, the caller learns that it was malformed. */
	private read(body: Uint8Array, take: () => void): void {
		try {
			take();
		} catch (e) {
			const id = envelopeID(body);
			if (id !== undefined) {
				this.fail(id, new LifelineError(`lifeline: malformed answer: ${(e as Error).message}`, { cause: e }));
			}
			throw e;
		}
	}

	/** Fails one request. One that nothing waits for any more is ignored. */
	fail(id: number | bigint, reason: unknown): void {
		this.open.get(Number(id))?.fail(reason);
	}

	/** Fails all requests up to one with Failure.Reset: their answers can't come any more. */
	failAll(text: string, last = this.last): void {
		for (const [id, call] of [...this.open]) {
			if (id <= last) {
				call.fail(new RequestError(Failure.Reset, text));
			}
		}
	}
}
