/**
 * What the page shows, and the URL that says so: every state has an address, and the back button leads through them.
 *
 * What belongs here: reading and writing the URL, telling whoever listens. What does not: asking anything (`api`).
 * The URL has the API's own parameters, `?q=coat&filter=colour=red,blue&filter=price=10..50`, so one reads as the other.
 */

export const VIEWS = ["search", "people", "compare", "merchant", "about"];

const TEXTS = ["q", "like", "sort", "product", "person", "a", "b", "style"];

/** @returns the state a query string means; what it does not know is left out. */
export function read(search) {
  const given = new URLSearchParams(search);
  const state = { view: VIEWS.includes(given.get("view")) ? given.get("view") : "search", filters: new Map() };
  for (const name of TEXTS) state[name] = given.get(name) ?? "";
  for (const filter of given.getAll("filter")) {
    const at = filter.indexOf("=");
    if (at > 0) state.filters.set(filter.slice(0, at), filterOf(filter.slice(at + 1)));
  }
  return state;
}

/** @returns the query string of a state, "" where it is the plain page. */
export function write(state) {
  const given = new URLSearchParams();
  if (state.view !== "search") given.set("view", state.view);
  for (const name of TEXTS) if (state[name]) given.set(name, state[name]);
  for (const filter of filterTexts(state.filters)) given.append("filter", filter);
  const text = given.toString();
  // What a URL may hold as it is stays readable.
  return text ? `?${text.replaceAll("%3D", "=").replaceAll("%2C", ",").replaceAll("%3A", ":")}` : "";
}

/** Filters as the API takes them: `colour=red,blue`, `price=10..50`. */
export function filterTexts(filters) {
  return [...filters]
    .filter(([, filter]) => filter.values ? filter.values.length : filter.low !== "" || filter.high !== "")
    .map(([name, filter]) => `${name}=${filterText(filter)}`);
}

function filterText(filter) {
  if (!filter.values) return `${filter.low}..${filter.high}`;
  // A value with a comma in it is one value only in quotes, which hold exactly one.
  return filter.values.length === 1 && filter.values[0].includes(",") ? `"${filter.values[0]}"` : filter.values.join(",");
}

function filterOf(text) {
  if (/^".*"$/s.test(text)) return { values: [text.slice(1, -1)] };
  const range = /^(-?[\d.]*?)\.\.(-?[\d.]*)$/.exec(text);
  return range ? { low: range[1], high: range[2] } : { values: text.split(",").filter(Boolean) };
}

/** Filters with one value more, or less. */
export function toggled(filters, name, value) {
  const next = new Map(filters);
  const values = next.get(name)?.values ?? [];
  const rest = values.filter((each) => each !== value);
  const commas = (texts) => texts.some((each) => each.includes(","));
  if (rest.length === values.length) next.set(name, { values: commas([...values, value]) ? [value] : [...values, value] });
  else if (rest.length) next.set(name, { values: rest });
  else next.delete(name);
  return next;
}

/**
 * The state and its listeners. A picture cannot stand in a URL: it is kept beside, for as long as the page is open, and the
 * history's entry names it.
 */
export class Store {
  #listeners = [];
  #pictures = new Map();

  constructor() {
    this.state = this.#here();
    addEventListener("popstate", () => this.#set(this.#here()));
  }

  listen(listener) {
    this.#listeners.push(listener);
  }

  /** Change parts of the state; `replace` makes no new entry of the history. */
  go(change, { replace = false } = {}) {
    const next = { ...this.state, ...change };
    const token = next.picture ? this.#keep(next.picture) : null;
    const url = write(next) || location.pathname;
    if (url !== (location.search || location.pathname) || next.picture !== this.state.picture)
      history[replace ? "replaceState" : "pushState"]({ picture: token }, "", url);
    this.#set(next);
  }

  /** The address of a state with these parts changed: what a link leads to. */
  address(change) {
    return write({ ...this.state, ...change }) || "?";
  }

  #here() {
    return { ...read(location.search), picture: this.#pictures.get(history.state?.picture) ?? null };
  }

  #keep(picture) {
    for (const [token, kept] of this.#pictures) if (kept === picture) return token;
    const token = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    this.#pictures.set(token, picture);
    return token;
  }

  #set(state) {
    const before = this.state;
    this.state = state;
    for (const listener of this.#listeners) listener(state, before);
  }
}
