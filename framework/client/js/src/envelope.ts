// SPDX-License-Identifier: MIT

// The bodies of requests, answers and messages: codec/SPEC.md 6.

import { CodecError } from "./codec.js";
import { Reader, Writer } from "./msgpack.js";
import { u32 } from "./types.js";

/** A name of 1 to 128 bytes, or a number from the server's dictionary: SPEC 6.1. */
export type Route = string | number;

export const maxRouteName = 128;
export const maxRouteNumber = 65535;

const nil = Uint8Array.of(0xc0);

function putRoute(w: Writer, r: Route): void {
	if (typeof r === "number") {
		w.int(r);
	} else {
		w.str(r);
	}
}

/** payload is one encoded value; an empty one is written as nil. */
function putPayload(w: Writer, payload: Uint8Array): void {
	w.raw(payload.length === 0 ? nil : payload);
}

/** Ids are whole numbers that the client chose itself, or bigints. */
export type RequestID = number | bigint;

export function encodeRequest(id: RequestID, route: Route, payload: Uint8Array): Uint8Array {
	const w = new Writer();
	w.array(3);
	w.int(id);
	putRoute(w, route);
	putPayload(w, payload);
	return w.bytes();
}

export function encodeResponse(id: RequestID, payload: Uint8Array): Uint8Array {
	const w = new Writer();
	w.array(2);
	w.int(id);
	putPayload(w, payload);
	return w.bytes();
}

export function encodeFailure(id: RequestID, code: number, text: string): Uint8Array {
	const w = new Writer();
	w.array(3);
	w.int(id);
	u32.write(w, code);
	w.str(text);
	return w.bytes();
}

export function encodeMessage(route: Route, payload: Uint8Array): Uint8Array {
	const w = new Writer();
	w.array(2);
	putRoute(w, route);
	putPayload(w, payload);
	return w.bytes();
}

export function parseRequest(body: Uint8Array): { id: RequestID; route: Route; payload: Uint8Array } {
	const e = new Envelope(body, 3);
	return e.close({ id: e.uint(), route: e.route(), payload: e.value() });
}

/**
 * The id that the body of a REQUEST, a RESPONSE or a FAILURE begins with, even if
 * what follows it is refused. undefined: there is none that can be read.
 */
export function envelopeID(body: Uint8Array): RequestID | undefined {
	try {
		return new Envelope(body, 1).uint();
	} catch {
		return undefined;
	}
}

export function parseResponse(body: Uint8Array): { id: RequestID; payload: Uint8Array } {
	const e = new Envelope(body, 2);
	return e.close({ id: e.uint(), payload: e.value() });
}

export function parseFailure(body: Uint8Array): { id: RequestID; code: number; text: string } {
	const e = new Envelope(body, 3);
	return e.close({ id: e.uint(), code: Number(e.uint(0xffffffff)), text: e.str() });
}

/** Reads a MESSAGE or a DATAGRAM. */
export function parseMessage(body: Uint8Array): { route: Route; payload: Uint8Array } {
	const e = new Envelope(body, 2);
	return e.close({ route: e.route(), payload: e.value() });
}

/** Walks the elements of one array. Each is checked before it is looked at. */
class Envelope {
	private readonly r: Reader;
	private left: number;

	constructor(body: Uint8Array, known: number) {
		this.r = new Reader(body);
		const n = this.r.array();
		if (n === undefined || n < known) {
			throw new CodecError("envelope");
		}
		this.left = n;
	}

	/** The next element, checked. Nesting is counted from here. */
	value(): Uint8Array {
		this.left--;
		return this.r.value();
	}

	uint(limit: number | bigint = 0xffffffffffffffffn): RequestID {
		const n = new Reader(this.value()).int();
		if (n === undefined || n < 0 || n > limit) {
			throw new CodecError("envelope");
		}
		return n;
	}

	str(): string {
		const s = new Reader(this.value()).str();
		if (s === undefined) {
			throw new CodecError("envelope");
		}
		return s;
	}

	route(): Route {
		const r = new Reader(this.value());
		const size = r.strBytes()?.length;
		if (size !== undefined) {
			r.i = 0;
			if (size >= 1 && size <= maxRouteName) {
				return r.str()!;
			}
		} else {
			const n = r.int();
			if (typeof n === "number" && n >= 0 && n <= maxRouteNumber) {
				return n;
			}
		}
		throw new CodecError("route");
	}

	/** Steps over what later versions appended; nothing may follow the array. */
	close<T>(fields: T): T {
		while (this.left > 0) {
			this.value();
		}
		if (!this.r.atEnd) {
			throw new CodecError("trailing");
		}
		return fields;
	}
}
