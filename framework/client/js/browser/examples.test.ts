// SPDX-License-Identifier: MIT

// The examples in a page, on the room server: plain, with React in StrictMode, and in a worker.

import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";

import { Server } from "../test/room.js";
import { Browser } from "./browser.js";

const root = fileURLToPath(new URL("..", import.meta.url));

const programs: Record<string, string> = {
	plain: `import { play } from "./examples/plain/main.js";
		globalThis.stop = play(URL_OF_GAME, document.body.appendChild(document.createElement("div")));`,
	react: `import { StrictMode } from "react";
		import { createRoot } from "react-dom/client";
		import { App } from "./examples/react/App.js";
		const at = createRoot(document.body.appendChild(document.createElement("div")));
		globalThis.stop = () => at.unmount();
		at.render(<StrictMode><App url={URL_OF_GAME} /></StrictMode>);`,
	worker: `import { Client } from "lifeline-client";
		import { schema } from "./examples/messages.js";
		const c = new Client(URL_OF_GAME, { schema, ticket: () => "worker" });
		c.connect().then(() => c.request("ping", 7)).then((n) => postMessage("answer " + n), (e) => postMessage(String(e)));`,
};

let browser: Browser;
let server: Server;
let site: HttpServer;

beforeAll(async () => {
	server = await Server.start("-bots", "0");
	browser = await Browser.start();
	const scripts = new Map<string, Uint8Array>();
	for (const [name, contents] of Object.entries(programs)) {
		const { outputFiles } = await build({
			stdin: { contents: contents.replace("URL_OF_GAME", JSON.stringify(server.ws)).replace("URL_OF_GAME", JSON.stringify(server.ws)), resolveDir: root, loader: "tsx" },
			alias: { "lifeline-client": `${root}src/index.ts` }, define: { "process.env.NODE_ENV": '"development"' },
			bundle: true, format: "esm", target: "es2022", jsx: "automatic", write: false,
		});
		scripts.set(`/${name}.js`, outputFiles[0].contents);
	}
	site = createServer((r, w) => {
		const script = scripts.get(r.url!);
		if (script) {
			w.writeHead(200, { "content-type": "text/javascript" }).end(script);
		} else {
			const start = r.url === "/worker" ? 'new Worker("/worker.js", { type: "module" }).onmessage = (e) => (document.body.textContent = e.data)' : `import(${JSON.stringify(`${r.url}.js`)})`;
			w.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><link rel="icon" href="data:,"><body><script type="module">${start}</script>`);
		}
	});
	await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
}, 180_000);

afterAll(async () => {
	await browser?.stop();
	await server?.stop();
	site?.close();
	expect(browser.errors.filter((e) => !e.includes("asked for ws"))).toEqual([]);
});

const page = (name: string): string => `http://127.0.0.1:${(site.address() as AddressInfo).port}/${name}`;

test("without a framework", async () => {
	const tab = await browser.open(page("plain"));
	await expect.poll(() => tab.page.innerText("ul")).toContain("plain: hello");
	await expect.poll(() => tab.page.innerText("p")).toBe("1 players");
	await tab.page.evaluate(() => (globalThis as any).stop());
	await expect.poll(() => tab.page.innerText("p")).toBe("closed");
	await tab.context.close();
});

test("with React in StrictMode; a reload is the same player", async () => {
	const tab = await browser.open(page("react"));
	await expect.poll(() => tab.page.innerText("p")).toBe("opened, 0 players");
	await tab.page.click("button");
	await expect.poll(() => tab.page.innerText("ul")).toContain("react: hello");
	await tab.page.reload();
	await expect.poll(() => tab.page.innerText("p")).toBe("reset, 1 players"); // in its seat
	await tab.page.evaluate(() => (globalThis as any).stop());
	await tab.context.close();
});

test("in a worker", async () => {
	const tab = await browser.open(page("worker"));
	await expect.poll(() => tab.page.innerText("body")).toBe("answer 7");
	await tab.context.close();
});
