"""Pictures of the search page for these pages, made anew: `python docs/screenshots.py http://127.0.0.1:8000`.

What belongs here: what is on each picture. What does not: the page (`fashion_assets/serving/page`). Serve the drawn sample before: pictures
of a real catalogue are their owners'. Needs Chromium and the libraries of the tests.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1280, "height": 860}


def search(page: Page) -> None:
    """Words, a filter, and what they leave."""
    page.locator("#words").press_sequentially("summer dress")
    page.locator(".facet").first.wait_for()
    page.get_by_role("checkbox", name="women").check()


def product(page: Page) -> None:
    """One product."""
    page.locator("#words").press_sequentially("shirt")
    page.wait_for_url("**q=shirt")
    page.wait_for_timeout(1_000)
    page.locator(".card-open").nth(1).click()


SHOTS: dict[str, Callable[[Page], None]] = {"page-search": search, "page-product": product}


def main(address: str) -> None:
    """Write every picture."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, steps in SHOTS.items():
            page = browser.new_page(viewport=SIZE, color_scheme="dark" if name == "page-product" else "light")
            page.goto(address)
            page.locator(".card img.there").first.wait_for()
            steps(page)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(800)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
