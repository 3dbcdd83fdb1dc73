// SPDX-License-Identifier: MIT

// Matchmaking, parties and presence: what the server tells, by the vectors that the Go
// server is held against too, and what the client asks.

import { readFileSync } from "node:fs";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { encodeFrame, Kind } from "../src/codec.js";
import { End } from "../src/control.js";
import { encodeMessage, encodeResponse, parseRequest, type RequestID } from "../src/envelope.js";
import { bool, Client, Friends, list, Party, Presence, Queue, str, struct, TicketState, uint, type Type } from "../src/index.js";
import { encodeBody } from "../src/types.js";
import { FakeServer } from "./fake.js";

const vectors = JSON.parse(readFileSync(new URL("../../testdata/social.json", import.meta.url), "utf8")) as Record<string, string>;
const bytesOf = (name: string): Uint8Array => Uint8Array.from(Buffer.from(vectors[name]!, "hex"));

const User = struct({ user: str, presence: uint, text: str });

let server: FakeServer;
let errors: unknown[];
let asked: string[];
let c: Client;

/** What the server answers on a route. */
let answers: Record<string, Uint8Array>;

beforeEach(async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
	server = new FakeServer();
	errors = [];
	asked = [];
	answers = {};
	c = new Client("ws://game.test", { open: server.open, onError: (e) => errors.push(e) });
	const { receive } = server;
	server.receive = (s, p) => {
		receive.call(server, s, p);
		if (p.kind === Kind.Request) {
			const { id, route, payload } = parseRequest(p.body);
			asked.push(`${route} ${Buffer.from(payload).toString("hex")}`);
			s.count(Kind.Response, encodeResponse(id, answers[route as string] ?? encodeBody(bool, true)));
		}
	};
	await c.connect();
});
afterEach(() => {
	c.close();
	vi.useRealTimers();
	expect(errors).toEqual([]);
});

const tell = (route: string, payload: Uint8Array): void => server.last.count(Kind.Message, encodeMessage(route, payload));
const body = <T>(type: Type<T>, v: T): Uint8Array => encodeBody(type, v);

test("a ticket is watched from waiting to the end of the session", async () => {
	const queue = new Queue(c);
	const told: string[] = [];
	queue.onTicket = (t) => told.push(`${t.state} ${t.text}`);
	answers["match.enter"] = bytesOf("ticket");
	const measured = (): Record<string, number> | undefined => ({ eu: 19.6 }); // not there yet, perhaps
	await queue.enter("ranked", { regions: measured(), fields: { mode: "ice" } });
	tell("match.ticket", bytesOf("ticket"));
	expect(queue.ticket).toEqual({
		queue: "ranked", state: TicketState.Proposed, before: 3, usual: 4000, waited: 1500, match: 7, players: 10, accepted: 4, you: true, left: 9000,
		why: 2, text: "declined", type: "arena", key: "K",
	});
	await queue.answer(7, true);
	await queue.cancel();
	expect(asked).toEqual([`match.enter ${vectors.wish}`, `match.answer ${vectors.answer}`, "match.cancel c0"]);
	c.close();
	expect(told).toEqual(["2 declined", "0 the session has ended"]);
});

test("a party is told, asked, and over with the session", async () => {
	const party = new Party(c);
	const told: string[] = [];
	party.onChanged = (p) => told.push(`${p.members.map((m) => m.user + (m.ready ? "+" : "") + (m.away ? "-" : "")).join(" ")}${p.why}`);
	party.onInvited = (i) => told.push(`${i.by} ${i.party} ${i.milliseconds}`);
	answers["party.invite"] = answers["party.join"] = bytesOf("party");
	tell("party.invited", bytesOf("invitation"));
	await party.join(9);
	tell("party.state", bytesOf("party"));
	expect(party.state.leader).toBe("ann");
	await party.invite("eve");
	await party.decline(9);
	await party.kick("bob");
	await party.lead("bob");
	await party.ready(true);
	await party.leave();
	expect(asked).toEqual(["party.join 09", "party.invite a3657665", "party.decline 09", "party.kick a3626f62", "party.lead a3626f62", "party.ready c3", "party.leave c0"]);
	c.close();
	expect(told).toEqual(["ann 9 60000", "ann+ bob-", "the session has ended"]);
});

test("friends are watched, and what was told later counts", async () => {
	const friends = new Friends(c);
	const told: string[] = [];
	friends.onChanged = (s) => told.push(`${s.user} ${s.presence} ${s.text}`);
	answers["presence.watch"] = body(list(User), [{ user: "bob", presence: Presence.Online, text: "" }, { user: "eve", presence: Presence.Offline, text: "" }]);
	const { receive } = server;
	server.receive = (s, p) => {
		if (p.kind === Kind.Request) {
			server.receive = receive;
			tell("presence.changed", bytesOf("user")); // before the answer, which is older
		}
		receive.call(server, s, p);
	};
	const names: readonly string[] = ["bob", "eve"]; // as apps keep them
	expect((await friends.watch(names)).map((s) => s.user)).toEqual(["bob", "eve"]);
	expect(friends.states.get("bob")?.presence).toBe(Presence.Playing);
	tell("presence.all", body(list(User), [{ user: "bob", presence: Presence.Playing, text: "2:1" }, { user: "eve", presence: Presence.Away, text: "" }]));
	expect(told).toEqual(["bob 3 2:1", "eve 1 "]);
	await friends.unwatch(["eve"]);
	expect([...friends.states.keys()]).toEqual(["bob"]);
	await friends.unwatch();
	expect(friends.states.size).toBe(0);
	await friends.watch(["bob"]);
	answers["presence.watch"] = body(list(User), [{ user: "bob", presence: Presence.Away, text: "" }]);
	await friends.watch(["bob"]); // the server has let it watch no more meanwhile
	expect(friends.states.get("bob")?.presence).toBe(Presence.Away);
	c.close();
	expect(friends.states.size).toBe(0);
});

test("what a handler of friends throws, or rejects with, goes to onError and stops nothing", async () => {
	const friends = new Friends(c);
	friends.onChanged = (s) => { throw new Error(s.user); };
	tell("presence.all", body(list(User), [{ user: "bob", presence: Presence.Online, text: "" }, { user: "eve", presence: Presence.Away, text: "" }]));
	await vi.advanceTimersByTimeAsync(0);
	friends.onChanged = async (s) => { throw new Error(`later ${s.user}`); };
	tell("presence.changed", bytesOf("user"));
	await vi.advanceTimersByTimeAsync(0);
	expect([...friends.states.keys()]).toEqual(["bob", "eve"]);
	expect(errors.map((e) => (e as Error).message)).toEqual(["bob", "later bob"]);
	errors = [];
});

test("an answer about friends counts in its place among what the server tells", async () => {
	const friends = new Friends(c);
	const waits: RequestID[] = [];
	server.receive = (_, p) => p.kind === Kind.Request && waits.push(parseRequest(p.body).id);
	const s = server.last;
	const frame = (kind: Kind, b: Uint8Array): Uint8Array => encodeFrame({ kind, flags: 0, seq: ++s.sent, ack: 0 }, b);
	const user = (presence: number) => ({ user: "bob", presence, text: "" });
	const watched = (id: RequestID): Uint8Array => frame(Kind.Response, encodeResponse(id, body(list(User), [user(Presence.Online)])));
	// No watches, then one that is told of at once.
	const asks = [friends.unwatch(), friends.watch(["bob"])];
	s.bytes(Buffer.concat([frame(Kind.Response, encodeResponse(waits[0]!, encodeBody(bool, true))), watched(waits[1]!), frame(Kind.Message, encodeMessage("presence.changed", body(User, user(Presence.Playing))))]));
	await Promise.all(asks);
	expect(friends.states.get("bob")?.presence).toBe(Presence.Playing);
	// An answer, and the end of the session.
	const last = friends.watch(["bob"]);
	s.bytes(Buffer.concat([watched(waits[2]!), encodeFrame({ kind: Kind.Bye, flags: 0, seq: 0, ack: 0 }, encodeBody(End, { code: 100, text: "", detail: 0n }))]));
	expect(await last).toHaveLength(1);
	expect(friends.states.size).toBe(0);
});
