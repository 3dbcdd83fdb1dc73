// SPDX-License-Identifier: MIT

// The examples in a page, on the room server: plain, with React in StrictMode, in a worker, as Vite builds them, and
// on a server that speaks TLS itself.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build as viteBuild, type Rollup } from "vite";

import { certificate } from "../test/certificate.js";
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

programs.secure = `import { Client } from "lifeline-client";
	import { schema } from "./examples/messages.js";
	globalThis.c = new Client(URL_OF_SECURE_GAME, { schema, ticket: () => "secure" });
	globalThis.play = async () => { await c.connect(); return c.request("ping", 7); };`;

let browser: Browser;
let server: Server;
let secure: Server;
let site: HttpServer;

/** Builds the React example for production, as a studio would, and returns its files by their paths. */
async function vite(): Promise<Map<string, string | Uint8Array>> {
	const dir = mkdtempSync(join(root, "node_modules", ".lifeline-vite-"));
	try {
		writeFileSync(join(dir, "index.html"), `<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="./main.tsx"></script>`);
		writeFileSync(join(dir, "main.tsx"), programs.react.replaceAll("./examples/", "../../examples/").replaceAll("URL_OF_GAME", JSON.stringify(server.ws)));
		const { output } = await viteBuild({
			root: dir, base: "/vite/", configFile: false, logLevel: "warn", esbuild: { jsx: "automatic" },
			resolve: { alias: { "lifeline-client": `${root}src/index.ts` } }, build: { write: false, target: "es2022" },
		}) as Rollup.RollupOutput;
		return new Map(output.map((o) => [`/vite/${o.fileName}`, o.type === "chunk" ? o.code : o.source]));
	} finally {
		rmSync(dir, { recursive: true, force: true });
	}
}

beforeAll(async () => {
	const cert = certificate();
	server = await Server.start("-bots", "0");
	secure = await Server.start("-bots", "0", "-tls-cert", join(cert, "cert.pem"), "-tls-key", join(cert, "key.pem"));
	browser = await Browser.start();
	const built = await vite();
	const scripts = new Map<string, Uint8Array>();
	for (const [name, contents] of Object.entries(programs)) {
		const { outputFiles } = await build({
			stdin: { contents: contents.replaceAll("URL_OF_GAME", JSON.stringify(server.ws)).replaceAll("URL_OF_SECURE_GAME", JSON.stringify(secure.ws)), resolveDir: root, loader: "tsx" },
			alias: { "lifeline-client": `${root}src/index.ts` }, define: { "process.env.NODE_ENV": '"development"' },
			bundle: true, format: "esm", target: "es2022", jsx: "automatic", write: false,
		});
		scripts.set(`/${name}.js`, outputFiles[0].contents);
	}
	site = createServer((r, w) => {
		const file = built.get(r.url!);
		if (file) {
			w.writeHead(200, { "content-type": r.url!.endsWith(".html") ? "text/html" : "text/javascript" }).end(file);
			return;
		}
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
	await secure?.stop();
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

test("as Vite builds it for production", async () => {
	const tab = await browser.open(page("vite/index.html"));
	await expect.poll(() => tab.page.innerText("p")).toBe("opened, 0 players");
	await tab.page.click("button");
	await expect.poll(() => tab.page.innerText("ul")).toContain("react: hello");
	await tab.page.evaluate(() => (globalThis as any).stop());
	await tab.context.close();
});

test("on a server that speaks TLS itself; a cut is healed", async () => {
	const tab = await browser.open(page("secure"), { anyCertificate: true });
	await expect.poll(() => tab.page.evaluate(() => typeof (globalThis as any).play)).toBe("function");
	expect(secure.ws).toMatch(/^wss:/);
	expect(await tab.page.evaluate(() => (globalThis as any).play())).toBe(7);
	await tab.page.evaluate(() => (globalThis as any).c.cut());
	expect(await tab.page.evaluate(() => (globalThis as any).c.request("ping", 8))).toBe(8);
	expect(await tab.page.evaluate(() => (globalThis as any).c.stats.resumes)).toBe(1);
	await tab.page.evaluate(() => (globalThis as any).c.close());
	await tab.context.close();
});

test("a certificate that nobody signed is refused", async () => {
	const tab = await browser.open(page("secure"));
	const outcome = await tab.page.evaluate(async () => {
		while (!(globalThis as any).play) {
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
		const late = new Promise((resolve) => setTimeout(() => resolve("nothing"), 2000));
		return Promise.race([(globalThis as any).play(), late]);
	});
	expect(outcome).toBe("nothing");
	await tab.context.close();
});
