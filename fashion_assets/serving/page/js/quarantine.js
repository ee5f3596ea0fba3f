/**
 * Quarantine: listings that did not become products, with their pictures and every reason.
 *
 * What belongs here: that part of the merchant's view. What does not: judging listings.
 */

import { askIfThere } from "./api.js";
import { h, redraw } from "./dom.js";
import { capital, count, many, words } from "./format.js";
import { picture } from "./pictures.js";
import { trouble } from "./told.js";

const PAGE = 24;

/** What records call a title, in the systems there are. */
const TITLES = ["title", "name", "productDisplayName", "product_name"];

export class Quarantine {
  #asking = null;
  #reason = "";

  constructor() {
    this.choice = h("div", { class: "row choice" });
    this.list = h("ul", { class: "rejected", "aria-label": "Rejected listings" });
    this.more = h("div", { class: "more" });
    this.content = h("div", { class: "panel" });
    this.element = h(
      "section",
      { class: "panel", id: "quarantine" },
      h("h2", {}, "Quarantine"),
      h("p", { class: "soft" }, "Listings that did not become products, and every reason. Mend them in the source; the next run takes them up."),
      this.content,
    );
  }

  show() {
    this.list.replaceChildren();
    this.#fetch(0);
  }

  async #fetch(skip) {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    try {
      const answer = await askIfThere("merchant/quarantine", { parameters: [["reason", this.#reason], ["skip", skip], ["limit", PAGE]], signal });
      if (answer === null) redraw(this.content, h("p", { class: "notice" }, "This server does not show what was rejected."));
      else this.#draw(answer, skip);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (skip) redraw(this.more, trouble(error, () => this.#fetch(skip)));
      else redraw(this.content, trouble(error, () => this.show()));
    }
  }

  #draw({ reasons, listings, more }, skip) {
    if (!skip) {
      const why = new Map(reasons.map((each) => [each.reason, each.why]));
      this.why = (reason) => why.get(reason) || capital(words(reason));
      this.#choices(reasons);
      redraw(this.content, this.choice, this.list, this.more);
    }
    const items = listings.map((each) => rejected(each, this.why));
    this.list.append(...items);
    if (!this.list.children.length) redraw(this.more, h("p", { class: "notice" }, "Nothing was rejected."));
    else if (more) redraw(this.more, h("button", { type: "button", class: "button wide", data: { key: "more" }, on: { click: () => this.#fetch(skip + PAGE) } }, "Show more"));
    else redraw(this.more);
    if (skip) items[0]?.querySelector("summary").focus({ preventScroll: true });
  }

  #choices(reasons) {
    if (reasons.length < 2) return;
    const choose = (event) => {
      this.#reason = event.target.value;
      this.show();
    };
    const option = (value, text) => h("option", { value, selected: value === this.#reason }, text);
    const all = [...reasons].sort((one, other) => other.listings - one.listings);
    redraw(this.choice, h("label", {}, h("span", { class: "soft" }, "Reason"), h("select", { data: { key: "reason" }, on: { change: choose } }, option("", "All of them"), all.map((each) => option(each.reason, `${capital(words(each.reason))} (${count(each.listings)})`)))));
  }
}

function rejected(listing, why) {
  const record = listing.record && typeof listing.record === "object" ? listing.record : {};
  const title = TITLES.map((name) => record[name]).find((each) => typeof each === "string" && each.trim()) ?? listing.external_id ?? "Without an id";
  const hit = { title, image: listing.image, attributes: {} };
  return h(
    "li",
    {},
    picture(hit, { sizes: "96px" }),
    h(
      "div",
      {},
      h("p", { class: "card-title" }, title),
      h("p", { class: "soft small" }, [listing.source, listing.external_id].filter(Boolean).join(" · ")),
      h("ul", { class: "reasons" }, listing.reasons.map((reason) => h("li", {}, why(reason)))),
      h("details", { class: "record" }, h("summary", {}, many(Object.keys(record).length, "field"), " of the record"), h("pre", {}, JSON.stringify(listing.record, null, 1))),
    ),
  );
}
