/**
 * Filters with counts: what would be left of what was found, and ranges.
 *
 * What belongs here: the panel of facets, the chips of filters in use, the panel as a sheet on a phone. What does not:
 * counting, which the answer has done.
 */

import { swatch } from "./colours.js";
import { $, h, icon, redraw } from "./dom.js";
import { capital, count, words } from "./format.js";
import { toggled } from "./state.js";

const SHOWN = 8;
/** Values of a facet at first. */
const FIRST = ["category", "article_type", "colour", "gender", "size", "brand"];
/** Facets that stand at the top. */
const OPEN = 4;
/** Facets that are open at first. */

const NARROW = matchMedia("(max-width: 60rem)");

export class Facets {
  constructor(store) {
    this.store = store;
    this.panel = h("div", { class: "facets" });
    this.aside = h("aside", { class: "side", "aria-label": "Filters" }, this.panel);
    this.open = new Map();
    this.whole = new Set();
    NARROW.addEventListener("change", () => this.#place());
    const sheet = $("sheet");
    sheet.append(
      h("div", { class: "sheet-head" }, h("h2", { id: "sheet-title" }, "Filters"), h("button", { type: "button", class: "icon-button", "aria-label": "Close the filters", on: { click: () => sheet.close() } }, icon("close"))),
      h("div", { class: "sheet-body" }),
      h("button", { type: "button", class: "button wide", id: "sheet-done", on: { click: () => sheet.close() } }, "Show the products"),
    );
    sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
    this.#place();
  }

  /** The button that opens the sheet, on a narrow screen. */
  button() {
    const used = this.store.state.filters.size;
    return h("button", { type: "button", class: "button quiet narrow-only", data: { key: "filters" }, on: { click: () => $("sheet").showModal() } }, icon("filter"), used ? `Filters (${used})` : "Filters");
  }

  /** Draw an answer's facets and ranges. */
  show(answer) {
    const { filters } = this.store.state;
    const facets = Object.entries(answer.facets ?? {})
      .filter(([name, values]) => values.length > 1 || filters.has(name))
      .sort(([one], [other]) => rank(one) - rank(other));
    const ranges = Object.entries(answer.ranges ?? {}).filter(([name, range]) => isNumber(range?.low) && isNumber(range?.high) && (Number(range.low) < Number(range.high) || filters.has(name)));
    redraw(
      this.panel,
      ranges.map(([name, range]) => this.#range(name, range)),
      facets.map(([name, values], place) => this.#facet(name, values, place)),
    );
    $("sheet-done").textContent = typeof answer.total?.value === "number" ? `Show ${count(answer.total.value)} products` : "Show the products";
  }

  /** The filters in use, each to be taken away. */
  chips() {
    const { filters } = this.store.state;
    const chips = [...filters].flatMap(([name, filter]) =>
      filter.values
        ? filter.values.map((value) => this.#chip(name, value, toggled(filters, name, value)))
        : [this.#chip(name, told(filter), without(filters, name))],
    );
    if (chips.length > 1) chips.push(h("button", { type: "button", class: "text-button", data: { key: "all" }, on: { click: () => this.store.go({ filters: new Map() }) } }, "Clear all"));
    return chips;
  }

  #place() {
    if (NARROW.matches) $("sheet").querySelector(".sheet-body").append(this.panel);
    else {
      if ($("sheet").open) $("sheet").close();
      this.aside.append(this.panel);
    }
  }

  #chip(name, value, filters) {
    return h(
      "button",
      { type: "button", class: "chip", data: { key: `chip-${name}-${value}` }, "aria-label": `Remove the filter ${words(name)}: ${value}`, on: { click: () => this.store.go({ filters }) } },
      h("span", { class: "chip-name" }, words(name)),
      value,
      icon("close"),
    );
  }

  #group(name, place, ...content) {
    const open = this.open.get(name) ?? (place < OPEN || this.store.state.filters.has(name));
    const group = h("details", { class: "facet", open }, h("summary", { data: { key: `facet-${name}` } }, capital(words(name))), ...content);
    group.addEventListener("toggle", () => this.open.set(name, group.open));
    return group;
  }

  #facet(name, values, place) {
    const used = this.store.state.filters.get(name)?.values ?? [];
    const known = values.map((each) => ({ ...each, value: String(each.value) }));
    // What is filtered by stays at hand, although nothing may be left of it.
    for (const value of used) if (!known.some((each) => each.value === value)) known.push({ value, count: 0 });
    const shown = this.whole.has(name) ? known : known.filter((each, at) => at < SHOWN || used.includes(each.value));
    const list = h("ul", { "aria-label": capital(words(name)) }, shown.map((each) => this.#value(name, each, used.includes(each.value))));
    const rest = known.length - shown.length;
    const more = rest > 0 && h("button", { type: "button", class: "text-button", data: { key: `more-${name}` }, on: { click: () => this.#unfold(name, values, place) } }, `${rest} more`);
    return this.#group(name, place, list, more);
  }

  #unfold(name, values, place) {
    this.whole.add(name);
    const before = this.panel.querySelector(`[data-key="${CSS.escape(`more-${name}`)}"]`).closest("details");
    const after = this.#facet(name, values, place);
    before.replaceWith(after);
    after.querySelectorAll("input")[SHOWN]?.focus();
  }

  #value(name, { value, count: number }, checked) {
    const box = h("input", { type: "checkbox", checked, data: { key: `value-${name}-${value}` }, on: { change: () => this.store.go({ filters: toggled(this.store.state.filters, name, value) }) } });
    const colour = name.includes("colour") && swatch(value);
    const dot = colour && h("span", { class: "swatch", "aria-hidden": "true" });
    if (dot) dot.style.background = colour;
    return h("li", {}, h("label", { class: number ? "" : "none" }, box, dot, h("span", { class: "value" }, value), h("span", { class: "count" }, count(number))));
  }

  #range(name, range) {
    const used = this.store.state.filters.get(name) ?? { low: "", high: "" };
    const field = (end, label, placeholder) =>
      h("label", {}, h("span", {}, label), h("input", { class: "field", type: "number", inputmode: "decimal", min: 0, step: "any", value: used[end] ?? "", placeholder, data: { key: `${name}-${end}` } }));
    const low = field("low", "from", String(Math.floor(range.low)));
    const high = field("high", "to", String(Math.ceil(range.high)));
    const apply = () => {
      const [from, to] = [low, high].map((each) => each.querySelector("input").value);
      const filters = without(this.store.state.filters, name);
      if (from !== "" || to !== "") filters.set(name, { low: from, high: to });
      this.store.go({ filters });
    };
    const inputs = h("form", { class: "range", "aria-label": capital(words(name)), on: { change: apply, submit: (event) => (event.preventDefault(), apply()) } }, low, high);
    return this.#group(name, 0, bars(range.buckets ?? []), inputs);
  }
}

/** Where a facet stands: what people look for first, then as the answer has them. */
function rank(name) {
  const place = FIRST.indexOf(name);
  return place < 0 ? FIRST.length : place;
}

/** How the numbers lie between the smallest and the largest. */
function bars(buckets) {
  if (buckets.length < 3) return null;
  const most = Math.max(...buckets.map((each) => each.count));
  return h(
    "div",
    { class: "heights", "aria-hidden": "true" },
    buckets.map((each) => {
      const bar = h("span", {});
      bar.style.blockSize = `${Math.max(4, (100 * each.count) / most)}%`;
      return bar;
    }),
  );
}

const isNumber = (value) => value !== null && value !== "" && Number.isFinite(Number(value));

function without(filters, name) {
  const rest = new Map(filters);
  rest.delete(name);
  return rest;
}

function told({ low, high }) {
  if (low === "") return `up to ${high}`;
  return high === "" ? `from ${low}` : `${low} to ${high}`;
}
