/**
 * Two releases beside each other: what each finds for the same question, how long it takes, and what moved.
 *
 * What belongs here: the view `?view=compare`. What does not: the field that asks, which is that of every search.
 */

import { ask, askIfThere, parted } from "./api.js";
import { link } from "./cards.js";
import { h, icon, redraw } from "./dom.js";
import { found, many, milliseconds, when } from "./format.js";
import { picture } from "./pictures.js";
import { filterTexts } from "./state.js";
import { trouble } from "./told.js";

const SHOWN = 12;

export class Compare {
  #asking = null;
  #releases = null;

  constructor(store) {
    this.store = store;
    this.choice = h("div", { class: "row choice" });
    this.summary = h("p", { class: "summary" });
    this.sides = h("div", { class: "sides" });
    this.element = h(
      "section",
      { class: "view" },
      h("h1", {}, "Old and new"),
      h("p", { class: "lead" }, "The same question, asked of two releases. Type above: what moved is marked, and how long each took."),
      this.choice,
      this.summary,
      this.sides,
    );
  }

  async show(state) {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    try {
      this.#releases ??= (await askIfThere("releases", { signal }))?.releases ?? [];
      const [a, b] = this.#chosen(state);
      this.#choices(a, b);
      if (this.#releases.length < 2) {
        redraw(this.sides, h("p", { class: "notice" }, "There is one release so far. When the next is built, both stand here beside each other."));
        return;
      }
      const { q } = parted(state.q);
      if (!q) {
        redraw(this.summary);
        redraw(this.sides, h("p", { class: "notice" }, "Type what to ask both for."));
        return;
      }
      this.#draw(await ask("compare", { parameters: [["q", q], ["a", a], ["b", b], ...filterTexts(state.filters).map((filter) => ["filter", filter]), ["limit", SHOWN]], signal }));
    } catch (error) {
      if (error.name === "AbortError") return;
      redraw(this.summary);
      redraw(this.sides, trouble(error, () => this.show(this.store.state)));
    }
  }

  /** The old and the new: what the address says, else the live release and the one before it. */
  #chosen({ a, b }) {
    const names = this.#releases.map((each) => each.release);
    const live = this.#releases.find((each) => each.served)?.release ?? names[0];
    const newer = b || live || "";
    const older = a || names[names.indexOf(newer) + 1] || names.find((name) => name !== newer) || "";
    return [older, newer];
  }

  #choices(a, b) {
    const choice = (name, text, chosen) =>
      h(
        "label",
        {},
        h("span", { class: "soft" }, text),
        h("select", { data: { key: `release-${name}` }, on: { change: (event) => this.store.go({ [name]: event.target.value }) } }, this.#releases.map((each) => h("option", { value: each.release, selected: each.release === chosen }, told(each)))),
      );
    redraw(this.choice, this.#releases.length > 1 ? [choice("a", "Old", a), choice("b", "New", b)] : []);
  }

  #draw({ a, b }) {
    const placesOf = (side) => new Map(side.hits.map((hit, place) => [hit.id, place]));
    const before = placesOf(a);
    const after = placesOf(b);
    const same = b.hits.filter((hit) => before.get(hit.id) === after.get(hit.id)).length;
    const moved = b.hits.filter((hit) => before.has(hit.id)).length - same;
    redraw(this.summary, `${many(same, "product")} in the same place, ${moved} moved, ${b.hits.length - same - moved} only in the new, ${a.hits.filter((hit) => !after.has(hit.id)).length} only in the old.`);
    redraw(this.sides, this.#side("Old", a, (hit) => (after.has(hit.id) ? null : mark("gone", "only here"))), this.#side("New", b, (hit, place) => moves(before, hit, place)));
  }

  #side(text, side, marked) {
    return h(
      "section",
      { class: "compared", "aria-label": `${text}: ${side.release}` },
      h("header", {}, h("p", { class: "overline" }, text), h("h2", {}, side.release ?? ""), h("p", { class: "took-large" }, milliseconds(side.took_ms ?? 0)), h("p", { class: "soft" }, found(side.total) || many(side.hits.length, "product"))),
      h(
        "ol",
        { class: "ranking" },
        side.hits.map((hit, place) =>
          h("li", {}, link(this.store, { product: hit.id }, {}, h("span", { class: "place" }, String(place + 1)), picture(hit, { sizes: "72px" }), h("span", { class: "ranking-told" }, h("span", { class: "card-brand" }, hit.attributes?.brand ?? ""), h("span", {}, hit.title ?? ""), marked(hit, place)))),
        ),
      ),
    );
  }
}

const mark = (kind, text, name = null) => h("span", { class: `moved ${kind}` }, name && icon(name), text);

function moves(before, hit, place) {
  if (!before.has(hit.id)) return mark("new", "new");
  const by = before.get(hit.id) - place;
  if (by === 0) return null;
  return by > 0 ? mark("up", `up ${by}`, "up") : mark("down", `down ${-by}`, "down");
}

function told(release) {
  return [release.release, release.state, when(release.promoted_at ?? release.created_at)].filter(Boolean).join(", ");
}
