// SPDX-License-Identifier: MIT

// Which addresses are tried, and in which order.

import { abandon, openSocket, type Socket } from "./socket.js";

/** A place to connect to. index is its place in the app's list; -1 if the server named it. */
interface Target {
	url: string;
	index: number;
}

/** What an attempt ends with. */
export type Dialed = { socket: Socket; index: number } | Error;

export interface DialerConfig {
	open: ((url: string) => Socket) | undefined;
	/** How long one address has to answer, in milliseconds. */
	timeout: number;
	/** Called for each address that is tried. */
	onDial: () => void;
}

/** Makes one attempt at a time. It prefers the address that worked last. */
export class Dialer {
	private readonly addresses: readonly string[];
	private first = 0; // index of the address to try first
	private attempt: { stop: () => void } | null = null;

	/** Throws if an address can't be one. */
	constructor(addresses: string | readonly string[], private readonly cfg: DialerConfig) {
		this.addresses = typeof addresses === "string" ? [addresses] : [...addresses];
		if (this.addresses.length === 0) {
			throw new Error("lifeline: no address to connect to");
		}
		this.addresses.forEach(checkAddress);
	}

	/** The next attempt begins with this address. */
	prefer(index: number): void {
		this.first = Math.max(index, 0);
	}

	/** The next attempt begins with the address after this one. */
	avoid(index: number): void {
		if (index >= 0) {
			this.first = (index + 1) % this.addresses.length;
		}
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
		const targets = this.targets(serverHint);
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
					next(i + 1);
				} else {
					finish({ socket, index: target.index });
				}
			});
		};
		if (ready === null) {
			next(0);
			return;
		}
		void ready.then((error) => {
			if (this.attempt === attempt) {
				if (error === null) {
					next(0);
				} else {
					finish(error);
				}
			}
		});
	}

	/** Calls the attempt off. */
	stop(): void {
		const attempt = this.attempt;
		this.attempt = null;
		attempt?.stop();
	}

	/**
	 * The address that the server named comes first, if the app itself uses its
	 * scheme: no server talks a client out of encryption (session/SPEC.md 8.9).
	 */
	private targets(serverHint: string): Target[] {
		const scheme = (url: string): string => url.slice(0, url.indexOf(":"));
		const named = serverHint.split(/\s+/).filter((url) => url !== "" && this.addresses.some((own) => scheme(own) === scheme(url)));
		const own = [...this.addresses.slice(this.first), ...this.addresses.slice(0, this.first)];
		return [
			...named.map((url) => ({ url, index: -1 })),
			...own.map((url, i) => ({ url, index: (this.first + i) % this.addresses.length })),
		];
	}
}

function checkAddress(url: string): void {
	let why = "";
	if (!/^wss?:\/\//i.test(url)) {
		why = "it must begin with ws:// or wss://";
	} else if (url.includes("#")) {
		why = "a WebSocket takes no #fragment";
	} else {
		try {
			new URL(url);
		} catch {
			why = "it is no URL";
		}
	}
	if (why !== "") {
		throw new Error(`lifeline: address ${JSON.stringify(url)}: ${why}`);
	}
}
