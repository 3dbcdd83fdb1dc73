// SPDX-License-Identifier: MIT

// All that a game's server and clients say to each other.

import { LifelineError } from "./errors.js";
import type { RequestOptions } from "./config.js";
import type { Infer, Type } from "./types.js";

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

/** That of a client without one: all types are given with each call. */
export type NoSchema = { readonly text?: string; readonly messages: {}; readonly requests: {}; readonly pushes: {}; readonly questions: {} };

/** The parts of a schema that have routes. */
export type Part = "messages" | "requests" | "pushes" | "questions";

/** The names of a schema's routes. */
export type RouteOf<S extends Schema, P extends Part> = keyof S[P] & string;

/** What travels on a route: of a request, the 0th is the question and the 1st the answer. */
export type Payload<T, N extends number = 0> = T extends readonly Type<any>[] ? Infer<T[N]> : Infer<T>;

/** The argument of a message behind its route: a value that is nothing may be left out. */
export type Sending<V> = [V] extends [void] ? [value?: V] : [value: V];

/** The arguments of a request behind its route: a question that is nothing may be left out. */
export type Asking<Q> = [Q] extends [void] ? [question?: Q, options?: RequestOptions] : [question: Q, options?: RequestOptions];

/** The types of a route of the schema. */
export function typesOn(schema: Schema | undefined, part: Part, route: string): readonly Type<any>[] {
	const of = schema && Object.hasOwn(schema[part], route) ? schema[part][route] : undefined;
	if (of === undefined) {
		throw new LifelineError(schema ? `lifeline: the schema has no ${route} in its ${part}` : `lifeline: ${route} needs a type, as the client has no schema`);
	}
	return "read" in of ? [of] : of;
}

/** What a route's name is by which a server tells its messages: framework/gen. */
export const schemaRoute = /^schema\.[0-9a-f]{16}$/;
