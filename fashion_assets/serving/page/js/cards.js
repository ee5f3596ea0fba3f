/**
 * A product among others: its picture, what it is called, what it costs; and frames where products will be.
 *
 * What belongs here: one card, a grid or a row of cards. What does not: where the products come from.
 */

import { h, icon } from "./dom.js";
import { price } from "./format.js";
import { heart } from "./liking.js";
import { picture } from "./pictures.js";

/** Something that leads to a state of the page: a plain link, so it can be opened in another tab. */
export function link(store, change, properties, ...children) {
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    store.go(change);
  };
  return h("a", { ...properties, href: store.address(change), on: { click: follow } }, ...children);
}

/** A product as an item of a list. */
export function card(store, hit) {
  const { brand } = hit.attributes ?? {};
  const title = hit.title ?? "Untitled";
  const open = link(
    store,
    { product: hit.id },
    { class: "card-open", data: { key: `open-${hit.id}` }, draggable: "true" },
    picture(hit, { sizes: "(max-width: 40rem) 45vw, 240px" }),
    h("span", { class: "card-brand" }, brand ?? ""),
    h("span", { class: "card-title" }, without(title, brand, hit.highlights?.title ?? [])),
    h("span", { class: "card-price" }, price(hit.attributes ?? {})),
  );
  open.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/x-product", hit.id));
  return h(
    "li",
    { class: "card", data: { id: hit.id } },
    open,
    heart(hit),
    h(
      "button",
      {
        type: "button",
        class: "icon-button card-like",
        title: "More like this",
        "aria-label": `More like ${title}`,
        data: { key: `like-${hit.id}` },
        on: { click: () => like(store, hit.id) },
      },
      icon("like"),
    ),
  );
}

/** Search by a product; what was typed before asked for something else. */
export function like(store, id) {
  store.go({ view: "search", like: id, picture: null, q: "", product: "", filters: new Map(), sort: "" });
  scrollTo({ top: 0 });
}

/** A title without the brand it begins with, which stands above it, its matched words marked. */
function without(title, brand, marks) {
  const begins = brand && title.toLowerCase().startsWith(`${brand.toLowerCase()} `) && title.slice(brand.length).trim();
  return marked(title, marks, begins ? [...brand].length + 1 : 0);
}

/** Text from a character on, with its matched words marked; `marks` are [from, to] pairs of characters, not of JavaScript's halves of them. */
function marked(text, marks, at = 0) {
  const characters = [...text];
  const parts = [];
  for (const [from, to] of marks) {
    if (to <= at) continue;
    parts.push(characters.slice(at, Math.max(at, from)).join(""), h("mark", {}, characters.slice(Math.max(at, from), to).join("")));
    at = to;
  }
  return [...parts, characters.slice(at).join("")];
}

/** Frames that stand where products will. */
export const skeletons = (count) =>
  Array.from({ length: count }, () => h("li", { class: "card skeleton", "aria-hidden": "true" }, h("span", { class: "tile" }), h("span", { class: "bar" }), h("span", { class: "bar short" })));

/** Products side by side, to be scrolled. */
export const row = (store, hits, label) => h("ul", { class: "strip", "aria-label": label }, hits.map((hit) => card(store, hit)));
