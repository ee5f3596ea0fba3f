"""Two releases side by side as a page a merchant can judge on: what each answers to the queries people send.

What belongs here: which queries are drawn and what is said of each hit, and writing the page. What does not: asking and comparing
(`proof.shadow`), how the page looks (`templates`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnail, Thumbnails
from fashion_assets.proof.shadow import Answer, Asked, Shadow
from fashion_assets.reports.charts import bars
from fashion_assets.reports.gallery import about
from fashion_assets.reports.html import environment
from fashion_assets.search.query import Hit
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

DRAWN = 30
"""Queries whose answers are drawn, those that differ most; with ten hits a side a page of some two megabytes."""

HITS = 10
"""Hits drawn of each answer."""

LISTED = 1_000
"""Queries the table lists; the JSON has them all."""

EDGE = 132
"""Longest edge of a picture in the page, pixels."""

SHARES = ("all the same", "80 % and more", "50 to 80 %", "less than half", "none")
"""Groups of queries by the share of hits that stay."""

Mark = Literal["same", "pushed", "moved", "came", "new", "went", "gone"]


@dataclass(frozen=True)
class Shown:
    """A hit of one answer, as it is drawn."""

    hit: Hit
    rank: int
    mark: Mark
    elsewhere: int | None
    """Its rank in the other answer, from 1."""
    pair: int | None
    """A number that it and the same hit of the other answer share."""
    altered: Mapping[str, tuple[Any, Any]]
    picture: Thumbnail

    @property
    def about(self) -> str:
        """What is told of it below its title."""
        return ", ".join(about(self.hit))


@dataclass(frozen=True)
class Drawn:
    """A query, and both answers as they are drawn."""

    asked: Asked
    former: Sequence[Shown]
    other: Sequence[Shown]


def page_of(settings: Settings, former: Release, other: Release) -> Path:
    """Where the page of two releases is, or would be."""
    names = (each.release.rpartition("_")[2] for each in (former, other))
    return settings.reports / f"shadow-{'-'.join(names)}.html"


def write_page(shadow: Shadow, settings: Settings, at_least: float | None = None) -> Path:
    """Write `shadow-<former>-<other>.html` and `.json` into the installation's reports, in place of earlier ones; returns the page's path.
    `at_least`: the overlap that was asked for."""
    settings.reports.mkdir(parents=True, exist_ok=True)
    page = page_of(settings, shadow.former, shadow.other)
    content = {**shadow.to_dict(), "at_least_overlap": at_least}
    for path, text in (
        (page.with_suffix(".json"), json.dumps(content, indent=2, default=str)),
        (page, render(shadow, Limits.from_settings(settings), page.with_suffix(".json").name, at_least)),
    ):
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    return page


def render(shadow: Shadow, limits: Limits, data: str, at_least: float | None = None) -> str:
    """The page as HTML; nothing but `data`, the same as JSON, lies beside it. Pictures beyond the limits are not opened."""
    worst = shadow.worst_first
    thumbnails = Thumbnails(limits, (EDGE, EDGE))
    differing = [each for each in worst if each.answers_differ or each.altered][:DRAWN]
    with ThreadPoolExecutor() as pool:
        drawn = list(pool.map(lambda each: _drawn(each, thumbnails), differing))
    return (
        environment("fashion_assets.reports")
        .get_template("shadow.html")
        .render(
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
            figures=shadow.figures(),
            at_least=at_least,
            held=at_least is None or shadow.overlap >= at_least,
            drawn=drawn,
            alike=[each for each in worst if not each.answers_differ and each.counts],
            differing=sum(each.answers_differ for each in worst),
            listed=worst[:LISTED],
            total=len(worst),
            charts=_charts(shadow),
            data=data,
        )
    )


def _drawn(asked: Asked, thumbnails: Thumbnails) -> Drawn:
    both = {product: place for place, product in enumerate(asked.former.ids) if product in asked.other.ids}
    return Drawn(
        asked,
        list(_shown(asked, asked.former, asked.other, both, thumbnails)),
        list(_shown(asked, asked.other, asked.former, both, thumbnails)),
    )


def _shown(
    asked: Asked, answer: Answer, beside: Answer, both: Mapping[str, int], thumbnails: Thumbnails
) -> Iterator[Shown]:
    ranks = {product: rank for rank, product in enumerate(beside.ids, 1)}
    moved = {each.product: each.kept_order for each in asked.compared.ranks}
    came = answer is asked.other
    for rank, hit in enumerate(answer.hits[:HITS], 1):
        product = hit.product_id
        mark: Mark
        if product not in ranks:
            unknown = product in asked.unknown
            mark = ("new" if unknown else "came") if came else ("gone" if unknown else "went")
        elif product not in moved:
            mark = "same"
        else:
            mark = "pushed" if moved[product] else "moved"
        yield Shown(
            hit,
            rank,
            mark,
            ranks.get(product),
            both.get(product),
            asked.altered.get(product, {}) if came else {},
            thumbnails.of(hit.image_path),
        )


def _charts(shadow: Shadow) -> list[Markup]:
    """What tells most at a glance: how alike the answers are, and how long they took."""
    counts: dict[str, int] = dict.fromkeys(SHARES, 0)
    for each in shadow.asked:
        if each.counts:
            counts[_share(each.compared.overlap)] += 1
    figures = shadow.figures()
    sides = [figures["former"], figures["other"]]
    return [
        bars("Queries by the share of hits that stay", list(counts), {"queries": list(counts.values())}),
        bars(
            "How long an answer takes",
            ["p50", "p95"],
            {side["release"]: [side["p50_ms"], side["p95_ms"]] for side in sides},
            " ms",
        ),
    ]


def _share(overlap: float) -> str:
    bounds = (1.0, 0.8, 0.5)
    for name, bound in zip(SHARES, bounds, strict=False):
        if overlap >= bound:
            return name
    return SHARES[3] if overlap else SHARES[4]
