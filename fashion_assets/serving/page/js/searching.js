/**
 * Results: asked for as the state changes, shown as they come, more below.
 *
 * What belongs here: when to ask, which answer still counts, the line above the grid. What does not: the field (`asking`),
 * one product (`product`).
 */

import { onlyStyle, parted, search } from "./api.js";
import { link } from "./cards.js";
import { h, redraw, say } from "./dom.js";
import { Facets } from "./facets.js";
import { count, found, many, milliseconds } from "./format.js";
import { Grid } from "./grid.js";
import { opened } from "./liking.js";
import { filterTexts } from "./state.js";
import { trouble } from "./told.js";

const PAGE = 24;
/** Products of one page. */
const KEPT = 20;
/** Questions whose answers are kept, so that the back button shows them at once. */
const SLOW = 250;
/** Milliseconds after which what is shown is marked as old. */
const CALM = 200;
/** Milliseconds after the products until the filters are counted, and the search is noted: whoever types on is not kept waiting by that. */

const SORTS = [
  ["", "Best first"],
  ["price", "Price, low to high"],
  ["-price", "Price, high to low"],
  ["newest", "Newest first"],
];

export class Searching {
  #asking = null;
  #answers = new Map();
  #shown = null;

  constructor(store, asking, home) {
    this.store = store;
    this.asking = asking;
    this.home = home;
    this.grid = new Grid(store);
    this.facets = new Facets(store);
    this.line = h("div", { class: "line-above" });
    this.notes = h("div", { class: "notes" });
    this.more = h("div", { class: "more" });
    this.results = h("section", { class: "results", "aria-label": "Results" }, this.line, this.notes, this.grid.element, this.more);
    for (const event of ["click", "auxclick"]) this.grid.element.addEventListener(event, (pressed) => this.#opened(pressed));
    this.element = h("div", { class: "search-view" }, home.element, h("div", { class: "columns" }, this.facets.aside, this.results));
  }

  /** Show the state's results; asks only where the question is another. */
  async show(state) {
    this.home.show(!asksAnything(state));
    const question = questionOf(state);
    if (question === this.#shown?.question) return;
    this.#asking?.abort();
    const kept = this.#answers.get(question);
    if (kept) {
      this.#draw(kept);
      if (!kept.counted) this.#count(kept, state, (this.#asking = new AbortController()).signal);
      return;
    }
    const asking = (this.#asking = new AbortController());
    this.grid.wait();
    const old = setTimeout(() => this.results.classList.add("old"), SLOW);
    const began = performance.now();
    try {
      const answer = await search(state, { limit: PAGE, typed: true, signal: asking.signal });
      if (asking.signal.aborted) return;
      const page = this.#keep({ question, hits: answer.hits, answer, next: answer.next_page, took: performance.now() - began });
      this.#draw(page);
      this.#count(page, state, asking.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#failed(error, state);
    } finally {
      clearTimeout(old);
      if (asking === this.#asking) this.results.classList.remove("old");
    }
  }

  /** Tell that a hit was opened: of what was asked, and where it stood. */
  #opened(event) {
    const item = event.target.closest(".card-open") && event.button < 2 && event.target.closest("[data-id]");
    if (!item || !this.#shown) return;
    const { state } = this.store;
    const asked = [parted(state.q).q && "words", state.picture && "picture", state.like && "product"].filter(Boolean);
    const by = onlyStyle(state) ? null : asked.length > 1 ? "mixed" : (asked[0] ?? "filters");
    opened(item.dataset.id, { words: parted(state.q).q, by, place: [...this.grid.element.children].indexOf(item) + 1, release: this.#shown.answer.release });
  }

  /** Count what filters would leave of what was found. Without it the products stand there all the same. */
  async #count(page, state, signal) {
    if (onlyStyle(state)) return;
    try {
      await new Promise((done) => setTimeout(done, CALM));
      if (signal.aborted) return;
      const { facets, ranges, total } = await search(state, { limit: 1, facets: "usual,price", signal });
      page.answer = { ...page.answer, facets, ranges, total: page.answer.total ?? total };
      page.counted = true;
      if (page !== this.#shown) return;
      this.facets.show(page.answer);
      this.#above(page);
      this.#told(page);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.facets.show({});
    }
  }

  #keep(page) {
    this.#answers.set(page.question, page);
    if (this.#answers.size > KEPT) this.#answers.delete(this.#answers.keys().next().value);
    for (const hit of page.hits) this.asking.name(hit);
    return page;
  }

  #draw(page) {
    this.#shown = page;
    const { answer, hits } = page;
    this.results.classList.remove("old");
    this.grid.show(hits);
    // The counts of the question before stand until those of this one are there.
    if (page.counted || onlyStyle(this.store.state)) this.facets.show(answer);
    this.#above(page);
    this.#told(page);
    this.#offerMore(page);
    say(hits.length ? `${found(answer.total) || many(hits.length, "product")}, ${hits.length} shown` : "Nothing found");
  }

  #above(page) {
    const { answer, hits, took } = page;
    const number = found(answer.total) || (hits.length ? `${page.next ? "The first " : ""}${many(hits.length, "product")}` : "Nothing found");
    const sort = h(
      "label",
      { class: "sort" },
      h("span", { class: "unseen" }, "Order"),
      h(
        "select",
        { data: { key: "sort" }, on: { change: (event) => this.store.go({ sort: event.target.value }) } },
        SORTS.map(([value, text]) => h("option", { value, selected: value === this.store.state.sort }, text)),
      ),
    );
    redraw(
      this.line,
      h("p", { class: "found" }, h("strong", { title: answer.total?.rule }, number), h("span", { class: "soft took", title: `The server took ${milliseconds(answer.took_ms ?? took)}` }, milliseconds(took))),
      h("div", { class: "chips" }, this.facets.chips()),
      h("div", { class: "row" }, this.facets.button(), sort),
    );
  }

  /** What a person should know of the answer: corrections, words the catalogue lacks, what was left out. */
  #told({ answer, counted }) {
    const { q } = this.store.state;
    const told = [];
    const understood = (answer.understood ?? "").trim();
    if (understood && understood.toLowerCase() !== q.replace(/(^|\s)-\p{L}+/gu, "").trim().toLowerCase()) told.push(h("p", {}, "Read as ", h("em", {}, understood), "."));
    if (answer.synonyms?.length) told.push(h("p", {}, "Looked for as well: ", h("em", {}, answer.synonyms.join(", ")), "."));
    // Of what is still being typed much is lacking.
    if (counted) for (const each of answer.lacking ?? []) if (each.by !== "spelling") told.push(this.#lacks(each));
    for (const note of answer.notes ?? []) told.push(h("p", {}, sentence(note)));
    if (!answer.hits.length) told.push(this.#nothing());
    redraw(this.notes, told);
  }

  /** One line on a word that no product has, and links to what is near. */
  #lacks({ word, nearest }) {
    const { q } = this.store.state;
    const at = q.toLowerCase().indexOf(word);
    const instead = ({ value }) => (at < 0 ? value : q.slice(0, at) + value + q.slice(at + word.length));
    const near = nearest.map((each) => [
      link(this.store, { q: instead(each) }, { class: "near", data: { key: `near-${word}-${each.value}` } }, each.value),
      each.products === null ? "" : ` (${count(each.products)})`,
    ]);
    const line = h("p", { class: "lacking" }, "We have no ", h("em", {}, word), ". ");
    if (near.length) line.append("Nearest: ", ...near.flatMap((each, place) => (place ? [", ", ...each] : each)), ".");
    else line.append("These are the nearest in meaning.");
    return line;
  }

  #nothing() {
    const { filters, q } = this.store.state;
    const advice = filters.size
      ? h("button", { type: "button", class: "button", on: { click: () => this.store.go({ filters: new Map() }) } }, "Search without the filters")
      : q && h("button", { type: "button", class: "button", on: { click: () => this.store.go({ q: "" }) } }, "Show everything");
    return h("div", { class: "notice" }, h("p", { class: "notice-what" }, "Nothing in the catalogue is like this."), advice);
  }

  #offerMore(page) {
    if (!page.next) {
      redraw(this.more, page.hits.length > PAGE ? h("p", { class: "soft" }, "That is all.") : []);
      return;
    }
    const button = h("button", { type: "button", class: "button wide", data: { key: "more" }, on: { click: () => this.#fetchMore(page, button) } }, "Show more");
    redraw(this.more, button);
  }

  async #fetchMore(page, button) {
    button.disabled = true;
    button.textContent = "Fetching …";
    try {
      const answer = await search(this.store.state, { limit: PAGE, page: page.next, signal: this.#asking?.signal });
      if (page !== this.#shown) return;
      page.hits = [...page.hits, ...answer.hits];
      page.next = answer.next_page;
      for (const hit of answer.hits) this.asking.name(hit);
      this.grid.add(answer.hits);
      this.#offerMore(page);
      say(`${answer.hits.length} more, ${page.hits.length} shown`);
    } catch (error) {
      if (error.name !== "AbortError") redraw(this.more, trouble(error, () => this.#fetchMore(page, button)));
    }
  }

  #failed(error, state) {
    this.#shown = null;
    this.grid.empty();
    redraw(this.line);
    redraw(this.more);
    redraw(this.notes, trouble(error, () => this.show(this.store.state)));
    say(error.detail || "The search failed");
    if (error.kind === "asked" && state.filters.size) this.notes.append(h("button", { type: "button", class: "button", on: { click: () => this.store.go({ filters: new Map() }) } }, "Search without the filters"));
  }
}

const pictures = new WeakMap();
let pictureCount = 0;

/** What tells this question from every other. */
function questionOf(state) {
  if (state.picture && !pictures.has(state.picture)) pictures.set(state.picture, ++pictureCount);
  return JSON.stringify([state.q, state.like, state.style, state.sort, state.person, filterTexts(state.filters), pictures.get(state.picture) ?? 0]);
}

export const asksAnything = (state) => Boolean(state.q || state.like || state.picture || state.style || state.filters.size);

function sentence(text) {
  const words = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(words) ? words : `${words}.`;
}
