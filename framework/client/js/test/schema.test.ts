// SPDX-License-Identifier: MIT

// Typed routes, messages of which only the newest counts, and servers of another version.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import * as wire from "../../../../examples/room/page/src/wire.js";
import { Kind } from "../src/codec.js";
import * as control from "../src/control.js";
import { parseMessage, parseRequest, encodeMessage, encodeRequest, encodeResponse } from "../src/envelope.js";
import {
	Client, type ClientConfig, ClosedError, decodeBody, encodeBody, f32, LifelineError, list, map, nothing, QueueFullError, RequestError, type Schema, SchemaError, str, struct, TimeoutError, type Type, u8,
} from "../src/index.js";
import { FakeServer } from "./fake.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const Move = struct({ x: f32, y: f32 });
const schema = {
	text: "message move game.Move\npush said string\ntype game.Move X:float32 Y:float32\n",
	messages: { move: Move, bye: nothing },
	requests: { look: [nothing, list(str)], add: [u8, u8] },
	pushes: { said: str },
	questions: { ready: [str, u8] },
} as const satisfies Schema;

let server: FakeServer;
const errors: unknown[] = [];

async function connected(cfg: Partial<ClientConfig<typeof schema>> = {}): Promise<Client<typeof schema>> {
	const c = new Client("ws://game.test", { schema, open: server.open, onEvent: () => undefined, onError: (e) => errors.push(e), ...cfg });
	const done = c.connect();
	await vi.advanceTimersByTimeAsync(10);
	await done;
	return c;
}

beforeEach(() => {
	server = new FakeServer();
	errors.length = 0;
});

/** What the server got as messages, by route. */
function sent(): [unknown, unknown][] {
	return server.received.filter((p) => p.kind === Kind.Message).map((p) => {
		const { route, payload } = parseMessage(p.body);
		return [route, payload];
	});
}

describe("typed routes", () => {
	test("values, answers and handlers have the schema's types", async () => {
		const c = await connected();
		expect(c.send("move", { x: 1, y: 2 })).toBe(true);
		c.send("bye", undefined);
		c.send("bye"); // nothing may be left out, as in a request
		c.sendNewest("bye");
		c.send("other", u8, 5); // beside the schema
		const said: string[] = [];
		const undo = c.onMessage("said", (text) => said.push(text.toUpperCase()));
		c.onRequest("ready", (q) => q.length);
		server.last.count(Kind.Message, encodeMessage("said", encodeBody(str, "hi")));
		undo();
		server.last.count(Kind.Message, encodeMessage("said", encodeBody(str, "ho")));
		server.last.count(Kind.Request, encodeRequest(1, "ready", encodeBody(str, "four")));
		const look: Promise<string[]> = c.request("look");
		const add: Promise<number> = c.request("add", 5, { timeout: 100 });
		await vi.advanceTimersByTimeAsync(1);
		expect(said).toEqual(["HI"]);
		expect(sent().map(([route]) => route)).toEqual(["move", "bye", "bye", "bye", "other"]);
		const asked = server.received.filter((p) => p.kind === Kind.Request).map((p) => parseRequest(p.body));
		expect(asked.map(({ route }) => route)).toEqual(["look", "add"]);
		expect(decodeBody(u8, asked[1].payload)).toBe(5);
		server.last.count(Kind.Response, encodeResponse(asked[0].id, encodeBody(list(str), ["a"])));
		expect(await look).toEqual(["a"]);
		const late = expect(add).rejects.toBeInstanceOf(TimeoutError);
		await vi.advanceTimersByTimeAsync(100);
		await late;
		c.close();
	});

	test("mistakes do not compile, and throw for those who do not compile", async () => {
		const c = new Client("ws://game.test", { schema, open: server.open });
		// @ts-expect-error a route that is none
		expect(() => c.send("mvoe", { x: 1, y: 2 })).toThrow("the schema has no mvoe in its messages");
		// @ts-expect-error a field is missing
		expect(() => c.send("move", { x: 1 })).toThrow("move: y");
		// @ts-expect-error the server sends it
		expect(() => c.send("said", "x")).toThrow(LifelineError);
		// @ts-expect-error no such member
		expect(() => c.onMessage("said", (text) => text.players)).not.toThrow();
		// @ts-expect-error the question is missing
		await expect(c.request("add")).rejects.toThrow("add");
		expect(() => c.send("toString" as "move", { x: 1, y: 2 })).toThrow("no toString");
		const bare = new Client("ws://game.test", { open: server.open });
		// @ts-expect-error there is no schema
		expect(() => bare.send("move", { x: 1, y: 2 })).toThrow("move needs a type, as the client has no schema");
	});

	test("a value that the type before it does not take does not compile either", async () => {
		const c = new Client("ws://game.test", { open: server.open });
		const maybe = (): string | undefined => undefined;
		// @ts-expect-error it may be undefined
		expect(() => c.send("chat", str, maybe())).toThrow("chat: undefined does not fit str");
		// @ts-expect-error a struct is no pointer
		expect(() => c.sendNewest("move", Move, null)).toThrow("move: null does not fit a struct");
		// @ts-expect-error nor is what it asks
		await expect(c.request("move", Move, undefined, nothing)).rejects.toThrow("move: undefined");
		// @ts-expect-error a field of a value is missing
		expect(() => c.send("moves", map(str, Move), new Map([["a", { x: 1 }]]))).toThrow("moves: [a].y");
		// @ts-expect-error a field of the answer is missing
		c.onRequest("where", nothing, Move, () => ({ x: 1 }));
		// @ts-expect-error nil can't be read as such a type
		const wrong: Type<{ x: number | null; y: number }> = Move;
		expect(wrong).toBe(Move);
	});

	test("the room's generated schema", () => {
		const c = new Client("ws://game.test", { schema: wire.schema, open: server.open });
		c.onMessage("state", (s) => s.players.map((p) => p.dropped));
		expect(c.send("chat", { n: 1, text: "hi", from: "" })).toBe(true);
	});
});

describe("errors say by their class what went wrong", () => {
	test("closed, too much, and what is none of them", async () => {
		const c = await connected({ maxPackets: 1 });
		server.last.onmessage = null;
		c.cut();
		expect(c.send("move", { x: 0, y: 0 })).toBe(true);
		await expect(c.request("look")).rejects.toBeInstanceOf(QueueFullError);
		c.close();
		await expect(c.request("look")).rejects.toBeInstanceOf(ClosedError);
		await expect(c.connect()).rejects.toBeInstanceOf(ClosedError);
		expect(new RequestError(1)).toBeInstanceOf(LifelineError);
	});
});

describe("sendNewest", () => {
	const moves = (): number[] => sent().filter(([route]) => route === "move").map(([, payload]) => decodeBody(Move, payload as Uint8Array).x);

	test("goes at once where nothing waits", async () => {
		const c = await connected();
		c.sendNewest("move", { x: 1, y: 0 });
		c.sendNewest("move", { x: 2, y: 0 });
		expect(moves()).toEqual([1, 2]);
	});

	test("only the last one waits while there is no link, and takes no room from others", async () => {
		const c = await connected({ maxPackets: 2 });
		server.resume = (s) => server.reset(s);
		c.cut();
		for (let x = 1; x <= 1000; x++) {
			expect(c.sendNewest("move", { x, y: 0 })).toBe(true);
		}
		expect(c.queued.packets).toBe(0);
		expect(c.send("other", u8, 1)).toBe(true);
		await vi.advanceTimersByTimeAsync(3000);
		expect(moves()).toEqual([1000]);
		expect(c.stats.sent).toBe(2);
	});

	test("only the last one waits behind a socket that is full", async () => {
		const c = await connected();
		server.last.bufferedAmount = 1 << 20;
		c.sendNewest("move", { x: 1, y: 0 });
		c.sendNewest("move", { x: 2, y: 0 });
		await vi.advanceTimersByTimeAsync(60);
		expect(moves()).toEqual([]);
		server.last.bufferedAmount = 0;
		await vi.advanceTimersByTimeAsync(60);
		expect(moves()).toEqual([2]);
	});

	test("what waits for a session that is over is dropped", async () => {
		const c = await connected();
		c.cut();
		c.sendNewest("move", { x: 1, y: 0 });
		await vi.advanceTimersByTimeAsync(3000); // the fake server knows no session
		expect(c.stats.opens).toBe(2);
		expect(moves()).toEqual([]);
		c.close();
		expect(c.sendNewest("move", { x: 1, y: 0 })).toBe(false);
	});
});

describe("a server of another version", () => {
	const other = "schema.0123456789abcdef";

	function serving(...routes: string[]): void {
		server.login = (s) => server.welcome(s, routes);
	}

	const asked = (): ReturnType<typeof parseRequest>[] => server.received.filter((p) => p.kind === Kind.Request).map((p) => parseRequest(p.body));

	test("is asked what does not fit, and the app learns it by name", async () => {
		serving("move", other);
		await connected();
		expect(asked().length).toBe(1);
		expect(asked()[0].route).toBe(1);
		expect(decodeBody(str, asked()[0].payload)).toBe(schema.text);
		const problem = "game.Move, field 1: the client has X:float32, the server X:float64";
		server.last.count(Kind.Response, encodeResponse(asked()[0].id, encodeBody(list(str), [problem])));
		await vi.advanceTimersByTimeAsync(1);
		expect(errors.length).toBe(1);
		expect(errors[0]).toBeInstanceOf(SchemaError);
		expect((errors[0] as SchemaError).problems).toEqual([problem]);
	});

	test("that has only appended is no error", async () => {
		serving(other);
		await connected();
		server.last.count(Kind.Response, encodeResponse(asked()[0].id, encodeBody(list(str), [])));
		await vi.advanceTimersByTimeAsync(1);
		expect(errors).toEqual([]);
	});

	test("that does not take the text is not asked, and the app learns it", async () => {
		serving(other);
		await connected({ schema: { ...schema, text: "x".repeat(2000) as never } });
		await vi.advanceTimersByTimeAsync(1);
		expect(asked()).toEqual([]);
		expect(errors).toMatchObject([{ word: "too-large" }]);
	});

	test("is not asked if it is the same, or tells nothing", async () => {
		expect(control.schemaName(schema.text)).toMatch(/^schema\.[0-9a-f]{16}$/);
		serving("move", control.schemaName(schema.text));
		await connected();
		serving("move", "schema.other");
		await connected();
		expect(asked()).toEqual([]);
	});
});
