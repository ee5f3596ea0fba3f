/**
 * The catalogue's API, asked.
 *
 * What belongs here: addresses, parameters, the key, what went wrong as a kind. What does not: when to ask, how it is told (`told`).
 */

import { filterTexts } from "./state.js";

const BASE = new URL("api/v1/", document.baseURI);
const KEY = "key";

/** What went wrong: `kind` is network, limited, busy, key, missing, asked or server. */
export class ApiError extends Error {
  constructor(kind, detail = "", seconds = null) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    /** Until it is worth trying again, where the server says. */
    this.seconds = seconds;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** @returns the answer's JSON. Raises `ApiError`; an abort passes as it is. */
export async function ask(path, { parameters = [], body = null, method = body ? "POST" : "GET", headers: more = {}, keepalive = false, signal } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of parameters) if (value !== "" && value !== null && value !== undefined) url.searchParams.append(name, value);
  const headers = { Accept: "application/json", ...more };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(url, { method, headers, body, signal, keepalive, credentials: "same-origin", priority: keepalive ? "low" : "high" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("network");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new ApiError(kindOf(response.status), await detailOf(response), Number(response.headers.get("Retry-After")) || null);
}

function kindOf(status) {
  if (status === 429) return "limited";
  if (status === 503 || status === 504) return "busy";
  if (status === 401 || status === 403) return "key";
  if (status === 404) return "missing";
  return status < 500 ? "asked" : "server";
}

async function detailOf(response) {
  try {
    const problem = await response.json();
    return typeof problem.detail === "string" ? problem.detail : (problem.title ?? "");
  } catch {
    return "";
  }
}

/** An answer, or null where the server has no such thing: for parts a page can do without. */
export async function askIfThere(path, options) {
  try {
    return await ask(path, options);
  } catch (error) {
    if (error.name === "AbortError" || (error instanceof ApiError && error.kind === "missing")) return null;
    throw error;
  }
}

/** Words to find and words to avoid: "dress -red" avoids red. */
export function parted(text) {
  const tokens = text.split(/\s+/).filter(Boolean);
  const avoided = tokens.filter((token) => /^-\p{L}/u.test(token));
  return { q: tokens.filter((token) => !avoided.includes(token)).join(" "), avoid: avoided.map((token) => token.slice(1)).join(" ") };
}

/** Whether nothing is asked for but a style's products. */
export const onlyStyle = (state) => Boolean(state.style && !state.q && !state.like && !state.picture && !state.filters.size);

/**
 * A search as the state asks it; facets are counted only where they are asked for, since that takes longer than finding. One that is
 * `typed`, and may be typed on, is not noted as what somebody looked for.
 */
export function search(state, { limit, page = "", facets = "", typed = false, signal }) {
  const headers = typed ? { Purpose: "prefetch" } : {};
  if (onlyStyle(state)) return ask(`styles/${encodeURIComponent(state.style)}`, { parameters: [["limit", 4 * limit]], signal });
  const { q, avoid } = parted(state.q);
  const parameters = [
    ["q", q],
    ["avoid", avoid],
    ...filterTexts(state.filters).map((filter) => ["filter", filter]),
    ["sort", state.sort],
    ["product", state.like],
    ["person", state.person],
    ["facets", facets],
    ["highlight", q ? "true" : ""],
    ["limit", limit],
    ["page", page],
  ];
  if (!state.picture) return ask("search", { parameters, headers, signal });
  const body = new FormData();
  for (const [name, value] of parameters) if (value !== "") body.append(name, value);
  body.append("picture", state.picture.blob, "picture");
  return ask("search", { body, headers, signal });
}
