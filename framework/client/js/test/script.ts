// SPDX-License-Identifier: MIT

// Plays the scripts of session/testdata/scripts, whose language is in
// session/SPEC.md 12. The Go player is session/script_test.go.

import { readFileSync } from "node:fs";

import { Flag, Kind, type Packet, parseFrame } from "../src/codec.js";
import { LinkError } from "../src/control.js";
import { Reader, Writer } from "../src/msgpack.js";
import { Session } from "../src/session.js";
import { fromHex, toHex } from "./hex.js";

const kindNames = Object.fromEntries(Object.entries(Kind).map(([name, k]) => [k, name.toUpperCase()]));
const kindNamed = (name: string): Kind => Object.values(Kind).find((k) => kindNames[k] === name) ?? Kind.Heartbeat;

const dir = new URL("../../../../session/testdata/scripts/", import.meta.url);
export const readScript = (name: string): string => readFileSync(new URL(`${name}.txt`, dir), "utf8");
export const scriptsDir = dir;

/** A line of what happened. Packets that only count on share one. */
interface Line { before: string; after: string; from: number; to: number }

const manyZeros = 33;

/** Returns the script with what the client did in place of what was expected. */
export function play(text: string): string {
	const s = new Script();
	let out = "";
	for (const l of text.split(/(?<=\n)/)) {
		if (l.startsWith("\t")) {
			continue; // what was expected
		}
		out += l;
		if (l.trim() !== "" && l[0] !== "#") {
			s.do(l.trim());
			out += s.take().map((l) => `\t${s.shorten(l)}\n`).join("");
		}
	}
	return out;
}

/** A client and what is around it while a script is played to it. */
export class Script {
	private lets: [string, string][] = [];
	private c!: Session;
	private now = 0;
	private wall = 1_700_000_000_000;
	private random = 0n; // nanoseconds
	private room = 1 << 20;
	private stamp = false; // lines tell the time
	private lines: Line[] = [];

	take(): string[] {
		const lines = this.lines.map((l) => {
			const seq = l.from === 0 ? "" : l.from === l.to ? ` seq=${l.from}` : ` seq=${l.from}-${l.to}`;
			return l.before + seq + l.after;
		});
		this.lines = [];
		return lines;
	}

	shorten(text: string): string {
		return this.lets.reduce((t, [name, value]) => t.replaceAll(value, `$${name}`), text);
	}

	private expand(text: string): string {
		return this.lets.reduceRight((t, [name, value]) => t.replaceAll(`$${name}`, value), text);
	}

	private print(before: string, seq = 0, after = ""): void {
		if (this.stamp) {
			before = `${seconds(this.now)} ${before}`;
		}
		const l = this.lines.at(-1);
		if (seq > 0 && l && l.before === before && l.after === after && l.to + 1 === seq) {
			l.to++;
		} else {
			this.lines.push({ before, after, from: seq, to: seq });
		}
	}

	do(text: string): void {
		const [verb, rest] = cut(text, " ");
		switch (verb) {
			case "after":
				readScript(rest).split("\n").filter((l) => l !== "" && l[0] !== "#" && l[0] !== "\t").forEach((l) => this.do(l));
				this.lines = [];
				return;
			case "let":
				this.lets.push(cut(rest, " "));
				return;
			case "random":
				this.random = BigInt(Math.round(duration(rest) * 1e6));
				return;
			case "room":
				this.room = Number(rest);
				return;
			case "advance":
				this.advance(duration(rest));
				return;
			case "state": {
				const { state, token, queued, received, routes, rtt, address } = this.c;
				this.print(`${state} session=${token !== ""} queued=${queued.packets}/${queued.bytes} received=${received} routes=${routes.length} rtt=${seconds(rtt)} due=${seconds(this.c.due())}`);
				if (address !== "") {
					this.print(`at ${address}`);
				}
				return;
			}
			case "config": this.config(this.expand(rest)); break;
			case "up": this.c.linkUp(this.now, this.wall); break;
			case "down": this.c.linkDown(this.now); break;
			case "dropped": this.c.linkDropped(this.now); break;
			case "saw": this.c.saw(this.now); break;
			case "in": this.in(this.expand(rest)); break;
			case "send": this.send(this.expand(rest)); break;
			case "hold": this.c.hold(rest === "on"); break;
			case "hurry": this.c.hurry(this.now); break;
			case "pause": this.c.pause(this.now); break;
			case "close": this.c.close(); break;
			case "stall": // nobody looks meanwhile
				this.now += duration(rest);
				this.wall += duration(rest);
				break;
			case "sleep": // the clock stands still, the wall clock goes on
				this.wall += duration(rest);
				break;
			default:
				throw new Error(`no command: ${text}`);
		}
		this.settle();
	}

	private config(text: string): void {
		const cfg = JSON.parse(text);
		const ticket = cfg.ticket ? new TextEncoder().encode(cfg.ticket) : null;
		this.c = new Session({ ...cfg, ticket: () => ticket, random: () => this.random });
	}

	/** What the owner of a client does after everything that happens. */
	private settle(): void {
		for (;;) {
			const action = this.c.check(this.now, this.wall);
			this.changes();
			if (action === "wait") {
				break;
			}
			if (action === "dial") {
				this.print("dial");
				break;
			}
			this.output(0);
			this.print("cut");
		}
		this.output(this.room);
	}

	private changes(): void {
		for (const ch of this.c.changes()) {
			const error = "error" in ch ? ` ${ch.error.code}${ch.error.remote ? " by the server" : ""}` : "";
			const delay = ch.kind === "put off" ? ` for ${seconds(ch.delay)}` : "";
			this.print(ch.kind === "moving" ? `moving after ${seconds(ch.delay)} ${ch.address}`.trimEnd() : ch.kind + error + delay + ("stuck" in ch && ch.stuck ? " stuck" : ""));
			for (const p of "undelivered" in ch ? ch.undelivered : []) {
				this.print(`undelivered ${kindNames[p.kind]}`, 0, body(p.body));
			}
		}
	}

	private output(room: number): void {
		for (const b of this.c.output(this.now, room)) {
			const f = parseFrame(b, 0, 2 ** 28)!;
			this.packet("out", f.packet);
		}
	}

	/** Lets the time pass for a client that looks when it is due. */
	private advance(d: number): void {
		this.stamp = true;
		for (const end = this.now + d; ; ) {
			const at = Math.max(Math.min(this.c.due(), end), this.now);
			this.wall += at - this.now;
			this.now = at;
			const last = this.c.due() > end;
			this.settle();
			if (last) {
				break;
			}
		}
		this.stamp = false;
	}

	private send(text: string): void {
		const [kind, value] = cut(text, " ");
		let result: string;
		try {
			result = this.c.send(kindNamed(kind), encode(value));
		} catch {
			result = "refused";
		}
		if (result !== "ok") {
			this.print(result);
		}
	}

	/** Hands the client the packet that text describes, or several that count on. */
	private in(text: string): void {
		const at = text.search(/ [[{]/);
		const [name, ...wordsOf] = (at < 0 ? text : text.slice(0, at)).split(" ");
		const p: Packet = { kind: kindNamed(name), flags: 0, seq: 0, ack: 0, body: at < 0 ? new Uint8Array(0) : encode(text.slice(at + 1)) };
		let [from, to] = [0, 0];
		for (const word of wordsOf) {
			const [key, value] = cut(word, "=");
			switch (key) {
				case "echo-wanted": p.flags |= Flag.EchoWanted; break;
				case "echo": p.flags |= Flag.Echo; break;
				case "hold": p.flags |= Flag.Hold; break;
				case "ack": p.ack = Number(value); break;
				case "seq":
					from = parseInt(value, 10);
					to = Number(cut(value, "-")[1] || from);
					break;
				default: throw new Error(`in ${text}: ${word}`);
			}
		}
		for (let seq = from; seq <= to; seq++) {
			p.seq = seq;
			try {
				const deliver = this.c.receive(p, this.now);
				this.changes();
				if (deliver) {
					this.packet("deliver", p);
				}
			} catch (e) {
				if (!(e instanceof LinkError)) {
					throw e;
				}
				this.changes();
				this.print(`broken ${e.word}`);
				if (e.word !== "fenced") { // that one was left already
					this.c.linkDown(this.now);
				}
				return;
			}
		}
	}

	private packet(what: string, p: Packet): void {
		const flags = [" echo-wanted", " echo", " hold"].filter((_, i) => p.flags & (1 << i)).join("");
		this.print(`${what} ${kindNames[p.kind]}${flags}`, p.seq, (p.ack === 0 ? "" : ` ack=${p.ack}`) + body(p.body));
	}
}

function cut(s: string, by: string): [string, string] {
	const i = s.indexOf(by);
	return i < 0 ? [s, ""] : [s.slice(0, i), s.slice(i + by.length)];
}

function duration(s: string): number {
	const m = /^(\d+)(ms|s|m)$/.exec(s)!;
	return Number(m[1]) * { ms: 1, s: 1000, m: 60_000 }[m[2] as "ms" | "s" | "m"];
}

function seconds(ms: number): string {
	return ms === Infinity ? "never" : `${Math.round(ms * 1e3) / 1e6}s`;
}

/** A msgpack value as JSON, bytes as "0x..." and many zeros as {"zeros": n}. */
function body(b: Uint8Array): string {
	return b.length === 0 ? "" : ` ${JSON.stringify(printable(new Reader(b)))}`;
}

function printable(r: Reader): unknown {
	if (r.nil()) {
		return null;
	}
	const n = r.array();
	if (n !== undefined) {
		return Array.from({ length: n }, () => printable(r));
	}
	const b = r.bin();
	if (b !== undefined) {
		return b.length >= manyZeros && b.every((v) => v === 0) ? { zeros: b.length } : `0x${toHex(b)}`;
	}
	const v = r.str() ?? r.bool() ?? r.int();
	return typeof v === "bigint" ? Number(v) : v;
}

function encode(text: string): Uint8Array {
	const w = new Writer();
	put(w, JSON.parse(text));
	return w.bytes();
}

function put(w: Writer, v: any): void {
	if (v === null) {
		w.nil();
	} else if (Array.isArray(v)) {
		w.array(v.length);
		v.forEach((e) => put(w, e));
	} else if (typeof v === "number") {
		w.int(v);
	} else if (typeof v === "boolean") {
		w.bool(v);
	} else if (typeof v === "object") {
		w.bin(new Uint8Array(v.zeros));
	} else if (/^0x([0-9a-f]{2})*$/.test(v)) {
		w.bin(fromHex(v.slice(2)));
	} else {
		w.str(v);
	}
}

