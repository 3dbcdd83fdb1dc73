// SPDX-License-Identifier: MIT

// The page: a session with the room, what it shows of it, and its buttons.

import { Client, codeText, Failure, RequestError, RoomCode, type ClientEvent } from "../../../../framework/client/js/src/index.js";
import { $, el } from "./dom.js";
import { Guide } from "./guide.js";
import { Ledger } from "./ledger.js";
import { Match } from "./match.js";
import { Scene } from "./scene.js";
import { Stage } from "./stage.js";
import { Tour } from "./tour.js";
import { schema } from "./wire.js";

const lobby = new Scene();
const match = new Match();
const stage = new Stage($<HTMLCanvasElement>("arena"), lobby);
const ledger = new Ledger();
let client: Client<typeof schema>;
let url = "";
let room = "";
let demo = false; // the page plays by itself, once it is in
let toured = false;
let said = 0; // chat messages that we sent
let lostAt = 0;
let inside = false; // the arena
let offlineUntil = 0;
let calm: ReturnType<typeof setTimeout>;
const backAgain: (() => void)[] = []; // who waits for a link

// --- what is shown

type Badge = "connecting" | "connected" | "reconnecting" | "resumed" | "closed";

function badge(state: Badge, text: string = state): void {
	const b = $("badge");
	b.dataset.state = state;
	b.lastElementChild!.textContent = text;
	const live = state === "connected" || state === "resumed";
	stage.connected = live;
	for (const id of ["cut", "offline", "flood", "pass"]) {
		$<HTMLButtonElement>(id).disabled = state === "closed" || (id !== "flood" && !live);
	}
	$("again").hidden = state !== "closed";
	guide.live = live;
	if (live) {
		backAgain.splice(0).forEach((done) => done());
	}
}

function line(...parts: (Node | string)[]): HTMLElement {
	const log = $("log");
	const list = $("lines");
	const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
	const li = el("li", ...parts);
	list.append(li);
	while (list.childElementCount > 200) {
		list.firstElementChild!.remove();
	}
	if (atEnd) {
		log.scrollTop = log.scrollHeight;
	}
	return li;
}

/** A step in the life of the link, in the chat: that is where eyes are. */
function event(text: string, kind = ""): void {
	line(text).className = `event ${kind}`;
}

let countsDue = false;

/** Shows the counts, once however many messages came. */
function counts(): void {
	if (countsDue) {
		return;
	}
	countsDue = true;
	requestAnimationFrame(() => {
		countsDue = false;
		$("players").textContent = String(lobby.motion.present);
		$("sent").textContent = String(said);
		$("heard").textContent = String(ledger.heard);
		$("lost").textContent = String(ledger.lost);
		$("twice").textContent = String(ledger.twice);
		$("resumes").textContent = String(client.stats.resumes + client.stats.resets);
		$("lost").parentElement!.classList.toggle("bad", ledger.lost > 0);
		$("twice").parentElement!.classList.toggle("bad", ledger.twice > 0);
	});
}

function away(): string {
	const ms = performance.now() - lostAt;
	return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function changed(s: ClientEvent): void {
	if (s.kind !== "moving") {
		clearTimeout(calm);
	}
	switch (s.kind) {
		case "opened":
			void enter();
			break;
		case "lost":
			lostAt = performance.now();
			badge("reconnecting");
			$("ping").textContent = "–";
			event(s.error.text === "cut" ? "link cut" : `link lost: ${s.error.text || codeText(s.error.code)}`, "lost");
			break;
		case "moving":
			event(`this server is about to stop: in ${Math.ceil(s.delay / 1000)} s the page connects again by itself`);
			break;
		case "failed":
			if (performance.now() < offlineUntil) {
				break; // as it was said
			}
			event(`${s.error.message}; next attempt in ${Math.ceil(s.delay / 1000)} s`, "lost");
			break;
		case "refused":
			event(`not now: ${s.error.text || codeText(s.error.code)}; next attempt in ${Math.ceil(s.delay / 1000)} s`, "lost");
			break;
		case "resumed":
			badge("resumed");
			event(`resumed after ${away()}: nothing lost`, "good");
			calm = setTimeout(() => badge("connected"), 2500);
			break;
		case "reset":
			ledger.restart();
			lobby.server = 0;
			badge("resumed");
			event(lostAt ? `back after ${away()}, from a snapshot` : "this page was reloaded: same player, same seat", "good");
			calm = setTimeout(() => badge("connected"), 2500);
			void (lostAt ? look() : makeSure());
			break;
		case "gone":
			event(`the session is over (${codeText(s.error.code)}): logging in again`, "lost");
			if (s.undelivered.length > 0) {
				event(`${s.undelivered.length} messages were not delivered`, "lost");
			}
			lobby.restart();
			lobby.server = 0;
			ledger.restart();
			break;
		case "closed":
			badge("closed");
			event(`closed: ${codeText(s.error.code)}${s.error.text ? `, ${s.error.text}` : ""}`, "lost");
	}
	counts();
}

// --- the session

/** Takes a seat in the room of a new session. */
async function enter(): Promise<void> {
	try {
		await client.join("arena", room, { timeout: Infinity });
		await look();
		badge("connected");
		event(`you are in, as ${name()}`, "good");
		if (demo && !toured) {
			toured = true;
			tour.start();
		}
	} catch (e) {
		event(`not let in: ${e instanceof Error ? e.message : e}`, "lost");
	}
}

/** After a reload: the client does not know where it was, and the room may have ended meanwhile. */
async function makeSure(): Promise<void> {
	try {
		await client.join("arena", room, { timeout: Infinity });
	} catch (e) {
		event(`not let in: ${e instanceof Error ? e.message : e}`, "lost");
	}
	await look();
}

/** Asks who we are, and who else is there. */
async function look(): Promise<void> {
	try {
		const v = await client.request("look", undefined, { timeout: Infinity });
		said = Math.max(said, v.said);
		lobby.view(v);
		$("server").hidden = v.server === 0;
		$("server").textContent = `server ${v.server}`;
		$("pass").hidden = !v.other;
		counts();
	} catch {
		// The session was reset or ended meanwhile: another look follows.
	}
}

/** We are in, or the room goes on at another server with us. */
async function seated(): Promise<void> {
	const from = lobby.server;
	await look();
	if (from !== 0 && lobby.server !== from) {
		event(`now on server ${lobby.server}: same session, nothing lost`, "good");
	}
}

/** Says something; false: too much waits already. */
function say(text: string): boolean {
	if (!client.send("chat", { n: said + 1, text, from: "" })) {
		return false;
	}
	said++;
	counts();
	return true;
}

async function ping(): Promise<void> {
	if (!client.connected) {
		return;
	}
	const start = performance.now();
	try {
		await client.request("ping", Math.round(start), { timeout: 4000 });
		const ms = performance.now() - start;
		$("ping").textContent = ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
	} catch {
		$("ping").textContent = "–";
	}
}

function start(): void {
	badge("connecting");
	client = new Client(url, {
		schema,
		ticket: name,
		storageKey: "lifeline-room",
		info: "room page",
		onEvent: changed,
		onError: (e) => {
			if (!(e instanceof RequestError && e.code === Failure.NotJoined)) { // else a step was on its way as the match ended
				reportError(e);
			}
		},
		open: (to) => {
			if (performance.now() < offlineUntil) {
				throw new Error("offline");
			}
			return new WebSocket(to, "lifeline");
		},
	});
	client.onMessage("state", (s) => {
		lobby.motion.push(s, performance.now());
		counts();
	});
	client.onMessage("chat", (m) => {
		ledger.note(m.from, m.n);
		const li = line(el("b", m.from === name() ? "you" : m.from), ` ${m.text}`);
		li.dataset.n = String(m.n);
		li.dataset.from = m.from;
		counts();
	});
	client.onMessage("seat", () => void seated()); // look tells more
	const arena = client.room("arena");
	arena.onLeft = (_, why): void => {
		inside = false;
		lobby.restart(); // the arena of another server is another one
		ledger.restart();
		if (why.code === RoomCode.Lost) {
			event(`not let in again: ${why.text}`, "lost");
		}
	};
	arena.onJoined = (): void => {
		if (inside) { // it was made anew: its server has crashed
			lobby.restart();
			ledger.restart();
		}
		inside = true;
	};
	match.attach(client);
	client.connect().catch(() => undefined); // the state has told
}

// --- who we are, for as long as the tab lives

const mostBytes = 32; // of a name, as the server counts

const words = ["amber", "aspen", "birch", "cedar", "clover", "coral", "dune", "ember", "fern", "flint", "hazel", "indigo", "juniper", "linden", "maple", "ochre", "opal", "pine", "quartz", "reed", "sage", "slate", "thyme", "willow"];

function name(): string {
	let n = sessionStorage.getItem("name");
	if (!n) {
		n = `${words[Math.floor(Math.random() * words.length)]}-${Math.floor(Math.random() * 90 + 10)}`;
		sessionStorage.setItem("name", n);
	}
	return n;
}

let letGo = (): void => undefined;

/** Marks a name as this tab's. False: another tab has it. */
function claim(n: string): Promise<boolean> {
	letGo();
	return new Promise((done) => {
		const until = new Promise<void>((resolve) => (letGo = resolve));
		if (!navigator.locks) { // not by https: nobody can be asked
			done(true);
			return;
		}
		const granted = (): Promise<void> => {
			done(true);
			return until;
		};
		// The page that this one replaces may need a moment to go.
		const late = new AbortController(); // AbortSignal.timeout is younger than locks
		setTimeout(() => late.abort(), 500);
		navigator.locks.request(`lifeline-room name ${n}`, { signal: late.signal }, granted).catch(() => done(false));
	});
}

/** A duplicated tab has a copy of sessionStorage, and is another player all the same. */
async function claimName(): Promise<void> {
	while (!(await claim(name()))) {
		sessionStorage.removeItem("name");
	}
	showName();
}

function showName(): void {
	$("name").textContent = name();
}

// --- buttons

lobby.onMove = (x, y) => client?.sendNewest("move", { x, y });
lobby.onStranger = () => void look();
match.onGot = (n): void => {
	ledger.note("the match", n);
	counts();
};

/** Lets no connection through for so many ms. */
function offline(ms: number): void {
	offlineUntil = performance.now() + ms;
	client.cut();
	event(`no network for ${ms / 1000} s: what you do waits`, "lost");
	setTimeout(() => client.hurry(), ms);
}

const tour = new Tour({
	match, offline,
	say: (title, text) => guide.say(title, text),
	sayResult: () => guide.sayResult(),
	live: () => client.connected,
	back: () => (client.connected ? Promise.resolve() : new Promise((done) => backAgain.push(done))),
	heard: () => ({ heard: ledger.heard, wrong: ledger.lost + ledger.twice }),
});
const guide = new Guide(match, tour);
match.onPhase = (phase): void => {
	stage.show(phase === "soon" || phase === "on" ? match.scene : lobby);
	guide.phase(phase);
};
stage.onTakeOver = () => guide.takeOver();

$("pass").onclick = (): void => {
	client.request("pass", undefined, { timeout: 5000 }).catch((e: unknown) => event(`the room stays: ${e instanceof Error ? e.message : e}`, "lost"));
};
$("cut").onclick = (): void => client.cut();
$("offline").onclick = (): void => offline(5000);
$("flood").onclick = (): void => {
	let n = 0;
	while (n < 200 && say(`flood ${n + 1} of 200`)) {
		n++;
	}
	event(n === 200 ? "200 messages at once" : `${n} messages at once; the next one was refused: too much waits`, n === 200 ? "" : "lost");
};
$("again").onclick = (): void => {
	lobby.restart();
	start();
};
$<HTMLFormElement>("say").onsubmit = (e): void => {
	e.preventDefault();
	const input = $<HTMLInputElement>("text");
	if (input.value.trim() !== "" && say(input.value.trim())) {
		input.value = "";
	}
};

const rename = $<HTMLDialogElement>("rename");
const newName = $<HTMLInputElement>("new-name");
$("name").onclick = (): void => {
	newName.value = name();
	newName.oninput!(new InputEvent("input"));
	rename.returnValue = "";
	rename.showModal();
};
newName.oninput = (): void => {
	const n = new TextEncoder().encode(newName.value.trim()).length;
	const wrong = n === 0 ? "A name has at least one letter." : n > mostBytes ? `This name has ${n} bytes; ${mostBytes} is the most.` : "";
	newName.setCustomValidity(wrong);
	$("name-note").textContent = n === 0 ? "" : wrong;
};
$("keep-name").onclick = (): void => rename.close();
rename.onclose = (): void => {
	const n = newName.value.trim();
	if (rename.returnValue === "ok" && n !== name()) {
		sessionStorage.setItem("name", n);
		void claim(n); // another tab may have it: the server says what becomes of the two
		showName();
		client.close(); // another name is another login
		lobby.restart();
		said = 0;
		start();
	}
};

const config: { port: number; room: string; demo: boolean } = await (await fetch("config.json")).json();
url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.hostname}:${config.port}/`;
room = config.room;
demo = config.demo;
await claimName();
addEventListener("pagehide", () => letGo());
start();
setInterval(() => void ping(), 1000);
setInterval(() => lobby.server !== 0 && void look(), 3000); // another server may have come

// For whoever looks at the page from its console, and for tests.
Object.assign(globalThis, { lifeline: { client: () => client, stage, lobby, match, tour, ledger } });
