// SPDX-License-Identifier: MIT

// UTF-8 and base64url, also where the platform has neither, as in mini-games.

/** Returns the UTF-8 of a string. Half a surrogate pair becomes U+FFFD. */
export function plainEncode(s: string): Uint8Array<ArrayBuffer> {
	const b = new Uint8Array(3 * s.length);
	let n = 0;
	for (let i = 0; i < s.length; i++) {
		let c = s.codePointAt(i)!;
		if (c > 0xffff) {
			i++;
		} else if (c >= 0xd800 && c <= 0xdfff) {
			c = 0xfffd;
		}
		if (c < 0x80) {
			b[n++] = c;
			continue;
		}
		const more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
		b[n++] = ((0xff00 >> (more + 1)) & 0xff) | (c >> (6 * more));
		for (let k = more - 1; k >= 0; k--) {
			b[n++] = 0x80 | ((c >> (6 * k)) & 0x3f);
		}
	}
	return b.slice(0, n);
}

/** Reads UTF-8. What is none becomes U+FFFD, as often as TextDecoder has it. */
export function plainDecode(b: Uint8Array): string {
	const parts: string[] = [];
	let codes: number[] = [];
	for (let i = 0; i < b.length; ) {
		const c = b[i++];
		const more = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : -1;
		let code = more <= 0 ? c : c & (0x3f >> more);
		let low = c === 0xe0 ? 0xa0 : c === 0xf0 ? 0x90 : 0x80; // else it is too long
		let high = c === 0xed ? 0x9f : c === 0xf4 ? 0x8f : 0xbf; // else it is a surrogate, or too large
		let left = more;
		for (; left > 0 && b[i] >= low && b[i] <= high; left--) {
			code = (code << 6) | (b[i++] & 0x3f);
			low = 0x80;
			high = 0xbf;
		}
		codes.push(left === 0 ? code : 0xfffd);
		if (codes.length === 1024) {
			parts.push(String.fromCodePoint(...codes));
			codes = [];
		}
	}
	return parts.join("") + String.fromCodePoint(...codes);
}

const encoder = typeof TextEncoder === "function" ? new TextEncoder() : null;
const decoder = typeof TextDecoder === "function" ? new TextDecoder("utf-8", { ignoreBOM: true }) : null;

/** Returns the UTF-8 of a string. */
export const encodeText = (s: string): Uint8Array<ArrayBuffer> => (encoder ? encoder.encode(s) : plainEncode(s));

/** Reads UTF-8. Bytes that are none become U+FFFD. */
export const decodeText = (b: Uint8Array): string => (decoder ? decoder.decode(b) : plainDecode(b));

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Writes bytes as base64url without padding. */
export function toBase64(b: Uint8Array): string {
	let s = "";
	for (let i = 0; i < b.length; i += 3) {
		const v = (b[i] << 16) | ((b[i + 1] ?? 0) << 8) | (b[i + 2] ?? 0);
		for (let k = 0; k < Math.min(b.length - i, 3) + 1; k++) {
			s += digits[(v >> (18 - 6 * k)) & 0x3f];
		}
	}
	return s;
}

/** Reads base64url without padding, of nothing but its digits. */
export function fromBase64(s: string): Uint8Array {
	const b = new Uint8Array(Math.floor((s.length * 3) / 4));
	let v = 0;
	let n = 0;
	for (let i = 0; i < s.length; i++) {
		v = ((v << 6) | digits.indexOf(s[i])) & 0xfffff;
		if (i % 4 > 0) {
			b[n++] = v >> (6 - 2 * (i % 4));
		}
	}
	return b;
}
