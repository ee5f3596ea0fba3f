"""What was unpacked, kept for as long as the process lives: entries by their number in a temporary file that has no name.

What belongs here: keeping and finding bytes. What does not: what they are.
"""

import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator


class Spool:
    """Entries in ascending order of their numbers, written once, then read in any order. 16 bytes of memory each; their bytes lie where
    the platform has temporary files, and are gone with the spool, whatever ends the process. Read by several threads at once."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115 (as long as the spool)
        self._numbers, self._ends, self._end = array("Q"), array("Q"), 0

    def __len__(self) -> int:
        return len(self._numbers)

    def append(self, number: int, entry: bytes) -> None:
        """Keep an entry. `number` is greater than that of the one before."""
        self._file.write(entry)
        self._end += len(entry)
        self._numbers.append(number)
        self._ends.append(self._end)

    def written(self) -> None:
        """Nothing more is kept."""
        self._file.flush()

    def find(self, number: int) -> bytes | None:
        """The entry of this number; None where there is none."""
        place = bisect_left(self._numbers, number)
        return self._at(place) if place < len(self) and self._numbers[place] == number else None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for place, number in enumerate(self._numbers):
            yield number, self._at(place)

    def _at(self, place: int) -> bytes:
        begin = self._ends[place - 1] if place else 0
        return os.pread(self._file.fileno(), self._ends[place] - begin, begin)
