"""Where listings come from: one reader for each old system, behind one interface.

| kind | reader | what it reads | location |
|---|---|---|---|
| `folder` | `folder.Folder` | `styles.csv` + `images/`, the public Fashion Product Images layout | the folder
|
| `sample` | `sample.Sample` | a catalogue drawn by `drawing`, with known defects | `SIZE` or `SIZE:SEED` |

What belongs here: reading. What does not: judging what was read (`catalog.validation`), keeping it
(`warehouse`).
"""

from pathlib import Path

from fashion_assets.settings import Settings, require_utf8
from fashion_assets.sources.source import Source, SourceError


def open_source(kind: str, name: str, location: str, settings: Settings) -> Source:
    """The source called `name`, read by the reader `kind` at `location` (see the table above).

    Nothing is opened yet. Raises SourceError for an unknown kind or a location that makes no sense to the
    reader.
    """
    if kind == "folder":
        from fashion_assets.sources.folder import Folder

        try:
            require_utf8(Path(location))
        except ValueError as error:
            raise SourceError(str(error)) from None
        return Folder(name, Path(location), settings.max_image_bytes)
    if kind == "sample":
        from fashion_assets.sources.sample import Sample, parse_location

        size, seed = parse_location(location)
        return Sample(
            settings.home / "samples",
            size=size,
            seed=seed,
            name=name,
            max_image_bytes=settings.max_image_bytes,
        )
    raise SourceError(f"There is no reader for sources of kind {kind!r}: use 'folder' or 'sample'.")


__all__ = ["Source", "SourceError", "open_source"]
