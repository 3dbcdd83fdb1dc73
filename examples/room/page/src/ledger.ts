// SPDX-License-Identifier: MIT

// Chat messages are numbered by whoever sends them. The ledger counts what
// never came and what came twice: nothing, whatever the links do.

export class Ledger {
	heard = 0;
	lost = 0;
	twice = 0;
	private readonly last = new Map<string, number>();

	/** Notes message n of a sender. */
	note(from: string, n: number): void {
		this.heard++;
		const last = this.last.get(from);
		this.last.set(from, n);
		if (last === undefined || n === 1) {
			return; // the first that we hear of it, or it began anew
		}
		if (n <= last) {
			this.twice++;
			this.last.set(from, last);
		} else {
			this.lost += n - last - 1;
		}
	}

	/** What comes next follows nothing: the stream began anew. */
	restart(): void {
		this.last.clear();
	}
}
