// SPDX-License-Identifier: MIT

// How values of a game become msgpack and back. A struct of Go is an array on
// the wire (codec/SPEC.md 5.2), so both sides name the fields and their types:
//
//	const Move = struct({ x: f32, y: f32 });
//	type Move = Infer<typeof Move>;

import { decode, encode } from "@msgpack/msgpack";

import { CodecError, checkBody } from "./codec.js";
import { Reader, Writer } from "./msgpack.js";
import { decodeText } from "./text.js";

/** How values of type T are written and read. */
export interface Type<T> {
	/** What nil and an absent field are read as. */
	zero(): T;
	/** A property, not a method: so no value passes that is only alike, as one that may be undefined. */
	write: (w: Writer, v: T) => void;
	/** Reads a value that is there and is not nil. Another one throws "mismatch". */
	read(r: Reader): T;
}

/** The values that a Type is for. */
export type Infer<S> = S extends Type<infer T> ? T : never;

/**
 * Encodes v as one body or payload. A value that does not fit its type, or that
 * the peer would refuse, fails here, where the mistake is.
 */
export function encodeBody<T>(type: Type<T>, v: T): Uint8Array {
	const w = new Writer();
	type.write(w, v);
	const b = w.bytes();
	checkBody(b);
	return b;
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

/** The error of a value that can't be written, or was read, as what it should be. */
function misfit(v: unknown, what: string): CodecError {
	const text = typeof v === "string" ? JSON.stringify(v.slice(0, 40)) : typeof v === "object" && v !== null ? "an object" : String(v);
	return new CodecError("mismatch", `${text} does not fit ${what}`);
}

/** Refuses what JavaScript would turn into something else without a word. */
function typed<T>(v: T, js: "boolean" | "number" | "string", what: string): T {
	if (typeof v !== js) {
		throw misfit(v, what);
	}
	return v;
}

/** Adds where in a value an error happened. */
function within(at: string, e: unknown): unknown {
	if (!(e instanceof CodecError)) {
		return e;
	}
	return new CodecError(e.word, e.detail, e.path === "" || e.path.startsWith("[") ? at + e.path : `${at}.${e.path}`);
}

function integer(name: string, min: number, max: number): Type<number> {
	return {
		zero: () => 0,
		write(w, v) {
			if (!Number.isInteger(v) || v < min || v > max) {
				throw misfit(v, name);
			}
			w.int(v);
		},
		read(r) {
			const n = need(r.int(), name);
			if (typeof n === "bigint" || n < min || n > max) {
				throw misfit(n, name);
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
			if (typeof v !== "bigint" || v < min || v > max) {
				throw misfit(v, name);
			}
			w.int(v);
		},
		read(r) {
			const n = BigInt(need(r.int(), name));
			if (n < min || n > max) {
				throw misfit(n, name);
			}
			return n;
		},
	};
}

export const u64 = wide("u64", 0n, (1n << 64n) - 1n);
export const i64 = wide("i64", -(1n << 63n), (1n << 63n) - 1n);

export const f32: Type<number> = {
	zero: () => 0,
	write: (w, v) => w.f32(typed(v, "number", "f32")),
	read: (r) => Math.fround(need(r.float(), "f32")),
};

export const f64: Type<number> = {
	zero: () => 0,
	write: (w, v) => w.f64(typed(v, "number", "f64")),
	read: (r) => need(r.float(), "f64"),
};

export const bool: Type<boolean> = {
	zero: () => false,
	write: (w, v) => w.bool(typed(v, "boolean", "bool")),
	read: (r) => need(r.bool(), "bool"),
};

export const str: Type<string> = {
	zero: () => "",
	write: (w, v) => w.str(typed(v, "string", "str")),
	read(r) {
		const s = r.str();
		return s ?? decodeText(need(r.bin(), "str"));
	},
};

/** Asked by name, as bytes may come from another realm: a frame, or a test's sandbox. */
function isBytes(v: unknown): boolean {
	return ArrayBuffer.isView(v) && Object.prototype.toString.call(v) === "[object Uint8Array]";
}

/** Bytes. What is read has memory of its own. */
export const bin: Type<Uint8Array> = {
	zero: () => new Uint8Array(0),
	write(w, v) {
		if (!isBytes(v)) {
			throw misfit(v, "bin");
		}
		w.bin(v);
	},
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
		write(w, v) {
			bin.write(w, v);
			exact(v);
		},
		read: (r) => exact(bin.read(r)),
	};
}

/** A slice. */
export function list<T>(of: Type<T>): Type<T[]> {
	return {
		zero: () => [],
		write(w, v) {
			if (!Array.isArray(v)) {
				throw misfit(v, "a list");
			}
			w.array(v.length);
			let i = 0;
			try {
				for (; i < v.length; i++) {
					of.write(w, v[i]);
				}
			} catch (e) {
				throw within(`[${i}]`, e);
			}
		},
		read(r) {
			const n = need(r.array(), "an array");
			const v: T[] = [];
			try {
				while (v.length < n) {
					v.push(readOr(of, r));
				}
			} catch (e) {
				throw within(`[${v.length}]`, e);
			}
			return v;
		},
	};
}

/** Go's [n]T. */
export function array<T>(of: Type<T>, n: number): Type<T[]> {
	const all = list(of);
	const exact = (v: T[]): T[] => {
		if (v.length !== n) {
			throw new CodecError("mismatch", `${v.length} elements where ${n} belong`);
		}
		return v;
	};
	return {
		zero: () => Array.from({ length: n }, () => of.zero()),
		write(w, v) {
			exact(Array.isArray(v) ? v : []);
			all.write(w, v);
		},
		read: (r) => exact(all.read(r)),
	};
}

/** A map. If a key comes twice the last one counts. */
export function map<K, V>(key: Type<K>, value: Type<V>): Type<Map<K, V>> {
	return {
		zero: () => new Map(),
		write(w, v) {
			if (!(v instanceof Map)) {
				throw misfit(v, "a Map");
			}
			w.map(v.size);
			for (const [k, x] of v) {
				try {
					key.write(w, k);
					value.write(w, x);
				} catch (e) {
					throw within(`[${String(k)}]`, e);
				}
			}
		},
		read(r) {
			const v = new Map<K, V>();
			for (let left = need(r.map(), "a map"); left > 0; left--) {
				const k = readOr(key, r);
				try {
					v.set(k, readOr(value, r));
				} catch (e) {
					throw within(`[${String(k)}]`, e);
				}
			}
			return v;
		},
	};
}

/** A type that is declared later, such as a struct that contains itself behind a pointer. */
export function lazy<T>(of: () => Type<T>): Type<T> {
	return { zero: () => of().zero(), write: (w, v) => of().write(w, v), read: (r) => of().read(r) };
}

/** Go's zero time, which an absent field is read as. */
const noTime = -62_135_596_800_000;

/** Go's time.Time: codec/SPEC.md 5.4. A Date has milliseconds: what is finer is cut off. */
export const time: Type<Date> = {
	zero: () => new Date(noTime),
	write(w, v) {
		const ms = Object.prototype.toString.call(v) === "[object Date]" ? v.getTime() : NaN;
		if (Number.isNaN(ms)) {
			throw misfit(v, "a Date");
		}
		const s = Math.floor(ms / 1000);
		const ns = (ms - s * 1000) * 1_000_000;
		const b = new Uint8Array(15);
		const view = new DataView(b.buffer);
		if (s < 0 || s >= 2 ** 34) {
			b.set([0xc7, 12, 0xff]);
			view.setUint32(3, ns);
			view.setBigInt64(7, BigInt(s));
			w.raw(b);
		} else if (ns === 0 && s <= 0xffffffff) {
			b.set([0xd6, 0xff]);
			view.setUint32(2, s);
			w.raw(b.subarray(0, 6));
		} else {
			b.set([0xd7, 0xff]);
			view.setBigUint64(2, (BigInt(ns) << 34n) | BigInt(s));
			w.raw(b.subarray(0, 10));
		}
	},
	read(r) {
		const b = r.value();
		const c = b[0];
		const at = c === 0xc7 ? 3 : c === 0xc8 ? 4 : c === 0xc9 ? 6 : c >= 0xd4 && c <= 0xd8 ? 2 : 0; // behind the type of the extension
		const n = b[at - 1] === 0xff ? b.length - at : 0;
		const view = new DataView(b.buffer, b.byteOffset + at);
		let s = 0;
		let ns = 0;
		if (n === 4) {
			s = view.getUint32(0);
		} else if (n === 8) {
			const both = view.getBigUint64(0);
			s = Number(both & 0x3_ffff_ffffn);
			ns = Number(both >> 34n);
		} else if (n === 12) {
			ns = view.getUint32(0);
			s = Number(view.getBigInt64(4));
		} else {
			throw new CodecError("mismatch", "not a timestamp");
		}
		const v = new Date(s * 1000 + Math.floor(ns / 1_000_000));
		if (Number.isNaN(v.getTime())) {
			throw misfit(s, "a Date");
		}
		return v;
	},
};

/** One value as it stands, as Go's codec.Raw: see encodeBody and decodeBody. An empty one is nil. */
export const raw: Type<Uint8Array> = {
	zero: () => new Uint8Array(0),
	write(w, v) {
		if (!isBytes(v)) {
			throw misfit(v, "bytes");
		}
		if (v.length === 0) {
			w.nil();
			return;
		}
		checkBody(v);
		w.raw(v);
	},
	read: (r) => r.value().slice(),
};

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
 * appended: absent ones are read as zero, surplus ones are skipped. A name that
 * looks like a number throws, as JavaScript would put it before the others.
 */
export function struct<F extends Record<string, Type<any>>>(fields: F): Type<Fields<F>> {
	const names = Object.keys(fields);
	const number = names.find((k) => /^\d+$/.test(k));
	if (number !== undefined) {
		throw new Error(`lifeline: a field of a struct can't be named ${number}: JavaScript puts numbers first, whatever their order`);
	}
	return {
		zero: () => Object.fromEntries(names.map((k) => [k, fields[k].zero()])) as Fields<F>,
		write(w, v) {
			if (typeof v !== "object" || v === null) {
				throw misfit(v, "a struct");
			}
			w.array(names.length);
			let at = "";
			try {
				for (at of names) {
					fields[at].write(w, (v as Record<string, unknown>)[at]);
				}
			} catch (e) {
				throw within(at, e);
			}
		},
		read(r) {
			let left = need(r.array(), "a struct");
			const v: Record<string, unknown> = {};
			let at = "";
			try {
				for (at of names) {
					v[at] = left > 0 ? readOr(fields[at], r) : fields[at].zero();
					left--;
				}
			} catch (e) {
				throw within(at, e);
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
