"""Which rows of a file nobody has mapped go on with a row before them: variants and further properties of one product.

What belongs here: telling them by the first rows, and the `group` of a mapping that puts them together. What does not: which column is which
attribute (`sources.column_matching`), putting rows together (`sources.records`).

Such a row repeats what its product is known by and says little else, or does not even repeat that, or says itself that it is a variant.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fashion_assets.sources.columns import Columns, is_called, names_of, synonyms
from fashion_assets.sources.expressions import as_text, states
from fashion_assets.sources.mapping_expression import Condition, Expression
from fashion_assets.sources.readers.reader import Row
from fashion_assets.sources.records import grouped

Values = Mapping[str, Any]

OF_ID = "id:"
"""What WooCommerce puts before the id of a product that is named by it."""

_ID = re.compile(r"(?:^|[^A-Za-z])(?i:ids?|handle|skus?|ref|nr|no|code|slug|url|key)(?:$|[^A-Za-z])|I[Dd]$")

LITTLE = 0.5
"""Share of the columns a product's first row states that its further rows state at most, where only that tells them."""
NEARLY = 0.98


class Further(NamedTuple):
    """How rows go together."""

    group: Expression
    continued: bool


def further_rows(names: Sequence[str], rows: Sequence[Values]) -> Further | None:
    """How the rows of a file go together; None where each is a listing."""
    if len(rows) < 2:
        return None
    return _by_kind(names, rows) or _by_what_is_missing(names, rows)


def together(further: Further, rows: Sequence[Values]) -> list[dict[str, Any]]:
    """The records of rows, each with what its rows state first."""
    from fashion_assets.sources.expressions import Compiler  # here: few files have such rows

    columns = Columns(list(dict.fromkeys(name for row in rows for name in row)))
    keys = Compiler(columns).compile(further.group)
    merged = []
    for record in grouped([Row("", "", row) for row in rows], keys, continued=further.continued):
        values: dict[str, Any] = {}
        for row in record.rows:
            for name, value in row.values.items():
                if name not in values or (not _said(values[name]) and _said(value)):
                    values[name] = value
        merged.append(values)
    return merged


def _by_kind(names: Sequence[str], rows: Sequence[Values]) -> Further | None:
    """By a column that says what kind of row each is."""
    further_kinds = names_of("further")
    all_kinds = {"", *names_of("kinds"), *further_kinds}
    for name in names:
        kinds = [_said(row.get(name)).casefold() for row in rows]
        known = sum(kind in all_kinds for kind in kinds)
        if known < NEARLY * len(rows) or kinds[0] in further_kinds or set(kinds).isdisjoint(further_kinds):
            continue
        own = [row for row, kind in zip(rows, kinds, strict=True) if kind not in further_kinds]
        rest = [row for row, kind in zip(rows, kinds, strict=True) if kind in further_kinds]
        words = tuple(sorted(further_kinds))
        first, further = Condition(column=name, but=words), Condition(column=name, among=words)
        for parent in (each for each in names if is_called(each, "parents")):
            named = {_said(row.get(parent)).removeprefix(OF_ID) for row in rest}
            shared = [] if "" in named else [
                each for each in names if each not in (parent, name) and named <= {_said(row.get(each)) for row in own}
            ]  # fmt: skip
            if not shared:
                return None  # which product is meant is said, and is not there
            by = Expression(
                first=(Expression(column=parent, prefix=(OF_ID,)), Expression(column=parent)), when=further
            )
            return Further(Expression(all=(Expression(column=shared[0], when=first), by)), False)
        identity = _identity([each for each in names if each != name], own)
        return None if identity is None else Further(Expression(column=identity, when=first), True)
    return None


def _by_what_is_missing(names: Sequence[str], rows: Sequence[Values]) -> Further | None:
    """By what further rows do not state: the title, and most else."""
    title = next((each for name in synonyms()["title"] if (each := Columns(names).find(name))), None)
    if title is None or not _said(rows[0].get(title)):
        return None
    own = [row for row in rows if _said(row.get(title))]
    rest = [row for row in rows if not _said(row.get(title))]
    if not rest or _stated(rest) > LITTLE * _stated(own):
        return None
    others = [name for name in names if name != title]
    if (identity := _identity([name for name in others if _is_shared(name, title, rows)], own)) is not None:
        return Further(Expression(column=identity), False)
    blank = [name for name in others if not any(_said(row.get(name)) for row in rest)]
    identity = _identity(blank, own)
    return None if identity is None else Further(Expression(column=identity), True)


def _is_shared(name: str, title: str, rows: Sequence[Values]) -> bool:
    """Whether further rows repeat what the row they go on with has here."""
    before = ""
    for row in rows:
        said = _said(row.get(name))
        if _said(row.get(title)):
            before = said
        elif said != before or not said:
            return False
    return True


def _identity(names: Sequence[str], rows: Sequence[Values]) -> str | None:
    """A column that is called as ids are, and is another one in each of these rows; the surest name first."""
    found = []
    for name in names:
        said = [text for row in rows if (text := _said(row.get(name)))]
        if said and len(said) >= NEARLY * len(rows) and len(set(said)) == len(said):
            found.append(name)
    columns = Columns(found)
    ids = (each for name in synonyms()["id"] if (each := columns.find(name)) is not None)
    return next(ids, next(filter(_ID.search, found), None))


def _stated(rows: Sequence[Values]) -> float:
    """Columns a row states, in the mean."""
    return sum(bool(_said(value)) for row in rows for value in row.values()) / len(rows)


def _said(value: Any) -> str:
    text = "" if value is None else as_text(value).strip()
    return text if states(text) else ""
