/**
 * What somebody likes and opens, told to the catalogue, and remembered in this browser.
 *
 * What belongs here: the number drawn for this browser, whether anything is told at all, hearts. What does not: what follows from it
 * (`people`), the words that explain it (`about`).
 *
 * Nothing is told where the browser asks for that (Global Privacy Control, Do Not Track), where somebody switched it off, or where the
 * server keeps nothing. The number is drawn with the first thing that is told, and names nobody.
 */

import { ApiError, ask } from "./api.js";
import { h, icon, say } from "./dom.js";

const NUMBER = "visit";
const OFF = "feedback-off";
const SAID = "said";
const MOST = 1000;
/** Products whose opinions are remembered: as many as the server keeps. */

const root = document.documentElement;

/** What a browser keeps; one that keeps nothing forgets it with the page. */
const kept = {
  beside: new Map(),
  get(name) {
    try {
      return localStorage.getItem(name) ?? this.beside.get(name) ?? null;
    } catch {
      return this.beside.get(name) ?? null;
    }
  },
  set(name, value) {
    this.beside.set(name, value);
    try {
      localStorage.setItem(name, value);
    } catch {
      // It lasts as long as the page, then.
    }
  },
  remove(name) {
    this.beside.delete(name);
    try {
      localStorage.removeItem(name);
    } catch {
      // Nothing was kept.
    }
  },
};

let refused = false;
let days = null;

/** Whether the browser asks that nothing be kept. */
export const isAskedNotTo = () => navigator.globalPrivacyControl === true || navigator.doNotTrack === "1";

/** Whether somebody switched it off here. */
export const isSwitchedOff = () => kept.get(OFF) !== null;

/** Whether anything is told: whatever is in the way hides the hearts as well. */
export const isOn = () => !isAskedNotTo() && !isSwitchedOff() && !refused && days !== 0;

/** For how many days the server keeps it; 0 where it does not, null as long as it has not said. */
export const keptDays = () => days;

function tell() {
  root.dataset.hearts = isOn() ? "on" : "off";
}

/** Take over what the server says of itself. */
export function learn(keptForDays) {
  days = keptForDays ?? null;
  tell();
}

export function switchTo(on) {
  if (on) kept.remove(OFF);
  else kept.set(OFF, "1");
  tell();
}

/** The number of this browser, or null where none was drawn yet. */
export const number = () => kept.get(NUMBER);

function drawn() {
  if (!number()) kept.set(NUMBER, random());
  return number();
}

/** A UUID of version 4; the browser's own is there on safe origins alone. */
function random() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** @returns whether it was taken. What is told may outlive the page. */
async function told(product, kind, more = {}) {
  if (!isOn()) return false;
  try {
    await ask("feedback", { body: { person: drawn(), product, kind, event: random(), ...more }, keepalive: true });
    return true;
  } catch (error) {
    // Whoever may search may not always be heard: then there is nothing to press.
    if (error instanceof ApiError && error.kind === "key") {
      refused = true;
      tell();
    }
    return false;
  }
}

/** Tell that a hit was opened: of which search, and where it stood. */
export function opened(product, { words, by, place, release }) {
  told(product, "click", { words: words.slice(0, 2000), by, place, ...(release ? { release } : {}) });
}

function opinions() {
  try {
    return new Map(Object.entries(JSON.parse(kept.get(SAID) ?? "{}")));
  } catch {
    return new Map();
  }
}

/** "like", "dislike" or null. */
const opinionOf = (product) => opinions().get(product) ?? null;

function remember(product, opinion) {
  const said = opinions();
  said.delete(product);
  if (opinion) said.set(product, opinion);
  while (said.size > MOST) said.delete(said.keys().next().value);
  kept.set(SAID, JSON.stringify(Object.fromEntries(said)));
  for (const button of document.querySelectorAll("[data-opinion]")) if (button.dataset.of === product) show(button);
}

function show(button) {
  button.setAttribute("aria-pressed", String(opinionOf(button.dataset.of) === button.dataset.opinion));
}

/** Say it, or take it back; what the server did not take is taken back here. */
async function toggle(product, opinion) {
  const before = opinionOf(product);
  const now = before === opinion ? null : opinion;
  remember(product, now);
  if (await told(product, now ?? "neither")) {
    document.dispatchEvent(new CustomEvent("said"));
    return;
  }
  remember(product, before);
  if (isOn()) say("It could not be kept");
}

function button(product, opinion, properties, ...children) {
  const made = h(
    "button",
    { type: "button", ...properties, data: { of: product, opinion, key: `${opinion}-${product}` }, on: { click: () => toggle(product, opinion) } },
    ...children,
  );
  show(made);
  return made;
}

/** A heart on a product's card. */
export const heart = (hit) => button(hit.id, "like", { class: "icon-button heart", title: "I like it", "aria-label": `I like ${hit.title ?? "it"}` }, icon("heart"));

/** Two buttons on a product's own page: its heart, and that it is not to be shown any more. */
export const opinionButtons = (id) => [
  button(id, "like", { class: "button quiet hearts" }, icon("heart"), "I like it"),
  button(id, "dislike", { class: "button quiet hearts" }, "Not for me"),
];

/** Forget everything, here and on the server. Raises `ApiError` where the server did not. */
export async function forget() {
  if (number()) await ask(`people/${encodeURIComponent(number())}/feedback`, { method: "DELETE" });
  for (const product of opinions().keys()) remember(product, null);
  kept.remove(NUMBER);
  kept.remove(SAID);
  document.dispatchEvent(new CustomEvent("said"));
}

tell();
