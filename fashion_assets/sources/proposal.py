"""A mapping for a file nobody has mapped: made of what its columns are called and of what they hold.

What belongs here: what a column's values say of it, which column is which attribute, what is left out. What does not: choosing among
mappings (`sources.recognition`), writing one to a file (`sources.mapping_file`).

Names come first, and are believed only where the values do not speak against them. What is not sure is left out and told: a column
that is not mapped stays in the record.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fashion_assets.catalog.attributes import (
    ATTRIBUTES,
    BY_VALUES,
    CRITICAL,
    DIFFERENT,
    LEVELS,
    VOCABULARIES,
)
from fashion_assets.catalog.normalization import canonical
from fashion_assets.origins import shown
from fashion_assets.sources import mapping as mappings
from fashion_assets.sources.column_values import Column, columns_of, foreign
from fashion_assets.sources.columns import Columns, folded, synonyms
from fashion_assets.sources.mapping import Held, Pictures, Recognise
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.notations import read_id, read_year
from fashion_assets.sources.picture_files import SUFFIXES, PictureFiles, is_url
from fashion_assets.sources.places import folder_of
from fashion_assets.sources.readers import open_rows
from fashion_assets.sources.source import SourceError

PROPOSED = "proposed"
"""Name of a mapping nobody named."""

SAMPLE_ROWS = 1_000
"""Rows looked at."""

MOST = 0.8
"""Share of a column's values that must be of a kind for the column to be of that kind by its values alone."""

HALF = 0.5
"""Share of its values that must be prices where a column is called as prices are: the others are rejected, and said."""

WRAPPED = 3
"""Columns at least of an object that is taken for the record itself."""

SOME = 0.3
"""Share of them that suffices where the column is called so."""

FILLED = 0.9
"""Share of the rows that must state an attribute for products to need it."""

UNIQUE = 0.98
"""Share of different ids; a few listings occur twice."""

_SCALES = frozenset(
    map(
        folded,
        ("precision", "fraction_digits", "exponent", "scale", "decimals", "minor_units", "decimal_places"),
    )
)
"""Members of an object beside an amount that say that it is no number of whole currency."""

_CENTS = re.compile(r"(?:price|amount|preis|prix|precio|prezzo|prijs)(?:in)?(?:eur|usd|gbp)?cents?")
"""What a column of prices in hundredths is called, folded."""

_PRICE_WORD = re.compile("price|preis|prix|precio|prezzo|preco|prijs|cena|pris|fiyat|цен|价|価格")
_OTHER_PRICE = re.compile(
    "compare|cost|purchase|buy|old|was|before|regular|wholesale|unit|per|rule|einkauf|^ek|alt|vorher|streich|grund|staffel|achat|barre|ancien|"
    "compra|anterior|acquisto|inkoop|zakup|currency|type|date|range|min|max|level|netto|net$|excl|ohne|ht$|hors|change|group"
)
"""Words for prices in the folded names of columns; and words beside them in names of what is not the price a thing is sold at."""

_AMOUNT = re.compile(r"\d{1,6}[.,]\d{2}")
_HTML = re.compile(r"<(?:p|br|ul|li|div|span|b|strong|h\d)\b[^>]*>", re.I)
TITLE = "title"
PRICE, CURRENCY = "price", "currency"
_ORDER = (
    *LEVELS,
    *(
        each.name
        for each in sorted(
            ATTRIBUTES, key=lambda each: each.longest is None
        )  # free text last: anything is that
        if each.name not in (*LEVELS, TITLE, PRICE)
    ),
)
"""Attributes in the order columns are found for them: once a column is one of them it is no other."""


@dataclass(frozen=True)
class Proposal:
    """A mapping, why it is so, and what it leaves out."""

    mapping: mappings.Mapping
    reason: str
    notes: tuple[str, ...]
    rows: int


def propose(
    location: str,
    format: str,
    pictures: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Proposal:
    """A mapping for a file or a table, by its first rows. `pictures` is the folder of the pictures, those stated as URLs too, where
    somebody has said so; else those in files lie beside.

    Raises SourceError where no column could be an id, or nothing says what a listing is called or shows.
    """
    with open_rows(format, location, options) as reader:
        names = list(reader.columns)
        found = list(islice(reader.rows(), SAMPLE_ROWS))
        rows = [row.values for row in found if row.defect is None]
        first = found[0].text if found else None
    if not rows and format == "sql":
        table = (options or {}).get("table", "the query")
        table = table if isinstance(table, str) else ".".join(table)
        raise SourceError(
            f"{table} in {_place(location)} has no rows that may be seen: it is empty, or policies keep them from this user (row "
            "security). Name another table, or a user who sees them."
        )
    if not rows:
        said = f" Its first begins {json.dumps(first[:40], ensure_ascii=False)}." if first else ""
        raise SourceError(
            f"{_place(location)} has no rows that can be read as {format.replace('_', ' ')}.{said} Export it anew."
        )
    return _Proposing(
        location, format, columns_of(names, rows), rows, pictures, dict(options or {})
    ).proposal()


def _place(location: str) -> str:
    from fashion_assets.sources.readers.beginnings import is_database_url

    if is_database_url(location):
        from fashion_assets.sources.readers import databases

        return databases.told(location)
    return shown(location)


def _record(names: Iterable[str]) -> str:
    """What stands before the names of nearly all columns, where each record is wrapped in an object of its own (`node.`); else nothing."""
    inside = Counter(name.partition(".")[0] for name in names if "." in name)
    if not inside:
        return ""
    (wrapper, count), *others = inside.most_common(2)
    plain = sum("." not in name for name in names)
    return f"{wrapper}." if count >= WRAPPED and not others and plain <= 2 else ""


class _Proposing:
    """The proposal for one file, column by column."""

    def __init__(
        self,
        location: str,
        format: str,
        columns: list[Column],
        rows: Sequence[Mapping[str, Any]],
        pictures: str | None,
        options: dict[str, Any],
    ) -> None:
        self.location, self.format, self.columns, self.rows, self.options = (
            location,
            format,
            columns,
            rows,
            options,
        )
        self.folder = pictures or folder_of(location)
        self.downloaded = pictures is not None
        self.by_name = {column.name: column for column in columns}
        self.names = Columns(list(self.by_name))
        self.record = _record(self.by_name)
        self.taken: dict[str, str] = {}
        self.notes: list[str] = []

    def proposal(self) -> Proposal:
        identity = self._id()
        image = self._image()
        attributes: dict[str, Expression] = {}
        price = self._price()
        title = self._title()
        for name, column in (("title", title), ("price", price)):
            if column is not None:
                cents = name == PRICE and _CENTS.fullmatch(folded(column.name))
                attributes[name] = Expression(column=column.name, scale="0.01" if cents else None)
        for name in _ORDER:
            column = self._called(name) or self._holding(name)
            if column is not None:
                self.taken[column.name] = name
                attributes[name] = self._expression(name, column)
        pictures, required = self._pictures(image, identity)
        shows = bool(pictures.columns or pictures.pattern)
        if title is not None and len(attributes) == 1 and not shows:
            raise SourceError(
                f"{_place(self.location)} is no catalogue that can be told: beside ids and {title.name}, no column states what a "
                f"listing is, costs or shows. Its columns: {', '.join(self.by_name)[:300]}. Say in a mapping which is which "
                "(--mapping FILE)."
            )
        if title is None and not shows:
            raise SourceError(
                f"{_place(self.location)} is no catalogue that can be told: no column is called as titles are "
                f"({', '.join(synonyms()['title'][:4])} …), none holds texts that could be one, and none states pictures. Its columns: "
                f"{', '.join(self.by_name)[:300]}. Say in a mapping which is which (--mapping FILE)."
            )
        critical = self._critical(attributes)
        mapping = mappings.Mapping(
            name=PROPOSED,
            title=f"Proposed for {os.path.basename(self.location) if '://' not in self.location else 'a database'}",
            format=self.format,  # type: ignore[arg-type]
            options=self.options,
            files=()
            if self.format == "sql" or os.path.isdir(self.location)
            else (os.path.basename(self.location),),
            recognise=Recognise(must=tuple((name,) for name in sorted(set(self.taken)) if "." not in name)),
            id=Expression(column=identity.name, whole=True)
            if identity.share(_through_float)
            else Expression(column=identity.name),
            attributes={name: attributes[name] for name in sorted(attributes, key=_position)},
            pictures=pictures,
            profile=Held(critical=critical, picture="required" if required else "optional"),
        )
        left = [name for name in self.by_name if name not in self.taken and "." not in name]
        reason = (
            f"no mapping fits; proposed by the names of the columns and the values of {len(self.rows):,} rows: "
            f"{len(attributes)} attributes, {len(left)} columns left over"
        )
        return Proposal(mapping, reason, tuple(self.notes), len(self.rows))

    def _free(self) -> Iterable[Column]:
        return (column for column in self.columns if column.name not in self.taken and column.stated)

    def _synonyms(self, attribute: str) -> Iterable[Column]:
        """Columns that are called as systems call the attribute, the surest first."""
        wanted = synonyms().get(attribute, ())
        plain = {folded(column.name.removeprefix(self.record).lstrip("@")): column for column in self.columns}
        last = {
            folded(column.name.rpartition(".")[2]): column for column in self.columns if "." in column.name
        }
        for name in wanted:
            inside = (plain.get(f"{name}.{part}") for part in ("name", "value", "title"))
            column = plain.get(name) or next(filter(None, inside), None)
            if column is None and attribute in (PRICE, CURRENCY):
                column = last.get(name)  # of an object like {"amount": …, "currency": …}
            if attribute == PRICE and column is not None and (beside := self._counted_in(column.name)):
                self.notes.append(
                    f'{column.name} stands beside {beside}, and may count cents: left out (a mapping can say so: scale = "0.01")'
                )
                continue
            if column is not None and column.name not in self.taken and column.stated:
                yield column

    def _counted_in(self, name: str) -> str | None:
        """What stands beside a member of an object and says how many of its digits are a fraction's."""
        beside, inside, _ = name.rpartition(".")
        if not inside:
            return None
        return next(
            (
                each
                for each in self.by_name
                if each.rpartition(".")[0] == beside and folded(each.rpartition(".")[2]) in _SCALES
            ),
            None,
        )

    def _take(self, attribute: str, column: Column) -> Column:
        self.taken[column.name] = attribute
        return column

    def _id(self) -> Column:
        def could_be(column: Column) -> bool:
            return (
                column.filled >= FILLED
                and column.different >= UNIQUE * len(column.stated)
                and column.length <= 255
            )

        for column in self._synonyms("id"):
            if column.filled >= FILLED and column.different >= 0.9 * len(column.stated):
                return self._take("id", column)
        for column in self._free():
            if re.search(r"(?i)(?:^|[^a-z])(?:id|sku|ref|nr|no|code)$|Id$|ID$", column.name) and could_be(
                column
            ):
                return self._take("id", column)
        for column in self._free():
            if could_be(column) and column.words == 1 and not column.pictures and column.length <= 40:
                self.notes.append(
                    f"no column is called as ids are; {column.name} has another value in each row"
                )
                return self._take("id", column)
        for column in self._free():
            if could_be(column) and column.share(is_url) >= MOST and column.pictures < MOST:
                self.notes.append(
                    f"listings are known by their address ({column.name}): no other column tells them apart"
                )
                return self._take("id", column)
        raise SourceError(
            f"{_place(self.location)} has no column that tells its rows apart, with another value in each: "
            f"{', '.join(self.by_name)[:300]}. Add one, or say in a mapping what the id is made of (--mapping FILE)."
        )

    def _image(self) -> Column | None:
        for column in self._synonyms("image"):
            if column.pictures >= SOME or column.share(is_url) >= MOST:
                return self._take("image", column)
        for column in self._free():
            if column.pictures >= MOST:
                return self._take("image", column)
        return None

    def _price(self) -> Column | None:
        sure: list[Column] = []
        for column in self._synonyms("price"):
            if column.prices >= HALF:
                sure.append(column)
            else:
                self.notes.append(
                    f"{column.name} is called as prices are and holds none ({column.stated[0]!r}): left out"
                )
        if sure:  # a column of special offers is mostly empty
            return self._take("price", next((each for each in sure if each.filled >= HALF), sure[0]))
        named = self.names.money(synonyms()[PRICE])
        if named in self.by_name and named not in self.taken:
            return self._take("price", self.by_name[named])
        called = [
            column
            for column in self._free()
            if _PRICE_WORD.search(name := folded(column.name))
            and not _OTHER_PRICE.search(name)
            and column.prices >= MOST
        ]
        if len(called) == 1 and not _CENTS.fullmatch(folded(called[0].name)):
            self.notes.append(f"{called[0].name} is read as the price")
            return self._take("price", called[0])
        return self._price_by_values() or self._no_price(called)

    def _no_price(self, called: Sequence[Column]) -> None:
        amounts = called or [column for column in self._free() if column.share(_AMOUNT.fullmatch) >= MOST]
        may = (
            f"; it may be {' or '.join(column.name for column in amounts[:5])}: say in a mapping which"
            if amounts
            else ""
        )
        self.notes.append(f"no column states the price for sure: products have none{may}")

    def _price_by_values(self) -> Column | None:
        for column in self._free():
            if column.money >= MOST:
                return self._take("price", column)
        for column in self._free():
            if _CENTS.fullmatch(folded(column.name)) and column.share(str.isdecimal) == 1:
                self.notes.append(f"{column.name} counts cents: a hundredth of it is the price")
                return self._take("price", column)
        return None

    def _title(self) -> Column | None:
        for column in self._synonyms("title"):
            if column.share(is_url) < SOME:
                return self._take("title", column)
        texts = [
            column
            for column in self._free()
            if 2 <= column.words <= 25
            and column.length <= 200
            and column.different >= 0.5 * len(column.stated)
            and column.filled >= FILLED
            and column.share(is_url) < SOME
        ]
        if texts:
            self.notes.append(f"no column is called as titles are; {texts[0].name} holds short texts")
            return self._take("title", texts[0])
        return None

    def _called(self, attribute: str) -> Column | None:
        for column in self._synonyms(attribute):
            if attribute in VOCABULARIES:
                known = column.known(attribute)
                if attribute in ("category", "sub_category") and column.known("article_type") >= MOST > known:
                    continue  # a column of article types that is called category
                if column.different > DIFFERENT.get(attribute, 400) and known < SOME:
                    continue
                if attribute == "gender" and known < SOME:
                    continue
                if (
                    attribute == "article_type"
                    and known < SOME
                    and folded(column.name) in ("type", "tipo", "typ", "tip", "soort", "тип", "类型")
                ):
                    continue
            if attribute == "year" and column.share(lambda text: read_year(text) is not None) < MOST:
                continue
            if attribute == "currency" and column.share(lambda text: len(text) <= 4) < MOST:
                continue
            if attribute == "description" and column.share(is_url) > SOME:
                continue
            return column
        return None

    def _holding(self, attribute: str) -> Column | None:
        """A column whose values are of the attribute, whatever it is called."""
        if attribute in BY_VALUES:
            sure = [
                (-column.known(attribute), position, column)
                for position, column in enumerate(self._free())
                if column.different <= DIFFERENT[attribute]
                and column.filled >= SOME
                and column.known(attribute) >= MOST
                and column.length > 1
            ]
            return min(sure)[2] if sure else None
        if attribute == "description":
            long = [
                column
                for column in self._free()
                if column.length >= 80 and column.share(is_url) < SOME and not column.pictures
            ]
            return max(long, key=lambda column: column.length) if long else None
        return None

    def _expression(self, attribute: str, column: Column) -> Expression:
        if attribute in ("gender", "colour"):
            table = foreign(attribute)
            words = {
                text.casefold(): table[text.casefold()]
                for text in column.stated
                if not canonical(attribute, text)[1] and text.casefold() in table
            }
            return Expression(column=column.name, words=dict(sorted(words.items())))
        if attribute == "description" and column.share(lambda text: _HTML.search(text) is not None) >= 0.1:
            return Expression(column=column.name, strip_html=True)
        if (
            attribute == "year"
            and column.share(lambda text: re.fullmatch(r"\d{4}(\.0*)?", text) is not None) < 1
        ):
            return Expression(column=column.name, year=True)
        return Expression(column=column.name)

    def _pictures(self, image: Column | None, identity: Column) -> tuple[Pictures, bool]:
        """Where pictures are, and whether listings must have one: where most of those looked for are there."""
        files = PictureFiles(os.path.realpath(self.folder)) if os.path.isdir(self.folder) else None
        if image is not None:
            column = (Expression(column=image.name),)
            looked = image.stated[:50]
            lacking = [
                stated
                for stated in looked
                if files is None
                or (is_url(stated) and not self.downloaded)
                or files.find(stated).path is None
            ]
            there = 1 - len(lacking) / len(looked)
            if (addresses := sum(map(is_url, lacking)) / len(looked)) >= SOME:
                some = (
                    "pictures are addresses"
                    if there < SOME
                    else f"{addresses:.0%} of the pictures are addresses"
                )
                self.notes.append(
                    f"{some} ({image.name}), which are not fetched unless asked for (--fetch-pictures): products may be "
                    "without one"
                )
                return Pictures(columns=column), False
            if there < SOME:
                self.notes.append(
                    f"of {len(looked)} pictures {image.name} states {there * len(looked):.0f} are there: products may be without one "
                    "(say where they lie: --pictures DIR)"
                )
            return Pictures(columns=column), there >= SOME
        if files is not None:
            ids = [read_id(text).value or text for text in identity.stated[:50]]
            for pattern in ("images/{id}", "{id}"):
                for suffix in SUFFIXES:
                    tried = [f"{pattern}{suffix}".replace("{id}", each) for each in ids]
                    if sum(1 for path in tried if files.find(path).path) >= 0.5 * len(tried):
                        return Pictures(pattern=(f"{pattern}{suffix}",)), True
        self.notes.append("no column states pictures, and none is called by an id: products have none")
        return Pictures(), False

    def _critical(self, attributes: Mapping[str, Expression]) -> tuple[str, ...]:
        kept = []
        for name in CRITICAL:
            if name not in attributes:
                self.notes.append(f"no column states the {name.replace('_', ' ')}: products need none")
                continue
            filled = self.by_name[attributes[name].column or ""].filled
            if filled >= FILLED:
                kept.append(name)
            else:
                self.notes.append(
                    f"{name.replace('_', ' ')} is stated by {filled:.0%} of the rows only: products need none"
                )
        return tuple(kept)


def _through_float(text: str) -> bool:
    return re.fullmatch(r"\d+\.0+", text) is not None


def _position(attribute: str) -> int:
    from fashion_assets.catalog.listing import ATTRIBUTES

    return ATTRIBUTES.index(attribute)
