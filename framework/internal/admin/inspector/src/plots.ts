// SPDX-License-Identifier: MIT

// The plots: what the counters said over the last five minutes.

import uPlot from "uplot";

import { quantile, type Stats } from "./api.js";

const keep = 300; // seconds

interface Line {
	name: string;
	color: string; // a variable of the style sheet
	value: (now: Stats, before: Stats, seconds: number) => number | null;
}

interface Spec {
	title: string;
	unit: string;
	digits: number;
	lines: Line[];
}

const rate = (of: (s: Stats) => number): Line["value"] => (now, before, seconds) => Math.max(of(now) - of(before), 0) / seconds;

const rtt = (q: number): Line["value"] => (now, before) => {
	const counts = now.rtt_ns.counts.map((c, i) => c - before.rtt_ns.counts[i]);
	const ns = quantile(now.rtt_ns, counts, q);
	return Number.isNaN(ns) ? null : ns / 1e6;
};

const sum = (of: Record<string, number>): number => Object.values(of).reduce((a, b) => a + b, 0);

const load = (pick: (...loads: number[]) => number): Line["value"] => (now, before, seconds) =>
	pick(...now.transport.loops.map((l, i) => ((l.busy_ns - before.transport.loops[i].busy_ns) / 1e7) / seconds));

const specs: Spec[] = [
	{
		title: "Sessions", unit: "", digits: 0,
		lines: [
			{ name: "attached", color: "--plot-1", value: (s) => sum(s.attached) },
			{ name: "detached", color: "--plot-2", value: (s) => s.detached },
		],
	},
	{ title: "Packets in", unit: "/s", digits: 0, lines: [{ name: "packets", color: "--plot-1", value: rate((s) => s.transport.packets_in) }] },
	{
		title: "Round trip", unit: "ms", digits: 1,
		lines: [{ name: "median", color: "--plot-1", value: rtt(0.5) }, { name: "99 %", color: "--plot-2", value: rtt(0.99) }],
	},
	{
		title: "Links", unit: "/s", digits: 1,
		lines: [
			{ name: "resumed", color: "--plot-1", value: rate((s) => s.resumed + s.resets) },
			{ name: "lost", color: "--plot-2", value: rate((s) => sum(s.lost)) },
		],
	},
	{ title: "Retransmits", unit: "/s", digits: 1, lines: [{ name: "segments", color: "--plot-2", value: rate((s) => s.transport.retransmits) }] },
	{
		title: "Loop load", unit: "%", digits: 1,
		lines: [
			{ name: "busiest", color: "--plot-2", value: load(Math.max) },
			{ name: "mean", color: "--plot-1", value: load((...l) => l.reduce((a, b) => a + b, 0) / Math.max(l.length, 1)) },
		],
	},
];

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Plot {
	private readonly data: (number | null)[][];
	private readonly figures: HTMLElement[];
	private readonly u: uPlot;

	constructor(private readonly spec: Spec, parent: HTMLElement) {
		const card = document.createElement("figure");
		const caption = document.createElement("figcaption");
		const title = document.createElement("h2");
		title.textContent = spec.title;
		caption.append(title);
		this.figures = spec.lines.map((l) => {
			const span = document.createElement("span");
			span.style.setProperty("--dot", `var(${l.color})`);
			const figure = document.createElement("b");
			span.append(`${l.name} `, figure, spec.unit === "" ? "" : ` ${spec.unit}`);
			caption.append(span);
			return figure;
		});
		const area = document.createElement("div");
		card.append(caption, area);
		parent.append(card);
		this.data = [[], ...spec.lines.map(() => [])];
		const axis = { stroke: () => css("--muted"), grid: { stroke: () => css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
		this.u = new uPlot(
			{
				width: 300, height: 134, legend: { show: false }, padding: [8, 20, 2, 0],
				cursor: { points: { size: 6 }, y: false, drag: { x: false, y: false } },
				scales: { x: { time: true, range: (_u, min, max) => [Math.min(min, max - 60), max] }, y: { range: (_u, _min, max) => [0, niceTop(max ?? 0)] } },
				axes: [
					{ ...axis, space: 80, size: 26, values: (_u, list) => list.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB")) },
					{ ...axis, size: 44, space: 28, values: (_u, list) => list.map((v) => (v >= 1000 ? `${+(v / 1000).toFixed(1)}k` : String(+v.toFixed(2)))) },
				],
				series: [{}, ...spec.lines.map((l) => ({ stroke: () => css(l.color), width: 1.5, points: { show: false }, spanGaps: true }))],
			},
			this.data as uPlot.AlignedData,
			area,
		);
		new ResizeObserver(() => this.u.setSize({ width: area.clientWidth, height: 134 })).observe(area);
	}

	push(at: number, now: Stats, before: Stats, seconds: number): void {
		this.data[0].push(at);
		this.spec.lines.forEach((l, i) => {
			const v = l.value(now, before, seconds);
			this.data[i + 1].push(v);
			const last = v ?? this.data[i + 1].findLast((x) => x !== null) ?? null;
			this.figures[i].textContent = last === null ? "–" : last >= 10_000 ? Math.round(last).toLocaleString("en") : last.toFixed(this.spec.digits);
		});
		while (this.data[0].length > 1 && this.data[0][0]! < at - keep) {
			this.data.forEach((d) => d.shift());
		}
		this.u.setData(this.data as uPlot.AlignedData);
	}

	redraw(): void {
		this.u.redraw(false, true);
	}
}

function niceTop(max: number): number {
	if (max <= 0) {
		return 1;
	}
	const unit = 10 ** Math.floor(Math.log10(max));
	return [1, 1.5, 2, 3, 5, 7.5, 10].map((m) => m * unit).find((top) => top >= max * 1.08) ?? 10 * unit;
}

export class Plots {
	private readonly plots: Plot[];
	private last: { at: number; stats: Stats } | null = null;

	constructor(parent: HTMLElement) {
		this.plots = specs.map((s) => new Plot(s, parent));
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plots.forEach((p) => p.redraw()));
	}

	/** Takes over what the server counted by now. */
	push(stats: Stats): void {
		const at = performance.now() / 1000;
		// After a restart of the server all counters begin anew.
		const same = this.last !== null && stats.opened >= this.last.stats.opened && stats.transport.packets_in >= this.last.stats.transport.packets_in &&
			stats.transport.loops.length === this.last.stats.transport.loops.length;
		if (same && at - this.last!.at > 0.2) {
			this.plots.forEach((p) => p.push(Date.now() / 1000, stats, this.last!.stats, at - this.last!.at));
		}
		this.last = { at, stats };
	}
}
