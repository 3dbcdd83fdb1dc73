// SPDX-License-Identifier: MIT

// Which rooms the client is in: codec/SPEC.md 6.4.

import type { CloseError } from "./code.js";
import { Failure, RequestError, type RequestOptions } from "./config.js";
import { ClosedError, QueueFullError } from "./errors.js";
import type { Guard } from "./guard.js";
import type { Handlers } from "./handlers.js";
import { bool, type Infer, list, nothing, str, struct, type Type, uint } from "./types.js";

/**
 * Why the client has left a room: a code of a session's end, one of RoomCode, or one
 * of the game's, from 1,000 on. It is 0 if that was told while the client was away
 * and is lost.
 */
export interface LeaveReason {
	code: number;
	text: string;
}

/** What a list tells of a room. Without a limit there are 0 seats. Watched counts spectators. */
export interface RoomInfo {
	key: string;
	players: number;
	seats: number;
	watched: number;
	open: boolean;
	/** What the room has published. */
	published: Record<string, string>;
}

/**
 * The codes of a LeaveReason that are no session's. Lost: the room's server has crashed, and
 * the room did not let the client in again; the text says why.
 */
export const RoomCode = { Finished: 300, Empty: 301, Moved: 302, Removed: 303, Lost: 304 } as const;

const Place = struct({ type: str, key: str, watching: bool });
const Left = struct({ type: str, key: str, code: uint, text: str });
const Listed = struct({ key: str, players: uint, seats: uint, watched: uint, open: bool, published: list(list(str)) });
const RoomList = struct({ total: uint, rooms: list(Listed) });
const ListNews = struct({ type: str, whole: bool, rooms: list(Listed), gone: list(str) });

function infoOf(room: Infer<typeof Listed>): RoomInfo {
	return { ...room, published: Object.fromEntries(room.published) as Record<string, string> };
}

/** The body of a request of rooms. */
export const Wish = list(str);

/** What a server in development tells of a message that came to nothing. */
export const Refused = struct({ route: str, code: uint, text: str });

/** How often a client asks again for a room that was lost, if the answer is BUSY. */
const maxAgain = 6;

/** Bounds the pause before that, in milliseconds, and doubles with each. */
const pauseAgain = 500;

/** The first code of the game's own. */
const gameCodes = 1000;

/** A wish to be in a room again whose server has crashed: framework/client/CLIENT.md 7. */
interface Again {
	tries: number;
	why: unknown; // of the last answer
	timer: ReturnType<typeof setTimeout> | undefined; // until the client asks again; without one it waits for the answer
	last: boolean; // the app has decided for itself: the client does not ask again
}

/** Sends a request: Client.request. */
type Ask = <A>(route: string, body: string[], answer: Type<A>, options?: RequestOptions) => Promise<A>;

/**
 * The client's view of one type of room: of which one it is in, by its own wish or the
 * server's, and why it is out again. A client is in one room of each type at a time.
 */
export class Room {
	/** The key of the room that the client is in; null if it is in none of the type. */
	key: string | null = null;
	/** Whether it is in as a spectator. */
	watching = false;
	/**
	 * Called when the client gets into a room of the type, by join or because the server
	 * has put it there: after the messages that the room sent it on the way in, and
	 * before join resolves. If a server has crashed, the client joins its rooms again by
	 * itself. It is then called once more, with the same key and without onLeft: the room was
	 * made anew, and knows nothing of what the client has told it.
	 */
	onJoined: ((key: string) => unknown) | null = null;
	/**
	 * Called when the client is out of a room of the type: by leave, because the room has
	 * ended, the server has taken it out or moved it to another room (onJoined comes
	 * first then), because the session has ended, or because the server has crashed and the
	 * room does not let it in again (RoomCode.Lost). No message of the room comes after.
	 */
	onLeft: ((key: string, why: LeaveReason) => unknown) | null = null;
	/** Null unless the room is lost, and asked for again. @internal */
	again: Again | null = null;
	/** The rooms that it was moved out of, until room.left of them comes. @internal */
	behind = new Set<string>();
	private listed = new Map<string, RoomInfo>();
	private onList: ((rooms: RoomInfo[]) => unknown) | null = null;
	private follows = 0; // calls of follow and unfollow

	constructor(readonly type: string, private readonly ask: Ask, private readonly appDecides: (type: string) => void) {}

	/**
	 * Takes a seat in the room of a key, and resolves with the key. Without one that is
	 * the fullest room which takes strangers and has a free seat, or a new one. In the
	 * room that the client is in it is in already. Rejects as Client.request does.
	 */
	join(key = "", options?: RequestOptions): Promise<string> {
		this.appDecides(this.type);
		return this.ask("room.join", [this.type, key], str, options);
	}

	/** Enters the room of a key to listen only, where the server allows spectators. */
	async watch(key: string, options?: RequestOptions): Promise<void> {
		this.appDecides(this.type);
		await this.ask("room.watch", [this.type, key], str, options);
	}

	/** Gives up the seat. */
	leave(options?: RequestOptions): Promise<void> {
		this.appDecides(this.type);
		return this.ask("room.leave", [this.type], nothing, options);
	}

	/**
	 * Resolves with rooms of the type, by key, 100 at most, and how many there are. A filter
	 * is terms with blanks between, all of which must hold, as in "map=ice rating>=1000
	 * free>0": a field that rooms publish, or key, players, seats, free, watched or open; one
	 * of = != < <= > >=; and a value, between quotes where it has blanks. Rejects as
	 * Client.request does: with Failure.BadRequest for a filter that can't be read, with
	 * Failure.Refused where the server lists no rooms of the type.
	 */
	async list(filter = "", options?: RequestOptions): Promise<{ rooms: RoomInfo[]; total: number }> {
		const { rooms, total } = await this.ask("room.list", [this.type, filter], RoomList, options);
		return { rooms: rooms.map(infoOf), total };
	}

	/**
	 * Lists again and again: fn gets the list before the promise resolves, and whenever it
	 * has changed, half a second later at most. A list of more than 20 rooms comes in parts. A
	 * second follow takes the place of the first, unless it is refused. It ends with the
	 * session: follow again when opened comes. A RESET and a move to another server begin the
	 * list anew.
	 */
	async follow(filter: string, fn: (rooms: RoomInfo[]) => unknown, options?: RequestOptions): Promise<void> {
		const was = this.onList;
		const turn = ++this.follows;
		this.onList = fn;
		try {
			await this.ask("room.follow", [this.type, filter], uint, options);
		} catch (e) {
			if (e instanceof RequestError && e.code !== Failure.Reset && turn === this.follows) {
				this.onList = was; // the server has changed nothing
			}
			throw e;
		}
	}

	/** Ends follow. */
	unfollow(options?: RequestOptions): Promise<void> {
		this.onList = null;
		this.follows++;
		return this.ask("room.unfollow", [this.type], nothing, options);
	}

	/** Takes what the server tells of the list that is followed. @internal */
	takeNews(news: Infer<typeof ListNews>): unknown {
		if (news.whole) {
			this.listed.clear();
		}
		news.rooms.forEach((r) => this.listed.set(r.key, infoOf(r)));
		news.gone.forEach((key) => this.listed.delete(key));
		return this.onList?.([...this.listed.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
	}
}

/** All rooms of a client. */
export class Rooms {
	private readonly all = new Map<string, Room>();
	private restart = false; // the server of the session was lost, and room.all has not come since

	constructor(private readonly ask: Ask, private readonly guard: Guard, handlers: Handlers, private readonly random: (bytes: Uint8Array) => void) {
		handlers.onMessage("room.joined", Place, (p) => this.joined(p.type, p.key, p.watching));
		handlers.onMessage("room.left", Left, (p) => this.left(p.type, p.key, p));
		handlers.onMessage("room.listed", ListNews, (n) => this.guard.run(() => this.room(n.type).takeNews(n)));
		handlers.onMessage("room.all", list(Place), (places) => {
			const here = new Map(places.map((p) => [p.type, p.key]));
			this.askAgain((r) => here.has(r.type));
			this.leftAll({ code: 0, text: "while the client was away" }, (r) => here.get(r.type) === r.key || (!here.has(r.type) && r.again !== null));
			places.forEach((p) => this.joined(p.type, p.key, p.watching));
		});
	}

	/** Returns the view of a type of room, always the same one. */
	room(type: string): Room {
		let room = this.all.get(type);
		if (room === undefined) {
			this.all.set(type, (room = new Room(type, this.ask, (t) => this.appDecides(t))));
		}
		return room;
	}

	/** Leaves all rooms of a session that has ended. */
	ended(error: CloseError): void {
		this.leftAll({ code: error.code, text: error.text }, () => false);
	}

	/** Takes note of a RESET. room.all is to come, and until then nothing is asked. */
	wasReset(restart: boolean): void {
		this.restart ||= restart;
		this.all.forEach((r) => clearTimeout(r.again?.timer));
	}

	/** Takes note that the app wishes something of a type, or of the only room. The client does not ask again by itself from here on. */
	appDecides(type?: string): void {
		for (const room of this.all.values()) {
			const { again } = room;
			if (again === null || (type !== undefined && type !== room.type)) {
				continue;
			}
			again.last = true;
			if (again.timer !== undefined) {
				clearTimeout(again.timer);
				again.timer = undefined;
				void Promise.resolve().then(() => this.refused(room, again, again.why)); // not within the app's call
			}
		}
	}

	private joined(type: string, key: string, watching: boolean): void {
		const room = this.room(type);
		const { key: lost, again } = room;
		const known = lost === key && room.watching === watching && again === null;
		setAgain(room, null);
		Object.assign(room, { key, watching });
		const moved = lost !== null && lost !== key;
		if (moved) {
			room.behind.add(lost);
		}
		if (!known) {
			this.guard.run(() => room.onJoined?.(key));
		}
		if (moved && again !== null) { // the server does not know of the room that was lost
			this.left(type, lost, { code: RoomCode.Moved, text: "" });
		}
	}

	private left(type: string, key: string, { code, text }: LeaveReason): void {
		const room = this.room(type);
		if (!room.behind.delete(key) && room.key === key) {
			setAgain(room, null);
			Object.assign(room, { key: null, watching: false });
		}
		this.guard.run(() => room.onLeft?.(key, { code, text }));
	}

	private leftAll(why: LeaveReason, stays: (room: Room) => boolean): void {
		this.restart = false;
		for (const room of this.sorted()) {
			room.behind.forEach((key) => this.left(room.type, key, why));
			if (room.key !== null && !stays(room)) {
				this.left(room.type, room.key, why);
			}
		}
	}

	private sorted(): Room[] {
		return [...this.all.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
	}

	// --- rooms of a server that has crashed

	/** Asks for the rooms that were lost: of each type that is not here, if the server was lost, or if the client had not got in again since. */
	private askAgain(here: (room: Room) => boolean): void {
		for (const room of this.sorted()) {
			if (room.key === null || here(room) || (room.again === null && !this.restart)) {
				continue;
			}
			const decided = room.again?.last === true; // by the app
			setAgain(room, null);
			if (!decided) {
				this.enter(room, (room.again = { tries: 0, why: undefined, timer: undefined, last: false }));
			}
		}
	}

	private enter(room: Room, again: Again): void {
		again.timer = undefined;
		this.ask(room.watching ? "room.watch" : "room.join", [room.type, room.key!], nothing, { timeout: Infinity }).then(
			() => room.again === again && setAgain(room, null), // it was a member still
			(e: unknown) => this.refused(room, again, e),
		);
	}

	private refused(room: Room, again: Again, why: unknown): void {
		const { code, text } = why instanceof RequestError ? why : { code: 0, text: (why as Error).message };
		if (room.again !== again || room.key === null || code === Failure.Reset || why instanceof ClosedError) {
			return; // it is over, or room.all is to come
		}
		// A room to be watched is there once one of its members is back.
		const busy = why instanceof QueueFullError || code === Failure.Busy || (room.watching && code === Failure.Refused);
		if (!busy || again.last || again.tries >= maxAgain) {
			this.left(room.type, room.key, { code: code >= gameCodes ? code : RoomCode.Lost, text });
			return;
		}
		again.why = why;
		again.timer = setTimeout(() => this.enter(room, again), this.below(pauseAgain * 2 ** again.tries++));
	}

	/** A random number below another one. */
	private below(most: number): number {
		const b = new Uint8Array(4);
		this.random(b);
		return (new DataView(b.buffer).getUint32(0) / 2 ** 32) * most;
	}
}

/** Sets what a room is asked for again by, and ends what it was. */
function setAgain(room: Room, again: Again | null): void {
	clearTimeout(room.again?.timer);
	room.again = again;
}
