// SPDX-License-Identifier: MIT

import { Client, type ClientConfig, type ClientEvent, type Schema } from "lifeline-client";
import { useEffect, useRef, useState } from "react";

/**
 * A client for as long as the component lives; null on a server and before the first
 * effect. Safe in StrictMode and with hot reload: a client that is closed at once has
 * never begun, and a new effect makes a new one. setUp runs once for each client.
 */
export function useLifeline<S extends Schema>(url: string, config: ClientConfig<S>, setUp: (client: Client<S>) => void): [Client<S> | null, ClientEvent["kind"]] {
	const [client, setClient] = useState<Client<S> | null>(null);
	const [state, setState] = useState<ClientEvent["kind"]>("connecting");
	const latest = useRef({ config, setUp });
	latest.current = { config, setUp };
	useEffect(() => {
		const { config, setUp } = latest.current;
		const c = new Client<S>(url, {
			...config,
			onEvent: (e) => {
				setState(e.kind);
				return config.onEvent?.(e);
			},
		});
		setUp(c);
		setClient(c);
		c.connect().catch(() => undefined); // its event has told
		return () => c.close();
	}, [url]);
	return [client, state];
}
