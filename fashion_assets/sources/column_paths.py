"""Columns that hold paths of categories: `Women > Clothing > Dresses`.

What belongs here: telling such a column and how its paths are written, and the expressions for category, type and gender that are made of it. What does
not: which column is which attribute (`sources.column_matching`), evaluating expressions (`sources.expressions`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fashion_assets.catalog.normalization import canonical
from fashion_assets.sources.column_values import Column, foreign
from fashion_assets.sources.columns import folded, names_of
from fashion_assets.sources.mapping_expression import Expression

SIGNS = (" > ", ">", "»", "|", " / ", "/")
"""Between the levels of a path; a slash alone stands in names of one level, too."""

MOST, SLASHED = 0.5, 2.5
"""Share of the values that must be paths; and how many levels those have in the mean that are written with slashes alone."""


USUAL = ("Men", "Women", "Boys", "Girls", "Kids", "Unisex")
"""People whom later paths may name, though the first do not."""


class Paths(NamedTuple):
    """A column of paths, and how they are written."""

    column: Column
    sign: str
    separator: str | None
    """Between several paths of one value."""

    def levels(self) -> list[tuple[str, ...]]:
        """The longest path of each value."""
        every = []
        for text in self.column.stated:
            several = text.split(self.separator) if self.separator else (text,)
            paths = [
                tuple(part.strip() for part in path.split(self.sign.strip()) if part.strip())
                for path in several
            ]
            every.append(max(paths, key=len, default=()))
        return every

    def are_in(self, column: Column) -> bool:
        """Whether another column holds paths as well."""
        return column.share(lambda text: self.sign in text) >= MOST

    def read(self, **how: object) -> Expression:
        return self.column.read(split=self.separator, path=self.sign.strip(), **how)


def paths_among(columns: Sequence[Column]) -> Paths | None:
    """The column of paths of categories, if there is one."""
    called = {folded(column.called): column for column in reversed(columns)}
    for name in names_of("paths"):
        column = called.get(folded(name))
        if column is None or column.is_list:
            continue
        for sign in SIGNS:
            if column.share(lambda text, sign=sign: sign in text) < MOST:
                continue
            several = column.share(
                lambda text, sign=sign: (
                    text.count(",") and all(sign.strip() in part for part in text.split(",")[1:])
                )
            )
            found = Paths(column, sign, "," if several and sign != "|" else None)
            if sign == "/" and sum(map(len, found.levels())) < SLASHED * len(column.stated):
                continue
            return found
    return None


def expressions(paths: Paths) -> Iterator[tuple[str, Expression]]:
    """The attributes that paths state, and how each is read."""
    levels = paths.levels()
    deepest = max(map(len, levels), default=0)
    own = [level for level in range(deepest) if _differs(level, levels)]
    parts = {path[level].casefold() for path in levels for level in own if level < len(path)}
    people = {word: meant for word in parts if (meant := _person(word))}
    if sum(any(part.casefold() in people for part in path) for path in levels) >= MOST * len(levels):
        words = {**{name.casefold(): name for name in USUAL}, **people}  # `All` is a root, and nobody
        yield "gender", paths.read(words=dict(sorted(words.items())), others="drop", part=0)
    first = next((level for level in own if _says(level, levels, people)), None)
    known = paths.read(vocabulary="category", part=0)
    if first is not None and sum(len(path) > first + 1 for path in levels) >= MOST * len(levels):
        yield "category", Expression(first=(known, paths.read(level=first)))
    yield (
        "article_type",
        Expression(first=(paths.read(vocabulary="article_type", part=-1), paths.read(level=-1))),
    )


def _person(word: str) -> str | None:
    value, known = canonical("gender", word)
    return foreign("gender").get(word) or (word.title() if known and value else None)


def _differs(level: int, levels: Sequence[tuple[str, ...]]) -> bool:
    """Whether a level says anything: all of a catalogue is below its root."""
    return len(levels) == 1 or len({path[level] for path in levels if len(path) > level}) > 1


def _says(level: int, levels: Sequence[tuple[str, ...]], people: dict[str, str]) -> bool:
    """Whether a level is of categories, and not of whom things are for."""
    said = [path[level] for path in levels if len(path) > level]
    return sum(part.casefold() in people for part in said) < MOST * len(said)
