// SPDX-License-Identifier: MIT

export { Client, Failure, RequestError } from "./client.js";
export type { ClientConfig, RequestOptions, Sent, Socket, State, Stats } from "./client.js";
export { Code, CloseError, codeText } from "./code.js";
export { CodecError } from "./codec.js";
export type { Params } from "./control.js";
export * from "./types.js";
