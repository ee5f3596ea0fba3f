/**
 * Elements, made without HTML text: what a catalogue says becomes text nodes and attributes, never markup.
 *
 * What belongs here: making elements and icons, keeping the focus over a redrawing. What does not: what is shown.
 */

/**
 * An element. Properties: `class`, `on` ({event: listener}), `data` (dataset), anything else an attribute; `true` sets it empty,
 * `false`, `null` and `undefined` leave it out. Children: nodes or texts, in any nesting; empty ones are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon of the page's sprite; it says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const $ = (id) => document.getElementById(id);

/** Redraw what is in an element; whoever had the focus has it again, if the new content has the same `data-key`. */
export function redraw(root, ...children) {
  const key = root.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  root.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key !== undefined) root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

let saying;

/** Tell a screen reader, once things are calm: while somebody types, only the last of what was found. */
export function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => {
    $("said").textContent = text;
  }, 600);
}
