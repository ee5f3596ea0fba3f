"""A catalogue looked at before it is migrated: how it is read, what its columns become, what would be rejected.

What belongs here: finding that out of the catalogue's first records, through the real reading and the real validation. What does
not: choosing the mapping (`sources.recognition`), showing it (`cli`). No database is needed, and none is made.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from fashion_assets.catalog.listing import ATTRIBUTES
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.rules import RULES, Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source
from fashion_assets.sources.columns import folded
from fashion_assets.sources.expressions import as_text, states
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.mapping_expression import Expression
from fashion_assets.sources.places import file_of
from fashion_assets.sources.prices import Notation
from fashion_assets.sources.recognition import Recognised
from fashion_assets.sources.records import Record
from fashion_assets.sources.source import KEYED_REFERENCE_SCHEMA, SourceError

SAMPLE = 2_000
"""Listings looked at: with their pictures a second or two."""

CHUNK = 500
EXAMPLES = 10
SHOWN = 80
"""Characters of an example."""


@dataclass(frozen=True)
class Inspection:
    """What was found, JSON-friendly and without secrets."""

    location: str
    file: str
    mapping: str
    title: str
    proposed: bool
    reason: str
    others: tuple[str, ...]
    notes: tuple[str, ...]
    how: Mapping[str, str]
    listings: int
    is_all: bool
    """Whether these are all listings there are, or only the first."""
    products: int
    quarantined: int
    columns: Sequence[Mapping[str, Any]]
    """In the file's order: `column`, `becomes` (attributes, `id`, `pictures`; none of what is left over), `stated` (listings), an
    `example`."""
    coverage: Mapping[str, int]
    """Products that have each attribute, a picture included."""
    critical: tuple[str, ...]
    picture: str
    price: Mapping[str, Any]
    """How prices are written, in words, and examples: text, amount, currency."""
    years: Sequence[Mapping[str, Any]]
    examples: Sequence[Mapping[str, Any]]
    """Products as they would be."""
    rejected: Sequence[Mapping[str, Any]]
    """Reasons: `reason`, `meaning`, `listings`, and an `example` (id and record)."""

    @property
    def left_over(self) -> list[str]:
        """Columns that nothing is made of: they are kept in the record all the same."""
        return [column["column"] for column in self.columns if not column["becomes"]]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "location": self.location,
            "file": self.file,
            "mapping": {
                "name": self.mapping,
                "title": self.title,
                "proposed": self.proposed,
                "reason": self.reason,
                "others": list(self.others),
                "notes": list(self.notes),
            },
            "how": dict(self.how),
            "looked_at": {"listings": self.listings, "all": self.is_all},
            "products": self.products,
            "quarantined": self.quarantined,
            "profile": {"critical": list(self.critical), "picture": self.picture},
            "columns": [dict(column) for column in self.columns],
            "left_over": self.left_over,
            "coverage": dict(self.coverage),
            "price": dict(self.price),
            "years": [dict(year) for year in self.years],
            "examples": [dict(example) for example in self.examples],
            "rejected": [dict(each) for each in self.rejected],
        }


def inspect(
    recognised: Recognised, settings: Settings, *, pictures: str | None = None, most: int = SAMPLE
) -> Inspection:
    """Look at the first `most` listings. Raises SourceError where the catalogue cannot be read."""
    options = {"mapping": recognised.mapping, "pictures": pictures}
    source = open_source("catalogue", settings.source_name, recognised.location, settings, options)
    assert isinstance(source, Mapped)
    references = list(source.scan(most + 1))  # one more says whether there is more
    table = pa.concat_tables(references) if references else KEYED_REFERENCE_SCHEMA.empty_table()
    is_all = table.num_rows <= most
    looked = _Looked(source, settings)
    for start in range(0, min(table.num_rows, most), CHUNK):
        looked.take(table.slice(start, min(CHUNK, most - start)))
    mapping = recognised.mapping
    return Inspection(
        location=source.shown(recognised.location),
        file=source.shown(file_of(recognised.location, mapping.files)),
        mapping=mapping.name,
        title=mapping.title,
        proposed=recognised.proposed,
        reason=recognised.reason,
        others=recognised.others,
        notes=(*recognised.notes, *source.notes, *_left_out(source)),
        how={str(key): str(value) for key, value in _said(source.found.get("how")).items()},
        listings=looked.listings,
        is_all=is_all,
        products=looked.products,
        quarantined=looked.listings - looked.products,
        columns=_columns(source, most),
        coverage=dict(looked.coverage),
        critical=source.profile.critical,
        picture=source.profile.picture,
        price=_prices(source, most),
        years=looked.years,
        examples=looked.examples,
        rejected=looked.rejected(),
    )


def _left_out(source: Mapped) -> list[str]:
    said = ", ".join(f"{count:,} {what}" for what, count in source.left_out.items())
    return [f"no listings: {said}"] if said else []


def _said(kept: object) -> Mapping[str, Any]:
    return kept if isinstance(kept, Mapping) else {}


class _Looked:
    """What became of the listings so far."""

    def __init__(self, source: Mapped, settings: Settings) -> None:
        self.source = source
        self.rules = Rules.from_settings(settings, source.profile)
        self.listings = self.products = 0
        self.coverage: Counter[str] = Counter({name: 0 for name in (*ATTRIBUTES, "picture")})
        self.examples: list[dict[str, Any]] = []
        self.years: list[dict[str, Any]] = []
        self._seen: Counter[str | None] = Counter()
        self._reasons: Counter[str] = Counter()
        self._rejections: dict[str, dict[str, Any]] = {}

    def take(self, references: pa.Table) -> None:
        """Read, judge and count some more."""
        ids = references["external_id"].to_pylist()
        occurrences = []
        for identity in ids:
            occurrences.append(self._seen[identity] if identity is not None else 0)
            self._seen[identity] += 1
        keys = [str(self.listings + row) for row in range(len(ids))]
        keyed = references.append_column("listing_key", pa.array(keys, pa.string()))
        keyed = keyed.append_column("occurrence", pa.array(occurrences, pa.int32()))
        listings = self.source.read(keyed.select(KEYED_REFERENCE_SCHEMA.names))
        self.listings += listings.num_rows
        judged = validate(listings, self.rules, pictures_in=self.source.picture_folders)
        self.products += judged.products.num_rows
        for name in ATTRIBUTES:
            self.coverage[name] += judged.products.num_rows - judged.products[name].null_count
        self.coverage["picture"] += judged.products.num_rows - judged.products["image_sha256"].null_count
        if len(self.examples) < EXAMPLES and judged.products.num_rows:
            some = judged.products.slice(0, EXAMPLES - len(self.examples))
            for row in normalize(some, at=datetime.now(UTC)).to_pylist():
                self.examples.append(_example(row))
        if len(self.years) < EXAMPLES:
            self._take_years(listings, judged.products)
        for row in judged.rejections.to_pylist():
            for reason in row["reasons"]:
                self._reasons[reason] += 1
                self._rejections.setdefault(
                    reason, {"external_id": row["external_id"], "record": row["record"][:300]}
                )

    def _take_years(self, listings: pa.Table, products: pa.Table) -> None:
        read = dict(zip(products["listing_key"].to_pylist(), products["year"].to_pylist(), strict=True))
        known = {example["text"] for example in self.years}
        for key, text in zip(listings["listing_key"].to_pylist(), listings["year"].to_pylist(), strict=True):
            if text is not None and key in read and text not in known and len(self.years) < EXAMPLES:
                known.add(text)
                self.years.append({"text": text, "year": read[key]})

    def rejected(self) -> list[dict[str, Any]]:
        """Every reason, the most frequent first."""
        meanings = {rule.name: rule.meaning for rule in RULES}
        return [
            {
                "reason": reason,
                "meaning": meanings.get(reason, ""),
                "listings": count,
                "example": self._rejections[reason],
            }
            for reason, count in sorted(self._reasons.items(), key=lambda each: (-each[1], each[0]))
        ]


def _example(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"external_id": row["external_id"]}
    for name in ATTRIBUTES:
        value = row[name]
        if value is not None:
            shown[name] = (
                _short(value) if isinstance(value, str) else value if isinstance(value, int) else str(value)
            )
    shown["image"] = row["image_uri"] or row["image"]
    return shown


def _short(text: str, most: int = 200) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _columns(source: Mapped, most: int) -> list[dict[str, Any]]:
    """What each column becomes, in the file's order, with how many listings state it."""
    stated: Counter[str] = Counter()
    examples: dict[str, str] = {}
    with source.opened() as (reader, reading):
        names = list(reader.columns)
        becomes = _becomes(source, names, reading.synonyms)
        for number, record in enumerate(reading.records(reader.rows())):
            if number == most:
                break
            for name, text in _values(record):
                if name not in becomes:
                    becomes[name] = []
                    names.append(name)
                stated[name] += 1
                examples.setdefault(name, _short(text, SHOWN))
    return [
        {"column": name, "becomes": becomes[name], "stated": stated[name], "example": examples.get(name)}
        for name in names
    ]


def _values(record: Record) -> list[tuple[str, str]]:
    """What a record's first row states, by column."""
    if record.defect:
        return []
    said = ((name, as_text(value)) for name, value in record.rows[0].values.items() if value is not None)
    return [(name, text) for name, text in said if states(text) and text not in ("[]", "{}")]


def _becomes(source: Mapped, names: Sequence[str], synonyms: Mapping[str, str]) -> dict[str, list[str]]:
    mapping = source.mapping
    made: list[tuple[str, Expression]] = [("id", mapping.id), *mapping.attributes.items()]
    made += [("pictures", each) for each in mapping.pictures.columns]
    made += [("facts", each) for each in mapping.facts.values()]
    if mapping.group is not None:
        made.append(("rows that belong together", mapping.group))
    becomes: dict[str, list[str]] = {name: [] for name in names}
    plain = {folded(name): name for name in reversed(names)}
    for attribute, expression in made:
        for column in expression.columns():
            found = plain.get(folded(column)) or plain.get(folded(column.partition(".")[0]))
            if found is not None and attribute not in becomes[found]:
                becomes[found].append(attribute)
    for attribute, column in synonyms.items():
        name = "pictures" if attribute == "image" else attribute
        if name not in becomes.setdefault(column, []):
            becomes[column].append(name)
    for vector in mapping.vectors:
        found = plain.get(folded(vector.column)) or plain.get(folded(vector.column.partition(".")[0]))
        if found is not None:
            becomes[found].append(f"{vector.kind} vector")
    return becomes


def _prices(source: Mapped, most: int) -> dict[str, Any]:
    """How prices are written, and examples of how they are read: those that look least like plain numbers first."""
    kept = source.found.get("price")
    notation = Notation.from_dict(kept) if isinstance(kept, Mapping) else Notation()
    seen: dict[str, dict[str, Any]] = {}
    with source.opened() as (reader, reading):
        for number, record in enumerate(reading.records(reader.rows())):
            if number == most or len(seen) >= 200:
                break
            if record.defect:
                continue
            for text in reading.attribute("price", record)[:1]:
                if states(as_text(text)) and as_text(text) not in seen:
                    read = reading.price(record)
                    seen[as_text(text)] = {
                        "text": as_text(text),
                        "amount": None if read.problem else read.amount,
                        "currency": read.currency,
                        "problem": read.problem,
                    }
    examples = sorted(
        seen.values(),
        key=lambda each: (each["problem"] is None, each["text"] == each["amount"], -len(each["text"])),
    )
    return {
        "notation": notation.in_words() if seen else None,
        "evidence": dict(notation.evidence),
        "examples": examples[:EXAMPLES],
    }


__all__ = ["Inspection", "SourceError", "inspect"]
