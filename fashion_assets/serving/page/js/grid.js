/**
 * The grid of what was found.
 *
 * What belongs here: drawing hits, keeping those that stay, frames while nothing is there yet. What does not: asking.
 */

import { card, skeletons } from "./cards.js";
import { h } from "./dom.js";
import { forget } from "./pictures.js";

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
    this.element.replaceChildren(...hits.map((hit) => this.#card(hit, before)));
    for (const [said, item] of before) if (!this.#drawn.has(said)) forget(item);
    this.element.removeAttribute("aria-busy");
  }

  /** Show more below; the focus goes to the first of them. */
  add(hits) {
    const added = hits.map((hit) => this.#card(hit));
    this.element.append(...added);
    added[0]?.querySelector("a").focus({ preventScroll: true });
  }

  #card(hit, before = this.#drawn) {
    const said = JSON.stringify([hit.id, hit.title, hit.attributes, hit.image, hit.highlights]);
    const item = before.get(said) ?? card(this.store, hit);
    this.#drawn.set(said, item);
    return item;
  }

  empty() {
    this.#drawn = new Map();
    this.element.replaceChildren();
    this.element.removeAttribute("aria-busy");
  }
}
