// SPDX-License-Identifier: MIT

import { longestTimer } from "./wait.js";

/** What the client needs of a WebSocket: the browser's has it, and that of the package ws. */
export interface Socket {
	binaryType: string;
	readonly bufferedAmount: number;
	onopen: ((e: any) => void) | null;
	onmessage: ((e: any) => void) | null;
	onerror: ((e: any) => void) | null;
	onclose: ((e: any) => void) | null;
	send(data: Uint8Array<ArrayBuffer>): void;
	close(): void;
}

/** Opens a socket and hands over the socket, or the reason why there is none. What it returns calls it off. */
export function openSocket(open: ((url: string) => Socket) | undefined, url: string, timeout: number, done: (s: Socket | string) => void): () => void {
	let s: Socket;
	try {
		s = open ? open(url) : new WebSocket(url, "lifeline");
	} catch (e) {
		const soon = setTimeout(() => done(`${url} could not be opened: ${e instanceof Error ? e.message : e}`)); // never within the call
		return () => clearTimeout(soon);
	}
	let why = "";
	const undo = (): void => {
		clearTimeout(timer);
		abandon(s);
	};
	const fail = (why: string): void => {
		undo();
		done(why);
	};
	const timer = setTimeout(() => fail(`${url} did not answer in ${timeout} ms`), Math.min(timeout, longestTimer));
	s.binaryType = "arraybuffer";
	s.onopen = (): void => {
		clearTimeout(timer);
		s.onopen = null;
		done(s);
	};
	s.onerror = (e: { message?: unknown }): void => {
		why = typeof e.message === "string" ? `: ${e.message}` : ""; // browsers don't tell; onclose follows
	};
	s.onclose = (): void => fail(`${url} could not be opened${why}`);
	return undo;
}

/** Closes a socket that nobody listens to any more. */
export function abandon(s: Socket): void {
	s.onopen = s.onmessage = s.onclose = null;
	s.onerror = (): void => undefined; // ws throws without one
	s.close();
}
