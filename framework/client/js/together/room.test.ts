// SPDX-License-Identifier: MIT

// One room and one match of examples/room, played by all clients at once: bots in Go that pull their
// cables, a player in Go, the page in Chromium, and in C# the console sample and the scene of the Unity
// sample. All see each other, and the same result. Needs mcs and mono.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Browser } from "../browser/browser.js";
import { Program } from "../test/program.js";
import { Server } from "../test/room.js";

const csharp = fileURLToPath(new URL("../../csharp/", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "lifeline-together-"));

/** The sources in folders of the C# client. */
const sources = (...folders: string[]): string[] =>
	folders.flatMap((f) => readdirSync(csharp + f).filter((n) => n.endsWith(".cs")).map((n) => `${f}/${n}`));

/** Compiles a program in C#. */
function compile(name: string, ...from: string[]): void {
	execFileSync("mcs", ["-nologo", "-langversion:7", `-out:${work}/${name}.exe`, ...from], { cwd: csharp, stdio: "inherit" });
}

/** A player whose lines are read. */
class Mate extends Program {
	/** A player in Go. */
	static go(...flags: string[]): Mate {
		return new Mate("./framework/client/foreign/mate", flags);
	}

	/** A program in C# that was compiled. */
	static mono(name: string, ...flags: string[]): Mate {
		return new Mate(["mono", `${work}/${name}.exe`], flags);
	}

	lines(beginning: string): string[] {
		return this.log.split("\n").filter((l) => l.startsWith(beginning));
	}
}

/** Bots whose exit code is 0 if each heard everything that they said, once and in order. */
class Bots extends Program {
	static start(...flags: string[]): Bots {
		return new Bots("./examples/room/bot", flags);
	}
}

let browser: Browser;
let server: Server;
const running: Program[] = [];

beforeAll(async () => {
	compile("player", ...sources("Runtime", "Samples~/Console"));
	compile("unity", ...sources("Runtime", "Unity", "Samples~/Arena", "Tests~/Unity", "Tests~/Stub/Unity"), "Tests~/Check.cs", "Tests~/FakeServer.cs");
	server = await Server.start("-bots", "0", "-match", "12s");
	browser = await Browser.start();
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await Promise.all(running.map((p) => p.stop("SIGKILL")));
	await server?.stop();
	rmSync(work, { recursive: true, force: true });
	expect(browser.errors).toEqual([]);
});

/** Who is in the lobby, as the page sees it. */
const seen = (page: Page): Promise<string[]> => page.evaluate(() => {
	const { lobby } = (globalThis as any).lifeline;
	return [...lobby.names].filter(([id]: [number]) => lobby.motion.spot(id)).map(([, name]: [number, string]) => name).sort();
});

async function say(page: Page, text: string): Promise<void> {
	await page.fill("#text", text);
	await page.press("#text", "Enter");
}

/** Goes to a match with all mates: true if they have all got in before it began. */
async function gather(page: Page, mates: Mate[]): Promise<boolean> {
	const told = (m: Mate): number => m.lines("lineup:").length + m.lines("not in").length;
	const before = mates.map(told);
	await page.evaluate(() => void ((globalThis as any).gems = []));
	await page.click("#play");
	await expect.poll(() => page.evaluate(() => (globalThis as any).lifeline.client().room("match").key)).not.toBeNull();
	await say(page, `play ${await page.evaluate(() => (globalThis as any).lifeline.client().room("match").key)}`);
	await expect.poll(() => mates.every((m, i) => told(m) > before[i])).toBe(true);
	const names = await page.evaluate(() => [...(globalThis as any).lifeline.match.scene.names.values()]);
	return ["gopher", "sharp"].every((n) => names.includes(n));
}

test("all see each other, and the same result of a match", async () => {
	const [kcp, stcp, tcp] = [/ kcp:\/\/[\d.:]+/, /stcp:\/\/[\d.:]+/, /tcp:\/\/[\d.:]+/].map((p) => p.exec(server.log)![0].trim());
	const key = /llp1\.\S+/.exec(server.log)![0];
	const bots = Bots.start("-addr", kcp, "-key", key, "-n", "3", "-duration", "45s", "-cut", "3s", "-rate", "0.5", "-room", "lobby", "-limit", "resumes > 0");
	running.push(bots);
	const { page } = await browser.open(server.http);
	page.setDefaultTimeout(60_000);
	await page.waitForSelector("#badge[data-state=connected]");
	await page.waitForFunction(() => Number(document.getElementById("players")!.textContent) >= 4); // before anybody else speaks
	await page.evaluate(() => {
		const { match } = (globalThis as any).lifeline;
		const { onGot } = match;
		match.onGot = (n: number) => {
			(globalThis as any).gems.push(n);
			onGot(n);
		};
	});

	const go = Mate.go("-addr", kcp, "-key", key, "-name", "gopher", "-cut", "1500ms");
	const sharp = Mate.mono("player", stcp, "sharp", key);
	const unity = Mate.mono("unity", "play", tcp, key, "unity");
	running.push(go, sharp, unity);
	const name = (await page.$eval("#name", (e) => e.textContent))!;
	await expect.poll(async () => (await seen(page)).filter((n) => !n.startsWith("bot"))).toEqual([name, "gopher", "sharp", "unity"].sort());
	await expect.poll(() => go.log).toContain("sharp: hello");
	expect((await seen(page)).filter((n) => n.startsWith("bot"))).toHaveLength(3);

	let together = false;
	let from = { go: 0, sharp: 0 };
	for (let i = 0; i < 5 && !together; i++) { // on a slow machine one may come late
		from = { go: go.lines("gem").length, sharp: sharp.lines("gem").length };
		together = await gather(page, [go, sharp]);
		if (!together) {
			await page.waitForFunction(() => (globalThis as any).lifeline.match.phase === "over");
			await page.click("#lobby");
		}
	}
	expect(together).toBe(true);
	await page.waitForFunction(() => (globalThis as any).lifeline.match.phase === "on");
	await page.click("#cut");
	await page.waitForFunction(() => (globalThis as any).lifeline.match.phase === "over");
	const result = await page.evaluate(() => (globalThis as any).lifeline.match.result.scores.map((s: { name: string; gems: number }) => `${s.name} ${s.gems}`).join(", "));
	await expect.poll(() => go.lines("result:").at(-1)).toBe(`result: ${result}`);
	await expect.poll(() => sharp.lines("result:").at(-1)).toBe(`result: ${result}`);
	for (const m of [go, sharp]) {
		await expect.poll(() => m.lines("out of the match").at(-1)).toBe("out of the match, code 300: time is up");
	}
	// The same gems, told once and in order.
	const gems = go.lines("gem").slice(from.go);
	expect(sharp.lines("gem").slice(from.sharp)).toEqual(gems);
	expect(gems.map((l) => Number(/\d+/.exec(l)))).toEqual(gems.map((_, i) => i + 1));
	expect(await page.evaluate(() => (globalThis as any).gems)).toEqual(gems.map((_, i) => i + 1));
	expect(result.split(", ").reduce((n: number, s: string) => n + Number(s.split(" ").at(-1)), 0)).toBe(gems.length);
	expect(result).toMatch(/sharp [1-9]/); // it has run
	expect(result).toMatch(/gopher [1-9]/);
	expect(await page.evaluate(() => (globalThis as any).lifeline.client().stats.resumes)).toBeGreaterThan(0);

	// What the Unity sample draws of the page's player is where that is, also after a reload of its scripts: the same
	// session, so the same player.
	unity.tell("reload");
	await expect.poll(() => unity.log).toContain("Reset");
	await expect.poll(() => unity.lines("Opened")).toHaveLength(1);
	await expect.poll(() => page.locator("#log li[data-from=unity]").count()).toBe(2);
	const me = await page.evaluate(() => ({ id: (globalThis as any).lifeline.lobby.id, ...(globalThis as any).lifeline.lobby.me }));
	unity.end();
	await expect.poll(() => unity.lines(`player ${me.id} at`)).toHaveLength(1);
	const [x, y] = /at (-?\d+) (-?\d+)/.exec(unity.lines(`player ${me.id} at`)[0])!.slice(1).map(Number);
	expect(Math.hypot(x - me.x, y - me.y)).toBeLessThan(3);
	expect(unity.lines("player").length).toBeGreaterThanOrEqual(4); // the bots may have left by now

	await page.click("#lobby");
	await say(page, "the end");
	await expect.poll(() => sharp.log).toContain(`${name}: the end`);
	await expect.poll(() => go.log).toContain(`${name}: the end`);
	for (const what of ["lost", "twice"]) {
		expect(await page.$eval(`#${what}`, (e) => e.textContent)).toBe("0");
	}
	expect(await bots.ended(), bots.log).toBe(0);
	await sharp.stop("SIGKILL"); // Mono sees no interrupt where there is no terminal
	await go.stop("SIGINT");
});
