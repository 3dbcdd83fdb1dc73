// SPDX-License-Identifier: MIT

import { createHash, createHmac, randomBytes } from "node:crypto";
import { expect, test } from "vitest";

import { hmac, sha256 } from "../src/sha256.js";
import { toHex } from "./hex.js";

test("is the hash that Node has, of every length around the blocks", () => {
	for (let n = 0; n < 400; n++) {
		const b = randomBytes(n);
		const cut = Math.floor(Math.random() * (n + 1));
		expect(toHex(sha256(b.subarray(0, cut), b.subarray(cut)))).toBe(createHash("sha256").update(b).digest("hex"));
		const key = randomBytes(n % 65);
		expect(toHex(hmac(key, b))).toBe(createHmac("sha256", key).update(b).digest("hex"));
	}
	expect(toHex(sha256(new Uint8Array(1 << 20)))).toBe(createHash("sha256").update(new Uint8Array(1 << 20)).digest("hex"));
});

// The constants are computed. An engine whose roots are less exact than V8's still has the same bits.
test("no constant is near the next one", () => {
	const primes = Array.from({ length: 310 }, (_, i) => i + 2).filter((p) => Array.from({ length: p - 2 }, (_, d) => d + 2).every((d) => p % d > 0));
	expect(primes.length).toBe(64);
	for (const p of primes) {
		for (const power of [1 / 2, 1 / 3]) {
			const rest = (((p ** power) % 1) * 2 ** 32) % 1;
			expect(Math.min(rest, 1 - rest)).toBeGreaterThan(2 ** -12); // the error of a root is 2 ** -17 of it
		}
	}
});
