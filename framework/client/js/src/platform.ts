// SPDX-License-Identifier: MIT

/** What the client needs of the machine besides timers and a WebSocket. Browsers, workers and Node have it. */
export interface Platform {
	/** A clock that never jumps, in milliseconds. */
	now(): number;
	/** Fills bytes with what nobody can predict. */
	random(bytes: Uint8Array): void;
}

export const standard: Platform = {
	now: () => performance.now(),
	random: (bytes) => void crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>),
};

/** Something that can be called off. */
export interface Abort {
	readonly signal: AbortSignal;
	abort(): void;
}

/** An AbortController, or what there is of one where the platform has none. */
export function makeAbort(): Abort {
	if (typeof AbortController === "function") {
		return new AbortController();
	}
	const listeners = new Set<() => void>();
	const signal = {
		aborted: false,
		reason: undefined as unknown,
		addEventListener: (_: string, fn: () => void) => void listeners.add(fn),
		removeEventListener: (_: string, fn: () => void) => void listeners.delete(fn),
		throwIfAborted(): void {
			if (signal.aborted) {
				throw signal.reason;
			}
		},
	};
	return {
		signal: signal as unknown as AbortSignal,
		abort(): void {
			if (!signal.aborted) {
				signal.aborted = true;
				signal.reason = new Error("aborted");
				[...listeners].forEach((fn) => fn());
			}
		},
	};
}
