// SPDX-License-Identifier: MIT

// The mini-games of WeChat (wx) and Douyin (tt), which have sockets of their own and
// hardly anything of a browser.

import type { Platform } from "./platform.js";
import { hmac } from "./sha256.js";
import type { Socket } from "./socket.js";

/** A socket of a mini-game. */
export interface MiniSocket {
	send(options: { data: ArrayBuffer; success?: () => void; fail?: (e: unknown) => void }): void;
	close(options?: object): void;
	onOpen(fn: () => void): void;
	onMessage(fn: (e: { data: string | ArrayBuffer }) => void): void;
	onError(fn: (e: { errMsg?: string }) => void): void;
	onClose(fn: (e: { code?: number }) => void): void;
}

/** A source of random bytes. */
export interface MiniCrypto {
	getRandomValues(options: { length: number; success: (e: { randomValues: ArrayBuffer }) => void; fail: (e: unknown) => void }): void;
}

/** What is used of wx or tt. */
export interface MiniGame extends Partial<MiniCrypto> {
	connectSocket(options: { url: string; protocols: string[] }): MiniSocket;
	/** Where WeChat has the random bytes of mini-games; Douyin has them at tt itself. */
	getUserCryptoManager?(): Partial<MiniCrypto>;
	onShow(fn: () => void): void;
	offShow(fn: () => void): void;
	onHide(fn: () => void): void;
	offHide(fn: () => void): void;
	onNetworkStatusChange(fn: () => void): void;
	offNetworkStatusChange?(fn: () => void): void;
}

/**
 * What a client needs in a mini-game, for its options:
 *
 *	const client = new Client("wss://game.example/play", { ...(await miniGame(wx)), schema });
 *
 * Rejects where wx has no source of randomness, which is asynchronous there.
 */
export async function miniGame(wx: MiniGame): Promise<{ platform: Platform; open: (url: string) => Socket }> {
	const crypto = [wx.getUserCryptoManager?.(), wx].find((c): c is MiniCrypto => typeof c?.getRandomValues === "function");
	if (crypto === undefined) {
		throw new Error("lifeline: this version of the app has no getRandomValues");
	}
	const seed = await new Promise<Uint8Array>((resolve, reject) => {
		const fail = (e: unknown): void => reject(new Error("lifeline: getRandomValues failed", { cause: e }));
		crypto.getRandomValues({ length: 32, success: (e) => resolve(new Uint8Array(e.randomValues)), fail });
	});
	if (seed.length < 32) {
		throw new Error(`lifeline: getRandomValues gave ${seed.length} bytes of 32`);
	}
	return { platform: { now: steady(), random: stretched(seed) }, open: (url) => new MiniGameSocket(wx, url) };
}

/** Pauses the client while the game is hidden, and has it come back at once. Returns what ends that. */
export function followMiniGame(wx: MiniGame, client: { readonly paused: boolean; pause(): void; hurry(): void }): () => void {
	let hidden = false; // by us: a pause of the app stays
	const hide = (): void => {
		hidden ||= !client.paused;
		client.pause();
	};
	const show = (): void => {
		if (hidden || !client.paused) {
			hidden = false;
			client.hurry();
		}
	};
	const network = (): void => {
		if (!client.paused) { // else it would end the pause
			client.hurry();
		}
	};
	wx.onHide(hide);
	wx.onShow(show);
	wx.onNetworkStatusChange(network);
	return () => {
		wx.offHide(hide);
		wx.offShow(show);
		wx.offNetworkStatusChange?.(network);
	};
}

/** The time of day without its jumps back. */
function steady(): () => number {
	let last = Date.now();
	let at = 0;
	return () => {
		const wall = Date.now();
		at += Math.max(wall - last, 0);
		last = wall;
		return at;
	};
}

/** Random bytes without an end, of a seed that is random: HMAC in counter mode. */
function stretched(seed: Uint8Array): (bytes: Uint8Array) => void {
	const counter = new DataView(new ArrayBuffer(8));
	let n = 0;
	return (bytes) => {
		for (let i = 0; i < bytes.length; i += 32) {
			counter.setFloat64(0, n++);
			bytes.set(hmac(seed, new Uint8Array(counter.buffer)).subarray(0, bytes.length - i), i);
		}
	};
}

class MiniGameSocket implements Socket {
	binaryType = "arraybuffer";
	bufferedAmount = 0;
	onopen: ((e: any) => void) | null = null;
	onmessage: ((e: any) => void) | null = null;
	onerror: ((e: any) => void) | null = null;
	onclose: ((e: any) => void) | null = null;
	private readonly task: MiniSocket;
	private closed = false;

	constructor(wx: MiniGame, url: string) {
		this.task = wx.connectSocket({ url, protocols: ["lifeline"] });
		this.task.onOpen(() => this.onopen?.({}));
		this.task.onMessage((e) => this.onmessage?.({ data: e.data }));
		this.task.onError((e) => {
			this.onerror?.({ message: e.errMsg });
			this.end({ code: 1006 }); // onClose does not always follow
		});
		this.task.onClose((e) => this.end(e));
	}

	send(data: Uint8Array<ArrayBuffer>): void {
		const whole = data.byteLength === data.buffer.byteLength;
		const sent = (): void => void (this.bufferedAmount -= data.length);
		this.bufferedAmount += data.length;
		// Not a view: they take ArrayBuffers and nothing else.
		this.task.send({
			data: whole ? data.buffer : data.slice().buffer,
			success: sent,
			fail: () => {
				sent();
				this.close();
				this.end({ code: 1006 }); // what is lost on the way can't be told from what was sent
			},
		});
	}

	close(): void {
		try {
			this.task.close({});
		} catch {
			// It is closed already.
		}
	}

	private end(e: { code?: number }): void {
		if (!this.closed) {
			this.closed = true;
			this.onclose?.(e);
		}
	}
}
