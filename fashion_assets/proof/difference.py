"""What differs between what a source says and what a release has of it: row by row, column by column, each difference explained.

What belongs here: reading the source again, holding it beside the release, and saying why rows and values differ. What does not:
the keyed hashes (`criteria.stated`), how it is shown (`cli`).

A row is looked at value by value only where its hash differs; so memory does not grow with the source, and the work of comparing not
with what is equal. Pictures are not decoded: that a listing is in quarantine for its picture is taken from there.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.rules import Rules
from fashion_assets.criteria import lost
from fashion_assets.criteria.stated import (
    ALTERED,
    CHANGED,
    EQUAL,
    GONE,
    LOST,
    REJECTED,
    Comparison,
    Statement,
    comparing,
    state,
)
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, open_source
from fashion_assets.warehouse.noting import as_scanned
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import REFERENCES_SCHEMA
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import source

EXAMPLES = 10
"""Rows, and values of a column, that are named of each kind."""

DISTINCT = 2_000
"""Different changes of a column's values that are told apart while they are counted; further ones are counted as others."""

SHOWN = 200
"""Characters of a value in an example."""

CHUNK = 5_000
"""Listings in hand at a time."""

UNEXPLAINED = (LOST, ALTERED)
"""What no normalization, rejection or change explains."""


@dataclass
class Normalized:
    """What became of a column's values on the way to canonical ones."""

    values: int = 0
    """Values that are written otherwise than the source does, or were found where it states none."""
    pairs: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """For people and programs: the most frequent ones."""
        return {
            "values": self.values,
            "examples": [
                {"source": raw and raw[:SHOWN], "release": held and held[:SHOWN], "values": count}
                for (raw, held), count in self.pairs.most_common(EXAMPLES)
            ],
        }


@dataclass
class Difference:
    """A source beside a release. `rows` = equal + explained ones + unexplained ones."""

    source: str
    release: str
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows became what (`criteria.stated`)."""
    new: int = 0
    """Of those that changed, how many the release did not have."""
    reasons: dict[str, int] = field(default_factory=dict)
    normalized: dict[str, Normalized] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)
    """Rows whose value of a column differs without an explanation, by column."""
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unexplained(self) -> int:
        """Rows that differ without an explanation."""
        return sum(self.rows.get(verdict, 0) for verdict in UNEXPLAINED)

    def to_dict(self) -> dict[str, Any]:
        """All figures, JSON-friendly."""
        changed = self.rows.get(CHANGED, 0)
        return {
            "source": self.source,
            "release": self.release,
            "listings": sum(count for verdict, count in self.rows.items() if verdict != GONE),
            "equal": self.rows.get(EQUAL, 0),
            "explained": {
                "rejected": self.rows.get(REJECTED, 0),
                "changed_since": changed - self.new,
                "new_since": self.new,
                "gone_since": self.rows.get(GONE, 0),
            },
            "unexplained": {"lost": self.rows.get(LOST, 0), "altered": self.rows.get(ALTERED, 0)},
            "reasons": self.reasons,
            "normalized": {name: each.to_dict() for name, each in self.normalized.items() if each.values},
            "columns": self.columns,
            "examples": self.examples,
        }


def difference(
    conn: psycopg.Connection,
    settings: Settings,
    name: str,
    release: Release,
    progress: Callable[[int], None] = lambda done: None,
) -> Difference:
    """Hold a registered source, read anew, beside a release. `progress` is told how many listings were read. Raises `UnknownSource`,
    and `SourceError` where the source cannot be read."""
    entry = source(conn, name)
    opened = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
    found = Difference(name, release.release, normalized={each: Normalized() for each in ATTRIBUTES})
    with comparing(conn, release) as comparison:
        done = 0
        with as_scanned(conn, opened, CHUNK) as parts:
            # Only after the scan a source knows what it found out of how values are written.
            rules = _rules(opened, settings)
            for references in parts:
                listings = _read(opened, references)
                said = comparison.add(listings, rules)
                _tally(found.normalized, listings, said, comparison.columns)
                done += references.num_rows
                progress(done)
        found.rows = comparison.judge([name], whole=True)
        if found.unexplained:
            lost.excuse_made_anew(conn, release, ParquetStore(settings.assets_url), {name: rules})
            found.rows = comparison.counts()
        row = conn.execute(
            "SELECT count(*) FROM pg_temp.compared WHERE verdict = %s AND NOT held", (CHANGED,)
        ).fetchone()
        found.new = row[0] if row else 0
        found.reasons = dict(
            conn.execute(
                "SELECT reason, count(*) FROM pg_temp.compared, unnest(reasons) reason WHERE verdict = %s GROUP BY 1 "
                "ORDER BY 2 DESC, 1",
                (REJECTED,),
            ).fetchall()
        )
        _name_lost(conn, found)
        _look_at_altered(conn, opened, rules, release, comparison, found)
    return found


def _rules(opened: Source, settings: Settings) -> Rules:
    return Rules.from_settings(settings, opened.profile, opened.version)


def _read(opened: Source, references: pa.Table) -> pa.Table:
    listings = opened.read(references)
    return listings.append_column("locator", references["locator"]).append_column(
        "signature", references["signature"]
    )


def _tally(
    normalized: dict[str, Normalized], listings: pa.Table, said: Statement, columns: list[str]
) -> None:
    """Count what normalization made of these listings' values."""
    place = pc.index_in(said.products["listing_key"], value_set=listings["listing_key"].combine_chunks())
    for name in columns:
        raw = listings[name].take(place).combine_chunks()
        held = pc.cast(said.products[name], pa.string()).combine_chunks()
        differ = pc.or_(
            pc.fill_null(pc.not_equal(raw, held), False), pc.not_equal(pc.is_null(raw), pc.is_null(held))
        )
        if not pc.any(differ).as_py():
            continue
        pairs = pa.table({"raw": raw, "held": held}).filter(differ)
        normalized[name].values += pairs.num_rows
        counted = pairs.group_by(["raw", "held"]).aggregate([([], "count_all")])
        kept = normalized[name].pairs
        for pair in counted.to_pylist():
            key = (pair["raw"], pair["held"])
            if key in kept or len(kept) < DISTINCT:
                kept[key] += pair["count_all"]


def _name_lost(conn: psycopg.Connection, found: Difference) -> None:
    for key, external_id in conn.execute(
        "SELECT listing_key, external_id FROM pg_temp.compared WHERE verdict = %s ORDER BY listing_key LIMIT %s",
        (LOST, EXAMPLES),
    ).fetchall():
        found.examples.append({"listing": external_id or key, "what": LOST})


def _look_at_altered(
    conn: psycopg.Connection,
    opened: Source,
    rules: Rules,
    release: Release,
    comparison: Comparison,
    found: Difference,
) -> None:
    """Say which columns differ of the rows that do."""
    columns = ["external_id", *comparison.columns, "record"]
    counts: Counter[str] = Counter()
    named = 0
    for references, products in _altered(conn):
        said = state(_read(opened, references), rules).products
        expected = {row["listing_key"]: row for row in said.select(["listing_key", *columns]).to_pylist()}
        held = {
            str(key): values
            for key, *values in conn.execute(
                sql.SQL("SELECT product_id, {} FROM {} WHERE product_id = ANY(%s)").format(
                    sql.SQL(", ").join(map(comparison.held, columns)),
                    release.table("products"),
                ),
                (products,),
            )
        }
        for key, product in zip(references["listing_key"].to_pylist(), products, strict=True):
            stated = expected.get(key)
            if stated is None:
                continue
            for name, value in zip(columns, held[product], strict=True):
                wanted = None if stated[name] is None else str(stated[name])
                if wanted == value:
                    continue
                counts[name] += 1
                if named < EXAMPLES:
                    named += 1
                    found.examples.append(
                        {
                            "listing": stated["external_id"],
                            "what": ALTERED,
                            "column": name,
                            "source": wanted and wanted[:SHOWN],
                            "release": value and value[:SHOWN],
                        }
                    )
    found.columns = dict(counts.most_common())


def _altered(conn: psycopg.Connection) -> Iterator[tuple[pa.Table, list[str]]]:
    """The rows that differ without an explanation, as a source is asked for them, with their products' ids."""
    with conn.cursor("altered") as cursor:
        cursor.execute(
            "SELECT external_id, locator, signature, listing_key, occurrence, product_id::text FROM pg_temp.compared "
            "WHERE verdict = %s",
            (ALTERED,),
        )
        while rows := cursor.fetchmany(CHUNK):
            *columns, products = zip(*rows, strict=True)
            yield pa.table([list(column) for column in columns], schema=REFERENCES_SCHEMA), list(products)
