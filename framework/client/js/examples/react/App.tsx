// SPDX-License-Identifier: MIT

// The same with React.

import { useState } from "react";

import { schema, type Spot } from "../messages.js";
import { useLifeline } from "./useLifeline.js";

export function App({ url }: { url: string }) {
	const [players, setPlayers] = useState<Spot[]>([]);
	const [lines, setLines] = useState<string[]>([]);
	const [client, state] = useLifeline(url, { schema, storageKey: "react-example", ticket: () => "react" }, (c) => {
		c.onMessage("state", (s) => setPlayers(s.players));
		c.onMessage("chat", (m) => setLines((old) => [...old, `${m.from}: ${m.text}`]));
		c.onMessage("seat", () => c.send("chat", { n: 1, text: "hello", from: "" })); // we are in
	});
	const join = (): void => void client?.join("arena", "lobby").catch((e: Error) => setLines((old) => [...old, e.message]));
	const move = (x: number, y: number): void => {
		if (client && client.room("arena").key !== null) { // else there is nobody to see it
			client.sendNewest("move", { x, y });
		}
	};
	return (
		<main onPointerMove={(e) => move(e.clientX, e.clientY)}>
			<p>{state}, {players.length} players</p>
			<button onClick={join}>Join</button>
			<ul>{lines.map((line, i) => <li key={i}>{line}</li>)}</ul>
		</main>
	);
}
