// SPDX-License-Identifier: MIT

// Where everybody is at the moment that is drawn: between the two states of the
// server around it, a little in the past, so that there is a next one to move to.

import type { Spot, State } from "./wire.js";

interface Snapshot {
	at: number; // ms, by the server's ticks
	spots: Map<number, Spot>;
}

/** Where a player is drawn. It follows what the server says without ever jumping. */
export interface Drawn extends Spot {
	vx: number; vy: number;
}

/** How far in the past others are drawn, in steps of the server. */
const behind = 2.5;

/** About how long a player takes to reach its target, in seconds. */
const smooth = 0.16;

export class Motion {
	private snapshots: Snapshot[] = [];
	private offset = Infinity; // of our clock to the server's ticks, at the fastest
	private lastTick = -1;
	private readonly drawn = new Map<number, Drawn>();

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

	/** The latest that the server said of a player. */
	spot(id: number): Spot | undefined {
		return this.snapshots.at(-1)?.spots.get(id);
	}

	/** Everybody as they are to be drawn, dt seconds after the last time. It allocates nothing for those who stay. */
	draw(now: number, dt: number): ReadonlyMap<number, Drawn> {
		const at = now - this.offset - behind * this.step;
		const list = this.snapshots;
		let i = list.length - 1;
		while (i > 0 && list[i].at > at) {
			i--;
		}
		if (i < 0) {
			this.drawn.clear();
			return this.drawn;
		}
		list.splice(0, Math.max(i - 1, 0));
		i = Math.min(i, 1);
		const a = list[i];
		const b = list[i + 1] ?? a;
		const f = b === a ? 0 : Math.min(Math.max((at - a.at) / (b.at - a.at), 0), 1);
		for (const q of b.spots.values()) {
			const p = a.spots.get(q.id) ?? q;
			this.follow(q, p.x + (q.x - p.x) * f, p.y + (q.y - p.y) * f, dt);
		}
		if (this.drawn.size > b.spots.size) {
			for (const id of this.drawn.keys()) {
				if (!b.spots.has(id)) {
					this.drawn.delete(id);
				}
			}
		}
		return this.drawn;
	}

	private follow(s: Spot, x: number, y: number, dt: number): void {
		const w = this.drawn.get(s.id);
		if (w === undefined || dt > 0.5) {
			this.drawn.set(s.id, { id: s.id, dropped: s.dropped, x, y, vx: 0, vy: 0 });
			return;
		}
		// A critically damped spring: it never overshoots and never jerks.
		const omega = 2 / smooth;
		const e = Math.exp(-omega * dt);
		const dx = w.x - x;
		const dy = w.y - y;
		const tx = (w.vx + omega * dx) * dt;
		const ty = (w.vy + omega * dy) * dt;
		w.vx = (w.vx - omega * tx) * e;
		w.vy = (w.vy - omega * ty) * e;
		w.x = x + (dx + tx) * e;
		w.y = y + (dy + ty) * e;
		w.dropped = s.dropped;
	}
}
