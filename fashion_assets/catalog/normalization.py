"""Canonical values: one lower-case word for one thing, whatever the source calls it.

What belongs here: mapping raw values to the vocabularies in `vocabularies/*.json`, and the `normalized`
object. What does not: judging (`catalog.validation`); the record, which is passed on untouched; reading
properties from free text.

Columns are mapped by dictionary encoding: each distinct value is looked up once, and the JSON objects are
joined from fragments that were encoded once, so the cost per product is that of copying strings.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, partial

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import one_array
from fashion_assets.catalog import attributes, seasons, wordlists
from fashion_assets.catalog.brands import brand_from_title, canonical_brand
from fashion_assets.catalog.listing import NORMALIZED_SCHEMA, PRODUCT_SCHEMA
from fashion_assets.catalog.ontology import named
from fashion_assets.catalog.ontology import vocabulary as words
from fashion_assets.catalog.sizes import canonical_size
from fashion_assets.catalog.stated import NULL_WORDS

RULES_VERSION = "6"
"""Raise it when a rule here changes. Vocabularies are part of the version by themselves."""

NORMALIZATION_VERSION = f"{RULES_VERSION}-{wordlists.version()}-{words.version()}-{attributes.version('vocabulary', 'many', 'read')}-{seasons.version()}"
"""Changes whenever a vocabulary, a rule here or what the table of attributes says of vocabularies changes: what was made with
another one is made again."""

FIELDS = attributes.VOCABULARIES
"""Columns with a vocabulary."""

_MANY = tuple(each.name for each in attributes.ATTRIBUTES if each.many)
_OF_RECORDS = ("mood",)

LISTS = (*_OF_RECORDS, *_MANY)
"""Lists of the `normalized` object (E1), where the record states them; the first is in no column."""

_SEPARATORS = re.compile(r"\s*[,;/|]\s*|\s+&\s+|\s+and\s+")
_LISTS_IN_RECORD = rf'"(?i:{"|".join(_OF_RECORDS)})s?"\s*:'
_BRAND_IN_RECORD = r'"(?i:brand(?:_?name)?)"\s*:'


@cache
def vocabulary(field: str) -> dict[str, str]:
    """Canonical value by name, for each canonical value and each of its synonyms; all lower case."""
    read_as = attributes.READ.get(field, ())
    if not wordlists.is_there(field):
        return dict(words.names(read_as[0])) if read_as else {}
    known = {name: value for value, synonyms in wordlists.read(field).items() for name in (value, *synonyms)}
    return {**words.names(read_as[0]), **known} if field in attributes.SPARSE else known


def canonical(field: str, raw: str) -> tuple[str | None, bool]:
    """The canonical value of a raw one and whether the vocabulary knows it; (None, True) for null-like
    words."""
    name = " ".join(raw.replace("\u2019", "'").lower().split())
    if name in NULL_WORDS:
        return None, True
    value = vocabulary(field).get(name) or next(iter(_within(field, name)), None)
    return (name, False) if value is None else (value, True)


def _within(field: str, name: str) -> list[str]:
    """The values named in a longer statement ("80% wool, lining of silk"), of what has the words of a property; of seasons in their codes, too."""
    if field == "season":
        return seasons.stated(name.lower())
    if wordlists.is_there(field) or field not in attributes.READ:
        return []
    return named.stated_values(attributes.READ[field][0], name)


def canonical_list(field: str, raw: object) -> tuple[list[str], list[str]]:
    """Canonical values of a raw list (or of text like "Fall/Winter"), each once, in order; and the unknown
    ones."""
    if isinstance(raw, str):
        whole, known = canonical(field, raw)
        items: Iterable[object] = [raw] if known and whole else _SEPARATORS.split(raw.strip().strip("[]"))
    elif isinstance(raw, list | tuple):
        items = raw
    else:
        items = ()
    values: dict[str, bool] = {}
    for item in items:
        if isinstance(item, str):
            text = _storable(item).strip("\"' ")
            value, known = canonical(field, text)
            if value is not None:
                values.setdefault(value, known)
                values.update((further, True) for further in _within(field, text) if known)
    return list(values), [value for value, known in values.items() if not known]


def _storable(text: str) -> str:
    """The text with question marks for what no text in the database can hold, which JSON can spell: NUL, half of a surrogate
    pair."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def normalize(products: pa.Table, *, at: datetime) -> pa.Table:
    """Products (PRODUCT_SCHEMA) with canonical attribute columns and a `normalized` JSON object (NORMALIZED_SCHEMA).

    `normalized` holds, where there are any: the canonical values of columns with a vocabulary, the `brand` (lower case), the lists (`LISTS`) that the
    record states, and `unknown`, by field the values that no vocabulary knows (kept, in lower case). It always holds `normalized_at` (ISO 8601, UTC)
    and `normalized_version`. Raises ValueError where `at` does not know its time zone.

    A brand the source states is kept in the gazetteer's spelling. Where a source has no brand column, brands are read from the titles; where it has one
    and leaves it empty, it stays empty, because the column's coverage is measured.
    """
    if at.tzinfo is None:
        raise ValueError("normalize(at=...) needs a time with a time zone")
    products = products.select(PRODUCT_SCHEMA.names).combine_chunks()
    columns = {name: one_array(products[name]) for name in products.column_names}
    fragments: list[pa.Array] = []
    unknown: list[pa.Array] = []

    for field in FIELDS:
        several = field in _MANY
        if several:
            columns[field] = _with_lists(field, columns[field], columns["record"])
        mapping = _several if several else _scalar
        values, pieces, strangers = _mapped(columns[field], partial(mapping, field))
        columns[field] = values
        fragments.append(pieces)
        unknown.append(strangers)

    columns["size"], sizes, _ = _mapped(columns["size"], _size)
    fragments.append(sizes)
    columns["brand"], brand_origin = _brands(columns)
    fragments.append(
        _mapped(columns["brand"], lambda brand: (brand, f'"brand":{_json(brand.lower())}', None))[1]
    )

    lists, strangers = _lists(columns["record"])
    if lists is not None and strangers is not None:
        fragments.append(lists)
        unknown.append(strangers)

    unknown = [strangers for strangers in unknown if strangers.null_count < len(strangers)]
    if unknown:
        inside = _joined(unknown)
        whole = pc.binary_join_element_wise('"unknown":{', inside, "}", "")
        fragments.append(pc.if_else(pc.equal(inside, ""), pa.scalar(None, pa.string()), whole))
    stamp = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = f'"normalized_at":{_json(stamp)},"normalized_version":{_json(NORMALIZATION_VERSION)}'
    fragments.append(pa.repeat(made, products.num_rows))
    columns["normalized"] = pc.binary_join_element_wise("{", _joined(fragments), "}", "")
    columns["brand_origin"] = brand_origin
    columns["story"] = pa.nulls(products.num_rows, pa.string())
    return pa.Table.from_arrays([columns[name] for name in NORMALIZED_SCHEMA.names], schema=NORMALIZED_SCHEMA)


_json: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _joined(fragments: list[pa.Array]) -> pa.Array:
    """The fragments of each row, with commas between; nulls are left out."""
    # The empty text is there because Arrow drops a row of nothing but nulls; its comma is taken off again.
    return pc.utf8_ltrim(pc.binary_join_element_wise("", *fragments, ",", null_handling="skip"), ",")


Mapped = tuple[str | None, str | None, str | None]
"""A canonical value, its fragment of the JSON object, and the fragment for `unknown`."""


def _mapped(column: pa.Array, mapping: Callable[[str], Mapped]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Apply `mapping` to each distinct value once."""
    encoded = pc.dictionary_encode(column)
    results = [mapping(raw) for raw in encoded.dictionary.to_pylist()]
    taken = [
        pa.array([result[part] for result in results], pa.string()).take(encoded.indices) for part in range(3)
    ]
    return taken[0], taken[1], taken[2]


def _scalar(field: str, raw: str) -> Mapped:
    value, known = canonical(field, raw)
    if value is None:
        return None, None, None
    fragment = f'"{field}":{_json(value)}'
    return value, fragment, None if known else fragment


def _size(raw: str) -> Mapped:
    value = canonical_size(raw)
    return value, None if value is None else f'"size":{_json(value)}', None


def _several(field: str, raw: str) -> Mapped:
    """The column has one value, the first; the object has them all."""
    values, strangers = canonical_list(field, raw)
    if not values:
        return None, None, None
    return values[0], f'"{field}":{_json(values)}', f'"{field}":{_json(strangers)}' if strangers else None


def _brands(columns: dict[str, pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Brands, and where each came from."""
    none = pa.scalar(None, pa.string())
    stated = _mapped(columns["brand"], lambda raw: (canonical_brand(raw) or None, None, None))[0]
    has_column = pc.or_(pc.is_valid(stated), pc.match_substring_regex(columns["record"], _BRAND_IN_RECORD))
    silent_titles = pc.if_else(has_column, none, columns["title"])
    read = _mapped(silent_titles, lambda title: (brand_from_title(title), None, None))[0]
    brand = pc.coalesce(stated, read)
    origin = pc.if_else(pc.is_valid(stated), "source", pc.if_else(pc.is_valid(read), "title", none))
    return brand, origin


def _with_lists(field: str, column: pa.Array, records: pa.Array) -> pa.Array:
    """The column, with the record's list of its values (["Fall", "Winter"] as "Fall;Winter") where the record has one."""
    stating = pc.match_substring_regex(records, rf'"(?i:{field}s?)"\s*:\s*\[')
    if not pc.any(stating).as_py():
        return column
    listed: list[str | None] = []
    for text in records.filter(stating).to_pylist():
        raw = _lowered(text).get(field, _lowered(text).get(f"{field}s"))
        items = [_storable(item) for item in raw if isinstance(item, str)] if isinstance(raw, list) else []
        listed.append(";".join(items) or None)
    return pc.replace_with_mask(
        column, stating, pc.coalesce(pa.array(listed, pa.string()), column.filter(stating))
    )


def _lowered(text: str) -> dict[str, object]:
    """The record with its keys in lower case; nothing if it is no object, or one nested without end."""
    try:
        record = json.loads(text)
    except RecursionError:
        return {}
    return {str(key).lower(): value for key, value in record.items()} if isinstance(record, dict) else {}


def _lists(records: pa.Array) -> tuple[pa.Array | None, pa.Array | None]:
    """Fragments for the lists only the record states; (None, None) where no record states any."""
    stating = pc.match_substring_regex(records, _LISTS_IN_RECORD)
    if not pc.any(stating).as_py():
        return None, None
    fragments: list[str | None] = []
    unknown: list[str | None] = []
    for text, states in zip(records.to_pylist(), stating.to_pylist(), strict=True):
        found, strange = _lists_of(text) if states else ([], [])
        fragments.append(",".join(found) or None)
        unknown.append(",".join(strange) or None)
    return pa.array(fragments, pa.string()), pa.array(unknown, pa.string())


def _lists_of(text: str) -> tuple[list[str], list[str]]:
    lowered = _lowered(text)
    found: list[str] = []
    strange: list[str] = []
    for field in _OF_RECORDS:
        raw = lowered.get(field, lowered.get(f"{field}s"))
        values, strangers = canonical_list(field, raw)
        if values:
            found.append(f'"{field}":{_json(values)}')
        if strangers:
            strange.append(f'"{field}":{_json(strangers)}')
    return found, strange


def reuse_normalized(products: pa.Table, old: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows of `old` (NORMALIZED_SCHEMA) that still hold for these products, and the products to normalize.

    A row holds if the product's content is the same, the same rules accepted it, and this version of the
    vocabularies made it. The picture's place is taken from the product: it may be another one with the same
    bytes.
    """
    same_version = pc.match_substring(
        old["normalized"], f'"normalized_version":{_json(NORMALIZATION_VERSION)}'
    )
    old = old.filter(same_version).combine_chunks()
    positions = one_array(pc.index_in(products["product_id"], value_set=one_array(old["product_id"])))
    matched = old.take(positions)
    same = pc.and_(
        pc.equal(one_array(matched["content_hash"]), one_array(products["content_hash"])),
        pc.equal(one_array(matched["validated_with"]), one_array(products["validated_with"])),
    )
    holds = pc.fill_null(same, False)
    kept = matched.filter(holds)
    place = one_array(products["image_uri"]).filter(holds)
    index = kept.schema.get_field_index("image_uri")
    kept = kept.set_column(index, kept.schema.field(index), place)
    return kept.cast(NORMALIZED_SCHEMA), products.filter(pc.invert(holds))
