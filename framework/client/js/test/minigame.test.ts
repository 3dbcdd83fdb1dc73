// SPDX-License-Identifier: MIT

// A mini-game: sockets that take nothing but ArrayBuffers, and nothing of a browser.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { MiniCrypto, MiniGame, MiniSocket } from "../src/minigame.js";
import { fromBase64, plainDecode, plainEncode, toBase64 } from "../src/text.js";
import { FakeServer, FakeSocket } from "./fake.js";

/** A wx whose sockets lead to a server that is not there. */
class FakeWx implements MiniGame {
	readonly listeners: Record<string, Set<() => void>> = { show: new Set(), hide: new Set(), network: new Set() };
	readonly opened: { url: string; protocols: string[] }[] = [];
	failing = false; // what is sent
	pending: (() => void)[] = []; // sent and not reported yet
	reporting = true;

	constructor(readonly server: FakeServer) {}

	connectSocket(options: { url: string; protocols: string[] }): MiniSocket {
		this.opened.push(options);
		const s = this.server.open() as FakeSocket;
		return {
			send: ({ data, success, fail }) => {
				if (Object.prototype.toString.call(data) !== "[object ArrayBuffer]") {
					throw new Error("sendSocketMessage:fail data is no ArrayBuffer");
				}
				if (this.failing) {
					fail?.({});
					return;
				}
				s.send(new Uint8Array(data));
				this.pending.push(() => success?.());
				if (this.reporting) {
					this.report();
				}
			},
			close: () => s.close(),
			onOpen: (fn) => (s.onopen = fn),
			onMessage: (fn) => (s.onmessage = (e: { data: Uint8Array }) => fn({ data: e.data.slice().buffer })),
			onError: (fn) => (s.onerror = () => fn({ errMsg: "refused" })),
			onClose: (fn) => (s.onclose = fn),
		};
	}

	report(): void {
		this.pending.splice(0).forEach((fn) => fn());
	}

	getRandomValues({ length, success }: Parameters<MiniCrypto["getRandomValues"]>[0]): void {
		setTimeout(() => success({ randomValues: new Uint8Array(length).map(() => 256 * Math.random()).buffer }), 1);
	}

	onShow = (fn: () => void): void => void this.listeners.show.add(fn);
	offShow = (fn: () => void): void => void this.listeners.show.delete(fn);
	onHide = (fn: () => void): void => void this.listeners.hide.add(fn);
	offHide = (fn: () => void): void => void this.listeners.hide.delete(fn);
	onNetworkStatusChange = (fn: () => void): void => void this.listeners.network.add(fn);
	offNetworkStatusChange = (fn: () => void): void => void this.listeners.network.delete(fn);

	fire(what: string): void {
		this.listeners[what].forEach((fn) => fn());
	}
}

let server: FakeServer;
let wx: FakeWx;
let events: string[];

beforeEach(() => {
	server = new FakeServer();
	wx = new FakeWx(server);
	events = [];
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
	for (const name of ["TextEncoder", "TextDecoder", "crypto", "performance", "WebSocket", "AbortController", "AbortSignal", "atob", "btoa", "document", "addEventListener", "fetch"]) {
		vi.stubGlobal(name, undefined);
	}
	vi.resetModules();
});
afterEach(() => {
	vi.unstubAllGlobals(); // before anything else is loaded
	vi.useRealTimers();
	vi.unstubAllGlobals();
});

async function connected(): Promise<import("../src/client.js").Client> {
	const [{ Client }, { miniGame }] = await Promise.all([import("../src/index.js"), import("../src/minigame.js")]);
	vi.stubGlobal("URL", undefined); // the modules' loader needed it
	const platform = miniGame(wx);
	await vi.advanceTimersByTimeAsync(5);
	const c = new Client("wss://game.test/play", { ...(await platform), ticket: () => "änn", onEvent: (e) => events.push(e.kind) });
	const done = c.connect();
	await vi.advanceTimersByTimeAsync(5);
	await done;
	return c;
}

describe("a mini-game", () => {
	test("has a session, with nothing of a browser", async () => {
		const c = await connected();
		expect(wx.opened).toEqual([{ url: "wss://game.test/play", protocols: ["lifeline"] }]);
		expect(server.tickets).toEqual(["änn"]);
		expect(c.token).toMatch(/^ll1\./);
		const { str, u8 } = await import("../src/index.js");
		expect(c.send("said", str, "語")).toBe(true);
		const late = expect(c.request("late", u8, 1, u8, { timeout: 50 })).rejects.toThrow("no answer");
		await vi.advanceTimersByTimeAsync(50);
		await late;
		c.close();
		expect(events).toEqual(["connecting", "opened", "closed"]);
	});

	test("counts what its socket has not sent yet, and takes a failure for the end of the link", async () => {
		const c = await connected();
		const { bin } = await import("../src/index.js");
		wx.reporting = false;
		const before = c.stats.bytesOut;
		for (let n = 0; n < 300; n++) {
			c.send("bulk", bin, new Uint8Array(900));
		}
		expect(c.stats.bytesOut - before).toBeLessThan(100_000);
		wx.report();
		wx.reporting = true;
		wx.failing = true;
		server.last.bytes(new Uint8Array([0, 0, 1, 7, 0, 0, 0, 0, 0])); // a ping, which is answered
		expect(events.at(-1)).not.toBe("opened");
		expect(server.last.closed).toBe(true);
	});

	test("pauses while it is hidden, and comes back at once", async () => {
		const c = await connected();
		const { followMiniGame } = await import("../src/minigame.js");
		const undo = followMiniGame(wx, c);
		server.resume = (s) => server.reset(s);
		wx.fire("hide");
		expect(c.connected).toBe(false);
		await vi.advanceTimersByTimeAsync(10_000);
		wx.fire("network"); // on the way out of the house
		await vi.advanceTimersByTimeAsync(10_000);
		expect(c.connected).toBe(false);
		wx.fire("show");
		await vi.advanceTimersByTimeAsync(5);
		expect(c.connected).toBe(true);
		expect(events).toEqual(["connecting", "opened", "lost", "connecting", "reset"]);
		c.pause(); // one of the app stays
		wx.fire("hide");
		wx.fire("show");
		wx.fire("network");
		expect(c.paused).toBe(true);
		undo();
		expect(Object.values(wx.listeners).every((s) => s.size === 0)).toBe(true);
	});

	test("of WeChat has its random numbers from the crypto manager", async () => {
		const manager = {
			seed: 7,
			getRandomValues({ length, success }: Parameters<MiniCrypto["getRandomValues"]>[0]): void {
				success({ randomValues: new Uint8Array(length).fill(this.seed).buffer });
			},
		};
		const { miniGame } = await import("../src/minigame.js");
		const wechat: MiniGame = Object.assign(Object.create(wx) as FakeWx, { getRandomValues: undefined, getUserCryptoManager: () => manager });
		const [a, b] = [new Uint8Array(8), new Uint8Array(8)];
		(await miniGame(wechat)).platform.random(a);
		manager.seed = 8;
		(await miniGame(wechat)).platform.random(b);
		expect(a).not.toEqual(b);
		const old = Object.assign(Object.create(wx) as FakeWx, { getUserCryptoManager: () => ({}) }); // a manager of keys alone
		const platform = miniGame(old);
		await vi.advanceTimersByTimeAsync(5);
		expect(await platform).toBeDefined();
	});

	test("without random numbers is none", async () => {
		const { miniGame } = await import("../src/minigame.js");
		await expect(miniGame({ ...wx, getRandomValues: undefined } as unknown as MiniGame)).rejects.toThrow("no getRandomValues");
		const { Client } = await import("../src/index.js");
		await expect(new Client("wss://game.test", { open: server.open }).connect()).rejects.toThrow("no crypto.getRandomValues");
	});
});

describe("text without the platform's help is as with it", () => {
	const encoder = new TextEncoder();
	const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

	test("strings", () => {
		for (const s of ["", "abc", "ä語🛟\0", "\ud800", "\udc00x", "\ud800\ud800\udc00", "\ufeffBOM", "x".repeat(5000) + "語"]) {
			expect(plainEncode(s)).toEqual(encoder.encode(s));
			expect(plainDecode(encoder.encode(s))).toBe(decoder.decode(encoder.encode(s)));
		}
	});

	test("any bytes", () => {
		for (let n = 0; n < 20_000; n++) {
			const b = Uint8Array.from({ length: n % 9 }, () => [0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xf0, 0x90, 0xf4, 0x8f, 0xf5, 0xff][Math.floor(Math.random() * 17)]);
			expect(plainDecode(b), b.join()).toBe(decoder.decode(b));
		}
	});

	test("base64url", () => {
		for (let n = 0; n < 100; n++) {
			const b = Uint8Array.from({ length: n }, () => 256 * Math.random());
			expect(toBase64(b)).toBe(Buffer.from(b).toString("base64url"));
			expect(fromBase64(toBase64(b))).toEqual(b);
		}
	});

	test("a byte order mark is a character like any other", async () => {
		const { decodeBody, encodeBody, str } = await import("../src/index.js");
		expect(decodeBody(str, encodeBody(str, "\ufeffx"))).toBe("\ufeffx");
	});
});
