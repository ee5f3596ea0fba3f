"""Details of a listing in a file of its own beside the listings': `styles/15970.json`.

What belongs here: finding and reading such a file, inside the catalogue's folder. What does not: what is in it (`sources.mapping`).
"""

import json
import os
import stat
from typing import Any, NamedTuple

from fashion_assets.sources.mapping import Details
from fashion_assets.sources.picture_files import PictureFiles
from fashion_assets.sources.records import Record

MOST_BYTES = 1 << 24
"""Of a file of details. What is larger is none."""


class DetailFiles:
    """The files of details of one source, in its folder `root`, links resolved."""

    def __init__(self, root: str, details: Details) -> None:
        self.details = details
        folder = details.file.partition("{id}")[0].rpartition("/")[0]
        self.there = os.path.isdir(os.path.join(root, folder)) if root else False
        """Whether there are any at all."""
        self._files = PictureFiles(root, ())

    def stamp(self, identity: str | None) -> str:
        """Another one whenever the details of a listing may have changed; empty where it has none."""
        found = self._place(identity)
        return f"{found.status.st_size:x}-{found.status.st_mtime_ns:x}" if found else ""

    def of(self, record: Record, identity: str | None) -> Record:
        """The record with its details in its first row, under the name the mapping gives them; as it is where it has none. A file
        that is no JSON is kept as text."""
        found = None if record.defect else self._place(identity)
        if found is None:
            return record
        try:
            with open(found.path, "rb") as file:
                raw = file.read(MOST_BYTES)
        except OSError:
            return record
        held: Any
        try:
            held = json.loads(raw)
        except (ValueError, RecursionError):
            held = raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        first, *further = record.rows
        return Record((first._replace(values={**first.values, self.details.name: held}), *further))

    def _place(self, identity: str | None) -> "_Place | None":
        if not self.there or identity is None:
            return None
        found = self._files.exactly(self.details.file.replace("{id}", identity))
        if found.path is None or found.status is None or not stat.S_ISREG(found.status.st_mode):
            return None
        return _Place(found.path, found.status) if found.status.st_size <= MOST_BYTES else None


class _Place(NamedTuple):
    path: str
    status: os.stat_result
