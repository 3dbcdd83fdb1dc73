// SPDX-License-Identifier: MIT

// The canvas: a square, everybody in it, and how we steer.

import type { Drawn } from "./motion.js";
import { type Point, Scene, spreads } from "./scene.js";
import { type Sprite, Sprites } from "./sprites.js";

const speed = 460; // units of the square a second
const pilotSpeed = 330; // of the page itself
const sendEvery = 50; // ms between two moves that are told

/** Of more players than that the names of those nearby are shown. */
const many = 60;
const nearby = 0.15; // of the side

const keys: Record<string, [number, number]> = {
	ArrowUp: [0, -1], KeyW: [0, -1], ArrowDown: [0, 1], KeyS: [0, 1],
	ArrowLeft: [-1, 0], KeyA: [-1, 0], ArrowRight: [1, 0], KeyD: [1, 0],
};

export class Stage {
	/** Somebody steers while the page does. */
	onTakeOver: () => void = () => undefined;

	private readonly held = new Set<string>();
	private pointer: Point | null = null;
	private last = 0;
	private dim = 0; // 0: live, 1: without a link
	private live = false;
	private readonly g: CanvasRenderingContext2D;
	private readonly sprites = new Sprites();
	private readonly colors: Record<string, string> = {};
	private readonly still = matchMedia("(prefers-reduced-motion: reduce)");

	constructor(private readonly canvas: HTMLCanvasElement, private scene: Scene) {
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
		const next = (t: number): void => {
			requestAnimationFrame(next);
			this.frame(t);
		};
		requestAnimationFrame(next);
	}

	/** Shows a room from now on. */
	show(scene: Scene): void {
		this.scene = scene;
		this.pointer = null;
		scene.tellAgain();
	}

	/** Whether a link carries us at this moment. */
	set connected(live: boolean) {
		if (live && !this.live && this.scene.id > 0) {
			this.scene.ripple(this.scene.id);
		}
		this.live = live;
		this.scene.tellAgain();
	}

	private readColors(): void {
		const style = getComputedStyle(document.documentElement);
		for (const name of ["field", "grid", "edge", "ink", "muted", "accent", "gem"]) {
			this.colors[name] = style.getPropertyValue(`--${name}`).trim();
		}
		this.colors.light = style.getPropertyValue("--player-light").trim();
		this.colors.font = getComputedStyle(this.canvas).fontFamily;
		this.sprites.clear();
	}

	private key(e: KeyboardEvent, down: boolean): void {
		if (!(e.code in keys) || (down && (e.target as HTMLElement).closest("input, dialog, [role=log]")) || e.ctrlKey || e.metaKey || e.altKey) {
			return;
		}
		if (down) {
			this.held.add(e.code);
			this.pointer = null;
			e.preventDefault();
			this.takeOver();
		} else {
			this.held.delete(e.code);
		}
	}

	private takeOver(): void {
		if (this.scene.pilot) {
			this.onTakeOver();
		}
	}

	/** How the square stands on the canvas: its corner and scale, in CSS pixels. */
	private get frameOf(): { left: number; top: number; scale: number } {
		const { clientWidth: w, clientHeight: h } = this.canvas;
		const margin = Math.min(w, h) < 480 ? 10 : 24;
		const scale = Math.max(Math.min(w, h) - 2 * margin, 10) / this.scene.side;
		return { left: (w - this.scene.side * scale) / 2, top: (h - this.scene.side * scale) / 2, scale };
	}

	private point(e: PointerEvent): void {
		const { left, top, scale } = this.frameOf;
		this.pointer = { x: (e.offsetX - left) / scale, y: (e.offsetY - top) / scale };
		this.takeOver();
	}

	/** Where we want to go: a direction, and how far at most. */
	private wish(me: Point): { dx: number; dy: number; reach: number; speed: number } {
		let [dx, dy] = [0, 0];
		for (const k of this.held) {
			dx += keys[k][0];
			dy += keys[k][1];
		}
		if (dx !== 0 || dy !== 0) {
			return { dx, dy, reach: Infinity, speed };
		}
		const to = this.pointer ?? this.scene.pilot?.();
		if (!to) {
			return { dx: 0, dy: 0, reach: 0, speed };
		}
		[dx, dy] = [to.x - me.x, to.y - me.y];
		return { dx, dy, reach: Math.hypot(dx, dy), speed: this.pointer ? speed : pilotSpeed };
	}

	/** Moves us by keys, or to where the pointer is. */
	private steer(dt: number, now: number): void {
		const { scene } = this;
		if (scene.me === null) {
			const s = scene.motion.spot(scene.id);
			if (s !== undefined) {
				scene.me = { x: s.x, y: s.y };
			}
			return;
		}
		const { dx, dy, reach, speed } = this.wish(scene.me);
		const length = Math.hypot(dx, dy);
		if (length > 0.5) {
			const step = Math.min(speed * dt, reach) / length;
			scene.me.x = clamp(scene.me.x + dx * step, scene.side);
			scene.me.y = clamp(scene.me.y + dy * step, scene.side);
		}
		scene.tell(now, sendEvery);
	}

	/** Draws what is to be seen at a moment. */
	frame(now: number): void {
		const dt = Math.min(Math.max((now - this.last) / 1000, 0), 1);
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
		this.sprites.reset(ratio);
		this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
	}

	private paint(now: number, dt: number): void {
		const { scene } = this;
		const { left, top, scale } = this.frameOf;
		const size = scene.side * scale;
		this.square(left, top, size);
		const drawn = scene.motion.draw(now, dt);
		scene.forget(drawn);
		const mine = drawn.get(scene.id);
		if (mine && scene.me) {
			Object.assign(mine, scene.me);
		}
		const radius = Math.min(15, Math.max(Math.min(9, size / 110), size / (48 + drawn.size / 5)));
		for (const gem of scene.gems) {
			this.put(this.gem(Math.max(7, size / 70)), left + gem.x * scale, top + gem.y * scale);
		}
		for (const p of drawn.values()) {
			scene.notice(p.id, p.dropped, now);
			if (p !== mine) {
				this.player(p, left + p.x * scale, top + p.y * scale, radius);
			}
		}
		this.ripple(drawn, left, top, scale, radius, now);
		if (mine) { // on top
			this.us(left + mine.x * scale, top + mine.y * scale, radius);
		}
		for (const p of drawn.values()) {
			if (drawn.size <= many || p === mine || (mine && Math.hypot(p.x - mine.x, p.y - mine.y) < scene.side * nearby)) {
				this.label(p, p === mine, left + p.x * scale, top + p.y * scale, radius);
			}
		}
		this.g.globalAlpha = 1;
	}

	private square(left: number, top: number, size: number): void {
		const { g, colors } = this;
		g.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
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
	}

	private put(s: Sprite, x: number, y: number): void {
		this.g.drawImage(s.image, x - s.width / 2, y - s.height / 2, s.width, s.height);
	}

	/** put, on whole pixels: letters stay sharp. */
	private putSharp(s: Sprite, x: number, y: number): void {
		const { ratio } = this.sprites;
		this.g.drawImage(s.image, Math.round((x - s.width / 2) * ratio) / ratio, Math.round((y - s.height / 2) * ratio) / ratio, s.width, s.height);
	}

	/** The color of another player: one of 36. */
	private color(id: number): string {
		return `hsl(${(Math.floor(id * 13.75) * 10 + 200) % 360} 42% ${this.colors.light})`;
	}

	private gem(r: number): Sprite {
		const key = `gem ${r}`;
		return this.sprites.find(key) ?? this.sprites.make(key, 2 * r + 2, 2 * r + 2, (g) => {
			g.fillStyle = this.colors.gem;
			g.beginPath();
			g.moveTo(0, -r);
			g.lineTo(0.75 * r, 0);
			g.lineTo(0, r);
			g.lineTo(-0.75 * r, 0);
			g.fill();
		});
	}

	private player(p: Drawn, x: number, y: number, radius: number): void {
		const color = this.color(p.id);
		this.g.globalAlpha = p.dropped ? 0.55 : 1 - this.dim * 0.55;
		this.put(p.dropped ? this.outline(color, radius) : this.disc(color, radius), x, y);
	}

	private disc(color: string, r: number): Sprite {
		const key = `disc ${color} ${r}`;
		return this.sprites.find(key) ?? this.sprites.make(key, 2 * r + 2, 2 * r + 2, (g) => {
			g.fillStyle = color;
			g.beginPath();
			g.arc(0, 0, r, 0, 7);
			g.fill();
		});
	}

	/** The seat is kept: an outline waits for its player. */
	private outline(color: string, r: number): Sprite {
		const key = `outline ${color} ${r}`;
		return this.sprites.find(key) ?? this.sprites.make(key, 2 * r + 4, 2 * r + 4, (g) => {
			g.setLineDash([4, 4]);
			g.lineWidth = 2;
			g.strokeStyle = color;
			g.beginPath();
			g.arc(0, 0, r, 0, 7);
			g.stroke();
		});
	}

	private us(x: number, y: number, radius: number): void {
		const { g } = this;
		const { accent } = this.colors;
		g.globalAlpha = 1;
		if (this.dim > 0.5) {
			this.put(this.outline(accent, radius), x, y);
			return;
		}
		this.put(this.disc(accent, radius), x, y);
		g.globalAlpha = 0.28;
		g.lineWidth = 5;
		g.strokeStyle = accent;
		g.beginPath();
		g.arc(x, y, radius + 4, 0, 7);
		g.stroke();
	}

	private ripple(drawn: ReadonlyMap<number, Drawn>, left: number, top: number, scale: number, radius: number, now: number): void {
		const { g, scene } = this;
		if (scene.ripples.length === 0) {
			return;
		}
		scene.ripples = scene.ripples.filter((r) => now - r.at < spreads && drawn.has(r.id));
		for (const r of this.still.matches ? [] : scene.ripples) {
			const f = Math.max((now - r.at) / spreads, 0);
			const p = drawn.get(r.id)!;
			g.globalAlpha = (1 - f) * 0.7;
			g.strokeStyle = r.id === scene.id ? this.colors.accent : this.color(r.id);
			g.lineWidth = 2;
			g.beginPath();
			g.arc(left + p.x * scale, top + p.y * scale, radius + f * 34, 0, 7);
			g.stroke();
		}
	}

	/** Names stand above all players, with a rim that keeps them readable. */
	private label(p: Drawn, mine: boolean, x: number, y: number, radius: number): void {
		const home = this.scene.homes.get(p.id);
		const text = (mine ? "you" : (this.scene.names.get(p.id) ?? "")) + (home ? ` · from ${home}` : "");
		if (text === "") {
			return;
		}
		const below = y + radius + 17 < this.canvas.clientHeight - 6;
		this.g.globalAlpha = (p.dropped ? 0.6 : 1) * (1 - this.dim * 0.4);
		this.putSharp(this.text(text, mine, radius > 11 ? 13 : 12), x, below ? y + radius + 12 : y - radius - 12);
	}

	private text(text: string, mine: boolean, px: number): Sprite {
		const key = `text ${px} ${mine} ${text}`;
		const known = this.sprites.find(key);
		if (known) {
			return known;
		}
		const font = `${px}px ${this.colors.font}`;
		this.g.font = font;
		return this.sprites.make(key, this.g.measureText(text).width + 6, px + 8, (g) => {
			g.font = font;
			g.textAlign = "center";
			g.textBaseline = "middle";
			g.strokeStyle = this.colors.field;
			g.lineWidth = 3;
			g.lineJoin = "round";
			g.strokeText(text, 0, 0);
			g.fillStyle = mine ? this.colors.ink : this.colors.muted;
			g.fillText(text, 0, 0);
		});
	}
}

function clamp(v: number, max: number): number {
	return Math.min(Math.max(v, 0), max);
}
