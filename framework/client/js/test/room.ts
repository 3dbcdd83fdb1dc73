// SPDX-License-Identifier: MIT

import { Program } from "./program.js";

/** The room example as a server of tests. */
export class Server extends Program {
	/** Starts a server on ports of its own, unless flags say which. */
	static start(...flags: string[]): Promise<Server> {
		const anywhere = ["-kcp", "-plain-kcp", "-tcp", "-stcp", "-http", "-ws"].flatMap((f) => [f, "127.0.0.1:0"]);
		return new Server("./examples/room", [...anywhere, ...flags]).ready(/^bots /m);
	}

	/** Where WebSockets are served. */
	get ws(): string {
		return this.said(/wss?:\/\/[\d.:]+/);
	}

	/** Where pages are served. */
	get http(): string {
		return this.said(/https?:\/\/[\d.:]+/);
	}
}
