"""The criterion that nothing is lost fails for each way in which something can be, and knows what is no loss."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from psycopg import sql

from fashion_assets.criteria import lost
from fashion_assets.criteria.statements import FILE
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Finding
from fashion_assets.warehouse.parquet import ParquetStore

FIRST = "fashion_demo-00001"

KNOWN = "what 40 listings state was known from before"
"""The run that built the candidate has judged it."""


def found(candidate: Candidate) -> Finding:
    return lost.finding(candidate.conn, candidate.release, candidate.settings)


def change(candidate: Candidate, statement: str) -> None:
    table = candidate.release.table("products")
    candidate.conn.execute(sql.SQL(statement).format(products=table))  # pyright: ignore[reportArgumentType]


def rewrite(candidate: Candidate, file: str, changed: Callable[[pa.Table], pa.Table]) -> None:
    store = ParquetStore(candidate.settings.assets_url)
    store.write(changed(store.read(file, FIRST)), file, FIRST)


def with_value(column: str, external_id: str, value: str | None) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        ids = table["external_id"].to_pylist()
        values = [
            value if known == external_id else held
            for known, held in zip(ids, table[column].to_pylist(), strict=True)
        ]
        place = table.schema.get_field_index(column)
        return table.set_column(
            place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
        )

    return changed


@pytest.mark.parametrize(
    ("damage", "offender"),
    [
        (
            "UPDATE {products} SET title = title || '.' WHERE external_id = '7'",
            f"{FIRST} 7: a product that says something else",
        ),
        (
            "UPDATE {products} SET colour = NULL WHERE external_id = '7'",
            f"{FIRST} 7: a product that says something else",
        ),
        (
            "UPDATE {products} SET price = 5 WHERE external_id = '7'",
            f"{FIRST} 7: a product that says something else",
        ),
        (
            "UPDATE {products} SET record = '{{}}' WHERE external_id = '7'",
            f"{FIRST} 7: a product that says something else",
        ),
        ("DELETE FROM {products} WHERE external_id = '7'", f"{FIRST} 7: neither a product nor in quarantine"),
        (
            "UPDATE {products} SET product_id = gen_random_uuid() WHERE external_id = '7'",
            f"{FIRST} 7: a product that no listing",
        ),
    ],
)
def test_a_product_that_was_changed_taken_away_or_put_in(candidate: Candidate, damage: str, offender: str):
    whole = found(candidate)
    assert (whole.outcome, whole.value) == ("pass", 0)
    assert whole.reason == f"40 products as their listings state them, 0 in quarantine; {KNOWN}"
    change(candidate, damage)
    finding = found(candidate)
    assert finding.outcome == "fail" and finding.value >= 1
    assert any(said.startswith(offender) for said in finding.offenders), finding.offenders


def test_a_value_that_was_dropped_on_the_way_is_missed_though_files_and_table_agree(candidate: Candidate):
    rewrite(candidate, "normalized_attributes", with_value("usage", "7", None))
    change(candidate, "UPDATE {products} SET usage = NULL WHERE external_id = '7'")
    assert found(candidate).offenders == [f"{FIRST} 7: a product that says something else than its listing"]


def test_what_was_read_from_words_is_no_statement_and_says_so(candidate: Candidate):
    change(
        candidate,
        "UPDATE {products} SET era = '1990s', origins = coalesce(origins, '{{}}') || "
        """'{{"era": {{"origin": "text", "confidence": 0.9}}}}' WHERE external_id = '7'""",
    )
    assert found(candidate).outcome == "pass"
    change(candidate, "UPDATE {products} SET origins = origins - 'era' WHERE external_id = '7'")
    assert found(candidate).offenders == [f"{FIRST} 7: a product that says something else than its listing"]


def test_a_rejection_that_is_in_quarantine_is_none_and_one_that_is_nowhere_is_lost(candidate: Candidate):
    change(candidate, "DELETE FROM {products} WHERE external_id = '7'")
    candidate.conn.execute(
        "INSERT INTO fashion_ops.quarantine (source, listing_key, batch, reasons, record, content_hash) "
        "VALUES ('fashion_demo', '7', %s, '{image_changed}', '{}', '')",
        (FIRST,),
    )
    finding = found(candidate)
    assert finding.outcome == "pass"
    assert finding.reason == f"39 products as their listings state them, 1 in quarantine; {KNOWN}"


def test_a_listing_that_is_to_be_rejected_is_lost_where_nobody_has_it(candidate: Candidate):
    change(candidate, "DELETE FROM {products} WHERE external_id = '7'")
    rewrite(candidate, "raw_listings", with_value("title", "7", None))
    assert found(candidate).offenders == [f"{FIRST} 7: neither a product nor in quarantine"]


def test_what_changed_since_is_not_judged_by_what_it_was(candidate: Candidate):
    """An earlier release is compared with files that were made for a later one."""
    rewrite(candidate, "raw_listings", with_value("title", "7", "Nike Women Skirt"))
    assert found(candidate).outcome == "fail"
    rewrite(candidate, "normalized_attributes", with_value("validated_with", "7", "by other rules"))
    assert found(candidate).outcome == "pass"
    candidate.conn.execute(
        "UPDATE fashion_ops.batches SET content_version = 'another' WHERE batch = %s", (FIRST,)
    )
    finding = found(candidate)
    assert finding.outcome == "pass" and finding.reason.endswith(
        "; 1 batches have changed since and were not judged"
    )
    candidate.conn.execute("UPDATE fashion_ops.batches SET content_version = 'another'")
    assert found(candidate).outcome == "not applicable"


def test_what_a_listing_stated_is_kept_for_its_very_row_alone(candidate: Candidate):
    store = ParquetStore(candidate.settings.assets_url)
    assert found(candidate).outcome == "pass"
    kept = store.read(FILE, FIRST)
    assert kept.num_rows == 20
    rewrite(candidate, "raw_listings", with_value("title", "7", "Nike Women Skirt"))
    finding = found(candidate)
    assert finding.offenders == [f"{FIRST} 7: a product that says something else than its listing"]
    assert "what 39 listings state was known" in finding.reason
    # Of the others it was known, of this one it was worked out anew, and is known by now.
    assert KNOWN in found(candidate).reason
    store.delete(FILE, FIRST)
    assert "what 20 listings state was known" in found(candidate).reason
    now = store.read(FILE, FIRST)
    assert [one == other for one, other in zip(kept.to_pylist(), now.to_pylist(), strict=True)].count(
        False
    ) == 1
    place = now.schema.get_field_index("columns_hash")
    wrong = now.set_column(place, "columns_hash", pa.array(["another"] * 20))
    store.write(wrong, FILE, FIRST)
    assert found(candidate).value == 20
    store.write(wrong, FILE, FIRST, {"stated_with": "other rules"})
    assert found(candidate).value == 1
