"""Every source there is: where it is, how it is read, what became of its listings; one more, and what one less would cost.

What belongs here: telling that from register and releases, and registering a source that was looked at. What does not: migrating
what sources have (`scan`), how it is shown (`cli`, `reports.report`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.criteria.losses import TABLES
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.sources.known_mappings import PUBLIC
from fashion_assets.sources.locations import CATALOGUES, named, placed, placed_pictures, without_password
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import SourceRecord, activate_source, source, sources

LONGEST_MAPPING = 63
"""Characters of a mapping's name: what is longer, or has lines, is a mapping's text."""


class Counts(NamedTuple):
    """What a source has, and what became of it in a release."""

    listings: int = 0
    products: int = 0
    quarantined: int = 0


def of_sources(conn: psycopg.Connection, missing: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Every registered source, by name, JSON-friendly and without secrets: `listings` as they were scanned last, `products` and
    `quarantined` in the newest release that stands. `missing`: sources that are not where they should be, and where that is."""
    newest = newest_release(conn)
    made = in_release(conn, newest) if newest else {}
    listings = dict(
        conn.execute(
            "SELECT source, coalesce(sum(listings), 0)::bigint FROM fashion_ops.batches GROUP BY source"
        ).fetchall()
    )
    return [
        {
            "name": known.name,
            "kind": known.kind,
            "location": without_password(known.location),
            "mapping": mapping_of(known),
            "active": known.active,
            "listings": listings.get(known.name, 0),
            "products": made.get(known.name, Counts()).products,
            "quarantined": made.get(known.name, Counts()).quarantined,
            "missing_at": (missing or {}).get(known.name),
        }
        for known in sources(conn)
    ]


def in_release(conn: psycopg.Connection, release: Release) -> dict[str, Counts]:
    """What a release has of each source, by name."""
    rows = conn.execute(
        """
        SELECT b.source, sum(r.listings)::bigint, sum(r.products)::bigint, sum(r.quarantined)::bigint
        FROM fashion_ops.release_batches r JOIN fashion_ops.batches b ON b.batch = r.batch
        WHERE r.release = %s GROUP BY b.source ORDER BY b.source COLLATE "C"
        """,
        (release.release,),
    )
    return {source: Counts(*counts) for source, *counts in rows}


def of_release(conn: psycopg.Connection, release: Release) -> list[dict[str, Any]]:
    """The sources a release is made of, by name, with what it has of each; JSON-friendly and without secrets."""
    known = {each.name: each for each in sources(conn)}
    return [
        {
            "name": name,
            "location": without_password(known[name].location) if name in known else None,
            "mapping": mapping_of(known[name]) if name in known else None,
            "listings": counts.listings,
            "products": counts.products,
            "quarantined": counts.quarantined,
        }
        for name, counts in in_release(conn, release).items()
    ]


def newest_release(conn: psycopg.Connection) -> Release | None:
    """The newest release that is live or could go live."""
    return next((known for known in releases.releases(conn) if known.state in ("candidate", "live")), None)


def mapping_of(source: SourceRecord) -> str | None:
    """By what mapping a source is read, by name; None for a reader that needs none. One of the user's own is called so."""
    said = source.options.get("mapping")
    if said is None and source.kind == "folder":
        return PUBLIC
    if isinstance(said, dict):
        return str(said.get("name", "own"))
    if not isinstance(said, str):
        return None
    return said if len(said) <= LONGEST_MAPPING and "\n" not in said else "own"


@dataclass(frozen=True)
class Added:
    """A source that was registered, and what a look at it found."""

    source: SourceRecord
    listings_seen: int
    """Listings of the first part of it, as far as was looked."""
    is_more: bool
    """Whether there may be more."""
    known: int
    """Listings the register has of it, from a time before."""

    def lines(self) -> Iterator[str]:
        """What a person is told."""
        name, seen = self.source.name, f"{self.listings_seen:,}"
        read_by = mapping_of(self.source)
        how = f", read by the mapping {read_by}" if read_by else ""
        yield (
            f"{name} is added: {self.source.kind} {without_password(self.source.location)}{how}; "
            f"{'at least ' if self.is_more else ''}{seen} listings"
        )
        if self.known:
            yield f"{self.known:,} listings of {name} are known from before: they stay in their batches, and keep their ids"
        yield "migrate it with: fashion-assets run"

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.source.name,
            "kind": self.source.kind,
            "location": without_password(self.source.location),
            "mapping": mapping_of(self.source),
            "active": self.source.active,
            "listings_seen": self.listings_seen,
            "there_may_be_more": self.is_more,
            "known_from_before": self.known,
        }


def add_source(
    conn: psycopg.Connection,
    settings: Settings,
    name: str,
    location: str,
    *,
    mapping: str | None = None,
    pictures: str | PathLike[str] | None = None,
    moved: bool = False,
) -> Added:
    """Register one more source, in use, once it was seen that it can be read; nothing is migrated. `moved`: it is a registered one,
    at another place.

    Raises `SourceError` for a name that cannot be one or is another source's, for a source that is registered under another name,
    and for what cannot be read.
    """
    kind, where = placed(location)
    known = {each.name: each for each in sources(conn)}
    if named(name) not in known and moved:
        raise SourceError(
            f"There is no source {name}, which could have moved. Registered are: {', '.join(known) or 'none'}."
        )
    options: dict[str, object] = {}
    same = known.get(name)
    if kind in CATALOGUES:
        from fashion_assets.sources.recognition import recognise  # here: it knows every mapping

        beside = None if pictures is None else placed_pictures(pictures)
        kept = same is not None and not moved and mapping is None and beside is None
        if kept and same is not None and same.kind in CATALOGUES and same.location == where:
            kind, options = same.kind, same.said
        else:
            recognised = recognise(where, mapping=mapping, pictures=beside, home=settings.home)
            kind, where, options = recognised.as_source(beside)
    if same is not None and not moved and (same.kind, same.location) != (kind, where):
        raise SourceError(
            f"There is a source {name} already: {same.kind} {without_password(same.location)}. A catalogue beside it has a name of "
            f"its own; if it is the same one, at another place from now on, say so: fashion-assets sources add {name} LOCATION "
            "--moved"
        )
    for other in known.values():
        if other.name != name and (other.kind, other.location, other.said) == (kind, where, options):
            raise SourceError(
                f"{without_password(where)} is the source {other.name} already: under a second name each of its products would be "
                "there twice."
            )
    with conn.transaction():
        activate_source(conn, name, kind, where, options or (None if same is not None else {}))
        entry = source(conn, name)
        opened = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
        chunks = opened.scan()
        seen = next((chunk.num_rows for chunk in chunks if chunk.num_rows), 0)
        more = next((True for chunk in chunks if chunk.num_rows), False)
    row = conn.execute("SELECT count(*) FROM fashion_ops.listings WHERE source = %s", (name,)).fetchone()
    return Added(entry, seen, more, row[0] if row else 0)


@dataclass(frozen=True)
class Leaving:
    """What the live release would lack without a source."""

    name: str
    release: str | None
    products: int = 0
    favourites: int = 0
    users: int = 0

    def lines(self) -> Iterator[str]:
        """What a person is told."""
        if not (self.products or self.favourites or self.users):
            yield f"nothing of {self.name} is live"
            return
        yield (
            f"the next release is without {self.products:,} products, {self.favourites:,} favourites and {self.users:,} users of "
            f"{self.name}, which are in {self.release}. So much is held back unless it is meant: fashion-assets run --allow-shrink"
        )

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {"leaves": {key: value for key, value in asdict(self).items() if key != "name"}}


def leaving(conn: psycopg.Connection, name: str) -> Leaving:
    """What of a source is live at present."""
    live = releases.live(conn)
    if live is None:
        return Leaving(name, None)
    counts = {}
    for table in TABLES:
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE source = %s").format(live.table(table)), (name,)
        ).fetchone()
        counts[table] = row[0] if row else 0
    return Leaving(name, live.release, **counts)
