// SPDX-License-Identifier: MIT

// What the room and its players say to each other: examples/room/swarm/wire.go.

import { bool, f32, type Infer, int, list, nothing, str, struct, uint } from "../../../../framework/client/js/src/index.js";

export const Move = struct({ x: f32, y: f32 });
export const Chat = struct({ n: uint, text: str, from: str });
export const Spot = struct({ id: int, x: f32, y: f32, dropped: bool });
export const State = struct({ tick: uint, players: list(Spot) });
export const Name = struct({ id: int, name: str });
export const View = struct({ id: int, side: f32, step: f32, said: uint, players: list(Name) });
export { nothing, uint };

export type Chat = Infer<typeof Chat>;
export type State = Infer<typeof State>;
export type Spot = Infer<typeof Spot>;
export type View = Infer<typeof View>;
