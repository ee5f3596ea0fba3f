/**
 * What the catalogue would show a person: whoever looks at this page, by their hearts, some of its people, and what is recommended to the one
 * chosen.
 *
 * What belongs here: the view `?view=people`. What does not: how it is found out.
 */

import { ask, askIfThere } from "./api.js";
import { card, link, row, skeletons } from "./cards.js";
import { h, redraw } from "./dom.js";
import { many } from "./format.js";
import { isOn, number } from "./liking.js";
import { trouble } from "./told.js";

const SHOWN = 24;
const YOURS = 18;

export class People {
  #asking = null;
  #people = null;
  #shown = null;
  #asked = false;

  constructor(store) {
    this.store = store;
    this.list = h("ul", { class: "people", "aria-label": "People" });
    this.content = h("div", { class: "rows" });
    this.yours = h("div", { class: "rows" });
    document.addEventListener("said", () => {
      this.#asked = false;
      if (this.element.isConnected) this.#forYou();
    });
    this.element = h(
      "section",
      { class: "view" },
      h("h1", {}, "For people"),
      h("p", { class: "lead" }, "What somebody is shown follows from what they like: nothing they have, and not one thing like the other. Choose one of the catalogue's people."),
      this.yours,
      this.list,
      this.content,
    );
  }

  async show(state) {
    this.#forYou();
    if (this.#people && this.#shown === state.person) return;
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    try {
      await this.#whoThereIs(signal);
      const person = state.person || this.#people[0]?.id;
      this.#choices(person);
      this.#shown = state.person;
      if (person) await this.#recommend(person, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#shown = null;
      this.#people = null;
      redraw(this.content, trouble(error, () => this.show(this.store.state)));
    }
  }

  /** What suits whoever looks at this, by what they liked and opened here. */
  async #forYou() {
    if (!isOn()) return redraw(this.yours);
    if (this.#asked) return;
    this.#asked = true;
    let answer = null;
    try {
      answer = number() && (await askIfThere(`recommendations/${encodeURIComponent(number())}`, { parameters: [["limit", YOURS]] }));
    } catch {
      // The people below are asked for all the same, and say what is wrong.
      this.#asked = false;
    }
    const hint = "Press the heart of something you like: what suits you stands here then.";
    const told = answer?.hits.length
      ? [h("p", { class: "soft" }, (answer.notes ?? []).join(". ")), row(this.store, answer.hits, "For you")]
      : [h("p", { class: "soft" }, hint)];
    redraw(this.yours, h("section", {}, h("h2", {}, "For you"), told));
  }

  async #whoThereIs(signal) {
    if (this.#people) return;
    const answer = await askIfThere("people", { signal });
    this.#people = answer?.people ?? [];
    if (!this.#people.length) redraw(this.content, h("p", { class: "notice" }, "No people came with this catalogue."));
  }

  #choices(person) {
    redraw(
      this.list,
      this.#people.map((each) => h("li", {}, link(this.store, { person: each.id }, { class: "chip", "aria-current": each.id === person ? "true" : null, data: { key: `person-${each.id}` } }, each.id, each.favourites > 0 && h("span", { class: "chip-name" }, many(each.favourites, "favourite"))))),
    );
  }

  async #recommend(person, signal) {
    const grid = h("ul", { class: "grid", "aria-label": "Recommended", "aria-busy": "true" }, skeletons(12));
    const why = h("p", { class: "soft" });
    redraw(this.content, h("section", {}, h("h2", {}, "Recommended"), why, grid));
    const known = this.#people.find((each) => each.id === person);
    const answer = await ask(`recommendations/${encodeURIComponent(person)}`, { parameters: [["limit", SHOWN], ["source", known?.source]], signal });
    why.textContent = (answer.notes ?? []).join(". ");
    grid.removeAttribute("aria-busy");
    grid.replaceChildren(...answer.hits.map((hit) => card(this.store, hit)));
  }
}
