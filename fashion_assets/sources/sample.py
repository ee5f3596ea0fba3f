"""The drawn sample as a source: drawn when it is first read, then read like any folder.

What belongs here: when and where it is drawn. What does not: drawing (`sources.drawing`), reading
(`sources.mapped`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.profile import Profile
from fashion_assets.sources.drawing import DRAWING_VERSION, Manifest, draw_catalogue
from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.source import DeclaredTable, Source, SourceError


def parse_location(location: str) -> tuple[int, int]:
    """Size and seed of `SIZE` or `SIZE:SEED`. Raises SourceError for anything else."""
    size, _, seed = location.partition(":")
    try:
        numbers = int(size), int(seed or 0)
    except ValueError:
        numbers = 0, 0
    if numbers[0] < 1:
        raise SourceError(
            f"{location!r} is no sample: give its number of listings, as in '400' or '400:7' (size:seed)."
        )
    return numbers


class Sample(Source):
    """A drawn catalogue of `size` listings, kept in a folder of `parent` called after size, seed and
    version."""

    kind: ClassVar[str] = "sample"

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
        self._drawn = False

    def draw(self) -> Manifest:
        """Draw the catalogue if it is not there, and say what is in it."""
        return draw_catalogue(self.folder, self.size, self.seed, self.progress)

    @property
    def reader(self) -> Mapped:
        """The reader of the drawn folder; draws it the first time."""
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
    def version(self) -> str:
        return self._reader.version

    @property
    def found(self) -> Mapping[str, object]:
        return self._reader.found

    def tables(self) -> Sequence[DeclaredTable]:
        return self._reader.tables()

    def scan(self) -> Iterator[pa.Table]:
        return self.reader.scan()

    def fingerprints(self, references: pa.Table) -> list[str]:
        return self.reader.fingerprints(references)

    def read(self, references: pa.Table) -> pa.Table:
        return self.reader.read(references)
