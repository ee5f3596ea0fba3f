"""What an engine keeps of searches, so that the next one need not find it out: up to so many values, and so many bytes.

What belongs here: the bounds. What does not: what is kept.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import wraps
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

import numpy as np

CACHED_BYTES = 32 * 2**20
"""Bytes kept by one cache of what callers ask, with its keys: 65,536 words people type take less. Words may have 2,000 characters, and the
text of a statement many times as many."""

Kept = TypeVar("Kept")


class CacheFigures(NamedTuple):
    """How often something asked for was there."""

    hits: int
    misses: int
    size: int


class Cache(Generic[Kept]):
    """The values used last, up to `size`, and up to `most` bytes with their keys; safe to use from several threads.

    `most` is for what callers send, which is short or long as they please; None: what is kept is the releases' own.
    """

    def __init__(self, size: int, most: int | None = None):
        self._size = size
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._lock = Lock()
        self._hits = self._misses = 0

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The value of the key, made if it is not there; side by side it may be made twice."""
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key][0]
            self._misses += 1
        value = make()
        self.put(key, value)
        return value

    def put(self, key: Hashable, value: Kept) -> None:
        """Keep a value, unless it alone is too large."""
        taken = 0 if self._most is None else bytes_of((key, value))
        with self._lock:
            self._forget(key)
            if self._most is not None and taken > self._most:
                return
            self._kept[key] = value, taken
            self._bytes += taken
            while len(self._kept) > self._size or (self._most is not None and self._bytes > self._most):
                self._bytes -= self._kept.popitem(last=False)[1][1]

    def peek(self, key: Hashable) -> Kept | None:
        """The value, if it is there."""
        with self._lock:
            found = self._kept.get(key)
            return None if found is None else found[0]

    def drop(self, key: Hashable) -> None:
        """Forget a value, if it is there."""
        with self._lock:
            self._forget(key)

    def _forget(self, key: Hashable) -> None:
        found = self._kept.pop(key, None)
        self._bytes -= 0 if found is None else found[1]

    def figures(self) -> CacheFigures:
        """Since the cache was made."""
        with self._lock:
            return CacheFigures(self._hits, self._misses, len(self._kept))


def bytes_of(what: object) -> int:
    """Bytes that a key or a value takes, with all that is in it; what is in it twice counts twice."""
    own = sys.getsizeof(what)
    if isinstance(what, np.ndarray):
        return own if what.base is None else own + what.nbytes
    if isinstance(what, Mapping):
        return own + sum(bytes_of(key) + bytes_of(value) for key, value in what.items())
    if isinstance(what, tuple | list | frozenset | set):
        return own + sum(map(bytes_of, what))
    return own + bytes_of(vars(what)) if hasattr(what, "__dict__") else own


def remembered(size: int, most: int = CACHED_BYTES) -> Callable[[Callable[..., Kept]], Callable[..., Kept]]:
    """A function that keeps what it made of its arguments, as `lru_cache` does, up to `most` bytes with them."""

    def of(make: Callable[..., Kept]) -> Callable[..., Kept]:
        cache: Cache[Kept] = Cache(size, most)

        @wraps(make)
        def kept(*asked: Hashable) -> Kept:
            return cache.get(asked, lambda: make(*asked))

        kept.figures = cache.figures  # type: ignore[attr-defined]
        return kept

    return of
