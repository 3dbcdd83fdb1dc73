// SPDX-License-Identifier: MIT

// What the pages have in common.

/** The element of an id that the page has. */
export const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** Asks the reader for the admin token. */
export function askToken(again: boolean): Promise<string> {
	return new Promise((resolve) => {
		const d = $<HTMLDialogElement>("token");
		$("token-note").textContent = again ? "This token is wrong. Try again." : "It stays in this tab.";
		$<HTMLInputElement>("bearer").value = "";
		d.onclose = (): void => {
			const t = $<HTMLInputElement>("bearer").value;
			if (t === "") {
				d.showModal();
			} else if (/[^\0-\xff]/.test(t)) { // no header carries it: as a quote or a dash that some program made nicer
				$("token-note").textContent = "No token has such a character. Try again.";
				d.showModal();
			} else {
				resolve(t);
			}
		};
		d.showModal();
	});
}
