/**
 * Pictures: of products, as the server has them in three sizes, and of people who search by one.
 *
 * What belongs here: the elements, and making an upload small. What does not: which picture is searched with (`asking`).
 */

import { key } from "./api.js";
import { h, icon } from "./dom.js";

const EDGE = 1024;
/** Pixels of an upload's longer edge: a model sees far fewer, and a phone's photograph has twenty times the bytes. */

const WIDTHS = { small: 240, medium: 640, large: 1600 };
/** Pixels of the sizes the server makes. A picture of portrait format is narrower; better one too large than one too small. */

const NEAR = "240px";
/** Pixels below the screen within which pictures are loaded. A browser's own lazy loading begins with all of a page's pictures. */

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      waiting.add(target);
    }
    more();
  },
  { rootMargin: NEAR },
);
const load = new WeakMap();

const AT_ONCE = performance.getEntriesByType("navigation")[0]?.nextHopProtocol === "http/1.1" ? 4 : Infinity;
/** Pictures loaded at once. By HTTP/1.1 a browser has six connections to a server: what is asked next finds one that is free. */

const loading = new Set();
const waiting = new Set();

/** Begin with those that wait, the first ones first, as far as may be. */
function more() {
  for (const image of waiting) {
    if (loading.size >= AT_ONCE) return;
    waiting.delete(image);
    loading.add(image);
    load.get(image)();
  }
}

/** A picture is there, or will not be. */
function over(image) {
  waiting.delete(image);
  if (loading.delete(image)) more();
}

/** Load no more of the pictures in an element that has gone: what is asked next need not wait for them. */
export function forget(element) {
  for (const image of element.querySelectorAll("img:not(.there)")) {
    near.unobserve(image);
    image.removeAttribute("srcset");
    image.removeAttribute("src");
    over(image);
  }
}

/** Only this server's own: an address from data leads nowhere else. */
const address = (path, size) => (typeof path === "string" && /^\/(?![/\\])/.test(path) ? `${path}${path.includes("?") ? "&" : "?"}size=${size}` : null);

/** What a picture shows, in words: its colour and kind, else its title. */
export function describe(hit) {
  const { colour, article_type: kind } = hit.attributes ?? {};
  return kind ? [colour, kind].filter(Boolean).join(" ") : (hit.title ?? "product");
}

/** A product's picture in its frame; a frame with a hanger where there is none, or it cannot be loaded. */
export function picture(hit, { size = "small", sizes = "240px", eager = false } = {}) {
  const frame = h("span", { class: "tile" });
  const source = address(hit.image, size);
  const missing = () => frame.replaceChildren(h("span", { class: "no-picture", role: "img", "aria-label": `No picture: ${describe(hit)}` }, icon("hanger")));
  if (!source) {
    missing();
    return frame;
  }
  const image = h("img", {
    alt: describe(hit),
    decoding: "async",
    width: 240,
    height: 320,
    on: {
      load: () => {
        image.classList.add("there");
        over(image);
      },
      error: () => {
        missing();
        over(image);
      },
    },
  });
  const begin = () => {
    if (key.get()) {
      keyed(image, source);
      return;
    }
    image.sizes = sizes;
    image.srcset = Object.entries(WIDTHS)
      .map(([each, width]) => `${address(hit.image, each)} ${width}w`)
      .join(", ");
    image.src = source;
  };
  if (eager) begin();
  else {
    load.set(image, begin);
    near.observe(image);
  }
  frame.append(image);
  return frame;
}

/** A picture behind a key: an element cannot send one, so it is fetched. */
async function keyed(image, source) {
  try {
    const response = await fetch(source, { headers: { Authorization: `Bearer ${key.get()}` } });
    if (!response.ok) throw new Error(String(response.status));
    const url = URL.createObjectURL(await response.blob());
    image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    image.src = url;
  } catch {
    image.dispatchEvent(new Event("error"));
  }
}

/** A picture to search by: small enough to send, and an address to show it by. What the browser cannot read goes as it is; the server tells. */
export async function uploaded(file) {
  let blob = file;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = EDGE / Math.max(bitmap.width, bitmap.height);
    if (scale < 1) {
      const canvas = h("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      blob = (await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9))) ?? file;
    }
    bitmap.close();
  } catch {
    // A HEIC or TIFF, or no picture at all.
  }
  return { blob, name: file.name || "pasted picture", url: URL.createObjectURL(blob) };
}
