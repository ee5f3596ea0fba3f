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
  #drawn = new Map();

  constructor(store) {
    this.store = store;
    this.element = h("ol", { class: "grid", "aria-label": "Products found" });
  }

  /** Frames, if there is nothing better to look at. */
  wait() {
    if (!this.element.children.length || this.element.querySelector(".skeleton")) this.element.replaceChildren(...skeletons(12));
    this.element.setAttribute("aria-busy", "true");
  }

  /** Show exactly these; a product that was there, and says the same, keeps its element, so that its picture does not blink. */
  show(hits) {
    const before = this.#drawn;
    this.#drawn = new Map();
    this.element.replaceChildren(...hits.map((hit, place) => this.#card(hit, place < EAGER, before)));
    this.element.removeAttribute("aria-busy");
  }

  /** Show more below; the focus goes to the first of them. */
  add(hits) {
    const added = hits.map((hit) => this.#card(hit, false));
    this.element.append(...added);
    added[0]?.querySelector("a").focus({ preventScroll: true });
  }

  #card(hit, eager, before = this.#drawn) {
    const said = JSON.stringify([hit.id, hit.title, hit.attributes, hit.image, hit.highlights]);
    const item = before.get(said) ?? card(this.store, hit, { eager });
    this.#drawn.set(said, item);
    return item;
  }

  empty() {
    this.element.replaceChildren();
    this.element.removeAttribute("aria-busy");
  }
}
