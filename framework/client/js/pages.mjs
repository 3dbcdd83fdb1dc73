// SPDX-License-Identifier: MIT

// Builds the pages that the servers embed: node pages.mjs writes them, and
// node pages.mjs --check tells whether what is committed is what would be written.

import { readFile, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const pages = [
	{
		from: "../../../examples/room/page/src/main.ts",
		to: "../../../examples/room/page/static/room",
		bundles: ["@msgpack/msgpack"],
	},
	{
		from: "../../internal/admin/inspector/src/main.ts",
		to: "../../internal/admin/inspector/static/inspector",
		bundles: ["uplot", "@msgpack/msgpack"], // those of both pages: they share the file of licenses
	},
	{
		from: "../../internal/admin/inspector/src/playground.ts",
		to: "../../internal/admin/inspector/static/playground",
		bundles: ["uplot", "@msgpack/msgpack"],
	},
];

const check = process.argv.includes("--check");
let stale = false;

async function put(path, content) {
	if (!check) {
		await writeFile(here(path), content);
	} else if ((await readFile(here(path), "utf8").catch(() => "")) !== content) {
		console.error(`${path} is not what its source builds: run npm run pages in framework/client/js`);
		stale = true;
	}
}

for (const page of pages) {
	const result = await build({
		entryPoints: [here(page.from)],
		outfile: here(`${page.to}.js`), // where it would be written
		nodePaths: [here("node_modules")],
		bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none", write: false,
		banner: { js: "// Built by npm run pages in framework/client/js. Licenses: licenses.txt" },
	});
	for (const file of result.outputFiles) {
		await put(page.to + extname(file.path), file.text);
	}
	const licenses = await Promise.all(page.bundles.map(async (name) => `${name}\n\n${await readFile(here(`node_modules/${name}/LICENSE`), "utf8")}`));
	await put(page.to.replace(/[^/]*$/, "licenses.txt"), licenses.join("\n\n---\n\n"));
}
process.exit(stale ? 1 : 0);
