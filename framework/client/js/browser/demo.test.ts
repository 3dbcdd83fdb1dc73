// SPDX-License-Identifier: MIT

// The room's page as a stranger sees it: it plays by itself until somebody takes over.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser, picture } from "./browser.js";

let browser: Browser;
let server: Server;

beforeAll(async () => {
	server = await Server.start("-demo", "-bots", "3", "-match", "15s");
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
	expect(browser.errors).toEqual([]);
});

const axe = readFileSync(fileURLToPath(new URL("../node_modules/axe-core/axe.min.js", import.meta.url)), "utf8");

/** What a check of accessibility finds on the page as it is now. */
async function barriers(page: Page): Promise<string[]> {
	if (!(await page.evaluate("'axe' in globalThis"))) {
		await page.evaluate(axe);
	}
	const found = await page.evaluate(() => (globalThis as any).axe.run());
	return found.violations.flatMap((v: any) => v.nodes.map((n: any) => `${v.id}: ${n.html}`));
}

const step = (page: Page, name: string): Promise<unknown> => page.locator("#steps [aria-current]", { hasText: name }).waitFor({ timeout: 60_000 });

for (const [look, options] of Object.entries({ light: {}, "dark phone": { dark: true, phone: true } })) {
	test(`the page plays by itself, and nothing is in anybody's way: ${look}`, async () => {
		const { page, context } = await browser.open(server.http, options);
		const found: Record<string, string[]> = {};
		for (const name of ["Join", "Play", "Drop out", "Resume", "Result"]) {
			await step(page, name);
			await picture(page, `demo ${look} ${name}`);
			if (name === "Join" || name === "Drop out" || name === "Result") {
				found[name] = await barriers(page);
			}
		}
		expect(found).toEqual({ Join: [], "Drop out": [], Result: [] });
		expect(await page.locator("#results li").count()).toBe(4);
		for (const id of ["lost", "twice"]) {
			expect(await page.textContent(`#${id}`), id).toBe("0");
		}
		expect(Number(await page.textContent("#resumes"))).toBeGreaterThan(0);
		expect(server.log).toMatch(/match over.*room finished: time is up/);
		await context.close();
	});
}

test("a stranger takes over, plays, is cut, and leaves", async () => {
	const { page, context } = await browser.open(server.http);
	await step(page, "Play");
	await page.keyboard.press("ArrowLeft"); // is enough
	await page.locator("#steps").waitFor({ state: "hidden" });
	await page.locator("#guide-title", { hasText: "Walk over gems" }).waitFor();
	await page.click("#cut");
	await page.waitForSelector("#badge[data-state=resumed]");
	await page.click("#lobby");
	await page.locator("#guide-title", { hasText: "You are in the lobby" }).waitFor();
	expect(await barriers(page)).toEqual([]);

	await page.click("#play");
	await page.locator("#left", { hasText: "begins in" }).waitFor();
	await page.locator("#guide-title", { hasText: "You win" }).or(page.locator("#guide-title", { hasText: "You are number" })).waitFor({ timeout: 60_000 });
	await page.locator("#play", { hasText: "Play again" }).waitFor();
	await page.click("#tour");
	await step(page, "Join");
	await context.close();
});

// What a frame costs is counted, not timed: what is drawn once and copied after that costs
// little however slow the machine. LIFELINE_FRAMES=1 prints times, for a quiet machine.
test("500 players are copied, not drawn, in each frame", async () => {
	const { page, context } = await browser.open(server.http);
	await step(page, "Join");
	const cost = await page.evaluate(() => {
		const { stage, lobby, tour } = (globalThis as any).lifeline;
		tour.stop();
		lobby.restart();
		lobby.onMove = lobby.onStranger = (): boolean => true;
		stage.show(lobby);
		const players = 500;
		const list = Array.from({ length: players }, (_, i) => ({ id: i + 1, name: `player ${i + 1}` }));
		lobby.view({ id: 1, side: 1000, step: 50, players: list });
		const now = performance.now();
		const state = (tick: number): object => ({
			tick, players: list.map(({ id }) => ({ id, x: 500 + 450 * Math.sin(id + tick / 50), y: 500 + 450 * Math.cos(id * 7 + tick / 50), dropped: id % 10 === 0 })),
		});
		const calls: Record<string, number> = {};
		const made = (): number => stage.sprites.made;
		const play = (frames: number, from: number): number => {
			const began = performance.now();
			for (let f = from; f < from + frames; f++) {
				if (f % 3 === 0) {
					lobby.motion.push(state(f / 3 + 1), now + (f * 50) / 3);
				}
				stage.frame(now + (f * 50) / 3);
			}
			return performance.now() - began;
		};
		play(120, 0); // until all pictures are there
		const before = made();
		const proto = CanvasRenderingContext2D.prototype as any;
		const restore: (() => void)[] = [];
		for (const name of ["fillText", "strokeText", "measureText", "arc", "fill", "stroke", "drawImage"]) {
			const is = proto[name];
			proto[name] = function (...args: unknown[]): unknown {
				calls[name] = (calls[name] ?? 0) + 1;
				return is.apply(this, args);
			};
			restore.push(() => (proto[name] = is));
		}
		const frames = 60;
		play(frames, 120);
		restore.forEach((f) => f());
		const after = made();
		return { calls, frames, players, made: after - before, ms: play(300, 180) / 300 };
	});
	const per = (name: string): number => (cost.calls[name] ?? 0) / cost.frames;
	expect(per("drawImage")).toBeGreaterThanOrEqual(cost.players);
	expect(per("drawImage")).toBeLessThan(1.5 * cost.players); // names only of those nearby
	expect(per("arc") + per("fill") + per("stroke")).toBeLessThan(10);
	expect(cost.made).toBeLessThan(cost.frames); // names that come near for the first time
	expect(per("fillText") + per("strokeText") + per("measureText")).toBeLessThanOrEqual((3 * cost.made) / cost.frames);
	if (process.env.LIFELINE_FRAMES) {
		console.log(`a frame of ${cost.players} players takes ${cost.ms.toFixed(2)} ms of script`);
	}
	await context.close();
});
