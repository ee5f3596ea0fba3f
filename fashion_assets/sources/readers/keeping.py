"""What readers leave open for the next ones: a scan reads one table of a database after the other.

What belongs here: until when. What does not: connections (`databases`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ends: dict[Callable[[], None], None] | None = None


@contextmanager
def kept() -> Iterator[None]:
    """What is let go of meanwhile stays until the end."""
    global _ends
    if _ends is not None:
        yield
        return
    _ends = {}
    try:
        yield
    finally:
        ends, _ends = _ends, None
        for end in ends:
            end()


def let_go(end: Callable[[], None]) -> None:
    """End something now, or once where nothing is kept any more."""
    if _ends is None:
        end()
    else:
        _ends[end] = None
