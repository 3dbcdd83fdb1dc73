// SPDX-License-Identifier: MIT

// What npm pack makes works without anything else of the repository.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

test("npm pack makes a package that works", { timeout: 120_000 }, async () => {
	const dir = mkdtempSync(join(tmpdir(), "lifeline-pack-"));
	try {
		execFileSync("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: root });
		execFileSync("tar", ["-xzf", readdirSync(dir)[0]], { cwd: dir });
		const unpacked = join(dir, "package");
		expect(readdirSync(unpacked).sort()).toEqual(["LICENSE", "README.md", "dist", "package.json", "src"]);
		symlinkSync(join(root, "node_modules"), join(unpacked, "node_modules"));
		const { Client, struct, f32 } = await import(pathToFileURL(join(unpacked, "dist/index.js")).href);
		const c = new Client("wss://game.test");
		expect(c.send("move", struct({ x: f32 }), { x: 1 })).toBe(true);
		expect(readdirSync(join(unpacked, "dist"))).toContain("index.d.ts");
		await import(pathToFileURL(join(unpacked, "dist/minigame.js")).href);
		execFileSync("node", ["-e", "new (require('./dist/index.js').Client)('wss://game.test')"], { cwd: unpacked }); // no module asks for await
		for (const name of ["index.js.map", "index.d.ts.map", "client.js.map"]) { // a debugger finds the sources
			const { sources } = JSON.parse(readFileSync(join(unpacked, "dist", name), "utf8"));
			expect(sources.every((s: string) => existsSync(join(dirname(join(unpacked, "dist", name)), s))), name).toBe(true);
		}
		const { exports } = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
		for (const at of Object.values(exports).flatMap((e) => (typeof e === "string" ? [e] : Object.values(e as object)))) {
			expect(existsSync(join(unpacked, at)), at).toBe(true);
		}
	} finally {
		rmSync(dir, { recursive: true, force: true });
	}
});

test("a client with its types takes at most 21 kB of a page's download", async () => {
	const program = `import { Client, bool, f32, int, list, str, struct } from "./src/index.js";
		new Client("wss://game.test").send("x", struct({ a: f32, b: list(str), c: int, d: bool }), globalThis.x);`;
	const { outputFiles } = await build({ stdin: { contents: program, resolveDir: root, loader: "ts" }, bundle: true, minify: true, format: "esm", target: "es2022", write: false });
	const size = gzipSync(outputFiles[0].contents).length;
	console.log(`${size} bytes, gzipped`);
	expect(size).toBeLessThanOrEqual(21_000);
});

test("the documentation is built without a warning", { timeout: 120_000 }, () => {
	const dir = mkdtempSync(join(tmpdir(), "lifeline-docs-"));
	try {
		execFileSync("npm", ["run", "--silent", "docs", "--", "--out", dir, "--logLevel", "Warn"], { cwd: root });
		expect(existsSync(join(dir, "classes/index.Client.html"))).toBe(true);
	} finally {
		rmSync(dir, { recursive: true, force: true });
	}
});

test("components are rendered on a server, where there is no page and no socket", async () => {
	const { App } = await bundled("examples/react/App.tsx");
	expect(renderToString(createElement(App, { url: "wss://game.test" }))).toContain("connecting");
});

/** Bundles a file and imports it, with React as it is here. */
async function bundled(file: string): Promise<any> {
	const out = join(root, "node_modules/.lifeline-test.mjs"); // where React is found
	await build({ entryPoints: [join(root, file)], alias: { "lifeline-client": join(root, "src/index.ts") }, external: ["react", "react/jsx-runtime"], bundle: true, format: "esm", jsx: "automatic", outfile: out });
	try {
		return await import(pathToFileURL(out).href);
	} finally {
		rmSync(out);
	}
}
