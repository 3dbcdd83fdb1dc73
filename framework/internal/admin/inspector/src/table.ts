// SPDX-License-Identifier: MIT

// A table that is sorted by its heads, and keeps its rows while their values change.

export interface Column<T> {
	name: string;
	title?: string; // what it means
	text: (row: T) => string;
	by?: (row: T) => number | string; // what it is sorted by, if not its text
	number?: boolean;
	style?: (row: T) => string; // a class of the cell
}

export interface Action<T> {
	name: string;
	label: (row: T) => string;
	run: (row: T) => void;
}

export class Table<T> {
	private readonly body = document.createElement("tbody");
	private readonly heads: HTMLButtonElement[] = [];
	private readonly lines = new Map<string, { tr: HTMLTableRowElement; row: T }>();
	private rows: T[] = [];
	private column: number;
	private down: boolean;

	constructor(
		parent: HTMLElement, private readonly columns: Column<T>[], private readonly key: (row: T) => string,
		private readonly empty: string, private readonly action?: Action<T>, sort = 0, down = false,
	) {
		this.column = sort;
		this.down = down;
		const table = document.createElement("table");
		const head = table.createTHead().insertRow();
		columns.forEach((c, i) => {
			const th = document.createElement("th");
			const button = document.createElement("button");
			button.textContent = c.name;
			button.title = c.title ?? "";
			button.onclick = (): void => this.sort(i);
			th.append(button);
			th.scope = "col";
			th.classList.toggle("number", c.number ?? false);
			head.append(th);
			this.heads.push(button);
		});
		if (action) {
			const name = document.createElement("span");
			name.textContent = action.name;
			name.className = "unseen"; // the buttons say it
			const th = document.createElement("th");
			th.scope = "col";
			th.append(name);
			head.append(th);
		}
		table.append(this.body);
		parent.append(table);
		this.mark();
	}

	private sort(column: number): void {
		// Numbers are looked at from their largest on.
		this.down = this.column === column ? !this.down : (this.columns[column].number ?? false);
		this.column = column;
		this.mark();
		this.show(this.rows);
	}

	private mark(): void {
		this.heads.forEach((b, i) => {
			if (i === this.column) {
				b.parentElement!.ariaSort = this.down ? "descending" : "ascending";
			} else {
				b.parentElement!.removeAttribute("aria-sort");
			}
		});
	}

	show(rows: T[]): void {
		this.rows = rows;
		const c = this.columns[this.column];
		const by = c.by ?? c.text;
		const turn = this.down ? -1 : 1;
		const sorted = rows.map((row) => ({ row, by: by(row), key: this.key(row) })).sort((a, b) => {
			const order = typeof a.by === "number" ? a.by - (b.by as number) : a.by.localeCompare(b.by as string, undefined, { numeric: true });
			return order * turn || (a.key < b.key ? -1 : 1);
		});
		const present = new Set(sorted.map((s) => s.key));
		for (const [key, l] of this.lines) {
			if (!present.has(key)) {
				l.tr.remove();
				this.lines.delete(key);
			}
		}
		this.body.querySelector(".empty")?.remove();
		let at = this.body.firstElementChild;
		for (const s of sorted) {
			const l = this.line(s.key, s.row);
			this.fill(l.tr, s.row);
			if (l.tr === at) {
				at = at.nextElementSibling;
			} else {
				this.body.insertBefore(l.tr, at);
			}
		}
		if (rows.length === 0) {
			const tr = this.body.insertRow();
			tr.className = "empty";
			const td = tr.insertCell();
			td.colSpan = this.columns.length + 1;
			td.textContent = this.empty;
		}
	}

	private line(key: string, row: T): { tr: HTMLTableRowElement; row: T } {
		const known = this.lines.get(key);
		if (known) {
			known.row = row;
			return known;
		}
		const l = { tr: document.createElement("tr"), row };
		for (const c of this.columns) {
			l.tr.insertCell().classList.toggle("number", c.number ?? false);
		}
		if (this.action) {
			const button = document.createElement("button");
			button.textContent = this.action.name;
			button.ariaLabel = this.action.label(row);
			button.onclick = (): void => this.action!.run(l.row);
			const td = l.tr.insertCell();
			td.className = "action";
			td.append(button);
		}
		this.lines.set(key, l);
		return l;
	}

	private fill(tr: HTMLTableRowElement, row: T): void {
		this.columns.forEach((c, i) => {
			const td = tr.cells[i];
			const text = c.text(row);
			if (td.textContent !== text) {
				td.textContent = text;
			}
			if (c.style) {
				td.className = `${c.number ? "number " : ""}${c.style(row)}`;
			}
		});
	}
}
