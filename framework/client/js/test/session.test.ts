// SPDX-License-Identifier: MIT

// Holds this session against the vectors and scripts that the Go one is held
// against.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { defaultMaxBody, Kind, parseFrame } from "../src/codec.js";
import * as control from "../src/control.js";
import { encodeBody } from "../src/types.js";
import { fromHex, toHex } from "./hex.js";
import { play, readScript, scriptsDir } from "./script.js";

const vectors = JSON.parse(readFileSync(new URL("../../../../session/testdata/vectors.json", import.meta.url), "utf8"));

describe("scripts", () => {
	const names = readdirSync(scriptsDir).filter((f) => f.endsWith(".txt")).map((f) => f.slice(0, -4));
	test.each(names)("%s", (name) => {
		const want = readScript(name);
		expect(play(want)).toBe(want);
	});
});

describe("vectors", () => {
	test.each([...vectors.keys, ...vectors.seal_keys] as { sid: string; key: string; seal?: string; token: string }[])("token $token", (v) => {
		const seal = v.seal ?? "";
		expect(control.makeToken({ sid: fromHex(v.sid), key: fromHex(v.key), seal: fromHex(seal) })).toBe(v.token);
		const t = control.parseToken(v.token)!;
		expect([toHex(t.sid), toHex(t.key), toHex(t.seal)]).toEqual([v.sid, v.key, seal]);
	});
	test.each(["", "ll1.", "ll2.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwK", "ll1.AQIDBAUGBwgJCgsMDQ4PEJRSo_zrd4OhSyVFj_DHse2RR2-SAfs_H2n_SnQdGQwKAA"])(
		"no token: %s",
		(s) => expect(control.parseToken(s)).toBeNull(),
	);
	test.each(vectors.proofs as { key: string; sid: string; attempt: string; recv: string | null; lowest: string; nonce: string; input: string; proof: string; frame: string }[])(
		"proof of attempt $attempt",
		(v) => {
			const claim = { sid: fromHex(v.sid), attempt: BigInt(v.attempt), recv: v.recv === null ? null : Number(v.recv), lowest: Number(v.lowest) };
			const nonce = fromHex(v.nonce);
			expect(toHex(control.proofInput(claim, nonce))).toBe(v.input);
			const proof = control.prove(fromHex(v.key), claim, nonce);
			expect(toHex(proof)).toBe(v.proof);
			expect(toHex(control.encodeControl(Kind.Resume, control.Resume, { ...claim, proof }))).toBe(v.frame);
		},
	);
	const types: Record<string, any> = {
		GREETING: control.Greeting, HELLO: control.Hello, WELCOME: control.Welcome, RESUME: control.Resume, RESUMED: control.Resumed,
		RESET: control.Reset, REFUSED: control.End, BYE: control.End, TUNE: control.Tune, DETACH: control.Detach, MOVE: control.Move,
	};
	// As the file writes them: bin as hex, integers as decimal strings.
	const print = (v: any): unknown =>
		v instanceof Uint8Array ? toHex(v)
		: Array.isArray(v) ? v.map(print)
		: typeof v === "object" && v !== null ? Object.values(v).map(print)
		: typeof v === "number" || typeof v === "bigint" ? String(v)
		: v;
	// A vector has no fields that came after it: they are false.
	const older = (got: unknown, like: unknown): unknown => {
		if (!Array.isArray(got) || !Array.isArray(like)) {
			return got;
		}
		expect(got.slice(like.length).filter((f) => f !== false)).toEqual([]);
		return got.slice(0, like.length).map((f, i) => older(f, like[i]));
	};
	test.each(vectors.controls as { kind: string; fields: unknown[]; frame: string }[])("$kind $fields", (v) => {
		const type = v.kind === "RESUME" && v.fields.length > 5 ? control.ResumeCan : types[v.kind];
		const p = parseFrame(fromHex(v.frame), 0, defaultMaxBody)!.packet;
		const value = control.decodeControl(p, type);
		expect(older(print(value), v.fields)).toEqual(v.fields);
		const again = encodeBody(type, value);
		if (JSON.stringify(print(value)) === JSON.stringify(v.fields)) {
			expect(toHex(again)).toBe(toHex(p.body));
		} else {
			expect(control.decodeControl({ ...p, body: again }, type)).toEqual(value);
		}
	});
});
