// SPDX-License-Identifier: MIT

// A server that is not there: sockets in memory, on the other end of which a
// test says what the server does. With vitest's timers no real time passes.

import { Code } from "../src/code.js";
import { type Packet, Kind, encodeFrame, parseFrame } from "../src/codec.js";
import * as control from "../src/control.js";
import { type Infer, type Socket, type Type } from "../src/index.js";

const params = { interval: 10_000, timeout: 35_000, grace: 60_000, window: 0, maxBody: 1000, packets: 256, bytes: 1 << 17, reopens: false };

export class FakeSocket implements Socket {
	binaryType = "";
	bufferedAmount = 0;
	onopen: ((e: any) => void) | null = null;
	onmessage: ((e: any) => void) | null = null;
	onerror: ((e: any) => void) | null = null;
	onclose: ((e: any) => void) | null = null;
	closed = false;
	sent = 0; // counted packets

	constructor(private readonly server: FakeServer) {}

	send(data: Uint8Array): void {
		for (let at = 0; at < data.length; ) {
			const f = parseFrame(data, at, 1 << 20)!;
			at = f.end;
			this.server.receive(this, f.packet);
		}
	}

	close(): void {
		this.closed = true;
	}

	/** Hands the client a control packet. */
	say<T>(kind: Kind, type: Type<T>, body: T): void {
		this.bytes(control.encodeControl(kind, type, body));
	}

	/** Hands the client a counted packet. */
	count(kind: Kind, body: Uint8Array): void {
		this.bytes(encodeFrame({ kind, flags: 0, seq: ++this.sent, ack: 0 }, body));
	}

	bytes(b: Uint8Array): void {
		this.onmessage?.({ data: b });
	}

	refuse(code: number, text = "", detail = 0n): void {
		this.say(Kind.Refused, control.End, { code, text, detail });
	}

	break(): void {
		this.onclose?.({ code: 1006 });
	}
}

export class FakeServer {
	/** What happens to a socket that is opened. */
	dial: "open" | "fail" | "hang" = "open";
	/** How long it takes to open one, in milliseconds. */
	slow = 0;
	/** What happens to a login, and to a return. Without an answer neither has one. */
	login: (s: FakeSocket, hello: Infer<typeof control.Hello>) => void = (s) => this.welcome(s);
	resume: (s: FakeSocket) => void = (s) => s.refuse(Code.Unknown);
	readonly tickets: (string | null)[] = [];
	/** The opening ids of the logins. */
	readonly openings: string[] = [];
	readonly sockets: FakeSocket[] = [];
	readonly received: Packet[] = [];
	private sessions = 0;

	readonly open = (): Socket => {
		const s = new FakeSocket(this);
		this.sockets.push(s);
		const later = this.slow > 0 ? (fn: () => void): unknown => setTimeout(fn, this.slow) : queueMicrotask;
		later(() => {
			if (this.dial === "fail") {
				s.onerror?.({ message: "refused by the test" });
				s.onclose?.({});
			} else if (this.dial === "open") {
				s.onopen?.({});
				s.say(Kind.Greeting, control.Greeting, { version: control.protocolVersion, nonce: new Uint8Array(16) });
			}
		});
		return s;
	};

	/** The newest socket. */
	get last(): FakeSocket {
		return this.sockets.at(-1)!;
	}

	receive(s: FakeSocket, p: Packet): void {
		this.received.push(p);
		if (p.kind === Kind.Hello) {
			const hello = control.decodeControl(p, control.Hello);
			this.tickets.push(hello.ticket && Buffer.from(hello.ticket).toString());
			this.openings.push(Buffer.from(hello.opening).toString("hex"));
			this.login(s, hello);
		} else if (p.kind === Kind.Resume) {
			this.resume(s);
		}
	}

	welcome(s: FakeSocket, routes: string[] | null = null): void {
		const sid = new Uint8Array(16).fill(++this.sessions);
		s.say(Kind.Welcome, control.Welcome, { sid, key: new Uint8Array(32), base: 0n, recv: 0n, params, routes, seal: null });
	}

	/** Takes a client back that comes with a token, or one whose server was lost: what either side has had of the other. */
	reset(s: FakeSocket, restart = false, base = 0, recv = 0): void {
		s.sent = base;
		s.say(Kind.Reset, control.Reset, { epoch: 2, base: BigInt(base), recv: BigInt(recv), hold: false, reason: Code.Gone, params, routes: null, restart });
	}
}
