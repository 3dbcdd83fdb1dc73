// SPDX-License-Identifier: MIT

// What a login carries, fetched by the app's own function.

import type { ClientConfig } from "./config.js";
import { type Abort, makeAbort } from "./platform.js";
import { encodeText } from "./text.js";
import { within } from "./wait.js";

/** How long a ticket that no login has used is kept for the next one. */
const life = 60_000;

/** Fetches tickets, one at a time and each within a bound. */
export class Tickets {
	private next: Uint8Array | null | Error = null; // what take returns
	private until = -Infinity; // until then no other is fetched
	private fetching: Promise<Error | null> | null = null;
	private readonly timeout: number;
	private abort = makeAbort();

	constructor(private readonly fn: ClientConfig["ticket"], timeout: number | undefined) {
		this.timeout = timeout ?? 10_000;
		this.take(); // there is none yet
	}

	/** Reports whether another login has to fetch a ticket first. */
	due(now: number): boolean {
		return this.fn !== undefined && now >= this.until;
	}

	/**
	 * The ticket of the next login, or why there is none. Another login gets another one: a
	 * server must not see a ticket with two opening ids.
	 */
	take(): Uint8Array | null | Error {
		const { next } = this;
		if (this.fn) {
			this.next = new Error("the login needs another ticket");
			this.until = -Infinity;
		}
		return next;
	}

	/** Fetches a ticket, and tells why there is none. */
	fetch(now: () => number): Promise<Error | null> {
		if (this.fetching === null) {
			const abort = (this.abort = makeAbort());
			const fetching = (this.fetching = this.once(now, abort).finally(() => {
				if (this.fetching === fetching) {
					this.fetching = null;
				}
			}));
		}
		return this.fetching;
	}

	/** Tells the app's function that nobody waits any more. */
	stop(): void {
		this.abort.abort();
		this.fetching = null;
	}

	private async once(now: () => number, abort: Abort): Promise<Error | null> {
		const { signal } = abort;
		try {
			const t = await within((async () => this.fn!(signal))(), { timeout: this.timeout, signal }, () => new Error(`not in ${this.timeout} ms`));
			if (t !== null && typeof t !== "string" && !ArrayBuffer.isView(t)) {
				throw new TypeError(`the function returned ${typeof t}; without a ticket it returns null`);
			}
			this.next = typeof t === "string" ? encodeText(t) : t;
			this.until = now() + life;
			return null;
		} catch (e) {
			return (this.next = new Error(`no ticket: ${e instanceof Error ? e.message : e}`, { cause: e }));
		} finally {
			abort.abort(); // it may still fetch
		}
	}
}
