// SPDX-License-Identifier: MIT

// The client in a page: reloads, duplicated tabs, and components that are
// mounted, unmounted and mounted again, as React's StrictMode does at once.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import * as control from "../src/control.js";
import { Client, type ClientConfig, type ClientEvent, Code } from "../src/index.js";
import { FakeServer } from "./fake.js";

class FakeStorage extends Map<string, string> {
	getItem(k: string): string | null {
		return this.get(k) ?? null;
	}
	setItem(k: string, v: string): void {
		this.set(k, v);
	}
	removeItem(k: string): void {
		this.delete(k);
	}
}

/** Web Locks of one browser, as far as the client uses them. */
class FakeLocks {
	private readonly held = new Map<string, Promise<unknown>>();
	request = async (name: string, { signal }: { signal: AbortSignal }, fn: () => Promise<void>): Promise<void> => {
		const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
		aborted.catch(() => undefined);
		while (this.held.has(name)) {
			await Promise.race([this.held.get(name), aborted]);
		}
		const held = fn().finally(() => this.held.delete(name));
		this.held.set(name, held);
		await held;
	};
	get names(): string[] {
		return [...this.held.keys()];
	}
}

/** One tab: its document and what listens to it. */
class Tab {
	listeners = 0;
	readonly window = this.target(new EventTarget());
	readonly document = Object.assign(this.target(new EventTarget()), { visibilityState: "visible" });

	constructor(readonly storage = new FakeStorage(), readonly locks: FakeLocks | undefined = new FakeLocks()) {
		this.show();
	}

	/** Makes this tab the one that code runs in. */
	show(): this {
		vi.stubGlobal("document", this.document);
		vi.stubGlobal("sessionStorage", this.storage);
		vi.stubGlobal("navigator", { locks: this.locks });
		for (const name of ["addEventListener", "removeEventListener"] as const) {
			vi.stubGlobal(name, this.window[name].bind(this.window)); // Node's globalThis is no EventTarget
		}
		return this;
	}

	private target<T extends EventTarget>(t: T): T {
		const { addEventListener, removeEventListener } = t;
		t.addEventListener = (...args: Parameters<typeof addEventListener>) => (this.listeners++, addEventListener.apply(t, args));
		t.removeEventListener = (...args: Parameters<typeof removeEventListener>) => (this.listeners--, removeEventListener.apply(t, args));
		return t;
	}

	hide(persisted = false): void {
		this.show();
		this.window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted }));
	}

	/** The page is loaded anew: nothing of it stays but the storage. */
	reload(): Tab {
		this.hide();
		server.sockets.forEach((s) => (s.onmessage = s.onclose = null));
		return new Tab(this.storage, this.locks);
	}

	/** Another tab with a copy of the storage. */
	duplicate(): Tab {
		return new Tab(new FakeStorage(this.storage), this.locks);
	}
}

let server: FakeServer;
let events: ClientEvent[];
beforeEach(() => {
	server = new FakeServer();
	server.resume = (s) => server.reset(s);
	events = [];
});
afterEach(() => vi.unstubAllGlobals());

const make = (cfg: ClientConfig = {}): Client => new Client("ws://game.test", { storageKey: "game", open: server.open, onEvent: (e) => events.push(e), ...cfg });
const kinds = (): string[] => events.map((e) => e.kind).filter((k) => k !== "connecting");
const key = "lifeline:game";

test("a reload keeps the player, and the token is in storage only meanwhile", async () => {
	let tab = new Tab();
	const c = make();
	await c.connect();
	const { id } = c;
	expect(tab.storage.size).toBe(0);
	tab = tab.reload();
	expect(tab.storage.get(key)).toBe(c.token);
	const d = make();
	await d.connect();
	expect(d.id).toBe(id);
	expect(kinds()).toEqual(["opened", "reset"]);
	expect(tab.storage.size).toBe(0);
	d.close();
	expect(tab.reload().storage.size).toBe(0);
});

test("a browser with locks and without AbortSignal.timeout, as Safari 15.4, has all of it", async () => {
	const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => { throw new TypeError("AbortSignal.timeout is not a function"); });
	let tab = new Tab();
	const c = make();
	await c.connect();
	const { id } = c;
	tab = tab.reload();
	const d = make();
	await d.connect();
	expect(d.id).toBe(id);
	tab.document.visibilityState = "hidden";
	tab.document.dispatchEvent(new Event("visibilitychange"));
	tab.duplicate();
	const e = make();
	await e.connect();
	expect(e.id).not.toBe(id);
	e.close();
	tab.show();
	d.close();
	timeout.mockRestore();
});

test("a pause of the app stays, whatever the page goes through", async () => {
	const tab = new Tab();
	server.resume = (s) => server.reset(s);
	const c = make();
	await c.connect();
	c.pause();
	for (const state of ["hidden", "visible"]) {
		tab.document.visibilityState = state;
		tab.document.dispatchEvent(new Event("visibilitychange"));
	}
	for (const name of ["online", "offline"]) {
		tab.window.dispatchEvent(new Event(name));
	}
	tab.hide(true);
	tab.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
	await new Promise((done) => setTimeout(done, 10));
	expect(server.sockets.length).toBe(1);
	expect(c.paused).toBe(true);
	c.hurry();
	await vi.waitFor(() => expect(c.connected).toBe(true));
	tab.hide(true); // one of the page ends with it
	expect(c.paused).toBe(true);
	tab.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
	await vi.waitFor(() => expect(c.connected).toBe(true));
	c.close();
});

test("a client that is closed while it takes its token leaves it for the next one", async () => {
	let tab = new Tab();
	const c = make();
	await c.connect();
	tab = tab.reload();
	const { token, id } = c;
	const d = make();
	d.connect().catch(() => undefined);
	await undefined; // it has begun to ask for the session
	expect(tab.storage.get(key)).toBe(token);
	d.close();
	await vi.waitFor(() => expect(tab.locks!.names).toEqual([]));
	expect(tab.storage.get(key)).toBe(token);
	const e = make();
	await e.connect();
	expect(e.id).toBe(id);
	e.close();
});

test.each(["", "ll0.old", "{}", "a".repeat(500)])("what is no token under the key is ignored: %s", async (junk) => {
	const tab = new Tab();
	tab.storage.set(key, junk);
	tab.storage.set("game", "the app's own");
	const c = make();
	await c.connect();
	expect(kinds()).toEqual(["opened"]);
	c.close();
	expect([...tab.storage]).toEqual([["game", "the app's own"]]);
});

test("a hidden page that is killed without a word keeps the session that it had by then", async () => {
	let tab = new Tab();
	tab.document.visibilityState = "hidden"; // opened in the background, or left before the login was through
	const c = make();
	await c.connect();
	expect(tab.storage.get(key)).toBe(c.token);
	server.resume = (s) => s.refuse(Code.Unknown);
	server.last.break();
	await vi.waitFor(() => expect(kinds()).toEqual(["opened", "lost", "gone", "opened"]));
	expect(tab.storage.get(key)).toBe(c.token);
	const { id } = c;
	server.sockets.forEach((s) => (s.onmessage = s.onclose = null)); // a page that is discarded hears nothing
	tab = new Tab(tab.storage);
	server.resume = (s) => server.reset(s);
	const d = make();
	await d.connect();
	expect(d.id).toBe(id);
	expect(tab.storage.size).toBe(0);
	d.close();
});

test("a storage that throws is as none", async () => {
	const broken = (): never => { throw new Error("NS_ERROR_FILE_CORRUPTED"); };
	const tab = new Tab(Object.assign(new FakeStorage(), { getItem: broken, setItem: broken, removeItem: broken }));
	const c = make();
	await c.connect();
	tab.hide(true);
	tab.window.dispatchEvent(new Event("pageshow"));
	c.close();
	expect(kinds()).toEqual(["opened", "lost", "closed"]);
});

test("making clients does nothing, and every listener is taken off again", async () => {
	const tab = new Tab();
	tab.storage.set(key, control.makeToken({ sid: new Uint8Array(16), key: new Uint8Array(32), seal: new Uint8Array(0) }));
	const clients = Array.from({ length: 100 }, () => make());
	expect(tab.listeners).toBe(0);
	expect(tab.storage.size).toBe(1);
	await clients[0].connect();
	expect(tab.listeners).toBe(6);
	clients.forEach((c) => c.close());
	expect(tab.listeners).toBe(0);
	await vi.waitFor(() => expect(tab.locks!.names).toEqual([]));
});

describe("a duplicated tab", () => {
	test("is another player, though it has the token", async () => {
		const tab = new Tab();
		const one = make();
		await one.connect();
		tab.document.visibilityState = "hidden";
		tab.document.dispatchEvent(new Event("visibilitychange"));
		const other = tab.duplicate();
		expect(other.storage.get(key)).toBe(one.token);
		const two = make();
		await two.connect();
		expect(two.id).not.toBe(one.id);
		expect(other.storage.size).toBe(0);
		expect(one.connected).toBe(true);
		expect(kinds()).toEqual(["opened", "opened"]);
		two.close();
		tab.show();
		one.close();
		await vi.waitFor(() => expect(tab.locks!.names).toEqual([]));
	});
	test("has the session if the other one is gone", async () => {
		const tab = new Tab();
		const one = make();
		await one.connect();
		tab.hide();
		tab.duplicate();
		const two = make();
		await two.connect();
		expect(two.id).toBe(one.id);
		two.close();
	});
	test("can't be told without locks: then it has the session", async () => {
		const tab = new Tab(new FakeStorage(), undefined);
		const one = make();
		await one.connect();
		tab.hide();
		tab.duplicate();
		const two = make();
		await two.connect();
		expect(two.id).toBe(one.id);
		two.close();
	});
});

test("a page that is put aside lets its session go, and takes it again", async () => {
	const tab = new Tab();
	const c = make();
	await c.connect();
	tab.hide(true);
	expect(kinds()).toEqual(["opened", "lost"]);
	await vi.waitFor(() => expect(tab.locks!.names).toEqual([]));
	server.resume = (s) => s.say(5, control.Resumed, { epoch: 2, recv: 0n, hold: false, params: c.params });
	tab.window.dispatchEvent(new Event("pageshow"));
	await vi.waitFor(() => expect(kinds()).toEqual(["opened", "lost", "resumed"]));
	expect(tab.locks!.names.length).toBe(1);
	expect(tab.storage.size).toBe(0);
	c.close();
});

/** What React does to a component in StrictMode: it is made twice, mounted, unmounted and mounted again in one go. */
describe("React StrictMode", () => {
	type Effect = () => void | (() => void);
	interface Component { effect: Effect }
	const strict = (component: () => Component): (() => void) => {
		component(); // its twin is thrown away
		const { effect } = component();
		effect()?.();
		const cleanup = effect();
		return () => cleanup?.();
	};
	let made: Client[];
	const shapes: Record<string, () => Component> = {
		"a client from useState, connect and close in an effect": () => {
			const client = make();
			made.push(client);
			return {
				effect: () => {
					client.connect().catch(() => undefined);
					return () => client.close();
				},
			};
		},
		"a client made in the effect": () => ({
			effect: () => {
				const client = make();
				made.push(client);
				client.connect().catch(() => undefined);
				return () => client.close();
			},
		}),
		"a client from useState, never closed": () => {
			const client = make();
			made.push(client);
			return { effect: () => void client.connect() };
		},
	};
	test.each(Object.keys(shapes))("%s", async (name) => {
		made = [];
		let tab = new Tab();
		strict(shapes[name]);
		await vi.waitFor(() => expect(kinds()).toEqual(["opened"]));
		const { id } = made.find((c) => c.connected)!;
		expect(server.sockets.length).toBe(1);
		expect(tab.listeners).toBe(6);

		tab = tab.reload();
		events = [];
		made = [];
		const unmount = strict(shapes[name]);
		await vi.waitFor(() => expect(kinds()).toEqual(["reset"]));
		expect(made.find((c) => c.connected)!.id).toBe(id);
		expect(server.sockets.length).toBe(2);

		unmount();
		made.find((c) => c.connected)?.close();
		expect(kinds()).toEqual(["reset", "closed"]);
		expect(tab.listeners).toBe(0);
	});
});

test("a worker has no page, and comes back at once when it is online again", async () => {
	const worker = new EventTarget();
	for (const name of ["addEventListener", "removeEventListener"] as const) {
		vi.stubGlobal(name, worker[name].bind(worker));
	}
	const c = make({ platform: { now: () => 0, random: (b) => b.fill(0x7f) } }); // where no time passes no pause ends
	await c.connect();
	c.cut();
	await new Promise((done) => setTimeout(done, 5));
	expect(kinds()).toEqual(["opened", "lost"]);
	worker.dispatchEvent(new Event("online"));
	await vi.waitFor(() => expect(kinds()).toEqual(["opened", "lost", "reset"]));
	c.close();
	const dials = c.stats.dials;
	worker.dispatchEvent(new Event("online"));
	expect(c.stats.dials).toBe(dials);
});
