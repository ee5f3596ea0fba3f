/**
 * What is shown for words: the hits, in the order people see, with what pins, hides and boosts them beside them; and all rules there are.
 *
 * What belongs here: that part of the merchant's view. What does not: following rules, which searches do.
 */

import { ask, askIfThere } from "./api.js";
import { attempt, complaint, decide, field, form, fresh, parted, undo } from "./deciding.js";
import { h, redraw } from "./dom.js";
import { when } from "./format.js";
import { picture } from "./pictures.js";
import { trouble } from "./told.js";

const SHOWN = 12;

/** How a factor is called. */
const FACTORS = [["1.5", "a little sooner"], ["2", "sooner"], ["4", "much sooner"], ["0.5", "later"], ["0.2", "much later"]];

export class Rules {
  #asking = null;
  #words = "";
  #rules = [];

  constructor(store) {
    this.store = store;
    this.told = complaint();
    this.hits = h("div", {});
    this.hidden = h("div", {});
    this.all = h("div", {});
    this.words = h("input", { class: "field", type: "search", name: "words", autocomplete: "off", placeholder: "red dress", maxlength: "100" });
    const submit = (event) => {
      event.preventDefault();
      this.open(this.words.value);
    };
    this.window = h(
      "details",
      { class: "window" },
      h("summary", {}, "For a while only"),
      h("div", { class: "decide" }, field("From", { type: "date", name: "from" }), field("Until the end of", { type: "date", name: "until" })),
    );
    this.tools = h(
      "div",
      { class: "tools", hidden: true },
      this.window,
      form(
        "Pin another product",
        [
          field("Pin another: its id", { name: "product", required: true, placeholder: "41571" }),
          field("At place", { name: "place", type: "number", min: "1", max: "1000", value: "1", required: true }),
        ],
        "Pin",
        ({ product, place }) => this.#put({ action: "pin", words: this.#words, product, place: Number(place) }),
      ),
      form(
        "Boost some products",
        [
          field("Products that are", { name: "products", required: true, placeholder: "brand=Nike" }),
          h("label", { class: "field-of" }, h("span", { class: "soft small" }, "Come"), h("select", { class: "field", name: "factor" }, FACTORS.map(([value, text]) => h("option", { value }, text)))),
        ],
        "Boost",
        ({ products, factor }) => this.#put({ action: "boost", words: this.#words, products: parted(products), factor: Number(factor) }),
      ),
    );
    this.element = h(
      "section",
      { class: "panel", id: "rules" },
      h("h2", {}, "What is shown"),
      h("p", { class: "soft" }, "For a search's words: products pinned to a place, hidden, or boosted."),
      h("form", { class: "decide", role: "search", "aria-label": "Arrange what is shown", on: { submit } }, h("label", { class: "field-of" }, h("span", { class: "soft small" }, "For a search for"), this.words), h("button", { type: "submit", class: "button" }, "Show")),
      this.told,
      this.hits,
      this.hidden,
      this.tools,
      this.all,
    );
  }

  /** Show what is found for words, to be arranged. */
  async open(words) {
    this.#words = words.trim();
    this.words.value = this.#words;
    this.tools.hidden = !this.#words;
    await this.show();
    this.words.focus();
    this.element.scrollIntoView({ block: "start" });
  }

  async show() {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    try {
      const answer = await askIfThere("merchant/rules", { signal });
      this.element.hidden = answer === null;
      if (answer === null) return;
      this.#rules = answer.rules;
      this.#drawAll();
      if (!this.#words) return redraw(this.hits), redraw(this.hidden);
      // What a merchant looks at nobody looked for.
      const found = await ask("search", { parameters: [["q", this.#words], ["limit", SHOWN]], headers: { Purpose: "prefetch" }, signal });
      const own = await ask("merchant/rules", { parameters: [["words", this.#words]], signal });
      this.#drawHits(found.hits);
      this.#drawHidden(own.rules.filter((each) => each.action === "hide"));
    } catch (error) {
      if (error.name !== "AbortError") redraw(this.hits, trouble(error, () => this.show()));
    }
  }

  async #put(rule, id = fresh("r")) {
    const { from, until } = Object.fromEntries([...this.window.querySelectorAll("input")].map((input) => [input.name, input.value]));
    const day = (text, end) => (text ? new Date(`${text}T${end ? "23:59:59" : "00:00:00"}`).toISOString() : null);
    await decide("rules", id, { starts_at: day(from, false), ends_at: day(until, true), ...rule });
    await this.show();
  }

  #drawHits(hits) {
    if (!hits.length) return redraw(this.hits, h("p", { class: "notice" }, "Nothing is found. Pin something, or make a synonym."));
    redraw(this.hits, h("ol", { class: "arranged", "aria-label": `Shown for ${this.#words}` }, hits.map((hit, at) => this.#arranged(hit, at + 1))));
  }

  #arranged(hit, place) {
    const title = hit.title ?? "Untitled";
    const ids = new Set((hit.rules ?? []).map((each) => each.rule));
    const pin = this.#rules.find((each) => each.action === "pin" && ids.has(each.id));
    const boosts = (hit.rules ?? []).filter((each) => each.action === "boost");
    const act = (text, key, label, doing, disabled = false) =>
      h("button", { type: "button", class: "text-button", "aria-label": label, disabled, data: { key: `${key}-${hit.id}` }, on: { click: () => attempt(this.told, doing, `${text}: ${title}`) } }, text);
    const move = (to) => this.#put({ action: "pin", words: pin.words, product: hit.id, place: to, note: pin.note, starts_at: pin.starts_at, ends_at: pin.ends_at }, pin.id);
    return h(
      "li",
      { class: pin ? "is-pinned" : null },
      h("span", { class: "place" }, String(place)),
      picture(hit, { sizes: "64px" }),
      h(
        "div",
        {},
        h("p", { class: "card-title" }, title),
        h("p", { class: "soft small" }, [hit.attributes?.brand, hit.external_id].filter(Boolean).join(" · ")),
        pin && h("span", { class: "badge" }, `Pinned at ${pin.place}`),
        boosts.map((each) => h("span", { class: "badge" }, `× ${each.factor}`)),
      ),
      h(
        "div",
        { class: "acts" },
        pin
          ? [
              act("Up", "up", `Move ${title} up`, () => move(place - 1), place <= 1),
              act("Down", "down", `Move ${title} down`, () => move(place + 1)),
              act("Unpin", "pin", `Unpin ${title}`, () => undo("rules", pin.id).then(() => this.show())),
            ]
          : [
              act("Pin first", "pin", `Pin ${title} first`, () => this.#put({ action: "pin", words: this.#words, product: hit.id, place: 1 })),
              act("Hide", "hide", `Hide ${title}`, () => this.#put({ action: "hide", words: this.#words, product: hit.id })),
            ],
      ),
    );
  }

  #drawHidden(rules) {
    redraw(
      this.hidden,
      rules.length
        ? h("div", { class: "panel" }, h("h3", {}, "Hidden for these words"), h("ul", { class: "decisions" }, rules.map((each) => this.#line(each, "Show again"))))
        : [],
    );
  }

  #drawAll() {
    if (!this.#rules.length) return redraw(this.all, []);
    redraw(this.all, h("details", { class: "all-rules" }, h("summary", {}, `All rules (${this.#rules.length})`), h("ul", { class: "decisions", "aria-label": "All rules" }, [...this.#rules].reverse().map((each) => this.#line(each, "Remove")))));
  }

  #line(rule, text) {
    const what = rule.hit?.title ?? rule.product ?? "";
    const said = { pin: `Pins ${what} at ${rule.place}`, hide: `Hides ${what}`, boost: `Boosts ${rule.products.join(", ")} × ${rule.factor}` }[rule.action];
    const where = rule.words ? `for “${rule.words}”` : rule.filters.length ? `where ${rule.filters.join(", ")}` : "in every search";
    const time = { waits: `from ${when(rule.starts_at)}`, over: `over since ${when(rule.ends_at)}`, holds: rule.ends_at ? `until ${when(rule.ends_at)}` : "" }[rule.state];
    const remove = () => attempt(this.told, () => undo("rules", rule.id).then(() => this.show()), "Removed");
    return h(
      "li",
      { class: rule.state === "holds" ? null : "is-idle" },
      h("span", { class: "decision" }, said, h("span", { class: "soft" }, ` ${where}`)),
      rule.lacking && h("span", { class: "badge bad" }, "not in this release"),
      h("span", { class: "soft small" }, [time, rule.note, rule.by].filter(Boolean).join(" · ")),
      h("button", { type: "button", class: "text-button", "aria-label": `${text}: ${said} ${where}`, data: { key: `rule-${rule.id}` }, on: { click: remove } }, text),
    );
  }
}
