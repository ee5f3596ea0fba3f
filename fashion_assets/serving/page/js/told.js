/**
 * What went wrong, in plain words, and what somebody can do.
 *
 * What belongs here: one sentence for each kind of error, the retry, the field for a key. What does not: detecting errors (`api`).
 */

import { key } from "./api.js";
import { h } from "./dom.js";

const SENTENCES = {
  network: ["The catalogue cannot be reached.", "Check that its server runs and you are connected, then try again."],
  limited: ["Too many questions at once.", "The catalogue lets everybody ask so much in a while."],
  busy: ["The catalogue is busy, or just starting.", "Nothing is lost; it will answer in a moment."],
  missing: ["This is not there.", "It may have left the catalogue."],
  asked: ["This cannot be answered as it was asked.", ""],
  server: ["Something went wrong in the catalogue's server.", "Its log says what."],
};

/** A notice for an error, with a button that tries again. */
export function trouble(error, again) {
  if (error.kind === "key") return keyField(error.detail, again);
  const [what, advice] = SENTENCES[error.kind] ?? ["Something went wrong in this page.", String(error.message ?? error)];
  const notice = h("div", { class: "notice trouble", role: "alert" }, h("p", { class: "notice-what" }, what), h("p", {}, error.detail || advice));
  if (again && error.kind !== "missing" && error.kind !== "asked") notice.append(retry(error.seconds, again));
  return notice;
}

function retry(seconds, again) {
  const button = h("button", { type: "button", class: "button", on: { click: again } }, "Try again");
  const wait = Math.min(Math.ceil(seconds ?? 0), 120);
  if (wait < 1) return button;
  const until = Date.now() + wait * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    button.disabled = left > 0;
    if (left > 0 && (button.isConnected || left === wait)) setTimeout(tick, 500);
  };
  tick();
  return button;
}

/** A field for a key; it is kept until the browser's tab closes, and sent nowhere else. */
export function keyField(detail, again) {
  const input = h("input", { type: "password", id: "key", class: "field", autocomplete: "off", spellcheck: "false" });
  const submit = (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    again?.();
  };
  return h(
    "form",
    { class: "notice", on: { submit } },
    h("p", { class: "notice-what" }, "A key is needed here."),
    h("p", {}, detail || "Whoever runs the catalogue makes keys: fashion-assets keys create."),
    h("label", { for: "key" }, "Key"),
    h("div", { class: "row" }, input, h("button", { type: "submit", class: "button" }, "Use this key")),
    h("p", { class: "soft" }, "It is kept in this tab alone, until you close it."),
  );
}
