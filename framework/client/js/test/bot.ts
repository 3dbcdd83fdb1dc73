// SPDX-License-Identifier: MIT

// Bots that play in the server of examples/room. They pull their cable without a word, come back, and check
// that every numbered message arrived once and in order: examples/room/bot in TypeScript, with its flags
// and its result. The exit status is 1 if one did not.
//
//	npx esbuild test/bot.ts --bundle --platform=node --format=esm --external:ws --outfile=bot.mjs
//	node bot.mjs -addr ws://127.0.0.1:7778 -n 50 -duration 20s -cut 3s -json

import { parseArgs } from "node:util";

import WebSocket from "ws";

import { Chat, Move } from "../../../../examples/room/page/src/wire.js";
import { Client, nothing, type Socket, uint } from "../src/index.js";

interface Options { addr: string; key: string; room: string; n: number; rate: number; duration: number; cut: number; rebind: number; json: boolean }

/** A duration as Go writes it, in milliseconds. */
function duration(text: string): number {
	const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
	const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
	if (text !== "0" && parts.map((p) => p[0]).join("") !== text) {
		throw new Error(`no duration: ${text}`);
	}
	return parts.reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}

function options(args: string[]): Options {
	const text = (byDefault: string): { type: "string"; default: string } => ({ type: "string", default: byDefault });
	const { values: v } = parseArgs({
		args: args.map((a) => a.replace(/^-(?=[a-z])/, "--")), // flags as Go has them
		options: {
			addr: text("ws://127.0.0.1:7778"), key: text(""), room: text("bots"), n: text("50"), rate: text("2"),
			duration: text("20s"), cut: text("3s"), rebind: text("0"), json: { type: "boolean", default: false },
		},
	});
	if (duration(v.rebind) > 0) {
		throw new Error("-rebind needs kcp://, which this client has not");
	}
	return { ...v, n: Number(v.n), rate: Number(v.rate), duration: duration(v.duration), cut: duration(v.cut), rebind: 0 };
}

/** A time around d. */
const around = (d: number): number => d / 2 + Math.random() * d;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One player. */
class Bot {
	readonly c: Client;
	readonly rtts: number[] = [];
	sent = 0;
	total = 0;
	duplicated = 0;
	reordered = 0;
	states = 0;
	error = "";
	private readonly heard = new Map<string, number>();
	private closing = false;

	constructor(private readonly o: Options, name: string) {
		this.c = new Client(o.addr.split(","), {
			ticket: () => name, info: "typescript bot", open: "WebSocket" in globalThis ? undefined : (url) => new WebSocket(url, "lifeline") as unknown as Socket,
			onEvent: (e) => (e.kind === "gone" || e.kind === "closed") && this.fail(`${e.kind}: ${e.error}`),
			onError: (e) => this.fail(String(e)),
		});
		this.c.onMessage("chat", Chat, (m) => this.hear(m.from, m.n));
		this.c.onMessage("state", nothing, () => void this.states++);
		this.c.onMessage("seat", nothing, () => undefined);
	}

	private fail(why: string): void {
		if (!this.closing) {
			this.error ||= why;
		}
	}

	async join(): Promise<void> {
		try {
			await this.c.connect({ timeout: 30_000 });
			await this.c.join("arena", this.o.room);
		} catch (e) {
			this.fail(String(e));
		}
	}

	/** Checks one numbered message. */
	private hear(from: string, n: number): void {
		const last = this.heard.get(from) ?? 0;
		if (n <= last) {
			this.duplicated++;
			return;
		}
		this.reordered += n === last + 1 ? 0 : 1; // a gap: whatever comes late now was overtaken
		this.heard.set(from, n);
		this.total++;
	}

	/** Moves in circles, chats, and pulls the cable now and then. */
	async play(): Promise<void> {
		let angle = Math.random() * 7;
		const move = (): void => {
			angle += 0.05;
			this.c.send("move", Move, { x: 500 + 300 * Math.cos(angle), y: 500 + 300 * Math.sin(angle) });
		};
		const chat = (): void => {
			this.sent += this.c.send("chat", Chat, { n: this.sent + 1, text: "hello", from: "" }) ? 1 : 0;
		};
		const jobs = [this.every(() => 200, move), this.every(() => around(1000 / this.o.rate), chat), this.every(() => 1000, () => void this.ping())];
		if (this.o.cut > 0) {
			jobs.push(this.every(() => around(this.o.cut), () => this.c.cut()));
		}
		await Promise.all(jobs);
	}

	private async every(wait: () => number, job: () => void): Promise<void> {
		for (const end = performance.now() + this.o.duration; this.error === ""; job()) {
			const pause = wait();
			await sleep(Math.min(pause, Math.max(end - performance.now(), 0)));
			if (performance.now() >= end) {
				return;
			}
		}
	}

	private async ping(): Promise<void> {
		const start = performance.now();
		try {
			const n = Math.round(start);
			if ((await this.c.request("ping", uint, n, uint, { timeout: 30_000 })) === n) {
				this.rtts.push(performance.now() - start);
			}
		} catch (e) {
			this.fail(`ping: ${e}`);
		}
	}

	/** Waits until it has heard everything that was sent, or a while. */
	async settle(sent: number): Promise<void> {
		for (const end = performance.now() + 15_000; this.error === "" && this.total < sent && performance.now() < end; ) {
			await sleep(20);
		}
		this.closing = true;
		this.c.close();
	}
}

const o = options(process.argv.slice(2));
const bots = Array.from({ length: o.n }, (_, i) => new Bot(o, `tsbot${process.pid}-${i + 1}`));
await Promise.all(bots.map((b) => b.join())); // before the first one speaks, so that all hear everything
await Promise.all(bots.map((b) => b.play()));
const sum = (of: (b: Bot) => number): number => bots.reduce((n, b) => n + of(b), 0);
const sent = sum((b) => b.sent);
await Promise.all(bots.map((b) => b.settle(sent)));

const rtts = bots.flatMap((b) => b.rtts).sort((a, b) => a - b);
const percentile = (p: number): number => Math.round((rtts[Math.floor((rtts.length * p) / 100)] ?? 0) * 1000) / 1000;
const failed = bots.filter((b) => b.error !== "");
failed.forEach((b) => console.error(b.error));
const r = {
	players: o.n, sent, received: sum((b) => b.total), lost: sum((b) => Math.max(sent - b.total, 0)),
	duplicated: sum((b) => b.duplicated), reordered: sum((b) => b.reordered),
	cuts: sum((b) => b.c.stats.cuts), rebinds: 0, resumes: sum((b) => b.c.stats.resumes), resets: sum((b) => b.c.stats.resets),
	failed: failed.length, states: sum((b) => b.states), rtt_p50_ms: percentile(50), rtt_p99_ms: percentile(99),
};
if (o.json) {
	console.log(JSON.stringify(r));
} else {
	console.log(`${r.players} players sent ${r.sent} numbered messages and received ${r.received}: ${r.lost} lost, ${r.duplicated} duplicated, ${r.reordered} reordered`);
	console.log(`${r.cuts} cuts, ${r.rebinds} rebinds, ${r.resumes} resumes, ${r.resets} resets, ${r.failed} failed; round trip ${r.rtt_p50_ms.toFixed(2)} ms, p99 ${r.rtt_p99_ms.toFixed(2)} ms`);
}
process.exit(r.lost === 0 && r.duplicated === 0 && r.reordered === 0 && r.failed === 0 && r.sent > 0 ? 0 : 1);
