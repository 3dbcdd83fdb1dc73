// SPDX-License-Identifier: MIT

// One socket that carries, or may come to carry, the session.

import type { Socket } from "./socket.js";

/** The longest message that every server takes: transport/SPEC.md 7.4. */
export const maxMessage = 64 << 10;

/** How many messages may come while a ticket is fetched: a server waits for the login. */
const maxParked = 64;

export class Link {
	/** The link has carried the session. */
	opened = false;
	/** If the link does not open a session, its address is not the reason. */
	excused = false;
	private parked: Uint8Array[] | null = null; // messages that came while a ticket is fetched

	/** index is the place of its address in the app's list; -1 if the server named the address. */
	constructor(readonly socket: Socket, readonly index: number) {}

	/** Starts to listen. message gets the bytes, or null for a message that is not binary. */
	listen(message: (b: Uint8Array | null) => void, closed: (why: Error) => void): void {
		this.socket.onmessage = (e: { data: unknown }): void => message(bytesOf(e.data));
		this.socket.onclose = (e: { code?: number }): void => closed(new Error(`the socket closed with status ${e.code ?? 0}`));
	}

	/** Stops to listen. The socket stays open. */
	ignore(): void {
		this.socket.onmessage = this.socket.onclose = null;
		this.socket.onerror = (): void => undefined; // ws throws without one
	}

	/** Sends frames in as few messages as possible, and returns how many bytes they are. */
	send(frames: Uint8Array[]): number {
		let sent = 0;
		for (let from = 0; from < frames.length; ) {
			let size = 0;
			let to = from;
			do {
				size += frames[to++].length;
			} while (to < frames.length && size + frames[to].length <= maxMessage);
			const b = new Uint8Array(size);
			for (let i = 0; from < to; i += frames[from++].length) {
				b.set(frames[from], i);
			}
			sent += size;
			this.socket.send(b);
		}
		return sent;
	}

	// --- messages wait while a ticket is fetched

	/** From now on messages wait. */
	park(): void {
		this.parked = [];
	}

	get parking(): boolean {
		return this.parked !== null;
	}

	/** Lets a message wait. False: too many do. */
	keep(b: Uint8Array): boolean {
		const parked = this.parked!;
		parked.push(b);
		return parked.length <= maxParked && parked.reduce((n, p) => n + p.length, 0) <= maxMessage;
	}

	/** Ends the wait, and returns what waited. */
	unpark(): Uint8Array[] {
		const parked = this.parked ?? [];
		this.parked = null;
		return parked;
	}
}

/** Asked by name, as a socket may be of another realm: that of a frame, or of what a test's sandbox is in. */
function bytesOf(data: unknown): Uint8Array | null {
	if (Object.prototype.toString.call(data) === "[object ArrayBuffer]") {
		return new Uint8Array(data as ArrayBuffer);
	}
	return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : null;
}
