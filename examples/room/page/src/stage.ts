// SPDX-License-Identifier: MIT

// The canvas: the arena, everybody in it, and how we steer.

import { Motion } from "./motion.js";
import type { View } from "./wire.js";

const speed = 460; // units of the arena a second
const sendEvery = 50; // ms between two moves that are told

const keys: Record<string, [number, number]> = {
	ArrowUp: [0, -1], KeyW: [0, -1], ArrowDown: [0, 1], KeyS: [0, 1],
	ArrowLeft: [-1, 0], KeyA: [-1, 0], ArrowRight: [1, 0], KeyD: [1, 0],
};

/** A ring that spreads where something happened. */
interface Ripple { id: number; at: number }

export class Stage {
	/** Tells where we want to be. False: not now. */
	onMove: (x: number, y: number) => boolean = () => false;
	/** Somebody is there whose name we don't know. */
	onStranger: () => void = () => undefined;

	motion = new Motion(50);
	private names = new Map<number, string>();
	private id = 0;
	private side = 1000;
	private me: { x: number; y: number } | null = null;
	private told = { x: NaN, y: NaN, at: 0 };
	private readonly held = new Set<string>();
	private pointer: { x: number; y: number } | null = null;
	private last = 0;
	private askedAt = 0;
	private dim = 0; // 0: live, 1: without a link
	private live = false;
	private dropped = new Set<number>();
	private ripples: Ripple[] = [];
	private readonly g: CanvasRenderingContext2D;
	private readonly colors: Record<string, string> = {};
	private readonly still = matchMedia("(prefers-reduced-motion: reduce)");

	constructor(private readonly canvas: HTMLCanvasElement) {
		this.g = canvas.getContext("2d")!;
		addEventListener("keydown", (e) => this.key(e, true));
		addEventListener("keyup", (e) => this.key(e, false));
		addEventListener("blur", () => this.held.clear());
		canvas.addEventListener("pointerdown", (e) => {
			canvas.setPointerCapture(e.pointerId);
			this.point(e);
		});
		canvas.addEventListener("pointermove", (e) => this.pointer && this.point(e));
		for (const end of ["pointerup", "pointercancel"] as const) {
			canvas.addEventListener(end, () => (this.pointer = null));
		}
		const scheme = matchMedia("(prefers-color-scheme: dark)");
		scheme.addEventListener("change", () => this.readColors());
		this.readColors();
		requestAnimationFrame((t) => this.frame(t));
	}

	/** Takes over who we are and who the others are. */
	view(v: View): void {
		if (this.id !== v.id || this.side !== v.side) {
			this.me = null;
		}
		if (v.step > 0 && !this.motion.present) {
			this.motion = new Motion(v.step);
		}
		this.id = v.id;
		this.side = v.side;
		this.names = new Map(v.players.map((p) => [p.id, p.name]));
		this.askedAt = performance.now();
	}

	/** Everything the server says from now on is another server's. */
	restart(): void {
		this.motion = new Motion(50);
		this.me = null;
		this.id = 0;
	}

	/** Whether a link carries us at this moment. */
	set connected(live: boolean) {
		if (live && !this.live && this.id > 0) {
			this.ripples.push({ id: this.id, at: performance.now() });
		}
		this.live = live;
		this.told.x = NaN; // tell it again
	}

	/** Where we are, for tests and those who can't see. */
	get position(): { x: number; y: number } | null {
		return this.me;
	}

	private readColors(): void {
		const style = getComputedStyle(document.documentElement);
		for (const name of ["field", "grid", "edge", "ink", "muted", "accent"]) {
			this.colors[name] = style.getPropertyValue(`--${name}`).trim();
		}
		this.colors.light = style.getPropertyValue("--player-light").trim();
	}

	private key(e: KeyboardEvent, down: boolean): void {
		if (!(e.code in keys) || (down && (e.target as HTMLElement).closest("input, dialog, [role=log]")) || e.ctrlKey || e.metaKey || e.altKey) {
			return;
		}
		if (down) {
			this.held.add(e.code);
			this.pointer = null;
			e.preventDefault();
		} else {
			this.held.delete(e.code);
		}
	}

	/** How the arena stands on the canvas: its corner and scale, in CSS pixels. */
	private get frameOf(): { left: number; top: number; scale: number } {
		const { clientWidth: w, clientHeight: h } = this.canvas;
		const margin = Math.min(w, h) < 480 ? 10 : 24;
		const scale = Math.max(Math.min(w, h) - 2 * margin, 10) / this.side;
		return { left: (w - this.side * scale) / 2, top: (h - this.side * scale) / 2, scale };
	}

	private point(e: PointerEvent): void {
		const { left, top, scale } = this.frameOf;
		this.pointer = { x: (e.offsetX - left) / scale, y: (e.offsetY - top) / scale };
	}

	/** Moves us by keys, or to where the pointer is. */
	private steer(dt: number, now: number): void {
		const s = this.motion.spot(this.id);
		if (this.me === null) {
			if (s !== undefined) {
				this.me = { x: s.x, y: s.y };
			}
			return;
		}
		let [dx, dy] = [0, 0];
		for (const k of this.held) {
			dx += keys[k][0];
			dy += keys[k][1];
		}
		let reach = Infinity;
		if (dx === 0 && dy === 0 && this.pointer) {
			dx = this.pointer.x - this.me.x;
			dy = this.pointer.y - this.me.y;
			reach = Math.hypot(dx, dy);
		}
		const length = Math.hypot(dx, dy);
		if (length > 0.5) {
			const step = Math.min(speed * dt, reach) / length;
			this.me.x = clamp(this.me.x + dx * step, this.side);
			this.me.y = clamp(this.me.y + dy * step, this.side);
		}
		const moved = this.me.x !== this.told.x || this.me.y !== this.told.y;
		if (moved && now - this.told.at >= sendEvery && this.onMove(this.me.x, this.me.y)) {
			this.told = { ...this.me, at: now };
		}
	}

	private frame(now: number): void {
		requestAnimationFrame((t) => this.frame(t));
		const dt = Math.min((now - this.last) / 1000, 1);
		this.last = now;
		this.steer(Math.min(dt, 0.1), now);
		this.dim += ((this.live ? 0 : 1) - this.dim) * (1 - Math.exp(-dt * 8));
		this.resize();
		this.paint(now, dt);
	}

	private resize(): void {
		const ratio = Math.min(devicePixelRatio, 3);
		const w = Math.round(this.canvas.clientWidth * ratio);
		const h = Math.round(this.canvas.clientHeight * ratio);
		if (this.canvas.width !== w || this.canvas.height !== h) {
			this.canvas.width = w;
			this.canvas.height = h;
		}
		this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
	}

	private paint(now: number, dt: number): void {
		const { g, colors } = this;
		const { left, top, scale } = this.frameOf;
		const size = this.side * scale;
		g.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
		g.globalAlpha = 1;
		g.fillStyle = colors.field;
		g.beginPath();
		g.roundRect(left, top, size, size, 14);
		g.fill();
		g.strokeStyle = colors.grid;
		g.lineWidth = 1;
		g.beginPath();
		for (let i = 1; i < 10; i++) {
			const p = Math.round((size * i) / 10) + 0.5;
			g.moveTo(left + p, top);
			g.lineTo(left + p, top + size);
			g.moveTo(left, top + p);
			g.lineTo(left + size, top + p);
		}
		g.stroke();
		g.strokeStyle = colors.edge;
		g.lineWidth = 1.5;
		g.beginPath();
		g.roundRect(left, top, size, size, 14);
		g.stroke();

		const radius = Math.max(9, Math.min(15, size / 48));
		g.font = `${radius > 11 ? 13 : 12}px ${getComputedStyle(this.canvas).fontFamily}`;
		g.textAlign = "center";
		const drawn = this.motion.draw(now, dt);
		const present = new Set(this.motion.ids());
		for (const id of this.names.keys()) {
			if (present.size > 0 && !present.has(id)) {
				this.names.delete(id); // the next one with this number is another
			}
		}
		for (const p of drawn) {
			if (p.id === this.id && this.me) {
				p.x = this.me.x;
				p.y = this.me.y;
			}
			this.notice(p.id, p.dropped, now);
		}
		// Ourselves last, on top.
		drawn.sort((a, b) => Number(a.id === this.id) - Number(b.id === this.id) || a.id - b.id);
		for (const p of drawn) {
			this.player(p.id, left + p.x * scale, top + p.y * scale, radius, p.dropped && p.id !== this.id, now);
		}
		for (const p of drawn) {
			this.label(p.id, left + p.x * scale, top + p.y * scale, radius, p.dropped && p.id !== this.id);
		}
		this.ripples = this.ripples.filter((r) => now - r.at < 900);
	}

	/** Somebody dropped or came back, or is a stranger, whom we ask about once a second. */
	private notice(id: number, dropped: boolean, now: number): void {
		if (dropped !== this.dropped.has(id)) {
			if (dropped) {
				this.dropped.add(id);
			} else {
				this.dropped.delete(id);
				this.ripples.push({ id, at: now });
			}
		}
		if (!this.names.has(id) && now - this.askedAt > 1000) {
			this.askedAt = now;
			this.onStranger();
		}
	}

	private player(id: number, x: number, y: number, radius: number, dropped: boolean, now: number): void {
		const { g, colors } = this;
		const mine = id === this.id;
		const color = mine ? colors.accent : `hsl(${(id * 137.5 + 200) % 360} 42% ${colors.light})`;
		for (const r of this.ripples) {
			const f = (now - r.at) / 900;
			if (r.id === id && f >= 0 && f < 1 && !this.still.matches) {
				g.globalAlpha = (1 - f) * 0.7;
				g.strokeStyle = color;
				g.lineWidth = 2;
				g.beginPath();
				g.arc(x, y, radius + f * 34, 0, 7);
				g.stroke();
			}
		}
		const away = mine ? this.dim : 0;
		g.globalAlpha = dropped ? 0.55 : 1 - this.dim * (mine ? 0 : 0.55);
		g.beginPath();
		g.arc(x, y, radius, 0, 7);
		if (dropped || away > 0.5) {
			// The seat is kept: an outline waits for its player.
			g.setLineDash([4, 4]);
			g.lineWidth = 2;
			g.strokeStyle = color;
			g.stroke();
			g.setLineDash([]);
		} else {
			g.fillStyle = color;
			g.fill();
			if (mine) {
				g.globalAlpha = 0.28;
				g.lineWidth = 5;
				g.strokeStyle = color;
				g.beginPath();
				g.arc(x, y, radius + 4, 0, 7);
				g.stroke();
			}
		}
		g.globalAlpha = 1;
	}

	/** Names stand above all players, with a rim that keeps them readable. */
	private label(id: number, x: number, y: number, radius: number, dropped: boolean): void {
		const { g, colors } = this;
		const mine = id === this.id;
		const text = mine ? "you" : (this.names.get(id) ?? "");
		const below = y + radius + 17 < this.canvas.clientHeight - 6;
		const at = below ? y + radius + 17 : y - radius - 8;
		g.globalAlpha = (dropped ? 0.6 : 1) * (1 - this.dim * 0.4);
		g.strokeStyle = colors.field;
		g.lineWidth = 3;
		g.lineJoin = "round";
		g.strokeText(text, x, at);
		g.fillStyle = mine ? colors.ink : colors.muted;
		g.fillText(text, x, at);
		g.globalAlpha = 1;
	}
}

function clamp(v: number, max: number): number {
	return Math.min(Math.max(v, 0), max);
}
