/**
 * The line that asks: words, a picture dropped, pasted or chosen, a product to be like; and the suggestions below it.
 *
 * What belongs here: the field as a combobox, what is searched with as chips, ways a picture comes in. What does not: results.
 */

import { ask, askIfThere } from "./api.js";
import { $, h, icon, redraw } from "./dom.js";
import { picture, uploaded } from "./pictures.js";

const CALM = 40;
/** Milliseconds after a key until the question is asked, where another came right before; the first is asked at once. */

export class Asking {
  #timer = null;
  #asked = 0;
  #typing = false;
  #suggesting = null;
  #names = new Map();

  constructor(store) {
    this.store = store;
    this.input = $("words");
    this.list = $("suggestions");
    this.options = [];
    this.chosen = -1;
    this.#listen();
  }

  /** Show what the state asks with. */
  show(state) {
    // What is typed and not asked yet stays.
    if (this.#timer === null && this.input.value.trim() !== state.q) this.input.value = state.q;
    const parts = [];
    if (state.picture) parts.push(this.#part(h("span", { class: "tile" }, h("img", { src: state.picture.url, alt: "", class: "there" })), "This picture", "picture", { picture: null }));
    if (state.like) parts.push(this.#part(this.#likeness(state.like), this.#names.get(state.like)?.title ?? "This product", "product", { like: "" }));
    if (state.style) parts.push(this.#part(null, `Style: ${state.style}`, "style", { style: "" }));
    const likened = parts.length > 0;
    if (state.person && state.view === "search") parts.push(this.#part(null, `For ${state.person}`, "person", { person: "" }));
    redraw($("parts"), parts);
    $("parts").hidden = !parts.length;
    $("clear").hidden = !(this.input.value || parts.length);
    this.input.placeholder = likened ? "… but in red, or striped, or for the rain" : "Words, a picture, or both";
  }

  /** A product's title, for its chip: whoever knows it tells. */
  name(hit) {
    this.#names.set(hit.id, hit);
  }

  /** What is known of a product that was shown, or null. */
  known(id) {
    return this.#names.get(id) ?? null;
  }

  /** Suggestions for what stands there. */
  async suggest() {
    this.#suggesting?.abort();
    this.#suggesting = new AbortController();
    try {
      const answer = await askIfThere("suggestions", { parameters: [["q", this.input.value.trim()]], signal: this.#suggesting.signal });
      this.#offer((answer?.suggestions ?? answer ?? []).map((each) => (typeof each === "string" ? { text: each } : each)).filter((each) => each.text));
    } catch (error) {
      // Suggestions are a help: without them the search goes as well.
      if (error.name !== "AbortError") this.#offer([]);
    }
  }

  #listen() {
    const { input, list } = this;
    input.addEventListener("input", () => this.#typed());
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("blur", () => {
      this.#typing = false;
      this.#choose(-1);
    });
    list.addEventListener("pointerdown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take(this.options[Number(option.dataset.place)]);
    });
    $("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.chosen >= 0) this.#take(this.options[this.chosen]);
      else this.#now();
      this.#typing = false;
    });
    $("clear").addEventListener("click", () => {
      input.value = "";
      this.store.go({ q: "", picture: null, like: "", style: "", person: "" });
      input.focus();
      this.suggest();
    });
    $("choose").addEventListener("click", () => $("picture").click());
    $("picture").addEventListener("change", () => {
      this.#picture($("picture").files[0]);
      $("picture").value = "";
    });
    this.#drops();
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      this.#picture(file);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(input|textarea|select)$/i.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      input.focus();
      input.select();
    });
  }

  #drops() {
    const drop = $("drop");
    const carries = (event) => [...event.dataTransfer.types].some((type) => type === "Files" || type === "text/x-product");
    document.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      drop.hidden = false;
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.hidden = true;
    });
    document.addEventListener("dragend", () => (drop.hidden = true));
    document.addEventListener("drop", (event) => {
      drop.hidden = true;
      if (!carries(event)) return;
      event.preventDefault();
      const product = event.dataTransfer.getData("text/x-product");
      if (product) this.store.go({ view: "search", like: product, picture: null, product: "" });
      else this.#picture(event.dataTransfer.files[0]);
    });
  }

  async #picture(file) {
    if (!file) return;
    this.store.go({ ...this.#searching(), picture: await uploaded(file), like: "", product: "" });
    this.input.focus();
  }

  /** Where typing leads: the comparison keeps its view, any other gives way to the results. */
  #searching() {
    return this.store.state.view === "compare" ? {} : { view: "search" };
  }

  #typed() {
    this.#choose(-1);
    $("clear").hidden = !this.input.value && $("parts").hidden;
    clearTimeout(this.#timer);
    const since = performance.now() - this.#asked;
    if (since > 2 * CALM) this.#now();
    else this.#timer = setTimeout(() => this.#now(), CALM);
  }

  #now() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#asked = performance.now();
    const q = this.input.value.trim();
    // One entry of the history for what is typed in one go.
    if (q !== this.store.state.q) this.store.go({ ...this.#searching(), q, style: "", product: "" }, { replace: this.#typing });
    this.#typing = true;
    this.suggest();
  }

  #offer(suggestions) {
    const chosen = this.options[this.chosen]?.text;
    this.options = suggestions.slice(0, 8);
    this.list.replaceChildren(
      ...this.options.map((each, place) => h("li", { role: "option", id: `suggestion-${place}`, "aria-selected": "false", data: { place } }, each.text)),
    );
    this.input.setAttribute("aria-expanded", String(this.options.length > 0));
    // What was chosen of the list before stays, where an answer comes behind the arrow key.
    this.#choose(this.options.findIndex((each) => each.text === chosen));
  }

  #key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!this.options.length) return;
      event.preventDefault();
      const places = this.options.length + 1;
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#choose(((this.chosen + 1 + step + places) % places) - 1);
    } else if (event.key === "Escape") {
      if (this.chosen >= 0) this.#choose(-1);
      else if (this.input.value) $("clear").click();
    } else if (event.key === "Backspace" && !this.input.value) {
      $("parts").querySelector("li:last-child button")?.click();
    }
  }

  #choose(place) {
    this.chosen = place;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
    if (place >= 0) {
      this.input.setAttribute("aria-activedescendant", `suggestion-${place}`);
      this.list.children[place].scrollIntoView({ block: "nearest", inline: "nearest" });
    } else this.input.removeAttribute("aria-activedescendant");
  }

  #take(suggestion) {
    if (!suggestion) return;
    this.input.value = suggestion.text;
    this.#typing = false;
    this.#now();
    this.#typing = false;
  }

  #part(shown, text, kind, change) {
    const remove = () => {
      this.store.go(change);
      this.input.focus();
    };
    return h(
      "li",
      { class: "part" },
      shown,
      h("span", { class: "part-text" }, text),
      h("button", { type: "button", class: "icon-button", "aria-label": `Remove: ${text}`, data: { key: `part-${kind}` }, on: { click: remove } }, icon("close")),
    );
  }

  #likeness(id) {
    const known = this.#names.get(id);
    if (known) return picture(known, { sizes: "40px", eager: true });
    const frame = h("span", { class: "tile" });
    ask(`products/${encodeURIComponent(id)}`)
      .then((hit) => {
        this.name({ ...hit, id });
        if (this.store.state.like === id) this.show(this.store.state);
      })
      .catch(() => this.name({ id, title: "This product" }));
    return frame;
  }
}
