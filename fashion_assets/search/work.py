"""What a search asks for while it goes: something to read, to compute, to be done once for all, or beside.

What belongs here: the steps a generator yields, and the type of such a generator. What does not: the generators
(`answering`, `people`), carrying the steps out (`engine`).
"""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fashion_assets.search.reading import Meanwhile, Statement, nothing


@dataclass(frozen=True)
class Read:
    """Statements to run in one read-only transaction, under these settings; answered by the rows of each."""

    statements: Sequence[Statement]
    settings: Mapping[str, str]
    meanwhile: Meanwhile = nothing
    """What is done once they are sent, before their rows are waited for."""


@dataclass(frozen=True)
class Compute:
    """Something to compute; answered by what it gives."""

    make: Callable[[], Any]


@dataclass(frozen=True)
class Once:
    """Work whose outcome is kept: one does it, and others that want the same meanwhile wait for it; answered by what is
    `known`, or by the work's outcome where nothing is."""

    key: Hashable
    known: Callable[[], Any | None]
    work: "Callable[[], Work[Any]]"


@dataclass(frozen=True)
class Beside:
    """Work that is done beside, and waited for so long at the most; answered by whether it is done. What it raises is raised here as long as
    it is waited for, and lost later."""

    work: "Callable[[], Work[Any]]"
    seconds: float


Answer = TypeVar("Answer")
Work = Generator[Read | Compute | Once | Beside, Any, Answer]
