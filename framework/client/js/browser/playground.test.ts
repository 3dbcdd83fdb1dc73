// SPDX-License-Identifier: MIT

// The playground in a real browser, on the room example.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser, picture } from "./browser.js";

let browser: Browser;
let server: Server;

beforeAll(async () => {
	server = await Server.start("-bots", "2");
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
});

const line = (page: Page, kind: string, text: string): Promise<void> => page.locator(`#log li.${kind}`, { hasText: text }).first().waitFor();

test("it logs in, joins, asks with JSON, sees pushes, and survives a cut", async () => {
	const { page, context } = await browser.open(`${server.http}/debug/`);
	await page.click("a:has-text('playground')");
	await page.fill("#ticket", "operator");
	const address = await page.inputValue("#address");
	await page.fill("#address", "localhost:7777");
	await page.click("#login");
	await line(page, "failed", "it must begin with ws:// or wss://");
	await page.fill("#address", address);
	await page.click("#login");
	await page.waitForSelector("#state[data-state=good]");

	await page.selectOption("#room", "arena");
	await page.fill("#key", "lobby");
	await page.click("#join");
	await line(page, "room", "in lobby");
	await line(page, "push", "state  {\"Tick\":"); // an array on the wire

	await page.selectOption("#route", "ping");
	await page.fill("#body", "42");
	await page.click("#send");
	await line(page, "answer", "ping  42");

	await page.selectOption("#route", "move");
	expect(await page.inputValue("#body")).toBe('{"X":0,"Y":0}');
	await page.fill("#body", '{"Z":1}');
	await page.click("#send");
	await line(page, "failed", "unknown field");
	await page.fill("#body", '{"X":5,"Y":6}');
	await page.click("#send");
	await line(page, "sent", '{"X":5,"Y":6}');

	await page.click("#cut");
	await line(page, "session", "lost");
	await line(page, "session", "resumed");
	await page.selectOption("#route", "ping");
	await page.fill("#body", "43");
	await page.click("#send");
	await line(page, "answer", "ping  43");
	await picture(page, "playground");

	await page.click("#leave");
	await line(page, "room", "out of lobby");
	await page.click("#logout");
	await page.waitForSelector("#state[data-state=bad]");
	expect(browser.errors.filter((e) => !e.includes(server.ws))).toEqual([]);
	await context.close();
});

test("without the admin's token there is nothing to play with", async () => {
	const { page, context } = await browser.open(`${server.http}/healthz`);
	await page.route(/\/debug\/play\//, (route) => (route.request().headers().authorization === "Bearer sesame" ? route.continue() : route.fulfill({ status: 401 })));
	await page.goto(`${server.http}/debug/playground.html`);
	await page.waitForSelector("#token[open]");
	expect(await page.locator("#route option").count()).toBe(0);
	await page.fill("#bearer", "sesame");
	await page.press("#bearer", "Enter");
	await page.waitForFunction(() => document.querySelectorAll("#route option").length > 2);
	await context.close();
});
