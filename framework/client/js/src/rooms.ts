// SPDX-License-Identifier: MIT

// Which rooms the client is in: codec/SPEC.md 6.4.

import type { CloseError } from "./code.js";
import type { RequestOptions } from "./config.js";
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

/** The codes of a LeaveReason that are no session's. */
export const RoomCode = { Finished: 300, Empty: 301, Moved: 302, Removed: 303 } as const;

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
	 * before join resolves.
	 */
	onJoined: ((key: string) => unknown) | null = null;
	/**
	 * Called when the client is out of a room of the type: by leave, because the room has
	 * ended, the server has taken it out or moved it to another room (onJoined comes
	 * first then), or because the session has ended. No message of the room comes after.
	 */
	onLeft: ((key: string, why: LeaveReason) => unknown) | null = null;
	private listed = new Map<string, RoomInfo>();
	private onList: ((rooms: RoomInfo[]) => unknown) | null = null;

	constructor(readonly type: string, private readonly ask: Ask) {}

	/**
	 * Takes a seat in the room of a key, and resolves with the key. Without one that is
	 * the fullest room which takes strangers and has a free seat, or a new one. In the
	 * room that the client is in it is in already. Rejects as Client.request does.
	 */
	join(key = "", options?: RequestOptions): Promise<string> {
		return this.ask("room.join", [this.type, key], str, options);
	}

	/** Enters the room of a key to listen only, where the server allows spectators. */
	async watch(key: string, options?: RequestOptions): Promise<void> {
		await this.ask("room.watch", [this.type, key], str, options);
	}

	/** Gives up the seat. */
	leave(options?: RequestOptions): Promise<void> {
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
	 * has changed, half a second later at most. A list of more than 20 rooms comes in parts.
	 * It ends with the session: follow again when opened comes. A RESET and a move to another
	 * server begin the list anew.
	 */
	async follow(filter: string, fn: (rooms: RoomInfo[]) => unknown, options?: RequestOptions): Promise<void> {
		this.onList = fn;
		await this.ask("room.follow", [this.type, filter], uint, options);
	}

	/** Ends follow. */
	unfollow(options?: RequestOptions): Promise<void> {
		this.onList = null;
		return this.ask("room.unfollow", [this.type], nothing, options);
	}

	/** Takes what the server tells of the list that is followed. @internal */
	takeNews(news: Infer<typeof ListNews>): void {
		if (news.whole) {
			this.listed.clear();
		}
		news.rooms.forEach((r) => this.listed.set(r.key, infoOf(r)));
		news.gone.forEach((key) => this.listed.delete(key));
		this.onList?.([...this.listed.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
	}
}

/** All rooms of a client. */
export class Rooms {
	private readonly all = new Map<string, Room>();

	constructor(private readonly ask: Ask, private readonly guard: Guard, handlers: Handlers) {
		handlers.onMessage("room.joined", Place, (p) => this.joined(p.type, p.key, p.watching));
		handlers.onMessage("room.left", Left, (p) => this.left(p.type, p.key, p));
		handlers.onMessage("room.listed", ListNews, (n) => this.guard.run(() => this.room(n.type).takeNews(n)));
		handlers.onMessage("room.all", list(Place), (places) => {
			const here = new Map(places.map((p) => [p.type, p.key]));
			this.leftAll({ code: 0, text: "while the client was away" }, (r) => here.get(r.type) === r.key);
			places.forEach((p) => this.joined(p.type, p.key, p.watching));
		});
	}

	/** Returns the view of a type of room, always the same one. */
	room(type: string): Room {
		let room = this.all.get(type);
		if (room === undefined) {
			this.all.set(type, (room = new Room(type, this.ask)));
		}
		return room;
	}

	/** Leaves all rooms of a session that has ended. */
	ended(error: CloseError): void {
		this.leftAll({ code: error.code, text: error.text }, () => false);
	}

	private joined(type: string, key: string, watching: boolean): void {
		const room = this.room(type);
		const known = room.key === key && room.watching === watching;
		Object.assign(room, { key, watching });
		if (!known) {
			this.guard.run(() => room.onJoined?.(key));
		}
	}

	private left(type: string, key: string, { code, text }: LeaveReason): void {
		const room = this.room(type);
		if (room.key === key) { // else it was moved, and is in another one by now
			Object.assign(room, { key: null, watching: false });
		}
		this.guard.run(() => room.onLeft?.(key, { code, text }));
	}

	private leftAll(why: LeaveReason, stays: (room: Room) => boolean): void {
		for (const room of [...this.all.values()]) {
			if (room.key !== null && !stays(room)) {
				this.left(room.type, room.key, why);
			}
		}
	}
}
