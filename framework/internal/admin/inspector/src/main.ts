// SPDX-License-Identifier: MIT

import "uplot/dist/uPlot.min.css";
import "./style.css";

import { type Cluster, type Placed, type Room, Server, type Session, type Stats, timeout } from "./api.js";
import { $, askToken } from "./dom.js";
import { Plots } from "./plots.js";
import { Table } from "./table.js";

const limit = 1000; // rows

const server = new Server(askToken);

// --- what is shown

function age(s: number): string {
	if (s < 60) {
		return `${Math.round(s)} s`;
	}
	if (s < 3600) {
		return `${Math.floor(s / 60)} min`;
	}
	return s < 86_400 ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 86_400)} d`;
}

function bytes(n: number): string {
	return n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`;
}

const plots = new Plots($("plots"));

const sessions = new Table<Session>(
	$("sessions"),
	[
		{ name: "User", text: (s) => s.user },
		{ name: "State", text: (s) => s.state, style: (s) => `state ${s.state}` },
		{ name: "Carrier", text: (s) => s.carrier ?? "–" },
		{ name: "Address", text: (s) => s.address ?? "–" },
		{ name: "Room", text: (s) => s.room ?? "–" },
		{ name: "RTT", title: "Round trip", text: (s) => (s.rtt_ms > 0 ? `${s.rtt_ms.toFixed(1)} ms` : "–"), by: (s) => s.rtt_ms, number: true },
		{ name: "Silent", title: "Since the link brought something", text: (s) => (s.carrier ? `${s.silent_s.toFixed(1)} s` : "–"), by: (s) => s.silent_s, number: true },
		{ name: "Queue", title: "Sent and not acknowledged", text: (s) => (s.queued > 0 ? `${s.queued} · ${bytes(s.queued_bytes)}` : "0"), by: (s) => s.queued_bytes, number: true, style: (s) => (s.queued > 200 ? "warn" : "") },
		{ name: "Inbox", title: "Received and not handled yet", text: (s) => `${s.inbox}${s.holding ? " held" : ""}`, by: (s) => s.inbox, number: true, style: (s) => (s.holding ? "warn" : "") },
		{ name: "Resumes", text: (s) => String(s.resumes), by: (s) => s.resumes, number: true },
		{ name: "In", title: "Bytes on this link", text: (s) => bytes(s.link_bytes_in), by: (s) => s.link_bytes_in, number: true },
		{ name: "Out", title: "Bytes on this link", text: (s) => bytes(s.link_bytes_out), by: (s) => s.link_bytes_out, number: true },
		{ name: "Retransmits", title: "On this link", text: (s) => String(s.link_retransmits), by: (s) => s.link_retransmits, number: true },
		{ name: "Age", text: (s) => age(s.age_s), by: (s) => s.age_s, number: true },
		{ name: "Session", text: (s) => s.id, style: () => "id" },
	],
	(s) => s.id, "no session", { name: "Kick", label: (s) => `Kick ${s.user}`, run: kick },
);

const rooms = new Table<Room>(
	$("rooms"),
	[
		{ name: "Type", text: (r) => r.type },
		{ name: "Key", text: (r) => r.key },
		{ name: "Players", text: (r) => String(r.players), by: (r) => r.players, number: true },
		{ name: "Ready", title: "Players whose messages wait for the room", text: (r) => String(r.ready), by: (r) => r.ready, number: true },
		{ name: "Posted", title: "Functions that wait for the room", text: (r) => String(r.posted), by: (r) => r.posted, number: true },
	],
	(r) => `${r.type}/${r.key}`, "no room is open", undefined, 2, true,
);

/** The rooms of all servers. */
const placed = new Table<Placed>(
	$("placed"),
	[
		{ name: "Type", text: (r) => r.type },
		{ name: "Key", text: (r) => r.key },
		{ name: "Players", text: (r) => (r.seats > 0 ? `${r.players} of ${r.seats}` : String(r.players)), by: (r) => r.players, number: true },
		{ name: "Server", text: (r) => String(r.node), by: (r) => r.node, number: true },
		{ name: "Generation", title: "It rises when the room is made anew at another server", text: (r) => (r.gen > 0 ? String(r.gen) : "–"), by: (r) => r.gen, number: true },
		{ name: "State", text: (r) => (r.locked ? "locked" : "open") },
		{ name: "Owner", title: "The server, and which start of it", text: (r) => r.owner, style: () => "id" },
	],
	(r) => `${r.owner} ${r.type}/${r.key}`, "no room is open", undefined, 2, true,
);

const servers = new Table<Cluster["servers"][number]>(
	$("servers"),
	[
		{ name: "Node", text: (s) => String(s.node), by: (s) => s.node, number: true },
		{ name: "State", text: (s) => (s.unreachable ? `${s.state}, no answer` : s.state), style: (s) => (s.unreachable ? "warn" : "") },
		{ name: "Address", text: (s) => s.address },
		{ name: "Players", text: (s) => (s.unreachable ? "–" : String(s.players)), by: (s) => s.players, number: true },
		{ name: "Rooms", text: (s) => (s.unreachable ? "–" : String(s.rooms)), by: (s) => s.rooms, number: true },
		{ name: "Lease", title: "How long it may act without another renewal", text: (s) => (s.stats ? `${(s.stats.lease_left_ns / 1e9).toFixed(1)} s` : "–"), by: (s) => s.stats?.lease_left_ns ?? -1, number: true, style: (s) => (s.stats && s.stats.lease_left_ns < 8e9 ? "warn" : "") },
		{ name: "Renewed", title: "Since its last renewal was seen here", text: (s) => (s.incarnation === cluster?.incarnation ? "this one" : `${(s.renewed_ms / 1e3).toFixed(1)} s`), by: (s) => s.renewed_ms, number: true, style: (s) => (s.renewed_ms > 8000 ? "warn" : "") },
		{ name: "Pauses", text: (s) => String(s.stats?.pauses ?? "–"), by: (s) => s.stats?.pauses ?? -1, number: true },
		{ name: "Incarnation", text: (s) => s.incarnation, style: () => "id" },
	],
	(s) => s.incarnation, "no server",
);

const counters = new Table<[string, number]>(
	$("counters"),
	[
		{ name: "Counter", text: ([name]) => name },
		{ name: "Value", text: ([, v]) => v.toLocaleString("en"), by: ([, v]) => v, number: true },
	],
	([name]) => name, "no counter",
);

/** Every number of what the server counts, by its path; histograms have the plots. */
function flat(of: object, path = ""): [string, number][] {
	return Object.entries(of).flatMap(([k, v]): [string, number][] => {
		const name = path === "" ? k : `${path} · ${k}`;
		if (typeof v === "number") {
			return [[name, v]];
		}
		return typeof v === "object" && v !== null && !("bounds" in v) ? flat(v, name) : [];
	});
}

// --- what is asked

let stats: Stats | null = null;
let found: Session[] = [];
let foundRooms: Room[] = [];
let foundPlaced: Placed[] = []; // rooms of the cluster
let cluster: Cluster | null = null; // as it was told for the user that is searched
let paused = false;

const search = $<HTMLInputElement>("search");
const tabs = ["sessions", "rooms", "servers", "counters"] as const;
let tab: (typeof tabs)[number] = "sessions";

function has(text: string): boolean {
	return text.toLowerCase().includes(search.value.trim().toLowerCase());
}

/** Shows what was found, as far as it fits the search. */
function show(): void {
	$("n-sessions").textContent = (stats?.sessions ?? 0).toLocaleString("en");
	const open = cluster ? cluster.servers.reduce((n, s) => n + s.rooms, 0) : foundRooms.length;
	$("n-rooms").textContent = !cluster && open === limit ? `${limit}+` : open.toLocaleString("en");
	$("rooms").hidden = tab !== "rooms" || stats?.cluster !== undefined;
	$("placed").hidden = tab !== "rooms" || stats?.cluster === undefined;
	let note = "";
	if (tab === "sessions") {
		sessions.show(found.filter((s) => [s.user, s.id, s.room ?? "", s.address ?? ""].some(has)));
		if (found.length >= limit) {
			note = `the first ${limit.toLocaleString("en")} are listed; a whole user name finds any`;
		}
	} else if (tab === "rooms" && stats?.cluster) {
		placed.show(foundPlaced.filter((r) => has(`${r.type}/${r.key}`)));
		if (cluster?.more_rooms) {
			note = `the first ${limit.toLocaleString("en")} are listed`;
		}
	} else if (tab === "rooms") {
		rooms.show(foundRooms.filter((r) => has(`${r.type}/${r.key}`)));
	} else if (tab === "servers") {
		servers.show(cluster?.servers ?? []);
		const user = search.value.trim();
		if (cluster && user !== "") {
			const at = (cluster.sessions ?? []).map((s) => (s.state === "parked" ? "parked" : `at server ${s.node}, ${s.state}${s.rooms ? `, in ${s.rooms.join(" ")}` : ""}`));
			note = `${user}: ${at.join("; ") || "no session"}`;
		}
	} else if (stats) {
		counters.show(flat(stats).filter(([name]) => has(name)));
	}
	$("note").textContent = note;
}

async function listSessions(): Promise<void> {
	const q = new URLSearchParams({ limit: String(limit) });
	for (const id of ["state", "carrier"]) {
		const v = $<HTMLSelectElement>(id).value;
		if (v) {
			q.set(id, v);
		}
	}
	const all = (await server.get<{ sessions: Session[] }>(`sessions?${q}`)).sessions;
	const who = search.value.trim();
	if (all.length >= limit && who !== "") {
		// More are there than are listed: the server looks for the name.
		q.set("user", who);
		const known = new Set(all.map((s) => s.id));
		all.push(...(await server.get<{ sessions: Session[] }>(`sessions?${q}`)).sessions.filter((s) => !known.has(s.id)));
	}
	found = all;
}

function health(state: "good" | "warn" | "bad", text: string): void {
	$("health").dataset.state = state;
	$("health").lastElementChild!.textContent = text;
}

async function look(): Promise<void> {
	try {
		stats = await server.get<Stats>("stats");
		plots.push(stats);
		$("tab-servers").hidden = !stats.cluster;
		const r = await fetch("../healthz", { signal: timeout(10_000) });
		health(r.ok ? "good" : "warn", r.ok ? "live" : (await r.text()).split(":")[0].trim());
	} catch (e) {
		health("bad", e instanceof TypeError || (e as Error).name === "TimeoutError" ? "no answer" : String((e as Error).message));
	}
}

async function lists(): Promise<void> {
	try {
		if (tab === "sessions") {
			await listSessions();
		}
		if (stats?.cluster && tab !== "counters") {
			const q = new URLSearchParams({ user: search.value.trim() });
			if (tab === "rooms") {
				q.set("rooms", "");
			}
			cluster = await server.get<Cluster>(`cluster?${q}`);
			foundPlaced = q.has("rooms") ? (cluster.rooms ?? []) : foundPlaced;
		}
		foundRooms = (await server.get<{ rooms: Room[] }>(`rooms?limit=${limit}`)).rooms;
		show();
	} catch {
		// look has told
	}
}

/** Runs a job again and again, never twice at once, and not while nobody looks. */
function every(ms: number, job: () => Promise<void>): void {
	const run = async (): Promise<void> => {
		if (!paused && document.visibilityState === "visible") {
			await job();
		}
		setTimeout(() => void run(), ms);
	};
	void run();
}

// --- what can be done

function kick(s: Session): void {
	const d = $<HTMLDialogElement>("kick");
	$("kick-who").textContent = s.user;
	$<HTMLInputElement>("why").value = "";
	d.returnValue = "";
	d.onclose = (): void => {
		if (d.returnValue !== "ok") {
			return;
		}
		const q = new URLSearchParams({ text: $<HTMLInputElement>("why").value });
		server.post(`sessions/${s.id}/kick?${q}`).then(
			() => void lists(),
			(e: Error) => ($("note").textContent = `not kicked: ${e.message}`),
		);
	};
	d.showModal();
}

$("pause").onclick = (): void => {
	paused = !paused;
	$("pause").textContent = paused ? "Go on" : "Pause";
	$("pause").ariaPressed = String(paused);
};

for (const name of tabs) {
	const button = $(`tab-${name}`);
	button.onclick = (): void => {
		tab = name;
		for (const other of tabs) {
			$(other).hidden = other !== name;
			$(`tab-${other}`).ariaSelected = String(other === name);
			$(`tab-${other}`).tabIndex = other === name ? 0 : -1; // the arrow keys lead to the others
		}
		for (const id of ["state", "carrier"]) {
			$(id).hidden = name !== "sessions";
		}
		show();
		void lists();
	};
	button.onkeydown = (e): void => {
		const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
		if (step !== 0) {
			const shown = tabs.filter((t) => !$(`tab-${t}`).hidden);
			const next = $(`tab-${shown[(shown.indexOf(name) + step + shown.length) % shown.length]}`);
			next.focus();
			next.click();
		}
	};
}

let typed: ReturnType<typeof setTimeout>;
search.oninput = (): void => {
	show();
	clearTimeout(typed);
	typed = setTimeout(() => void lists(), 300);
};
for (const id of ["state", "carrier"]) {
	$(id).onchange = (): void => void lists();
}

$("host").textContent = location.host;
every(1000, look);
every(2000, lists);
