/**
 * The page explains itself: what is live, since when, how many there are, what was rejected and why.
 *
 * What belongs here: the view `?view=about`, the line at the foot of every view. What does not: finding it out, which the API does.
 */

import { askIfThere } from "./api.js";
import { link } from "./cards.js";
import { $, h, redraw } from "./dom.js";
import { capital, count, many, when, words } from "./format.js";
import { forget, isAskedNotTo, isSwitchedOff, keptDays, learn, number, switchTo } from "./liking.js";
import { trouble } from "./told.js";

export class About {
  #told = null;

  constructor(store, home) {
    this.store = store;
    this.home = home;
    this.content = h("div", {});
    this.element = h("section", { class: "view about" }, h("h1", {}, "What is here"), this.content);
  }

  show() {
    if (!this.#told) this.ask();
  }

  async ask() {
    try {
      this.#told = await askIfThere("about");
    } catch (error) {
      redraw(this.content, trouble(error, () => this.ask()));
      return;
    }
    learn(this.#told?.feedback_kept_days);
    if (!this.#told?.live) {
      redraw(this.content, h("p", { class: "notice" }, "Nothing is live yet."));
      return;
    }
    this.home.counted(this.#told.live.products);
    redraw(this.content, this.#page(this.#told));
    redraw($("foot"), this.#foot(this.#told.live));
  }

  #foot(live) {
    const since = when(live.promoted_at);
    const sentence = `${live.release} is live${since && ` since ${since}`}: ${many(live.products, "product")}, ${count(live.quarantined ?? 0)} rejected. `;
    return h("p", {}, sentence, link(this.store, { view: "about", product: "" }, {}, "What is here, and why"));
  }

  /** What is kept of whoever looks at this page, and how it ends. */
  #liking() {
    const section = (...told) => h("section", { id: "liking" }, h("h2", {}, "What you like"), told);
    if (keptDays() === 0) return section(h("p", {}, "Nothing is kept of what you like or open here."));
    if (isAskedNotTo()) return section(h("p", {}, "Your browser asks that nothing be kept of what you do, so nothing is: there are no hearts here, and what you open is told to nobody."));
    const days = keptDays();
    const on = h("input", { type: "checkbox", role: "switch", checked: !isSwitchedOff(), on: { change: (event) => switchTo(event.target.checked) } });
    const gone = h("p", { class: "soft", role: "status" });
    const leave = async () => {
      try {
        await forget();
        gone.textContent = "It is forgotten.";
      } catch (error) {
        gone.textContent = error.detail || "It could not be forgotten now; try again.";
      }
    };
    return section(
      h(
        "p",
        {},
        `The hearts you press, and which products you open from a search, are kept by this catalogue's own server${days ? `, for ${many(days, "day")},` : ""} under a number this browser draws at random. There is no name and no address with it; it serves to recommend to you (For people), and to order what others find better.`,
      ),
      h("label", { class: "row" }, on, "Keep what I like and open"),
      h("div", { class: "row" }, h("button", { type: "button", class: "button quiet", on: { click: leave } }, "Forget what I liked and opened"), gone),
      number() && h("p", { class: "soft small" }, `Your number: ${number()}`),
    );
  }

  #page({ live, sources, rejected, reports, served }) {
    const since = when(live.promoted_at);
    const figure = (number, text) => h("li", {}, h("b", {}, count(number)), h("span", {}, text));
    return [
      h("p", { class: "lead" }, "Every listing of the old catalogues is one of these products, or stands in quarantine with its reasons."),
      h("ul", { class: "figures" }, figure(live.listings ?? 0, "listings read"), figure(live.products, "products"), figure(live.quarantined ?? 0, "in quarantine")),
      h(
        "dl",
        { class: "facts wide" },
        fact("Live", live.release),
        since && fact("Since", since),
        live.revision > 0 && fact("Changed since it was built", many(live.revision, "time")),
        served && served !== live.release && fact("Searched here", served),
        (sources ?? []).map((source) => fact(source.name, `${many(source.products, "product")} of ${many(source.listings, "listing")}`)),
      ),
      rejected?.length > 0 && h("section", {}, h("h2", {}, "What was rejected, and why"), h("ul", { class: "bars" }, bars(rejected)), h("p", { class: "soft small" }, "A listing may have several reasons.")),
      this.#liking(),
      h("p", { class: "row" }, local(live.report, "The release's report"), local(reports, "All reports")),
    ].flat();
  }
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

function bars(rejected) {
  const most = Math.max(...rejected.map((each) => each.listings));
  return [...rejected]
    .sort((one, other) => other.listings - one.listings)
    .map(({ reason, why, listings }) => {
      const bar = h("span", { class: "bar-of", "aria-hidden": "true" });
      bar.style.inlineSize = `${(100 * listings) / most}%`;
      return h("li", {}, h("b", {}, count(listings)), h("div", {}, h("p", {}, why || capital(words(reason))), bar));
    });
}

/** A link to a page of this server's; null to any other. */
const local = (path, text) => typeof path === "string" && /^\/(?![/\\])/.test(path) && h("a", { class: "button quiet", href: path }, text);
