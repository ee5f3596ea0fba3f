"""The migration report as a page: what was gathered, with its charts.

What belongs here: which figures are charts, what the template is given. What does not: gathering them (`report`), how a chart is
drawn (`charts`) and how the page looks (`templates`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from fashion_assets.catalog.attributes import TELLING
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.thumbnails import Thumbnails
from fashion_assets.characters import to_json
from fashion_assets.criteria.requirements import in_words
from fashion_assets.reports.charts import bars, lines, steps
from fashion_assets.reports.html import environment

TWINS = 6
"""Likely duplicates the page shows of each sign; the JSON has more."""

BATCHES = 200
"""Batches the page lists; the JSON has them all."""

THUMBNAIL = 128
"""Longest edge of a picture in the page, pixels."""

DISTRIBUTED = TELLING
"""Columns whose most frequent values are shown."""

PLOTTED = ("recall", "latency", "relevance")
"""Benchmarks plotted over the last releases."""


def _words(reason: str) -> str:
    """`image_not_an_image` as "not an image"."""
    return reason.removeprefix("image_").replace("_", " ")


def template(limits: Limits) -> Template:
    """The page's template, compiled."""
    templates = environment("fashion_assets.reports")
    templates.filters["thumbnail"] = Thumbnails(limits, (THUMBNAIL, THUMBNAIL)).of
    templates.filters["words"] = _words
    templates.filters["requirement"] = in_words
    templates.filters["record"] = to_json
    return templates.get_template("report.html")


def render(content: Mapping[str, Any], limits: Limits) -> str:
    """The page of what `gather` found: HTML that needs nothing beside it. Pictures beyond the limits are not opened."""
    return template(limits).render(
        **content,
        failed=[verdict for verdict in content["criteria"] if verdict["outcome"] == "fail"],
        batches_shown=content["batches"][:BATCHES],
        twins_shown=TWINS,
        charts=_charts(content),
    )


def _charts(content: Mapping[str, Any]) -> dict[str, list[Markup]]:
    """The page's charts by section; those for which there are no figures are left out."""
    products = [
        bars(
            f"Products by {column.replace('_', ' ')}",
            [row["value"] for row in content["distributions"][column]],
            {"products": [row["products"] for row in content["distributions"][column]]},
        )
        for column in DISTRIBUTED
        if content["distributions"][column]
    ]
    prices = content["prices"]
    if prices["edges"]:
        percent = {name: [100 * share for share in prices[name]] for name in ("new", "old")}
        products.append(
            steps("Prices, old against new: share of the listings", prices["edges"], percent, " %")
        )
    rejected = content["quarantine_reasons"]
    return {
        "products": products,
        "quarantine": [
            bars(
                "Listings by reason",
                [row["reason"] for row in rejected],
                {"listings": [row["listings"] for row in rejected]},
            )
        ],
        "benchmarks": list(_benchmark_charts(content["benchmarks"], content["min_recall"])),
        "trends": list(_trend_charts(content["history"], content["min_recall"])),
    }


def _benchmark_charts(
    benchmarks: Mapping[str, Sequence[Mapping[str, Any]]], min_recall: float
) -> Iterator[Markup]:
    if measured := benchmarks.get("recall"):
        rows = [
            {
                **row,
                "share": f"{100 * row['selectivity']:g} %",
                "filter": ("tied to the query" if row["tied"] else "unrelated")
                + (", words" if row.get("asked") == "words" else ""),
            }
            for row in measured
        ]
        yield lines(
            "Recall@10 by the share of products a filter leaves",
            *_pivot(rows, "share", "filter", "recall"),
            threshold=min_recall,
            from_zero=False,
        )
        labels, engine = _pivot(rows, "share", "filter", "p95_ms")
        _, exact = _pivot(rows, "share", "filter", "exact_p95_ms")
        exact = {f"{name}, exact": values for name, values in exact.items()}
        yield lines("p95 by the share of products a filter leaves", labels, engine | exact, " ms")
    if rows := benchmarks.get("latency"):
        callers, p95 = _pivot(rows, "concurrency", "kind", "p95_ms")
        if len(callers) > 1:
            yield lines("p95 by concurrent callers", callers, p95, " ms")
            yield lines("Queries a second by concurrent callers", *_pivot(rows, "concurrency", "kind", "qps"))
        else:
            sides = {"p95": [row["p95_ms"] for row in rows], "p50": [row["p50_ms"] for row in rows]}
            yield bars(
                f"Latency, concurrent callers: {callers[0]}", [row["kind"] for row in rows], sides, " ms"
            )
    if rows := benchmarks.get("layouts"):
        sides = {"new": [row["new_p50_ms"] for row in rows], "old": [row["old_p50_ms"] for row in rows]}
        yield bars("p50, old layout against new", [row["kind"] for row in rows], sides, " ms")
    if rows := benchmarks.get("relevance"):
        yield bars("Precision@10 by kind of query", *_pivot(rows, "kind", "leg", "precision_at_10"))


def _trend_charts(history: Sequence[Mapping[str, Any]], min_recall: float) -> Iterator[Markup]:
    """One figure of each benchmark over the releases, oldest first."""
    figures: dict[str, list[dict[str, Any]]] = {name: [] for name in PLOTTED}
    for kept in sorted(history, key=lambda kept: str(kept["created_at"])):
        release = kept["release"].rpartition("_")[2]
        figures[kept["benchmark"]] += [
            {"release": release, "series": series, "value": value}
            for series, value in _SUMMARIES[kept["benchmark"]](kept["rows"]).items()
        ]
    pivoted = {name: _pivot(rows, "release", "series", "value") for name, rows in figures.items() if rows}
    if "recall" in pivoted:
        yield lines("Lowest recall@10", *pivoted["recall"], threshold=min_recall, from_zero=False)
    if "latency" in pivoted:
        yield lines("p95 with the fewest callers", *pivoted["latency"], " ms")
    if "relevance" in pivoted:
        yield lines("Precision@10 of all queries", *pivoted["relevance"])


def _lowest_recall(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {"lowest": min(row["recall"] for row in rows)} if rows else {}


def _calmest_p95(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    # The last one of a kind stands, that is the one with the fewest callers.
    return {
        row["kind"]: row["p95_ms"] for row in sorted(rows, key=lambda row: row["concurrency"], reverse=True)
    }


def _mean_precision(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    asked: dict[str, int] = {}
    for row in rows:
        found[row["leg"]] = found.get(row["leg"], 0.0) + row["queries"] * row["precision_at_10"]
        asked[row["leg"]] = asked.get(row["leg"], 0) + row["queries"]
    return {leg: found[leg] / asked[leg] for leg in found if asked[leg]}


_SUMMARIES = {"recall": _lowest_recall, "latency": _calmest_p95, "relevance": _mean_precision}


def _pivot(
    rows: Sequence[Mapping[str, Any]], label: str, series: str, value: str
) -> tuple[list[str], dict[str, list[float | None]]]:
    """Rows as labels and, for each series, its value at each label or None; both in the order they first occur."""
    labels = list(dict.fromkeys(str(row[label]) for row in rows))
    cells = {(str(row[series]), str(row[label])): row[value] for row in rows}
    names = dict.fromkeys(name for name, _ in cells)
    return labels, {name: [cells.get((name, each)) for each in labels] for name in names}
