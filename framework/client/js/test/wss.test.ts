// SPDX-License-Identifier: MIT

// A server that speaks TLS itself, the Nodes that there are, and threads of theirs.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { bundle, unbundle } from "./bundle.js";
import { certificate } from "./certificate.js";
import { Server } from "./room.js";

let server: Server;
let plain: Server;
let bot: string;
let cert: string;
beforeAll(async () => {
	cert = certificate();
	[server, plain, bot] = [await Server.start("-bots", "0", "-tls-cert", join(cert, "cert.pem"), "-tls-key", join(cert, "key.pem")), await Server.start("-bots", "0"), await bundle("bot")];
}, 120_000);
afterAll(async () => {
	await server?.stop();
	await plain?.stop();
	unbundle();
});

const play = (addr: string, room: string): string[] => ["-addr", addr, "-n", "10", "-duration", "3s", "-cut", "1s", "-room", room, "-rate", "5", "-json"];
const whole = { players: 10, lost: 0, duplicated: 0, reordered: 0, resets: 0, failed: 0 };
const trusting = (): NodeJS.ProcessEnv => ({ ...process.env, NODE_EXTRA_CA_CERTS: join(cert, "cert.pem") });

// Node 20 runs these tests and has no WebSocket of its own; LIFELINE_NODES names others that have one.
const nodes = [process.execPath, ...(process.env.LIFELINE_NODES ?? "").split(":").filter(Boolean)];

test.each(nodes)("%s: ten bots on wss pull their cables, and nothing is lost", (node) => {
	const r = JSON.parse(execFileSync(node, [bot, ...play(server.ws, "wss")], { encoding: "utf8", env: trusting() }));
	expect(server.ws).toMatch(/^wss:/);
	expect(r).toMatchObject({ ...whole, received: 10 * r.sent });
	expect(r.resumes).toBeGreaterThan(0);
}, 60_000);

test.each(nodes)("%s: in a thread", (node) => {
	const thread = `new (require("node:worker_threads").Worker)(process.argv[1], { argv: process.argv.slice(2) })`;
	const r = JSON.parse(execFileSync(node, ["-e", thread, "--", bot, ...play(plain.ws, "thread")], { encoding: "utf8" }));
	expect(r).toMatchObject({ ...whole, received: 10 * r.sent });
	expect(r.resumes).toBeGreaterThan(0);
}, 60_000);
