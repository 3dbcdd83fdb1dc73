// SPDX-License-Identifier: MIT

// Plays the scripts of framework/client/testdata/scripts, whose language is in
// the README there. The Go player is framework/client/script_test.go.

import { readdirSync, readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { AddressBook } from "../src/addresses.js";

const dir = new URL("../../testdata/scripts/", import.meta.url);
const scripts = readdirSync(dir).filter((f) => f.endsWith(".txt")).map((f) => [f, readFileSync(new URL(f, dir), "utf8")] as const);
// This client has WebSocket alone.
const ours = scripts.filter(([, text]) => (/^addresses .*$/gm.exec(text)?.[0] ?? "").split(" ").slice(1).every((url) => /^wss?:/.test(url)));

test.each(ours)("%s", (_, want) => {
	expect(play(want)).toBe(want);
});

test("most scripts are ours", () => {
	expect(ours.length).toBeGreaterThan(4);
});

function play(text: string): string {
	let book = new AddressBook([]);
	let own: string[] = [];
	let now = 0;
	let named = "";
	let out = "";
	for (const l of text.split(/(?<=\n)/)) {
		if (l.startsWith("\t")) {
			continue; // what was expected
		}
		out += l;
		const [verb, ...rest] = l.trim().split(" ");
		const index = own.indexOf(rest[0]);
		switch (verb) {
			case "addresses": book = new AddressBook(own = rest); break;
			case "dial": out += book.targets(named, now).map((t) => `\ttry ${t.url}\n`).join(""); break;
			case "failed":
			case "stuck": book.failed(index); break;
			case "opened": book.opened(index, now); break;
			case "moved": named = rest.join(" "); break;
			case "network": book.networkChanged(); break;
			case "advance": now += parseInt(rest[0], 10) * (rest[0].endsWith("m") ? 60_000 : 1000); break;
			case "":
			case "#": break;
			default: throw new Error(`no command: ${l}`);
		}
	}
	return out;
}
