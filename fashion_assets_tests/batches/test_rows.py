import json
from typing import Any

import pyarrow as pa
import pytest

from fashion_assets.batches.rows import declared, judged, rows_version, typed
from fashion_assets.catalog.listing import REJECTION_SCHEMA
from fashion_assets.criteria.listings import QUARANTINED_ROWS, VALIDATED_ROWS, RowsBatch
from fashion_assets.sources import SourceError
from fashion_assets.sources.source import TABLE_ROW_SCHEMA, Count, DeclaredTable, Reference
from fashion_assets.warehouse.declared import Declared, Refers
from fashion_assets.warehouse.register import Batch

SIZES = Declared(
    "shop",
    "sizes",
    key=("size_id",),
    columns={
        "size_id": "text",
        "chest": "numeric",
        "since": "timestamptz",
        "notes": "jsonb",
        "product": "text",
    },
    references=(Refers("product", "products"),),
    readable=("size_id",),
)


def rows_of(*rows: dict[str, Any]) -> pa.Table:
    """Rows as a source gives them, by their declared columns; `defect` and `occurrence` of a row beside them."""
    made: list[dict[str, Any]] = []
    for position, row in enumerate(rows):
        values = {name: value for name, value in row.items() if name in SIZES.columns}
        made.append(
            {
                "source": "shop",
                "listing_key": str(position),
                "external_id": values.get("size_id"),
                "occurrence": row.get("occurrence", 0),
                "content_hash": "0" * 32,
                "record": json.dumps(values),
                "values": json.dumps(values),
                "defects": row.get("defects", []),
            }
        )
    return pa.Table.from_pylist(made, TABLE_ROW_SCHEMA)


SOUND = {"size_id": "s1", "chest": "98.5", "since": "2012-03-04", "notes": '{"a": 1}', "product": "1"}


def test_a_row_that_is_not_sound_says_every_reason():
    faults: list[tuple[dict[str, Any], list[str]]] = [
        ({"size_id": None}, ["null_size_id"]),
        ({"occurrence": 1}, ["duplicate_key"]),
        ({"size_id": "x" * 513}, ["size_id_too_long"]),
        ({"product": "x" * 513}, []),
        ({"notes": '"a\0b"'}, ["nul_character"]),
        ({"chest": "wide", "since": "soon"}, ["chest_is_no_numeric", "since_is_no_timestamptz"]),
        ({"chest": "NaN"}, ["chest_is_no_numeric"]),
        ({"notes": "{"}, ["notes_is_no_jsonb"]),
        ({"defects": ["unreadable_line"]}, ["unreadable_line"]),
    ]
    raw = rows_of(SOUND, {**SOUND, "chest": None}, *({**SOUND, **fault} for fault, _ in faults))
    kept, rejections = judged(raw, SIZES)
    assert rejections.schema == REJECTION_SCHEMA
    assert rejections["reasons"].to_pylist() == [reasons for _, reasons in faults if reasons]
    assert kept["listing_key"].to_pylist() == ["0", "1", "5"]
    (criterion,) = VALIDATED_ROWS
    assert criterion.judge(RowsBatch(raw, kept, rejections)).passed
    assert not criterion.judge(RowsBatch(raw, kept.slice(1), rejections)).passed
    (criterion,) = QUARANTINED_ROWS
    assert criterion.judge(RowsBatch(raw, kept, rejections)).passed
    place = rejections.schema.get_field_index("reasons")
    silent = rejections.set_column(
        place, rejections.field(place), pa.array([[]] * rejections.num_rows, rejections.field(place).type)
    )
    assert not criterion.judge(RowsBatch(raw, kept, silent)).passed


def test_what_a_table_without_a_key_refers_to_is_stated_and_a_row_is_there_once():
    table = SIZES._replace(key=())
    _, rejections = judged(rows_of(SOUND, {**SOUND, "product": None}, {**SOUND, "occurrence": 1}), table)
    assert rejections["reasons"].to_pylist() == [["null_product"], ["duplicate_row"]]


def test_values_are_of_their_columns_types():
    values, bad = typed(["1", "9223372036854775808", None, "1.5"], "bigint")
    assert values.to_pylist() == [1, None, None, None] and bad == [1, 3]
    assert typed(["yes", "F", "maybe"], "boolean")[0].to_pylist() == [True, False, None]
    assert typed(["1" * 40], "numeric")[1] == [0]


class Table(DeclaredTable):
    def __init__(self, name: str = "sizes", **declaration: Any) -> None:
        self.name, self.key, self.columns = name, ("size_id",), {"size_id": "text"}
        for key, value in declaration.items():
            setattr(self, key, value)

    def scan(self):
        return iter(())

    def fingerprints(self, references: pa.Table) -> list[str]:
        return []

    def read(self, references: pa.Table) -> pa.Table:
        return references


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (Table("products"), "one of the release's own"),
        (Table("products_gender"), "one of the release's own"),
        (Table("value_counts_value"), "one of the release's own"),
        (Table('x"; DROP TABLE y'), "lower-case letters"),
        (Table(columns={"size_id": "text", "record": "text"}), "every table of a release has"),
        (Table(columns={"size_id": "text", "a b": "text"}), "must be called by"),
        (Table(columns={"size_id": "money"}), "of type money"),
        (Table(key=("other",)), "'other' is none of its columns"),
        (Table(readable=("other",)), "'other' is none of its columns"),
        (Table(references=(Reference("size_id", "people"),)), "which the source does not declare"),
        (Table(references=(Reference("size_id", "pairs"),)), "whose key is not one column"),
        (Table(references=(Reference("size_id", "products", type="kind"),)), "'kind' is none of its columns"),
        (Table(counts=(Count("size_id", "people", "n"),)), "which the source does not declare"),
        (Table(counts=(Count("size_id", "pairs", "other"),)), "has no column 'other'"),
        (Table(counts=(Count("size_id", "pairs", "n", "other"),)), "has no column 'other'"),
        (Table(key=(), counts=(Count("size_id", "pairs", "n"),)), "its key is not one column"),
        (
            Table(counts=(Count("size_id", "pairs", "n", entries=("other", "id", "n")),)),
            "has no column 'other'",
        ),
        (Table(counts=(Count("size_id", "pairs", "n", entries=("n", "id", "n")),)), "not jsonb"),
        (
            Table(references=(Reference("size_id", "sizes", within=("other", "n", "id")),)),
            "'other' is none of its columns",
        ),
        (
            Table(references=(Reference("size_id", "sizes", within=("size_id", "n", "id")),)),
            "no column of type jsonb",
        ),
    ],
)
def test_a_table_no_release_could_have_is_refused_in_words(table: DeclaredTable, wrong: str):
    class Shop:
        name = "shop"

        def tables(self) -> list[DeclaredTable]:
            return [table, Table("pairs", key=("size_id", "n"), columns={"size_id": "text", "n": "text"})]

    with pytest.raises(SourceError, match="of source shop") as raised:
        declared(Shop())  # type: ignore[arg-type]
    assert wrong in str(raised.value)


def test_a_batch_of_rows_is_stale_once_it_is_declared_or_read_otherwise():
    batch = Batch("shop.sizes-00001", "shop.sizes", 1, 1, "content")
    versions = {
        rows_version(batch, SIZES, ""),
        rows_version(batch, SIZES, "another mapping"),
        rows_version(batch, SIZES._replace(columns={"size_id": "bigint"}), ""),
        rows_version(batch._replace(content_version="other"), SIZES, ""),
    }
    assert len(versions) == 4
