/**
 * The merchant's view: questions without an answer, pins, synonyms, and quarantine with pictures and reasons.
 *
 * What belongs here: the view `?view=merchant`. What does not: judging listings, changing releases.
 */

import { askIfThere } from "./api.js";
import { h, redraw } from "./dom.js";
import { trouble } from "./told.js";
import { parts } from "./merchant_parts.js";

export class Merchant {
  #asking = null;

  constructor(store) {
    this.store = store;
    this.content = h("div", { class: "rows" });
    this.element = h("section", { class: "view" }, h("h1", {}, "Merchant"), h("p", { class: "lead" }, "What people look for and do not find, what stands where because somebody said so, and what did not become a product."), this.content);
  }

  show() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    const again = () => this.show();
    const sections = parts(this.store).map((part) => {
      const body = h("div", {}, h("p", { class: "soft" }, "Reading …"));
      return { part, body, element: h("section", { hidden: true }, h("h2", {}, part.title), h("p", { class: "soft" }, part.about), body) };
    });
    redraw(this.content, sections.map((each) => each.element));
    for (const each of sections) this.#fill(each, sections, signal, again);
  }

  async #fill({ part, body, element }, sections, signal, again) {
    try {
      const answer = await askIfThere(part.path, { signal });
      element.hidden = answer === null;
      if (answer) redraw(body, part.draw(answer));
      else if (sections.every((other) => other.gone || other.part === part)) redraw(this.content, h("p", { class: "notice" }, "This server keeps none of it."));
      else sections.find((other) => other.part === part).gone = true;
    } catch (error) {
      if (error.name === "AbortError") return;
      // A key that is missing is missing for all: asked for once.
      if (error.kind === "key") redraw(this.content, trouble(error, again));
      else {
        element.hidden = false;
        redraw(body, trouble(error, again));
      }
    }
  }
}
