"""The migration report: one HTML page and the same as JSON for each release, kept in the installation's `reports`.

What belongs here: gathering what a person wants to know of a candidate, and writing it. What does not: judging it
(`criteria`), measuring it (`benchmarks`), making a page of it (`page`).

A report is written for a damaged candidate above all: nothing a listing says, no picture and no failing search may
keep it from being written.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.benchmarks import results
from fashion_assets.benchmarks.relevance import load_queries
from fashion_assets.catalog.attributes import SPARSE, VOCABULARIES
from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.normalization import vocabulary
from fashion_assets.catalog.pictures import Limits
from fashion_assets.criteria.candidate import judge
from fashion_assets.criteria.expectations import ExpectationResult, claims
from fashion_assets.criteria.prices import read_and_kept
from fashion_assets.criteria.profiles import profiles
from fashion_assets.criteria.stated import attributes_without_column
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.proof.duplicates import duplicates
from fashion_assets.release.known_sources import of_release
from fashion_assets.release.roots import picture_folders, picture_of
from fashion_assets.release.status import report_page
from fashion_assets.release.way_back import way_back
from fashion_assets.reports.beside import beside
from fashion_assets.reports.page import DISTRIBUTED, PLOTTED, render
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import quarantined, reasons
from fashion_assets.warehouse.releases import Release, ReleaseError, lacking

EXAMPLES = 12
"""Products shown."""

EXAMPLES_PER_REASON = 6
"""Rejected listings shown of each reason."""

LONGEST_RECORD = 1_000_000
"""Characters of a rejected listing's record, as JSON, that a report keeps: it has some of every reason, and a record may be a
line without end."""

SEARCHES = 6
HITS = 6
"""Example searches, and products shown of each."""

VALUES = 15
"""Most frequent values shown of a column."""

PRICE_BINS = 40
"""Of equal width, from nothing to the price that 99 % of the products stay below; dearer ones are in the last."""

RELEASES = 12
"""Releases whose benchmarks are plotted beside each other."""

COMPARED = 300
"""Products whose likely twins in other sources are looked for: about a second."""


def gather(
    conn: psycopg.Connection,
    settings: Settings,
    release: Release,
    verdicts: Sequence[Verdict],
    expectations: Sequence[ExpectationResult] = (),
) -> dict[str, Any]:
    """Everything the report says, JSON-friendly; pictures are named by path. `expectations`: what the suite found, where it
    was run."""
    values = _values(conn, release)
    by_name = {verdict.name: verdict for verdict in verdicts}
    return {
        "release": release.release,
        "state": release.state,
        "approval": release.approval,
        "made_from": release.made_from,
        "shared": release.said_of_sharing,
        "back": _way_back(conn, settings, release),
        "beside": beside(conn, settings, release),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "space": release.space,
        "counts": {
            "listings": release.listings or 0,
            "products": release.products or 0,
            "quarantined": release.quarantined or 0,
            **lacking(conn, release.release),
        },
        "promotable": all(verdict.passed for verdict in verdicts),
        "criteria": [verdict.to_dict() for verdict in verdicts],
        "expectations": _expectations(settings, expectations),
        "vectors": _vectors(conn, release),
        "sources": of_release(conn, release),
        "duplicates": _duplicates(conn, release),
        "batches": _batches(conn, release),
        "quarantine_reasons": _quarantine(conn, settings),
        "coverage": _coverage(conn, release),
        "distributions": {
            column: [{"value": value, "products": count} for value, count in counts[:VALUES]]
            for column, counts in values.items()
        },
        "prices": _prices(conn, settings, release, by_name["prices_are_distributed_as_expected"]),
        "benchmarks": results.load(conn, release.release),
        "min_recall": settings.min_recall,
        "history": [
            {"release": name, "created_at": created_at, "benchmark": benchmark, "rows": rows}
            for name, created_at, benchmark, rows in results.history(conn, PLOTTED, RELEASES)
        ],
        "searches": _searches(settings, release, _example_words(conn, release, values)),
        "examples": _examples(conn, release),
    }


def write(
    conn: psycopg.Connection,
    settings: Settings,
    release: Release,
    verdicts: Sequence[Verdict],
    expectations: Sequence[ExpectationResult] = (),
) -> Path:
    """Write `<release>.html` and `<release>.json`; returns the page's path and notes it with the release."""
    content = gather(conn, settings, release, verdicts, expectations)
    settings.reports.mkdir(parents=True, exist_ok=True)
    page = report_page(settings, release)
    _put(page, content, settings)
    conn.execute(
        "UPDATE fashion_ops.releases SET report = %s, criteria = %s::jsonb WHERE release = %s",
        (str(page), json.dumps(content["criteria"], default=str), release.release),
    )
    return page


def note(settings: Settings, release: Release, **said: Any) -> None:
    """Have the release's report say what came to be after it was written, its `approval` or a page it leads to; what was measured stays as it
    was. Nothing where there is no report."""
    page = report_page(settings, release)
    try:
        content = json.loads(page.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return
    # One of a former version says nothing of some of it.
    _put(page, {"back": None, "beside": None, "approval": None, "shared": "", **content, **said}, settings)


def _put(page: Path, content: dict[str, Any], settings: Settings) -> None:
    at_length = (content["beside"] or {}).get("page")
    is_there = bool(at_length) and (settings.reports / at_length).is_file()
    html = render({**content, "at_length_is_there": is_there}, Limits.from_settings(settings))
    for path, text in ((page.with_suffix(".json"), json.dumps(content, indent=2, default=str)), (page, html)):
        partial = path.with_name(path.name + ".partial")
        # A record may hold half of a surrogate pair, which no encoding has.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)


def page_of(conn: psycopg.Connection, settings: Settings, release: Release) -> Path:
    """The release's page, with its JSON beside it; judged and written now where either is gone.

    Raises `ReleaseError` where it is gone and so are, or not yet there, the release's tables.
    """
    page = report_page(settings, release)
    if page.is_file() and page.with_suffix(".json").is_file():
        return page
    if release.state not in ("candidate", "live", "retired"):
        raise ReleaseError(
            f"{release.release} is {release.state}, and there is no report of it in {page.parent}"
        )
    return write(conn, settings, release, judge(Candidate(conn, release, settings)))


# What is in the release


def _as_far_as_shown(record: Any) -> Any:
    characters = len(json.dumps(record, ensure_ascii=False))
    if characters <= LONGEST_RECORD:
        return record
    return {"left_out": f"{characters:,} characters; fashion_ops.quarantine has them"}


def _rows(
    conn: psycopg.Connection, names: Sequence[str], query: Any, parameters: tuple = ()
) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in conn.execute(query, parameters).fetchall()]


def _batches(conn: psycopg.Connection, release: Release) -> list[dict[str, Any]]:
    return _rows(
        conn,
        ("batch", "listings", "products", "quarantined"),
        "SELECT batch, listings, products, quarantined FROM fashion_ops.release_batches WHERE release = %s ORDER BY batch",
        (release.release,),
    )


def _examples(conn: psycopg.Connection, release: Release) -> list[dict[str, Any]]:
    query = sql.SQL("SELECT title, image_path FROM {} ORDER BY product_id LIMIT %s")
    return _rows(conn, ("title", "image"), query.format(release.table("products")), (EXAMPLES,))


def _expectations(settings: Settings, found: Sequence[ExpectationResult]) -> list[dict[str, Any]]:
    said = claims(settings)
    return [
        {
            "name": result.name,
            "claim": said[result.name],
            "passed": result.passed,
            "unexpected": result.unexpected,
            "elements": result.elements,
            "offenders": result.offenders,
        }
        for result in found
    ]


def _quarantine(conn: psycopg.Connection, settings: Settings) -> list[dict[str, Any]]:
    """Each reason of rejection, with how many listings it holds back and some of them."""
    at = picture_folders(conn, settings)
    return [
        {
            "reason": reason,
            "listings": count,
            "examples": [
                {
                    "external_id": held.external_id,
                    "batch": held.batch,
                    "reasons": held.reasons,
                    "record": _as_far_as_shown(held.record),
                    "image": picture_of(held, at),
                }
                for held in quarantined(conn, reason=reason, limit=EXAMPLES_PER_REASON)
            ],
        }
        for reason, count in reasons(conn)
    ]


def _duplicates(conn: psycopg.Connection, release: Release) -> dict[str, Any] | None:
    """What the sources of the release likely both have, or why that is not known; None of a release of one source."""
    try:
        with conn.transaction():
            found = duplicates(conn, release, COMPARED)
    except psycopg.Error as error:  # a damaged candidate is to be reported on
        return {"unknown": str(error).partition("\n")[0]}
    return found.to_dict() if len(found.sources) > 1 else None


def _way_back(conn: psycopg.Connection, settings: Settings, release: Release) -> dict[str, Any] | None:
    """Where going back from it leads; None where nowhere, or where its tables are not as they should be."""
    try:
        with conn.transaction():
            back = way_back(conn, settings, release, compared=True)
    except psycopg.Error:
        return None
    return back and {**back.to_dict(), "told": back.told()}


def _vectors(conn: psycopg.Connection, release: Release) -> dict[str, int]:
    """Vectors in the release, and the distinct pictures and texts of its space that were ever embedded."""
    row = conn.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {embeddings}), count(*) FILTER (WHERE kind = 'image'), "
            "count(*) FILTER (WHERE kind = 'text') FROM fashion_ops.embeddings WHERE space = %s"
        ).format(embeddings=release.table("product_embeddings")),
        (release.space,),
    ).fetchone()
    assert row is not None
    return dict(zip(("products", "pictures", "texts"), row, strict=True))


def _coverage(conn: psycopg.Connection, release: Release) -> list[dict[str, Any]]:
    """How many products have each attribute, and how many of an attribute's values its vocabulary knows; one scan."""
    absent = attributes_without_column(conn, release)
    attributes = [each for each in ATTRIBUTES if each not in absent]
    vocabularies = [each for each in VOCABULARIES if each not in absent]
    parts = [sql.SQL("count(*)"), *(sql.SQL("count({})").format(sql.Identifier(each)) for each in attributes)]
    parts += [
        sql.SQL("count(*) FILTER (WHERE {} = ANY({}))").format(
            sql.Identifier(name), sql.Literal(sorted(set(vocabulary(name).values())))
        )
        for name in vocabularies
    ]
    row = conn.execute(
        sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(parts), release.table("products"))
    ).fetchone()
    assert row is not None
    products, stated = row[0], dict(zip(attributes, row[1:], strict=False))
    known = dict(zip(vocabularies, row[1 + len(attributes) :], strict=True))
    return [
        {
            "attribute": name,
            "products": count,
            "share": count / products if products else 0.0,
            "known_share": known[name] / count if name in known and count else None,
        }
        for name, count in stated.items()
        if count or name not in SPARSE
    ]


def _values(conn: psycopg.Connection, release: Release) -> dict[str, list[tuple[str, int]]]:
    """For each column of `DISTRIBUTED` all its values and how often they occur, most frequent first; one scan."""
    absent = attributes_without_column(conn, release)
    told = [column for column in DISTRIBUTED if column not in absent]
    columns = sql.SQL(", ").join(map(sql.Identifier, told))
    rows = conn.execute(
        sql.SQL(
            "SELECT grouping({columns}), coalesce({columns}), count(*) FROM {products} GROUP BY GROUPING SETS ({sets}) "
            "HAVING coalesce({columns}) IS NOT NULL ORDER BY 3 DESC, 2"
        ).format(
            columns=columns,
            products=release.table("products"),
            sets=sql.SQL(", ").join(sql.SQL("({})").format(sql.Identifier(c)) for c in told),
        )
    ).fetchall()
    # `grouping` has a bit for each column, the first the highest, set where the row is not of that column's set.
    every = 2 ** len(told) - 1
    return {column: [] for column in DISTRIBUTED} | {
        column: [(value, count) for mask, value, count in rows if mask == every - 2**bit]
        for bit, column in enumerate(reversed(told))
    }


def _prices(
    conn: psycopg.Connection, settings: Settings, release: Release, verdict: Verdict
) -> dict[str, Any]:
    """Shares of prices in `PRICE_BINS` bins: as they were read of the listings, and as products have them."""
    if verdict.outcome == "not applicable":
        return {"reason": verdict.reason, "edges": [], "old": [], "new": []}
    prices = read_and_kept(conn, release, ParquetStore(settings.assets_url), profiles(conn, settings))
    counts = prices.kept if prices.kept.any() else prices.stated
    highest = _percentile(prices.amounts, counts, 0.99) if counts.any() else 0.0
    shares = {}
    for side, of in (("old", prices.stated), ("new", prices.kept)):
        drawn = (prices.amounts >= 0) & (highest > 0)
        places = np.minimum(prices.amounts[drawn] * (PRICE_BINS / (highest or 1)), PRICE_BINS - 1).astype(int)
        binned = np.bincount(places, of[drawn], PRICE_BINS)
        shares[side] = (binned / (binned.sum() or 1)).tolist()
    return {
        "reason": verdict.reason,
        "edges": [highest * place / PRICE_BINS for place in range(PRICE_BINS + 1)],
        **shares,
    }


def _percentile(values: np.ndarray, counts: np.ndarray, share: float) -> float:
    """The value that so many of all stay below, each value (ascending) occurring so often; between two it is in between."""
    last = np.cumsum(counts)
    place = share * (last[-1] - 1)
    below, above = (
        values[np.searchsorted(last, each, "right")] for each in (math.floor(place), math.ceil(place))
    )
    return float(below + (above - below) * (place % 1))


# Example searches


def _searches(settings: Settings, release: Release, words: Sequence[str]) -> dict[str, Any]:
    """What the release answers when it is asked for each of `words`, with notes of how; or why it answers nothing."""
    try:
        with SearchEngine.open(settings, size=1, curated=False) as engine:
            answers = [
                engine.search(Query(words=asked, limit=HITS, release=release.release)) for asked in words
            ]
    except Exception as error:  # a damaged candidate may break a search in any way, and is to be reported on
        return {"notes": [f"no example searches: {error or type(error).__name__}"], "queries": []}
    return {
        "notes": list(dict.fromkeys(note for answer in answers for note in answer.plan.notes)),
        "queries": [
            {
                "words": asked,
                "understood": answer.plan.understood,
                "hits": [
                    {"title": hit.title, "image": hit.image_path, "score": round(hit.score, 4)}
                    for hit in answer.hits
                ],
            }
            for asked, answer in zip(words, answers, strict=True)
        ],
    }


def _example_words(
    conn: psycopg.Connection, release: Release, values: Mapping[str, Sequence[tuple[str, int]]]
) -> list[str]:
    """Words as people type them, the first of each kind for which the release has what they should find; for a
    catalogue of other things its most frequent pairs of colour and article type."""
    held = {column: {value for value, _ in counts} for column, counts in values.items()}
    of_kind: dict[str, str] = {}
    for query in load_queries():
        wanted = [(held[column], found) for column, found in query.finds.items() if column in held]
        if wanted and all(not there.isdisjoint(found) for there, found in wanted):
            of_kind.setdefault(query.kind, query.words)
    if of_kind:
        return list(of_kind.values())[:SEARCHES]
    rows = conn.execute(
        sql.SQL(
            "SELECT concat_ws(' ', colour, article_type) FROM {} "
            "WHERE coalesce(colour, article_type) IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT %s"
        ).format(release.table("products")),
        (SEARCHES,),
    ).fetchall()
    return [words for (words,) in rows]
