// SPDX-License-Identifier: MIT

// What npm pack makes works without anything else of the repository.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

test("npm pack makes a package that works", { timeout: 120_000 }, async () => {
	const dir = mkdtempSync(join(tmpdir(), "lifeline-pack-"));
	try {
		execFileSync("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: root });
		execFileSync("tar", ["-xzf", readdirSync(dir)[0]], { cwd: dir });
		const unpacked = join(dir, "package");
		expect(readdirSync(unpacked).sort()).toEqual(["LICENSE", "README.md", "dist", "package.json"]);
		symlinkSync(join(root, "node_modules"), join(unpacked, "node_modules"));
		const { Client, struct, f32 } = await import(pathToFileURL(join(unpacked, "dist/index.js")).href);
		const c = new Client("wss://game.test");
		expect(c.send("move", struct({ x: f32 }), { x: 1 })).toBe(true);
		expect(readdirSync(join(unpacked, "dist"))).toContain("index.d.ts");
	} finally {
		rmSync(dir, { recursive: true, force: true });
	}
});
