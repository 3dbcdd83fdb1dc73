// SPDX-License-Identifier: MIT

// A client in the page: it plays on the running server by its routes. The server
// turns JSON into the types of the game, and what arrives into JSON.

import "./style.css";
import "./playground.css";

import { Client, type ClientEvent, raw } from "../../../../client/js/src/index.js";
import { Server } from "./api.js";
import { $, askToken } from "./dom.js";

interface Route {
	name: string;
	kind: string;
	room?: string;
	sent?: string;
	type?: string;
	answer?: string;
	sample?: string;
}

interface Game {
	port: number;
	path: string;
	rooms: string[] | null;
	routes: Route[];
}

const server = new Server(askToken);
const lines = 300; // that the log keeps
const shown = 4; // pushes of one route a second; the others are counted

let game: Game = { port: 0, path: "", rooms: [], routes: [] };
let client: Client | null = null;

const value = (id: string): string => $<HTMLInputElement>(id).value;

function toBase64(b: Uint8Array): string {
	return btoa(Array.from(b, (c) => String.fromCharCode(c)).join(""));
}

function log(kind: string, what: string, text: string): void {
	const li = document.createElement("li");
	li.className = kind;
	const time = document.createElement("time");
	time.textContent = new Date().toISOString().slice(11, 23);
	const b = document.createElement("b");
	b.textContent = kind;
	const span = document.createElement("span");
	span.textContent = what === "" ? text : `${what}  ${text}`;
	li.append(time, b, span);
	const list = $("log");
	list.prepend(li);
	while (list.childElementCount > lines) {
		list.lastElementChild!.remove();
	}
}

const failed = (what: string) => (e: Error): void => log("failed", what, e.message);

/** Lets the server say a payload as JSON. */
async function decoded(route: string, what: string, payload: Uint8Array): Promise<string> {
	const q = new URLSearchParams({ route, what });
	try {
		return await server.post(`play/decode?${q}`, toBase64(payload));
	} catch (e) {
		return `${payload.length} bytes: ${Array.from(payload.subarray(0, 64), (c) => c.toString(16).padStart(2, "0")).join(" ")} (${(e as Error).message})`;
	}
}

/** What came on a route in this second. */
const came = new Map<string, { second: number; n: number }>();

function push(route: string, payload: Uint8Array): void {
	const second = Math.floor(Date.now() / 1000);
	const c = came.get(route);
	if (c?.second !== second) {
		if (c && c.n > shown) {
			log("push", route, `${c.n - shown} more in that second`);
		}
		came.set(route, { second, n: 1 });
	} else if (++c.n > shown) {
		return;
	}
	const copy = payload.slice();
	void decoded(route, "push", copy).then((text) => log("push", route, text));
}

function state(name: "good" | "warn" | "bad", text: string): void {
	$("state").dataset.state = name;
	$("state").lastElementChild!.textContent = text;
}

function told(e: ClientEvent): void {
	const why = "error" in e ? e.error.message : "";
	log(e.kind === "failed" || e.kind === "refused" || e.kind === "closed" ? "failed" : "session", "", why === "" ? e.kind : `${e.kind}: ${why}`);
	if (e.kind === "opened" || e.kind === "resumed" || e.kind === "reset") {
		state("good", `connected as ${value("ticket")}`);
	} else if (e.kind === "closed") {
		client = null;
		state("bad", "logged out");
	} else if (e.kind !== "moving") {
		state("warn", e.kind);
	}
	enable();
}

function enable(): void {
	const there = client !== null;
	for (const id of ["cut", "logout", "join", "leave", "send"]) {
		$<HTMLButtonElement>(id).disabled = !there;
	}
	$<HTMLButtonElement>("login").disabled = there;
}

function login(): void {
	const mine = new Client(value("address"), { ticket: () => value("ticket"), info: "playground", onEvent: told, onMessage: push, onError: (e) => log("failed", "", String(e)) });
	client = mine;
	for (const type of game.rooms ?? []) {
		mine.room(type).onJoined = (key): void => log("room", type, `in ${key}`);
		mine.room(type).onLeft = (key, why): void => log("room", type, `out of ${key}: ${why.code} ${why.text}`);
	}
	enable();
	mine.connect().catch(() => undefined); // told by the event
}

/** Sends what stands in the page on the chosen route. */
async function send(): Promise<void> {
	const r = game.routes.find((r) => r.name === value("route"));
	if (!r || !client) {
		return;
	}
	const json = value("body").trim() || "null";
	const q = new URLSearchParams({ route: r.name, what: r.kind });
	const text = JSON.parse(await server.post(`play/encode?${q}`, json)) as string;
	const payload = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
	log("sent", r.name, json);
	if (r.kind === "message") {
		client.send(r.name, raw, payload);
		return;
	}
	const began = performance.now();
	const answer = await client.request(r.name, raw, payload, raw);
	const took = (performance.now() - began).toFixed(1);
	log("answer", r.name, `${await decoded(r.name, "answer", answer)}  (${took} ms)`);
}

function chosen(): void {
	const r = game.routes.find((r) => r.name === value("route"));
	$<HTMLTextAreaElement>("body").value = r?.sample ?? "null";
	$("types").textContent = r ? `${r.kind} ${r.type ?? ""}${r.answer ? `, answered by ${r.answer}` : ""}${r.room ? `, in a room of type ${r.room}` : ""}` : "";
}

function options(id: string, list: string[]): void {
	$(id).replaceChildren(...list.map((name) => new Option(name)));
}

async function start(): Promise<void> {
	game = await server.get<Game>("play/routes");
	const scheme = location.protocol === "https:" ? "wss" : "ws";
	$<HTMLInputElement>("address").value = `${scheme}://${location.hostname}:${game.port}${game.path}`;
	options("room", game.rooms ?? []);
	options("route", game.routes.filter((r) => r.kind === "message" || r.kind === "request").map((r) => r.name));
	chosen();
	state("warn", game.port === 0 ? "this server serves no WebSocket" : "logged out");
	enable();
}

$("who").onsubmit = (e): void => {
	e.preventDefault();
	try {
		login();
	} catch (e) { // an address that is none
		failed("")(e as Error);
	}
};
$("logout").onclick = (): void => void client?.close();
$("cut").onclick = (): void => client?.cut();
$("route").onchange = chosen;
$("join").onclick = (): void => void client?.room(value("room")).join(value("key")).catch(failed("room.join"));
$("leave").onclick = (): void => void client?.room(value("room")).leave().catch(failed("room.leave"));
$("what").onsubmit = (e): void => { e.preventDefault(); send().catch(failed(value("route"))); };
$("clear").onclick = (): void => $("log").replaceChildren();
enable();
start().catch((e: Error) => state("bad", e.message));
