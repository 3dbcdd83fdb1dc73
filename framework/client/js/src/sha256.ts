// SPDX-License-Identifier: MIT

// SHA-256 (FIPS 180-4) and HMAC (RFC 2104), at once: what browsers have answers too
// late for a state machine, and is kept from pages that did not come by https.

/** The first bits behind the point of the n-th root of each prime. */
function roots(n: number, power: number): Uint32Array {
	const list: number[] = [];
	for (let p = 2; list.length < n; p++) {
		let prime = true;
		for (let d = 2; d * d <= p; d++) {
			prime &&= p % d > 0;
		}
		if (prime) {
			list.push((p ** power % 1) * 2 ** 32);
		}
	}
	return Uint32Array.from(list);
}

const K = roots(64, 1 / 3);
const start = roots(8, 1 / 2);

const turn = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

/** Returns the SHA-256 of some parts, one behind the other. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
	const size = parts.reduce((n, p) => n + p.length, 0);
	const b = new Uint8Array((size + 72) & ~63);
	let at = 0;
	for (const p of parts) {
		b.set(p, at);
		at += p.length;
	}
	b[size] = 0x80;
	const view = new DataView(b.buffer);
	view.setUint32(b.length - 8, size / 2 ** 29);
	view.setUint32(b.length - 4, size << 3);
	const h = start.slice();
	const w = new Uint32Array(64);
	for (let block = 0; block < b.length; block += 64) {
		const v = h.slice();
		for (let i = 0; i < 64; i++) {
			const [x, y] = [w[i - 15], w[i - 2]];
			w[i] = i < 16 ? view.getUint32(block + 4 * i) : w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + w[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
			const [a, , , , e] = v;
			const t = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] + w[i];
			const u = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
			v.copyWithin(1, 0);
			v[4] += t;
			v[0] = t + u;
		}
		v.forEach((x, i) => (h[i] += x));
	}
	h.forEach((x, i) => view.setUint32(4 * i, x));
	return b.slice(0, 32);
}

/** Returns the HMAC-SHA-256 of a message by a key of at most 64 bytes. */
export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
	const pad = (byte: number): Uint8Array => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ byte);
	return sha256(pad(0x5c), sha256(pad(0x36), message));
}
