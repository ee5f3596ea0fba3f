/**
 * The grid of what was found.
 *
 * What belongs here: drawing hits, keeping those that stay, frames while nothing is there yet. What does not: asking.
 */

import { card, skeletons } from "./cards.js";
import { h } from "./dom.js";

const EAGER = 12;
/** Pictures that are loaded at once: those a screen shows. */

export class Grid {
  constructor(store) {
    this.store = store;
    this.element = h("ol", { class: "grid", "aria-label": "Products found" });
  }

  /** Frames, if there is nothing better to look at. */
  wait() {
    if (!this.element.children.length || this.element.querySelector(".skeleton")) this.element.replaceChildren(...skeletons(12));
    this.element.setAttribute("aria-busy", "true");
  }

  /** Show exactly these; a product that was there keeps its element, so that its picture does not blink. */
  show(hits) {
    const before = new Map([...this.element.children].map((item) => [item.dataset.id, item]));
    this.element.replaceChildren(...hits.map((hit, place) => before.get(hit.id) ?? card(this.store, hit, { eager: place < EAGER })));
    this.element.removeAttribute("aria-busy");
  }

  /** Show more below; the focus goes to the first of them. */
  add(hits) {
    const added = hits.map((hit) => card(this.store, hit));
    this.element.append(...added);
    added[0]?.querySelector("a").focus({ preventScroll: true });
  }

  empty() {
    this.element.replaceChildren();
    this.element.removeAttribute("aria-busy");
  }
}
