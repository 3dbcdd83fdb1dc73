// SPDX-License-Identifier: MIT

// Whatever a server may do to a client, by ../foreign/probe/main.go.

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import WebSocket from "ws";

import { bin, bool, Client, type ClientConfig, Code, Failure, nothing, RequestError, type Socket, type ClientEvent, str, struct, u32, uint } from "../src/index.js";
import { Program } from "./program.js";

class Probe extends Program {
	static start(): Promise<Probe> {
		return new Probe("./framework/client/foreign/probe", []).ready(/^key .*\n/m);
	}

	get addresses(): string[] {
		return this.log.match(/\bws:\/\/\S+/g)!;
	}
}

const Question = struct({ route: str, n: uint });
const Burst = struct({ after: uint, count: uint, size: uint });
const Numbered = struct({ n: uint, pad: bin });
const gameError = 1000;

let probe: Probe;
beforeAll(async () => {
	probe = await Probe.start();
}, 120_000);
afterAll(() => probe.stop());

function make(cfg: ClientConfig = {}): { c: Client; events: ClientEvent[]; kinds: () => string[] } {
	const events: ClientEvent[] = [];
	const c = new Client(probe.addresses[0], {
		ticket: () => "ann", open: (url) => new WebSocket(url, "lifeline") as unknown as Socket, minDelay: 5, maxDelay: 50, onEvent: (e) => e.kind !== "connecting" && events.push(e), ...cfg,
	});
	return { c, events, kinds: () => events.map((e) => e.kind) };
}

const poll = (value: () => unknown): ReturnType<typeof expect.poll> => expect.poll(value, { timeout: 20_000, interval: 10 });

test("the server asks, and is answered, also across a lost link", async () => {
	const { c } = make();
	c.onRequest("double", uint, uint, async (n) => {
		c.cut(); // the answer finds its way all the same
		return 2 * n;
	});
	c.onRequest("refuse", uint, uint, () => {
		throw new RequestError(gameError + 7, "not today");
	});
	c.onRequest("fail", uint, uint, () => {
		throw new Error("a secret of the client");
	});
	c.onRequest("words", str, str, (s) => s);
	await c.connect();
	const ask = (route: string): Promise<number> => c.request("ask", Question, { route, n: 21 }, uint);
	expect(await ask("double")).toBe(42);
	await expect(ask("refuse")).rejects.toMatchObject({ code: 2 * gameError + 7, text: "not today" });
	await expect(ask("nobody")).rejects.toMatchObject({ code: gameError + Failure.NoRoute });
	const report = vi.spyOn(console, "error").mockImplementation(() => undefined);
	await expect(ask("words")).rejects.toMatchObject({ code: gameError + Failure.BadRequest });
	await expect(ask("fail")).rejects.toMatchObject({ code: gameError + Failure.Internal, text: expect.not.stringContaining("secret") });
	expect(report).toHaveBeenCalledTimes(2);
	report.mockRestore();
	c.close();
});

test("a handler that throws stops nothing", async () => {
	const { c } = make();
	const heard: number[] = [];
	c.onMessage("said", uint, (n) => {
		heard.push(n);
		if (n === 1) {
			throw new Error("no");
		}
	});
	const report = vi.spyOn(console, "error").mockImplementation(() => undefined);
	await c.connect();
	[1, 2, 3].forEach((n) => c.send("say", uint, n));
	await poll(() => heard).toEqual([1, 2, 3]);
	expect(report).toHaveBeenCalledOnce();
	expect(c.stats.dropped).toBe(1);
	report.mockRestore();
	expect(() => c.onMessage("said", uint, () => undefined)).toThrow("handler already");
	c.close();
});

test("large messages pass, in order with small ones", async () => {
	const { c } = make();
	const sizes: number[] = [];
	c.onMessage("numbered", Numbered, (m) => sizes.push(m.pad.length));
	await c.connect();
	c.send("burst", Burst, { after: 0, count: 3, size: 60_000 });
	c.send("burst", Burst, { after: 0, count: 2, size: 1 });
	await poll(() => [...sizes].sort()).toEqual([1, 1, 60_000, 60_000, 60_000]);
	c.close();
});

test("a buffer that overflows while the client is away is a reset", async () => {
	const { c, events, kinds } = make();
	let heard = 0;
	c.onMessage("numbered", Numbered, () => heard++);
	await c.connect();
	c.send("burst", Burst, { after: 100, count: 300, size: 1 });
	const waiting = expect(c.request("ask", Question, { route: "later", n: 1 }, uint)).rejects.toMatchObject({ code: Failure.Reset });
	c.onRequest("later", uint, uint, () => new Promise(() => undefined)); // never
	await new Promise((resolve) => setTimeout(resolve, 50));
	c.pause();
	expect(c.connected).toBe(false);
	await new Promise((resolve) => setTimeout(resolve, 400));
	c.hurry();
	await poll(kinds).toEqual(["opened", "lost", "reset"]);
	expect(events[2]).toEqual({ kind: "reset", reason: Code.Overflow, undelivered: [] });
	await waiting;
	expect(heard).toBe(0);
	expect(await c.request("echo", uint, 5, uint)).toBe(5);
	c.close();
});

test("other heartbeats are taken over in mid-session", async () => {
	const { c } = make();
	await c.connect();
	expect(await c.request("tune", uint, 600, bool)).toBe(true);
	await poll(() => c.params).toMatchObject({ interval: 600, timeout: 2400 });
	c.close();
});

test("the session moves to another server under traffic, and nothing is lost", async () => {
	const { c, kinds } = make();
	const heard: number[] = [];
	c.onMessage("said", uint, (n) => heard.push(n));
	await c.connect();
	const { id } = c;
	const sent: number[] = [];
	for (let n = 1; n <= 400; n++) {
		if (n % 100 === 0) {
			c.send("move", nothing, undefined);
		}
		expect(c.send("say", uint, n)).toBe(true);
		sent.push(n);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
	await poll(() => heard.length).toBe(sent.length);
	expect(heard).toEqual(sent);
	expect(c.id).toBe(id);
	expect(new Set(kinds())).toEqual(new Set(["opened", "lost", "resumed"]));
	expect(c.stats.resumes).toBeGreaterThanOrEqual(4);
	c.close();
});

test("a refused login tells the game's own code; one put off says why, and gets in later", async () => {
	const banned = make({ ticket: () => "banned" });
	await expect(banned.c.connect()).rejects.toMatchObject({ code: 1002, text: "until Friday", remote: true });
	expect(banned.kinds()).toEqual(["closed"]);
	const early = make({ ticket: () => "early" });
	await early.c.connect();
	expect(early.events).toMatchObject([{ kind: "refused", delay: expect.any(Number), error: { code: Code.Busy, text: "patching" } }, { kind: "opened" }]);
	early.c.close();
});

test("a kick ends the client for good, and says why", async () => {
	const { c, events } = make();
	await c.connect();
	c.send("kick", u32, Code.Banned);
	await poll(() => events.at(-1)).toMatchObject({ kind: "closed", error: { code: Code.Banned, text: "as you wish", remote: true } });
	expect(c.send("say", uint, 1)).toBe(false);
});
