"""Pictures of the search page and of the Dagster UI for these pages, made anew:
`python docs/screenshots.py http://127.0.0.1:8000 http://127.0.0.1:3000`, the page's address and the UI's; "-" for neither.

What belongs here: what is on each picture. What does not: the page (`fashion_assets/serving/page`). Serve the drawn sample before: pictures
of a real catalogue are their owners'. Needs Chromium and the libraries of the tests.
"""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"

GROUPS = ("benchmarks", "catalog", "embeddings", "release", "stories", "sync", "tables", "wardrobe")
"""Of assets."""


def search(page: Page) -> None:
    """Words, a filter, and what they leave."""
    page.locator(".card img.there").first.wait_for()
    page.locator("#words").press_sequentially("summer dress")
    page.locator(".facet").first.wait_for()
    page.get_by_role("checkbox", name="women").check()


def product(page: Page) -> None:
    """One product."""
    page.locator(".card img.there").first.wait_for()
    page.locator("#words").press_sequentially("shirt")
    page.wait_for_url("**q=shirt")
    page.wait_for_timeout(1_000)
    page.locator(".card-open").nth(1).click()


def lineage(page: Page) -> None:
    """Every asset, in its group."""
    page.get_by_text("Hide navigation").click()
    page.get_by_text("live_release").first.wait_for()


def checks(page: Page) -> None:
    """One criterion of a release."""
    page.locator("span", has_text=re.compile("^nothing_is_lost$")).click()
    page.get_by_text("Target materialization").wait_for()


def columns(page: Page) -> None:
    """What is live: how fresh it is, its rows, its columns."""
    page.get_by_text("Freshness policy").first.wait_for()
    page.get_by_text("product_id").first.wait_for()


def approving(page: Page) -> None:
    """Who approves, and why."""
    page.get_by_text("Scaffold missing config").click()
    page.get_by_role("button", name="Confirm").click()


class Shot(NamedTuple):
    steps: Callable[[Page], None]
    path: str = "/"
    width: int = 1280
    height: int = 860
    dark: bool = False


EXPANDED = quote(",".join(f"global@global:{group}" for group in GROUPS), safe=",")

OF_THE_PAGE = {"page-search": Shot(search), "page-product": Shot(product, dark=True)}
OF_THE_UI = {
    "lineage": Shot(lineage, f"/asset-groups?expanded={EXPANDED}", 1700, 1120),
    "checks": Shot(checks, "/assets/products?view=checks", 1440),
    "columns": Shot(columns, "/assets/live_release", 1440),
    "approving": Shot(approving, "/locations/fashion_assets/jobs/approve_candidate/playground"),
}


def main(page_at: str, ui_at: str = "-") -> None:
    """Write every picture."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for address, shots in ((page_at, OF_THE_PAGE), (ui_at, OF_THE_UI)):
            for name, shot in shots.items() if address != "-" else ():
                page = browser.new_page(
                    viewport={"width": shot.width, "height": shot.height},
                    color_scheme="dark" if shot.dark else "light",
                )
                page.goto(address + shot.path)
                page.wait_for_load_state("networkidle")
                shot.steps(page)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(1_500)
                with Image.open(io.BytesIO(page.screenshot())) as taken:
                    # A third of the bytes, and nothing anybody sees; photographs keep all their colours.
                    smaller = taken if shots is OF_THE_PAGE else taken.convert("RGB").quantize(128)
                    smaller.save(IMAGES / f"{name}.png", optimize=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
