// SPDX-License-Identifier: MIT

// The client without a network: what it tells, when, and that it always does.

import { runInNewContext } from "node:vm";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { encodeFrame, Kind } from "../src/codec.js";
import * as control from "../src/control.js";
import { encodeFailure, encodeMessage, encodeRequest, encodeResponse, parseFailure, parseRequest } from "../src/envelope.js";
import { anything, Client, type ClientConfig, Code, Failure, nothing, RequestError, type ClientEvent, str, u8, uint } from "../src/index.js";
import { encodeBody } from "../src/types.js";
import { FakeServer, FakeSocket } from "./fake.js";

let server: FakeServer;
let events: ClientEvent[];
let errors: unknown[];

beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
	vi.stubGlobal("crypto", { getRandomValues: (a: Uint8Array) => new DataView(a.buffer).setBigUint64(0, 400_000_000n, true) }); // the pause is 400 ms
	server = new FakeServer();
	events = [];
	errors = [];
});
afterEach(() => {
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

function make(cfg: ClientConfig = {}): Client {
	return new Client("ws://game.test", { open: server.open, onEvent: (e) => events.push(e), onError: (e) => errors.push(e), ...cfg });
}

const kinds = (): string[] => events.map((e) => e.kind);
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const inner = (c: Client): any => c;

/** What became of a promise so far. */
function watch(p: Promise<unknown>): { state: string; value?: unknown; error?: any } {
	const w: ReturnType<typeof watch> = { state: "pending" };
	p.then((value) => Object.assign(w, { state: "resolved", value }), (error: unknown) => Object.assign(w, { state: "rejected", error }));
	return w;
}

describe("what can never work is told at once", () => {
	test.each([
		["http://game.test", "must begin with ws:// or wss://"], ["kcp://game.test:1", "must begin with"], ["game.test:7777", "must begin with"],
		["http//typo", "must begin with"], ["ws://", "no URL"], ["wss://game.test/#a", "#fragment"], ["", "must begin with"],
	])("address %s", (address, why) => {
		expect(() => new Client(address)).toThrow(why);
		expect(() => new Client(["wss://good.test", address])).toThrow(JSON.stringify(address));
	});
	test("no address, no token", () => {
		expect(() => new Client([])).toThrow("no address");
		expect(() => make({ token: "ll0.nothing" })).toThrow("not a reconnect token");
	});
	test("no WebSocket, no randomness: connect rejects, and a page can still be made", async () => {
		vi.stubGlobal("WebSocket", undefined);
		await expect(new Client("wss://game.test").connect()).rejects.toThrow("no WebSocket here: pass open");
		vi.stubGlobal("crypto", undefined);
		await expect(make().connect()).rejects.toThrow("no crypto.getRandomValues");
	});
	test("a missing type is named", async () => {
		const c = make();
		expect(() => c.send("a", undefined as never, 1)).toThrow("a type is missing");
		expect(() => c.onMessage("a", undefined as never, () => 1)).toThrow("a type is missing");
		await expect(c.request("a", nothing, undefined, undefined as never)).rejects.toThrow("a type is missing");
	});
});

describe("attempts", () => {
	test("each is told, with why it failed and when the next one is", async () => {
		server.dial = "fail";
		const c = make();
		const connected = watch(c.connect());
		await pass(0);
		expect(events).toMatchObject([{ kind: "connecting" }, { kind: "failed", error: { message: "ws://game.test could not be opened: refused by the test" } }]);
		const { delay } = events[1] as { delay: number };
		expect(delay).toBeLessThanOrEqual(500);
		await pass(delay + 1);
		expect(kinds()).toEqual(["connecting", "failed", "connecting", "failed"]);
		server.dial = "open";
		await pass(30_000);
		expect(kinds().slice(-2)).toEqual(["connecting", "opened"]);
		expect(connected.state).toBe("resolved");
		c.close();
		expect(kinds().at(-1)).toBe("closed");
	});
	test("an opener that throws, an address that hangs, a server that says nothing: all are told", async () => {
		const thrower = make({ open: () => { throw new Error("no socket today"); } });
		void thrower.connect();
		await pass(1);
		expect(events[1]).toMatchObject({ kind: "failed", error: { message: expect.stringContaining("no socket today") } });
		thrower.close();
		events = [];
		server.dial = "hang";
		const c = make();
		void c.connect();
		await pass(5000);
		expect(events[1]).toMatchObject({ kind: "failed", error: { message: "ws://game.test did not answer in 5000 ms" } });
		c.close();
		events = [];
		server.dial = "open";
		server.login = () => undefined;
		const d = make();
		void d.connect();
		await pass(5000);
		expect(events[1]).toMatchObject({ kind: "failed", error: { code: Code.OpeningTimeout } });
		d.close();
	});
	test("a dialTimeout without an end is none", async () => {
		server.dial = "hang";
		const c = make({ dialTimeout: Infinity });
		void c.connect();
		await pass(600_000);
		expect(kinds()).toEqual(["connecting"]);
		c.close();
	});
	test("without a pause it goes on, and the rest of the app too", async () => {
		const c = make({ minDelay: 0, maxDelay: 0, open: () => { throw new Error("no"); } });
		void c.connect();
		await pass(20);
		expect(kinds().length).toBeGreaterThan(5);
		c.close();
	});
	test("an attempt that failed is told, even if no pause follows", async () => {
		let calls = 0;
		const c = make({
			platform: { now: () => performance.now(), random: (b) => void b.fill(calls++ < 5 ? 0 : 255) },
			open: () => { throw new Error("no"); },
		});
		void c.connect();
		await pass(2000);
		c.close();
		expect(kinds().slice(0, 6)).toEqual(["connecting", "failed", "connecting", "failed", "connecting", "failed"]);
	});
	test("a server that says no for now is told with its words", async () => {
		server.login = (s) => s.refuse(Code.Busy, "patching", 1000n);
		const c = make();
		void c.connect();
		await pass(0);
		expect(events).toMatchObject([{ kind: "connecting" }, { kind: "refused", error: { code: Code.Busy, text: "patching", remote: true } }]);
		const { delay } = events[1] as { delay: number };
		expect(delay).toBeGreaterThanOrEqual(1000);
		expect(events.length).toBe(2);
		await pass(delay + 1);
		expect(kinds()).toEqual(["connecting", "refused", "connecting", "refused"]);
		c.close();
	});
	test("where nobody listens the console is warned", async () => {
		const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
		server.dial = "fail";
		const c = make({ onEvent: undefined });
		void c.connect();
		await pass(0);
		expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("failed: ws://game.test could not be opened"));
		c.close();
		warn.mockRestore();
	});
});

describe("connect", () => {
	test("twice is the same promise, after the end a refusal", async () => {
		const c = make();
		expect(c.connect()).toBe(c.connect());
		await c.connect();
		c.close();
		await expect(c.connect()).rejects.toThrow("the client has ended: make a new one");
	});
	test("a timeout ends the client, and names the last cause", async () => {
		server.dial = "fail";
		const c = make();
		const w = watch(c.connect({ timeout: 2000 }));
		await pass(1999);
		expect(w.state).toBe("pending");
		await pass(1);
		expect(w.error.message).toBe("lifeline: not connected in 2000 ms; last: ws://game.test could not be opened: refused by the test");
		expect(kinds().at(-1)).toBe("closed");
		expect(vi.getTimerCount()).toBe(0);
	});
	test("a signal ends it, too, also before it began", async () => {
		server.dial = "hang";
		const abort = new AbortController();
		const c = make();
		const w = watch(c.connect({ signal: abort.signal }));
		await pass(10);
		abort.abort(null);
		await pass(0);
		expect(w).toEqual({ state: "rejected", error: null });
		expect(kinds()).toEqual(["connecting", "closed"]);
		const dials = server.sockets.length;
		await expect(make().connect({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
		await pass(1000);
		expect(server.sockets.length).toBe(dials);
	});
	test("once connected neither matters any more", async () => {
		const abort = new AbortController();
		const c = make();
		await c.connect({ timeout: 100, signal: abort.signal });
		await pass(1000);
		abort.abort();
		await pass(0);
		expect(c.connected).toBe(true);
		await c.connect({ signal: abort.signal }); // nor of another call
		expect(c.connected).toBe(true);
		c.close();
	});
	test("close right after it leaves no trace, and connect works again", async () => {
		const c = make();
		const first = watch(c.connect());
		c.send("a", u8, 1);
		c.sendNewest("b", u8, 1);
		const asked = watch(c.request("q", nothing, undefined, nothing, { timeout: Infinity }));
		c.close();
		const again = c.connect();
		await again;
		await pass(0);
		expect(first.error).toMatchObject({ code: Code.Left });
		expect(asked.error).toMatchObject({ code: Failure.Reset });
		expect(kinds()).toEqual(["connecting", "opened"]);
		expect(server.received.filter((p) => p.kind === Kind.Message)).toEqual([]);
		c.close();
	});
	test("it ends a pause", async () => {
		const c = make();
		c.pause();
		await c.connect();
		expect(c.connected).toBe(true);
		c.close();
	});
	test("a pause right after it holds until hurry", async () => {
		const c = make();
		const w = watch(c.connect());
		c.pause();
		await pass(10_000);
		expect([c.paused, w.state, server.sockets.length]).toEqual([true, "pending", 0]);
		expect(kinds()).toEqual([]);
		c.hurry();
		await pass(0);
		expect([c.connected, w.state]).toEqual([true, "resolved"]);
		c.close();
	});
});

describe("a ticket that can't be had is a failed attempt, never an empty login", () => {
	test("one that fails", async () => {
		let calls = 0;
		const c = make({
			ticket: async () => {
				if (++calls < 3) {
					throw new TypeError("Failed to fetch");
				}
				return "ann";
			},
		});
		const w = watch(c.connect());
		await pass(10_000);
		expect(kinds()).toEqual(["connecting", "failed", "connecting", "failed", "connecting", "opened"]);
		expect(events[1]).toMatchObject({ error: { message: "no ticket: Failed to fetch", cause: expect.any(TypeError) } });
		expect(server.tickets).toEqual(["ann"]);
		expect(server.sockets.length).toBe(1);
		expect(w.state).toBe("resolved");
		c.close();
	});
	test("one that throws, one that is none", async () => {
		for (const ticket of [() => { throw new Error("offline"); }, () => undefined, () => 5, async () => ({})] as unknown as NonNullable<ClientConfig["ticket"]>[]) {
			events = [];
			const c = make({ ticket });
			void c.connect();
			await pass(0);
			expect(events[1]).toMatchObject({ kind: "failed", error: { message: expect.stringContaining("no ticket: ") } });
			c.close();
		}
		expect(server.tickets).toEqual([]);
	});
	test("one that hangs; its signal ends, and the next attempt asks anew", async () => {
		const signals: AbortSignal[] = [];
		const c = make({
			ticket: (signal) => {
				signals.push(signal);
				return signals.length === 1 ? new Promise(() => undefined) : "ann";
			},
			ticketTimeout: 3000,
		});
		void c.connect();
		await pass(3000);
		expect(events[1]).toMatchObject({ kind: "failed", error: { message: "no ticket: not in 3000 ms" } });
		expect(signals[0].aborted).toBe(true);
		await pass(1000);
		expect(server.tickets).toEqual(["ann"]);
		c.close();
	});
	test("close and pause end the wait", async () => {
		const signals: AbortSignal[] = [];
		const c = make({ ticket: (signal) => (signals.push(signal), new Promise(() => undefined)) });
		void c.connect();
		await pass(10);
		c.pause();
		expect(signals[0].aborted).toBe(true);
		c.hurry();
		await pass(10);
		c.close();
		expect(signals[1].aborted).toBe(true);
		await pass(10);
		expect(kinds()).toEqual(["connecting", "connecting", "closed"]);
		expect(vi.getTimerCount()).toBe(0);
	});
	test("on the link on which a session was refused, too", async () => {
		let fail = false;
		let calls = 0;
		const c = make({
			ticket: async () => {
				calls++;
				if (fail) {
					throw new Error("offline");
				}
				return `ann-${calls}`;
			},
		});
		await c.connect();
		fail = true;
		server.last.break();
		await pass(600);
		expect(kinds()).toEqual(["connecting", "opened", "lost", "connecting", "gone", "failed"]);
		expect(events.at(-1)).toMatchObject({ kind: "failed", error: { message: "no ticket: offline" } });
		fail = false;
		await pass(10_000);
		expect(kinds().slice(6)).toEqual(["connecting", "opened"]);
		expect(server.tickets.length).toBe(2);
		expect(server.tickets).not.toContain(null);
		c.close();
	});
	test("is not asked for while a session is resumed, at the second attempt either", async () => {
		let calls = 0;
		const c = make({
			ticket: () => {
				if (++calls > 1) {
					throw new Error("offline");
				}
				return "ann";
			},
		});
		await c.connect();
		server.resume = (s) => {
			server.resume = (s) => server.reset(s);
			s.refuse(Code.Stale, "", BigInt(Date.now() + 3_600_000) * 1000n); // of a run before a clock was set back
		};
		server.last.break();
		await pass(1000);
		expect(kinds()).toEqual(["connecting", "opened", "lost", "connecting", "reset"]);
		expect(calls).toBe(1);
		c.close();
	});
	test("is another one once a login was refused, and the same while it was put off", async () => {
		let calls = 0;
		const answers = [Code.Busy, Code.Internal];
		server.login = (s) => {
			const code = answers.shift();
			if (code === undefined) {
				server.welcome(s);
			} else {
				s.refuse(code);
			}
		};
		const c = make({ ticket: () => `ann-${++calls}` });
		void c.connect();
		await pass(10_000);
		expect(server.tickets).toEqual(["ann-1", "ann-1", "ann-2"]);
		expect(kinds().at(-1)).toBe("opened");
		c.close();
	});
	test.each([[4000, 0], [20_000, 1]])("is for one login, also at the end of its minute: dials of %i ms", async (slow, failures) => {
		let drawn = 0n;
		vi.stubGlobal("crypto", { getRandomValues: (a: Uint8Array) => new DataView(a.buffer).setBigUint64(0, ++drawn, true) });
		server.login = (s) => s.refuse(Code.Busy);
		let calls = 0;
		const c = make({ ticket: () => `ann-${++calls}`, dialTimeout: 60_000, minDelay: 1, maxDelay: 1 });
		void c.connect().catch(() => undefined);
		await pass(0);
		server.slow = slow;
		await pass(90_000);
		const logins = new Set(server.openings.map((id, i) => `${id} ${server.tickets[i]}`));
		expect([logins.size, new Set(server.tickets).size, new Set(server.openings).size, calls]).toEqual([2, 2, 2, 2]);
		const failed = events.filter((e) => e.kind === "failed");
		expect(failed.map((e) => e.error.message)).toEqual(Array(failures).fill("the login needs another ticket"));
		c.close();
	});
	test("is repeated with a login on the link of a session that is gone", async () => {
		let calls = 0;
		const c = make({ ticket: () => `ann-${++calls}` });
		await c.connect();
		server.login = (s) => {
			server.login = (s) => server.welcome(s);
			s.refuse(Code.Busy);
		};
		server.last.break();
		await pass(10_000);
		expect(server.tickets).toEqual(["ann-1", "ann-2", "ann-2"]);
		expect(calls).toBe(2);
		c.close();
	});
	test("is another one after a BYE, too", async () => {
		let calls = 0;
		const c = make({ ticket: () => `ann-${++calls}` });
		server.resume = (s) => {
			s.say(Kind.Bye, control.End, { code: Code.Gone, text: "", detail: 0n });
			s.break();
		};
		await c.connect();
		server.last.break();
		await pass(10_000);
		expect(server.tickets).toEqual(["ann-1", "ann-2"]);
		expect(kinds().at(-1)).toBe("opened");
		c.close();
	});
	test("what a server may send meanwhile is bounded", async () => {
		let asked = 0;
		const c = make({ ticket: () => (++asked === 1 ? "ann" : new Promise(() => undefined)) });
		await c.connect();
		server.last.break();
		await pass(600);
		const s = server.last;
		for (let i = 0; i < 100 && s.onmessage; i++) {
			s.count(Kind.Message, encodeMessage("a", encodeBody(u8, 1)));
		}
		expect(s.closed).toBe(true);
		expect(events.at(-1)).toMatchObject({ kind: "failed", error: { message: expect.stringContaining("sends on before") } });
		c.close();
	});
});

describe("close inside onEvent always ends in closed", () => {
	const shake: Record<string, (c: Client) => void> = {
		connecting: () => undefined,
		opened: () => undefined,
		failed: () => (server.dial = "fail"),
		lost: () => server.last.break(),
		"lost by cut": (c) => c.cut(),
		"lost by pause": (c) => c.pause(),
		"lost by a goodbye that ends the session": () => server.last.say(Kind.Bye, control.End, { code: Code.Expired, text: "", detail: 0n }),
		moving: () => server.last.say(Kind.Move, control.Move, { delay: 1000, address: "" }),
		gone: () => server.last.say(Kind.Bye, control.End, { code: Code.Expired, text: "", detail: 0n }),
		reset: () => ((server.resume = (s) => server.reset(s)), server.last.break()),
	};
	test.each(Object.keys(shake))("%s", async (what) => {
		const kind = what.split(" ")[0];
		if (kind === "failed") {
			server.dial = "fail";
		}
		const c: Client = make({
			onEvent: (e) => {
				events.push(e);
				if (e.kind === kind) {
					c.close();
				}
			},
		});
		const connected = watch(c.connect());
		const asked = watch(c.request("q", nothing, undefined, nothing, { timeout: Infinity }));
		await pass(0);
		if (!kinds().includes("closed")) {
			shake[what](c);
			await pass(1000);
		}
		expect(kinds()).toContain(kind);
		expect(kinds().filter((k) => k === "closed").length).toBe(1);
		expect(kinds().at(-1)).toBe("closed");
		expect(asked.error).toMatchObject({ code: Failure.Reset });
		expect(connected.state).not.toBe("pending");
		expect(vi.getTimerCount()).toBe(0);
		const told = events.length;
		await pass(60_000);
		expect(events.length).toBe(told);
	});
	test("cut in a handler of closed leaves the goodbye alone", async () => {
		const c: Client = make({ onEvent: (e) => e.kind === "closed" && c.cut() });
		await c.connect();
		c.close();
		expect(server.received.at(-1)).toMatchObject({ kind: Kind.Bye });
		expect(server.last.closed).toBe(true);
	});
	test("what a server that was lost may have handled is told with the reset", async () => {
		const c = make();
		await c.connect();
		c.send("move", str, "left");
		const asked = watch(c.request("q", nothing, undefined, nothing, { timeout: Infinity }));
		server.resume = (s) => server.reset(s, true);
		server.last.break();
		c.send("move", str, "right");
		const before = server.received.length;
		await pass(2000);
		expect(events.filter((e) => e.kind === "reset")).toMatchObject([{ undelivered: [{ route: "move", request: false }, { route: "q", request: true }] }]);
		expect(asked.error).toMatchObject({ code: Failure.Reset });
		const written = server.received.slice(before).filter((p) => p.kind === Kind.Message);
		expect(written.map((p) => [p.seq, p.body])).toEqual([[1, encodeMessage("move", encodeBody(str, "right"))]]);
		c.close();
		await pass(0);
	});
	test("what is sent in a handler of lost is of the next session, where the goodbye ends the old one too", async () => {
		server.login = (s) => server.welcome(s, server.tickets.length > 1 ? ["buy", "move"] : ["move", "q"]);
		const asked: ReturnType<typeof watch>[] = [];
		const c: Client = make({
			onEvent: (e) => {
				events.push(e);
				if (e.kind === "lost") {
					asked.push(watch(c.request("q", nothing, undefined, u8)));
				}
			},
		});
		await c.connect();
		asked.push(watch(c.request("q", nothing, undefined, nothing)));
		c.send("move", str, "left");
		const before = server.received.length;
		server.last.say(Kind.Bye, control.End, { code: Code.TooOld, text: "", detail: 0n });
		await pass(0);
		expect(events.at(-1)).toMatchObject({ kind: "gone", undelivered: [{ route: "q", request: true }, { route: "move", request: false }] });
		expect(asked).toMatchObject([{ state: "rejected", error: { code: Failure.Reset } }, { state: "pending" }]);
		await pass(3000);
		const written = server.received.slice(before).filter((p) => p.kind === Kind.Request).map((p) => parseRequest(p.body));
		expect(written).toMatchObject([{ id: 2, route: "q" }]);
		server.last.count(Kind.Response, encodeResponse(2, encodeBody(u8, 42)));
		await pass(0);
		expect(asked[1]).toMatchObject({ state: "resolved", value: 42 });
		c.close();
	});
	test("what was sent and can't be read is told as it is", async () => {
		const c = make();
		await c.connect();
		inner(c).core.send(Kind.Message, Uint8Array.of(1));
		const asked = watch(c.request("q", nothing, undefined, nothing, { timeout: Infinity }));
		server.last.say(Kind.Bye, control.End, { code: Code.Kicked, text: "", detail: 7n });
		await pass(0);
		expect(events.at(-1)).toMatchObject({ kind: "closed", error: { code: Code.Kicked, detail: 7n }, undelivered: [{ route: "", request: false }, { route: "q", request: true }] });
		expect(asked.state).toBe("rejected");
	});
	test("what nests too deep is refused and harms nothing", async () => {
		const c = make();
		await c.connect();
		const nest = (n: number): unknown => (n === 0 ? 1 : { a: nest(n - 1) });
		expect(() => c.send("a", anything, nest(17))).toThrow("codec: too-deep: a");
		await expect(c.request("a", anything, nest(17), anything)).rejects.toThrow("too-deep");
		expect(c.queued.packets).toBe(0);
		c.close();
	});
});

describe("handlers", () => {
	const message = (n: number): Uint8Array => encodeMessage("n", encodeBody(u8, n));
	test("what they throw and reject with goes to onError, and stops nothing", async () => {
		const heard: number[] = [];
		const c = make({
			onEvent: async (e) => { throw new Error(`event ${e.kind}`); },
			onMessage: async () => { throw new Error("any message"); },
		});
		c.onMessage("n", u8, async (n) => {
			heard.push(n);
			await undefined;
			throw new Error(`message ${n}`);
		});
		await c.connect();
		server.last.count(Kind.Message, message(1));
		server.last.count(Kind.Message, message(2));
		server.last.count(Kind.Message, encodeMessage("n", encodeBody(str, "north")));
		server.last.count(Kind.Message, encodeMessage("other", encodeBody(u8, 1)));
		await pass(0);
		expect(heard).toEqual([1, 2]);
		expect(errors.map((e) => (e as Error).message).sort()).toEqual([
			"any message", "codec: mismatch: n: not u8", "event connecting", "event opened", "message 1", "message 2",
		]);
		c.close();
	});
	test("an onError that throws is survived", async () => {
		const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
		const c = make({ onError: () => { throw new Error("again"); } });
		c.onMessage("n", u8, async () => { throw new Error("once"); });
		await c.connect();
		server.last.count(Kind.Message, message(1));
		await pass(0);
		expect(log).toHaveBeenCalledOnce();
		log.mockRestore();
		c.close();
	});
	test("they can be taken off; a second one is refused", async () => {
		const c = make();
		const heard: string[] = [];
		const off = c.onMessage("n", u8, () => heard.push("first"));
		expect(() => c.onMessage("n", u8, () => undefined)).toThrow("route n has a handler already");
		await c.connect();
		server.last.count(Kind.Message, message(1));
		off();
		server.last.count(Kind.Message, message(2));
		c.onMessage("n", u8, () => heard.push("second"));
		off(); // once more does not take off another one's
		server.last.count(Kind.Message, message(3));
		expect(heard).toEqual(["first", "second"]);
		const stop = c.onRequest("q", nothing, u8, () => 7);
		expect(() => c.onRequest("q", nothing, u8, () => 8)).toThrow("handler already");
		stop();
		server.last.count(Kind.Request, encodeRequest(1, "q", encodeBody(nothing, undefined)));
		await pass(0);
		expect(parseFailure(server.received.at(-1)!.body)).toMatchObject({ code: Failure.NoRoute });
		c.close();
	});
});

describe("sendNewest of what no server takes, or not this one", () => {
	test("throws, and the client goes on", async () => {
		const c = make();
		await c.connect();
		expect(() => c.sendNewest("map", str, "x".repeat(2000))).toThrow("too-large");
		expect(c.sendNewest("aim", str, "left")).toBe(true);
		expect(server.received.filter((p) => p.kind === Kind.Message).map((p) => p.body)).toEqual([encodeMessage("aim", encodeBody(str, "left"))]);
		server.dial = "hang";
		await pass(60_000); // no server answers any more
		expect(kinds().slice(0, 3)).toEqual(["connecting", "opened", "lost"]);
		c.close();
	});
	test("is dropped and told, and the rest is sent", async () => {
		const c = make();
		c.sendNewest("map", str, "x".repeat(2000));
		c.sendNewest("aim", str, "left");
		await c.connect();
		await pass(0);
		expect(server.received.filter((p) => p.kind === Kind.Message).map((p) => p.body)).toEqual([encodeMessage("aim", encodeBody(str, "left"))]);
		expect(errors).toMatchObject([{ word: "too-large" }]);
		expect(c.send("said", str, "on")).toBe(true);
		c.close();
	});
});

test("a socket of another realm is one", async () => {
	const c = make();
	const bytes = vi.spyOn(FakeSocket.prototype, "bytes").mockImplementation(function (this: FakeSocket, b) {
		const data = runInNewContext(`new ArrayBuffer(${b.length})`) as ArrayBuffer;
		new Uint8Array(data).set(b);
		this.onmessage?.({ data });
	});
	void c.connect();
	await pass(1000);
	bytes.mockRestore();
	expect(kinds()).toEqual(["connecting", "opened"]);
	c.close();
});

describe("requests", () => {
	test("a value that does not fit leaves nothing behind", async () => {
		const c = make();
		await c.connect();
		const abort = new AbortController();
		const add = vi.spyOn(abort.signal, "addEventListener");
		await expect(c.request("q", u8, 300, u8, { timeout: Infinity, signal: abort.signal })).rejects.toThrow("q: 300 does not fit u8");
		await expect(c.request("", u8, 1, u8)).rejects.toThrow("route");
		expect(add).not.toHaveBeenCalled();
		await expect(c.request("q", str, "x".repeat(2000), u8, { timeout: Infinity })).rejects.toThrow("too-large");
		await expect(c.request("q", u8, 1, u8, { timeout: NaN })).rejects.toThrow("a timeout of NaN ms");
		expect(inner(c).calls.size).toBe(0);
		c.close();
	});
	test("a timeout of months is one", async () => {
		const c = make();
		await c.connect();
		const w = watch(c.request("q", nothing, undefined, nothing, { timeout: 90 * 86_400_000 }));
		await pass(1000);
		expect(w.state).toBe("pending");
		c.close();
		await pass(0);
		expect(w.error).toBeInstanceOf(RequestError);
	});
	test("any reason of a signal is the error", async () => {
		const c = make();
		await c.connect();
		for (const reason of [null, "enough", 0, new Error("x")]) {
			const abort = new AbortController();
			const w = watch(c.request("q", nothing, undefined, nothing, { signal: abort.signal }));
			abort.abort(reason);
			await pass(0);
			expect(w).toEqual({ state: "rejected", error: reason });
		}
		expect(inner(c).calls.size).toBe(0);
		c.close();
	});
	test("a signal of React Native, which has neither reason nor throwIfAborted, is one", async () => {
		const signal = Object.assign(new EventTarget(), { aborted: false }) as AbortSignal & { aborted: boolean };
		const c = make();
		await c.connect();
		const w = watch(c.request("q", nothing, undefined, nothing, { signal }));
		await pass(0);
		expect(w.state).toBe("pending");
		signal.aborted = true;
		signal.dispatchEvent(new Event("abort"));
		const late = watch(c.request("q", nothing, undefined, nothing, { signal }));
		const again = watch(make().connect({ signal }));
		await pass(0);
		for (const { error } of [w, late, again]) {
			expect(error).toEqual(new Error("aborted"));
		}
		c.close();
	});
	test("a timeout fails, and a late answer is nothing", async () => {
		const c = make();
		await c.connect();
		await Promise.all([expect(c.request("q", nothing, undefined, uint, { timeout: 100 })).rejects.toThrow("no answer to q in 100 ms"), pass(100)]);
		c.close();
	});
});

describe("what can't be read ends neither the link nor the session: session/SPEC.md 4.11", () => {
	const nil = encodeBody(nothing, undefined);
	/** A body whose first element, the id, can be read and whose second can't. */
	const cut = (body: Uint8Array): Uint8Array => Uint8Array.of(...body.slice(0, 2), 0xc1, ...body.slice(3));
	const failures = (): ReturnType<typeof parseFailure>[] => server.received.filter((p) => p.kind === Kind.Failure).map((p) => parseFailure(p.body));

	async function goesOn(c: Client, dropped: number): Promise<void> {
		await pass(0);
		expect(c.stats.dropped).toBe(dropped);
		expect(errors.length).toBe(dropped);
		expect(kinds()).toEqual(["connecting", "opened"]);
		expect(server.sockets.length).toBe(1);
		c.close();
	}
	test("a message is dropped and counted", async () => {
		const c = make();
		const heard: number[] = [];
		c.onMessage("n", u8, (n) => heard.push(n));
		await c.connect();
		for (const body of [nil, Uint8Array.of(0x92), encodeMessage(70_000, nil), encodeMessage("n", encodeBody(str, "north")), encodeMessage("n", encodeBody(u8, 1))]) {
			server.last.count(Kind.Message, body);
		}
		expect(heard).toEqual([1]);
		await goesOn(c, 4);
	});
	test("a datagram whose route is a name is dropped", async () => {
		const c = make({ onMessage: () => { throw new Error("not reached"); } });
		await c.connect();
		server.last.bytes(encodeFrame({ kind: Kind.Datagram, flags: 0, seq: 0, ack: 0 }, encodeMessage("n", nil)));
		expect(errors).toMatchObject([{ word: "route" }]);
		await goesOn(c, 1);
	});
	test("a request whose id can be read is answered by BAD REQUEST, one without is dropped", async () => {
		const c = make();
		const asked: number[] = [];
		c.onRequest("q", u8, u8, (n) => (asked.push(n), n));
		await c.connect();
		server.last.count(Kind.Request, cut(encodeRequest(7, "q", nil)));
		server.last.count(Kind.Request, encodeRequest(8, "q", encodeBody(str, "north")));
		server.last.count(Kind.Request, nil);
		await pass(0);
		expect(failures()).toMatchObject([{ id: 7, code: Failure.BadRequest }, { id: 8, code: Failure.BadRequest }]);
		expect(asked).toEqual([]);
		await goesOn(c, 3);
	});
	test("a request whose answer is too large for the server fails there", async () => {
		const c = make();
		c.onRequest("q", nothing, str, () => "x".repeat(2000));
		await c.connect();
		server.last.count(Kind.Request, encodeRequest(7, "q", nil));
		await pass(0);
		expect(failures()).toMatchObject([{ id: 7, code: Failure.Internal }]);
		expect(errors).toMatchObject([{ word: "too-large" }]);
		c.close();
	});
	test.each([
		["no code", () => new RequestError(undefined as never)], ["no number", () => new RequestError(NaN)], ["a negative code", () => new RequestError(-1)],
		["more than 32 bits", () => new RequestError(2 ** 32)], ["a text that is too large", () => new RequestError(1000, "x".repeat(2000)), 1000],
	])("a request whose handler throws a RequestError that can't be sent fails there: %s", async (_, error, code: number = Failure.Internal) => {
		const c = make();
		c.onRequest("q", nothing, str, () => { throw error(); });
		await c.connect();
		server.last.count(Kind.Request, encodeRequest(7, "q", nil));
		await pass(0);
		expect(failures()).toMatchObject([{ id: 7, code }]);
		expect(errors).toMatchObject([{ name: "CodecError" }]);
		c.close();
	});
	test.each(["response", "failure"])("a malformed %s fails the request that waits for it", async (kind) => {
		const c = make();
		await c.connect();
		const asked = watch(c.request("q", nothing, undefined, u8, { timeout: Infinity }));
		const other = watch(c.request("q", nothing, undefined, u8, { timeout: Infinity }));
		const { id } = parseRequest(server.received.find((p) => p.kind === Kind.Request)!.body);
		const [k, body] = kind === "response" ? [Kind.Response, encodeResponse(id, nil)] as const : [Kind.Failure, encodeFailure(id, 1, "")] as const;
		server.last.count(k, nil); // of no request
		server.last.count(k, cut(body));
		await pass(0);
		expect(asked.error.message).toContain("malformed answer: codec: malformed");
		expect(other.state).toBe("pending");
		expect(inner(c).calls.size).toBe(1);
		await goesOn(c, 2);
	});
});
