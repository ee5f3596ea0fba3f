"""Values that stand beside their names: in lists of objects, in two lists side by side, in numbered columns.

What belongs here: finding such pairs in the first rows of a file nobody has mapped, and the expression that reads each name's value. What does not:
reading them (`sources.expressions`), which attribute a name is (`sources.column_matching`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fashion_assets.sources.columns import folded, is_called, synonyms
from fashion_assets.sources.expressions import as_text, states, texts
from fashion_assets.sources.mapping_expression import Expression, Named
from fashion_assets.sources.nested import opened, pairs_within, ways_in

MOST_NAMES = 200
"""Different names of a file that are columns: more than garments have properties."""

_NUMBER = re.compile(r"\d+")
_VALUE = re.compile(r"(?i)valu|wert|valeur|valor|waarde|värde|wartość|значен")


class Pairs(NamedTuple):
    """One name, its values in the rows, and the expression that reads them."""

    called: str
    values: list[Any]
    origin: Expression


def pairs_of(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[Pairs]:
    """The names that values stand beside in these rows, each once."""
    for where_names, where_values in _lists(rows):
        found: dict[str, list[Any]] = {}
        for row in rows:
            for name, value in pairs_within(row, where_names, where_values):
                if name in found or len(found) < MOST_NAMES:
                    found.setdefault(name, []).append(value)
        for name, values in found.items():
            named = Named(names=where_names, values=where_values, name=(name,))
            yield Pairs(name, values, Expression(named=named))
    for where_names, where_values, numbers in _numbered(names, rows):
        found = {}
        for row in rows:
            for number in numbers:
                name = as_text(row.get(where_names.replace("{n}", number)) or "").strip()
                if states(name) and (name in found or len(found) < MOST_NAMES):
                    found.setdefault(name, []).append(row.get(where_values.replace("{n}", number)))
        for name, values in found.items():
            named = Named(names=where_names, values=where_values, name=(name,))
            split = "," if any("," in as_text(value or "") for value in values) else None
            yield Pairs(name, values, Expression(named=named, split=split, part=None if split is None else 0))


def _lists(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Where names and values stand in lists: the ways to both."""
    ways: Counter[str] = Counter()
    for row in rows[:100]:
        ways.update(set(_ways(row)))
    found = []
    for way in ways:
        outer, _, last = way.rpartition(".")
        if outer and is_called(last, "naming"):
            values = [
                each
                for each in ways
                if each.rpartition(".")[0] == outer and is_called(each.rpartition(".")[2], "holding")
            ]
            found += [(way, each) for each in values[:1]]
        plain, at, attribute = way.rpartition("@")
        if at and is_called(attribute, "naming") and plain in ways:
            found.append((way, plain))
    return found


def _ways(row: Mapping[str, Any]) -> Iterator[str]:
    """The ways to what lies in a row's objects and lists of objects."""
    for name, stated in row.items():
        value = opened(stated) if isinstance(stated, str) and stated.lstrip()[:2] in ("[{", "[ ") else stated
        yield name
        for member in value if isinstance(value, list) else (value,):
            if isinstance(member, Mapping):
                yield from ways_in({name: member}, 1)


def _numbered(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, list[str]]]:
    """Numbered columns of names with those of values, and their numbers: `Attribute {n} name` and `Attribute {n} value(s)`."""
    patterns: dict[str, list[str]] = {}
    for name in names:
        if len(numbers := _NUMBER.findall(name)) == 1:
            patterns.setdefault(_NUMBER.sub("{n}", name), []).append(numbers[0])
    known = {name for attribute, called in synonyms().items() if attribute != "id" for name in called}
    for pattern, numbers in patterns.items():
        said = [
            text
            for row in rows
            for n in numbers
            for text in texts(row.get(pattern.replace("{n}", n)))
            if states(text)
        ]
        if not said or 2 * sum(folded(text) in known or folded(text) in SIZES for text in said) < len(said):
            continue
        alike = [
            each
            for each in patterns
            if each != pattern and set(patterns[each]) >= set(numbers) and _VALUE.search(each)
        ]
        if len(alike) == 1:
            yield pattern, alike[0], numbers


SIZES = frozenset(map(folded, ("size", "größe", "taille", "talla", "taglia", "maat", "storlek", "rozmiar", "velikost", "размер")))  # fmt: skip
"""What sizes are called: names that pairs have beside those of attributes."""
