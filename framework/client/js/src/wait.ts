// SPDX-License-Identifier: MIT

// Waiting with an end: for answers, tickets, and the first session.

/** What ends a wait early. */
export interface WaitOptions {
	/** In milliseconds. Infinity: none. */
	timeout?: number | undefined;
	signal?: AbortSignal | undefined;
}

/** In milliseconds. */
export const longestTimer = 2 ** 31 - 1; // 24 days; a longer one would fire at once

export function checkTimeout(timeout = Infinity): void {
	if (!(timeout >= 0)) {
		throw new RangeError(`lifeline: a timeout of ${timeout} ms`);
	}
}

/** Why a signal was aborted. A signal of React Native does not tell. */
export function reasonOf(signal: AbortSignal): unknown {
	return "reason" in signal ? signal.reason : new Error("aborted");
}

/**
 * Calls fail after a time or by a signal, with late's error or the signal's
 * reason. Returns what calls it off.
 */
export function bound({ timeout = Infinity, signal }: WaitOptions, late: () => Error, fail: (reason: unknown) => void): () => void {
	checkTimeout(timeout);
	const undo = (): void => {
		clearTimeout(timer);
		signal?.removeEventListener("abort", abort);
	};
	const end = (reason: unknown): void => {
		undo();
		fail(reason);
	};
	const abort = (): void => end(reasonOf(signal!));
	const timer = timeout === Infinity ? undefined : setTimeout(() => end(late()), Math.min(timeout, longestTimer));
	signal?.addEventListener("abort", abort);
	if (signal?.aborted) {
		abort();
	}
	return undo;
}

/** The same for a promise; given up runs when it comes to that. */
export function within<T>(p: PromiseLike<T>, options: WaitOptions, late: () => Error, givenUp?: () => void): Promise<T> {
	return new Promise((resolve, reject) => {
		const undo = bound(options, late, (reason) => {
			reject(reason);
			givenUp?.();
		});
		p.then(
			(v) => {
				undo();
				resolve(v);
			},
			(e: unknown) => {
				undo();
				reject(e);
			},
		);
	});
}
