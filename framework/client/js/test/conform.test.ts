// SPDX-License-Identifier: MIT

// The client as framework/conform sees it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { afterAll, expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

/** Bundles one of the programs here, and returns its path. ws stays outside: it is no ES module. */
async function bundle(name: string): Promise<string> {
	const here = fileURLToPath(new URL(".", import.meta.url));
	const dir = mkdtempSync(join(here, "..", "node_modules", ".conform-"));
	dirs.push(dir);
	const outfile = join(dir, `${name}.mjs`);
	await build({ entryPoints: [join(here, `${name}.ts`)], bundle: true, platform: "node", format: "esm", external: ["ws"], outfile });
	return outfile;
}

const dirs: string[] = [];
afterAll(() => dirs.forEach((dir) => rmSync(dir, { recursive: true })));

const conform = (...args: string[]): string => execFileSync("go", ["run", "./framework/conform", ...args], { cwd: repository, encoding: "utf8" });

test("its core passes all scripts", async () => {
	expect(conform("core", "--", "node", await bundle("adapter"))).toMatch(/as they should be\n$/);
}, 120_000);

test("over a socket it passes all that a socket can do", async () => {
	expect(conform("client", "-carrier", "ws", "--", "node", await bundle("player"))).toMatch(/as they should be\n$/);
}, 300_000);
