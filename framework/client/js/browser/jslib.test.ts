// SPDX-License-Identifier: MIT

// The WebSocket of Unity's WebGL builds in a real browser, against the room server.

import { readFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser } from "./browser.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const jslib = readFileSync(new URL("../../csharp/Unity/Plugins/LifelineWebSocket.jslib", import.meta.url), "utf8");

// Plays through the jslib, and keeps what happens where the test finds it.
const program = `import { Client } from "lifeline-client";
	import { schema } from "./examples/messages.js";
	import { JslibSocket, link } from "./browser/jslib.js";
	const m = (globalThis.unity = link(JSLIB));
	const events = (globalThis.events = []);
	const chat = (globalThis.chat = []);
	const c = (globalThis.client = new Client(URL_OF_GAME, {
		schema, ticket: () => "unity", open: (url) => new JslibSocket(m, url),
		onEvent: (e) => events.push(e.kind), onError: (e) => events.push(String(e)), minDelay: 10, maxDelay: 100,
	}));
	c.onMessage("chat", (m) => chat.push(m));
	c.onMessage("seat", () => undefined);
	c.onMessage("state", () => undefined);
	c.connect().then(() => c.join("arena", "webgl")).then(() => events.push("in"), (e) => events.push(String(e)));`;

let browser: Browser;
let server: Server;
let site: HttpServer;

beforeAll(async () => {
	server = await Server.start("-bots", "0");
	browser = await Browser.start();
	const { outputFiles } = await build({
		stdin: { contents: program.replace("URL_OF_GAME", () => JSON.stringify(server.ws)).replace("JSLIB", () => JSON.stringify(jslib)), resolveDir: root, loader: "ts" },
		alias: { "lifeline-client": `${root}src/index.ts` }, bundle: true, format: "esm", target: "es2022", write: false,
	});
	site = createServer((r, w) => {
		const script = r.url === "/unity.js";
		w.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
		w.end(script ? outputFiles[0].contents : '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/unity.js"></script>');
	});
	await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
	site?.close();
	expect(browser.errors.filter((e) => !e.includes("asked for ws"))).toEqual([]);
});

const events = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as any).events);
const chat = (page: Page): Promise<number[]> => page.evaluate(() => (globalThis as any).chat.map((m: { n: number }) => m.n));

/** Says messages of 900 bytes, from one number to another. */
const say = (page: Page, from: number, to: number): Promise<void> =>
	page.evaluate(([from, to]) => {
		for (let n = from; n <= to; n++) {
			(globalThis as any).client.send("chat", { n, text: String.fromCharCode(97 + (n % 26)).repeat(900), from: "" });
		}
	}, [from, to]);

const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1);

test("plays, grows its memory, is cut and resumes, and sees the end of the server", async () => {
	const { page, context } = await browser.open(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
	await expect.poll(() => events(page)).toEqual(["connecting", "opened", "in"]);
	await say(page, 1, 20);
	await expect.poll(() => chat(page)).toEqual(numbers(20));
	await page.evaluate(() => (globalThis as any).unity.grow());
	await say(page, 21, 40);
	await expect.poll(() => chat(page)).toEqual(numbers(40));
	await page.evaluate(() => (globalThis as any).client.cut());
	await say(page, 41, 60);
	await expect.poll(() => chat(page)).toEqual(numbers(60));
	expect(await page.evaluate(() => (globalThis as any).chat.every((m: { n: number; text: string }) => m.text === String.fromCharCode(97 + (m.n % 26)).repeat(900)))).toBe(true);
	expect(await events(page)).toEqual(["connecting", "opened", "in", "lost", "connecting", "resumed"]);
	await server.stop("SIGKILL");
	await expect.poll(async () => (await events(page)).slice(6)).toContain("failed");
	expect((await events(page))[6]).toBe("lost");
	await context.close();
});
