// SPDX-License-Identifier: MIT

// Matchmaking, parties and presence: framework/client/CLIENT.md 9. Apart from the client,
// so that a page which uses none of them downloads none of them.

import type { Client } from "./client.js";
import type { RequestOptions } from "./config.js";
import { bool, list, nothing, str, struct, type Type, uint } from "./types.js";

/** What a ticket waits for. */
export const TicketState = { None: 0, Waiting: 1, Proposed: 2, Seating: 3, Matched: 4 } as const;

const TicketType = struct({
	queue: str, state: uint, before: uint, usual: uint, waited: uint, match: uint, players: uint, accepted: uint, you: bool, left: uint,
	why: uint, text: str, type: str, key: str,
});

/** How it stands with a player that waits. Times are in milliseconds, as of when it was told. */
export interface QueueTicket {
	queue: string;
	/** One of TicketState. */
	state: number;
	/** How many tickets are older. */
	before: number;
	/** How long tickets have waited of late; 0: not known. */
	usual: number;
	waited: number;
	/** The match to answer, once proposed: see Queue.answer. */
	match: number;
	/** How many the match has, and how many of them have accepted. */
	players: number;
	accepted: number;
	/** Whether this player has. */
	you: boolean;
	/** How long there is to do so. */
	left: number;
	/** Why the ticket has come back or is over: 0, or as in CLIENT.md 9, and in words. */
	why: number;
	text: string;
	/** The room, once matched. */
	type: string;
	key: string;
}

const WishType = struct({ queue: str, regions: list(struct({ name: str, milliseconds: uint })), fields: list(struct({ name: str, value: str })) });
const Answer = struct({ match: uint, accept: bool });
const noTicket: QueueTicket = { queue: "", state: 0, before: 0, usual: 0, waited: 0, match: 0, players: 0, accepted: 0, you: false, left: 0, why: 0, text: "", type: "", key: "" };

/** What a player asks for: regions by their round trip in milliseconds, and what else the game's server reads. */
export interface Wish {
	regions?: Readonly<Record<string, number>> | undefined;
	fields?: Readonly<Record<string, string>> | undefined;
}

/** The client's view of the server's matchmaking: a player waits in one queue at a time. One a client. */
export class Queue {
	/** How it stands. */
	ticket: QueueTicket = noTicket;
	/** Called whenever the ticket has changed. */
	onTicket: ((ticket: QueueTicket) => unknown) | null = null;

	constructor(private readonly client: Client<any>) {
		client.onMessage("match.ticket", TicketType, (t) => this.take(t));
		client.onEnd(() => this.ticket.state !== TicketState.None && this.take({ ...noTicket, text: "the session has ended" }));
	}

	private take(ticket: QueueTicket): unknown {
		this.ticket = ticket;
		return this.onTicket?.(ticket);
	}

	/**
	 * Waits for a match in a queue, with the player's party. onTicket tells of what follows.
	 * Rejects as Client.request does: with Failure.Refused if it waits already or has declined
	 * too often, Failure.Busy if the queue is full, Failure.InRoom if it is in such a room.
	 */
	async enter(queue: string, wish: Wish = {}, options?: RequestOptions): Promise<void> {
		const regions = Object.entries(wish.regions ?? {}).map(([name, ms]) => ({ name, milliseconds: Math.round(ms) }));
		const fields = Object.entries(wish.fields ?? {}).map(([name, value]) => ({ name, value }));
		await this.client.request("match.enter", WishType, { queue, regions, fields }, TicketType, options);
	}

	/** Leaves the queue. */
	async cancel(options?: RequestOptions): Promise<void> {
		await this.client.request("match.cancel", nothing, undefined, bool, options);
	}

	/** Accepts the match of a ticket that is proposed, or declines it: then the party is out of the queue. */
	async answer(match: number, accept: boolean, options?: RequestOptions): Promise<void> {
		await this.client.request("match.answer", Answer, { match, accept }, bool, options);
	}
}

const PartyType = struct({ id: uint, leader: str, size: uint, members: list(struct({ user: str, away: bool, ready: bool })), why: str });
const InvitationType = struct({ party: uint, by: str, milliseconds: uint });

/** A party. Its id is 0 without one, and why says how it ended: "left", "kicked". */
export interface PartyState {
	id: number;
	leader: string;
	/** How many it may have. */
	size: number;
	/** One that is away has no link; its place is kept. */
	members: { user: string; away: boolean; ready: boolean }[];
	why: string;
}

/** An invitation into a party, for so many milliseconds. */
export interface Invitation {
	party: number;
	by: string;
	milliseconds: number;
}

const noParty: PartyState = { id: 0, leader: "", size: 0, members: [], why: "" };

/** The client's view of its party. One a client. All that asks rejects as Client.request does. */
export class Party {
	/** The party. */
	state: PartyState = noParty;
	/** Called whenever the party has changed. */
	onChanged: ((party: PartyState) => unknown) | null = null;
	/** Called for an invitation: see join. */
	onInvited: ((invitation: Invitation) => unknown) | null = null;

	constructor(private readonly client: Client<any>) {
		client.onMessage("party.state", PartyType, (s) => this.take(s));
		client.onMessage("party.invited", InvitationType, (i) => this.onInvited?.(i));
		client.onEnd(() => this.state.id !== 0 && this.take({ ...noParty, why: "the session has ended" }));
	}

	private take(state: PartyState): unknown {
		this.state = state;
		return this.onChanged?.(state);
	}

	/** Invites a user, into a new party if there is none. */
	async invite(user: string, options?: RequestOptions): Promise<void> {
		await this.client.request("party.invite", str, user, PartyType, options);
	}

	/** Accepts an invitation. */
	async join(party: number, options?: RequestOptions): Promise<void> {
		await this.client.request("party.join", uint, party, PartyType, options);
	}

	/** Declines an invitation. */
	async decline(party: number, options?: RequestOptions): Promise<void> {
		await this.client.request("party.decline", uint, party, bool, options);
	}

	/** Leaves the party. The lead passes on. */
	async leave(options?: RequestOptions): Promise<void> {
		await this.client.request("party.leave", nothing, undefined, bool, options);
	}

	/** Takes a user out of the party that the player leads. */
	async kick(user: string, options?: RequestOptions): Promise<void> {
		await this.client.request("party.kick", str, user, bool, options);
	}

	/** Passes the lead to a user. */
	async lead(user: string, options?: RequestOptions): Promise<void> {
		await this.client.request("party.lead", str, user, bool, options);
	}

	/** Says whether the player is ready. It is not any more when somebody comes or goes. */
	async ready(ready: boolean, options?: RequestOptions): Promise<void> {
		await this.client.request("party.ready", bool, ready, bool, options);
	}
}

/** Where a user is: away is a session without a link, which may be back any moment. */
export const Presence = { Offline: 0, Away: 1, Online: 2, Playing: 3 } as const;

const UserType = struct({ user: str, presence: uint, text: str });

/** Where a user is, as one of Presence, and what the game says of it. */
export interface UserState {
	user: string;
	presence: number;
	text: string;
}

/** The client's view of the users that it watches. One a client. */
export class Friends {
	/** The users that are watched, by name. */
	readonly states = new Map<string, UserState>();
	/** Called when a user that is watched comes, goes, or does something else. */
	onChanged: ((state: UserState) => unknown) | null = null;

	constructor(private readonly client: Client<any>) {
		client.onMessage("presence.changed", UserType, (s) => this.take(s));
		client.onMessage("presence.all", list(UserType), (all) => Promise.all(all.map(async (s) => this.take(s)))); // one that throws stops no other
		client.onEnd(() => this.states.clear());
	}

	private take(now: UserState): unknown {
		const was = this.states.get(now.user);
		this.states.set(now.user, now);
		return (was?.presence !== now.presence || was.text !== now.text) && this.onChanged?.(now);
	}

	/**
	 * Watches users, and resolves with where they are: those that the game lets the player
	 * watch. Watches end with the session: watch again when opened comes. Rejects as
	 * Client.request does: with Failure.Full if they are too many.
	 */
	watch(users: readonly string[], options?: RequestOptions): Promise<UserState[]> {
		const before = new Map(this.states);
		const watched = inPlace(list(UserType), (all) => {
			for (const s of all) {
				if (this.states.get(s.user) === before.get(s.user)) { // else it was told of meanwhile, perhaps after this
					this.states.set(s.user, s);
				}
			}
		});
		return this.client.request("presence.watch", list(str), [...users], watched, options);
	}

	/** Watches users no more, or nobody if none is named. */
	async unwatch(users: readonly string[] = [], options?: RequestOptions): Promise<void> {
		const unwatched = inPlace(bool, () => (users.length > 0 ? users : [...this.states.keys()]).forEach((user) => this.states.delete(user)));
		await this.client.request("presence.unwatch", list(str), [...users], unwatched, options);
	}
}

/** Takes an answer in its place among what the server tells: what awaits it goes on later. */
function inPlace<T>(type: Type<T>, take: (answer: T) => void): Type<T> {
	return {
		...type,
		read: (r) => {
			const answer = type.read(r);
			take(answer);
			return answer;
		},
	};
}
