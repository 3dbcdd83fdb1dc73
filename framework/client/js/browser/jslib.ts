// SPDX-License-Identifier: MIT

// The WebSocket of Unity's WebGL builds, csharp/Unity/Plugins/LifelineWebSocket.jslib, in a page
// without Unity: linked as emscripten links it, and polled as BrowserWebSocket.cs polls it.

import type { Socket } from "../src/socket.js";

type Call = (...args: number[]) => number;

export interface Module {
	calls: Record<string, Call>;
	heap(): Uint8Array;
	/** Doubles the memory, which leaves the old one without a byte. */
	grow(): void;
}

/**
 * Makes a module of a jslib. Of its functions only the text gets there, into the scope of the module
 * under a name with an underscore; what is called $name is the module's variable name.
 */
export function link(jslib: string): Module {
	const library: Record<string, unknown> = {};
	new Function("LibraryManager", "mergeInto", "autoAddDeps", jslib)({ library }, Object.assign, () => undefined);
	const names = Object.keys(library);
	const text = names.map((n) => (n.startsWith("$") ? `var ${n.slice(1)} = ${JSON.stringify(library[n])};` : `var _${n} = ${String(library[n])};`));
	const calls = names.filter((n) => !n.startsWith("$")).map((n) => `${n}: _${n}`);
	return new Function(`"use strict";
		var HEAPU8 = new Uint8Array(1 << 20);
		function UTF8ToString(at) { return new TextDecoder().decode(HEAPU8.slice(at, HEAPU8.indexOf(0, at))); }
		${text.join("\n")}
		return { calls: { ${calls.join(", ")} }, heap: () => HEAPU8, grow: () => {
			const old = structuredClone(HEAPU8.buffer, { transfer: [HEAPU8.buffer] });
			HEAPU8 = new Uint8Array(2 * old.byteLength);
			HEAPU8.set(new Uint8Array(old));
		} };`)() as Module;
}

const [textAt, inAt, inSize, outAt] = [64, 1 << 18, 1 << 18, 1 << 19]; // places in the module's memory

/** A socket for the client, which looks every 5 ms what the jslib has. */
export class JslibSocket implements Socket {
	binaryType = "";
	onopen: Socket["onopen"] = null;
	onmessage: Socket["onmessage"] = null;
	onerror: Socket["onerror"] = null;
	onclose: Socket["onclose"] = null;
	private readonly id: number;
	private readonly timer: ReturnType<typeof setInterval>;
	private opened = false;

	constructor(private readonly m: Module, url: string) {
		m.heap().set(new TextEncoder().encode(`${url}\0`), textAt);
		this.id = m.calls.LifelineOpen(textAt);
		this.timer = setInterval(() => this.poll(), 5);
	}

	get bufferedAmount(): number {
		return this.m.calls.LifelineBuffered(this.id);
	}

	private poll(): void {
		const state = this.m.calls.LifelineState(this.id);
		if (state === 1 && !this.opened) {
			this.opened = true;
			this.onopen?.({});
		}
		for (let n; (n = this.m.calls.LifelineReceive(this.id, inAt, 0, inSize)) > 0; ) {
			this.onmessage?.({ data: this.m.heap().slice(inAt, inAt + n).buffer });
		}
		if (state === 2) {
			clearInterval(this.timer);
			this.onclose?.({ code: this.m.calls.LifelineStatus(this.id) });
		}
	}

	send(data: Uint8Array): void {
		this.m.heap().set(data, outAt + 3);
		this.m.calls.LifelineSend(this.id, outAt, 3, data.length);
		this.m.heap().fill(0, outAt, outAt + 3 + data.length); // the memory is another's at once
	}

	close(): void {
		clearInterval(this.timer);
		this.m.calls.LifelineClose(this.id);
	}
}
