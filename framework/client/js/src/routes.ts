// SPDX-License-Identifier: MIT

// Names of routes and the numbers that stand for them: session/SPEC.md 3.12.

import { CodecError } from "./codec.js";
import { maxRouteName, type Route } from "./envelope.js";
import { encodeText } from "./text.js";

/** Translates routes by the dictionary of the current session. */
export class Routes {
	private dictionary: readonly string[] = []; // what numbers is made from
	private numbers = new Map<string, number>();

	/** current returns the dictionary of the session, empty without one. */
	constructor(private readonly current: () => readonly string[]) {}

	/** A route as it is written: its number if the dictionary has one, else its name. Throws if it is no name. */
	encode(name: string): Route {
		const current = this.current();
		if (this.dictionary !== current) {
			this.dictionary = current;
			this.numbers = new Map(current.map((route, n) => [route, n]));
		}
		const n = this.numbers.get(name);
		if (n !== undefined) {
			return n;
		}
		const size = name.length <= maxRouteName ? encodeText(name).length : Infinity;
		if (size < 1 || size > maxRouteName) {
			throw new CodecError("route", name);
		}
		return name;
	}

	/** The dictionary; of a session that is over its last one, until something is encoded. */
	get latest(): readonly string[] {
		const current = this.current();
		return current.length > 0 ? current : this.dictionary;
	}

	/** The name of a route. */
	name(route: Route): string {
		return nameOf(route, this.latest);
	}
}

/** The name of a route. A number that the dictionary does not have becomes "#" and the number. */
export function nameOf(route: Route, dictionary: readonly string[]): string {
	return typeof route === "string" ? route : (dictionary[route] ?? `#${route}`);
}

/** Runs fn, and adds the route to a CodecError. */
export function onRoute<T>(route: string, fn: () => T): T {
	try {
		return fn();
	} catch (e) {
		throw e instanceof CodecError ? new CodecError(e.word, e.detail, e.path === "" ? route : `${route}: ${e.path}`) : e;
	}
}
