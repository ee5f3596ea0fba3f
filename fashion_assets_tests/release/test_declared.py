"""Tables sources declare beside their listings, from their files into a release."""

from pathlib import Path

import pytest
from psycopg import sql

from fashion_assets.batches.rows import ROW_STAGES, RowsWork, keep_what_is_held
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA
from fashion_assets.criteria.declared import ROWS_ARE_ACCOUNTED_FOR
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.postgres.connections import connect
from fashion_assets.release import declared, repointing, views
from fashion_assets.release.plan import Plan, plan
from fashion_assets.release.recovery import recover_register, recovered_plan
from fashion_assets.release.scan import _scan_tables
from fashion_assets.sources import SourceError, open_source
from fashion_assets.sources.known_mappings import as_kept, parse_mapping
from fashion_assets.warehouse import quarantine
from fashion_assets.warehouse.declared import declared_tables
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import batches
from fashion_assets.warehouse.sources import activate_source

SIZES = """
[[tables]]
name = "sizes"
file = "sizes.csv"
key = ["size_id"]
[tables.columns]
size_id = "size_id"
fits = "fits"
chest = { column = "chest", type = "numeric" }
[[tables.references]]
column = "fits"
table = "products"
"""


def write(folder: Path, **tables: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def deliver(candidate: Candidate, shop: Path, mapping: str | None = None) -> Plan:
    """Have the tables beside the candidate's listings be those of this folder: scanned, and their batches made."""
    conn, settings = candidate.conn, candidate.settings
    options = {"mapping": as_kept(parse_mapping(mapping))} if mapping else None
    activate_source(conn, "fashion_demo", "folder", str(shop), options)
    _scan_tables(conn, open_source("folder", "fashion_demo", str(shop), settings, options))
    conn.commit()
    store = ParquetStore(settings.assets_url)
    for batch in plan(conn, settings).of_rows.stale:
        work, tables = RowsWork(batch.name, settings, store, lambda: connect(settings)), {}
        for stage in ROW_STAGES:
            made = stage.make(work, tables)
            for name, table in made.tables.items():
                store.write(table, name, batch.name)
            tables = {**tables, **made.tables}
            assert all(verdict.passed for _, verdict in stage.verdicts(work, tables))
        keep_what_is_held(work)
    return plan(conn, settings)


def load(candidate: Candidate, wanted: Plan) -> None:
    """Have the candidate's tables beside products be those of the plan."""
    conn = candidate.conn
    for shape in declared.shapes(wanted.tables):
        if shape.name in declared.KNOWN:
            conn.execute(sql.SQL("TRUNCATE {}").format(candidate.release.table(shape.name)))
    conn.execute("DELETE FROM fashion_ops.release_tables")
    declared.create(conn, candidate.release, wanted.tables)
    store = ParquetStore(candidate.settings.assets_url)
    declared.load(conn, store, candidate.release, wanted.tables, wanted.of_rows)
    conn.commit()


def verdict(candidate: Candidate) -> Verdict:
    (criterion,) = [each for each in CANDIDATE_CRITERIA if each.name == ROWS_ARE_ACCOUNTED_FOR]
    found = criterion.judge(candidate, candidate.settings)
    candidate.conn.rollback()
    return found


def rows(candidate: Candidate, table: str, columns: str) -> list[tuple]:
    found = candidate.conn.execute(
        sql.SQL("SELECT {} FROM {} ORDER BY 1, 2").format(
            sql.SQL(columns),  # type: ignore[arg-type]
            candidate.release.table(table),
        )
    ).fetchall()
    candidate.conn.rollback()
    return found


USERS = "user_id,name,email,preferred_colours\nu1,Ada,ada@example.com,Red; navy\nu2,Ben,,\n,Nobody,,\nu2,Again,,\nu3\n"
FAVOURITES = "user_id,external_id\nu1,1\nu1,2\nu1,900\nu9,3\nu9,900\nu2,\nu1,1\n"


def test_people_are_batches_and_what_dangles_is_in_quarantine_with_its_record(
    candidate: Candidate, tmp_path: Path
):
    wanted = deliver(candidate, write(tmp_path / "shop", users=USERS, favourites=FAVOURITES))
    assert [batch.name for batch in wanted.of_rows.batches] == [
        "fashion_demo.favourites-00001",
        "fashion_demo.users-00001",
    ]
    assert not wanted.of_rows.stale and wanted.release_is_due
    load(candidate, wanted)
    assert rows(candidate, "users", "user_id, style, name, problem") == [
        ("u1", {"colour": ["red", "navy blue"]}, "Ada", None),
        ("u2", None, "Ben", None),
    ]
    assert rows(candidate, "favourites", "user_id, external_id, product_id IS NOT NULL") == [
        ("u1", "1", True),
        ("u1", "2", True),
    ]
    held = candidate.conn.execute(
        "SELECT source, reasons, record::text, release FROM fashion_ops.quarantine WHERE source LIKE '%.%' ORDER BY 1, 2, 3"
    ).fetchall()
    candidate.conn.rollback()
    favourites, users, release = "fashion_demo.favourites", "fashion_demo.users", candidate.release.release
    assert [(source, reasons, of) for source, reasons, _, of in held] == [
        (favourites, ["dangling_product"], release),
        (favourites, ["dangling_user"], release),
        (favourites, ["dangling_user", "dangling_product"], release),
        (favourites, ["duplicate_row"], None),
        (favourites, ["null_external_id"], None),
        (users, ["duplicate_key"], None),
        (users, ["null_user_id"], None),
        (users, ["unreadable_line"], None),
    ]
    assert '"900"' in held[0][2] and '"u3"' in held[-1][2].replace("u3", '"u3"')
    counted = candidate.conn.execute(
        "SELECT name, delivered, loaded, quarantined, dangling FROM fashion_ops.release_tables ORDER BY 1"
    ).fetchall()
    candidate.conn.rollback()
    dangling = {"dangling_product": 1, "dangling_user": 1, "dangling_user dangling_product": 1}
    assert counted == [("favourites", 7, 2, 2, dangling), ("users", 5, 2, 3, {})]

    found = verdict(candidate)
    assert (found.outcome, found.value) == ("pass", 12)
    for damage, offender in (
        ("DELETE FROM {favourites} WHERE external_id = '1'", "2 rows were written, 1 are in the table"),
        (
            "DELETE FROM fashion_ops.quarantine WHERE reasons = '{{dangling_user}}'",
            "3 dangle, 2 are in quarantine",
        ),
        (
            "DELETE FROM fashion_ops.quarantine WHERE reasons = '{{duplicate_key}}'",
            "3 were rejected, 2 are in",
        ),
        (
            "UPDATE fashion_ops.release_tables SET loaded = loaded + 1 WHERE name = 'users'",
            "5 = 3 + 3 rejected",
        ),
        ("UPDATE fashion_ops.listings SET present = false WHERE external_id = 'u1'", "4 rows are registered"),
    ):
        candidate.conn.execute(
            sql.SQL(damage).format(favourites=candidate.release.table("favourites"))  # type: ignore[arg-type]
        )
        (criterion,) = [each for each in CANDIDATE_CRITERIA if each.name == ROWS_ARE_ACCOUNTED_FOR]
        failed = criterion.judge(candidate, candidate.settings)
        assert failed.outcome == "fail" and any(offender in said for said in failed.offenders), failed
        candidate.conn.rollback()

    # What the database loses of rows, their files have.
    for table in ("batches", "listings", "quarantine"):
        candidate.conn.execute(
            sql.SQL("DELETE FROM {} WHERE source LIKE 'fashion_demo.%'").format(
                sql.Identifier("fashion_ops", table)
            )
        )
    assert sorted(recover_register(candidate.conn, candidate.settings)) == [
        batch.name for batch in wanted.of_rows.batches
    ]
    again, recovered = recovered_plan(candidate.conn, candidate.settings, vectors=False)
    assert recovered is not None and recovered.batches == 2 and not again.of_rows.stale
    assert quarantine.counts(candidate.conn)["fashion_demo.users-00001"] == 3


def test_users_that_were_not_delivered_are_no_reason_to_lose_favourites(candidate: Candidate, tmp_path: Path):
    load(candidate, deliver(candidate, write(tmp_path / "shop", favourites="user_id,external_id\nu1,1\n")))
    assert rows(candidate, "favourites", "user_id, external_id") == [("u1", "1")]
    assert verdict(candidate).passed


def test_any_other_table_is_one_of_the_release_and_closed_but_for_what_is_opened(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    conn, settings = candidate.conn, candidate.settings
    shop = write(tmp_path / "shop", sizes="size_id,fits,chest\ns1,1,98.5\ns2,900,100\ns3,2,wide\n")
    public = (Path(declared.__file__).parents[1] / "sources/mappings/fashion-product-images.toml").read_text()
    wanted = deliver(candidate, shop, public + SIZES)
    assert [table.name for table in declared_tables(conn)] == ["favourites", "sizes", "users"]
    load(candidate, wanted)
    assert [
        (size, fits, float(chest)) for size, fits, chest in rows(candidate, "sizes", "size_id, fits, chest")
    ] == [("s1", "1", 98.5)]
    assert verdict(candidate).passed
    served = views.served_by(conn, candidate.release)
    assert set(served) == {
        "products",
        "product_embeddings",
        "users",
        "favourites",
        "garments",
        "vectors_as_json",
        "style_clusters",
        "revision",
        "product_style_affinity",
        "sizes",
    }

    conn.execute("UPDATE fashion_ops.release_tables SET readable = '{fits}' WHERE name = 'sizes'")
    repointing.point_views_at(conn, settings, candidate.release, lambda: None)
    view = "fashion_sota.sizes"
    readable = "SELECT column_name FROM information_schema.column_privileges WHERE table_name = 'sizes' AND grantee = %s"
    opened = conn.execute(readable, (settings.reader_role,)).fetchall()
    assert {column for (column,) in opened} == {"fits", "source"}
    assert conn.execute("SELECT obj_description(%s::regclass)", (view,)).fetchone() != (None,)
    # Opened no more, it is closed again.
    conn.execute("UPDATE fashion_ops.release_tables SET readable = '{}' WHERE name = 'sizes'")
    repointing.point_views_at(conn, settings, candidate.release, lambda: None)
    assert conn.execute(readable, (settings.reader_role,)).fetchall() == []
    # What the view has, it keeps: of a table that comes with another column, and of a release without the table.
    shape = list(views.relations(conn, "fashion_sota")["sizes"].items())
    table, number = candidate.release.table("sizes"), "SELECT 'fashion_sota.sizes'::regclass::oid"
    before = conn.execute(number).fetchone()
    conn.execute(sql.SQL("ALTER TABLE {} SET SCHEMA public").format(table))
    conn.execute(
        sql.SQL(
            "CREATE TABLE {} AS SELECT size_id, 1::numeric AS waist, chest, record FROM public.sizes"
        ).format(table)
    )
    repointing.point_views_at(conn, settings, candidate.release, lambda: None)
    assert conn.execute("SELECT size_id, fits, chest FROM fashion_sota.sizes").fetchall() == [
        ("s1", None, 98.5)
    ]
    assert list(views.relations(conn, "fashion_sota")["sizes"].items()) == shape
    conn.execute(sql.SQL("ALTER TABLE {} SET SCHEMA fashion_ops").format(table))
    repointing.point_views_at(conn, settings, candidate.release, lambda: None)
    assert conn.execute("SELECT * FROM fashion_sota.sizes").fetchall() == []
    assert list(views.relations(conn, "fashion_sota")["sizes"].items()) == shape
    assert conn.execute(number).fetchone() == before
    conn.rollback()


def test_two_sources_with_one_table_of_two_kinds_are_told(candidate: Candidate, tmp_path: Path):
    public = (Path(declared.__file__).parents[1] / "sources/mappings/fashion-product-images.toml").read_text()
    shop = write(tmp_path / "shop", sizes="size_id,fits,chest\n")
    deliver(candidate, shop, public + SIZES)
    activate_source(candidate.conn, "other", "folder", str(shop))
    text = public + SIZES.replace('type = "numeric"', 'type = "text"')
    options = {"mapping": as_kept(parse_mapping(text))}
    with pytest.raises(SourceError, match="'chest' is numeric in one and text in the other"):
        _scan_tables(candidate.conn, open_source("folder", "other", str(shop), candidate.settings, options))
    assert batches(candidate.conn, "other.sizes") == []
