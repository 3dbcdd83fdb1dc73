// SPDX-License-Identifier: MIT

// What the client tells the app.

import type { CloseError, Code } from "./code.js";

/** Something that was sent. */
export interface Sent {
	route: string;
	payload: Uint8Array;
	request: boolean;
}

/**
 * What became of the session. The usual order, where "trying" stands for
 * connecting ((failed | refused) connecting)*, is
 *
 *	trying opened (lost trying (resumed | reset | gone opened))* closed
 */
export type ClientEvent =
	/** An attempt to reach the server begins. */
	| { kind: "connecting" }
	/**
	 * The attempt failed: no address answered, or there was no ticket. The next
	 * one follows after so many milliseconds, or at once by hurry.
	 */
	| { kind: "failed"; error: Error; delay: number }
	/**
	 * The server said no for now, as when it is full (Code.Busy, with its text):
	 * the client waits so many milliseconds and asks again by itself.
	 */
	| { kind: "refused"; error: CloseError; delay: number }
	/**
	 * A new session; after gone it is another one. It is in no room: join here.
	 * What was sent before and is larger than this server takes is undelivered.
	 */
	| { kind: "opened"; undelivered: Sent[] }
	/** The link is gone and the client is coming back. Send and request go on working: what they take waits. */
	| { kind: "lost"; error: CloseError }
	/** The session is back. Nothing was lost and nothing comes twice. */
	| { kind: "resumed" }
	/**
	 * The server stops or sheds load, and lets this client go after so many
	 * milliseconds. Nothing changes until then; the client comes back by itself, where it was told to.
	 */
	| { kind: "moving"; delay: number }
	/**
	 * The session is back, but what the server sent meanwhile is lost: expect a snapshot.
	 * Requests without an answer have failed. It is in its rooms, or, if its server has
	 * crashed, joins them again by itself: see Room.onJoined. If the page was reloaded before
	 * it was let in, it is in none: join here, too. The reason is a code of a session's end;
	 * after a reload of the page it is Gone. Undelivered is what a server that was lost may
	 * have handled, or not: mostly nothing.
	 */
	| { kind: "reset"; reason: Code; undelivered: Sent[] }
	/** The session is over, its seat in a room too, and the client logs in anew. Undelivered is what was sent and not accepted, as far as it is known. */
	| { kind: "gone"; error: CloseError; undelivered: Sent[] }
	/** The client has ended for good. It is the last state. */
	| { kind: "closed"; error: CloseError; undelivered: Sent[] };
