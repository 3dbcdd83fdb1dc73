// SPDX-License-Identifier: MIT

// Small pictures that are drawn once and then copied: with some hundred players that
// is what lets a frame be done in time.

export interface Sprite { image: HTMLCanvasElement; width: number; height: number } // in CSS pixels

/** As many as players and their names may need; more are the pictures of those who have gone. */
const most = 2000;

export class Sprites {
	/** How many were drawn, for tests. */
	made = 0;
	private readonly all = new Map<string, Sprite>();
	/** Pixels of the screen in a CSS pixel. */
	ratio = 1;

	/** Forgets all, if what they were drawn for has changed. */
	reset(ratio: number): void {
		if (this.ratio !== ratio) {
			this.ratio = ratio;
			this.all.clear();
		}
	}

	clear(): void {
		this.all.clear();
	}

	find(key: string): Sprite | undefined {
		return this.all.get(key);
	}

	/** Makes the picture of a key. paint draws it, around the middle. */
	make(key: string, width: number, height: number, paint: (g: CanvasRenderingContext2D) => void): Sprite {
		if (this.all.size >= most) {
			this.all.clear();
		}
		const image = document.createElement("canvas");
		image.width = Math.ceil(width * this.ratio);
		image.height = Math.ceil(height * this.ratio);
		const g = image.getContext("2d")!;
		g.scale(this.ratio, this.ratio);
		g.translate(width / 2, height / 2);
		paint(g);
		this.made++;
		const s = { image, width: image.width / this.ratio, height: image.height / this.ratio };
		this.all.set(key, s);
		return s;
	}
}
