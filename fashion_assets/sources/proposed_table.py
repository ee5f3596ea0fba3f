"""Which table of a database a mapping is proposed for.

What belongs here: which tables are looked at, and which of them says most of listings. What does not: the mapping of a table (`proposal`), what a
database is asked (`readers.databases`).
"""

from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import exc

from fashion_assets.sources.proposal import Proposal, propose
from fashion_assets.sources.readers import databases
from fashion_assets.sources.source import SourceError

LOOKED_AT = 50
"""Tables whose rows are read: one without a schema first, as those of the search path are called."""

OURS = ("fashion_ops.", "fashion_backfill.")
"""Begin the names of tables in which an installation of this program keeps its own things."""


class _Said(NamedTuple):
    """What a table says of listings, the most first."""

    lacks: int
    """Attributes, less than none."""
    is_elsewhere: bool
    """Whether it is in another schema than those of the search path."""
    rows: int
    """Of those that were read, less than none: a copy kept for a few rows comes after what it is of."""
    table: str


def propose_for_database(location: str, pictures: str | None) -> Proposal:
    """A mapping for the table of a database that says most of listings; what else could have been meant is told. Raises SourceError."""
    place = databases.told(location)
    engine = databases.engine(location)
    try:
        with engine.connect() as connection:
            tables = databases.tables(connection)
    except exc.SQLAlchemyError as error:
        raise databases.explained(error, place) from error
    finally:
        engine.dispose()
    tables = sorted(
        (table for table in tables if not table.startswith(OURS)), key=lambda table: ("." in table, table)
    )
    if databases.SEARCH_PATH in databases.url(location).query:
        # Who states where tables are looked for means those that are there.
        tables = [table for table in tables if "." not in table] or tables
    found: list[tuple[_Said, Proposal]] = []
    for table in tables[:LOOKED_AT]:
        try:
            proposal = propose(location, "sql", pictures, {"table": table})
        except SourceError:
            continue
        found.append(
            (_Said(-len(proposal.mapping.attributes), "." in table, -proposal.rows, table), proposal)
        )
    if not found:
        raise SourceError(
            f"{place} has no table that could be a catalogue, but {', '.join(tables[:10]) or 'no table at all'}. Name the table in a "
            "mapping (--mapping FILE)."
        )
    (best, proposal), *others = sorted(found, key=lambda each: each[0])
    return replace(proposal, notes=(_told(best, [said for said, _ in others], len(tables)), *proposal.notes))


def _told(best: _Said, others: list[_Said], tables: int) -> str:
    """Which table is read, and what else could be."""
    told = f"the table {best.table} is read" + (f", of {tables}" if tables > 1 else "")
    alike = [other.table for other in others if other.lacks == best.lacks]
    if alike:
        more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
        told += f"; {', '.join(alike[:3])}{more} could be as well"
    if tables > LOOKED_AT:
        told += f"; {tables - LOOKED_AT} were not looked at"
    return told + (": name another one in a mapping (--mapping FILE)" if tables > 1 else "")
