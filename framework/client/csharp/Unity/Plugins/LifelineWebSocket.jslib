// SPDX-License-Identifier: MIT

// A WebSocket of the browser, polled by BrowserWebSocket.cs. It knows no protocol.
var LifelineWebSocket = {
	$lifelineSockets: {},
	$lifelineLast: { id: 0 },

	LifelineOpen: function (url) {
		var text = typeof UTF8ToString === "function" ? UTF8ToString(url) : Pointer_stringify(url);
		var id = ++lifelineLast.id;
		var s = { socket: null, state: 0, status: 0, queue: [], offset: 0 };
		lifelineSockets[id] = s;
		try {
			s.socket = new WebSocket(text, "lifeline");
		} catch (e) {
			s.state = 2;
			return id;
		}
		s.socket.binaryType = "arraybuffer";
		s.socket.onopen = function () { s.state = 1; };
		s.socket.onmessage = function (e) {
			if (e.data instanceof ArrayBuffer) {
				s.queue.push(new Uint8Array(e.data));
			} else {
				s.socket.close();
			}
		};
		s.socket.onclose = function (e) {
			s.state = 2;
			s.status = e.code;
		};
		return id;
	},

	// 0: connecting. 1: open. 2: broken, once everything that came was taken.
	LifelineState: function (id) {
		var s = lifelineSockets[id];
		return !s ? 2 : s.state === 2 && s.queue.length > 0 ? 1 : s.state;
	},

	LifelineStatus: function (id) {
		return lifelineSockets[id] ? lifelineSockets[id].status : 0;
	},

	LifelineBuffered: function (id) {
		var s = lifelineSockets[id];
		return s && s.socket ? s.socket.bufferedAmount : 0;
	},

	LifelineReceive: function (id, b, at, n) {
		var s = lifelineSockets[id];
		var taken = 0;
		while (s && s.queue.length > 0 && taken < n) {
			var first = s.queue[0];
			var size = Math.min(first.length - s.offset, n - taken);
			HEAPU8.set(first.subarray(s.offset, s.offset + size), b + at + taken);
			taken += size;
			s.offset += size;
			if (s.offset === first.length) {
				s.queue.shift();
				s.offset = 0;
			}
		}
		return taken;
	},

	LifelineSend: function (id, b, at, n) {
		var s = lifelineSockets[id];
		if (s && s.state === 1) {
			s.socket.send(HEAPU8.slice(b + at, b + at + n));
		}
	},

	LifelineClose: function (id) {
		var s = lifelineSockets[id];
		if (s) {
			delete lifelineSockets[id];
			s.queue = [];
			if (s.socket) {
				s.socket.onopen = s.socket.onmessage = s.socket.onclose = null;
				s.socket.close(1000);
			}
		}
	}
};
autoAddDeps(LifelineWebSocket, "$lifelineSockets");
autoAddDeps(LifelineWebSocket, "$lifelineLast");
mergeInto(LibraryManager.library, LifelineWebSocket);
