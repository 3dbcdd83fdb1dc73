// SPDX-License-Identifier: MIT

// What goes wrong, by cause. All errors of this package are LifelineErrors, but
// for the reason of a signal and TypeErrors and RangeErrors of wrong arguments.

/** Any error of this package. */
export class LifelineError extends Error {
	override readonly name: string = "LifelineError";
}

/** Nothing came in time, which says nothing about what the server did. */
export class TimeoutError extends LifelineError {
	override readonly name = "TimeoutError";
}

/** The client has ended. */
export class ClosedError extends LifelineError {
	override readonly name = "ClosedError";
}

/** Too much waits to be accepted by the server. */
export class QueueFullError extends LifelineError {
	override readonly name = "QueueFullError";
}

/** The messages of the server are not those that this client was built with. */
export class SchemaError extends LifelineError {
	override readonly name = "SchemaError";

	/** problems names each place: "game.Spot, field 2: the client has X:float32, the server X:float64". */
	constructor(readonly problems: readonly string[]) {
		super(`lifeline: the server's messages are others than this client's: ${problems.join("; ")}`);
	}
}
