"""Which column of a file nobody has mapped is which attribute: schema matching, by names and values.

What belongs here: the columns that are the id, the pictures, the price, the title and every other attribute. What does not: measuring a column's values
(`column_values`), comparing names (`columns`), the mapping that is made of the columns (`proposal`).

Names come first, and are believed only where the values do not speak against them. A column is matched once. What is not sure is left out and told: a
column that is not mapped stays in the record.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fashion_assets.catalog.attributes import (
    ATTRIBUTES,
    BY_VALUES,
    DIFFERENT,
    LEVELS,
    SHORT,
    TEXT,
    VOCABULARIES,
)
from fashion_assets.sources.column_values import Column
from fashion_assets.sources.columns import Columns, folded, is_called, names_of, synonyms, without_language
from fashion_assets.sources.notations import read_year
from fashion_assets.sources.picture_files import is_url

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

_CENTS = re.compile(r"(?:price|amount|preis|prix|precio|prezzo|prijs)(?:in)?(?:eur|usd|gbp)?cents?")
"""What a column of prices in hundredths is called, folded."""

_PRICE_WORD = re.compile("price|preis|prix|precio|prezzo|preco|prijs|cena|pris|fiyat|цен|价|価格")
_OTHER_PRICE = re.compile(
    "compare|cost|purchase|buy|old|was|before|regular|wholesale|unit|per|rule|einkauf|^ek|alt|vorher|streich|grund|staffel|achat|barre|ancien|"
    "compra|anterior|acquisto|inkoop|zakup|currency|type|date|range|min|max|level|netto|net$|excl|ohne|ht$|hors|change|group"
)
"""Words for prices in the folded names of columns; and words beside them in names of what is not the price a thing is sold at."""

_FRACTION = re.compile(r"-?\d+[.,]\d+")
_AMOUNT = re.compile(r"\d{1,6}[.,]\d{2}")
_WORDS = frozenset(
    each.name for each in ATTRIBUTES if each.kind is TEXT and each.longest == SHORT and each.name != "size"
)
"""Attributes whose values are words: no numbers, and no sentences."""
_SEVERAL = re.compile(r"[,;|\[\n]")
_NAMED = ("name", "value", "title")
_INSIDE = {"image": ("src", "url", "large", "original", "href", "path", "uri", *_NAMED)}
"""Members of an object that is an attribute's value, the surest first."""
_LISTS = {"image": ("media", "gallery"), "category": ("categories",)}
"""What lists of such objects are called besides."""
_OF_SEVERAL = frozenset(("image", "price", "currency", "colour", "category", "size"))
"""Attributes that a product's variants, pictures or categories state for it."""
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


class Matching:
    """The columns of one file, each matched to one attribute at the most, and notes on what was not sure.

    Ask in the order of the methods: what `id`, `image`, `price` and `title` take is no other attribute's.
    """

    def __init__(self, columns: Sequence[Column], *, variants: bool = False) -> None:
        """`variants`: whether rows of variants were put together: then no one size is the listing's."""
        self.columns = columns
        self._variants = variants
        self.by_name = {column.name: column for column in columns}
        self.offer: Column | None = None
        """The column of prices of what is on offer, which goes before that of the price, where there is one."""
        self.taken: dict[str, str] = {}
        """By the column's name, what it is."""
        self.notes: list[str] = []
        self._names = Columns(list(self.by_name))
        self._record = _record(self.by_name)

    def id(self) -> Column | None:
        """The column that tells rows apart."""

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
            if (
                could_be(column)
                and column.words == 1
                and not column.pictures
                and column.length <= 40
                and not self._is_called_otherwise(column)
                and column.share(_FRACTION.fullmatch) < SOME
            ):
                self.notes.append(
                    f"no column is called as ids are; {column.name} has another value in each row"
                )
                return self._take("id", column)
        for column in self._free():
            if could_be(column) and column.share(_is_place) >= MOST and column.pictures < MOST:
                self.notes.append(
                    f"listings are known by their address ({column.name}): no other column tells them apart"
                )
                return self._take("id", column)
        return None

    def _is_called_otherwise(self, column: Column) -> bool:
        """Whether a column is called as another attribute is, whose values may all be different by chance."""
        name = folded(column.name.rpartition(".")[2])
        return any(
            name in names for attribute, names in synonyms().items() if attribute not in ("id", "image")
        )

    def image(self) -> Column | None:
        """The column that states pictures, by file or by address."""
        for column in self.columns:
            if column.holds_pictures:
                self.notes.append(
                    f"{column.name} holds pictures themselves, which are not read out of a table: write each into a file, images/ID.jpg beside "
                    "it, with the row's id for ID"
                )
        for column in self._synonyms("image"):
            if column.pictures >= SOME or column.addresses >= MOST:
                return self._take("image", column)
        for column in self._free():
            if column.pictures >= MOST:
                return self._take("image", column)
        return None

    def price(self) -> Column | None:
        """The column of the price a thing is sold at."""
        sure: list[Column] = []
        for column in self._synonyms("price"):
            if column.prices >= HALF:
                sure.append(column)
            else:
                self.notes.append(
                    f"{column.name} is called as prices are and holds none ({column.stated[0]!r}): left out"
                )
        if sure:  # a column of special offers is mostly empty
            usual = next((each for each in sure if each.filled * (1 - each.share(_is_zero)) >= HALF), sure[0])
            offer = next((each for each in sure if self._is_offer(each) and each is not usual), None)
            if offer is not None:
                self.offer = self._take("price", offer)
                self.notes.append(f"{offer.name} is read as the price where it states one, else {usual.name}")
            return self._take("price", usual)
        named = self._names.money(synonyms()[PRICE])
        if named in self.by_name and named not in self.taken:
            return self._take("price", self.by_name[named])
        called = [
            column
            for column in self._free()
            if _PRICE_WORD.search(name := folded(column.name))
            and not _OTHER_PRICE.search(name)
            and not self._counted_in(column.name)
            and column.prices >= MOST
        ]
        if len(called) == 1 and not in_cents(called[0]):
            self.notes.append(f"{called[0].name} is read as the price")
            return self._take("price", called[0])
        return self._price_by_values() or self._no_price(called)

    def _is_offer(self, column: Column) -> bool:
        """Whether a column has the prices of what is on offer, and nothing where nothing is."""
        return (
            is_called(without_language(column.called), "offers")
            and column.filled < HALF
            and not column.share(_is_zero)
        )

    def title(self) -> Column | None:
        """The column of titles, or of short texts that could be some."""
        for column in self._synonyms("title"):
            if column.share(_is_place) < SOME:
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

    def others(self) -> Iterator[tuple[str, Column]]:
        """Every other attribute that a column states, with that column."""
        for name in _ORDER:
            column = self._called(name) or self._holding(name)
            if column is not None:
                yield name, self._take(name, column)

    def _free(self, several: bool = False) -> Iterable[Column]:
        """Columns that are nothing yet; of members of lists only where `several` may say it."""
        return (
            column
            for column in self.columns
            if column.name not in self.taken and column.stated and (several or not column.several)
        )

    def _synonyms(self, attribute: str) -> Iterable[Column]:
        """Columns that are called as systems call the attribute, the surest first."""
        called = self._by_call(attribute)
        last = {
            folded(column.name.rpartition(".")[2]): column
            for column in self.columns
            if "." in column.name and column.origin is None
        }
        parts = _INSIDE.get(attribute, _NAMED)
        for name in (*synonyms().get(attribute, ()), *_LISTS.get(attribute, ())):
            alone = called.get(name) if name not in _LISTS.get(attribute, ()) else None
            column = alone or next(filter(None, (called.get(f"{name}.{part}") for part in parts)), None)
            if column is None and attribute in (PRICE, CURRENCY):
                column = last.get(name)  # of an object like {"amount": …, "currency": …}
            if attribute == PRICE and column is not None and (beside := self._counted_in(column.name)):
                self.notes.append(
                    f'{column.name} stands beside {beside}, and may count cents: left out (a mapping can say so: scale = "0.01")'
                )
                continue
            if column is not None and column.name not in self.taken and column.stated:
                yield column

    def _by_call(self, attribute: str) -> dict[str, Column]:
        """The columns that may be the attribute by what they are called, folded; then by that without the language they are of."""
        called: dict[str, Column] = {}
        may = [column for column in self.columns if attribute in _OF_SEVERAL or not column.several]
        names = [(column, column.called.removeprefix(self._record).lstrip("@")) for column in may]
        for column, name in names:
            held = called.setdefault(folded(name), column)
            if held.different == 1 < column.different:  # what all rows have alike is no title
                called[folded(name)] = column
        for column, name in names if attribute not in ("id", PRICE) else ():
            called.setdefault(folded(without_language(name)), column)
        return called

    def _counted_in(self, name: str) -> str | None:
        """What stands beside a member of an object and says how many of its digits are a fraction's."""
        beside, inside, _ = name.rpartition(".")
        if not inside:
            return None
        return next(
            (
                each
                for each in self.by_name
                if each.rpartition(".")[0] == beside and is_called(each.rpartition(".")[2], "scales")
            ),
            None,
        )

    def _take(self, attribute: str, column: Column) -> Column:
        self.taken[column.name] = attribute
        return column

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
            if in_cents(column) and column.share(str.isdecimal) == 1:
                self.notes.append(f"{column.name} counts cents: a hundredth of it is the price")
                return self._take("price", column)
        return None

    def _called(self, attribute: str) -> Column | None:
        for column in self._synonyms(attribute):
            if attribute in VOCABULARIES:
                known = column.known(attribute)
                if attribute == "article_type" and _states_kinds(column):
                    continue
                if attribute in ("category", "sub_category") and column.known("article_type") >= MOST > known:
                    continue  # a column of article types that is called category
                if column.different > DIFFERENT.get(attribute, 400) and known < SOME:
                    continue
                if attribute == "gender" and known < SOME:
                    continue
                if (
                    attribute == "article_type"
                    and known < SOME
                    and folded(column.name.lstrip("@"))
                    in ("type", "tipo", "typ", "tip", "soort", "тип", "类型")
                ):
                    continue
            if attribute in _WORDS and column.share(str.isdecimal) >= MOST:
                continue  # numbers of another table's rows
            if attribute == "size" and (
                self._variants or column.is_list or column.share(_SEVERAL.search) > SOME
            ):
                continue  # what sizes there are, and not the listing's
            if attribute == "condition" and column.known(attribute) < SOME:
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
                for position, column in enumerate(self._free(attribute in _OF_SEVERAL))
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


def in_cents(column: Column) -> bool:
    """Whether a column of prices is called as those in hundredths are."""
    return _CENTS.fullmatch(folded(column.name)) is not None


def _states_kinds(column: Column) -> bool:
    """Whether a column that may be called as one of types of articles says what kinds of records there are."""
    return {text.casefold() for text in column.stated} <= {*names_of("kinds"), *names_of("further")}


def _is_zero(text: str) -> bool:
    """Whether an amount is zero, as some systems write that nothing is on offer."""
    return not any(unicodedata.decimal(character, 0) for character in text)


def _is_place(text: str) -> bool:
    """Whether a text is an address, or a path of many steps and no words."""
    return is_url(text) or (text.count("/") >= 3 and " " not in text)


def _record(names: Iterable[str]) -> str:
    """What stands before the names of nearly all columns, where each record is wrapped in an object of its own (`node.`), or of most of those
    that are called as attributes are (`_source.`); else nothing."""
    inside = Counter(name.partition(".")[0] for name in names if "." in name)
    if not inside:
        return ""
    (wrapper, count), *others = inside.most_common(2)
    plain = [name for name in names if "." not in name]
    if count >= WRAPPED and not others and len(plain) <= 2:
        return f"{wrapper}."
    known = {name for names in synonyms().values() for name in names}
    called = Counter(
        name.partition(".")[0] for name in names if "." in name and folded(name.partition(".")[2]) in known
    )
    if not called:
        return ""
    wrapper, count = called.most_common(1)[0]
    return f"{wrapper}." if count >= WRAPPED and count > sum(folded(name) in known for name in plain) else ""
