"""Which source a command asks for, and what reads it.

What belongs here: from what somebody said to a kind, a location and options. What does not: registering it (`release.scan`), reading it (`sources`),
the options of commands (`cli`).
"""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import psycopg

from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError
from fashion_assets.sources.locations import CATALOGUES, placed, placed_pictures, without_password
from fashion_assets.warehouse.sources import sources


@dataclass(frozen=True)
class Choice:
    """A source somebody asks for."""

    name: str
    kind: str
    location: str
    options: dict[str, Any] | None = None
    """What it is registered with; None: not found out yet, or those it has."""
    mapping: str | None = None
    """Name or file, as it was said."""
    pictures: str | None = None
    said: str = ""
    """How it is read, where that was found out just now."""


def chosen(
    settings: Settings,
    catalog: Path | str | None,
    sample: int | None,
    source: str | None,
    mapping: str | None,
    pictures: str | PathLike[str] | None,
) -> Choice | None:
    """The source asked for; None for whatever is active. What reads it is found out later (`found_out`). Raises `SourceError` for a source that
    is none."""
    if source is not None and ":" not in source:
        raise SourceError(
            f"{source!r} names no source. Give its kind and its location: those of a reader of your own, or sample:N."
        )
    if sample is not None:
        return Choice("sample", "sample", str(sample))
    where = source if source is not None else catalog
    if where is None:
        return None
    kind, location = placed(str(where))
    name = "sample" if kind == "sample" else settings.source_name
    where = None if pictures is None else placed_pictures(pictures)
    return Choice(name, kind, location, mapping=mapping, pictures=where)


def found_out(settings: Settings, choice: Choice, conn: psycopg.Connection | None = None) -> Choice:
    """The choice with what reads it: as it is registered, or the mapping that fits what is there. Raises `SourceError` where none does."""
    if choice.kind not in CATALOGUES or choice.options is not None:
        return choice
    known = None
    if conn is not None and choice.mapping is None and choice.pictures is None:
        known = next((each for each in sources(conn) if each.name == choice.name), None)
    if known is not None and known.kind in CATALOGUES and known.location == choice.location:
        return replace(choice, kind=known.kind, options=known.said)
    # Here: a run with nothing to do has no need of it.
    from fashion_assets.sources.recognition import recognise

    recognised = recognise(
        choice.location, mapping=choice.mapping, pictures=choice.pictures, home=settings.home
    )
    kind, location, options = recognised.as_source(choice.pictures)
    if known is not None and (known.kind, known.location) == (kind, location):
        options = known.said  # a proposal stays what it was
    said = ""
    if kind != "folder":
        said = f"{location} is read by the mapping {recognised.mapping.name}: {recognised.reason}"
    if recognised.proposed:
        unsure = f". Not sure of it: {'; '.join(recognised.notes)}" if recognised.notes else ""
        said += f"{unsure}. Look at it: fashion-assets sources inspect {location}"
    return replace(choice, kind=kind, location=location, options=options, said=without_password(said))
