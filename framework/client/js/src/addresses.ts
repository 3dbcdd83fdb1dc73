// SPDX-License-Identifier: MIT

// Which addresses are tried, and in which order: session/SPEC.md 8.9 and 8.10.

/** A place to connect to. index is its place in the app's list; -1 if the server named it. */
export interface Target {
	url: string;
	index: number;
}

const minAvoid = 30_000; // that an address stands back the first time, in milliseconds; doubles
const maxAvoid = 600_000;

interface Standing {
	failed: boolean; // since another one worked last
	times: number; // in a row that others worked where it had failed
	avoid: number; // until then others come first
}

const scheme = (url: string): string => url.slice(0, url.indexOf(":")).toLowerCase();

/** The app's addresses, the best first, and what is known of each. */
export class AddressBook {
	private readonly standings: Standing[];
	private astray = 0; // links in a row that went where the server sent us, and opened nothing

	constructor(private readonly own: readonly string[]) {
		this.standings = own.map(() => ({ failed: false, times: 0, avoid: 0 }));
	}

	/**
	 * What a dial tries now, in order. What the server named, URLs with blanks between,
	 * comes first; schemes that the app does not use are left out: no server
	 * talks a client out of encryption.
	 */
	targets(named: string, now: number): Target[] {
		const elsewhere = named.split(/\s+/).filter((url) => url !== "" && this.own.some((own) => scheme(own) === scheme(url)));
		const first = elsewhere.length > 0 ? this.astray % elsewhere.length : 0;
		if (this.standings.every((s) => s.failed)) { // no server can be reached, which says nothing about any address
			this.standings.forEach((s) => { s.failed = false; });
		}
		const rank = (i: number): number => this.standings[i].failed ? Infinity : Math.max(this.standings[i].avoid - now, 0);
		const order = [...this.own.keys()].sort((a, b) => rank(a) === rank(b) ? a - b : rank(a) - rank(b));
		return [
			...[...elsewhere.slice(first), ...elsewhere.slice(0, first)].map((url) => ({ url, index: -1 })),
			...order.map((index) => ({ url: this.own[index], index })),
		];
	}

	/** An address opened no session, or its stream was stuck. */
	failed(index: number): void {
		if (index >= 0) {
			this.standings[index].failed = true;
		} else {
			this.astray++;
		}
	}

	/** An address opened a session, unlike those that failed since. */
	opened(index: number, now: number): void {
		this.astray = 0;
		if (index < 0) {
			return;
		}
		this.standings.forEach((s, i) => {
			if (i === index) {
				Object.assign(s, { failed: false, times: 0, avoid: 0 });
			} else if (s.failed) {
				s.failed = false;
				s.avoid = now + Math.min(minAvoid * 2 ** Math.min(s.times, 10), maxAvoid);
				s.times++;
			}
		});
	}

	/** Another network may let through what this one does not. */
	networkChanged(): void {
		this.standings.forEach((s) => { s.avoid = 0; });
	}
}
