"""What products get of their words, and of their pictures, where their records are silent.

What belongs here: which attributes are silent, reading them, the values as a product's columns have them, with confidence, origin and
evidence. What does not: what words mean (`ontology`), what pictures show (`embedding.seeing`), canonical values of stated columns
(`normalization`).

A value the record states is never touched. `origins` says of every attribute that was filled where its value is from; one that has a
value and does not stand there is stated.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog import attributes, wordlists
from fashion_assets.catalog.listing import PROPERTIES_SCHEMA
from fashion_assets.catalog.normalization import canonical
from fashion_assets.catalog.ontology import calibration, named
from fashion_assets.catalog.ontology import vocabulary as words
from fashion_assets.catalog.ontology.found import Found
from fashion_assets.catalog.ontology.reading import read
from fashion_assets.catalog.ontology.triggers import triggers
from fashion_assets.catalog.sizes import canonical_size

RULES_VERSION = "1"
"""Raise it when reading comes to another result for the same words; the files of words and of confidences are part of the version by
themselves."""

EVIDENCE = 200
"""Characters of the words a value was read from that are kept."""

_MANY = frozenset(each.name for each in attributes.ATTRIBUTES if each.many)
_LISTED = frozenset(attributes.VOCABULARIES) | {"size"}
"""What stands in the `normalized` object."""

_json: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Filled(NamedTuple):
    """An attribute that was filled."""

    value: str
    also: tuple[str, ...]
    """Further values, of an attribute of which a product may have several."""
    origin: Mapping[str, Any]
    """As `origins` has it."""


Seen = Callable[[Sequence[int], str, Sequence[str | None]], Sequence[Filled | None]]
"""What pictures show of an attribute: asked for some rows, of which it is known or not what kind of thing they are (`article_type`), one
answer each; None where a picture cannot tell."""


@cache
def version() -> str:
    """Another one whenever the same words are read as something else."""
    return f"{RULES_VERSION}-{words.version()}-{calibration.version()}-{attributes.version('read', 'many', 'vocabulary')}"


def read_properties(
    products: pa.Table, read_with: str, *, text: bool = True, seen: Seen | None = None
) -> pa.Table:
    """What is to be had of attributes that products (NORMALIZED_SCHEMA) do not state (PROPERTIES_SCHEMA), one row each in their order.

    Args:
        read_with: kept with each row: what decided what was read.
        text: whether title and description are read.
        seen: what the pictures show; asked of those attributes alone that the words do not tell.
    """
    rows = products.num_rows
    silent = {name: pc.is_null(products[name]).to_pylist() for name in attributes.READ}
    filled: list[dict[str, Filled]] = _from_text(products, silent) if text else [{} for _ in range(rows)]
    if seen is not None and rows:
        stated = products["article_type"].to_pylist()
        kinds = [
            kind or (each["article_type"].value if "article_type" in each else None)
            for kind, each in zip(stated, filled, strict=True)
        ]
        for name, lacking in silent.items():
            places = [row for row in range(rows) if lacking[row] and name not in filled[row]]
            if places:
                told = seen(places, name, [kinds[row] for row in places])
                for row, found in zip(places, told, strict=True):
                    if found is not None:
                        filled[row][name] = found
    columns: dict[str, Any] = {
        name: pa.array([each[name].value if name in each else None for each in filled], pa.string())
        for name in attributes.READ
    }
    columns["origins"] = pa.array([_origins(each) for each in filled], pa.string())
    columns["lists"] = pa.array([_lists(each) for each in filled], pa.string())
    columns["read_with"] = pa.repeat(read_with, rows)
    for name in ("product_id", "content_hash", "validated_with"):
        columns[name] = products[name]
    return pa.table([columns[name] for name in PROPERTIES_SCHEMA.names], schema=PROPERTIES_SCHEMA)


def _origins(filled: Mapping[str, Filled]) -> str | None:
    return _json({name: each.origin for name, each in filled.items()}) if filled else None


def _lists(filled: Mapping[str, Filled]) -> str | None:
    parts = [
        f'"{name}":{_json([each.value, *each.also] if name in _MANY else each.value)}'
        for name, each in filled.items()
        if name in _LISTED
    ]
    return ",".join(parts) or None


class _Asked(NamedTuple):
    """What is looked for in the words of products that are silent of the same attributes."""

    attributes: tuple[str, ...]
    properties: frozenset[str]


@lru_cache(4096)
def _asked(names: tuple[str, ...]) -> _Asked:
    return _Asked(names, frozenset(read_as for name in names for read_as in attributes.READ[name]))


def _from_text(products: pa.Table, silent: Mapping[str, list[bool]]) -> list[dict[str, Filled]]:
    names = tuple(silent)
    columns = [
        products[name].to_pylist()
        for name in ("title", "description", "brand", "brand_origin", "article_type", "category", "colour")
    ]
    known: dict[tuple, dict[str, Filled]] = {}
    filled: list[dict[str, Filled]] = []
    for row, (title, description, brand, brand_origin, kind, category, colour) in enumerate(
        zip(*columns, strict=True)
    ):
        asked = _asked(tuple(name for name in names if silent[name][row]))
        key = (asked.attributes, title, description, brand, brand_origin, kind, category, colour)
        found = known.get(key)
        if found is None:
            line = _line(kind, category)
            found = known[key] = _read(asked, title, description, brand, brand_origin, line, colour)
        filled.append(dict(found))
    return filled


def _read(
    asked: _Asked,
    title: str | None,
    description: str | None,
    brand: str | None,
    brand_origin: str | None,
    line: tuple[str, ...],
    colour: str | None,
) -> dict[str, Filled]:
    """What the words of one listing say of the attributes that are asked for."""
    filled: dict[str, Filled] = {}
    properties = asked.properties
    if brand is not None and "designer_tier" in properties:
        # Of a brand that is known its words say no more.
        properties -= {"designer_tier"}
        tier = _tier(brand, brand_origin)
        if tier is not None:
            filled["designer_tier"] = tier
    trigger = triggers(properties)
    if not trigger.may_say(title or "") and not (description and trigger.may_say(description)):
        return filled
    stated = {name: value for name, value in (("brand", brand), ("color", colour)) if value is not None}
    reading = read(title, description, stated, wanted=properties, line=line)
    for name in asked.attributes:
        for read_as in attributes.READ[name]:
            found = reading.properties.get(read_as)
            value = _value(name, found) if found is not None and found.origin == "text" else None
            if found is not None and value is not None:
                filled[name] = Filled(value, found.also if name in _MANY else (), _origin(found))
                break
    return filled


@lru_cache(4096)
def _line(kind: str | None, category: str | None) -> tuple[str, ...]:
    """What kind of thing it is stated to be, as properties apply to it or not; one that is no garment at all has a line of its own."""
    known = next((line for each in (kind, category) if each and (line := named.line_of(each))), ())
    return known or ((category,) if category else ())


@lru_cache(4096)
def _tier(brand: str, brand_origin: str | None) -> Filled | None:
    tier = words.ontology().tiers.get(brand.lower())
    if tier is None:
        return None
    stated = brand_origin == "source"
    sure = calibration.STATED if stated else calibration.confidence("brand", "title")
    origin = {"origin": "stated" if stated else "text", "confidence": round(sure, 2), "evidence": brand}
    return Filled(tier, (), origin)


def _origin(found: Found) -> dict[str, Any]:
    said: dict[str, Any] = {
        "origin": found.origin,
        "confidence": round(found.confidence, 2),
        "evidence": found.evidence[:EVIDENCE],
    }
    if found.shares:
        said["shares"] = dict(found.shares)
    return said


def _value(attribute: str, found: Found) -> str | None:
    """A property's value as the attribute has it; None where the attribute's vocabulary has none for it."""
    if attribute == "size":
        system = found.system if found.system in _NUMBERED else None
        return canonical_size(f"{system} {found.value}" if system else found.value)
    return _canonical(attribute, (found.value, *found.under))


_NUMBERED = frozenset({"eu", "us", "uk", "fr", "it", "de", "jp"})
"""Systems whose name stands before the number."""


@lru_cache(4096)
def _canonical(attribute: str, line: tuple[str, ...]) -> str | None:
    if attribute in attributes.SPARSE or not wordlists.is_there(attribute):
        return line[0]
    for each in line:
        value, is_known = canonical(attribute, each)
        if is_known:
            return value
    return None


def reuse_properties(products: pa.Table, old: pa.Table, read_with: str) -> tuple[pa.Table, pa.Table]:
    """Rows of `old` (PROPERTIES_SCHEMA) that still hold for these products (NORMALIZED_SCHEMA), and the products to read.

    A row holds if the product's content is the same, the same rules accepted it, and the same decided what was read of it.
    """
    old = old.filter(pc.equal(old["read_with"], read_with)).combine_chunks()
    matched = old.take(pc.index_in(products["product_id"], value_set=old["product_id"].combine_chunks()))
    same = pc.and_(
        pc.equal(matched["content_hash"], products["content_hash"]),
        pc.equal(matched["validated_with"], products["validated_with"]),
    )
    holds = pc.fill_null(same, False)
    return matched.filter(holds).cast(PROPERTIES_SCHEMA), products.filter(pc.invert(holds))


def with_properties(products: pa.Table, properties: pa.Table) -> pa.Table:
    """Products (NORMALIZED_SCHEMA) with what was read of them (PROPERTIES_SCHEMA) in their silent columns and in the `normalized` object, and
    a column `origins`."""
    own = properties.take(
        pc.index_in(products["product_id"], value_set=properties["product_id"].combine_chunks())
    )
    for name in attributes.READ:
        if own[name].null_count < own.num_rows:
            place = products.schema.get_field_index(name)
            products = products.set_column(
                place, products.schema.field(place), pc.coalesce(products[name], own[name])
            )
    place = products.schema.get_field_index("normalized")
    rest = pc.utf8_slice_codeunits(products["normalized"], 1)
    whole = pc.binary_join_element_wise("{", own["lists"], ",", rest, "")
    products = products.set_column(
        place, products.schema.field(place), pc.coalesce(whole, products["normalized"])
    )
    return products.append_column("origins", own["origins"])
