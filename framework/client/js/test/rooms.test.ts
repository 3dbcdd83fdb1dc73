// SPDX-License-Identifier: MIT

// Which rooms the client is in: as the server tells it, and as the app hears it.

import { readdirSync, readFileSync } from "node:fs";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { encodeFrame, Flag, Kind } from "../src/codec.js";
import { End } from "../src/control.js";
import { encodeFailure, encodeMessage, encodeResponse, parseRequest } from "../src/envelope.js";
import { bool, Client, Code, Failure, list, RequestError, RoomCode, str, struct, uint } from "../src/index.js";
import { encodeBody, decodeBody } from "../src/types.js";
import { FakeServer } from "./fake.js";

const Place = struct({ type: str, key: str, watching: bool });
const Left = struct({ type: str, key: str, code: uint, text: str });
const Refused = struct({ route: str, code: uint, text: str });

let server: FakeServer;
let errors: unknown[];
let heard: string[];
let c: Client;

beforeEach(async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
	server = new FakeServer();
	errors = [];
	heard = [];
	const platform = { now: () => performance.now(), random: (b: Uint8Array) => void b.fill(0x55) }; // no pause is 0
	c = new Client("ws://game.test", { platform, open: server.open, onEvent: (e) => heard.push(e.kind), onError: (e) => errors.push(e) });
	for (const type of ["lobby", "match"]) {
		c.room(type).onJoined = (key) => heard.push(`in ${type}/${key}`);
		c.room(type).onLeft = (key, why) => heard.push(`out of ${type}/${key}: ${why.code} ${why.text}`);
	}
	await c.connect();
	heard.length = 0;
});
afterEach(() => {
	c.close();
	vi.useRealTimers();
});

const joined = (type: string, key: string, watching = false): void => server.last.count(Kind.Message, encodeMessage("room.joined", encodeBody(Place, { type, key, watching })));
const left = (type: string, key: string, code: number, text = ""): void => server.last.count(Kind.Message, encodeMessage("room.left", encodeBody(Left, { type, key, code, text })));

test("put in, moved, removed, and told why", () => {
	joined("lobby", "europe");
	joined("match", "a");
	joined("match", "a"); // it is known
	joined("match", "b");
	left("match", "a", RoomCode.Moved);
	expect(c.room("match").key).toBe("b");
	left("match", "b", 1234, "cheat");
	expect(c.room("match").key).toBeNull();
	joined("match", "c", true);
	expect(c.room("match").watching).toBe(true);
	expect(heard).toEqual(["in lobby/europe", "in match/a", "in match/b", "out of match/a: 302 ", "out of match/b: 1234 cheat", "in match/c"]);
	expect(errors).toEqual([]);
});

test("after a RESET only what the server says is true", () => {
	joined("lobby", "europe");
	joined("match", "a");
	server.last.count(Kind.Message, encodeMessage("room.all", encodeBody(list(Place), [{ type: "match", key: "b", watching: false }])));
	expect(heard.slice(2)).toEqual(["out of lobby/europe: 0 while the client was away", "out of match/a: 0 while the client was away", "in match/b"]);
	expect([c.room("lobby").key, c.room("match").key]).toEqual([null, "b"]);
});

test("a RESET while it is moved: it is told that it is out of the old one", () => {
	joined("match", "a");
	joined("match", "b");
	joined("match", "a"); // and back
	left("match", "a", RoomCode.Moved);
	expect(c.room("match").key).toBe("a");
	server.last.count(Kind.Message, encodeMessage("room.all", encodeBody(list(Place), [{ type: "match", key: "a", watching: false }])));
	joined("match", "c");
	c.close();
	expect(heard).toEqual(["in match/a", "in match/b", "in match/a", "out of match/a: 302 ", "out of match/b: 0 while the client was away", "in match/c",
		`out of match/a: ${Code.Left} `, `out of match/c: ${Code.Left} `, "closed"]);
});

test("the end of a session is the end of its rooms, before the event", () => {
	joined("match", "a");
	c.close();
	expect(heard).toEqual(["in match/a", `out of match/a: ${Code.Left} `, "closed"]);
	expect(c.room("match").key).toBeNull();
});

test("a handler that throws stops nothing", () => {
	c.room("match").onJoined = () => { throw new Error("mine"); };
	joined("match", "a");
	joined("lobby", "b");
	expect(errors.map((e) => (e as Error).message)).toEqual(["mine"]);
	expect(heard).toEqual(["in lobby/b"]);
});

test("join, watch and leave ask for the type", async () => {
	const asked: unknown[] = [];
	const { receive } = server;
	server.receive = (s, p) => {
		receive.call(server, s, p);
		if (p.kind === Kind.Request) {
			const { id, route, payload } = parseRequest(p.body);
			asked.push([route, ...decodeBody(list(str), payload)]);
			s.count(Kind.Response, encodeResponse(id, encodeBody(str, "7")));
		}
	};
	expect(await c.room("match").join()).toBe("7");
	await c.room("match").watch("9");
	await c.room("match").leave();
	expect(asked).toEqual([["room.join", "match", ""], ["room.watch", "match", "9"], ["room.leave", "match"]]);
});

const Listed = struct({ key: str, players: uint, seats: uint, watched: uint, open: bool, published: list(list(str)) });
const ListNews = struct({ type: str, whole: bool, rooms: list(Listed), gone: list(str) });

test("a list is asked for, and followed", async () => {
	const row = (key: string, players: number) => ({ key, players, seats: 4, watched: 0, open: true, published: [["map", "ice"]] });
	const { receive } = server;
	let refuse = false;
	server.receive = (s, p) => {
		receive.call(server, s, p);
		if (p.kind !== Kind.Request) {
			return;
		}
		const { id, route } = parseRequest(p.body);
		if (route === "room.list") {
			s.count(Kind.Response, encodeResponse(id, encodeBody(struct({ total: uint, rooms: list(Listed) }), { total: 7, rooms: [row("a", 1)] })));
			return;
		}
		if (refuse) {
			s.count(Kind.Failure, encodeFailure(id, Failure.BadRequest, "no such filter"));
			return;
		}
		s.count(Kind.Message, encodeMessage("room.listed", encodeBody(ListNews, { type: "match", whole: true, rooms: [row("b", 1), row("a", 2)], gone: [] })));
		s.count(Kind.Response, encodeResponse(id, encodeBody(uint, 2)));
	};
	expect(await c.room("match").list("map=ice")).toEqual({ total: 7, rooms: [{ ...row("a", 1), published: { map: "ice" } }] });
	const seen: string[] = [];
	await c.room("match").follow("map=ice", (rooms) => seen.push(rooms.map((r) => `${r.key}${r.players}`).join(" ")));
	expect(seen).toEqual(["a2 b1"]);
	server.last.count(Kind.Message, encodeMessage("room.listed", encodeBody(ListNews, { type: "match", whole: false, rooms: [row("c", 0)], gone: ["a"] })));
	expect(seen.at(-1)).toBe("b1 c0");
	// After a RESET, or on another server, it begins anew without being asked for.
	server.last.count(Kind.Message, encodeMessage("room.all", encodeBody(list(Place), [])));
	server.last.count(Kind.Message, encodeMessage("room.listed", encodeBody(ListNews, { type: "match", whole: true, rooms: [row("d", 3)], gone: [] })));
	expect(seen.at(-1)).toBe("d3");
	// One that is refused leaves the one before.
	refuse = true;
	const wrong = c.room("match").follow("map=", () => seen.push("refused"));
	await expect(wrong).rejects.toMatchObject({ code: Failure.BadRequest });
	server.last.count(Kind.Message, encodeMessage("room.listed", encodeBody(ListNews, { type: "match", whole: false, rooms: [row("e", 4)], gone: [] })));
	expect(seen.at(-1)).toBe("d3 e4");
	expect(errors).toEqual([]);
	// What an async handler rejects with is told.
	refuse = false;
	await c.room("match").follow("", async () => { throw new Error("mine"); });
	await vi.advanceTimersByTimeAsync(0);
	expect(errors.map((e) => (e as Error).message)).toEqual(["mine"]);
});

test("a message that came to nothing goes to onError, with its route", () => {
	server.last.count(Kind.Message, encodeMessage("message.refused", encodeBody(Refused, { route: "shuot", code: 2, text: "nothing handles this route" })));
	expect(errors).toHaveLength(1);
	expect(errors[0]).toBeInstanceOf(RequestError);
	expect((errors[0] as RequestError).text).toBe("message shuot: nothing handles this route");
});

// The scripts of framework/client/testdata/rooms, whose language is in the README there.
const dir = new URL("../../testdata/rooms/", import.meta.url);
const scripts = readdirSync(dir).filter((f) => f.endsWith(".txt")).map((f) => [f, readFileSync(new URL(f, dir), "utf8")] as const);

test.each(scripts)("%s", async (_, want) => {
	expect(await play(want)).toBe(want);
	expect(errors).toEqual([]);
});

async function play(text: string): Promise<string> {
	const types = ["a", "b"];
	let asks: string[] = [];
	let lines: string[] = [];
	const say = (...words: unknown[]): void => void lines.push(words.join(" ").trim());
	for (const type of types) {
		c.room(type).onJoined = (key) => say("in", type, key);
		c.room(type).onLeft = (key, why) => say("out", type, key, why.code, why.text);
	}
	let asked = 0;
	let waits: bigint[] = []; // the ids of requests, the oldest first
	const { receive } = server;
	server.receive = (s, p) => {
		receive.call(server, s, p);
		if (p.kind === Kind.Request) {
			const { id, route, payload } = parseRequest(p.body);
			asks.push(["asks", route, ...decodeBody(list(str), payload)].join(" "));
			waits.push(BigInt(id));
			asked++;
		} else if (p.flags & Flag.EchoWanted) {
			queueMicrotask(() => s.bytes(encodeFrame({ kind: Kind.Heartbeat, flags: Flag.Echo, seq: p.seq, ack: asked }, new Uint8Array(0))));
		}
	};
	const spot = (words: string[]) => ({ type: words[0]!, key: words[1]!, watching: words.length > 2 });
	const back = async (restart: boolean): Promise<void> => {
		const base = server.last.sent;
		server.resume = (s) => server.reset(s, restart, base, asked);
		waits = [];
		server.last.break();
		c.hurry();
		await vi.advanceTimersByTimeAsync(0);
	};
	const run = async (verb: string, args: string[]): Promise<void> => {
		const rest = args.slice(1).join(" ");
		switch (verb) {
			case "joined": joined(args[0]!, args[1]!, args.length > 2); break;
			case "left": left(args[0]!, args[1]!, Number(args[2]), args.slice(3).join(" ")); break;
			case "all": server.last.count(Kind.Message, encodeMessage("room.all", encodeBody(list(Place), args.map((a) => spot(a.split("/")))))); break;
			case "reset": await back(false); break;
			case "restart": await back(true); break;
			case "answer": server.last.count(Kind.Response, encodeResponse(waits.shift()!, encodeBody(str, "key"))); break;
			case "fail": server.last.count(Kind.Failure, encodeFailure(waits.shift()!, Number(args[0]), rest)); break;
			case "pause": await vi.advanceTimersByTimeAsync(17_000); break;
			case "join": c.room(args[0]!).join(args[1]).catch(() => undefined); break;
			case "watch": c.room(args[0]!).watch(args[1]!).catch(() => undefined); break;
			case "leave": c.room(args[0]!).leave().catch(() => undefined); break;
			case "end": server.last.say(Kind.Bye, End, { code: Number(args[0]), text: rest, detail: 0n }); break;
			case "where": say(...types.map((type) => c.room(type)).filter((r) => r.key !== null).map((r) => `${r.type}/${r.key}${r.watching ? "/watching" : ""}`)); break;
			default: throw new Error(`no command: ${verb}`);
		}
		await vi.advanceTimersByTimeAsync(0);
	};
	let out = "";
	for (const l of text.split(/(?<=\n)/)) {
		if (l.startsWith("\t")) {
			continue; // what was expected
		}
		out += l;
		if (!/^(#|\s*$)/.test(l)) {
			const [verb, ...args] = l.trim().split(" ");
			await run(verb!, args);
			out += [...asks, ...lines].filter((line) => line !== "").map((line) => `\t${line}\n`).join("");
			[asks, lines] = [[], []];
		}
	}
	return out;
}
