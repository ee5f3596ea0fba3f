"""The drawn sample as sources: each old system is drawn when it is first read, then read as any of its kind is.

What belongs here: which parts there are, where and when they are drawn. What does not: drawing (`sources.drawn`), reading
(`sources.mapped`).
"""

import os
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.profile import Profile
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn import old_schemas
from fashion_assets.sources.drawn.shop import DRAWING_VERSION, Manifest, draw_catalogue
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.source import DeclaredTable, Source, SourceError

SHOP, SECOND_HAND, GARMENTS = PARTS = ("shop", "second-hand", "garments")

SYSTEMS_VERSION = "1"
"""Changes whenever a second-hand database or garments of the same size would be drawn otherwise."""


class Part(NamedTuple):
    """What of the sample a source is."""

    part: str
    size: int
    seed: int = 0


SIZES = {SHOP: 1000, SECOND_HAND: 600, GARMENTS: 200}
"""How many listings each part has where nobody says."""

WHOLE = {"sample": str(SIZES[SHOP]), "second_hand": SECOND_HAND, "garments": GARMENTS}
"""Sources of the whole sample by name, and where each is (`parse_location`)."""


def parse_location(location: str) -> Part:
    """What a location says: `SIZE` or `SIZE:SEED` is a shop, `PART` or `PART:SIZE` any of `PARTS`. Raises SourceError for anything else."""
    first, _, rest = location.partition(":")
    try:
        if first in PARTS:
            found = Part(first, int(rest) if rest else SIZES[first])
        else:
            found = Part(SHOP, int(first), int(rest or 0))
    except ValueError:
        found = Part(SHOP, 0)
    if found.size < 1:
        raise SourceError(
            f"{location!r} is no sample: give a shop's number of listings, as in '400' or '400:7' (size:seed), or "
            f"{' or '.join(PARTS[1:])}, with a number behind a colon or without."
        )
    return found


def open_sample(
    name: str, location: str, settings: Settings, found: Mapping[str, Any] | None = None
) -> "Drawn":
    """The part of the sample at a location. Nothing is drawn yet. Raises SourceError."""
    part, size, seed = parse_location(location)
    parent = settings.home / "samples"
    most = settings.max_image_bytes
    if part == SECOND_HAND:
        return SecondHand(settings, size=size, name=name, found=found, max_image_bytes=most)
    if part == GARMENTS:
        return JsonGarments(parent, size=size, name=name, found=found, max_image_bytes=most)
    return Sample(parent, size=size, seed=seed, name=name, found=found, max_image_bytes=most)


class Drawn(Source):
    """A part of the sample: drawn the first time it is read."""

    kind: ClassVar[str] = "sample"
    name: str
    _reader: Mapped
    _drawn = False

    @abstractmethod
    def draw(self) -> object:
        """Draw it if it is not there."""

    @property
    def reader(self) -> Mapped:
        """The reader of what was drawn; draws it the first time."""
        if not self._drawn:
            self.draw()
            self._drawn = True
        return self._reader

    @property
    def root(self) -> str:
        return self._reader.root

    @property
    def profile(self) -> Profile:
        return self._reader.profile

    @property
    def dimensions(self) -> Mapping[str, int]:
        return self._reader.dimensions

    @property
    def stories(self) -> bool:
        return self._reader.stories

    @property
    def version(self) -> str:
        return self._reader.version

    @property
    def found(self) -> Mapping[str, object]:
        return self._reader.found

    @property
    def left_out(self) -> Mapping[str, int]:
        return self._reader.left_out

    def tables(self) -> Sequence[DeclaredTable]:
        return self._reader.tables()

    def scan(self) -> Iterator[pa.Table]:
        return self.reader.scan()

    def fingerprints(self, references: pa.Table) -> list[str]:
        return self.reader.fingerprints(references)

    def read(self, references: pa.Table) -> pa.Table:
        return self.reader.read(references)


class Sample(Drawn):
    """A drawn catalogue of `size` listings, kept in a folder of `parent` called after size, seed and
    version."""

    def __init__(
        self,
        parent: Path,
        *,
        size: int,
        seed: int = 0,
        name: str = "sample",
        progress: Callable[[int, int], None] | None = None,
        found: Mapping[str, Any] | None = None,
        max_image_bytes: int = Limits.max_bytes,
    ) -> None:
        self.name = name
        self.size = size
        self.seed = seed
        self.folder = Path(parent) / f"sample-{size}-{seed}-v{DRAWING_VERSION}"
        self.progress = progress
        self._reader = Mapped(
            name, self.folder, load_mapping(PUBLIC), found=found, max_image_bytes=max_image_bytes
        )

    def draw(self) -> Manifest:
        """Draw the catalogue if it is not there, and say what is in it."""
        return draw_catalogue(self.folder, self.size, self.seed, self.progress)


class SecondHand(Drawn):
    """A second-hand shop's database of `size` items, in a schema of the installation's own database. A tenth as many people stand beside
    them."""

    def __init__(
        self,
        settings: Settings,
        *,
        size: int,
        name: str = "second_hand",
        found: Mapping[str, Any] | None = None,
        max_image_bytes: int = Limits.max_bytes,
    ) -> None:
        self.name = name
        self.size = size
        self.schema = f"sample_second_hand_{size}"
        self._settings = settings
        self._reader = Mapped(
            name,
            old_schemas.url(settings, self.schema),
            load_mapping("second-hand"),
            found=found,
            max_image_bytes=max_image_bytes,
        )

    def draw(self) -> None:
        from fashion_assets.sources.drawn import second_hand

        def fill(connection: Any) -> None:
            items = second_hand.sample_items(self.size)
            second_hand.build(
                connection, items, vectors=second_hand.looks(items), crowd=max(3, self.size // 10)
            )

        said = f"second-hand shop, {self.size} items, version {SYSTEMS_VERSION}"
        old_schemas.draw(self._settings, self.schema, said, fill)


class JsonGarments(Drawn):
    """Garments with JSON vectors in a SQLite file, `size` of them, with their pictures beside it, in a folder of `parent`."""

    def __init__(
        self,
        parent: Path,
        *,
        size: int,
        name: str = "garments",
        found: Mapping[str, Any] | None = None,
        max_image_bytes: int = Limits.max_bytes,
    ) -> None:
        self.name = name
        self.size = size
        self.folder = Path(parent) / f"garments-{size}-v{SYSTEMS_VERSION}"
        self._reader = Mapped(
            name,
            self.folder / "garments.db",
            load_mapping("garment-vectors"),
            pictures=self.folder / "images",
            found=found,
            max_image_bytes=max_image_bytes,
        )

    def draw(self) -> None:
        if self.folder.exists():
            return
        from fashion_assets.sources.drawn import json_garments

        aside = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.drawing")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            (aside / "images").mkdir(parents=True)
            garments = json_garments.drawn_garments(self.size)
            json_garments.build(f"sqlite:///{aside / 'garments.db'}", garments, beside=True)
            json_garments.draw_pictures(aside / "images", garments)
            try:
                aside.rename(self.folder)
            except OSError:
                if not self.folder.exists():  # else another process drew the same at the same time
                    raise
        except OSError as error:
            raise SourceError(
                f"The sample cannot be drawn into {self.folder}: {error}. Give a folder that can be written."
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
