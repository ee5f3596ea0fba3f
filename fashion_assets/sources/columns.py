"""Names of columns: which column of a file a mapping means, whatever the export made of its name.

What belongs here: comparing names, the synonyms of attributes (`synonyms.toml`) and of what else columns are (`called.toml`). What does not: what is
done with a column's values (`sources.expressions`).
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

_MARKS = "*#: \t\r\n\u0085\u00a0\ufeff"

_ROOM = resources.files("fashion_assets.sources")
SYNONYMS, CALLED = _ROOM.joinpath("synonyms.toml"), _ROOM.joinpath("called.toml")


@cache
def folded(name: str) -> str:
    """A column's name without what exports change: case, accents, blanks, underscores, hyphens, signs at the ends that mark what must be
    stated (`id*`), or the header (`#id`)."""
    plain = unicodedata.normalize("NFKD", name).casefold().strip(_MARKS)
    return "".join(
        character
        for character in plain
        if character not in " _-\t"
        and not unicodedata.combining(character)
        and unicodedata.category(character)
        not in ("Cc", "Cf")  # what does not show, a byte order mark for one
    )


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """By attribute (and `id`, `image`), what systems call it, folded; the surest first."""
    said = tomllib.loads(SYNONYMS.read_text("utf-8"))
    return {attribute: tuple(dict.fromkeys(map(folded, names))) for attribute, names in said.items()}


@cache
def names_of(what: str) -> tuple[str, ...]:
    """What systems call columns, members and kinds of rows of this sort, as `called.toml` has it; where one is looked for the surest first."""
    return tuple(tomllib.loads(CALLED.read_text("utf-8"))[what])


def is_called(name: str, what: str) -> bool:
    """Whether a column or member is called as those of this sort are."""
    return folded(name) in _folded(what)


@cache
def _folded(what: str) -> frozenset[str]:
    return frozenset(map(folded, names_of(what)))


_TOKENS = re.compile(r"[^\W\d_]+|[^\w\s().\[\]/-]")


def stated_currency(name: str) -> tuple[str, str | None]:
    """The name of a column of prices without the currency it states, and that: `Price (EUR)`, `price_usd`, `Preis in €`."""
    from fashion_assets.sources.currencies import currency_of  # here: few columns state one

    tokens = list(_TOKENS.finditer(name))
    for token in reversed(tokens[1:]):
        said = token.group()
        # As words many codes mean something else (ALL, TRY): a code is told by its letters, and stands at the end.
        if (not said.isalpha() or len(said) == 3) and (code := currency_of(said.upper())):
            rest = re.sub(r"(?i)\bin\s*$", "", re.sub(r"[\s(_\[/-]+$", "", name[: token.start()])).strip()
            return rest, code
        break
    return name, None


_LANGUAGE = r"(?:en|de|fr|es|it|nl|pt|pl|sv|da|fi|cs|hu|tr|ru|ja|zh|ko|ar|default)(?:[-_][A-Za-z]{2})?"
_IN_LANGUAGE = re.compile(
    rf"(?i)^translations\.{_LANGUAGE}\.|\.translations\.{_LANGUAGE}\.name$|[-_. (\[]+{_LANGUAGE}[)\]]?(?:-[a-z]+)?$|^{_LANGUAGE}[_-](?=.{{4}})"
)


@cache
def without_language(name: str) -> str:
    """A column's name without the language it is of, or what else systems put before an attribute: `name-en_US`, `title(en-gb)`,
    `translations.DEFAULT.name`, `DE_Title`, `C:Brand`. Of `brand:name` the brand is meant, and not a name."""
    plain = _IN_LANGUAGE.sub("", name)
    before, colon, rest = plain.lstrip("*").partition(":")
    if colon and before.isalpha() and rest[:1].isalnum():
        return before if any(folded(before) in names for names in synonyms().values()) else rest
    return plain


class Columns:
    """The columns of one file, found by the names a mapping gives them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._exact = frozenset(names)
        self._folded: dict[str, str] = {}
        for name in names:
            self._folded.setdefault(folded(name), name)

    def find(self, name: str) -> str | None:
        """The column of this name, as it stands in the file; None where there is none."""
        return name if name in self._exact else self._folded.get(folded(name))

    def synonym(self, attribute: str, taken: Iterable[str] = ()) -> str | None:
        """A column that is called as systems call this attribute, but for those taken already."""
        used = set(taken)
        for name in synonyms().get(attribute, ()):
            found = self._folded.get(name)
            if found is not None and found not in used:
                return found
        return None

    def money(self, names: Iterable[str]) -> str | None:
        """A column of prices that is called like one of these names but for the currency it states."""
        wanted = {folded(name) for name in names}
        for name in self.names:
            rest, currency = stated_currency(name)
            if currency is not None and folded(rest) in wanted:
                return name
        return None
