"""How long after a key the page shows what was found, in a real Chromium.

Usage: python benchmarks/page_latency.py HOME [TIMES [KEY_MS]]

`fashion-assets serve` answers in a process of its own; a browser on the same machine opens its page and types words letter by letter, so many
milliseconds between two keys (150: a quick typist), each of the words so often (3). Counted is from the last key until its products are drawn: an answer that
the next key overtook is never shown. Printed as JSON: milliseconds at the median and the 95th percentile, from the key on, and of that from the request to the
first byte of its answer.
Needs the extra `browser`, and /usr/bin/chromium or what CHROMIUM names.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from http_latency import WORDS, served
from playwright.sync_api import sync_playwright

from fashion_assets.settings import Settings

WATCHED = """
() => {
  window.keys = []; window.times = []; performance.setResourceTimingBufferSize(100_000);
  document.addEventListener("input", () => window.keys.push(performance.now()), true);
  const grid = () => document.querySelector(".grid");
  new MutationObserver((changes) => {
    if (!changes.some((each) => each.target === grid() && !grid().hasAttribute("aria-busy"))) return;
    const begun = window.keys.at(-1);
    window.keys = [];
    const asked = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/search?") && !name.includes("facets=")).at(-1);
    const server = asked?.startTime >= begun ? asked.responseStart - asked.requestStart : null;
    if (begun !== undefined) requestAnimationFrame(() => window.times.push([performance.now() - begun, server]));
  }).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["aria-busy"] });
}
"""


def main() -> int:
    settings = Settings(home=Path(sys.argv[1]).resolve())
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    between = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    with served(settings) as port, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        field = page.locator("#words")
        field.press_sequentially("dress", delay=between)  # what is read once is read
        page.wait_for_timeout(1_000)
        page.evaluate(WATCHED)
        for _ in range(times):
            for words in WORDS:
                field.fill("")
                page.wait_for_timeout(600)
                page.evaluate("() => { window.keys = []; }")
                field.press_sequentially(words, delay=between)
                page.wait_for_timeout(600)
        found = page.evaluate("() => window.times")
        browser.close()
    server = [waited for _, waited in found if waited is not None]  # none where the page had the answer
    told = {"keys": len(found), **figures([each for each, _ in found]), "server": figures(server)}
    print(json.dumps(told, indent=1))
    return 0


def figures(times: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
