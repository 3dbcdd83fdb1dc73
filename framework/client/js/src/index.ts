// SPDX-License-Identifier: MIT

export { Client } from "./client.js";
export { Failure, RequestError } from "./config.js";
export type { ClientConfig, ConnectOptions, RequestOptions, Stats, Ticket } from "./config.js";
export type { ClientEvent, Sent } from "./events.js";
export type { Platform } from "./platform.js";
export type { Socket } from "./socket.js";
export { ClosedError, LifelineError, QueueFullError, SchemaError, TimeoutError } from "./errors.js";
export { Code, CloseError, codeText } from "./code.js";
export { CodecError } from "./codec.js";
export { type LeaveReason, type Room, RoomCode, type RoomInfo } from "./rooms.js";
export {
	Friends, type Invitation, Party, type PartyState, Presence, Queue, type QueueTicket, TicketState, type UserState, type Wish,
} from "./social.js";
export type { CodecWord } from "./codec.js";
export type { Params } from "./control.js";
export type { Reader, Writer } from "./msgpack.js";
export type { Asking, NoSchema, Part, Payload, RouteOf, Schema, Sending } from "./schema.js";
export * from "./types.js";
