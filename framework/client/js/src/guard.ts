// SPDX-License-Identifier: MIT

// Errors of the app's own code must not stop the session.

/** Calls the app's functions, and reports what they throw or reject with. */
export class Guard {
	/** onError takes the errors. If absent: reportError in a browser, console.error elsewhere. */
	constructor(private readonly onError: ((error: unknown) => void) | undefined) {}

	run(fn: () => unknown): void {
		try {
			this.watch(fn());
		} catch (e) {
			this.report(e);
		}
	}

	/** Waits for what an async function ends with. */
	watch(result: unknown): void {
		if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
			(result as PromiseLike<unknown>).then(undefined, (e: unknown) => this.report(e));
		}
	}

	report(e: unknown): void {
		try {
			if (this.onError) {
				this.onError(e);
			} else if (typeof reportError === "function" && !("process" in globalThis)) {
				reportError(e); // outside of browsers it may end the process
			} else {
				console.error(e);
			}
		} catch (again) {
			console.error(again, e);
		}
	}
}
