/**
 * The page put together: the views, the state they follow, the appearance.
 *
 * What belongs here: which part is shown when. What does not: what a part shows.
 */

import { About } from "./about.js";
import { Asking } from "./asking.js";
import { link } from "./cards.js";
import { Compare } from "./compare.js";
import { $, h, icon } from "./dom.js";
import { Home } from "./home.js";
import { Merchant } from "./merchant.js";
import { People } from "./people.js";
import { Product } from "./product.js";
import { Searching } from "./searching.js";
import { Store } from "./state.js";

const NAMES = { search: "Search", people: "For people", compare: "Old and new", merchant: "Merchant", about: "About" };

const store = new Store();
const home = new Home(store);
const about = new About(store, home);
const asking = new Asking(store);
const searching = new Searching(store, asking, home);
const product = new Product(store);
const views = { search: searching, people: new People(store), compare: new Compare(store), merchant: new Merchant(store), about };

function navigation(state) {
  $("views").replaceChildren(
    ...Object.entries(NAMES).map(([view, name]) =>
      h("li", {}, link(store, { view, product: "" }, { "aria-current": view === state.view ? "page" : null, data: { key: `view-${view}` } }, name)),
    ),
  );
}

function show(state, before) {
  const view = views[state.view];
  if (!view.element.isConnected) {
    $("content").replaceChildren(view.element);
    if (before && before.view !== state.view) scrollTo({ top: 0 });
  }
  if (!before || before.view !== state.view) navigation(state);
  document.title = [state.q, state.view === "search" ? "" : NAMES[state.view], "The catalogue"].filter(Boolean).join(" · ");
  asking.show(state);
  view.show(state);
  product.show(state, asking.known(state.product));
}

function appearance() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const tell = () => {
    $("theme").setAttribute("aria-pressed", String(now() === "dark"));
    $("theme").replaceChildren(icon(now() === "dark" ? "sun" : "moon"));
  };
  $("theme").addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // It lasts as long as the page, then.
    }
    tell();
  });
  dark.addEventListener("change", tell);
  tell();
}

appearance();
store.listen(show);
document.querySelector(".brand").addEventListener("click", (event) => {
  event.preventDefault();
  store.go({ view: "search", q: "", like: "", style: "", picture: null, product: "", filters: new Map(), sort: "" });
});
show(store.state, null);
asking.suggest();
about.ask();
