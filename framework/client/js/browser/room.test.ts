// SPDX-License-Identifier: MIT

// The room's page in a real browser, against the real server.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser, picture, type Tab } from "./browser.js";

let browser: Browser;
let server: Server;

beforeAll(async () => {
	// Short intervals: what takes a minute by default takes seconds here.
	server = await Server.start("-bots", "3", "-interval", "500ms", "-timeout", "2s", "-grace", "20s");
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
	expect(browser.errors).toEqual([]);
});

const badge = (page: Page, ...states: string[]): Promise<unknown> =>
	page.waitForSelector(states.map((s) => `#badge[data-state=${s}]`).join(", "));

/** Notes each state that the badge goes through: some are over before anybody looks. */
const note = (page: Page): Promise<void> =>
	page.evaluate(() => {
		const b = document.getElementById("badge")!;
		const seen: (string | undefined)[] = ((globalThis as any).badges = []);
		new MutationObserver(() => seen.push(b.dataset.state)).observe(b, { attributeFilter: ["data-state"] });
	});

/** Waits until the badge was in a state for the n-th time since note. */
const passed = (page: Page, state: string, n: number): Promise<unknown> =>
	page.waitForFunction(([state, n]) => (globalThis as any).badges.filter((s: string) => s === state).length >= n, [state, n] as const);

const count = (page: Page, what: "players" | "sent" | "heard" | "lost" | "twice" | "resumes"): Promise<number> =>
	page.$eval(`#${what}`, (e) => Number(e.textContent));

const until = (page: Page, what: "players" | "sent" | "resumes", n: number): Promise<unknown> =>
	page.waitForFunction(([id, least]) => Number(document.getElementById(id)!.textContent) >= least, [what, n] as const);

async function say(page: Page, text: string): Promise<void> {
	await page.fill("#text", text);
	await page.press("#text", "Enter");
}

/** Waits for a line of chat, and returns the numbers of all messages of its sender. */
async function hears(page: Page, text: string): Promise<number[]> {
	const li = page.locator("#log li[data-n]", { hasText: text }).last();
	await li.waitFor();
	const from = await li.getAttribute("data-from");
	return page.$$eval(`#log li[data-from="${from}"]`, (list) => list.map((e) => Number((e as HTMLElement).dataset.n)));
}

const name = (page: Page): Promise<string> => page.$eval("#name", (e) => e.textContent!);

/** Where a page draws a player, by name. */
const place = (page: Page, who: string): Promise<{ x: number; y: number } | null> =>
	page.evaluate((who) => {
		const { lobby } = (globalThis as any).lifeline;
		const id = [...lobby.names].find(([, n]: [number, string]) => n === who)?.[0];
		const s = id === undefined ? undefined : lobby.motion.spot(id);
		return s ? { x: s.x, y: s.y } : null;
	}, who);

async function join(options?: { dark?: boolean; phone?: boolean }): Promise<Tab> {
	const tab = await browser.open(server.http, options);
	await badge(tab.page, "connected");
	return tab;
}

test("players move soon, and nothing but the server is asked", async () => {
	const start = performance.now();
	const { page, context } = await join();
	await until(page, "players", 4);
	const before = await place(page, "bot-1");
	await page.waitForFunction(
		([x, y]) => {
			const { lobby } = (globalThis as any).lifeline;
			const id = [...lobby.names].find(([, n]: [number, string]) => n === "bot-1")[0];
			const s = lobby.motion.spot(id);
			return s.x !== x || s.y !== y;
		},
		[before!.x, before!.y],
	);
	console.log(`players moved ${Math.round(performance.now() - start)} ms after the page was asked for`);
	await page.waitForFunction(() => document.getElementById("ping")!.textContent !== "–");
	await picture(page, "room-light");
	await context.close();
});

test("two tabs see each other, move by keys and touch, and chat", async () => {
	const ann = await join();
	const bob = await join({ dark: true, phone: true });
	const [a, b] = [await name(ann.page), await name(bob.page)];
	expect(a).not.toBe(b);
	await expect.poll(() => place(bob.page, a)).not.toBeNull();
	await expect.poll(() => place(ann.page, b)).not.toBeNull();

	const before = (await place(bob.page, a))!;
	await ann.page.keyboard.down("ArrowRight");
	await expect.poll(async () => (await place(bob.page, a))!.x - before.x).toBeGreaterThan(50);
	await ann.page.keyboard.up("ArrowRight");

	// A finger at the right edge of the arena.
	const box = (await bob.page.locator("#arena").boundingBox())!;
	await bob.page.mouse.move(box.x + box.width - 20, box.y + box.height / 2);
	await bob.page.mouse.down();
	await expect.poll(async () => (await place(ann.page, b))!.x).toBeGreaterThan(900);
	await bob.page.mouse.up();

	await say(ann.page, "hello bob");
	await hears(bob.page, "hello bob");
	await say(bob.page, "hello ann");
	await hears(ann.page, "hello ann");
	await picture(bob.page, "room-phone-dark");
	await ann.context.close();
	await bob.context.close();
});

test("a cut shows, is resumed, and nothing is lost", async () => {
	const ann = await join();
	const bob = await join();
	await note(ann.page);
	for (let i = 1; i <= 5; i++) {
		await ann.page.click("#cut");
		await say(ann.page, `cut ${i}`); // mostly while there is no link
		await say(bob.page, `meanwhile ${i}`);
		await until(ann.page, "resumes", i);
		await passed(ann.page, "reconnecting", i);
		await passed(ann.page, "resumed", i);
	}
	expect(await hears(bob.page, "cut 5")).toEqual([1, 2, 3, 4, 5]);
	expect(await hears(ann.page, "meanwhile 5")).toEqual([1, 2, 3, 4, 5]);
	await picture(ann.page, "room-resumed");

	// And with 200 messages at once, without a network for a while.
	await badge(ann.page, "connected");
	await ann.page.click("#offline");
	await badge(ann.page, "reconnecting");
	await ann.page.click("#flood");
	await picture(ann.page, "room-offline");
	await hears(bob.page, "flood 200 of 200");
	for (const { page } of [ann, bob]) {
		expect(await count(page, "lost")).toBe(0);
		expect(await count(page, "twice")).toBe(0);
	}
	expect(await count(ann.page, "sent")).toBe(205);
	await ann.context.close();
	await bob.context.close();
});

test("a reload keeps the player", async () => {
	const { page, context } = await join();
	await say(page, "before");
	await hears(page, "before");
	const before = await page.evaluate(() => ({ id: (globalThis as any).lifeline.client().id, seat: (globalThis as any).lifeline.lobby.id, name: document.getElementById("name")!.textContent }));
	await page.reload();
	await badge(page, "resumed", "connected");
	await page.waitForFunction(() => (globalThis as any).lifeline.lobby.id > 0);
	expect(await page.evaluate(() => ({ id: (globalThis as any).lifeline.client().id, seat: (globalThis as any).lifeline.lobby.id, name: document.getElementById("name")!.textContent }))).toEqual(before);
	await say(page, "after");
	expect(await hears(page, "after")).toEqual([2]); // counted on
	// The token is only kept while nobody uses it.
	expect(await page.evaluate(() => sessionStorage.getItem("lifeline:lifeline-room"))).toBeNull();
	await context.close();
});

test("a duplicated tab is another player, and the first one stays in", async () => {
	const { page, context } = await join();
	await say(page, "before");
	await hears(page, "before");
	// Hidden, so that the token, too, is in the storage that is copied.
	await page.evaluate(() => {
		Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));
	});
	expect(await page.evaluate(() => Object.keys(sessionStorage).sort())).toEqual(["lifeline:lifeline-room", "name"]);
	const [twin] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => void open(location.href))]);
	await badge(twin, "connected");
	expect(await twin.evaluate(() => sessionStorage.getItem("name"))).toBe(await name(twin));
	expect(await name(twin)).not.toBe(await name(page));
	await say(twin, "I am another");
	await hears(page, "I am another");
	expect(await page.$eval("#badge", (e) => (e as HTMLElement).dataset.state)).toBe("connected");
	expect(await count(page, "resumes")).toBe(0);
	await context.close();
});

test("a tab that is hidden and whose timers stand still stays alive", async () => {
	const { page, context } = await join();
	// Frozen: no timer of the page runs, as in a tab that was hidden for long. What
	// comes in still does, and the server's pings are answered from there.
	await page.evaluate(() => {
		const w = globalThis as any;
		const last = w.setTimeout(() => undefined);
		for (let id = 0; id <= last; id++) {
			clearTimeout(id);
		}
		w.setTimeout = () => 0;
		Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));
	});
	await page.waitForTimeout(8000); // four timeouts of the server
	expect(await count(page, "resumes")).toBe(0);
	expect(await page.$eval("#badge", (e) => (e as HTMLElement).dataset.state)).toBe("connected");
	expect(server.log).not.toMatch(new RegExp(`link lost.*player=${await name(page)}`));
	await context.close();
});

test("another name is another player", async () => {
	const { page, context } = await join();
	await page.click("#name");
	await page.fill("#new-name", "\u{1f600}".repeat(12)); // 48 bytes
	await page.press("#new-name", "Enter");
	await page.locator("#name-note", { hasText: "48 bytes" }).waitFor();
	await page.fill("#new-name", "Zoë");
	await page.press("#new-name", "Enter");
	await page.locator("#log li", { hasText: "you are in, as Zoë" }).waitFor();
	await badge(page, "connected");
	await page.click("#name");
	await page.fill("#new-name", "nobody");
	await page.press("#new-name", "Escape");
	expect(await name(page)).toBe("Zoë");
	await page.click("#name");
	await page.fill("#new-name", "nobody");
	await page.click("#keep-name");
	expect(await name(page)).toBe("Zoë");
	await say(page, "it is me");
	await hears(page, "it is me");
	await context.close();
});

test("a server that restarts is logged in to again", async () => {
	const { page, context } = await join();
	await say(page, "first life");
	await hears(page, "first life");
	const listens = ["-http", new URL(server.http).host, "-ws", new URL(server.ws).host];
	await server.stop("SIGKILL");
	await badge(page, "reconnecting");
	server = await Server.start("-bots", "3", "-interval", "500ms", "-timeout", "2s", "-grace", "20s", ...listens);
	await badge(page, "connected");
	await page.locator("#log li", { hasText: "logging in again" }).waitFor();
	await say(page, "second life");
	await hears(page, "second life");
	expect(await count(page, "lost")).toBe(0);
	await context.close();
});
