// SPDX-License-Identifier: MIT

// Programs of this folder, as node runs them.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const dirs: string[] = [];

/** Bundles a program, and returns its path. ws stays outside: it is no ES module. */
export async function bundle(name: string): Promise<string> {
	const dir = mkdtempSync(join(here, "..", "node_modules", ".conform-"));
	dirs.push(dir);
	const outfile = join(dir, `${name}.mjs`);
	await build({ entryPoints: [join(here, `${name}.ts`)], bundle: true, platform: "node", format: "esm", external: ["ws"], outfile });
	return outfile;
}

/** Removes what bundle made. */
export const unbundle = (): void => dirs.forEach((dir) => rmSync(dir, { recursive: true, force: true }));
