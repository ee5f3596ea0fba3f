/**
 * What stands above the products while nothing is asked: how many there are, and the styles the catalogue is made of.
 *
 * What belongs here: the headline, the styles. What does not: the page that explains (`about`).
 */

import { askIfThere } from "./api.js";
import { link } from "./cards.js";
import { h } from "./dom.js";
import { count } from "./format.js";

const STYLES = 10;

export class Home {
  #asked = false;

  constructor(store) {
    this.store = store;
    this.headline = h("h1", {}, "Things to wear, found by words, by pictures, or by both.");
    this.styles = h("ul", { class: "styles", "aria-label": "Styles" });
    this.element = h(
      "section",
      { class: "hero", "aria-label": "Welcome" },
      this.headline,
      h("p", { class: "lead" }, "Type what you have in mind. Drop a picture of something you like. Take a product and say what should be different."),
      this.styles,
    );
  }

  show(visible) {
    this.element.hidden = !visible;
    if (visible) this.#fill();
  }

  /** How many there are, once it is known. */
  counted(products) {
    if (products) this.headline.textContent = `${count(products)} things to wear, found by words, by pictures, or by both.`;
  }

  async #fill() {
    if (this.#asked) return;
    this.#asked = true;
    try {
      const answer = await askIfThere("styles");
      this.styles.replaceChildren(...(answer?.styles ?? []).slice(0, STYLES).map((style) => h("li", {}, link(this.store, { style: style.name }, { class: "chip" }, style.name, h("span", { class: "chip-name" }, count(style.products))))));
    } catch {
      // The search above goes without them.
      this.#asked = false;
    }
  }
}
