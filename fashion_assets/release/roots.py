"""Where the active sources are: their readers, and the folders their pictures are named relative to.

What belongs here: turning what the register says of a source into its reader. What does not: reading them (`scan`).
"""

import os
from collections.abc import Mapping

import psycopg

from fashion_assets.catalog.listing import PictureFolders
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, open_source
from fashion_assets.warehouse.quarantine import Quarantined
from fashion_assets.warehouse.sources import SourceRecord, active_sources


def active(conn: psycopg.Connection, settings: Settings) -> list[Source]:
    """The readers of the active sources, by name; nothing is opened yet. Raises `SourceError` for one of a kind there is no
    reader for."""
    return [opened(entry, settings) for entry in active_sources(conn)]


def opened(entry: SourceRecord, settings: Settings) -> Source:
    """The reader of a registered source. Raises `SourceError` where there is none of its kind."""
    return open_source(entry.kind, entry.name, entry.location, settings, entry.options)


def picture_folders(conn: psycopg.Connection, settings: Settings) -> dict[str, PictureFolders]:
    """Where the pictures of each active source are at present, by its name."""
    return {source.name: source.picture_folders for source in active(conn, settings)}


def picture_of(held: Quarantined, at: Mapping[str, PictureFolders]) -> str | None:
    """Where a rejected listing's picture is, by the `picture_folders`; None where it has none, or its source is in use no more."""
    folders = at.get(held.source)
    return None if held.image_uri is None or folders is None else folders.path(held.image_uri)


def missing(sources: list[Source]) -> dict[str, str]:
    """Of these, the ones that are not where they are said to be, and where that is."""
    return {source.name: source.root for source in sources if source.root and not os.path.isdir(source.root)}
