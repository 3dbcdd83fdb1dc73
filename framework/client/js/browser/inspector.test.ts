// SPDX-License-Identifier: MIT

// The inspector in a real browser, with players to look at.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser, picture } from "./browser.js";

let browser: Browser;
let server: Server;

beforeAll(async () => {
	server = await Server.start("-bots", "12", "-interval", "500ms", "-timeout", "2s", "-grace", "1m");
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
	expect(browser.errors).toEqual([]);
});

const column = (page: Page, n: number): Promise<string[]> => page.$$eval(`#sessions tbody td:nth-child(${n})`, (list) => list.map((e) => e.textContent!));

const players = async (): Promise<ReturnType<Browser["open"]>> => {
	const tab = await browser.open(server.http);
	await tab.page.waitForSelector("#badge[data-state=connected]");
	return tab;
};

test("it shows sessions, sorted and searched, and a link that is gone", async () => {
	const player = await players();
	const who = await player.page.$eval("#name", (e) => e.textContent!);
	const { page, context } = await browser.open(`${server.http}/debug/`);
	await page.waitForSelector("#health[data-state=good]");
	await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length === 13);
	const all = await column(page, 1);
	expect(all).toEqual([...all].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })));
	expect(all).toContain(who);

	await page.click("#sessions th:has-text('Age') button");
	await page.waitForSelector("#sessions th[aria-sort=descending]:has-text('Age')");
	expect((await column(page, 1)).at(-1)).toBe(who); // the youngest

	await page.fill("#search", who.toUpperCase());
	await expect.poll(() => column(page, 1)).toEqual([who]);
	expect((await column(page, 3))[0]).toBe("ws");
	expect((await column(page, 5))[0]).toBe("arena/lobby");
	await page.fill("#search", "nobody at all");
	await page.locator("#sessions", { hasText: "no session" }).waitFor();
	await page.fill("#search", who);

	await player.page.click("#cut");
	await expect.poll(async () => Number((await column(page, 10))[0])).toBeGreaterThan(0); // resumes
	await player.context.close();
	await expect.poll(async () => (await column(page, 2))[0]).toBe("detached");
	await page.selectOption("#carrier", "kcp");
	await page.fill("#search", "");
	await page.waitForFunction(() => document.querySelectorAll("#sessions tbody tr").length === 12);
	await context.close();
});

test("a phone shows the pages whole", async () => {
	for (const path of ["/debug/", "/debug/playground.html"]) {
		const { page, context } = await browser.open(server.http + path, { phone: true });
		await page.setViewportSize({ width: 360, height: 740 });
		await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth), { message: path }).toBe(360); // the plots follow
		await picture(page, "phone" + path.replaceAll("/", "-"));
		await context.close();
	}
});

test("it kicks, and the player is told", async () => {
	const player = await players();
	const who = await player.page.$eval("#name", (e) => e.textContent!);
	const { page, context } = await browser.open(`${server.http}/debug/`, { dark: true });
	await page.locator("#sessions tr", { hasText: who }).getByRole("button", { name: `Kick ${who}` }).click();
	await page.fill("#why", "the show is over");
	await page.click("#kick button[value=ok]");
	await player.page.waitForSelector("#badge[data-state=closed]");
	await player.page.locator("#log", { hasText: "kicked, the show is over" }).waitFor();
	await page.waitForFunction((who) => !document.getElementById("sessions")!.textContent!.includes(who), who);
	await player.page.click("#again");
	await player.page.waitForSelector("#badge[data-state=connected]");
	await player.context.close();
	await context.close();
});

test("it lists rooms and counters, and plots what happens", async () => {
	const { page, context } = await browser.open(`${server.http}/debug/`);
	await page.click("#tab-rooms");
	await page.locator("#rooms tr", { hasText: "lobby" }).waitFor();
	await page.click("#tab-counters");
	await page.fill("#search", "retransmits");
	await page.locator("#counters tr", { hasText: "transport · retransmits" }).waitFor();
	await page.fill("#search", "");
	await page.click("#tab-sessions");
	for (const title of ["Sessions", "Packets in", "Round trip", "Links", "Retransmits", "Loop load"]) {
		const plot = page.locator("figure", { has: page.locator("h2", { hasText: title }) });
		await expect.poll(() => plot.locator("b").first().textContent()).toMatch(/\d/);
		// Something is drawn in one of the colors of the lines.
		await expect.poll(() => plot.locator("canvas").evaluate((c: HTMLCanvasElement) => {
			const d = c.getContext("2d")!.getImageData(0, 0, c.width, c.height).data;
			return d.some((v, i) => i % 4 === 0 && d[i + 3] > 200 && Math.max(v, d[i + 1], d[i + 2]) - Math.min(v, d[i + 1], d[i + 2]) > 90);
		})).toBe(true);
	}
	await picture(page, "inspector-light");
	await page.emulateMedia({ colorScheme: "dark" });
	await page.waitForTimeout(1200);
	await picture(page, "inspector-dark");
	await context.close();
});

test("a server with a token is asked with it", async () => {
	const { page, context } = await browser.open(`${server.http}/healthz`);
	await page.route(/\/debug\/(stats|sessions|rooms)/, (route) =>
		route.request().headers().authorization === "Bearer sesame" ? route.continue() : route.fulfill({ status: 401 }));
	await page.goto(`${server.http}/debug/`);
	await page.fill("#bearer", "open");
	await page.press("#bearer", "Enter");
	await page.locator("#token-note", { hasText: "is wrong" }).waitFor();
	await page.fill("#bearer", "“sesame”");
	await page.press("#bearer", "Enter");
	await page.locator("#token-note", { hasText: "such a character" }).waitFor();
	await page.fill("#bearer", "sesame");
	await page.press("#bearer", "Enter");
	await page.waitForSelector("#health[data-state=good]");
	await page.locator("#sessions tr", { hasText: "bot-1" }).first().waitFor();
	await context.close();
});
