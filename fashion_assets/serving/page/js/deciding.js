/**
 * Decisions of a merchant, as the API takes them.
 *
 * What belongs here: putting and removing one, a form that does so and tells what is wrong with it. What does not: what is decided (`rules`,
 * `synonyms`).
 */

import { ask } from "./api.js";
import { h, say } from "./dom.js";

/** An id that nothing has. */
export const fresh = (kind) => `${kind}-${Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;

export const decide = (what, id, decision) => ask(`merchant/${what}/${encodeURIComponent(id)}`, { method: "PUT", body: decision });

export const undo = (what, id) => ask(`merchant/${what}/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Words between commas. */
export const parted = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

/** A field with its name above it. */
export function field(name, properties) {
  return h("label", { class: "field-of" }, h("span", { class: "soft small" }, name), h("input", { class: "field", type: "text", autocomplete: "off", ...properties }));
}

/** Do something, and say in `told` what went wrong; whether nothing did. */
export async function attempt(told, doing, done = "") {
  told.textContent = "";
  try {
    await doing();
    if (done) say(done);
    return true;
  } catch (error) {
    told.textContent = error.detail || "It could not be kept: the catalogue does not answer.";
    return false;
  }
}

/** A place for what went wrong. */
export const complaint = () => h("p", { class: "complaint", role: "alert" });

/** A form of fields and a button, which calls `doing` with what is in them. */
export function form(label, fields, button, doing) {
  const told = complaint();
  const element = h(
    "form",
    {
      class: "decide",
      "aria-label": label,
      on: {
        submit: async (event) => {
          event.preventDefault();
          const values = Object.fromEntries(new FormData(element));
          if (await attempt(told, () => doing(values), "Kept")) element.reset();
        },
      },
    },
    fields,
    h("button", { type: "submit", class: "button quiet" }, button),
    told,
  );
  return element;
}
