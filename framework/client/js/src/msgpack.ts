// SPDX-License-Identifier: MIT

// Writing and reading single msgpack values: what envelopes and types are made
// of. codec/SPEC.md 5.1.

import { CodecError, scanValue, skipValue } from "./codec.js";
import { decodeText, encodeText } from "./text.js";

/** Appends values, each in its shortest form. */
export class Writer {
	private b = new Uint8Array(64);
	private view = new DataView(this.b.buffer);
	private n = 0;

	/** What was written, in memory of its own. */
	bytes(): Uint8Array {
		return this.b.slice(0, this.n);
	}

	/** Makes room for k more bytes and returns where they begin. */
	private room(k: number): number {
		const at = this.n;
		if (at + k > this.b.length) {
			const bigger = new Uint8Array(Math.max(at + k, 2 * this.b.length));
			bigger.set(this.b);
			this.b = bigger;
			this.view = new DataView(bigger.buffer);
		}
		this.n += k;
		return at;
	}

	private head(type: number, width: number, value: number): void {
		const at = this.room(1 + width);
		this.b[at] = type;
		if (width === 1) {
			this.view.setUint8(at + 1, value);
		} else if (width === 2) {
			this.view.setUint16(at + 1, value);
		} else if (width === 4) {
			this.view.setUint32(at + 1, value);
		}
	}

	/** Appends a value that is encoded already. */
	raw(b: Uint8Array): void {
		const at = this.room(b.length); // which may replace this.b
		this.b.set(b, at);
	}

	nil(): void {
		this.head(0xc0, 0, 0);
	}

	bool(v: boolean): void {
		this.head(v ? 0xc3 : 0xc2, 0, 0);
	}

	/** v is a whole number. */
	int(v: number | bigint): void {
		if (v >= 0) {
			if (v <= 0x7f) {
				this.head(Number(v), 0, 0);
			} else if (v <= 0xff) {
				this.head(0xcc, 1, Number(v));
			} else if (v <= 0xffff) {
				this.head(0xcd, 2, Number(v));
			} else if (v <= 0xffffffff) {
				this.head(0xce, 4, Number(v));
			} else {
				const at = this.room(9);
				this.b[at] = 0xcf;
				this.view.setBigUint64(at + 1, BigInt(v));
			}
		} else if (v >= -32) {
			this.head(Number(v) & 0xff, 0, 0);
		} else if (v >= -0x80) {
			this.head(0xd0, 1, Number(v));
		} else if (v >= -0x8000) {
			this.head(0xd1, 2, Number(v));
		} else if (v >= -0x80000000) {
			this.head(0xd2, 4, Number(v));
		} else {
			const at = this.room(9);
			this.b[at] = 0xd3;
			this.view.setBigInt64(at + 1, BigInt(v));
		}
	}

	f32(v: number): void {
		const at = this.room(5);
		this.b[at] = 0xca;
		this.view.setFloat32(at + 1, v);
	}

	f64(v: number): void {
		const at = this.room(9);
		this.b[at] = 0xcb;
		this.view.setFloat64(at + 1, v);
	}

	str(s: string): void {
		const b = encodeText(s);
		const n = b.length;
		if (n <= 31) {
			this.head(0xa0 | n, 0, 0);
		} else if (n <= 0xff) {
			this.head(0xd9, 1, n);
		} else if (n <= 0xffff) {
			this.head(0xda, 2, n);
		} else {
			this.head(0xdb, 4, n);
		}
		this.raw(b);
	}

	bin(b: Uint8Array): void {
		const n = b.length;
		if (n <= 0xff) {
			this.head(0xc4, 1, n);
		} else if (n <= 0xffff) {
			this.head(0xc5, 2, n);
		} else {
			this.head(0xc6, 4, n);
		}
		this.raw(b);
	}

	/** The head of an array of n values, which follow. */
	array(n: number): void {
		if (n <= 15) {
			this.head(0x90 | n, 0, 0);
		} else if (n <= 0xffff) {
			this.head(0xdc, 2, n);
		} else {
			this.head(0xdd, 4, n);
		}
	}

	/** The head of a map of n keys, which follow, each with its value behind it. */
	map(n: number): void {
		if (n <= 15) {
			this.head(0x80 | n, 0, 0);
		} else if (n <= 0xffff) {
			this.head(0xde, 2, n);
		} else {
			this.head(0xdf, 4, n);
		}
	}
}

/**
 * Reads values one after the other. The methods with a type return undefined,
 * and stay where they are, if the next value is another: the caller knows what
 * that means. Malformed bytes throw.
 */
export class Reader {
	private readonly view: DataView;

	constructor(readonly b: Uint8Array, public i = 0) {
		this.view = new DataView(b.buffer, b.byteOffset, b.byteLength);
	}

	get atEnd(): boolean {
		return this.i === this.b.length;
	}

	private get type(): number {
		if (this.i >= this.b.length) {
			throw new CodecError("malformed");
		}
		return this.b[this.i];
	}

	/** The next value as it stands, checked. Nesting is counted from here. */
	value(): Uint8Array {
		const start = this.i;
		this.i = skipValue(this.b, start);
		return this.b.subarray(start, this.i);
	}

	/** Steps over nil and reports whether it was there. */
	nil(): boolean {
		if (this.type !== 0xc0) {
			return false;
		}
		this.i++;
		return true;
	}

	bool(): boolean | undefined {
		const c = this.type;
		if (c !== 0xc2 && c !== 0xc3) {
			return undefined;
		}
		this.i++;
		return c === 0xc3;
	}

	/** An integer of any form; a bigint beyond what a number holds exactly. */
	int(): number | bigint | undefined {
		const c = this.type;
		if (c <= 0x7f || c >= 0xe0) {
			this.i++;
			return c <= 0x7f ? c : c - 0x100;
		}
		if (c < 0xcc || c > 0xd3) {
			return undefined;
		}
		const at = this.i + 1;
		this.i = scanValue(this.b, this.i).end;
		switch (c) {
			case 0xcc: return this.view.getUint8(at);
			case 0xcd: return this.view.getUint16(at);
			case 0xce: return this.view.getUint32(at);
			case 0xd0: return this.view.getInt8(at);
			case 0xd1: return this.view.getInt16(at);
			case 0xd2: return this.view.getInt32(at);
		}
		const v = c === 0xcf ? this.view.getBigUint64(at) : this.view.getBigInt64(at);
		const n = Number(v);
		return Number.isSafeInteger(n) ? n : v;
	}

	/** A float of either width, or any integer. */
	float(): number | undefined {
		const c = this.type;
		if (c !== 0xca && c !== 0xcb) {
			const n = this.int();
			return n === undefined ? undefined : Number(n);
		}
		const at = this.i + 1;
		this.i = scanValue(this.b, this.i).end;
		return c === 0xca ? this.view.getFloat32(at) : this.view.getFloat64(at);
	}

	private content(first: number, last: number, fix: boolean): Uint8Array | undefined {
		const c = this.type;
		const short = fix && c >= 0xa0 && c <= 0xbf;
		if (!short && (c < first || c > last)) {
			return undefined;
		}
		const start = this.i + 1 + (short ? 0 : 1 << (c - first));
		this.i = scanValue(this.b, this.i).end;
		return this.b.subarray(start, this.i);
	}

	/** The bytes of a str. */
	strBytes(): Uint8Array | undefined {
		return this.content(0xd9, 0xdb, true);
	}

	str(): string | undefined {
		const b = this.strBytes();
		return b && decodeText(b);
	}

	bin(): Uint8Array | undefined {
		return this.content(0xc4, 0xc6, false);
	}

	/** How many values the array has whose first one comes next. */
	array(): number | undefined {
		const c = this.type;
		if (c >> 4 !== 0x9 && c !== 0xdc && c !== 0xdd) {
			return undefined;
		}
		const lead = scanValue(this.b, this.i);
		this.i = lead.end;
		return lead.values;
	}

	/** How many keys the map has whose first one comes next. */
	map(): number | undefined {
		const c = this.type;
		if (c >> 4 !== 0x8 && c !== 0xde && c !== 0xdf) {
			return undefined;
		}
		const lead = scanValue(this.b, this.i);
		this.i = lead.end;
		return lead.values / 2;
	}
}
