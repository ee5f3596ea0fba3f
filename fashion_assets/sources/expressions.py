"""Expressions of a mapping, applied to records: values in, texts out.

What belongs here: what each key of `mapping.Expression` does. What does not: which keys there are (`sources.mapping`), whether a
text is good (`catalog.validation`).

An expression is made into a function once for each file, when the columns are known. It gives a tuple of texts: none, one or
several. No word is taken away: a column that holds `NA` gives `NA`, but where there is a choice a word that states nothing is
no choice.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from fashion_assets.catalog.listing import uuid_of
from fashion_assets.catalog.stated import NULL_WORDS
from fashion_assets.characters import seen
from fashion_assets.sources.columns import Columns
from fashion_assets.sources.mapping_expression import Condition, Expression, Named
from fashion_assets.sources.nested import loosened, pairs_within, unwrapped, within
from fashion_assets.sources.notations import read_id, read_year

Values = Mapping[str, Any]
Texts = tuple[str, ...]
Evaluator = Callable[[Values], Texts]

MOST_PAIRS = 200
"""Numbered pairs of columns that are looked for: more than any export has."""

_NOTHING: Texts = ()
_SECONDS = re.compile(r"\d{9,10}(\.\d*)?|\d{12,13}(\.\d*)?")


def states(text: str, nothing: frozenset[str] = frozenset(NULL_WORDS)) -> bool:
    """Whether a text states anything: it is none of the words that do not."""
    return seen(text).strip().lower() not in nothing


def as_text(value: Any) -> str:
    """A value of a typed format as text: numbers as they would be written by hand, whole ones without a point."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        return repr(value)
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return str(int(value)) if whole and abs(value) < 10**30 else format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    return str(value)


def as_texts(found: Texts) -> Texts:
    """Values of which some may be numbers, as texts."""
    return tuple(map(as_text, found))


def numbers(value: Any) -> tuple[Any, ...]:
    """A value as texts, but for numbers, which stay what they are: `1.199` as a number is no text that may mean two."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(number for member in value for number in numbers(member))
    return texts(value) if (inner := unwrapped(value)) is value else numbers(inner)


def texts(value: Any) -> Texts:
    """A value as texts: nothing of null, each member of a list."""
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(text for member in value for text in texts(member))
    return (as_text(value),) if (inner := unwrapped(value)) is value else texts(inner)


class Compiler:
    """Makes evaluators of expressions for the columns of one file.

    `typed` formats have nested values, and records whose columns are not all known before. `keep_numbers`: what no step has
    changed stays a number where it is one. `source`: name of the source, which is part of UUIDs.
    """

    def __init__(
        self,
        columns: Columns,
        *,
        typed: bool = False,
        null_words: Sequence[str] = (),
        keep_numbers: bool = False,
        source: str = "",
    ) -> None:
        self.columns = columns
        self.typed = typed
        self._source = source
        self._nulls = frozenset((*NULL_WORDS, *null_words))
        self._values = numbers if keep_numbers else texts

    def known(self, expression: Expression) -> bool:
        """Whether any column it reads is there, or it needs none."""
        named = expression.columns()
        return not named or any(map(self._there, named)) or self._pairs(expression)

    def _there(self, name: str) -> bool:
        return self._reader(name, strict=True) is not None

    def compile(self, expression: Expression) -> Evaluator:
        """The expression as a function of a record's values; one without any of its columns gives nothing."""
        found, steps = self._origin(expression), self._steps(expression)
        if steps and self._values is not texts:
            steps.insert(0, as_texts)
        for step in steps:
            found = _after(found, step)
        if expression.when is not None:
            return self._only(expression.when, found)
        return found

    def states(self, text: Any) -> bool:
        """Whether a text states anything in this source; a number does, but for what programs write where there is none (NaN)."""
        return states(text, self._nulls) if isinstance(text, str) else text == text

    def _pairs(self, expression: Expression) -> bool:
        inside = (*expression.first, *expression.all, *expression.join)
        return expression.named is not None or any(self._pairs(each) for each in inside)

    def _origin(self, expression: Expression) -> Evaluator:
        if expression.column is not None:
            return self._reader(expression.column) or _nothing
        if expression.value is not None:
            constant = (expression.value,)
            return lambda values: constant
        if expression.named is not None:
            return self._named(expression.named)
        if expression.first:
            return self._first(
                [self.compile(each) for each in expression.first if self.typed or self.known(each)]
            )
        if expression.all:
            parts = [self.compile(each) for each in expression.all]
            return lambda values: tuple(text for part in parts for text in part(values))
        parts, separator = [self.compile(each) for each in expression.join], expression.separator
        every = expression.every

        def joined(values: Values) -> Texts:
            said = [[as_text(text).strip() for text in part(values) if self.states(text)] for part in parts]
            if every and not all(said):
                return _NOTHING
            stated = [text for texts_ in said for text in texts_]
            return (separator.join(stated),) if stated else _NOTHING

        return joined

    def _reader(self, name: str, *, strict: bool = False) -> Evaluator | None:
        """What reads a column, or the way into nested values; None where there is no such column. `strict`: nor one that only
        later records may have."""
        column, as_values = self.columns.find(name), self._values
        if column is not None:

            def read(values: Values) -> Texts:
                return as_values(values.get(column))

            return read
        first, _, rest = name.partition(".")
        outer = self.columns.find(first)
        if not rest and self.typed and not strict:
            # Records of such formats may have what the first ones lack.
            return lambda values: as_values(values.get(name))
        if not rest or (outer is None and not self.typed):
            return None
        steps = rest.split(".")
        if outer is None:
            outer = first
        return lambda values: as_values(within(values.get(outer), steps))

    def _first(self, choices: list[Evaluator]) -> Evaluator:
        if not choices:
            return _nothing

        def first(values: Values) -> Texts:
            said = _NOTHING
            for choice in choices:
                found = choice(values)
                if any(map(self.states, found)):
                    return found
                said = said or found
            return said

        return choices[0] if len(choices) == 1 else first

    def _named(self, named: Named) -> Evaluator:
        wanted = {loosened(name) for name in named.name}
        if "{n}" not in named.names:
            outer = [self.columns.find(way.partition(".")[0]) for way in (named.names, named.values)]
            ways = [
                ".".join([found or way.partition(".")[0], *way.split(".")[1:]])
                for found, way in zip(outer, (named.names, named.values), strict=True)
            ]

            def listed(values: Values) -> Texts:
                return tuple(
                    text
                    for name, value in pairs_within(values, *ways)
                    if loosened(name) in wanted
                    for text in texts(value)
                )

            return listed
        pairs: list[tuple[str, str]] = []
        for number in range(MOST_PAIRS):
            name = self.columns.find(named.names.replace("{n}", str(number)))
            value = self.columns.find(named.values.replace("{n}", str(number)))
            if name is not None and value is not None:
                pairs.append((name, value))

        def numbered(values: Values) -> Texts:
            for name, value in pairs:
                if loosened(as_text(values.get(name) or "")) in wanted:
                    return texts(values.get(value))
            return _NOTHING

        return numbered

    def _only(self, condition: Condition, found: Evaluator) -> Evaluator:
        holds = self.condition(condition)
        return lambda values: found(values) if holds(values) else _NOTHING

    def condition(self, condition: Condition | None) -> Callable[[Values], bool]:
        """Whether a condition holds for a record; without one it does for all."""
        if condition is None:
            return lambda values: True
        column = self._reader(condition.column) or _nothing
        among, but = set(map(loosened, condition.among)), set(map(loosened, condition.but))
        stated, empty = condition.stated, condition.empty

        def holds(values: Values) -> bool:
            said = column(values)
            held = {loosened(as_text(text)) for text in said}
            if (stated or empty) and any(map(self.states, said)) is not stated:
                return False
            return not ((among and not held & among) or held & but)

        return holds

    def _steps(self, expression: Expression) -> list[Callable[[Texts], Texts]]:
        steps: list[Callable[[Texts], Texts]] = []
        if expression.match is not None:
            steps.append(_matching(expression.match))
        if expression.split is not None:
            steps.append(_splitting(expression.split))
        if expression.path is not None:
            steps.append(_level(expression.path, expression.level))
        if expression.strip_html:
            steps.append(_each(stripped_html))
        if expression.prefix:
            steps.append(_prefixed(expression.prefix))
        if expression.whole:
            steps.append(_each(whole))
        if expression.words:
            steps.append(_words(expression.words, keep=expression.others == "keep"))
        if expression.vocabulary is not None:
            steps.append(_known_to(expression.vocabulary))
        if expression.year:
            steps.append(_each(year_of))
        if expression.scale is not None:
            factor = Decimal(expression.scale)
            steps.append(_each(lambda text: scaled(text, factor)))
        if expression.uuid is not None:
            kind = expression.uuid
            steps.append(
                lambda found: tuple(uuid_of(self._source, kind, text) for text in found if self.states(text))
            )
        if expression.skip:
            steps.append(lambda found: found[expression.skip :])
        if expression.part is not None:
            part = expression.part

            def one(found: Texts) -> Texts:
                return found[part : part + 1 or None]

            steps.append(one)
        return steps


def _nothing(values: Values) -> Texts:
    return _NOTHING


def _after(found: Evaluator, step: Callable[[Texts], Texts]) -> Evaluator:
    def both(values: Values) -> Texts:
        before = found(values)
        return step(before) if before else before

    return both


def _each(change: Callable[[str], str]) -> Callable[[Texts], Texts]:
    return lambda found: tuple(map(change, found))


def _splitting(separator: str) -> Callable[[Texts], Texts]:
    # Systems that join by a comma write a comma of a member's own with a backslash before it (WooCommerce).
    between = re.compile(rf"(?<!\\){re.escape(separator.strip() or separator)}")
    own = "\\" + (separator.strip() or separator)

    def split(found: Texts) -> Texts:
        return tuple(
            part.replace(own, own[1:]).strip()
            for text in found
            for part in between.split(text)
            if part.strip()
        )

    return split


def _level(separator: str, level: int | None) -> Callable[[Texts], Texts]:
    between = separator.strip() or separator

    def levels(found: Texts) -> Texts:
        paths = [tuple(part.strip() for part in text.split(between) if part.strip()) for text in found]
        longest = max(paths, key=len, default=())
        if level is None:
            return longest
        return longest[level : level + 1 or None] if -len(longest) <= level < len(longest) else _NOTHING

    return levels


def _prefixed(prefixes: Sequence[str]) -> Callable[[Texts], Texts]:
    lowered = tuple(prefix.casefold() for prefix in prefixes)

    def only(found: Texts) -> Texts:
        kept = []
        for text in found:
            plain = text.strip()
            for prefix in lowered:
                if plain.casefold().startswith(prefix):
                    kept.append(plain[len(prefix) :].strip())
                    break
        return tuple(kept)

    return only


def _matching(pattern: str) -> Callable[[Texts], Texts]:
    compiled = re.compile(pattern)

    def matching(found: Texts) -> Texts:
        there = (compiled.search(text) for text in found)
        parts = ((match.group(1) if compiled.groups else match.group()) for match in there if match)
        return tuple(part for part in parts if part)

    return matching


def _words(table: Mapping[str, str], *, keep: bool) -> Callable[[Texts], Texts]:
    plain = {loosened(word): meant for word, meant in table.items()}

    def named(found: Texts) -> Texts:
        if keep:
            return tuple(plain.get(loosened(text), text) for text in found)
        return tuple(plain[loosened(text)] for text in found if loosened(text) in plain)

    return named


def _known_to(vocabulary: str) -> Callable[[Texts], Texts]:
    def known(found: Texts) -> Texts:
        from fashion_assets.catalog.normalization import canonical  # here: most mappings ask no vocabulary

        kept = []
        for text in found:
            value, is_known = canonical(vocabulary, text)
            if value is not None and is_known:
                kept.append(text)
        return tuple(kept)

    return known


def stripped_html(text: str) -> str:
    """The text of HTML: what a reader of the page sees, a line for each block. WooCommerce writes the ends of its lines as `\\n`."""
    text = text.replace("\\r\\n", "\n").replace("\\n", "\n")
    if "<" not in text and "&" not in text:
        return text
    from selectolax.lexbor import LexborHTMLParser  # here: few sources have HTML

    page = LexborHTMLParser(text)
    page.strip_tags(["script", "style", "template"])
    body = page.body
    lines = (body.text(separator="\n", strip=False) if body else "").splitlines()
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)


def whole(text: str) -> str:
    """A whole number that went through a float, whole again; any other text as it is."""
    return read_id(text).value or text


def year_of(text: str) -> str:
    """The year of a year, a date, a time, or of seconds or milliseconds since 1970; the text where there is none beyond doubt."""
    plain = text.strip()
    if _SECONDS.fullmatch(plain):
        seconds = float(plain) / (1000 if len(plain.partition(".")[0]) > 10 else 1)
        return str(datetime.fromtimestamp(seconds, UTC).year)
    return read_year(plain) or text


def scaled(text: str, factor: Decimal) -> str:
    """A number times a factor; any other text as it is."""
    try:
        return format(Decimal(text.strip()) * factor, "f")
    except InvalidOperation:
        return text
