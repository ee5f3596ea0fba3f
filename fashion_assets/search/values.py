"""Values of filters held against a release: which of them no product has, and what was likely meant.

What belongs here: asking a release for values its sample lacks, what is kept of its answers, and what to tell. What does
not: reading filters (`filters`), unknown words (`understanding`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from psycopg import sql
from rapidfuzz import fuzz, process, utils

from fashion_assets.search import spoken, statements
from fashion_assets.search.filters import COLUMNS, AnyOf, Filter, Holds, contradictions
from fashion_assets.search.kept import CACHED_BYTES, Cache, remembered
from fashion_assets.search.path import Facts
from fashion_assets.search.reading import Statement
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.work import Compute, Work

MAX_LOOKED_FOR = 20
"""Values of one filter that are looked for; a longer list is a program's, which needs no help with spelling."""

KNOWN_VALUES = 1_000
"""Values of a column a mistyped one is compared with, the most frequent ones."""

KNOWN_ROWS = 200_000
"""Products those are counted over."""

NEAR = 75
"""How like a known value (0 to 100) another one must be to be taken for it, mistyped."""

SHOWN = 3


class FilterValues:
    """The filters of all searches of one engine: which values each release has, found out once."""

    def __init__(self, releases: ServedReleases):
        self._releases = releases
        self._present: Cache[bool] = Cache(65_536, CACHED_BYTES)
        self._known: Cache[Mapping[str, int]] = Cache(64)

    def strange(self, facts: Facts, filters: Sequence[Filter]) -> Work[list[str]]:
        """What to tell of the values that no product of the release has, and of filters that leave nothing to one another."""
        told = contradictions(filters)
        for one in _looked_for(facts, filters):
            if (yield from self._is_present(facts, one)):
                continue
            if isinstance(one, Holds):
                told.append((yield Compute(partial(_told_of_key, facts, one))))
                continue
            known = yield from self.known(facts, one.column)
            said = _no_product_has(one.column, one.values[0])
            told.append((yield Compute(partial(_told, said, one.values[0], known))))
        return told

    def _is_present(self, facts: Facts, one: Filter) -> Work[bool]:
        if facts.meeting([one]).any():
            return True
        if facts.products <= len(facts.sample.rows):
            return False
        key = facts.release, one
        present = self._present.peek(key)
        if present is None:
            statement = Statement(_exists(facts.release, one.shape), statements.filter_parameters([one]))
            (((present,),),) = yield from self._releases.read(facts, [statement], {"enable_seqscan": "off"})
            self._present.put(key, present)
        return present

    def known(self, facts: Facts, column: str) -> Work[Mapping[str, int]]:
        """The most frequent values of a column, with how many products have each."""
        known = self._known.peek((facts.release, column))
        if known is None:
            text = statements.facet(facts.release, column, ())
            (rows,) = yield from self._releases.read(
                facts, [Statement(text, {"rows": KNOWN_ROWS, "values": KNOWN_VALUES})]
            )
            known = dict(rows)
            self._known.put((facts.release, column), known)
        return known


def _looked_for(facts: Facts, filters: Sequence[Filter]) -> Iterator[AnyOf | Holds]:
    """The filters, one for each value that is looked for. Not ranges, nor columns without an index: looking there would be a
    walk through every product."""
    for each in filters:
        if isinstance(each, AnyOf) and COLUMNS[each.column] == "text" and each.column in facts.indexed:
            yield from (AnyOf(each.column, (value,)) for value in each.values[:MAX_LOOKED_FOR])
        elif (
            isinstance(each, Holds)
            and "normalized" in facts.indexed
            and 0 < len(each.values) <= MAX_LOOKED_FOR
        ):
            yield each


@remembered(1_024)
def _exists(schema: str, shape: tuple) -> bytes:
    """The text of the statement that says whether any product meets a filter."""
    (where,) = statements.conditions((shape,))
    found = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(statements.table(schema), where)
    return found.as_bytes(None)


def _told(said: str, value: object, known: Mapping[str, int]) -> str:
    """`said`, and which value was meant, or which there are; `known` has products by value."""
    names = list(known)
    meant = spoken.meaning(str(value)[:80])
    if meant is not None and spoken.in_english(meant.value) in known:
        return f"{said}; did you mean {spoken.in_english(meant.value)}?"
    near = process.extract(
        str(value),
        names,
        scorer=fuzz.WRatio,
        processor=utils.default_process,
        score_cutoff=NEAR,
        limit=SHOWN,
    )
    if near:
        return f"{said}; did you mean {' or '.join(name for name, _, _ in near)}?"
    most = sorted(names, key=lambda name: -known[name])[: 2 * SHOWN]
    others = " and others" if len(names) > len(most) else ""
    return f"{said}; there are {', '.join(most)}{others}" if most else said


def _no_product_has(name: str, value: object) -> str:
    return f"no product has {name} {str(value)[:80]!r}"


def _told_of_key(facts: Facts, held: Holds) -> str:
    """The same of a value of the `normalized` object, or of its key, where no product of the sample has that."""
    rows = [row["normalized"] for row in facts.sample.rows]
    if any(held.key in row for row in rows):
        values = Counter(str(value) for row in rows for value in _listed(row.get(held.key)))
        return _told(_no_product_has(held.name, held.values[0]), held.values[0], values)
    return _told(f"no product has any {held.name}", held.key, Counter(key for row in rows for key in row))


def _listed(value: object) -> Iterator[object]:
    yield from value if isinstance(value, list) else [] if value is None else [value]
