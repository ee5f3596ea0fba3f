/**
 * What people looked for: what found nothing, one step from a synonym, and what is asked for most.
 *
 * What belongs here: those two lists. What does not: keeping synonyms (`synonyms`), products for words (`rules`).
 */

import { askIfThere } from "./api.js";
import { link } from "./cards.js";
import { attempt, complaint, parted } from "./deciding.js";
import { h, redraw } from "./dom.js";
import { count, many } from "./format.js";
import { trouble } from "./told.js";

const SHOWN = 12;
const DAYS = 30;

function bar(percent) {
  const element = h("span", { class: "bar-of", "aria-hidden": "true" });
  element.style.inlineSize = `${Math.max(2, percent)}%`;
  return element;
}

export class Searched {
  #asking = null;

  constructor(store, synonyms, rules) {
    this.store = store;
    this.synonyms = synonyms;
    this.rules = rules;
    this.content = h("div", { class: "searched" });
    this.element = h("section", { class: "panel", id: "searches", "aria-label": "What people look for" }, this.content);
  }

  async show() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    const list = (without) => askIfThere("merchant/searches", { parameters: [["without_hits", without], ["days", DAYS], ["limit", SHOWN]], signal });
    try {
      const [nothing, most] = await Promise.all([list("true"), list("")]);
      if (!nothing || !most) return redraw(this.content, []);
      redraw(this.content, this.#without(nothing.searches), this.#most(most));
    } catch (error) {
      if (error.name !== "AbortError") redraw(this.content, trouble(error, () => this.show()));
    }
  }

  #without(searches) {
    const items = searches.map((each) => this.#lost(each));
    return h(
      "div",
      { class: "panel" },
      h("h2", {}, "Nothing was found for"),
      h("p", { class: "soft" }, `In ${DAYS} days. A word people use, and the catalogue does not, wants a synonym.`),
      items.length ? h("ul", { class: "asked", "aria-label": "Searches that found nothing" }, items) : h("p", { class: "notice" }, "Everything that was looked for was found."),
    );
  }

  #lost(each) {
    const item = h("li", {});
    const told = complaint();
    const close = () => {
      redraw(item, row);
      row.querySelector("button").focus();
    };
    const open = () => {
      const input = h("input", { class: "field", type: "text", name: "becomes", autocomplete: "off", "aria-label": `What ${each.words} also means`, placeholder: "turquoise" });
      const submit = async (event) => {
        event.preventDefault();
        const becomes = parted(input.value);
        const kept = await attempt(told, () => this.synonyms.add({ words: [each.words], becomes }), `${each.words} is also ${becomes.join(", ")}`);
        if (kept) redraw(item, h("p", { class: "asked-row" }, h("span", {}, each.words, h("span", { class: "good" }, ` → ${becomes.join(", ")}`))));
      };
      const leave = (event) => event.key === "Escape" && close();
      redraw(
        item,
        h("form", { class: "asked-form", on: { submit, keydown: leave } }, h("span", {}, each.words, h("span", { class: "soft" }, " is also")), input, h("button", { type: "submit", class: "button quiet" }, "Keep")),
        told,
      );
      input.focus();
    };
    const row = h(
      "p",
      { class: "asked-row" },
      link(this.store, { view: "search", q: each.words }, {}, each.words),
      h("span", { class: "soft small" }, many(each.without_hits, "time")),
      h("button", { type: "button", class: "text-button", "aria-label": `Make a synonym for ${each.words}`, on: { click: open } }, "Make a synonym"),
    );
    item.append(row);
    return item;
  }

  #most({ searches, kept_days: days }) {
    const most = Math.max(1, ...searches.map((each) => each.searches));
    const items = searches.map((each) =>
      h(
        "li",
        {},
        h(
          "p",
          { class: "asked-row" },
          link(this.store, { view: "search", q: each.words }, {}, each.words),
          h("span", { class: "soft small" }, count(each.searches)),
          h("button", { type: "button", class: "text-button", "aria-label": `Arrange what is shown for ${each.words}`, on: { click: () => this.rules.open(each.words) } }, "Arrange"),
        ),
        bar((100 * each.searches) / most),
      ),
    );
    const none = days ? "Nobody has looked for anything yet." : "What is looked for is not counted here (searches_kept_days).";
    return h(
      "div",
      { class: "panel" },
      h("h2", {}, "Most looked for"),
      h("p", { class: "soft" }, `In ${DAYS} days. Counts alone are kept, nobody's name.`),
      items.length ? h("ol", { class: "asked", "aria-label": "Most frequent searches" }, items) : h("p", { class: "notice" }, none),
    );
  }
}
