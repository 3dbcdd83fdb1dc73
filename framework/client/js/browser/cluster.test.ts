// SPDX-License-Identifier: MIT

// Two servers as one game: the page of one goes on at the other.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser, picture, type Tab } from "./browser.js";

let browser: Browser;
let page: Tab["page"];
const servers: Server[] = [];
const dir = mkdtempSync(join(tmpdir(), "lifeline-cluster-"));

/** An address that is free, and that no connection gets by itself. */
async function address(): Promise<string> {
	for (;;) {
		const port = 20000 + Math.floor(Math.random() * 12000);
		const free = await new Promise<boolean>((done) => {
			const s = createServer().once("error", () => done(false));
			s.listen(port, "127.0.0.1", () => s.close(() => done(true)));
		});
		if (free) {
			return `127.0.0.1:${port}`;
		}
	}
}

beforeAll(async () => {
	const directory = await address();
	for (const n of ["1", "2"]) {
		servers.push(await Server.start("-cluster", n, "-dir", dir, "-directory", directory, "-ws", await address(), "-bots", "0"));
	}
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	for (const s of servers.reverse()) { // the first one has the directory
		await s.stop();
	}
	rmSync(dir, { recursive: true, force: true });
	expect(browser.errors).toEqual([]);
});

/** What the page has heard of itself, by number, once it has heard the text. */
async function heard(text: string): Promise<(string | undefined)[]> {
	const mine = page.locator("#log li[data-n]", { hasText: "you" });
	await mine.filter({ hasText: text }).waitFor();
	return mine.evaluateAll((list) => list.map((e) => (e as HTMLElement).dataset.n));
}

async function say(text: string): Promise<void> {
	await page.fill("#text", text);
	await page.press("#text", "Enter");
}

test("the page shows its server, and its room goes to the other one", async () => {
	({ page } = await browser.open(servers[1]!.http));
	await page.waitForSelector("#badge[data-state=connected]");
	expect(await page.textContent("#server")).toBe("server 2");

	// The inspector of either server has the rooms of both, and finds a user.
	const who = (await page.textContent("#name"))!;
	const admin = await browser.open(`${servers[0]!.http}/debug/`);
	await admin.page.click("#tab-rooms");
	await admin.page.locator("#placed tr", { hasText: /^arenalobby1 of 5002/ }).waitFor();
	await picture(admin.page, "inspector-rooms");
	await admin.page.click("#tab-servers");
	await admin.page.fill("#search", who);
	await admin.page.locator("#note", { hasText: `${who}: at server 2, up, in arena/lobby` }).waitFor();
	await picture(admin.page, "inspector-servers");
	await admin.context.close();

	await say("before");
	await heard("before");
	const links = await page.textContent("#resumes");
	await picture(page, "cluster-before");
	await page.click("#pass");
	await page.locator("#log li", { hasText: "now on server 1" }).waitFor();
	expect(await page.textContent("#server")).toBe("server 1");
	await say("there");
	expect(await heard("there")).toEqual(["1", "2"]);
	expect(Number(await page.textContent("#resumes")) - Number(links)).toBe(1);
	await picture(page, "cluster-passed");
	await page.click("#pass");
	await page.locator("#log li", { hasText: "now on server 2" }).waitFor();
	for (const id of ["lost", "twice"]) {
		expect(await page.textContent(`#${id}`), id).toBe("0");
	}
});

test("the page goes on at the other server when its own stops", async () => {
	await servers[1]!.stop("SIGINT");
	await page.waitForFunction(() => document.getElementById("server")!.textContent === "server 1");
	await page.locator("#log li", { hasText: "now on server 1" }).nth(1).waitFor();
	await say("after");
	expect(await heard("after")).toEqual(["1", "2", "3"]);
	await page.waitForFunction(() => document.getElementById("pass")!.hidden); // there is no other one
	expect(await page.evaluate(() => {
		const { lobby } = (globalThis as any).lifeline;
		return { server: lobby.server, home: lobby.homes.get(lobby.id), others: lobby.homes.size - 1 };
	})).toEqual({ server: 1, home: 2, others: 0 });
	for (const id of ["lost", "twice"]) {
		expect(await page.textContent(`#${id}`), id).toBe("0");
	}
	await picture(page, "cluster");
});
