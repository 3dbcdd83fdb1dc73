// SPDX-License-Identifier: MIT

// The line below the square: what there is to do now, and the buttons for it.

import { $, el } from "./dom.js";
import type { Match, Phase } from "./match.js";
import type { Tour } from "./tour.js";

const walk = "Walk with the arrow keys or W A S D, or drag in the square.";

export class Guide {
	private busy = false;

	constructor(private readonly match: Match, private readonly tour: Tour) {
		$("play").onclick = (): void => this.play();
		$("lobby").onclick = (): void => this.run(() => this.match.leave());
		$("tour").onclick = (): void => {
			if (this.tour.running) {
				this.takeOver();
			} else {
				this.tour.start();
				this.buttons();
			}
		};
		this.phase("out");
	}

	/** Whether there is a link: without one there is nothing to join. */
	set live(live: boolean) {
		for (const id of ["play", "lobby", "tour"]) {
			$<HTMLButtonElement>(id).disabled = !live && !(id === "tour" && this.tour.running);
		}
	}

	say(title: string, text: string): void {
		$("guide-title").textContent = title;
		$("guide-text").textContent = text;
	}

	/** Tells what there is to do in a phase of the match. */
	phase(phase: Phase): void {
		this.results(phase === "over");
		if (!this.tour.running) {
			this.usual(phase);
		}
		this.buttons();
	}

	/** Says how the match ended for us. */
	sayResult(): void {
		const { rank, gems } = this.match.place;
		this.say(rank === 1 ? "You win" : `You are number ${rank}`, `With ${gems} gems. The room is closed, and each player has been told this once, cut off or not.`);
	}

	/** Somebody plays instead of the page. */
	takeOver(): void {
		this.tour.stop();
		this.phase(this.match.phase);
	}

	private usual(phase: Phase): void {
		switch (phase) {
			case "out":
				this.say("You are in the lobby", `${walk} Or play a match.`);
				break;
			case "soon":
				this.say("Get ready", `Walk over gems: the most win. ${walk}`);
				break;
			case "on":
				this.say("Walk over gems: the most win", `${walk} Cut your link whenever you like: your seat is kept, and nothing is lost.`);
				break;
			case "over":
				this.sayResult();
		}
	}

	private play(): void {
		this.tour.stop();
		this.run(() => this.match.join());
	}

	/** Does what a button says, once however often it is pressed. */
	private run(f: () => Promise<void>): void {
		if (this.busy) {
			return;
		}
		this.busy = true;
		f().catch((e: unknown) => this.say("That did not work", `${e instanceof Error ? e.message : e}`)).finally(() => {
			this.busy = false;
			this.buttons();
		});
	}

	private buttons(): void {
		const { phase } = this.match;
		const playing = phase === "soon" || phase === "on";
		$("play").hidden = playing || this.tour.running;
		$("play").textContent = phase === "over" ? "Play again" : "Play a match";
		$("lobby").hidden = phase === "out" || this.tour.running;
		$("lobby").textContent = playing ? "Leave the match" : "Back to the lobby";
		$("tour").hidden = playing && !this.tour.running;
		$("tour").textContent = this.tour.running ? "Play yourself" : "Show me";
		$("tour").classList.toggle("primary", this.tour.running);
	}

	private results(shown: boolean): void {
		const list = $("results");
		list.hidden = !shown;
		list.replaceChildren(...(shown ? this.match.result!.scores : []).map((s) => {
			const mine = s.id === this.match.scene.id;
			const li = el("li", el("span", mine ? "you" : s.name), " ", el("b", String(s.gems)));
			li.classList.toggle("mine", mine);
			return li;
		}));
	}
}
