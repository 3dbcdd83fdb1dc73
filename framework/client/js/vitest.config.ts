// SPDX-License-Identifier: MIT

import { defineConfig } from "vitest/config";

// One file at a time: each starts servers, or a browser.
export default defineConfig({
	test: {
		fileParallelism: false,
		projects: [
			{ extends: true, test: { name: "client", include: ["test/*.test.ts"], testTimeout: 30_000 } },
			{ extends: true, test: { name: "together", include: ["together/*.test.ts"], testTimeout: 180_000, expect: { poll: { timeout: 30_000, interval: 50 } } } },
			{ extends: true, test: { name: "browser", include: ["browser/*.test.ts"], testTimeout: 120_000, expect: { poll: { timeout: 20_000, interval: 100 } } } },
		],
	},
});
