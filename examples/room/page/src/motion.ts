// SPDX-License-Identifier: MIT

// Where everybody is at the moment that is drawn: between the two states of the
// server around it, a little in the past, so that there is a next one to move to.

import type { Spot, State } from "./wire.js";

interface Snapshot {
	at: number; // ms, by the server's ticks
	spots: Map<number, Spot>;
}

/** A spot that follows its target without ever jumping. */
interface Follower {
	x: number; y: number; // where it is drawn
	vx: number; vy: number;
}

export interface Drawn extends Spot {
	moving: boolean;
}

/** How far in the past others are drawn, in steps of the server. */
const behind = 2.5;

/** About how long a follower takes to reach its target, in seconds. */
const smooth = 0.16;

export class Motion {
	private snapshots: Snapshot[] = [];
	private offset = Infinity; // of our clock to the server's ticks, at the fastest
	private lastTick = -1;
	private readonly followers = new Map<number, Follower>();

	/** step is how long a tick takes, in ms. */
	constructor(private readonly step: number) {}

	/** Takes over what the server says at our time now. */
	push(s: State, now: number): void {
		if (s.tick < this.lastTick) {
			this.snapshots = []; // another server
			this.offset = Infinity;
		}
		this.lastTick = s.tick;
		const at = s.tick * this.step;
		// The fastest packet tells the most about the clocks; drift is followed slowly.
		const sample = now - at;
		this.offset = sample < this.offset ? sample : this.offset + 0.01 * (sample - this.offset);
		this.snapshots.push({ at, spots: new Map(s.players.map((p) => [p.id, p])) });
		if (this.snapshots.length > 40) {
			this.snapshots.splice(0, 20);
		}
	}

	/** Who is there now. */
	get present(): number {
		return this.snapshots.at(-1)?.spots.size ?? 0;
	}

	/** Ids of everybody in the latest state. */
	ids(): Iterable<number> {
		return this.snapshots.at(-1)?.spots.keys() ?? [];
	}

	/** The latest that the server said of a player. */
	spot(id: number): Spot | undefined {
		return this.snapshots.at(-1)?.spots.get(id);
	}

	/** Everybody as they are to be drawn, dt seconds after the last time. */
	draw(now: number, dt: number): Drawn[] {
		const at = now - this.offset - behind * this.step;
		const list = this.snapshots;
		let i = list.length - 1;
		while (i > 0 && list[i].at > at) {
			i--;
		}
		if (i < 0) {
			return [];
		}
		list.splice(0, Math.max(i - 1, 0));
		i = Math.min(i, 1);
		const a = list[i];
		const b = list[i + 1] ?? a;
		const f = b === a ? 0 : Math.min(Math.max((at - a.at) / (b.at - a.at), 0), 1);
		const drawn: Drawn[] = [];
		for (const q of b.spots.values()) {
			const p = a.spots.get(q.id) ?? q;
			drawn.push(this.follow(q, p.x + (q.x - p.x) * f, p.y + (q.y - p.y) * f, dt));
		}
		for (const id of this.followers.keys()) {
			if (!b.spots.has(id)) {
				this.followers.delete(id);
			}
		}
		return drawn;
	}

	private follow(s: Spot, x: number, y: number, dt: number): Drawn {
		let w = this.followers.get(s.id);
		if (w === undefined || dt > 0.5) {
			w = { x, y, vx: 0, vy: 0 };
			this.followers.set(s.id, w);
		}
		// A critically damped spring: it never overshoots and never jerks.
		const omega = 2 / smooth;
		const e = Math.exp(-omega * dt);
		for (const [p, v, to] of [["x", "vx", x], ["y", "vy", y]] as const) {
			const d = w[p] - to;
			const t = (w[v] + omega * d) * dt;
			w[v] = (w[v] - omega * t) * e;
			w[p] = to + (d + t) * e;
		}
		return { ...s, x: w.x, y: w.y, moving: Math.hypot(w.vx, w.vy) > 5 };
	}
}
