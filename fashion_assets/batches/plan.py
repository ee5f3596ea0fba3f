"""Which batches a run has something to do for.

What belongs here: comparing what the register wants with what the files and the database hold. What does not: doing it
(`stages`, `release.recovery`), and whether a release is due (`release.plan`).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from fashion_assets.batches.files import Files, looks_of, said_by
from fashion_assets.warehouse.batch_files import Held
from fashion_assets.warehouse.declared import declared_tables
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch, batches
from fashion_assets.warehouse.sources import active_sources

FOOTERS_AT_ONCE = 8
"""Batches whose footers are read side by side, where any are: an object store answers slowly, and many at once."""


def active_batches(conn: psycopg.Connection) -> list[Batch]:
    """The batches of every active source, in order."""
    return [batch for source in active_sources(conn) for batch in batches(conn, source.name)]


def active_table_batches(conn: psycopg.Connection) -> list[Batch]:
    """The batches of the rows of every table that active sources declare, in order."""
    return [batch for table in declared_tables(conn) for batch in batches(conn, table.register_name)]


@dataclass(frozen=True)
class BatchPlan:
    """What there is to do for batches of one kind."""

    batches: list[Batch]
    versions: Mapping[str, str]
    """What each batch's files must have been made of, by its name."""
    held: Mapping[str, Held]
    """What there is of each, by name."""
    unknown: Mapping[str, Held]
    """Those of them the database did not know; `recovery` writes it."""
    stale: list[Batch]
    """Batches a run has something to do for."""
    incomplete: frozenset[str]
    """Names of those of them that are through but for products whose picture could not be embedded."""
    lost: list[Batch]
    """Those of them whose files are whole while the database lacks what goes with them; `recovery` writes it again."""

    @property
    def finished(self) -> list[Batch]:
        """Batches that are through, or but for pictures that could not be embedded: a release is made of them."""
        stale = {batch.name for batch in self.stale} - self.incomplete
        return [batch for batch in self.batches if batch.name not in stale]


def plan_batches(
    store: ParquetStore,
    files: Files,
    versions: Mapping[Batch, str],
    known: Mapping[str, Held],
    in_quarantine: Mapping[str, int],
) -> BatchPlan:
    """Compare what is wanted of batches (`versions`) with their files, and with what the database says of these (`known`) and
    has of their rejections (`in_quarantine`). Footers are read only of what looks otherwise than the database knows."""
    wanted = {batch.name: version for batch, version in versions.items()}
    looks = looks_of(store, files)
    held, unknown = _held(store, files, list(wanted), looks, known)
    whole = [batch for batch in versions if held[batch.name].version == wanted[batch.name]]
    lost = [batch for batch in whole if held[batch.name].quarantined != in_quarantine.get(batch.name, 0)]
    through = {batch.name for batch in whole} - {batch.name for batch in lost}
    incomplete = frozenset(name for name in through if held[name].without_vector)
    of = {batch.name: batch.content_version for batch in versions}
    unknown = {
        name: each._replace(content=of[name]) if each.version == wanted[name] else each
        for name, each in unknown.items()
    }
    return BatchPlan(
        batches=list(versions),
        versions=wanted,
        held=held,
        unknown=unknown,
        stale=[batch for batch in versions if batch.name not in through or batch.name in incomplete],
        incomplete=incomplete,
        lost=lost,
    )


def _held(
    store: ParquetStore,
    files: Files,
    names: Sequence[str],
    looks: Mapping[str, str],
    known: Mapping[str, Held],
) -> tuple[dict[str, Held], dict[str, Held]]:
    """What there is of each batch, and of that what had to be read."""
    unread = [name for name in names if name in looks and known.get(name, Held()).look != looks[name]]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE, "footers") as pool:
        said = pool.map(lambda name: said_by(store, files, name, looks[name]), unread)
        read = dict(zip(unread, said, strict=True))
    held = {name: read.get(name) or known.get(name, Held()) if name in looks else Held() for name in names}
    return held, read
