"""What the values of a column say of it, whatever it is called.

What belongs here: measuring a column's values in the rows looked at. What does not: deciding what the column is (`sources.column_matching`).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Any

from fashion_assets.catalog.formats import FORMATS
from fashion_assets.catalog.normalization import canonical
from fashion_assets.sources.column_pairs import pairs_of
from fashion_assets.sources.columns import folded, synonyms
from fashion_assets.sources.expressions import states, texts
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.nested import opened, unwrapped
from fashion_assets.sources.picture_files import is_url, stated_in
from fashion_assets.sources.prices import PriceColumn, read_price

WORDS = resources.files("fashion_assets.sources").joinpath("words.toml")

TRANSLATED = frozenset({"gender", "colour"})
"""Attributes whose values are read in other languages than the vocabularies'."""

_PICTURE = re.compile(r"(?i)[^\n]*\.(?:jpe?g|png|webp|gif|avif|bmp|tiff?)(?:[?#].*)?")
_CODE = re.compile(r"[A-Za-z]+[-_]?\d+")
"""An article's number, though letters of many are those of a currency: R1, TOP12."""


class Column:
    """A column's values in the rows looked at."""

    def __init__(
        self,
        name: str,
        values: Sequence[Any],
        rows: int,
        *,
        called: str | None = None,
        origin: Expression | None = None,
        several: bool = False,
    ) -> None:
        """`called`: what it is called where that is not its name; `origin`: what reads it where it is no column of the file; `several`: whether
        it is a member of listed objects, of variants or pictures."""
        self.name = name
        self.called = called or name
        self.origin = origin
        self.several = several
        self.rows = rows
        self.held = [value for value in values if isinstance(value, bytes | bytearray)]
        """Values that are bytes: no texts, but pictures, say, or vectors."""
        self.stated = [
            text.strip()
            for value in (() if self.held else values)
            for text in texts(value)[:1]
            if states(text)
        ]
        self.is_list = any(isinstance(value, list | tuple) for value in values)
        self.numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

    def read(self, **how: Any) -> Expression:
        """The expression that reads it, and in what way."""
        return (
            Expression(column=self.name, **how) if self.origin is None else self.origin.model_copy(update=how)
        )

    @cached_property
    def filled(self) -> float:
        return len(self.stated) / self.rows if self.rows else 0.0

    @cached_property
    def different(self) -> int:
        return len(set(self.stated))

    @cached_property
    def words(self) -> float:
        """Words of a value, in the mean."""
        return sum(len(text.split()) for text in self.stated) / (len(self.stated) or 1)

    @cached_property
    def length(self) -> float:
        """Characters of a value, in the mean."""
        return sum(map(len, self.stated)) / (len(self.stated) or 1)

    def share(self, holds: Any) -> float:
        """The share of its values of which this holds."""
        return sum(1 for text in self.stated if holds(text)) / len(self.stated) if self.stated else 0.0

    @cached_property
    def pictures(self) -> float:
        return self.share(lambda text: _PICTURE.fullmatch(stated_in(text)[0]) is not None)

    @cached_property
    def prices(self) -> float:
        """The share of its values that are prices."""
        column = PriceColumn()
        for text in self.stated:
            column.add(text)
        notation = column.notation()
        return self.share(lambda text: read_price(text, notation).problem != "price_unreadable")

    @cached_property
    def money(self) -> float:
        """The share of its values that are prices by themselves: with a currency, and no code of letters and digits."""
        return self.share(
            lambda text: (
                bool(re.search(r"[^\d\s.,'-]", text))
                and _CODE.fullmatch(text) is None
                and read_price(text, _ANY).currency is not None
            )
        )

    @cached_property
    def addresses(self) -> float:
        """The share of its values that are addresses, or lists that begin with one."""
        return self.share(lambda text: is_url(stated_in(text)[0]))

    @property
    def holds_pictures(self) -> bool:
        """Whether its values are pictures themselves."""
        first = bytes(self.held[0][:64]) if self.held else b""
        return bool(first) and any(is_one(first) for is_one, _ in FORMATS.values())

    def known(self, attribute: str) -> float:
        """The share of its values that the attribute's vocabulary knows, or that mean one of its values in another language."""
        if self.different > 2_000:
            return 0.0
        meant = {text: is_known(attribute, text) for text in set(self.stated)}
        return self.share(meant.__getitem__)


SEVERAL = frozenset(
    (
        *synonyms()["image"],
        *map(
            folded, ("media", "gallery", "variants", "variations", "skus", "offers", "prices", "categories")
        ),
    )
)
"""What columns are called whose lists hold objects of the product's own: what lies in others, reviews or similar products, is another thing's."""

_ANY = PriceColumn().notation()

MOSTLY = 0.5
"""Share of a column's texts that must be objects for its members to be columns."""


def columns_of(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns with their values; the members of objects are columns of their own, called by the way to them. Texts of a column are objects
    where most of them are."""
    every: dict[str, list[Any]] = {name: [] for name in names}
    listed: dict[str, list[Any]] = {}
    objects = {name for name in names if _hold_objects([row.get(name) for row in rows])}
    for row in rows:
        for name, stated in row.items():
            value = _plain(opened(stated) if name in objects else stated)
            every.setdefault(name, []).append(value)
            if isinstance(value, Mapping):
                for inner, held in value.items():
                    member = _plain(held)
                    if not isinstance(member, Mapping) and "." not in str(inner):
                        every.setdefault(f"{name}.{inner}", []).append(member)
            elif isinstance(value, list) and folded(name) in SEVERAL:
                for inner in {inner for each in value if isinstance(each, Mapping) for inner in each}:
                    held = [_plain(each.get(inner)) for each in value if isinstance(each, Mapping)]
                    listed.setdefault(f"{name}.{inner}", []).append(held)
    found = []
    for name, values in every.items():
        if any(isinstance(value, Mapping) for value in values):
            continue
        if any(
            isinstance(member, Mapping) for value in values if isinstance(value, list) for member in value
        ):
            continue
        found.append(Column(name, values, len(rows)))
    found += [
        Column(name, values, len(rows), several=True)
        for name, values in listed.items()
        if not any(isinstance(each, Mapping | list) for held in values for each in held)
    ]
    for place, pair in enumerate(pairs_of(names, rows)):
        called = pair.called.removeprefix("pa_")
        name = f"{place}[{pair.called}]"  # no column of the file has it
        found.append(Column(name, pair.values, len(rows), called=called, origin=pair.origin))
    return found


def _plain(value: Any) -> Any:
    """A value, or the members of a list, without what only says of what type they are."""
    value = unwrapped(value)
    return list(map(unwrapped, value)) if isinstance(value, list | tuple) else value


def _hold_objects(values: Sequence[Any]) -> bool:
    """Whether most texts of a column are objects written as texts."""
    stated = [value for value in values if isinstance(value, str) and states(value)][:100]
    braced = [value for value in stated if value.lstrip().startswith("{")]
    return len(braced) > MOSTLY * len(stated) and (
        sum(isinstance(opened(value), Mapping) for value in braced) > MOSTLY * len(stated)
    )


@cache
def foreign(attribute: str) -> Mapping[str, str]:
    """What words of other languages are called here, for an attribute."""
    said: dict[str, dict[str, list[str]]] = tomllib.loads(WORDS.read_text("utf-8"))
    return {word.casefold(): meant for meant, words in said.get(attribute, {}).items() for word in words}


def is_known(attribute: str, text: str) -> bool:
    """Whether a value is one of the attribute's, in any language it is known in."""
    return canonical(attribute, text)[1] or text.casefold() in foreign(attribute)


@lru_cache(4096)
def translated(attribute: str, text: str) -> str:
    """A value that the attribute's vocabulary does not know and that means one of its values in another language, as that; any other as it is."""
    meant = foreign(attribute).get(text.strip().casefold())
    return text if meant is None or canonical(attribute, text)[1] else meant
