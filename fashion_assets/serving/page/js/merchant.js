/**
 * The merchant's view: what people look for, what is decided about it, what did not become a product.
 *
 * What belongs here: its parts put together. What does not: the parts (`searched`, `rules`, `synonyms`, `quarantine`).
 */

import { h } from "./dom.js";
import { Quarantine } from "./quarantine.js";
import { Rules } from "./rules.js";
import { Searched } from "./searched.js";
import { Synonyms } from "./synonyms.js";

export class Merchant {
  constructor(store) {
    this.synonyms = new Synonyms();
    this.rules = new Rules(store);
    this.searched = new Searched(store, this.synonyms, this.rules);
    this.quarantine = new Quarantine();
    this.parts = [this.searched, this.rules, this.synonyms, this.quarantine];
    this.element = h(
      "section",
      { class: "view merchant" },
      h("h1", {}, "Merchant"),
      h("p", { class: "lead" }, "What people look for, and what they are shown. Whatever is decided here holds within seconds, and through every release."),
      this.parts.map((part) => part.element),
    );
  }

  show() {
    for (const part of this.parts) part.show();
  }
}
