"""The installation's own pages beside Dagster's: reports and Data Docs, and one that lists them.

What belongs here: which files are given out, and under which headers. What does not: what is in them (`reports.report`,
`criteria.expectations`).

Only what lies in the folder of the reports is given out. Pages quote what listings say, so that none of them may run a
script, load anything from elsewhere, or act as the UI it shares an address with.
"""

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fashion_assets.criteria.expectations import validation_page
from fashion_assets.serving.headers import WithHeaders
from fashion_assets.serving.links import EXPECTATIONS, PAGES, REPORTS, path_prefix, report_path
from fashion_assets.settings import Settings

RELEASE = re.compile(r"[A-Za-z0-9_]+")
"""What a release's name is made of: none that leads to another folder."""

LISTED = 200
"""Newest reports that are listed; the others stay where they are."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox",
    )
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A report is written again under the same name.
    "Cache-Control": "no-cache",
}


def application(settings: Settings, telling: Mapping[Any, Any] | None = None) -> Starlette:
    """The pages, to be mounted at `links.PAGES`. `telling`: how errors are told, by kind, where not in plain text."""
    environment = Environment(
        loader=PackageLoader("fashion_assets.serving"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page, prefix = environment.get_template("pages.html"), path_prefix(settings)
    settings.reports.mkdir(parents=True, exist_ok=True)

    def index(_: Request) -> Response:
        at = {"reports_at": prefix + REPORTS, "expectations_at": prefix + EXPECTATIONS}
        return HTMLResponse(page.render(**listed(settings), dagster=prefix or "/", **at))

    def expectations(request: Request) -> Response:
        name = request.path_params["release"]
        found = validation_page(settings, name) if RELEASE.fullmatch(name) else None
        if found is None:
            return PlainTextResponse(f"No expectations were validated of {name}.", 404)
        return RedirectResponse(prefix + report_path(settings, found))

    return Starlette(
        routes=[
            Route("/", index),
            Route(f"{EXPECTATIONS.removeprefix(PAGES)}/{{release}}", expectations),
            Mount(REPORTS.removeprefix(PAGES), StaticFiles(directory=settings.reports, html=True)),
        ],
        middleware=[Middleware(WithHeaders, headers=_HEADERS)],
        exception_handlers=dict(telling or {}),
    )


def listed(settings: Settings) -> dict[str, object]:
    """What the list shows: the newest reports first, each with its JSON and its page of the Data Docs where there are any.
    Their own first page is not: it is empty without scripts."""
    folder = settings.reports
    found = sorted(
        (page for page in folder.glob("*.html") if page.is_file()),
        key=lambda page: (page.stat().st_mtime, page.name),
        reverse=True,
    )
    return {
        "folder": folder,
        "reports": [
            {
                "name": page.stem,
                "page": page.name,
                "json": page.with_suffix(".json").name if page.with_suffix(".json").is_file() else "",
                # By its release: the page's own address is a hundred letters of another program's.
                "expectations": page.stem
                if RELEASE.fullmatch(page.stem) and validation_page(settings, page.stem)
                else "",
            }
            for page in found[:LISTED]
        ],
        "left_out": len(found[LISTED:]),
    }
