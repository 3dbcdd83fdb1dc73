// SPDX-License-Identifier: MIT

// What the stage shows of one room: who is there, where, and which of them we are.

import { Motion } from "./motion.js";
import type { Gem, Name } from "./wire.js";

export interface Point { x: number; y: number }

/** A ring that spreads where something happened. */
interface Ripple { id: number; at: number }

/** How long a ripple spreads, in ms. */
export const spreads = 900;

export class Scene {
	/** Tells where we want to be. False: not now. */
	onMove: (x: number, y: number) => boolean = () => false;
	/** Somebody is there whose name we don't know. */
	onStranger: () => void = () => undefined;
	/** Where the page itself walks to; null: it does not. */
	pilot: (() => Point | null) | null = null;

	motion = new Motion(50);
	names = new Map<number, string>();
	/** Whoever has logged in at another server than this one: at which. */
	homes = new Map<number, number>();
	/** The number of this server, 0: it is alone. */
	server = 0;
	id = 0;
	side = 1000;
	/** Where we are, before the server knows. */
	me: Point | null = null;
	gems: readonly Gem[] = [];
	ripples: Ripple[] = [];
	private told = { x: NaN, y: NaN, at: 0 };
	private askedAt = 0;
	private readonly dropped = new Set<number>();

	/** Takes over who we are and who the others are. */
	view(v: { id: number; side: number; step: number; players: Name[]; server?: number }): void {
		if (this.id !== v.id || this.side !== v.side) {
			this.me = null;
		}
		if (v.step > 0 && !this.motion.present) {
			this.motion = new Motion(v.step);
		}
		this.id = v.id;
		this.side = v.side;
		this.names = new Map(v.players.map((p) => [p.id, p.name]));
		this.server = v.server ?? 0;
		this.homes = new Map(v.players.filter((p) => p.server !== this.server && p.server !== 0).map((p) => [p.id, p.server]));
		this.askedAt = performance.now();
	}

	/** Everything the server says from now on is of another room. */
	restart(): void {
		this.motion = new Motion(50);
		this.names.clear();
		this.me = null;
		this.id = 0;
		this.gems = [];
		this.ripples = [];
		this.dropped.clear();
	}

	/** Something good has happened to a player. */
	ripple(id: number, at = performance.now()): void {
		this.ripples.push({ id, at });
	}

	/** Lets the server hear again where we are. */
	tellAgain(): void {
		this.told.x = NaN;
	}

	/** Tells where we are if that has changed, and every so many ms at most. */
	tell(now: number, every: number): void {
		const { me, told } = this;
		if (me && (me.x !== told.x || me.y !== told.y) && now - told.at >= every && this.onMove(me.x, me.y)) {
			this.told = { ...me, at: now };
		}
	}

	/** Somebody dropped or came back, or is a stranger, whom we ask about once a second. */
	notice(id: number, dropped: boolean, now: number): void {
		if (dropped !== this.dropped.has(id)) {
			if (dropped) {
				this.dropped.add(id);
			} else {
				this.dropped.delete(id);
				this.ripple(id, now);
			}
		}
		if (!this.names.has(id) && now - this.askedAt > 1000) {
			this.askedAt = now;
			this.onStranger();
		}
	}

	/** Forgets those who are gone: the next one with such a number is another. */
	forget(present: ReadonlyMap<number, unknown>): void {
		if (present.size > 0 && this.names.size > present.size) {
			for (const id of this.names.keys()) {
				if (!present.has(id)) {
					this.names.delete(id);
				}
			}
		}
	}
}
