"""What a search asks for while it goes: something to read, or something to compute.

What belongs here: the steps a generator yields, and the type of such a generator. What does not: the generators
(`answering`, `people`), carrying the steps out (`engine`).
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fashion_assets.search.reading import Statement


@dataclass(frozen=True)
class Read:
    """Statements to run in one read-only transaction, under these settings; answered by the rows of each."""

    statements: Sequence[Statement]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Compute:
    """Something to compute; answered by what it gives."""

    make: Callable[[], Any]


Answer = TypeVar("Answer")
Work = Generator[Read | Compute, Any, Answer]
