"""Which fields of a record hold its text, and which state a property.

What belongs here: finding them by their names, as systems call them. What does not: reading properties from text
(`catalog.ontology`), mappings, which say it for one system (`sources.mapping`).
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from fashion_assets.catalog.ontology.vocabulary import PROPERTIES, ontology
from fashion_assets.sources.columns import folded, synonyms

_ATTRIBUTES = {"color": "colour", "subcategory": "article_type"}
"""Properties that `synonyms.toml` calls otherwise."""

_NO_STATEMENT = frozenset({"status", "type", "collection", "reference", "label", "text"})
"""Names that say too little: a listing's status is not its condition."""

MOST = 500
"""Characters of a stated value; a longer one is a text."""


class Statements(NamedTuple):
    """What a record says, by what it is."""

    title: str | None
    description: str | None
    stated: dict[str, list[str]]
    """By property (and `brand`), in the record's own words."""
    id: str | int | None = None
    """What the record calls itself."""


@cache
def _names() -> dict[str, tuple[str, ...]]:
    """By property, the folded names of fields that state it, the surest first; `title` and `description` too."""
    known, called = ontology(), synonyms()
    names: dict[str, tuple[str, ...]] = {
        name: called[name] for name in ("id", "title", "description", "brand")
    }
    for name in PROPERTIES:
        file = "colour" if name == "color" else name
        own = (
            [folded(column) for column in known.properties[file].columns] if file in known.properties else []
        )
        shared = [each for each in called.get(_ATTRIBUTES.get(name, name), ()) if each not in _NO_STATEMENT]
        names[name] = tuple(dict.fromkeys((*names.get(name, ()), *own, *shared, folded(name))))
    return names


def statements(record: Mapping[str, Any]) -> Statements:
    """The text and the statements of a record, whatever its fields are called. A field is used once."""
    fields: dict[str, Any] = {}
    for key, value in record.items():
        if value not in (None, "", [], {}):
            fields.setdefault(folded(str(key)), value)
    found: dict[str, Any] = {}
    for name, names in _names().items():
        for each in names:
            if each in fields:
                found[name] = fields.pop(each)
                break
    stated = {
        name: texts
        for name, value in found.items()
        if name not in ("id", "title", "description")
        and (texts := [text for text in _texts(value) if len(text) <= MOST])
    }
    own = found.get("id")
    return Statements(
        _joined(found.get("title")),
        _joined(found.get("description")),
        stated,
        own if isinstance(own, str | int) and not isinstance(own, bool) else None,
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        yield from _texts(value.get("name") or value.get("title"))


def _joined(value: Any) -> str | None:
    return "\n".join(_texts(value)) or None if value is not None else None
