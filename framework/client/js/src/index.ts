// SPDX-License-Identifier: MIT
export * from "./session.js";
