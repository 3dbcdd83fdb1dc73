// SPDX-License-Identifier: MIT

// What framework/conform plays scripts to: its README has the language.
//
//	npx esbuild test/adapter.ts --bundle --platform=node --format=esm --outfile=adapter.mjs
//	go run ./framework/conform core -- node adapter.mjs

import { createInterface } from "node:readline";

import { Script } from "./script.js";

let s = new Script();
for await (const command of createInterface({ input: process.stdin })) {
	if (command.startsWith("script ")) {
		s = new Script();
	} else {
		s.do(command);
	}
	process.stdout.write([...s.take(), ".", ""].join("\n"));
}
