// SPDX-License-Identifier: MIT

// All that a game's server and clients say to each other.

import type { Type } from "./types.js";

/**
 * The routes of a server with the types of what travels on them. framework/gen
 * writes it from the server's own code; by hand it is declared
 * "as const satisfies Schema".
 */
export interface Schema {
	/** The lines of messages.lock, by which the server finds out what does not fit. By hand: leave it out. */
	readonly text?: string;
	/** What the client sends. */
	readonly messages: Readonly<Record<string, Type<any>>>;
	/** What the client asks, and what the server answers. */
	readonly requests: Readonly<Record<string, readonly [Type<any>, Type<any>]>>;
	/** What the server sends. */
	readonly pushes: Readonly<Record<string, Type<any>>>;
	/** What the server asks, and what the client answers. */
	readonly questions: Readonly<Record<string, readonly [Type<any>, Type<any>]>>;
}
