// SPDX-License-Identifier: MIT

// The client as framework/conform sees it.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { afterAll, expect, test } from "vitest";

import { bundle, unbundle } from "./bundle.js";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

afterAll(unbundle);

const conform = (...args: string[]): string => execFileSync("go", ["run", "./framework/conform", ...args], { cwd: repository, encoding: "utf8" });

test("its core passes all scripts", async () => {
	expect(conform("core", "--", "node", await bundle("adapter"))).toMatch(/as they should be\n$/);
}, 120_000);

test("over a socket it passes all that a socket can do", async () => {
	expect(conform("client", "-carrier", "ws", "--", "node", await bundle("player"))).toMatch(/as they should be\n$/);
}, 300_000);
