// SPDX-License-Identifier: MIT

// Attempts to reach a server.

import { AddressBook } from "./addresses.js";
import { abandon, openSocket, type Socket } from "./socket.js";

/** What an attempt ends with. */
export type Dialed = { socket: Socket; index: number } | Error;

export interface DialerConfig {
	open: ((url: string) => Socket) | undefined;
	/** A clock that never jumps, in milliseconds. */
	now: () => number;
	/** How long one address has to answer, in milliseconds. */
	timeout: number;
	/** Called for each address that is tried. */
	onDial: () => void;
}

/** Makes one attempt at a time. */
export class Dialer {
	readonly addresses: AddressBook;
	private attempt: { stop: () => void } | null = null;

	/** Throws if an address can't be one. */
	constructor(addresses: string | readonly string[], private readonly cfg: DialerConfig) {
		const own = typeof addresses === "string" ? [addresses] : [...addresses];
		if (own.length === 0) {
			throw new Error("lifeline: no address to connect to");
		}
		own.forEach(checkAddress);
		this.addresses = new AddressBook(own);
	}

	/**
	 * Waits for ready, and tries each address once until one answers. done is
	 * called once and never within this call, unless stop comes first.
	 */
	dial(ready: Promise<Error | null> | null, serverHint: string, done: (d: Dialed) => void): void {
		this.stop();
		let undo = (): void => undefined;
		const attempt = { stop: (): void => undo() };
		this.attempt = attempt;
		const finish = (d: Dialed): void => {
			this.attempt = null;
			done(d);
		};
		const targets = this.addresses.targets(serverHint, this.cfg.now());
		const reasons: string[] = [];
		const next = (i: number): void => {
			const target = targets[i];
			if (target === undefined) {
				finish(new Error(reasons.join("; ")));
				return;
			}
			this.cfg.onDial();
			undo = openSocket(this.cfg.open, target.url, this.cfg.timeout, (socket) => {
				if (this.attempt !== attempt) {
					if (typeof socket !== "string") {
						abandon(socket);
					}
				} else if (typeof socket === "string") {
					reasons.push(socket);
					this.addresses.failed(target.index);
					next(i + 1);
				} else {
					finish({ socket, index: target.index });
				}
			});
		};
		const begin = (error: Error | null): void => {
			if (this.attempt !== attempt) {
				return; // called off
			}
			if (error) {
				finish(error);
			} else {
				next(0);
			}
		};
		if (ready) {
			void ready.then(begin);
		} else {
			begin(null);
		}
	}

	/** Calls the attempt off. */
	stop(): void {
		const attempt = this.attempt;
		this.attempt = null;
		attempt?.stop();
	}
}

function checkAddress(url: string): void {
	let why = "";
	if (!/^wss?:\/\//i.test(url)) {
		why = "it must begin with ws:// or wss://";
	} else if (url.includes("#")) {
		why = "a WebSocket takes no #fragment";
	} else if (!isURL(url)) {
		why = "it is no URL";
	}
	if (why !== "") {
		throw new Error(`lifeline: address ${JSON.stringify(url)}: ${why}`);
	}
}

function isURL(url: string): boolean {
	if (typeof URL !== "function") {
		return /^\w+:\/\/[^\s/?]+\S*$/.test(url); // mini-games have none
	}
	try {
		new URL(url);
		return true;
	} catch {
		return false;
	}
}
