// SPDX-License-Identifier: MIT

// What framework/conform plays scripts to over sockets: its README has the language.
//
//	npx esbuild test/player.ts --bundle --platform=node --format=esm --outfile=player.mjs
//	go run ./framework/conform client -carrier ws -- node player.mjs

import { createInterface } from "node:readline";

import WebSocket from "ws";

import { Client, CloseError, type ClientEvent, type Socket, type Type } from "../src/index.js";
import { fromHex, toHex } from "./hex.js";

let speed = 1;
let random = 0n;
const start = performance.now();
const wall = Date.now();

/** A clock that goes faster, and the script's random numbers. */
const platform = {
	now: (): number => (performance.now() - start) * speed,
	random(b: Uint8Array): void {
		new DataView(b.buffer, b.byteOffset).setBigUint64(0, random, true);
	},
};

// What a platform has not goes with that clock, too.
const { setTimeout: later } = globalThis;
Date.now = (): number => wall + platform.now();
globalThis.setTimeout = ((fn: () => void, ms = 0) => later(fn, ms / speed)) as typeof setTimeout;

/** One msgpack value, whatever it is. */
const raw: Type<Uint8Array> = {
	zero: () => new Uint8Array([0xc0]),
	write: (w, v) => w.raw(v),
	read: (r) => r.value(),
};

const words: Partial<Record<ClientEvent["kind"], string>> = {
	opened: "opened", lost: "lost", resumed: "resumed", reset: "reset", gone: "ending", closed: "ending", moving: "moving", refused: "put off",
};
const set = new Map<string, string>();
let c: Client;
let ended = false;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const number = (name: string): number | undefined => (set.has(name) ? Number(set.get(name)) : undefined);

function tell(e: ClientEvent): void {
	const word = words[e.kind];
	if (word === undefined) {
		return;
	}
	const code = "reason" in e ? e.reason : "error" in e && e.error instanceof CloseError ? e.error.code : "";
	ended ||= e.kind === "closed";
	say(`${word} ${code}`.trimEnd());
	for (const m of "undelivered" in e ? e.undelivered : []) {
		say(`undelivered ${m.route} ${toHex(m.payload)}`);
	}
}

function open(): void {
	speed = number("speed") ?? 1;
	const ticket = set.get("ticket");
	c = new Client(set.get("address")!, {
		ticket: ticket === undefined ? undefined : () => ticket,
		info: set.get("info"), token: set.get("token"),
		maxPackets: number("max-packets"), maxBytes: number("max-bytes"), maxReceive: number("max-receive"),
		openingTimeout: number("opening-timeout"), minDelay: number("min-delay"), maxDelay: number("max-delay"),
		platform, dialTimeout: 5000 * speed, // it is the machine that answers, in real time
		open: (url) => new WebSocket(url, "lifeline") as unknown as Socket,
		onEvent: tell,
		onMessage: (route, payload) => say(`deliver ${route} ${toHex(payload)}`),
	});
	c.connect().catch(() => undefined);
}

function send(route: string, payload: string): void {
	try {
		if (!c.send(route, raw, fromHex(payload))) {
			say(ended ? "closed" : "full");
		}
	} catch {
		say("refused");
	}
}

const commands: Record<string, (...words: string[]) => void> = {
	set: (name, ...value) => set.set(name, value.join(" ")),
	random: (n) => (random = BigInt(n)),
	open,
	send,
	request: (route, payload) => void c.request(route, raw, fromHex(payload), raw).catch(() => undefined),
	hurry: () => c.hurry(),
	pause: () => c.pause(),
	cut: () => c.cut(),
	close: () => c.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
	const [command, ...rest] = line.split(" ");
	(commands[command] ?? ((): void => say("unsupported")))(...rest);
	say(".");
}
process.exit(0);
