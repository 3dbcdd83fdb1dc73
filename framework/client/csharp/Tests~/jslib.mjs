// SPDX-License-Identifier: MIT

// The WebSocket of Unity/Plugins/LifelineWebSocket.jslib, as BrowserWebSocket.cs uses it, with a browser and an
// emscripten that are made up: node Tests~/jslib.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import vm from "node:vm";

const sockets = [];
class FakeWebSocket {
	sent = [];
	bufferedAmount = 3;
	constructor(url, protocol) {
		if (url === "bad") {
			throw new Error("a browser refuses this");
		}
		Object.assign(this, { url, protocol });
		sockets.push(this);
	}
	send(b) { this.sent.push(Array.from(b)); }
	close(code) { this.closed = code ?? true; }
}

const library = {};
const heap = new Uint8Array(64);
const context = vm.createContext({
	WebSocket: FakeWebSocket, ArrayBuffer, Uint8Array, HEAPU8: heap, UTF8ToString: (text) => text,
	LibraryManager: { library }, mergeInto: Object.assign, autoAddDeps: () => undefined,
});
vm.runInContext(readFileSync(new URL("../Unity/Plugins/LifelineWebSocket.jslib", import.meta.url), "utf8"), context);
// What emscripten does with names that begin with $.
for (const name of Object.keys(library).filter((n) => n.startsWith("$"))) {
	context[name.slice(1)] = library[name];
}
const js = library;

const id = js.LifelineOpen("ws://h/");
const [s] = sockets;
assert.equal(s.url, "ws://h/");
assert.equal(s.protocol, "lifeline");
assert.equal(js.LifelineState(id), 0);
js.LifelineSend(id, 0, 0, 1); // not open yet
assert.deepEqual(s.sent, []);
s.onopen();
assert.equal(js.LifelineState(id), 1);
assert.equal(js.LifelineReceive(id, 0, 0, 10), 0);
s.onmessage({ data: Uint8Array.of(1, 2, 3).buffer });
s.onmessage({ data: new ArrayBuffer(0) });
s.onmessage({ data: Uint8Array.of(4, 5).buffer });
assert.equal(js.LifelineReceive(id, 8, 2, 2), 2);
assert.deepEqual(Array.from(heap.subarray(10, 12)), [1, 2]);
s.onclose({ code: 4007 });
assert.equal(js.LifelineState(id), 1, "what came before the end is not lost");
assert.equal(js.LifelineReceive(id, 8, 0, 50), 3);
assert.deepEqual(Array.from(heap.subarray(8, 11)), [3, 4, 5]);
assert.equal(js.LifelineState(id), 2);
assert.equal(js.LifelineStatus(id), 4007);
js.LifelineClose(id);
assert.equal(js.LifelineState(id), 2);
assert.equal(js.LifelineReceive(id, 0, 0, 9), 0);

const two = js.LifelineOpen("ws://h/");
sockets[1].onopen();
heap.set([7, 8, 9], 20);
js.LifelineSend(two, 20, 1, 2);
heap.fill(0);
assert.deepEqual(sockets[1].sent, [[8, 9]], "its own memory: the heap changes");
assert.equal(js.LifelineBuffered(two), 3);
sockets[1].onmessage({ data: "text" });
assert.ok(sockets[1].closed);
js.LifelineClose(two);
assert.equal(sockets[1].closed, 1000);
assert.equal(sockets[1].onmessage, null);

const bad = js.LifelineOpen("bad");
assert.equal(js.LifelineState(bad), 2);
assert.equal(js.LifelineBuffered(bad), 0);
js.LifelineClose(bad);
console.log("jslib ok");
