// SPDX-License-Identifier: MIT

// A match: its seat, its clock, its scores and how it ended.

import type { Client } from "../../../../framework/client/js/src/index.js";
import { $, el } from "./dom.js";
import { Scene } from "./scene.js";
import type { Gem, Result, Runner, schema } from "./wire.js";

/** out: in no match. soon: it is about to begin. on: it runs. over: it has ended, and its result is known. */
export type Phase = "out" | "soon" | "on" | "over";

export class Match {
	readonly scene = new Scene();
	phase: Phase = "out";
	result: Result | null = null;
	/** Called when the phase has changed, or who plays. */
	onPhase: (phase: Phase) => void = () => undefined;
	/** Called for each gem that somebody gets. */
	onGot: (n: number) => void = () => undefined;

	private client: Client<typeof schema> | null = null;
	private runners: Runner[] = [];
	private begins = 0; // at that time of the page
	private left = 0; // s
	private shown = "";
	private waiting: { phase: Phase; done: () => void }[] = [];

	/** Follows the matches of a client. */
	attach(client: Client<typeof schema>): void {
		this.client = client;
		this.scene.onMove = (x, y) => client.sendNewest("go", { x, y });
		client.onMessage("lineup", (l) => {
			if (this.phase === "out" || this.phase === "over") { // a new one
				this.scene.restart();
				this.runners = [];
			}
			this.begins = performance.now() + l.begins * 1000;
			this.scene.view(l);
			this.enter(l.begins > 0 ? "soon" : "on");
		});
		client.onMessage("round", (r) => {
			this.scene.motion.push(r, performance.now());
			this.scene.gems = r.gems;
			this.runners = r.players;
			if (this.phase === "soon" && r.left < this.left) { // the clock runs
				this.enter("on");
			}
			this.left = r.left;
			this.show();
		});
		client.onMessage("got", (g) => {
			this.onGot(g.n);
			const [id] = [...this.scene.names].find(([, name]) => name === g.by) ?? [0];
			this.scene.ripple(id);
		});
		client.onMessage("result", (r) => (this.result = r));
		client.room("match").onLeft = (): void => {
			this.left = 0;
			this.enter(this.result === null ? "out" : "over");
		};
	}

	/** Takes a seat in any match that is about to begin. */
	async join(): Promise<void> {
		this.result = null;
		this.left = 0;
		await this.client!.room("match").join("", { timeout: 10_000 });
	}

	async leave(): Promise<void> {
		if (this.phase === "soon" || this.phase === "on") {
			await this.client!.room("match").leave({ timeout: 10_000 });
		}
		this.result = null;
		this.enter("out");
	}

	/** Resolves once the match has reached a phase. */
	reached(phase: Phase): Promise<void> {
		return this.phase === phase ? Promise.resolve() : new Promise((done) => this.waiting.push({ phase, done }));
	}

	/** The gem that is nearest to us. */
	nearest(): Gem | null {
		const { me, gems } = this.scene;
		const far = (g: Gem): number => Math.hypot(g.x - me!.x, g.y - me!.y);
		return me && this.phase === "on" ? gems.reduce<Gem | null>((best, g) => (best && far(best) <= far(g) ? best : g), null) : null;
	}

	/** In how many seconds it begins. */
	get soon(): number {
		return Math.max(Math.ceil((this.begins - performance.now()) / 1000), 0);
	}

	/** Our place in the result, from 1, and our line of it. */
	get place(): { rank: number; gems: number } {
		const scores = this.result?.scores ?? [];
		const ours = scores.find((s) => s.id === this.scene.id);
		return { rank: 1 + scores.filter((s) => s.gems > (ours?.gems ?? 0)).length, gems: ours?.gems ?? 0 };
	}

	private enter(phase: Phase): void {
		this.phase = phase;
		this.show();
		this.onPhase(phase);
		const now = this.waiting.filter((w) => w.phase === phase);
		this.waiting = this.waiting.filter((w) => w.phase !== phase);
		now.forEach((w) => w.done());
	}

	/** The clock and the scores above the square. */
	private show(): void {
		const playing = this.phase === "soon" || this.phase === "on";
		const clock = this.phase === "soon" ? `begins in ${this.soon} s` : `${Math.ceil(this.left)} s`;
		const scores = this.runners.map((r) => ({ r, name: r.id === this.scene.id ? "you" : (this.scene.names.get(r.id) ?? "") }));
		const now = `${playing} ${clock} ${scores.map(({ r, name }) => `${name} ${r.gems} ${r.dropped}`).join()}`;
		if (now === this.shown) {
			return; // 20 times a second, and a change is rare
		}
		this.shown = now;
		$("match").hidden = !playing;
		$("left").textContent = clock;
		$("scores").replaceChildren(...scores.map(({ r, name }) => {
			const li = el("li", el("span", name), " ", el("b", String(r.gems)));
			li.classList.toggle("mine", r.id === this.scene.id);
			li.classList.toggle("away", r.dropped);
			return li;
		}));
	}
}
