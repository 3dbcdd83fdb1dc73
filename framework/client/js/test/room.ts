// SPDX-License-Identifier: MIT

// The room example as a server of tests, and the messages it speaks.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));

/** The server's program, built once by whoever needs it first. */
export function build(): string {
	const path = process.env.LIFELINE_ROOM ?? join(mkdtempSync(join(tmpdir(), "lifeline-")), "room");
	if (!existsSync(path)) {
		execFileSync("go", ["build", "-o", path, "./examples/room"], { cwd: repository, stdio: "inherit" });
	}
	process.env.LIFELINE_ROOM = path;
	return path;
}

/** A running server. */
export class Server {
	log = "";
	private constructor(private readonly process: ChildProcess) {}

	/** Starts a server and waits until it has said where it listens. */
	static async start(...flags: string[]): Promise<Server> {
		const p = spawn(build(), ["-plain-kcp", "127.0.0.1:0", "-tcp", "127.0.0.1:0", "-http", "127.0.0.1:0", "-ws", "127.0.0.1:0", ...flags]);
		const s = new Server(p);
		await new Promise<void>((resolve, reject) => {
			const read = (b: Buffer): void => {
				s.log += b;
				if (/^bots /m.test(s.log)) {
					resolve();
				}
			};
			p.stdout!.on("data", read);
			p.stderr!.on("data", read);
			p.on("exit", (code) => reject(new Error(`the server ended with ${code}:\n${s.log}`)));
		});
		return s;
	}

	private said(pattern: RegExp): string {
		const m = pattern.exec(this.log);
		if (!m) {
			throw new Error(`no ${pattern} in what the server said:\n${this.log}`);
		}
		return m[0];
	}

	/** Where WebSockets are served. */
	get ws(): string {
		return this.said(/ws:\/\/[\d.:]+/);
	}

	/** Where pages are served. */
	get http(): string {
		return this.said(/http:\/\/[\d.:]+/);
	}

	/** Ends the server, in order unless by another signal. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const gone = new Promise((resolve) => this.process.once("exit", resolve));
			this.process.kill(signal);
			await gone;
		}
	}
}
