"""The one interface of readers by format, and the shape of what they yield.

What belongs here: the interface, and `Row`. What does not: any format, what a row means (`sources.listings`).

A reader streams: its memory does not grow with what it reads. It finds rows again by their locators, in any order, so that a batch
is read without the rest. It loses nothing: what cannot be taken apart is a row with a defect and its text.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable


class Row(NamedTuple):
    """One record of a file or a table."""

    locator: str
    """Where the reader finds it again: byte offset and length, a key. Means nothing elsewhere. No blanks, no `|`."""
    digest: str
    """Cheap; another one whenever the row's content may be another: a hash of its bytes and of the columns' names."""
    values: Mapping[str, Any]
    """By column, as the format gives them: text, or for typed formats numbers, lists, objects, bytes; null is None. Empty where
    the row has a defect."""
    defect: str | None = None
    """A reason of `catalog.rules.RULES` (`unreadable_line`, `wrong_encoding`) where it cannot be taken apart."""
    text: str | None = None
    """Such a row whole, bytes that are no text escaped."""
    line: int | None = None
    """Line it begins in, from 1, in formats that have lines."""


@runtime_checkable
class AsWritten(Protocol):
    """Values of a row that are taken apart when they are asked for, and can be had as they stand."""

    def written(self, name: str) -> Any:
        """The value of a column as it stands; None where there is none."""
        ...


class RowFeed(Protocol):
    """What tells of a table's changes."""

    def poll(self) -> tuple[list[Row], int]:
        """Rows that may be new or changed since the poll before, none at first; and how many rows there are."""
        ...

    def locators(self) -> Iterator[Sequence[str]]:
        """The locators of all rows, some at a time."""
        ...

    def again(self) -> None:
        """Have the next poll tell once more what the last one told."""
        ...

    def notified(self, channel: str, stop: threading.Event) -> Iterator[bool]:
        """As `sources.source.Feed.notified`."""
        ...


class RowReader(ABC):
    """A file or a table, opened for reading. A context manager: whatever is open is closed at its end."""

    format: ClassVar[str]
    """What mappings call it: the reader's module."""

    columns: Sequence[str]
    """Names of the columns as they stand, made unique; of formats without a header those met in the first rows."""

    how: Mapping[str, str]
    """How it is read, for people and for versions: encoding, delimiter, quoting, line ends. The same content read another way has
    another one."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """After `rows`: what stood between them and is no row, by what it is (`repeated headers`), and how often."""
        return {}

    @property
    def notes(self) -> Sequence[str]:
        """After `rows`: what people should know of them, a clause each."""
        return ()

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Every row, in order. Constant memory."""

    @abstractmethod
    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        """The rows of these locators, in their order. Who asks compares the digests: where something else lies there by now, the
        digest is another one, or the row has none. Raises SourceError where it cannot be read at all."""

    def feed(self) -> RowFeed | None:
        """What tells of changes, where the format has such a thing; ends with the reader."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
