"""That nothing is lost: every listing of a release's batches is a product that says what the listing states, or is in quarantine.

What belongs here: the criterion. What does not: how rows are held beside each other (`stated`), what the source itself says by now
(`proof.difference`), what of the live release would be gone (`losses`).

It goes by the batches' files of listings as they were read, not by those that later stages made of them: so a value that was lost on
the way is found wherever that was.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from fashion_assets.catalog.listing import LISTING_SCHEMA, LISTING_VERSION
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION
from fashion_assets.catalog.rules import Rules
from fashion_assets.criteria.stated import (
    ALTERED,
    CHANGED,
    EQUAL,
    LOST,
    REJECTED,
    UNKNOWN,
    Comparison,
    comparing,
    hashes,
    state,
)
from fashion_assets.criteria.statements import kept_or_made
from fashion_assets.criteria.verdict import OFFENDERS_SHOWN, Finding, holds, not_applicable
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import SourceRecord, sources

LISTINGS, CANONICAL = "raw_listings", "normalized_attributes"
"""The files it goes by: listings as they were read, and which rows of the release were made of which run of their batch."""

STATED_VERSION = "1"
"""Raise it when something else is hashed of the same listing."""

IN_WORDS = {
    LOST: "neither a product nor in quarantine",
    ALTERED: "a product that says something else than its listing",
    UNKNOWN: "a product that no listing states",
}


def finding(conn: psycopg.Connection, release: Release, settings: Settings) -> Finding:
    """Whether every listing is accounted for. Batches whose content or rules are others by now than the release was made of are not
    judged by what they were; the reason says how many."""
    store = ParquetStore(settings.assets_url)
    rules = {entry.name: _rules(entry, settings) for entry in sources(conn)}
    batches = conn.execute(
        """
        SELECT r.batch, b.source FROM fashion_ops.release_batches r
        JOIN fashion_ops.batches b ON b.batch = r.batch AND b.content_version = r.content_version
        WHERE r.release = %s ORDER BY r.batch
        """,
        (release.release,),
    ).fetchall()
    with comparing(conn, release) as comparison:
        known = {batch: _add(comparison, store, batch, rules.get(source)) for batch, source in batches}
        judged = [batch for batch, count in known.items() if count is not None]
        if not judged:
            return not_applicable("its batches have changed since, or their files are not there")
        counts = comparison.judge(sorted(rules), whole=False)
        if any(map(counts.get, IN_WORDS)):
            excuse_made_anew(conn, release, store, rules)
            counts = comparison.counts()
        bad = {verdict: counts[verdict] for verdict in IN_WORDS if counts.get(verdict)}
        offenders = [
            f"{key}: {IN_WORDS[verdict]}"
            for key, verdict in conn.execute(
                """
                SELECT batch || ' ' || coalesce(external_id, listing_key, product_id::text), verdict FROM pg_temp.compared
                WHERE verdict = ANY(%s) ORDER BY 1 LIMIT %s
                """,
                (list(bad), OFFENDERS_SHOWN),
            )
        ]
    total = conn.execute(
        "SELECT count(*) FROM fashion_ops.release_batches WHERE release = %s", (release.release,)
    ).fetchone()
    left = (total[0] if total else 0) - len(judged)
    said = f"{counts.get(EQUAL, 0):,} products as their listings state them, {counts.get(REJECTED, 0):,} in quarantine"
    carried = sum(filter(None, known.values()))
    reason = "; ".join(
        [
            said,
            *([f"what {carried:,} listings state was known from before"] if carried else []),
            *([f"{left:,} batches have changed since and were not judged"] if left else []),
        ]
    )
    return holds(not bad, sum(bad.values()), offenders, reason)


def _rules(entry: SourceRecord, settings: Settings) -> Rules:
    source = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
    return Rules.from_settings(settings, source.profile, source.version)


def _add(comparison: Comparison, store: ParquetStore, batch: str, rules: Rules | None) -> int | None:
    """Put a batch's listings beside the release; returns of how many it was known what they state, None where the batch's file is not there, or its
    source is unknown by now."""
    if rules is None:
        return None
    try:
        listings = store.read(LISTINGS, batch)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    if not set(LISTING_SCHEMA.names) <= set(listings.column_names):
        return None
    listings = listings.select(LISTING_SCHEMA.names).combine_chunks()
    stated = kept_or_made(
        store,
        batch,
        f"{STATED_VERSION};{LISTING_VERSION};{NORMALIZATION_VERSION};{rules.version};{' '.join(comparison.columns)}",
        listings,
        _rows(listings),
        lambda some: comparison.hashed(some, state(some, rules)),
    )
    comparison.put(listings, stated.table, batch=batch)
    return stated.known


def _rows(listings: pa.Table) -> pa.Array:
    """A hash of each listing's row (LISTING_SCHEMA); null where a list in it says something."""
    plain = [
        name for name in listings.column_names if not pa.types.is_nested(listings.schema.field(name).type)
    ]
    nested = [listings[name] for name in listings.column_names if name not in plain]
    says = [
        pc.fill_null(pc.greater(pc.list_value_length(each), 0), False).combine_chunks() for each in nested
    ]
    rows = hashes([listings[name] for name in plain])
    for each in says:
        rows = pc.if_else(each, pa.scalar(None, pa.string()), rows)
    return rows


def excuse_made_anew(
    conn: psycopg.Connection, release: Release, store: ParquetStore, rules: Mapping[str, Rules]
) -> None:
    """Of batches with rows that are unlike their listings, let those be that were made anew since the release was loaded: by other
    rules, or in another run. Only such are looked at."""
    offending = conn.execute(
        "SELECT DISTINCT c.batch, b.source FROM pg_temp.compared c JOIN fashion_ops.batches b ON b.batch = c.batch "
        "WHERE c.verdict = ANY(%s)",
        (list(IN_WORDS),),
    ).fetchall()
    for batch, source in offending:
        try:
            made = store.read(CANONICAL, batch, ["normalized", "validated_with"])
        except (FileNotFoundError, pa.ArrowInvalid):
            continue
        versions = set(made["validated_with"].unique().to_pylist())
        stamps = pc.extract_regex(made["normalized"], r'"normalized_at":"(?P<at>[^"]*)"').combine_chunks()
        loaded = conn.execute(
            sql.SQL("SELECT DISTINCT normalized ->> 'normalized_at' FROM {} WHERE batch = %s").format(
                release.table("products")
            ),
            (batch,),
        ).fetchall()
        of_another_run = {at for (at,) in loaded} - set(stamps.field("at").unique().to_pylist())
        if of_another_run or versions - {rules[source].version}:
            conn.execute(
                "UPDATE pg_temp.compared SET verdict = %s WHERE batch = %s AND verdict = ANY(%s)",
                (CHANGED, batch, list(IN_WORDS)),
            )
