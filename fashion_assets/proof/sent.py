"""Queries as people send them, and how often: what was counted of searches, read from a file, or the list that comes with the package.

What belongs here: reading them, counting equal ones, the most frequent first. What does not: asking them (`shadow`), what they should find
(`benchmarks.relevance`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fashion_assets.benchmarks.relevance import load_queries
from fashion_assets.errors import FashionAssetsError
from fashion_assets.search.filters import SearchError, as_filters, parse_filters
from fashion_assets.search.query import Mode, Query
from fashion_assets.warehouse import searches

MOST = 200
"""Queries that are asked where nobody says how many, the most frequent first: on two cores some seconds."""

DISTINCT = 500_000
"""Different queries that are counted of a file; of a longer one those that come first."""


ENOUGH = 20
"""Different words counted of people's searches from which they are asked rather than the package's list."""

DAYS = 30
"""So many days of searches count."""


class QueriesError(FashionAssetsError):
    """A file of queries that cannot be read; the message says which line, and what is wrong with it."""


@dataclass(frozen=True)
class Sent:
    """A query, and how often it was sent."""

    query: Query
    label: str
    """As people read it: its words, then what it avoids and is narrowed by."""
    times: int = 1


class _Line(BaseModel):
    """A query as a line of JSON has it."""

    model_config = ConfigDict(extra="forbid")

    words: str = ""
    avoid: str = ""
    product: str | None = None
    filters: list[str] | dict[str, Any] = Field(default_factory=list)
    mode: Mode = "hybrid"
    times: Annotated[int, Field(ge=1)] = 1


def of_package(most: int = MOST) -> list[Sent]:
    """The queries that come with the package, each as often as the next; at most so many, some of every kind."""
    words = [each.words for each in load_queries()]
    if len(words) > most:
        # They stand by their kinds.
        words = [words[place * len(words) // most] for place in range(most)]
    return [Sent(Query(words=each), each) for each in words]


def kept(conn: psycopg.Connection[Any], most: int = MOST) -> list[Sent]:
    """The words people searched for in the last days, as counted (`warehouse.searches`), the most frequent first; none where they are too few to
    judge by."""
    counted = searches.asked(conn, days=DAYS, limit=max(most, ENOUGH))
    if len(counted) < ENOUGH:
        return []
    return [Sent(Query(words=each.words), each.words, each.searches) for each in counted[:most]]


def usual(conn: psycopg.Connection[Any], most: int = MOST) -> tuple[list[Sent], str]:
    """What is asked where nobody names a file, and where it is from, in words: what people searched for, else the package's list."""
    if own := kept(conn, most):
        return own, f"what people searched for in the last {DAYS} days"
    return of_package(most), "the list that comes with the package"


def read(file: Path, most: int = MOST) -> list[Sent]:
    """The queries of a file, the most frequent first, at most so many.

    One query a line: its words, or a JSON object of any of `words`, `avoid`, `product` (an id), `filters` (an object, or a list of
    `name=value`), `mode` and `times`. A query that stands there several times was sent as often. Read line by line: a log may be larger than memory.

    Raises `QueriesError`, `OSError`.
    """
    with file.open(encoding="utf-8-sig", errors="strict", newline=None) as lines:
        try:
            found = _counted(lines, str(file))
        except UnicodeDecodeError as error:
            raise QueriesError(f"{file} is not in UTF-8 ({error.reason} at byte {error.start:,})") from error
    if not found:
        raise QueriesError(f"{file} has no query: one a line, its words or a JSON object")
    return sorted(found, key=lambda sent: -sent.times)[:most]


def _counted(lines: Iterable[str], file: str) -> list[Sent]:
    counts: dict[str, int] = {}
    for number, text, times in _texts(lines, file):
        if text in counts or len(counts) < DISTINCT:
            if text not in counts:
                _sent(text, 1, f"{file}, line {number:,}")  # what is wrong is said with its line
            counts[text] = counts.get(text, 0) + times
    return [_sent(text, times, file) for text, times in counts.items()]


def _texts(lines: Iterable[str], file: str) -> Iterator[tuple[int, str, int]]:
    """Of each line its number, its query as a text that equal ones share, and how often it was sent."""
    for number, line in enumerate(lines, 1):
        text = " ".join(line.split())
        if text.startswith("{"):
            try:
                stated = json.loads(text)
                times = stated.pop("times", 1)
            except ValueError as error:
                raise QueriesError(f"{file}, line {number:,} is no JSON object: {error}") from error
            if type(times) is not int or times < 1:
                raise QueriesError(f"{file}, line {number:,}: times is {times!r}; it must be 1 or more")
            yield number, json.dumps(stated, sort_keys=True), times
        elif text:
            yield number, text, 1


def _sent(text: str, times: int, where: str) -> Sent:
    try:
        stated = _Line.model_validate_json(text) if text.startswith("{") else _Line(words=text)
        filters = stated.filters
        query = Query(
            words=stated.words,
            avoid=stated.avoid,
            product=stated.product,
            filters=parse_filters(filters) if isinstance(filters, list) else as_filters(filters),
            mode=stated.mode,
        )
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise QueriesError(f"{where}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from error
    except SearchError as error:
        raise QueriesError(f"{where}: {error}") from error
    if not (query.has_meaning or query.narrowed):
        raise QueriesError(f"{where}: it has neither words nor a product nor filters")
    narrowed = (
        filters if isinstance(filters, list) else [f"{name}={_said(each)}" for name, each in filters.items()]
    )
    label = " · ".join(
        filter(
            None,
            (
                query.words,
                query.avoid and f"not {query.avoid}",
                query.product and f"like {query.product}",
                *narrowed,
                "" if query.mode == "hybrid" else f"{query.mode} only",
            ),
        )
    )
    return Sent(query, label, times)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        low, high = (value.get(bound, "") for bound in ("from", "to"))
        return f"{low}..{high}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
