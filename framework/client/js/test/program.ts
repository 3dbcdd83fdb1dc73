// SPDX-License-Identifier: MIT

// A Go program of this repository that runs while tests talk to it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const built = new Map<string, string>();

/** Builds a package once, and returns the path of the program. */
function build(pkg: string): string {
	let path = built.get(pkg);
	if (path === undefined) {
		path = join(mkdtempSync(join(tmpdir(), "lifeline-")), basename(pkg));
		execFileSync("go", ["build", "-o", path, pkg], { cwd: repository, stdio: "inherit" });
		built.set(pkg, path);
	}
	return path;
}

export class Program {
	log = "";
	private readonly process: ChildProcess;

	/** Runs a package of this repository, or a command of another language. */
	protected constructor(program: string | [command: string, ...args: string[]], flags: string[]) {
		const [command, ...first] = typeof program === "string" ? [build(program)] : program;
		this.process = spawn(command, [...first, ...flags]);
		const read = (b: Buffer): void => void (this.log += b);
		this.process.stdout!.on("data", read);
		this.process.stderr!.on("data", read);
	}

	/** Waits until the program has said what it was waited for. */
	protected async ready(pattern: RegExp): Promise<this> {
		while (!pattern.test(this.log)) {
			if (this.process.exitCode !== null || this.process.signalCode !== null) {
				throw new Error(`the program ended:\n${this.log}`);
			}
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		return this;
	}

	protected said(pattern: RegExp): string {
		const m = pattern.exec(this.log);
		if (!m) {
			throw new Error(`no ${pattern} in what the program said:\n${this.log}`);
		}
		return m[0];
	}

	/** Writes a line to its input. */
	tell(line: string): void {
		this.process.stdin!.write(`${line}\n`);
	}

	/** Ends its input, which some programs take for a wish to end. */
	end(): void {
		this.process.stdin!.end();
	}

	/** Waits until the program has ended by itself, and returns its exit code. */
	async ended(): Promise<number | null> {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			await new Promise((resolve) => this.process.once("exit", resolve));
		}
		return this.process.exitCode;
	}

	/** Ends the program, in order unless by another signal. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			const gone = new Promise((resolve) => this.process.once("exit", resolve));
			this.process.kill(signal);
			await gone;
		}
	}
}
