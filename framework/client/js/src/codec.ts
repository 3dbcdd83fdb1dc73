// SPDX-License-Identifier: MIT

// What a packet is, byte by byte: header, frame, and the check of a body.
// Section numbers are those of codec/SPEC.md.

import { LifelineError } from "./errors.js";

/** The words of SPEC 7. Each names what is wrong with bytes from the network. */
export type CodecWord =
	| "short" | "kind" | "counted" | "flags" | "seq" | "body" | "no-body" | "too-large" | "length-form"
	| "malformed" | "too-deep" | "trailing" | "envelope" | "route" | "mismatch";

/**
 * Bytes that no correct peer sends or, for "mismatch", a value that does not fit
 * its type. path is the field that it is about: "players[3].x".
 */
export class CodecError extends LifelineError {
	override readonly name = "CodecError";
	constructor(readonly word: CodecWord, readonly detail = "", readonly path = "") {
		super(["codec", word, path, detail].filter((s) => s !== "").join(": "));
	}
}

/** SPEC 3. */
export const Kind = {
	Heartbeat: 0, Greeting: 1, Hello: 2, Welcome: 3, Resume: 4, Resumed: 5, Reset: 6, Refused: 7,
	Tune: 8, Detach: 9, Bye: 10, Move: 11, Request: 12, Response: 13, Failure: 14, Message: 15, Datagram: 16,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const kinds = 17;

/** Reports whether packets of this kind have a sequence number: SPEC 2.1. */
export function isCounted(k: Kind): boolean {
	return k >= Kind.Request && k <= Kind.Message;
}

/** Of a heartbeat: SPEC 2.2. */
export const Flag = { EchoWanted: 1, Echo: 2, Hold: 4 } as const;

export interface Header {
	kind: Kind;
	flags: number; // heartbeats only
	seq: number; // low 16 bits of the sequence number; on a heartbeat the ping id
	ack: number; // low 32 bits of how many counted packets the sender has accepted
}

export interface Packet extends Header {
	body: Uint8Array; // shares the memory it was parsed from
}

export const headerSize = 8;
export const defaultMaxBody = 64 << 10;
export const maxDepth = 16;

const countedBit = 0x80;
const maxLengthBytes = 4;
const none = new Uint8Array(0);

/** Reads the header that b begins with. */
export function parseHeader(b: Uint8Array): Header {
	if (b.length < headerSize) {
		throw new CodecError("short");
	}
	const kind = (b[0] & ~countedBit) as Kind;
	const flags = b[1];
	const seq = b[2] | (b[3] << 8);
	const ack = (b[4] | (b[5] << 8) | (b[6] << 16) | (b[7] << 24)) >>> 0;
	if (kind >= kinds) {
		throw new CodecError("kind");
	}
	if (isCounted(kind) !== (b[0] & countedBit) > 0) {
		throw new CodecError("counted");
	}
	if (kind === Kind.Heartbeat) {
		// A packet can't ask for an echo and be one: two ids would share a field.
		const both = Flag.EchoWanted | Flag.Echo;
		if (flags > 7 || (flags & both) === both) {
			throw new CodecError("flags");
		}
	} else if (flags !== 0) {
		throw new CodecError("flags");
	} else if (!isCounted(kind) && seq !== 0) {
		throw new CodecError("seq");
	}
	return { kind, flags, seq, ack };
}

function putHeader(b: Uint8Array, at: number, h: Header): void {
	b[at] = isCounted(h.kind) ? h.kind | countedBit : h.kind;
	b[at + 1] = h.flags;
	b[at + 2] = h.seq;
	b[at + 3] = h.seq >>> 8;
	b[at + 4] = h.ack;
	b[at + 5] = h.ack >>> 8;
	b[at + 6] = h.ack >>> 16;
	b[at + 7] = h.ack >>> 24;
}

/** Writes a header of 8 bytes. */
export function encodeHeader(h: Header): Uint8Array {
	const b = new Uint8Array(headerSize);
	putHeader(b, 0, h);
	return b;
}

/** How long the frame of a body of n bytes is. */
export function frameSize(n: number): number {
	let size = headerSize + n + 1;
	for (; n >= 0x80; n >>>= 7) {
		size++;
	}
	return size;
}

/** Writes a frame: SPEC 4. */
export function encodeFrame(h: Header, body: Uint8Array = none): Uint8Array {
	const b = new Uint8Array(frameSize(body.length));
	let i = 0;
	let n = body.length;
	for (; n >= 0x80; n >>>= 7) {
		b[i++] = (n & 0x7f) | 0x80;
	}
	b[i++] = n;
	putHeader(b, i, h);
	b.set(body, i + headerSize);
	return b;
}

/**
 * Reads one frame at b[at...]. It returns null for one that is not complete,
 * unless it is clear already that it can't be right.
 */
export function parseFrame(b: Uint8Array, at: number, maxBody: number): { packet: Packet; end: number } | null {
	let n = 0;
	let i = 0;
	for (;; i++) {
		if (at + i >= b.length) {
			return null;
		}
		const c = b[at + i];
		n |= (c & 0x7f) << (7 * i);
		if (c >= 0x80) {
			if (i === maxLengthBytes - 1) {
				throw new CodecError("too-large");
			}
			continue;
		}
		if (i > 0 && c === 0) {
			throw new CodecError("length-form");
		}
		break;
	}
	if (n > maxBody) {
		throw new CodecError("too-large");
	}
	const start = at + i + 1;
	if (b.length - start < headerSize) {
		return null;
	}
	const h = parseHeader(b.subarray(start, start + headerSize));
	// Neither needs its body to be found out.
	if (h.kind === Kind.Heartbeat && n > 0) {
		throw new CodecError("body");
	}
	if (h.kind !== Kind.Heartbeat && n === 0) {
		throw new CodecError("no-body");
	}
	const end = start + headerSize + n;
	if (b.length < end) {
		return null;
	}
	return { packet: { ...h, body: b.subarray(start + headerSize, end) }, end };
}

// --- bodies: SPEC 5

/** Refuses a body that is not exactly one msgpack value within the limits. */
export function checkBody(b: Uint8Array): void {
	if (skipValue(b, 0) !== b.length) {
		throw new CodecError("trailing");
	}
}

/**
 * Returns the offset behind the value at b[i]. What it accepts can be decoded
 * without a further check of any length.
 */
export function skipValue(b: Uint8Array, i: number): number {
	const left: number[] = []; // values still to come in each open container
	for (;;) {
		const lead = scanValue(b, i);
		i = lead.end;
		if (lead.values >= 0) {
			// An empty container is as deep as a full one.
			if (left.length === maxDepth) {
				throw new CodecError("too-deep");
			}
			if (lead.values > 0) {
				left.push(lead.values);
				continue;
			}
		}
		while (left.length > 0 && --left[left.length - 1] === 0) {
			left.pop();
		}
		if (left.length === 0) {
			return i;
		}
	}
}

export interface Lead {
	end: number; // offset behind the value, or behind a container's head
	values: number; // how many values follow in the container; -1: it is none
}

// For c4 to df: bytes of length, bytes on top of the length, values an element
// of a container takes.
const widths: readonly (readonly [number, number, number])[] = [
	[1, 0, 0], [2, 0, 0], [4, 0, 0], // bin 8, 16, 32
	[1, 1, 0], [2, 1, 0], [4, 1, 0], // ext 8, 16, 32: the type byte comes on top
	[0, 4, 0], [0, 8, 0], // float 32, 64
	[0, 1, 0], [0, 2, 0], [0, 4, 0], [0, 8, 0], // uint 8, 16, 32, 64
	[0, 1, 0], [0, 2, 0], [0, 4, 0], [0, 8, 0], // int 8, 16, 32, 64
	[0, 2, 0], [0, 3, 0], [0, 5, 0], [0, 9, 0], [0, 17, 0], // fixext 1, 2, 4, 8, 16
	[1, 0, 0], [2, 0, 0], [4, 0, 0], // str 8, 16, 32
	[2, 0, 1], [4, 0, 1], // array 16, 32
	[2, 0, 2], [4, 0, 2], // map 16, 32
];

/** Reads the type byte at b[i] and what tells how long the value is. */
export function scanValue(b: Uint8Array, i: number): Lead {
	if (i >= b.length) {
		throw new CodecError("malformed");
	}
	const c = b[i++];
	if (c <= 0x7f || c >= 0xe0 || c === 0xc0 || c === 0xc2 || c === 0xc3) {
		return { end: i, values: -1 };
	}
	if (c <= 0x8f) {
		return container(b, i, c & 0x0f, 2);
	}
	if (c <= 0x9f) {
		return container(b, i, c & 0x0f, 1);
	}
	if (c <= 0xbf) {
		return bytesOf(b, i, c & 0x1f);
	}
	if (c === 0xc1) {
		throw new CodecError("malformed");
	}
	const [length, fixed, values] = widths[c - 0xc4];
	if (b.length - i < length) {
		throw new CodecError("malformed");
	}
	let n = 0;
	for (let k = 0; k < length; k++) {
		n = n * 256 + b[i++];
	}
	return values > 0 ? container(b, i, n, values) : bytesOf(b, i, n + fixed);
}

function container(b: Uint8Array, i: number, n: number, perElement: number): Lead {
	if (n > Math.floor((b.length - i) / perElement)) {
		throw new CodecError("malformed");
	}
	return { end: i, values: n * perElement };
}

function bytesOf(b: Uint8Array, i: number, n: number): Lead {
	if (n > b.length - i) {
		throw new CodecError("malformed");
	}
	return { end: i + n, values: -1 };
}
