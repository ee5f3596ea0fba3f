"""Wardrobe documents: the canonical values of their styles, occasions, moods and seasons.

What belongs here: from a document's four fields to its `normalized` object, and reading one that is there, whoever wrote it. What does
not: which values go together (`catalog.compatibility`), where documents lie and what is done to many of them (`backfill`), the
`normalized` object of a product (`catalog.normalization`).

The words are data files (`wardrobe_words/*.json`): each canonical value with its synonyms, and values that are none. A wardrobe tells
things apart that a catalogue's filters put together (boho and bohemian, business and office), so its words are its own.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, NamedTuple

from fashion_assets.catalog import wordlists

FIELDS = ("style", "occasion", "mood", "season")
"""Of a document, and of its `normalized` object."""

WORDS = resources.files("fashion_assets.catalog").joinpath("wardrobe_words")

RULES_VERSION = "2.0"
"""Raise it when a rule here changes; the words' files are part of the version by themselves. Former systems wrote `1.0`."""

NORMALIZED = "normalized"

LONGEST = 60
"""Characters of a value; what is longer is a description."""

STATES_NOTHING = frozenset(
    {"", "unknown", "none", "null", "nil", "n/a", "n a", "na", "undefined", "not specified", "nan"}
)
"""Texts that stand where nothing is known, as `shaped` has them."""

Place = Literal["normalized", "metadata.normalized"]

_SEPARATED = re.compile(r"[,;|\n\r]+")
_JOINED = re.compile(r"\s*[/&+]\s*|\s+and\s+")
_BETWEEN_WORDS = re.compile(r"[\s_\-\u2010-\u2015\u2212\0-\x1f\x7f-\x9f]+")
_ENDS = " \t.:!?*#'\"`\u2018\u2019\u201c\u201d()[]{}<>"


class Normalized(NamedTuple):
    """What a document's four fields say, each by its field."""

    values: dict[str, list[str]]
    """Canonical values, each once, in the order they are stated; every field is there."""
    set_aside: dict[str, list[str]]
    """What is no value of the field at all, as it is stated; only fields with any."""
    unknown: dict[str, list[str]]
    """Those of `values` that no file of words has; only fields with any."""


class Stated(NamedTuple):
    """A `normalized` object that a document has, whoever wrote it."""

    place: Place
    values: dict[str, list[str]]
    at: datetime | None
    version: str | None


@cache
def version(folder: Traversable = WORDS) -> str:
    """What `normalized_version` says: another one whenever a rule or a file of words changes."""
    return f"{RULES_VERSION}+{wordlists.version(folder)[:8]}"


def is_ours(found: str | None) -> bool:
    """Whether a `normalized_version` is one that this module writes, with whichever words."""
    return found is not None and found.startswith(f"{RULES_VERSION}+")


def normalize(document: Mapping[str, Any]) -> Normalized:
    """The canonical values of a document, whatever its fields hold: lists, texts, several values in one text, nothing. The document
    stays as it is. Raises `wordlists.VocabularyError` where a file of words is not as it must be."""
    values: dict[str, list[str]] = {}
    aside: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for field in FIELDS:
        found: dict[str, bool] = {}
        for text in _texts(
            document.get(field), lambda what, field=field: aside.setdefault(field, []).append(what)
        ):
            for value in split(field, text):
                known = canonical(field, value)
                if known.is_none_of_it:
                    aside.setdefault(field, []).append(known.value)
                elif known.value:
                    found.setdefault(known.value, known.is_known)
        values[field] = list(found)
        if strange := [value for value, is_known in found.items() if not is_known]:
            unknown[field] = strange
    return Normalized(values, {field: list(dict.fromkeys(those)) for field, those in aside.items()}, unknown)


def normalized_object(found: Normalized, at: datetime) -> dict[str, Any]:
    """The `normalized` object as it is written into a document. `at` has a zone."""
    written: dict[str, Any] = dict(found.values)
    if found.set_aside:
        written["set_aside"] = found.set_aside
    written["normalized_at"] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    written["normalized_version"] = version()
    return written


def is_up_to_date(stated: object, found: Normalized) -> bool:
    """Whether a document's `normalized` is what `normalized_object` would write, but for the time."""
    return (
        isinstance(stated, dict)
        and stated.get("normalized_version") == version()
        and "normalized_at" in stated
        and all(stated.get(field) == values for field, values in found.values.items())
        and stated.get("set_aside", {}) == found.set_aside
        and len(stated) == len(found.values) + (3 if found.set_aside else 2)
    )


def stated(document: Mapping[str, Any]) -> Stated | None:
    """The `normalized` object that counts, of the two places and three spellings that systems wrote: ours, else the later one, else the
    one at the root. None where there is none."""
    metadata = document.get("metadata")
    nested = metadata.get(NORMALIZED) if isinstance(metadata, Mapping) else None
    found = [
        _read(place, value)
        for place, value in (("normalized", document.get(NORMALIZED)), ("metadata.normalized", nested))
        if isinstance(value, Mapping)
    ]
    if not found:
        return None
    return max(found, key=lambda each: (is_ours(each.version), each.at or datetime.min.replace(tzinfo=UTC)))


def values(document: Mapping[str, Any], field: str) -> list[str]:
    """The canonical values of one field: those that are stated as normalized, else what the original says. A former system left
    lists empty that it could not read."""
    said = stated(document)
    if said is not None and said.values[field]:
        return said.values[field]
    return normalize({field: document.get(field)}).values[field]


class Known(NamedTuple):
    """One value, as its field's words have it."""

    value: str
    """Canonical; as it is stated where it is no value of the field; empty where nothing is stated."""
    is_known: bool
    is_none_of_it: bool = False


@lru_cache(maxsize=65_536)
def canonical(field: str, text: str) -> Known:
    """One value of a field by its canonical name. What no file knows is kept, in the same shape."""
    value = shaped(text)
    if value in STATES_NOTHING:
        return Known("", True)
    squeezed = value.replace(" ", "")
    if (name := _names(field).get(squeezed)) is not None:
        return Known(name, True)
    if len(value) > LONGEST or squeezed in _aside(field) or not any(letter.isalpha() for letter in value):
        return Known(text.strip()[:LONGEST], False, is_none_of_it=True)
    return Known(value, False)


def shaped(text: str) -> str:
    """A text in the shape of canonical values: lower case, one space between words, whatever stood there, no marks around it."""
    before = None
    while text != before:
        before = text
        text = _BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", text).lower()).strip(_ENDS)
    return text


@lru_cache(maxsize=65_536)
def split(field: str, text: str) -> tuple[str, ...]:
    """The values in one text: `casual, formal` has two, `semi-formal/business` has two because it is both, and `rock and roll` is
    one."""
    if canonical(field, text).is_known:
        return (text,)
    found: list[str] = []
    for part in _SEPARATED.split(text):
        pieces = _JOINED.split(part.lower())
        whole = canonical(field, part)
        if (
            not whole.is_known
            and len(pieces) > 1
            and all(_is_said(canonical(field, piece)) for piece in pieces)
        ):
            found += pieces
        else:
            found.append(part)
    return tuple(found)


def _is_said(known: Known) -> bool:
    return known.is_known or known.is_none_of_it


@cache
def _names(field: str, folder: Traversable = WORDS) -> dict[str, str]:
    """Canonical value by what is typed without its spaces. Raises `wordlists.VocabularyError` for one name of two values."""
    names: dict[str, str] = {}
    for value, synonyms in wordlists.read(field, folder).items():
        for word in (value, *synonyms):
            other = names.setdefault(shaped(word).replace(" ", ""), value)
            if other != value:
                raise wordlists.VocabularyError(
                    f"{folder / f'{field}.json'}: {word!r} stands for both {other!r} and {value!r}; leave it to one of them."
                )
    return names


@cache
def _aside(field: str) -> frozenset[str]:
    return frozenset(shaped(word).replace(" ", "") for word in wordlists.listed(field, "set_aside", WORDS))


def _texts(raw: object, strange: Callable[[str], None]) -> Iterable[str]:
    """Every text of a field's value, however deep; what is none goes to `strange`."""
    if raw is None:
        return
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, list | tuple):
        for each in raw:
            yield from _texts(each, strange)
    else:
        strange(str(raw)[:LONGEST])


def _read(place: Any, value: Mapping[str, Any]) -> Stated:
    said = value.get("normalized_at", value.get("normalizedAt"))
    by = value.get("normalized_version", value.get("normalizedVersion"))
    lists = normalize(value).values
    return Stated(place, lists, time_of(said), None if by is None else str(by))


def time_of(said: object) -> datetime | None:
    """A time as the former systems wrote it: ISO text with a zone or without (UTC), seconds or milliseconds since 1970."""
    try:
        if isinstance(said, str):
            at = datetime.fromisoformat(said.strip())
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        if isinstance(said, int | float) and not isinstance(said, bool) and said > 0:
            return datetime.fromtimestamp(said / 1000 if said > 1e11 else said, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
