// SPDX-License-Identifier: MIT

// The bots, as .ci/run and studios use them.

import { execFileSync, spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";

import { bundle, unbundle } from "./bundle.js";
import { Server } from "./room.js";

let server: Server;
let bot: string;
beforeAll(async () => {
	[server, bot] = [await Server.start("-bots", "0"), await bundle("bot")];
}, 120_000);
afterAll(async () => {
	await server.stop();
	unbundle();
});

test("ten bots pull their cables, and nothing is lost", () => {
	const flags = ["-addr", server.ws, "-n", "10", "-duration", "3s", "-cut", "1s", "-room", "ts", "-rate", "5", "-json"];
	const r = JSON.parse(execFileSync("node", [bot, ...flags], { encoding: "utf8" }));
	expect(r).toMatchObject({ players: 10, received: 10 * r.sent, lost: 0, duplicated: 0, reordered: 0, resets: 0, failed: 0 });
	expect(r.sent).toBeGreaterThan(0);
	expect(r.resumes).toBeGreaterThan(0);
	expect(r.cuts).toBeGreaterThanOrEqual(r.resumes);
}, 60_000);

test("what it can't do it refuses", () => {
	expect(spawnSync("node", [bot, "-rebind", "2s"], { encoding: "utf8" })).toMatchObject({ status: 1, stderr: expect.stringContaining("-rebind needs kcp://") });
	expect(spawnSync("node", [bot, "-duration", "soon"], { encoding: "utf8" })).toMatchObject({ status: 1, stderr: expect.stringContaining("no duration: soon") });
});
