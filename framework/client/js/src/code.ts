// SPDX-License-Identifier: MIT

import { LifelineError } from "./errors.js";

/**
 * Why a link or a session ended; the number alone tells what to do next. Below
 * 100 only the link is gone, below 200 the session, from 200 on the client
 * stays away, and from 1000 on the codes are the game's. session/SPEC.md 9.
 */
export const Code = {
	LinkLost: 1, Protocol: 2, Gap: 3, SlowReader: 4, Overloaded: 5, OpeningTimeout: 6, Busy: 7, ShuttingDown: 8, Moved: 9, Unsealed: 10,
	Unknown: 100, Gone: 101, Expired: 102, Stale: 103, Overflow: 104, TooOld: 105, Left: 106, Internal: 107, Inconsistent: 108,
	Kicked: 200, Banned: 201, TakenOver: 202, Version: 203, Policy: 204, Denied: 205, AlreadyIn: 206, Outdated: 207,
	Game: 1000,
} as const;
export type Code = number;

const words: Record<number, string> = {
	1: "link lost", 2: "protocol error", 3: "gap", 4: "slow reader", 5: "overloaded", 6: "opening timeout", 7: "busy", 8: "shutting down", 9: "moved", 10: "unsealed",
	100: "unknown session", 101: "session gone", 102: "expired", 103: "stale", 104: "overflow", 105: "too old", 106: "left",
	107: "internal error", 108: "counts contradict",
	200: "kicked", 201: "banned", 202: "taken over", 203: "version", 204: "policy", 205: "denied", 206: "already logged in", 207: "outdated",
};

/** A code in words. */
export function codeText(code: Code): string {
	return words[code] ?? `code ${code}`;
}

/** Reports whether only the link ended. */
export function isResumable(code: Code): boolean {
	return code < 100;
}

/** Reports whether the client must not come back by itself. */
export function isFinal(code: Code): boolean {
	return code >= 200;
}

/** The end of a link or session. */
export class CloseError extends LifelineError {
	override readonly name = "CloseError";

	/**
	 * remote tells that the server decided it. detail is, with Busy, how many
	 * milliseconds to wait, with Stale the last accepted attempt, with Gone how
	 * much was accepted in all. With a final code it is the game's, of KickWith or
	 * of a refused login.
	 */
	constructor(readonly code: Code, readonly text = "", readonly remote = false, readonly detail = 0n) {
		super(`${remote ? "closed by the server" : "closed"}: ${codeText(code)}${text === "" ? "" : `: ${text}`}`);
	}
}
