"""Files that are given out as they are: the page at `/`, the reports and Data Docs.

What belongs here: where they are mounted, and under which headers. What does not: what is in them.
"""

from importlib.resources import files

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from fashion_assets.serving import pages
from fashion_assets.serving.api.problems import of_status
from fashion_assets.serving.headers import WithHeaders
from fashion_assets.serving.links import PAGES
from fashion_assets.settings import Settings

PAGE = str(files("fashion_assets.serving") / "page")
"""The folder of the page's files."""

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The page loads nothing from elsewhere, runs no script but its own files, and is framed by nobody."""

# A file is asked for by its tag again: another version of the package has others under the same names.
_HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}


def mount(api: FastAPI, settings: Settings) -> None:
    """Give out the files; after all routes, for the page answers every path that is left."""
    api.mount(PAGES, pages.application(settings, {HTTPException: of_status}))
    api.add_route("/reports", lambda _: RedirectResponse(f"{PAGES}/"), include_in_schema=False)
    api.mount("/", WithHeaders(StaticFiles(directory=PAGE, html=True), _HEADERS))
