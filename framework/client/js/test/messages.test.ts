// SPDX-License-Identifier: MIT

// What framework/gen writes agrees with Go, byte for byte.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import * as room from "../../../../examples/room/page/src/wire.js";
import { decodeBody, encodeBody, type Type } from "../src/index.js";
import { fromHex, toHex } from "./hex.js";
import * as sample from "./messages.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** The Type of a Go type, as "swarm.Move". */
function typeOf(name: string): Type<unknown> {
	const [pkg, id] = name.split(".");
	const type = ({ swarm: room, sample } as Record<string, Record<string, unknown>>)[pkg][id];
	expect(type, name).toBeDefined();
	return type as Type<unknown>;
}

test("10,000 random messages of each type are written as Go wrote them", { timeout: 300_000 }, () => {
	const out = execFileSync("go", ["run", "./framework/gen/internal/cases", "-n", "10000"], { cwd: root, maxBuffer: 1 << 30, encoding: "latin1" });
	const [seed, ...lines] = out.trimEnd().split("\n");
	const counts = new Map<string, number>();
	for (const line of lines) {
		const [name, bytes] = line.split(" ");
		const type = typeOf(name);
		const again = toHex(encodeBody(type, decodeBody(type, fromHex(bytes))));
		if (again !== bytes) {
			expect(again, `${seed}, ${name}`).toBe(bytes);
		}
		counts.set(name, (counts.get(name) ?? 0) + 1);
	}
	expect([...counts.keys()].sort()).toEqual(["sample.Empty", "sample.Hero", "sample.Numbers", "sample.Options", "sample.Parts", "sample.Reader", "sample.Tree", "swarm.Chat", "swarm.Move", "swarm.Name", "swarm.Seat", "swarm.Spot", "swarm.State", "swarm.View"]);
	expect([...counts.values()].every((n) => n === 10_000)).toBe(true);
});
