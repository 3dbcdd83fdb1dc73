// SPDX-License-Identifier: MIT

// What the admin handler answers: framework/stats.go and framework/inspect.go.

export interface Histogram {
	bounds: number[];
	counts: number[];
	sum: number;
}

export interface Stats {
	sessions: number;
	attached: Record<string, number>;
	detached: number;
	resumed: number;
	resets: number;
	opened: number;
	ended: number;
	lost: Record<string, number>;
	rtt_ns: Histogram;
	cluster?: ClusterStats;
	transport: {
		packets_in: number;
		retransmits: number;
		loops: { busy_ns: number; packets: number }[];
	};
}

export interface Session {
	id: string;
	user: string;
	state: string;
	carrier?: string;
	address?: string;
	rtt_ms: number;
	silent_s: number;
	queued: number;
	queued_bytes: number;
	inbox: number;
	holding: boolean;
	resumes: number;
	age_s: number;
	room?: string;
	link_bytes_in: number;
	link_bytes_out: number;
	link_retransmits: number;
}

export interface Room {
	type: string;
	key: string;
	players: number;
	ready: number;
	posted: number;
}

/** A room of a cluster. */
export interface Placed {
	type: string;
	key: string;
	node: number;
	owner: string;
	gen: number;
	players: number;
	watched: number;
	seats: number;
	locked: boolean;
}

export interface ClusterStats {
	sessions: Record<string, number>;
	lease_left_ns: number;
	pauses: number;
}

/** What a server of a cluster sees: framework/cluster/page.go. */
export interface Cluster {
	incarnation: string;
	servers: {
		node: number;
		incarnation: string;
		address: string;
		state: string;
		renewed_ms: number;
		players: number;
		rooms: number;
		stats?: ClusterStats;
		unreachable?: string;
	}[];
	sessions?: { state: string; node: number; rooms?: string[] }[];
	rooms?: Placed[];
	more_rooms?: boolean;
}

/** A signal that ends a request after a time: AbortSignal.timeout is younger than the browsers that we take. */
export function timeout(ms: number): AbortSignal {
	const late = new AbortController();
	setTimeout(() => late.abort(new DOMException(`no answer in ${ms} ms`, "TimeoutError")), ms);
	return late.signal;
}

const tokenKey = "lifeline-admin";

/** Asks the server; whoever reads gives the token when it wants one. */
export class Server {
	private asking: Promise<void> | null = null;

	/** askToken returns the token that the reader types in. */
	constructor(private readonly askToken: (again: boolean) => Promise<string>) {}

	async get<T>(path: string): Promise<T> {
		return (await this.fetch(path)).json();
	}

	async post(path: string, body?: string): Promise<string> {
		return (await this.fetch(path, { method: "POST", body: body ?? null })).text();
	}

	private async fetch(path: string, init: RequestInit = {}): Promise<Response> {
		for (;;) {
			await this.asking;
			const token = sessionStorage.getItem(tokenKey);
			const headers: HeadersInit = token ? { Authorization: `Bearer ${token}` } : {};
			const r = await fetch(path, { ...init, headers, signal: timeout(10_000) });
			if (r.status !== 401) {
				if (!r.ok) {
					throw new Error((await r.text()).trim() || r.statusText);
				}
				return r;
			}
			// One question, however many requests were refused.
			if (sessionStorage.getItem(tokenKey) === token) {
				this.asking ??= this.askToken(token !== null)
					.then((t) => sessionStorage.setItem(tokenKey, t))
					.finally(() => (this.asking = null));
			}
		}
	}
}

/** The value below which a share q of what was counted lies; NaN if nothing was. */
export function quantile(h: Histogram, counts: number[], q: number): number {
	const total = counts.reduce((a, b) => a + b, 0);
	if (total === 0) {
		return NaN;
	}
	let rest = q * total;
	for (let i = 0; i < counts.length; i++) {
		if (rest <= counts[i] && counts[i] > 0) {
			const low = i === 0 ? 0 : h.bounds[i - 1];
			const high = h.bounds[i] ?? h.bounds[h.bounds.length - 1];
			return low + ((high - low) * rest) / counts[i];
		}
		rest -= counts[i];
	}
	return h.bounds[h.bounds.length - 1];
}
