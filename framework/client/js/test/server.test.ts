// SPDX-License-Identifier: MIT

// The client against the Go server, over real sockets that break.

import { connect, createServer, type Socket as NetSocket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";

import { Client, type ClientConfig, Code, Failure, type Socket, type ClientEvent, struct, str, uint, anything } from "../src/index.js";
import { Server } from "./room.js";

const Chat = struct({ n: uint, text: str, from: str });

let server: Server;
beforeAll(async () => {
	server = await Server.start("-bots", "0", "-tick", "1s", "-interval", "1s");
}, 120_000);
afterAll(() => server.stop());

const sockets = new Set<WebSocket>();

function open(url: string): Socket {
	const s = new WebSocket(url, "lifeline");
	sockets.add(s);
	s.on("close", () => sockets.delete(s));
	return s as unknown as Socket;
}

function client(name: string, cfg: ClientConfig = {}, url = server.ws): Client {
	return new Client(url, { ticket: () => name, open, minDelay: 5, maxDelay: 20, onMessage: () => undefined, ...cfg });
}

/** Collects what becomes of the session, without the attempts. */
const later = (events: ClientEvent[]) => (e: ClientEvent): unknown => e.kind !== "connecting" && e.kind !== "failed" && events.push(e);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, ok: () => boolean, ms = 10_000, more = (): string => ""): Promise<void> {
	for (const end = Date.now() + ms; !ok(); await sleep(5)) {
		if (Date.now() > end) {
			throw new Error(`not in ${ms} ms: ${what}${more()}`);
		}
	}
}

test("requests are answered, and refused where nobody answers", async () => {
	const c = client("ann");
	await c.connect();
	expect(await c.request("ping", uint, 42, uint)).toBe(42);
	await expect(c.request("nowhere", uint, 1, uint)).rejects.toMatchObject({ code: Failure.NoRoute });
	await expect(c.request("ping", str, "no number", uint)).rejects.toMatchObject({ code: Failure.BadRequest });
	await expect(c.request("ping", uint, 1, str)).rejects.toThrow("mismatch");
	await expect(c.request("ping", uint, 1, uint, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
	c.close();
	await expect(c.request("ping", uint, 1, uint)).rejects.toThrow("closed");
});

test("an app that comes back by its token joins the room that it is in", async () => {
	const before = client("reloaded");
	await before.connect();
	await before.join("arena", "reload");
	const { token } = before;
	before.pause(); // and it is never seen again
	const after = client("reloaded", { token });
	await after.connect();
	await until("the next run knows its room", () => after.room("arena").key === "reload");
	await after.join("arena", "reload");
	await expect(after.join("arena", "elsewhere")).rejects.toMatchObject({ code: Failure.InRoom });
	after.close();
	before.close();
});

test("a refused ticket is final, and the reason is told", async () => {
	const events: ClientEvent[] = [];
	const c = client("", { onEvent: later(events) });
	await expect(c.connect()).rejects.toMatchObject({ code: 1001, remote: true, text: expect.stringContaining("32 bytes") });
	expect(events.map((e) => e.kind)).toEqual(["closed"]);
});

test("a server that is not there is tried again, until close", async () => {
	const events: ClientEvent[] = [];
	const c = client("ann", { onEvent: (e) => events.push(e) }, "ws://127.0.0.1:1");
	const connected = c.connect();
	await until("dialed again", () => c.stats.dials > 2);
	c.close();
	await expect(connected).rejects.toMatchObject({ code: Code.Left });
	expect(events.slice(0, 3)).toMatchObject([{ kind: "connecting" }, { kind: "failed", error: { message: expect.stringContaining("ECONNREFUSED") } }, { kind: "connecting" }]);
	expect(events.at(-1)).toMatchObject({ kind: "closed", error: { code: Code.Left } });
});

test("the next address is tried when one does not answer", async () => {
	const c = new Client(["ws://127.0.0.1:1", server.ws], { ticket: async () => "ann", open, minDelay: 5 });
	await c.connect();
	expect(c.stats.dials).toBe(2);
	c.close();
});

test("a token brings a restarted app back to its session", async () => {
	const one = client("ann");
	await one.connect();
	const { token, id } = one;
	one.cut();
	one.pause(); // it is gone and says nothing
	const events: ClientEvent[] = [];
	const two = client("somebody else", { token, onEvent: later(events) });
	await two.connect();
	expect(two.id).toBe(id);
	expect(events).toEqual([{ kind: "reset", reason: Code.Gone, undelivered: [] }]);
	expect(await two.request("ping", uint, 7, uint)).toBe(7);
	two.close();
	one.close();
});

test("what a session leaves behind is reported, and the client logs in anew", async () => {
	const events: ClientEvent[] = [];
	let logins = 0;
	const c = client("ann", { ticket: () => `ann-${++logins}`, onEvent: later(events) });
	await c.connect();
	// Another client ends the session behind its back.
	const thief = client("thief", { token: c.token });
	c.cut();
	c.pause();
	await thief.connect();
	thief.close();
	c.send("move", anything, [1, 2]);
	c.hurry();
	await until("a new session", () => c.connected);
	expect(events.map((e) => e.kind)).toEqual(["opened", "lost", "gone", "opened"]);
	expect(events[2]).toMatchObject({ undelivered: [{ route: "move", request: false }] });
	expect(logins).toBe(2);
	c.close();
});

/** A proxy that tears connections wherever they are. */
class Proxy {
	private readonly pairs = new Set<[NetSocket, NetSocket]>();
	private readonly listener = createServer((near) => {
		const far = connect(Number(new URL(server.ws).port), "127.0.0.1");
		const pair: [NetSocket, NetSocket] = [near, far];
		this.pairs.add(pair);
		for (const [a, b] of [[near, far], [far, near]]) {
			a.on("data", (d) => {
				// Now and then only the beginning gets through.
				if (Math.random() < this.tear) {
					b.write(d.subarray(0, Math.floor(Math.random() * d.length)), () => this.drop(pair));
				} else {
					b.write(d);
				}
			});
			a.on("close", () => this.drop(pair));
			a.on("error", () => undefined);
		}
	});
	tear = 0;

	async listen(): Promise<string> {
		await new Promise<void>((resolve) => this.listener.listen(0, "127.0.0.1", resolve));
		return `ws://127.0.0.1:${(this.listener.address() as { port: number }).port}`;
	}

	private drop(pair: [NetSocket, NetSocket]): void {
		if (this.pairs.delete(pair)) {
			pair.forEach((s) => s.destroy());
		}
	}

	close(): void {
		this.tear = 0;
		this.pairs.forEach((p) => this.drop(p));
		this.listener.close();
	}
}

/** The inner state of a client, for a test that failed. */
function describeClient(name: string, c: Client, heard: Map<string, number[]>): string {
	const { core, link } = c as any;
	const plain = (o: object): string => JSON.stringify(o, (k, v) => (k === "out" || k === "cfg" || k === "key" || k === "ctl" || k === "end" ? undefined : typeof v === "bigint" ? String(v) : v));
	const last = [...heard].map(([from, list]) => `${from}:${list.at(-1)}`).join(" ");
	const socket = link === null ? "no link" : `readyState ${link.socket.readyState}, buffered ${link.socket.bufferedAmount}`;
	return `\n${name} at ${performance.now()}: heard ${last}\n  core ${plain(core)} due ${core.due()}\n  end ${plain(core.end)}\n  socket ${socket}, events ${plain(c.stats)}`;
}

describe("200 random cuts", () => {
	test("nothing is lost, repeated or out of order", { timeout: 60_000 }, async () => {
		const proxy = new Proxy();
		const url = await proxy.listen();
		const names = ["a", "b", "c", "d"];
		const heard = names.map(() => new Map<string, number[]>());
		const resets: string[] = [];
		const clients = names.map((name, i) => {
			const c = client(name, { onEvent: (e) => (e.kind === "reset" || e.kind === "gone") && resets.push(`${name} ${e.kind}`) }, url);
			c.onMessage("chat", Chat, (m) => {
				const list = heard[i].get(m.from) ?? [];
				heard[i].set(m.from, list);
				list.push(m.n);
			});
			return c;
		});
		await Promise.all(clients.map((c) => c.connect().then(() => c.join("arena", "cuts"))));

		let sent = 0;
		const total = (what: "losses" | "resumes"): number => clients.reduce((n, c) => n + c.stats[what], 0);
		const random = (): Client => clients[Math.floor(Math.random() * clients.length)];
		proxy.tear = 0.02;
		while (total("losses") < 200) {
			sent++;
			for (const c of clients) {
				expect(c.send("chat", Chat, { n: sent, text: "x".repeat(Math.random() * 200), from: "" })).toBe(true);
			}
			if (Math.random() < 0.3) {
				random().cut();
			}
			if (Math.random() < 0.1) {
				[...sockets][0]?.terminate();
			}
			await sleep(Math.random() * 10);
		}
		proxy.tear = 0;
		const want = Array.from({ length: sent }, (_, n) => n + 1);
		await until("everybody has heard everything", () => heard.every((h) => names.every((n) => h.get(n)?.at(-1) === sent)), 20_000,
			() => clients.map((c, i) => describeClient(names[i]!, c, heard[i]!)).join(""));
		for (const h of heard) {
			for (const n of names) {
				expect(h.get(n)).toEqual(want);
			}
		}
		expect(resets).toEqual([]);
		expect(total("resumes")).toBe(total("losses"));
		console.log(`${total("losses")} links lost and resumed, ${sent * names.length} messages sent, ${sent * names.length * names.length} heard once and in order`);
		clients.forEach((c) => c.close());
		proxy.close();
	});
});
