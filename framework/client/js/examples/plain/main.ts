// SPDX-License-Identifier: MIT

// A page without a framework: it enters the lobby of examples/room, follows the mouse
// and shows who is there and what they say.

import { Client } from "lifeline-client";

import { schema } from "../messages.js";

/** Plays on the server at url, shows it in root, and returns what ends it. */
export function play(url: string, root: HTMLElement): () => void {
	root.innerHTML = "<p></p><ul></ul>";
	const [status, lines] = [root.querySelector("p")!, root.querySelector("ul")!];
	const say = (text: string): void => {
		lines.append(Object.assign(document.createElement("li"), { textContent: text }));
	};
	const client = new Client(url, {
		schema,
		storageKey: "plain-example", // a reload keeps the player
		ticket: () => "plain",
		onEvent: (e) => {
			status.textContent = e.kind;
			if (e.kind === "opened" || e.kind === "reset") { // in no room, or perhaps in none
				client.join("arena", "lobby").catch((error) => say(`not let in: ${error.message}`));
			}
			if (e.kind === "opened") {
				client.send("chat", { n: 1, text: "hello", from: "" });
			}
		},
	});
	const arena = client.room("arena");
	client.onMessage("state", (s) => (status.textContent = `${s.players.length} players`));
	client.onMessage("chat", (m) => say(`${m.from}: ${m.text}`));
	client.onMessage("seat", () => undefined);
	const move = (e: PointerEvent): void => {
		if (arena.key !== null) { // else there is nobody to see it
			client.sendNewest("move", { x: e.clientX, y: e.clientY });
		}
	};
	root.addEventListener("pointermove", move);
	client.connect().catch(() => undefined); // its event has told
	return () => {
		root.removeEventListener("pointermove", move);
		client.close();
	};
}
