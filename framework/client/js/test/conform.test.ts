// SPDX-License-Identifier: MIT

// The client as framework/conform sees it.

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

/** Bundles one of the programs here, and returns its path. */
async function bundle(name: string): Promise<string> {
	const outfile = join(mkdtempSync(join(tmpdir(), "lifeline-")), `${name}.mjs`);
	await build({ entryPoints: [fileURLToPath(new URL(`${name}.ts`, import.meta.url))], bundle: true, platform: "node", format: "esm", outfile });
	return outfile;
}

test("it passes all scripts", async () => {
	const command = ["run", "./framework/conform", "core", "--", "node", await bundle("adapter")];
	expect(execFileSync("go", command, { cwd: repository, encoding: "utf8" })).toMatch(/as they should be\n$/);
}, 120_000);
