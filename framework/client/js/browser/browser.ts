// SPDX-License-Identifier: MIT

// A headless Chromium for tests, with a page for each player.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser as Chromium, type BrowserContext, type Page, chromium } from "playwright-core";

/** A player's tab, in a browser profile of its own. */
export interface Tab {
	page: Page;
	context: BrowserContext;
}

export class Browser {
	/** What pages complained about. */
	readonly errors: string[] = [];
	private constructor(private readonly chromium: Chromium, private readonly profile: string) {}

	static async start(): Promise<Browser> {
		const profile = mkdtempSync(join(tmpdir(), "lifeline-chromium-"));
		const browser = await chromium.launch({
			executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
			args: [
				"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", `--crash-dumps-dir=${profile}`,
			],
		});
		return new Browser(browser, profile);
	}

	async open(url: string, options: { dark?: boolean; phone?: boolean; anyCertificate?: boolean } = {}): Promise<Tab> {
		const context = await this.chromium.newContext({
			viewport: options.phone ? { width: 390, height: 844 } : { width: 1180, height: 760 },
			hasTouch: options.phone ?? false, colorScheme: options.dark ? "dark" : "light", ignoreHTTPSErrors: options.anyCertificate ?? false,
		});
		await context.addInitScript(() => delete (AbortSignal as Partial<typeof AbortSignal>).timeout); // which the oldest browsers lack that we take
		const page = await context.newPage();
		page.setDefaultTimeout(20_000);
		page.on("pageerror", (e) => this.errors.push(String(e)));
		page.on("request", (r) => {
			if (!r.url().startsWith(new URL(url).origin)) {
				this.errors.push(`the page asked for ${r.url()}`);
			}
		});
		await page.goto(url);
		return { page, context };
	}

	async stop(): Promise<void> {
		await this.chromium.close();
		rmSync(this.profile, { recursive: true, force: true });
	}
}

/** Leaves a picture for whoever wants to look, outside the repository's history. */
export async function picture(page: Page, name: string): Promise<void> {
	const dir = process.env.LIFELINE_PICTURES;
	if (dir) {
		mkdirSync(dir, { recursive: true });
		await page.screenshot({ path: join(dir, `${name}.png`) });
	}
}
