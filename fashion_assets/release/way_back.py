"""Going back, before it is done: where it leads from a release, until when, and what it would change.

What belongs here: looking. What does not: going back (`swap`), what is carried along then (`carrying`).

There is no day after which one cannot go back: the log keeps what a release that stands still lacks, however old it is
(`warehouse.changes.prune`). A way back ends when the release is let go, by a person or since as many later ones are kept as should be.
"""

from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.release import swap
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, releases
from fashion_assets.warehouse.releases import Release, ReleaseError
from fashion_assets.warehouse.serving import PRODUCTS


@dataclass(frozen=True)
class Difference:
    """What readers would find otherwise. What changed since in the release that is left is in the other one, too, and not counted."""

    gone: int
    """Products that would be gone."""
    back: int
    """Products that would be there again."""
    other: int
    """Products whose listing was another."""
    without_columns: tuple[str, ...]
    """Columns of products that would be empty."""
    made_otherwise: bool
    """Whether it was made with other mappings, rules or another model, so that any value may be another."""
    other_model: bool
    """Whether searches would be answered by another embedding space."""


@dataclass(frozen=True)
class WayBack:
    """Where going back from a release leads."""

    away: str
    release: str
    products: int | None
    promotions_left: int
    """So many further releases may go live until it is let go."""
    loses_what_was_written: bool
    """Whether it is of a version of this program that kept no log: what was written since is not brought to it."""
    changes: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-friendly."""
        return {**asdict(self), "until": self.until}

    @property
    def until(self) -> str:
        """In words."""
        many = self.promotions_left
        return f"until {'another release is' if many == 1 else f'{many} further releases are'} live, or somebody retires it"

    def told(self) -> list[str]:
        """What of it people are told, as sentences."""
        lines = []
        if self.loses_what_was_written:
            lines.append("It is of a former version: what was written since is not brought to it.")
        if (found := self.changes) is None:
            return lines
        parts = [
            f"{count:,} products {what}"
            for count, what in (
                (found.gone, "would be gone"),
                (found.back, "would be there again"),
                (found.other, "would be as their listings were"),
            )
            if count
        ]
        lines.append(
            f"{', '.join(parts)}." if parts else "The same products of the same listings would be there."
        )
        if found.without_columns:
            lines.append(f"These columns would be empty: {', '.join(found.without_columns)}.")
        if found.other_model:
            lines.append("Searches would be answered with its own model.")
        if found.made_otherwise:
            lines.append(
                f"It was made with other mappings, rules or another model: fashion-assets diff {self.release} {self.away} names every value."
            )
        return lines


def way_back(
    conn: psycopg.Connection,
    settings: Settings,
    away: Release,
    to: Release | None = None,
    *,
    compared: bool = False,
) -> WayBack | None:
    """Where going back from a release leads that is live, or, of a candidate, once it is: to `to`, or where `rollback` leads; None where
    nowhere. `compared`: with what it would change, which takes a look at the ids of all products."""
    live = releases.live(conn)
    if live is None or away.state not in ("live", "candidate"):
        return None
    if to is None:
        try:
            to = live if away.state == "candidate" else swap.previous(conn)
        except ReleaseError:
            return None
    return WayBack(
        away.release,
        to.release,
        to.products,
        # The live one will be the newest of those that are kept.
        settings.keep_releases if to.state == "live" else _promotions_left(conn, settings, to),
        to.state != "live" and to.has_changes_before is None,
        _difference(conn, away, to) if compared else None,
    )


def _promotions_left(conn: psycopg.Connection, settings: Settings, to: Release) -> int:
    later = [
        each
        for each in releases.releases(conn)
        if each.state == "retired"
        and each.retired_at is not None
        and (to.retired_at is None or each.retired_at > to.retired_at)
    ]
    return max(1, settings.keep_releases - len(later))


def _difference(conn: psycopg.Connection, away: Release, to: Release) -> Difference:
    positions = [each.has_changes_before for each in (away, to) if each.state != "live"]
    known = [changes.since(conn, each) for each in positions if each is not None]
    row = conn.execute(
        sql.SQL(
            """
            SELECT count(*) FILTER (WHERE b.product_id IS NULL), count(*) FILTER (WHERE a.product_id IS NULL),
                   count(*) FILTER (WHERE a.product_id = b.product_id)
            FROM (SELECT product_id, content_hash FROM {away}) a
            FULL JOIN (SELECT product_id, content_hash FROM {to}) b USING (product_id)
            WHERE a.content_hash IS DISTINCT FROM b.content_hash
              AND NOT EXISTS (SELECT FROM fashion_ops.changes c WHERE c.product_id = coalesce(a.product_id, b.product_id)
                              AND c.transaction >= %s)
            """
        ).format(away=away.table(PRODUCTS.name), to=to.table(PRODUCTS.name)),
        (min(known, default=2**62),),
    ).fetchone()
    assert row is not None
    lacking = conn.execute(
        "SELECT attname::text FROM pg_attribute a WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped "
        "AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = to_regclass(%s) AND b.attname = a.attname AND NOT b.attisdropped) "
        "ORDER BY attnum",
        (f"{away.release}.{PRODUCTS.name}", f"{to.release}.{PRODUCTS.name}"),
    ).fetchall()
    return Difference(
        *row,
        without_columns=tuple(name for (name,) in lacking),
        made_otherwise=None not in (away.made_with, to.made_with) and away.made_with != to.made_with,
        other_model=away.space != to.space,
    )
