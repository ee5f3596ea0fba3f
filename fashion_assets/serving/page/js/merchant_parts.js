/**
 * The parts of the merchant's view, each with its path and how its answer is drawn.
 *
 * What belongs here: tables, forms, rejected listings. What does not: asking for them (`merchant`).
 */

import { h } from "./dom.js";
import { capital, count, when, words } from "./format.js";
import { picture } from "./pictures.js";
import { link } from "./cards.js";

/** @returns the parts, in their order. */
export const parts = (store) => [
  { path: "merchant/queries", title: "Looked for and not found", about: "Questions that brought nothing, the most frequent first. A synonym often mends one.", draw: (answer) => queries(store, listOf(answer, "queries")) },
  { path: "merchant/pins", title: "Pinned, hidden, boosted", about: "Products that stand where somebody put them, for the questions and the time stated.", draw: (answer) => pins(listOf(answer, "pins")) },
  { path: "merchant/synonyms", title: "Synonyms", about: "Words that find what other words find.", draw: (answer) => synonyms(listOf(answer, "synonyms")) },
  { path: "merchant/quarantine", title: "Quarantine", about: "Listings that did not become products, with every reason.", draw: (answer) => quarantine(listOf(answer, "rejections", "quarantine")) },
];

const listOf = (answer, ...names) => (Array.isArray(answer) ? answer : (names.map((name) => answer[name]).find(Array.isArray) ?? []));

const nothing = (text) => h("p", { class: "notice" }, text);

function table(heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": heads.join(", ") }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell ?? "")))))));
}

function queries(store, list) {
  if (!list.length) return nothing("Everything that was looked for was found so far.");
  return table(["Looked for", "How often", "Last"], list.map((each) => [link(store, { view: "search", q: each.q ?? each.query ?? "" }, {}, each.q ?? each.query ?? ""), count(each.count ?? each.times ?? 1), when(each.last ?? each.last_asked)]));
}

function pins(list) {
  if (!list.length) return nothing("Nothing is pinned.");
  return table(["Question", "What", "Product", "From", "Until"], list.map((each) => [each.q ?? each.query ?? "every", [each.kind ?? each.action, each.position].filter(Boolean).join(" "), each.title ?? each.product ?? each.product_id, when(each.from ?? each.starts_at), when(each.until ?? each.ends_at)]));
}

function synonyms(list) {
  if (!list.length) return nothing("There are none beside those of the vocabularies.");
  return table(["Words", "find"], list.map((each) => [[each.words ?? each.word ?? each.term].flat().join(", "), [each.means ?? each.synonyms ?? each.also].flat().join(", ")]));
}

function quarantine(list) {
  if (!list.length) return nothing("Nothing was rejected.");
  return h("ul", { class: "rejected" }, list.map(rejected));
}

function rejected(each) {
  const reasons = (each.reasons ?? [each.reason]).filter(Boolean).map((reason) => (typeof reason === "string" ? { reason } : reason));
  const hit = { title: each.title ?? each.record?.title, image: each.image ?? null, attributes: {} };
  return h(
    "li",
    {},
    picture(hit, { sizes: "96px" }),
    h(
      "div",
      {},
      h("p", { class: "card-title" }, hit.title || each.external_id || "Untitled"),
      h("p", { class: "soft small" }, [each.source, each.external_id].filter(Boolean).join(" · ")),
      h("ul", { class: "reasons" }, reasons.map((reason) => h("li", {}, h("b", {}, capital(words(reason.reason ?? reason.code ?? ""))), reason.detail && ` ${reason.detail}`))),
    ),
  );
}
