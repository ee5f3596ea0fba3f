"""Where listings come from: one reader for each old system, behind one interface.

| kind | reader | what it reads | location |
|---|---|---|---|
| `catalogue` | `mapped.Mapped` | a file, a folder or a database, as a mapping says (`mapping`) | path or URL |
| `folder` | `mapped.Mapped` | the same, by the mapping of the public Fashion Product Images layout where the options name none | path |
|
| `sample` | `sample.Sample` | a shop drawn by `drawn`, with known defects | `SIZE` or `SIZE:SEED` |
|  | `sample.SecondHand`, `sample.JsonGarments` | another drawn system | `second-hand` or `garments`, or with `:SIZE` behind |

Another package adds a kind by an entry point of the group `fashion_assets.sources`: its name is the kind, and what it names
is called with the source's name, its location and the settings, and returns a `Source`.

What belongs here: reading. What does not: judging what was read (`catalog.validation`), keeping it
(`warehouse`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fashion_assets.arrow import want_pandas
from fashion_assets.folders import require_utf8
from fashion_assets.settings import Settings
from fashion_assets.sources.source import Source, SourceError

READERS = "fashion_assets.sources"
"""Entry point group of readers that other packages bring."""

Reader = Callable[[str, str, Settings], Source]
"""What such an entry point names: source's name, location and settings to the source, which opens nothing yet. Raises
`SourceError` for a location that makes no sense to it."""


def open_source(
    kind: str, name: str, location: str, settings: Settings, options: Mapping[str, Any] | None = None
) -> Source:
    """The source called `name`, read by the reader `kind` at `location` (see the table above). `options` are those the register
    keeps with it: its mapping, what its last scan found (`Source.found`).

    Nothing is opened yet. Raises SourceError for an unknown kind or a location that makes no sense to the
    reader.
    """
    options = options or {}
    if kind in ("catalogue", "folder"):
        from fashion_assets.sources.known_mappings import PUBLIC, kept
        from fashion_assets.sources.mapped import Mapped
        from fashion_assets.sources.picture_cache import PictureCache

        try:
            require_utf8(Path(location))
        except ValueError as error:
            raise SourceError(str(error)) from None
        return Mapped(
            name,
            location,
            kept(options.get("mapping", PUBLIC)),
            pictures=options.get("pictures"),
            found=options.get("found"),
            fetched=PictureCache(settings.picture_cache),
            max_image_bytes=settings.max_image_bytes,
        )
    if kind == "sample":
        from fashion_assets.sources.sample import open_sample

        return open_sample(name, location, settings, options.get("found"))
    return _brought(kind)(name, location, settings)


def _brought(kind: str) -> Reader:
    """The reader of this kind that another package brings. Raises SourceError."""
    from importlib.metadata import entry_points  # here: a catalogue in a folder has no need of it

    offered = entry_points(group=READERS)
    try:
        found = offered[kind]
    except KeyError:
        known = ", ".join(sorted({"catalogue", "folder", "sample", *offered.names}))
        raise SourceError(
            f"There is no reader for sources of kind {kind!r}, only for {known}. A package brings one by an entry point of the "
            f"group {READERS}: install it where this runs."
        ) from None
    want_pandas()
    try:
        return found.load()
    except (ImportError, AttributeError) as error:
        raise SourceError(
            f"The reader for sources of kind {kind!r} ({found.value}) cannot be loaded: {error}. Mend or reinstall its package."
        ) from error


__all__ = ["READERS", "Reader", "Source", "SourceError", "open_source"]
