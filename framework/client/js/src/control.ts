// SPDX-License-Identifier: MIT

// Control packets, ids, tokens and the proof of a RESUME. Section numbers are
// those of session/SPEC.md.

// Not WebCrypto: it answers later, which a state machine can't wait for, and
// browsers keep it from pages that did not come by https.

import { CodecError, encodeFrame, type Kind, type Packet } from "./codec.js";
import { CloseError } from "./code.js";
import { maxRouteName } from "./envelope.js";
import { bin, bool, bytes, decodeBody, encodeBody, type Infer, list, nullable, str, struct, type Type, u32, u64, u8, uint } from "./types.js";
import { hmac, sha256 } from "./sha256.js";
import { encodeText, fromBase64, toBase64 } from "./text.js";

export const protocolVersion = 1;

/** Durations here and in all of the client are milliseconds. */
export interface Params {
	interval: number; // of heartbeats
	timeout: number; // silence that ends a link
	grace: number; // how long a session waits for its player
	window: number; // over which clients spread their return
	maxBody: number; // bytes
	packets: number; // most unacknowledged packets from the client
	bytes: number; // most unacknowledged body bytes from the client
	reopens: boolean; // another server may reopen the session: SPEC 6.8
}

/** True if it is true, and false if it is any other value: a script of version 1 has a text in that place. */
const trueOnly: Type<boolean> = { ...bool, read: (r) => r.bool() ?? (r.value(), false) };

const ParamsBody = struct({ interval: u32, timeout: u32, grace: u32, window: u32, maxBody: u32, packets: u32, bytes: u32, reopens: trueOnly });

/** The bodies of SPEC 3, fields in their order. */
export const Greeting = struct({ version: u8, nonce: bytes(16) });
export const Hello = struct({
	version: u8, nonce: bytes(16), opening: bytes(16), ticket: nullable(bin), info: str, routes: nullable(bin), attempt: u64,
});
export const Welcome = struct({ sid: bytes(16), key: bytes(32), base: u64, recv: u64, params: ParamsBody, routes: nullable(list(str)), seal: nullable(bytes(32)) });
const resumeFields = { sid: bytes(16), attempt: u64, recv: nullable(uint), lowest: uint, proof: bytes(32) };
export const Resume = struct(resumeFields);
/** What a client adds if the server's parameters say that sessions are reopened: SPEC 6.8. */
export const ResumeCan = struct({ ...resumeFields, can: u32 });
export const Resumed = struct({ epoch: u32, recv: u64, hold: bool, params: ParamsBody });
export const Reset = struct({ epoch: u32, base: u64, recv: u64, hold: bool, reason: u32, params: ParamsBody, routes: nullable(list(str)), restart: bool });
export const End = struct({ code: u32, text: str, detail: u64 }); // REFUSED and BYE
export const Tune = struct({ interval: u32, timeout: u32 });
export const Detach = struct({});
export const Move = struct({ delay: u32, address: str });

/** The name of the route by which a server with these messages tells them: framework/gen. */
export function schemaName(text: string): string {
	return `schema.${hex(sha256(encodeText(text)).subarray(0, 8))}`;
}

export function encodeControl<T>(kind: Kind, type: Type<T>, body: T): Uint8Array {
	return encodeFrame({ kind, flags: 0, seq: 0, ack: 0 }, encodeBody(type, body));
}

export function decodeControl<T>(p: Packet, type: Type<T>): T {
	try {
		return decodeBody(type, p.body);
	} catch (e) {
		if (e instanceof CodecError) {
			throw new LinkError("control", e.message);
		}
		throw e;
	}
}

/** Reads a REFUSED or a BYE. */
export function parseEnd(p: Packet): CloseError {
	const b = decodeControl(p, End);
	return new CloseError(b.code, b.text, true, b.detail);
}

export const maxMillis = 2 ** 31;
const maxWindow = 2 ** 15 - 1; // keeps seq16 unambiguous: SPEC 4.2

/** Refuses what can't work: SPEC 3.4. TUNE comes under the same conditions: SPEC 3.9. */
export function checkParams(b: Infer<typeof ParamsBody>): Params {
	const ms = (v: number): number => Math.min(v, maxMillis);
	const p: Params = {
		interval: ms(b.interval), timeout: ms(b.timeout), grace: ms(b.grace), window: ms(b.window),
		maxBody: Math.min(b.maxBody, 2 ** 28 - 1), packets: Math.min(b.packets, maxWindow), bytes: Math.min(b.bytes, 2 ** 30), reopens: b.reopens,
	};
	if (p.interval <= 0 || p.timeout < 2 * p.interval || p.maxBody <= 0 || p.packets <= 0 || p.bytes < p.maxBody) {
		throw new LinkError("control", `parameters ${JSON.stringify(p)}`);
	}
	return p;
}

/** Above this a count is a protocol error; no real one comes near 2^53. SPEC 3.3. */
export function checkCount(n: bigint): number {
	if (n > BigInt(Number.MAX_SAFE_INTEGER)) {
		throw new LinkError("control", `count ${n}`);
	}
	return Number(n);
}

/** Why a packet ends its link. The session itself lives on: SPEC 4, 7.3. */
export type LinkWord = "gap" | "unsent" | "kind" | "fenced" | "control";

export class LinkError extends Error {
	override readonly name = "LinkError";
	constructor(readonly word: LinkWord, detail = "") {
		super(detail === "" ? `session: ${word}` : `session: ${word}: ${detail}`);
	}
}

// --- the route dictionary: SPEC 3.12

const maxRoutesBytes = 48 << 10;

/** Refuses a dictionary that breaks the rules. */
export function checkRoutes(routes: string[]): string[] {
	let size = 0;
	for (const name of routes) {
		const n = encodeText(name).length;
		size += 2 + n;
		if (n < 1 || n > maxRouteName) {
			throw new LinkError("control", `route ${name}`);
		}
	}
	if (size > maxRoutesBytes || new Set(routes).size < routes.length) {
		throw new LinkError("control", "dictionary too large, or a route listed twice");
	}
	return routes;
}

/** What tells one dictionary from another; of an empty one it is empty. */
export function routesHash(routes: readonly string[]): Uint8Array {
	if (routes.length === 0) {
		return new Uint8Array(0);
	}
	const parts = routes.map(encodeText).flatMap((b) => [Uint8Array.of(b.length), b]);
	return sha256(...parts).slice(0, 8);
}

// --- identity: SPEC 2.3 to 2.5 and 6.2

const tokenPrefix = "ll1.";

/** What a token is made of. seal is for carriers that a browser does not have, and empty without one. */
export interface Identity {
	sid: Uint8Array;
	key: Uint8Array;
	seal: Uint8Array;
}

/** The reconnect token: SPEC 2.5. Whoever has it is the player. */
export function makeToken({ sid, key, seal }: Identity): string {
	return tokenPrefix + toBase64(Uint8Array.of(...sid, ...key, ...seal));
}

/** Takes a reconnect token apart; null if it is none. */
export function parseToken(token: string): Identity | null {
	if (!/^ll1\.([\w-]{64}|[\w-]{107})$/.test(token)) {
		return null;
	}
	const b = fromBase64(token.slice(tokenPrefix.length));
	return { sid: b.slice(0, 16), key: b.slice(16, 48), seal: b.slice(48) };
}

/** As text, as a session's id is told. */
export function hex(b: Uint8Array): string {
	return Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("");
}

/** What a RESUME claims. recv is null if the client has lost it. */
export interface Claim {
	sid: Uint8Array;
	attempt: bigint;
	recv: number | null;
	lowest: number;
}

/** The bit of `can` for a client that knows what restart means in a RESET: SPEC 6.8. */
export const canRestart = 1;

const proofLabel = encodeText("lifeline/resume/1");

/** The 74 bytes that a proof is made over: SPEC 6.2. */
export function proofInput(c: Claim, nonce: Uint8Array): Uint8Array {
	const b = new Uint8Array(74);
	const view = new DataView(b.buffer);
	b.set(proofLabel);
	b.set(c.sid, 17);
	view.setBigUint64(33, c.attempt, true);
	view.setUint8(41, c.recv === null ? 0 : 1);
	view.setBigUint64(42, BigInt(c.recv ?? 0), true);
	view.setBigUint64(50, BigInt(c.lowest), true);
	b.set(nonce, 58);
	return b;
}

export function prove(key: Uint8Array, c: Claim, nonce: Uint8Array): Uint8Array {
	return hmac(key, proofInput(c, nonce));
}
