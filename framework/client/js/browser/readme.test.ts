// SPDX-License-Identifier: MIT

// The program of the README as it stands there, in a page that is reloaded
// and on a server that is restarted.

import { readFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Program } from "../test/program.js";
import { Browser } from "./browser.js";

const root = fileURLToPath(new URL("..", import.meta.url));

class Game extends Program {
	static start(...flags: string[]): Promise<Game> {
		return new Game("./framework/client/js/test/readme", flags).ready(/ws:.*\n/);
	}

	get ws(): string {
		return this.log.trim();
	}
}

let browser: Browser;
let game: Game;
let site: HttpServer;
let tickets: (() => string | null)[] = []; // what the next requests get, null as a failure

beforeAll(async () => {
	game = await Game.start();
	browser = await Browser.start();
	const program = /^```ts\n(.*?)^```$/ms.exec(readFileSync(`${root}README.md`, "utf8"))![1].replace("wss://game.example/play", game.ws);
	const { outputFiles } = await build({
		stdin: { contents: program, resolveDir: root, loader: "ts" }, alias: { "lifeline-client": `${root}src/index.ts` },
		bundle: true, format: "esm", target: "es2022", write: false,
	});
	// What the program takes from its app.
	const app = "globalThis.badges = []; globalThis.badge = (b) => badges.push(b); globalThis.frames = 0; globalThis.draw = (p) => { frames++; globalThis.players = p; };";
	site = createServer((r, w) => {
		if (r.url === "/ticket") {
			const ticket = (tickets.shift() ?? ((): string => "ann"))();
			w.writeHead(ticket === null ? 503 : 200).end(ticket ?? "down");
			return;
		}
		w.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><link rel="icon" href="data:,"><script>${app}</script><script type="module">${outputFiles[0].text.replaceAll("</", "<\\/")}</script>`);
	});
	await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await game?.stop();
	site?.close();
	expect(browser.errors.filter((e) => !e.includes("asked for ws"))).toEqual([]);
});

/** What the program has told so far. */
const badges = (page: Page): Promise<string[]> => page.evaluate(() => (globalThis as any).badges);

/** Waits until the program hears its room. */
async function playing(page: Page): Promise<void> {
	await page.evaluate(() => ((globalThis as any).frames = 0));
	await page.waitForFunction(() => (globalThis as any).frames > 3);
}

test("it plays, also after a reload and a restart of the server", async () => {
	tickets = [(): null => null];
	const { page, context } = await browser.open(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
	await playing(page);
	await expect.poll(() => badges(page)).toEqual(["connecting", "failed", "connecting", "opened", "hi ann"]);
	await expect.poll(() => page.evaluate(() => (globalThis as any).players)).toEqual([{ id: 1, at: { x: 1, y: 2 } }]);

	await page.reload();
	await playing(page);
	await expect.poll(() => badges(page)).toEqual(["connecting", "reset", "hi ann"]);
	expect(await page.evaluate(() => (globalThis as any).players.length)).toBe(1); // the same one

	const { host } = new URL(game.ws);
	await game.stop("SIGKILL");
	game = await Game.start("-ws", host);
	await playing(page);
	const told = await badges(page);
	expect(told.filter((b) => b !== "connecting" && b !== "failed")).toEqual(["reset", "hi ann", "lost", "gone", "opened"]);

	await page.reload();
	await playing(page);
	await expect.poll(() => badges(page)).toEqual(["connecting", "reset", "hi ann"]);
	await context.close();
});

test("whom the room refused gets in by a reload", async () => {
	tickets = [(): string => "eve"];
	const { page, context } = await browser.open(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
	await expect.poll(() => badges(page)).toContain("not let in: request failed: full");
	await page.reload();
	await playing(page);
	await expect.poll(() => badges(page)).toEqual(["connecting", "reset", "hi eve"]);
	await context.close();
});
