"""What a person's record says they like: canonical values by column of products.

What belongs here: finding stated preferences in a record of any shape, and their canonical values. What does not: what a
person marked (`favourites`), and finding products by it (`search.people`).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fashion_assets.catalog.brands import canonical_brand
from fashion_assets.catalog.normalization import FIELDS, canonical_list


def stated_style(record: str) -> dict[str, tuple[str, ...]]:
    """Canonical values by column of products that a person's record (JSON) states as preferences.

    Read from keys that name a column, alone or in the plural, after `preferred_`, `favourite_`, `favorite_` or
    `style_`, at any depth: `{"style_features": {"preferred_colours": ["Red"]}}`. Values no vocabulary knows are left out, and
    what is no text a database can hold.
    """
    style: dict[str, dict[str, None]] = {}
    try:
        stated = list(_leaves(json.loads(record)))
    except (ValueError, RecursionError):  # of no use, or nested beyond any use
        return {}
    for key, raw in stated:
        column = _column(key)
        if column is None:
            continue
        if column == "brand":
            parts = [part.strip() for part in raw.replace(";", ",").split(",")]
            values = [canonical_brand(part) for part in parts if part and _is_text(part)]
        else:
            values, unknown = canonical_list(column, raw)
            values = [value for value in values if value not in unknown]
        style.setdefault(column, {}).update(dict.fromkeys(values))
    return {column: tuple(values) for column, values in style.items() if values}


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    elif isinstance(value, str):
        yield key, value


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _column(key: str) -> str | None:
    name = key.lower().replace("-", "_").replace(" ", "_").replace("color", "colour")
    for prefix in ("preferred_", "favourite_", "favorite_", "style_"):
        name = name.removeprefix(prefix)
    singular = {"categories": "category", "sub_categories": "sub_category"}.get(name, name.removesuffix("s"))
    return next((column for column in (name, singular) if column in (*FIELDS, "brand")), None)
