// SPDX-License-Identifier: MIT

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes a certificate for this machine that signs itself, and returns the folder of cert.pem and key.pem. */
export function certificate(): string {
	const dir = mkdtempSync(join(tmpdir(), "lifeline-cert-"));
	const root = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
	execFileSync("go", ["run", join(root, "src/crypto/tls/generate_cert.go"), "-host", "127.0.0.1,localhost", "-ecdsa-curve", "P256", "-ca"], { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
	return dir;
}
