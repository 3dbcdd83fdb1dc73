// SPDX-License-Identifier: MIT

// The page by itself: it joins a match, plays, drops out of it, comes back and sees
// the result, and says meanwhile what is to be seen.

import { $ } from "./dom.js";
import type { Match } from "./match.js";

/** What the tour needs of the page. */
export interface Stops {
	match: Match;
	/** Says what is to be seen. */
	say(title: string, text: string): void;
	/** Says how the match ended. */
	sayResult(): void;
	/** Pulls the cable for so many ms. */
	offline(ms: number): void;
	/** Resolves once the link is back. */
	back(): Promise<void>;
	/** Whether there is a link. */
	live(): boolean;
	/** How many messages have come so far that must come once, and how many were lost or came twice. */
	heard(): { heard: number; wrong: number };
}

/** How long the tour is without a network, in ms. */
const away = 4000;

export class Tour {
	private abort: AbortController | null = null;

	constructor(private readonly stops: Stops) {}

	get running(): boolean {
		return this.abort !== null;
	}

	/** Goes round again and again until stop. */
	start(): void {
		this.stop();
		const { signal } = (this.abort = new AbortController());
		$("steps").hidden = false;
		void this.rounds(signal);
	}

	/** Leaves everything as it is at this moment. */
	stop(): void {
		this.abort?.abort();
		this.abort = null;
		this.stops.match.scene.pilot = null;
		$("steps").hidden = true;
	}

	private async rounds(signal: AbortSignal): Promise<void> {
		while (!signal.aborted) {
			try {
				await this.round(signal);
			} catch (e) {
				if (!signal.aborted) {
					this.stops.say("Once more", `It did not work this time: ${e instanceof Error ? e.message : e}.`);
					await pause(3000, signal).catch(() => undefined);
				}
			}
		}
	}

	private async round(signal: AbortSignal): Promise<void> {
		const { match, say } = this.stops;
		const or = <T>(p: Promise<T>): Promise<T> => orEnd(p, signal);
		this.step(0);
		say("Join a match", "The server opens a room and plays the seats that are free. Open this page twice, and you play against yourself.");
		await or(match.leave());
		await or(match.join());
		match.scene.pilot = (): ReturnType<Match["nearest"]> => (this.stops.live() ? match.nearest() : null);
		await or(match.reached("on"));
		this.step(1);
		say("Play", "The most gems win. 20 times a second the server says where all are; a state that gets lost is followed by a newer one.");
		await pause(7000, signal);
		this.step(2);
		const before = this.stops.heard();
		const since = performance.now();
		say("Drop out", "No network for 4 seconds. The seat is kept, and the others play on: what they get waits for us at the server.");
		this.stops.offline(away);
		await pause(away / 2, signal);
		await or(this.stops.back());
		const seconds = ((performance.now() - since) / 1000).toFixed(1);
		await pause(400, signal);
		const { heard, wrong } = this.stops.heard();
		this.step(3);
		say("Resume", `Back after ${seconds} s, in the same seat. ${heard - before.heard} messages had waited and have come in order: ${wrong - before.wrong} lost or twice.`);
		await or(match.reached("over"));
		this.step(4);
		this.stops.sayResult();
		await pause(9000, signal);
	}

	private step(n: number): void {
		[...$("steps").children].forEach((li, i) => {
			li.className = i < n ? "done" : "";
			if (i === n) {
				li.setAttribute("aria-current", "step");
			} else {
				li.removeAttribute("aria-current");
			}
		});
	}
}

function orEnd<T>(p: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const end = (): void => reject(new Error("the tour is over"));
		if (signal.aborted) {
			return end();
		}
		signal.addEventListener("abort", end, { once: true });
		p.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
	});
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
	return orEnd(new Promise((done) => setTimeout(done, ms)), signal);
}
