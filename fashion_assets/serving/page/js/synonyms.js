/**
 * Synonyms: the list, and making one.
 *
 * What belongs here: that part of the merchant's view. What does not: reading words by them, which searches do.
 */

import { askIfThere } from "./api.js";
import { attempt, complaint, decide, field, form, fresh, parted, undo } from "./deciding.js";
import { h, redraw } from "./dom.js";
import { trouble } from "./told.js";

export class Synonyms {
  #asking = null;

  constructor() {
    this.told = complaint();
    this.list = h("div", {});
    this.element = h(
      "section",
      { class: "panel", id: "synonyms" },
      h("h2", {}, "Synonyms"),
      h("p", { class: "soft" }, "Words that stand for each other, or for others besides. They add to what is found, and replace nothing."),
      form(
        "A new synonym",
        [
          field("Words, between commas", { name: "words", required: true, placeholder: "sneakers, trainers" }),
          field("Also means; empty: each other", { name: "becomes", placeholder: "" }),
          field("Why", { name: "note", maxlength: "500" }),
        ],
        "Keep",
        ({ words, becomes, note }) => this.add({ words: parted(words), becomes: parted(becomes), note }),
      ),
      this.told,
      this.list,
    );
  }

  /** Keep a synonym. Raises `ApiError` where it cannot be followed. */
  async add(synonym) {
    await decide("synonyms", fresh("s"), synonym);
    await this.show();
  }

  async show() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    try {
      const answer = await askIfThere("merchant/synonyms", { signal });
      this.element.hidden = answer === null;
      if (answer !== null) this.#draw(answer.synonyms);
    } catch (error) {
      if (error.name !== "AbortError") redraw(this.list, trouble(error, () => this.show()));
    }
  }

  #draw(synonyms) {
    if (!synonyms.length) return redraw(this.list, h("p", { class: "notice" }, "There are none yet."));
    redraw(
      this.list,
      h(
        "ul",
        { class: "decisions", "aria-label": "Synonyms" },
        [...synonyms].reverse().map((each) => {
          const said = each.becomes.length ? `${each.words.join(", ")} → ${each.becomes.join(", ")}` : each.words.join(" = ");
          const remove = () => attempt(this.told, () => undo("synonyms", each.id).then(() => this.show()), "Removed");
          return h(
            "li",
            {},
            h("span", { class: "decision" }, said),
            h("span", { class: "soft small" }, [each.note, each.by].filter(Boolean).join(" · ")),
            h("button", { type: "button", class: "text-button", "aria-label": `Remove ${said}`, data: { key: `synonym-${each.id}` }, on: { click: remove } }, "Remove"),
          );
        }),
      ),
    );
  }
}
