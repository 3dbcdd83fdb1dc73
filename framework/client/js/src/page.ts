// SPDX-License-Identifier: MIT

// What a page goes through in a browser: it is hidden and shown, goes offline
// and online, is reloaded, and is put aside whole and brought back.

import { hex, parseToken } from "./control.js";

/** The part of a client that a page moves. */
export interface Followed {
	readonly token: string;
	readonly id: string;
	readonly paused: boolean;
	hurry(): void;
	pause(): void;
}

const prefix = "lifeline:";

/** How long a page waits for the one that it replaces to let its session go. */
const letGo = 500;

/** One page and the token that it keeps under a name. Everything does nothing where there is no page. */
export class Page {
	private release: () => void = () => undefined;
	private held = "";

	constructor(private readonly storageKey: string | undefined) {}

	/**
	 * Takes the token that an earlier load of this page left. A duplicated tab has
	 * a copy of the storage: it gets no token while the other tab lives, as two
	 * pages with one token would take the session from each other.
	 */
	async take(): Promise<string> {
		let token = "";
		try {
			token = this.storage?.getItem(prefix + this.storageKey) ?? "";
		} catch {
			// It can't be read: this load logs in anew.
		}
		const who = parseToken(token);
		const ours = who !== null && (await this.hold(hex(who.sid)));
		this.leave("");
		return ours ? token : "";
	}

	/** Undoes take. */
	putBack(token: string): void {
		this.leave(token);
		void this.hold("");
	}

	/**
	 * Marks a session as this page's, "" as none. False: another page has it. Where
	 * a browser has no locks, as without https, nobody is asked.
	 */
	hold(id: string): Promise<boolean> {
		if (id === this.held) {
			return Promise.resolve(true);
		}
		this.release();
		this.held = id;
		if (id === "" || this.storage === undefined || navigator.locks === undefined) {
			return Promise.resolve(true);
		}
		return new Promise((done) => {
			const until = new Promise<void>((release) => (this.release = release));
			const late = new AbortController(); // AbortSignal.timeout is younger than locks
			const timer = setTimeout(() => late.abort(), letGo);
			const granted = (): Promise<void> => {
				clearTimeout(timer);
				done(true);
				return until;
			};
			const refused = (): void => {
				clearTimeout(timer);
				done(!late.signal.aborted);
			};
			navigator.locks.request(prefix + id, { signal: late.signal }, granted).catch(refused);
		});
	}

	/** Takes note of the session that is open now: another one while the page is hidden, too, as nothing may be heard later. */
	opened(c: Followed): void {
		void this.hold(c.id);
		if (this.storage !== undefined && document.visibilityState === "hidden") {
			this.leave(c.token);
		}
	}

	/**
	 * Follows what happens to the page. A hidden page keeps its session: browsers
	 * slow down its timers, but not its messages, so that the server's pings are
	 * answered. A pause of the app stays. Returns what ends it.
	 */
	follow(c: Followed): () => void {
		if (typeof addEventListener === "undefined") {
			return () => undefined; // Node
		}
		let putAside = false;
		let ours = false; // the pause
		const hurry = (): void => {
			if (!c.paused) {
				c.hurry();
			}
		};
		const visibility = (): void => {
			// The last that a page on a phone is sure to hear.
			if (document.visibilityState === "hidden") {
				this.leave(c.token);
				return;
			}
			this.leave("");
			hurry();
		};
		const hide = (e: PageTransitionEvent): void => {
			this.leave(c.token);
			if (e.persisted) {
				putAside = true;
				ours = !c.paused;
				c.pause();
			}
			void this.hold("");
		};
		const show = (): void => {
			if (putAside) {
				putAside = false;
				this.leave("");
				void this.hold(c.id);
				if (ours) {
					c.hurry();
				}
			}
		};
		const events: [EventTarget, string, (e: any) => void][] = [[globalThis, "online", hurry], [globalThis, "offline", hurry]];
		if (typeof document !== "undefined") { // else it is a worker
			events.push(
				[document, "visibilitychange", visibility], [document, "resume", hurry],
				[globalThis, "pagehide", hide], [globalThis, "pageshow", show],
			);
		}
		for (const [target, name, fn] of events) {
			target.addEventListener(name, fn);
		}
		return () => {
			for (const [target, name, fn] of events) {
				target.removeEventListener(name, fn);
			}
			this.leave("");
			void this.hold("");
		};
	}

	/** Leaves a token for the next load of this page, "" for none. */
	private leave(token: string): void {
		try {
			if (token === "") {
				this.storage?.removeItem(prefix + this.storageKey);
			} else {
				this.storage?.setItem(prefix + this.storageKey, token);
			}
		} catch {
			// Full: a reload logs in anew.
		}
	}

	/** sessionStorage, unless the browser forbids it or nothing is to be kept. */
	private get storage(): Storage | undefined {
		try {
			return this.storageKey === undefined || typeof document === "undefined" ? undefined : globalThis.sessionStorage;
		} catch {
			return undefined;
		}
	}
}
