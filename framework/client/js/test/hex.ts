// SPDX-License-Identifier: MIT

export function fromHex(s: string): Uint8Array {
	return Uint8Array.from(s.match(/../g) ?? [], (h) => parseInt(h, 16));
}

export function toHex(b: Uint8Array): string {
	return Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("");
}
