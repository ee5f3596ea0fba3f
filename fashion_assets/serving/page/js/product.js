/**
 * One product: its picture, large, what is known of it, its story, what is like it, what goes with it.
 *
 * What belongs here: the dialog and its own address (`?product=…`). What does not: searching by it.
 */

import { ask, askIfThere } from "./api.js";
import { like, link, row, skeletons } from "./cards.js";
import { $, h, icon } from "./dom.js";
import { capital, price, words } from "./format.js";
import { opinionButtons } from "./liking.js";
import { picture } from "./pictures.js";
import { trouble } from "./told.js";

const SIMILAR = 12;

/** Attributes that stand elsewhere on the page. */
const ABOVE = new Set(["brand", "price", "currency", "brand_origin"]);

export class Product {
  #asking = null;
  #shown = "";

  constructor(store) {
    this.store = store;
    this.dialog = $("product");
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.#leave());
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#leave();
    });
  }

  /** Open, change or close, as the state says. */
  show(state, known = null) {
    if (state.product === this.#shown) return;
    this.#asking?.abort();
    this.#shown = state.product;
    if (!state.product) {
      this.dialog.close();
      return;
    }
    this.#asking = new AbortController();
    this.#draw(state.product, known);
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTo({ top: 0 });
    this.#fill(state.product, this.#asking.signal);
  }

  /** Back to where the product was opened; to the results, where the address was the first. */
  #leave() {
    this.store.go({ product: "" });
  }

  #draw(id, hit) {
    const title = hit?.title ?? "";
    this.dialog.setAttribute("aria-label", title || "Product");
    const attributes = hit?.attributes ?? {};
    const facts = Object.entries(attributes).filter(([name, value]) => !ABOVE.has(name) && value !== null && value !== "" && typeof value !== "object");
    this.shots = h("div", { class: "shot" }, hit ? picture(hit, { size: "large", sizes: "(max-width: 50rem) 100vw, 560px", eager: true }) : h("span", { class: "tile skeleton" }));
    this.told = h("div", { class: "notes" });
    this.rows = h("div", { class: "rows" });
    this.dialog.replaceChildren(
      h("button", { type: "button", class: "icon-button close", "aria-label": "Close the product", on: { click: () => this.#leave() } }, icon("close")),
      h(
        "div",
        { class: "product-page" },
        this.shots,
        h(
          "div",
          { class: "product-told" },
          h("p", { class: "overline" }, attributes.brand ?? " "),
          h("h2", { tabindex: "-1" }, title || " "),
          price(attributes) && h("p", { class: "product-price" }, price(attributes)),
          h("p", { class: "story" }, hit?.story?.narrative ?? ""),
          h("p", { class: "description" }, plain(hit?.description)),
          h(
            "div",
            { class: "row" },
            h("button", { type: "button", class: "button", on: { click: () => like(this.store, id) } }, icon("like"), "More like this"),
            h("button", { type: "button", class: "button quiet", on: { click: () => this.#but(id) } }, "Like this, but …"),
            opinionButtons(id),
          ),
          h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, capital(words(name))), h("dd", {}, this.#fact(name, value))))),
          hit && h("p", { class: "soft small" }, `${hit.external_id ?? ""} of ${hit.source ?? ""}`),
        ),
      ),
      this.told,
      this.rows,
    );
  }

  /** A value leads to all that have it, if it is one to filter by. */
  #fact(name, value) {
    if (typeof value !== "string") return String(value);
    return link(this.store, { view: "search", product: "", q: "", like: "", picture: null, filters: new Map([[name, { values: [value] }]]) }, {}, value);
  }

  #but(id) {
    like(this.store, id);
    $("words").focus();
  }

  async #fill(id, signal) {
    const path = `products/${encodeURIComponent(id)}`;
    const similar = h("ul", { class: "strip", "aria-label": "Similar" }, skeletons(5));
    const likeIt = h("section", {}, h("h3", {}, "Similar"), similar);
    this.rows.append(likeIt);
    try {
      const product = await ask(path, { signal });
      const { told, rows } = this;
      this.#draw(id, { ...product, id });
      this.told.replaceWith(told);
      this.rows.replaceWith(rows);
      this.told = told;
      this.rows = rows;
      this.dialog.querySelector("h2").focus({ preventScroll: true });
    } catch (error) {
      if (error.name === "AbortError") return;
      likeIt.remove();
      this.told.replaceChildren(trouble(error, () => this.#fill(id, signal)));
      return;
    }
    this.#section(likeIt, askIfThere(`${path}/similar`, { parameters: [["limit", SIMILAR]], signal }), (answer) => row(this.store, answer.hits, "Similar"));
    const look = h("section", {}, h("h3", {}, "Complete the look"), h("p", { class: "soft small" }, "What goes with it, by the rules of outfits."));
    this.rows.prepend(look);
    this.#section(look, askIfThere(`${path}/look`, { signal }), (answer) => {
      const pieces = answer.pieces.map((piece) => ({ slot: piece.slot, ...piece.product }));
      return pieces.length ? row(this.store, pieces, "Complete the look") : null;
    });
  }

  /** Fill a section, or take it away: a hint on the side is missed by nobody. */
  async #section(section, asked, made) {
    let content = null;
    try {
      const answer = await asked;
      content = answer && made(answer);
      if (content && !content.children.length) content = null;
    } catch {
      content = null;
    }
    section.querySelector("ul")?.remove();
    if (content) section.append(content);
    else section.remove();
  }
}

/** A description without the markup some shops put into it; the rest is text in any case. */
function plain(text) {
  if (!text) return "";
  return new DOMParser().parseFromString(String(text), "text/html").body.textContent.trim();
}
