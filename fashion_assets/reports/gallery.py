"""Hits as a page to look at: one HTML file with their pictures inside.

What belongs here: the page of one answer, made to be opened from a file. What does not: a search page that asks anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from fashion_assets.catalog.attributes import BRIEFLY
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnails
from fashion_assets.reports.html import environment
from fashion_assets.search.query import Hit, Plan

EDGE = 240
"""Pixels of a picture's longer edge; a hundred of them make a page of a megabyte."""


def page(
    title: str,
    plan: Plan,
    sections: Mapping[str, Sequence[Hit]],
    limits: Limits,
    facets: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML; needs nothing from elsewhere. Hits stand under headings, those without one under the empty text. Pictures
    beyond the limits are not opened."""
    thumbnails = Thumbnails(limits, (EDGE, EDGE))
    with ThreadPoolExecutor() as pool:
        shown = {
            heading: [
                {"hit": hit, "picture": picture.data, "about": ", ".join(about(hit))}
                for hit, picture in zip(
                    hits, pool.map(lambda hit: thumbnails.of(hit.image_path), hits), strict=True
                )
            ]
            for heading, hits in sections.items()
        }
    return (
        environment("fashion_assets.reports")
        .get_template("hits.html")
        .render(
            title=title,
            plan=plan,
            count=sum(map(len, sections.values())),
            sections=shown,
            facets=facets or {},
        )
    )


def write_page(
    title: str,
    plan: Plan,
    sections: Mapping[str, Sequence[Hit]],
    folder: Path,
    limits: Limits,
    facets: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page into a folder under the time of day; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"search-{datetime.now():%Y%m%d-%H%M%S-%f}.html"
    path.write_text(page(title, plan, sections, limits, facets), encoding="utf-8")
    return path


def about(hit: Hit) -> Iterator[str]:
    """What is told of a hit below its title, one value after the other."""
    for name in BRIEFLY:
        # The title stands above.
        if name != "title" and (value := hit.attributes[name]) is not None:
            yield str(value)
