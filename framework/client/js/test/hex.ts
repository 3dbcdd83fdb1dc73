// SPDX-License-Identifier: MIT

export function fromHex(s: string): Uint8Array {
	return new Uint8Array(Buffer.from(s, "hex"));
}

export function toHex(b: Uint8Array): string {
	return Buffer.from(b.buffer, b.byteOffset, b.length).toString("hex");
}
