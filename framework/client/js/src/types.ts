// SPDX-License-Identifier: MIT

// How values of a game become msgpack and back. A struct of Go is an array on
// the wire (codec/SPEC.md 5.2), so both sides name the fields and their types:
//
//	const Move = struct({ x: f32, y: f32 });
//	type Move = Infer<typeof Move>;

import { decode, encode } from "@msgpack/msgpack";

import { CodecError, checkBody } from "./codec.js";
import { Reader, Writer } from "./msgpack.js";

/** How values of type T are written and read. */
export interface Type<T> {
	/** What nil and an absent field are read as. */
	zero(): T;
	write(w: Writer, v: T): void;
	/** Reads a value that is there and is not nil. Another one throws "mismatch". */
	read(r: Reader): T;
}

/** The values that a Type is for. */
export type Infer<S> = S extends Type<infer T> ? T : never;

/** Encodes v as one body or payload. */
export function encodeBody<T>(type: Type<T>, v: T): Uint8Array {
	const w = new Writer();
	type.write(w, v);
	return w.bytes();
}

/** Reads a body or payload. It is checked as a whole before any of it is read. */
export function decodeBody<T>(type: Type<T>, b: Uint8Array): T {
	checkBody(b);
	return readOr(type, new Reader(b));
}

function readOr<T>(type: Type<T>, r: Reader): T {
	return r.nil() ? type.zero() : type.read(r);
}

function need<T>(v: T | undefined, what: string): T {
	if (v === undefined) {
		throw new CodecError("mismatch", `not ${what}`);
	}
	return v;
}

function integer(name: string, min: number, max: number): Type<number> {
	return {
		zero: () => 0,
		write(w, v) {
			if (!Number.isInteger(v) || v < min || v > max) {
				throw new RangeError(`${v} is no ${name}`);
			}
			w.int(v);
		},
		read(r) {
			const n = need(r.int(), name);
			if (typeof n === "bigint" || n < min || n > max) {
				throw new CodecError("mismatch", `${n} is no ${name}`);
			}
			return n;
		},
	};
}

export const u8 = integer("u8", 0, 0xff);
export const u16 = integer("u16", 0, 0xffff);
export const u32 = integer("u32", 0, 0xffffffff);
export const i8 = integer("i8", -0x80, 0x7f);
export const i16 = integer("i16", -0x8000, 0x7fff);
export const i32 = integer("i32", -0x80000000, 0x7fffffff);
/** Go's int, as far as a number holds it exactly. */
export const int = integer("int", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
/** Go's uint64, as far as a number holds it exactly. */
export const uint = integer("uint", 0, Number.MAX_SAFE_INTEGER);

function wide(name: string, min: bigint, max: bigint): Type<bigint> {
	return {
		zero: () => 0n,
		write(w, v) {
			if (v < min || v > max) {
				throw new RangeError(`${v} is no ${name}`);
			}
			w.int(v);
		},
		read(r) {
			const n = BigInt(need(r.int(), name));
			if (n < min || n > max) {
				throw new CodecError("mismatch", `${n} is no ${name}`);
			}
			return n;
		},
	};
}

export const u64 = wide("u64", 0n, (1n << 64n) - 1n);
export const i64 = wide("i64", -(1n << 63n), (1n << 63n) - 1n);

export const f32: Type<number> = {
	zero: () => 0,
	write: (w, v) => w.f32(v),
	read: (r) => Math.fround(need(r.float(), "f32")),
};

export const f64: Type<number> = {
	zero: () => 0,
	write: (w, v) => w.f64(v),
	read: (r) => need(r.float(), "f64"),
};

export const bool: Type<boolean> = {
	zero: () => false,
	write: (w, v) => w.bool(v),
	read: (r) => need(r.bool(), "bool"),
};

const utf8 = new TextDecoder();

export const str: Type<string> = {
	zero: () => "",
	write: (w, v) => w.str(v),
	read(r) {
		const s = r.str();
		return s ?? utf8.decode(need(r.bin(), "str"));
	},
};

/** Bytes. What is read has memory of its own. */
export const bin: Type<Uint8Array> = {
	zero: () => new Uint8Array(0),
	write: (w, v) => w.bin(v),
	read: (r) => need(r.bin() ?? r.strBytes(), "bin").slice(),
};

/** Go's [n]byte. */
export function bytes(n: number): Type<Uint8Array> {
	const exact = (b: Uint8Array): Uint8Array => {
		if (b.length !== n) {
			throw new CodecError("mismatch", `${b.length} bytes where ${n} belong`);
		}
		return b;
	};
	return {
		zero: () => new Uint8Array(n),
		write: (w, v) => w.bin(exact(v)),
		read: (r) => exact(bin.read(r)),
	};
}

/** A slice. */
export function list<T>(of: Type<T>): Type<T[]> {
	return {
		zero: () => [],
		write(w, v) {
			w.array(v.length);
			for (const e of v) {
				of.write(w, e);
			}
		},
		read(r) {
			const n = need(r.array(), "an array");
			const v: T[] = [];
			for (let i = 0; i < n; i++) {
				v.push(readOr(of, r));
			}
			return v;
		},
	};
}

/** A pointer: null is nil. */
export function nullable<T>(of: Type<T>): Type<T | null> {
	return {
		zero: () => null,
		write(w, v) {
			if (v === null) {
				w.nil();
			} else {
				of.write(w, v);
			}
		},
		read: (r) => of.read(r),
	};
}

/** The type of an object with the values of such fields. */
export type Fields<F> = { [K in keyof F]: Infer<F[K]> };

/**
 * A struct: its fields in the order of the declaration. Fields are only ever
 * appended: absent ones are read as zero, surplus ones are skipped.
 */
export function struct<F extends Record<string, Type<any>>>(fields: F): Type<Fields<F>> {
	const names = Object.keys(fields);
	return {
		zero: () => Object.fromEntries(names.map((k) => [k, fields[k].zero()])) as Fields<F>,
		write(w, v) {
			w.array(names.length);
			for (const k of names) {
				fields[k].write(w, (v as Record<string, unknown>)[k]);
			}
		},
		read(r) {
			let left = need(r.array(), "a struct");
			const v: Record<string, unknown> = {};
			for (const k of names) {
				v[k] = left > 0 ? readOr(fields[k], r) : fields[k].zero();
				left--;
			}
			for (; left > 0; left--) {
				r.value();
			}
			return v as Fields<F>;
		},
	};
}

/** Nothing: nil is written, and whatever is read is skipped. */
export const nothing: Type<void> = {
	zero: () => undefined,
	write: (w) => w.nil(),
	read: (r) => void r.value(),
};

/**
 * Any value, as @msgpack/msgpack maps it: for games without Go structs.
 * Integers beyond what a number holds exactly lose their last digits.
 */
export const anything: Type<unknown> = {
	zero: () => null,
	write: (w, v) => w.raw(encode(v, { ignoreUndefined: true })),
	read(r) {
		try {
			return decode(r.value());
		} catch (e) {
			throw e instanceof CodecError ? e : new CodecError("mismatch", String(e));
		}
	},
};
