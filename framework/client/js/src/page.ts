// SPDX-License-Identifier: MIT

// What a page goes through in a browser: it is hidden and shown, goes offline
// and online, is reloaded, and is put aside whole and brought back.

/** What of a client a page moves. */
export interface Followed {
	readonly token: string;
	hurry(): void;
	pause(): void;
}

/**
 * Takes the token that an earlier load of this page left. It is taken out, as a
 * tab that is duplicated gets a copy of the storage: two pages with one
 * token would take the session from each other.
 */
export function takeToken(keep: string | undefined): string | undefined {
	const s = storage(keep);
	const token = s?.getItem(keep!) ?? undefined;
	s?.removeItem(keep!);
	return token;
}

/**
 * Follows what happens to the page. A hidden page keeps its session: browsers
 * slow down its timers, but not its messages, so that the server's pings are
 * answered. Returns what ends it.
 */
export function followPage(c: Followed, keep: string | undefined): () => void {
	if (typeof document === "undefined" || typeof addEventListener === "undefined") {
		return () => undefined; // Node, or a worker
	}
	let putAside = false;
	const leave = (): void => storage(keep)?.setItem(keep!, c.token);
	const stay = (): void => storage(keep)?.removeItem(keep!);
	const visibility = (): void => {
		// The last that a page on a phone is sure to hear.
		if (document.visibilityState === "hidden") {
			leave();
			return;
		}
		stay();
		c.hurry();
	};
	const hide = (e: PageTransitionEvent): void => {
		leave();
		if (e.persisted) {
			putAside = true;
			c.pause();
		}
	};
	const show = (): void => {
		if (putAside) {
			putAside = false;
			stay();
			c.hurry();
		}
	};
	const network = (): void => c.hurry();
	const events: [EventTarget, string, (e: any) => void][] = [
		[document, "visibilitychange", visibility], [document, "resume", network],
		[globalThis, "pagehide", hide], [globalThis, "pageshow", show],
		[globalThis, "online", network], [globalThis, "offline", network],
	];
	for (const [target, name, fn] of events) {
		target.addEventListener(name, fn);
	}
	return () => {
		for (const [target, name, fn] of events) {
			target.removeEventListener(name, fn);
		}
		stay();
	};
}

/** sessionStorage, unless the browser forbids it or nothing is to be kept. */
function storage(keep: string | undefined): Storage | undefined {
	try {
		return keep === undefined ? undefined : globalThis.sessionStorage;
	} catch {
		return undefined;
	}
}
