// SPDX-License-Identifier: MIT

export const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** An element with text, or with children, in it. */
export function el(tag: string, ...parts: (Node | string)[]): HTMLElement {
	const e = document.createElement(tag);
	e.append(...parts);
	return e;
}
