// SPDX-License-Identifier: MIT

// Holds this codec against the vectors that the Go codec is held against.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import * as c from "../src/codec.js";
import * as e from "../src/envelope.js";
import * as t from "../src/types.js";
import { fromHex, toHex } from "./hex.js";

interface Vector {
	name: string; hex: string; error?: c.CodecWord; again?: string;
	kind: c.Kind; counted: boolean; flags: number; seq: number; ack: number; body?: string;
	value: { id: number; name: string; x: number; y: number };
	shape: "request" | "response" | "failure" | "message";
	id: string; route: string | number; payload: string; code: number; text: string;
}

const vectors: Record<string, { accepted: Vector[]; refused: Vector[]; partial?: Vector[] }> = JSON.parse(
	readFileSync(new URL("../../../../codec/testdata/vectors.json", import.meta.url), "utf8"),
);

const Struct = t.struct({ id: t.u8, name: t.str, at: t.struct({ x: t.i16, y: t.i16 }) });

/** Parses b as its section says and encodes what was found. */
function rewrite(section: string, v: Vector, b: Uint8Array): Uint8Array {
	switch (section) {
		case "headers":
			return c.encodeHeader(c.parseHeader(b));
		case "frames": {
			const f = c.parseFrame(b, 0, c.defaultMaxBody)!;
			expect(f.end).toBe(b.length);
			expect(c.frameSize(f.packet.body.length)).toBe(b.length);
			return c.encodeFrame(f.packet, f.packet.body);
		}
		case "bodies":
			c.checkBody(b);
			return b;
		case "structs":
			return t.encodeBody(Struct, t.decodeBody(Struct, b));
	}
	switch (v.shape) {
		case "request": {
			const p = e.parseRequest(b);
			return e.encodeRequest(p.id, p.route, p.payload);
		}
		case "response": {
			const p = e.parseResponse(b);
			return e.encodeResponse(p.id, p.payload);
		}
		case "failure": {
			const p = e.parseFailure(b);
			return e.encodeFailure(p.id, p.code, p.text);
		}
		case "message": {
			const p = e.parseMessage(b);
			return e.encodeMessage(p.route, p.payload);
		}
	}
}

/** Encodes the fields of an accepted entry. */
function fromFields(section: string, v: Vector): Uint8Array {
	switch (section) {
		case "headers":
			return c.encodeHeader(v);
		case "frames":
			return c.encodeFrame(v, fromHex(v.body ?? ""));
		case "bodies":
			return fromHex(v.hex);
		case "structs":
			return t.encodeBody(Struct, { id: v.value.id, name: v.value.name, at: { x: v.value.x, y: v.value.y } });
	}
	const payload = fromHex(v.payload ?? "");
	switch (v.shape) {
		case "request": return e.encodeRequest(BigInt(v.id), v.route, payload);
		case "response": return e.encodeResponse(BigInt(v.id), payload);
		case "failure": return e.encodeFailure(BigInt(v.id), v.code, v.text);
		case "message": return e.encodeMessage(v.route, payload);
	}
}

for (const [section, entries] of Object.entries(vectors)) {
	describe(section, () => {
		test.each(entries.accepted)("$name", (v) => {
			const want = v.again ?? v.hex;
			expect(toHex(fromFields(section, v))).toBe(want);
			expect(toHex(rewrite(section, v, fromHex(v.hex)))).toBe(want);
			if (v.kind !== undefined) {
				expect(c.isCounted(v.kind)).toBe(v.counted);
			}
		});
		test.each(entries.refused)("refused: $name", (v) => {
			expect(() => rewrite(section, v, fromHex(v.hex))).toThrow(expect.objectContaining({ word: v.error }));
		});
		test.each(entries.partial ?? [])("partial: $name", (v) => {
			expect(c.parseFrame(fromHex(v.hex), 0, c.defaultMaxBody)).toBeNull();
		});
	});
}

test("a frame is found where it begins, others before and behind it", () => {
	const one = c.encodeFrame({ kind: c.Kind.Heartbeat, flags: 1, seq: 7, ack: 9 });
	const two = c.encodeFrame({ kind: c.Kind.Message, flags: 0, seq: 1, ack: 0 }, e.encodeMessage("a", t.encodeBody(t.str, "b")));
	const f = c.parseFrame(Uint8Array.of(...one, ...two, ...one), one.length, c.defaultMaxBody)!;
	expect(f.end).toBe(one.length + two.length);
	expect(e.parseMessage(f.packet.body).route).toBe("a");
});

describe("types", () => {
	const Everything = t.struct({
		a: t.u64, b: t.i64, c: t.f32, d: t.f64, e: t.bool, f: t.bin, g: t.bytes(2), h: t.list(t.str), i: t.nullable(t.u32), j: t.anything, k: t.int,
	});
	const full: t.Infer<typeof Everything> = {
		a: (1n << 64n) - 1n, b: -(1n << 63n), c: 0.5, d: Math.PI, e: true, f: Uint8Array.of(1), g: Uint8Array.of(2, 3),
		h: ["x", "ä"], i: 4, j: { k: [1, "v", null] }, k: -(2 ** 53 - 1),
	};
	test("all of them survive", () => {
		expect(t.decodeBody(Everything, t.encodeBody(Everything, full))).toEqual(full);
	});
	test("absent fields and nil are zero", () => {
		const zero = { a: 0n, b: 0n, c: 0, d: 0, e: false, f: new Uint8Array(0), g: new Uint8Array(2), h: [], i: null, j: null, k: 0 };
		expect(t.decodeBody(Everything, fromHex("90"))).toEqual(zero);
		expect(t.decodeBody(Everything, fromHex("c0"))).toEqual(zero);
		expect(t.decodeBody(Everything, fromHex("9bc0c0c0c0c0c0c0c0c0c0c0"))).toEqual(zero);
	});
	test("what does not fit is refused before it is written", () => {
		expect(() => t.encodeBody(t.u8, 256)).toThrow("256 does not fit u8");
		expect(() => t.encodeBody(t.i32, 0.5)).toThrow("0.5 does not fit i32");
		expect(() => t.encodeBody(t.bytes(3), full.g)).toThrow("mismatch");
	});
	test.each([
		["f32", t.f32, ["1", undefined, null, true, 1n]], ["f64", t.f64, ["1", undefined, null, {}]], ["bool", t.bool, ["no", 0, 1, undefined, null]],
		["str", t.str, [5, undefined, null, true, ["a"]]], ["bin", t.bin, ["a", [1], new Uint16Array(1), new ArrayBuffer(1), undefined]],
		["u8", t.u8, ["1", undefined, null, NaN, 1n, -1]], ["u64", t.u64, [1, "1", undefined, -1n]], ["a list", t.list(t.u8), [undefined, null, 5, { length: 1 }, "ab"]],
		["a struct", t.struct({ x: t.u8 }), [undefined, null, 5, "ab"]], ["bin", t.bytes(1), [[1], "a", undefined]],
	] as [string, t.Type<any>, unknown[]][])("%s takes nothing that is something else", (name, type, values) => {
		for (const v of values) {
			expect(() => t.encodeBody(type, v)).toThrow(expect.objectContaining({ word: "mismatch", message: expect.stringContaining(`does not fit ${name}`) }));
		}
	});
	test("an error names the field, in both directions", () => {
		const Place = t.struct({ id: t.u8, at: t.struct({ x: t.f32, y: t.f32 }) });
		const World = t.struct({ tick: t.u8, players: t.list(Place) });
		const player = (y: unknown): t.Infer<typeof Place> => ({ id: 1, at: { x: 1, y: y as number } });
		expect(() => t.encodeBody(World, { tick: 1, players: [player(2), player("north")] })).toThrow('players[1].at.y: "north" does not fit f32');
		expect(() => t.encodeBody(World, { tick: 1, players: [player(2), {} as never] })).toThrow("players[1].id: undefined does not fit u8");
		expect(() => t.encodeBody(t.list(t.list(t.u8)), [[1], [2, 300]])).toThrow("[1][1]: 300 does not fit u8");
		const Other = t.struct({ tick: t.u8, players: t.list(t.struct({ id: t.u8, at: t.struct({ x: t.f32, y: t.str }) })) });
		const b = t.encodeBody(Other, { tick: 1, players: [{ id: 1, at: { x: 1, y: "north" } }] });
		expect(() => t.decodeBody(World, b)).toThrow("players[0].at.y: not f32");
	});
	test("fields that JavaScript would reorder are refused", () => {
		expect(() => t.struct({ b: t.u8, 2: t.u8 })).toThrow("can't be named 2");
		expect(() => t.struct({ "10": t.u8 })).toThrow("can't be named 10");
		expect(t.encodeBody(t.struct({ b2: t.u8, "1a": t.u8 }), { b2: 1, "1a": 2 })).toEqual(fromHex("920102"));
	});
	test("what the peer would refuse is not encoded", () => {
		const nest = (n: number): unknown => (n === 0 ? 1 : [nest(n - 1)]);
		expect(() => t.encodeBody(t.anything, nest(17))).toThrow("too-deep");
		expect(t.decodeBody(t.anything, t.encodeBody(t.anything, nest(16)))).toEqual(nest(16));
		const wrap = (type: t.Type<any>, n: number): t.Type<any> => (n === 0 ? type : wrap(t.list(type), n - 1));
		expect(() => t.encodeBody(wrap(t.anything, 10), nest(17))).toThrow("too-deep");
	});
	test("a float may stand where an integer was written, and not the other way", () => {
		expect(t.decodeBody(t.f64, fromHex("05"))).toBe(5);
		expect(() => t.decodeBody(t.int, fromHex("cb3ff0000000000000"))).toThrow("mismatch");
	});
	test("what is kept has memory of its own", () => {
		const b = fromHex("c40107");
		const v = t.decodeBody(t.bin, b);
		b.fill(0);
		expect(v[0]).toBe(7);
	});
});

test("random bytes never do more than throw a CodecError", () => {
	let seed = 1;
	const random = (n: number): number => (seed = (seed * 48271) % 0x7fffffff) % n;
	for (let i = 0; i < 20000; i++) {
		const b = Uint8Array.from({ length: random(40) }, () => random(256));
		for (const parse of [
			() => c.parseFrame(b, 0, 1000), () => c.checkBody(b), () => t.decodeBody(Struct, b), () => t.decodeBody(t.anything, b),
			() => e.parseRequest(b), () => e.parseResponse(b), () => e.parseFailure(b), () => e.parseMessage(b),
		]) {
			try {
				parse();
			} catch (err) {
				if (!(err instanceof c.CodecError)) {
					throw err;
				}
			}
		}
	}
});
