"""Contracts in use: looked at, renewed, retired; and what others hang on the views stays, or is named before anything is built."""

import json
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from rich.console import Console
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.migration import Migration
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release import contracts, views
from fashion_assets.release.contracts import in_the_way, renew, retire
from fashion_assets.settings import Settings
from fashion_assets.warehouse import contract
from fashion_assets.warehouse.contract import ContractError
from fashion_assets.warehouse.declared import Declared
from fashion_assets.warehouse.locks import Busy
from fashion_assets.warehouse.releases import Release
from fashion_assets_tests.release.tiny import put_live, served_title, tiny

SIZES = "source text, size_id text, fits text, record json"
PRODUCTS = "product_id uuid, title text"


def with_sizes(conn: Connection, settings: Settings, sizes: str = SIZES) -> Release:
    """A live release with a table a source declares, of which readers may read `fits` and `chest`."""
    release = tiny(conn, products=PRODUCTS, sizes=sizes)
    conn.execute(
        "INSERT INTO fashion_ops.release_tables (release, source, name, delivered, loaded, quarantined, dangling, readable) "
        "VALUES (%s, 'shop', 'sizes', 1, 1, 0, '{}', '{fits,chest}')",
        (release.release,),
    )
    put_live(conn, settings, release)
    return release


def shape(conn: Connection, schema: str = "fashion_sota") -> list[str]:
    return list(views.relations(conn, schema).get("sizes", {}))


def test_a_column_of_a_declared_table_is_served_when_somebody_says_so(
    settings: Settings, database: Connection
):
    with_sizes(database, settings)
    with_sizes(database, settings, f"chest integer, {SIZES}")
    (served,) = contracts.contracts_in_use(database)
    assert served.state == "served" and served.not_served["sizes"] == {"chest": "integer"}
    assert shape(database) == ["source", "size_id", "fits", "record"]
    with connect(settings, autocommit=True) as named:
        named.prepare_threshold = 0
        named.execute("SELECT fits FROM fashion_sota.sizes")
        assert renew(database, settings, "sizes") == {"fashion_sota": ["chest"]}
        assert named.execute("SELECT fits FROM fashion_sota.sizes").fetchall() == [("fashion_sota_r0002",)]
    assert shape(database) == ["source", "size_id", "fits", "record", "chest"]
    assert "sizes" not in contracts.contracts_in_use(database)[0].not_served
    database.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(settings.reader_role)))
    assert database.execute("SELECT source, fits, chest FROM fashion_sota.sizes").rowcount == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute("SELECT record FROM fashion_sota.sizes")
    database.rollback()
    with pytest.raises(ContractError, match=r"'products' is no view onto a table.*those are: sizes"):
        renew(database, settings, "products")


def test_views_and_contracts_are_let_go_on_purpose(
    settings: Settings, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    release = with_sizes(database, settings)
    with pytest.raises(ContractError, match="promised by the contract"):
        retire(database, "fashion_sota.products")
    with pytest.raises(ContractError, match="the newest contract"):
        retire(database, "fashion_sota")
    retire(database, "fashion_sota.sizes")
    assert shape(database) == []
    put_live(database, settings, release)
    assert shape(database) == list(views.relations(database, release.release)["sizes"])

    for path in contract.FOLDER.glob("*.txt"):
        for name in (path.stem, f"{path.stem}_v2"):
            (tmp_path / f"{name}.txt").write_text(path.read_text())
    monkeypatch.setattr(contract, "FOLDER", tmp_path)
    (_, second) = contracts.contracts_in_use(database)
    assert (second.schema, second.state) == ("fashion_sota_v2", "next release")
    put_live(database, settings, release)
    database.execute("CREATE SCHEMA shop")
    database.execute("CREATE VIEW shop.titles AS SELECT title FROM fashion_sota.products")
    database.commit()
    with pytest.raises(ContractError, match=r"still used by view shop\.titles: .*DROP VIEW shop\.titles"):
        retire(database, "fashion_sota")
    database.execute("DROP VIEW shop.titles")
    database.commit()
    monkeypatch.setattr(contracts, "RETIRE_WAIT_MS", 50)
    with connect(settings, application_name="a report") as idle:
        idle.execute("SELECT title FROM fashion_sota.products")
        with pytest.raises(Busy, match="still read by a report"):
            retire(database, "fashion_sota")
    done = CliRunner().invoke(app, ["contract", "retire", "fashion_sota", "--yes"])
    assert done.exit_code == 0, done.output
    assert [each.state for each in contracts.contracts_in_use(database)] == ["retired", "served"]
    # It stays so through swaps, and the other one is served on.
    put_live(database, settings, tiny(database))
    assert views.relations(database, "fashion_sota") == {}
    assert served_title(database, "fashion_sota_v2") == "fashion_sota_r0002"
    with pytest.raises(ContractError, match="not served"):
        retire(database, "fashion_sota")
    told = json.loads(CliRunner().invoke(app, ["contract", "show", "--json"]).stdout)
    assert [each["state"] for each in told] == ["retired", "served"]


def test_nothing_new_makes_no_next_contract():
    done = CliRunner().invoke(app, ["contract", "next"])
    assert done.exit_code == 1 and "Nothing is new: fashion_sota promises every column" in done.stdout


OF_OTHERS = (
    "CREATE SCHEMA shop",
    "CREATE VIEW shop.titles AS SELECT title, brand FROM fashion_sota.products",
    "CREATE MATERIALIZED VIEW shop.kept AS SELECT title, brand FROM fashion_sota.products",
    "CREATE FUNCTION shop.title() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT title FROM fashion_sota.products; END",
    "CREATE RULE kept AS ON DELETE TO fashion_sota.users DO INSTEAD NOTHING",
    "CREATE FUNCTION shop.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER kept INSTEAD OF INSERT ON fashion_sota.users FOR EACH ROW EXECUTE FUNCTION shop.nothing()",
    "CREATE TABLE fashion_sota.notes (said text)",
    "ALTER VIEW fashion_sota.users ALTER COLUMN problem SET DEFAULT 'none'",
    "CREATE FOREIGN DATA WRAPPER others",
    "CREATE SERVER elsewhere FOREIGN DATA WRAPPER others",
    "CREATE FOREIGN TABLE fashion_sota.prices (price numeric) SERVER elsewhere",
)


def hang(conn: Connection) -> None:
    for statement in OF_OTHERS:
        conn.execute(statement.encode())
    conn.commit()


def test_what_others_hang_on_the_views_stays_through_swaps_of_other_columns(
    settings: Settings, database: Connection
):
    old, new = tiny(database), tiny(database, products="brand text, since date, title text")
    put_live(database, settings, old)
    hang(database)
    number = "SELECT count(*) FROM pg_depend WHERE refobjid IN ('fashion_sota.products'::regclass, 'fashion_sota.users'::regclass)"
    before = database.execute(number).fetchone()
    for release in (new, old, new):
        assert in_the_way(database) == []
        put_live(database, settings, release)
        brand = release.release if release is new else None
        assert database.execute("SELECT * FROM shop.titles").fetchall() == [(release.release, brand)]
        assert database.execute("SELECT shop.title()").fetchone() == (release.release,)
        database.execute("REFRESH MATERIALIZED VIEW shop.kept")
        assert database.execute("SELECT * FROM shop.kept").fetchall() == [(release.release, brand)]
        assert database.execute("DELETE FROM fashion_sota.users").rowcount == 0
        assert database.execute("INSERT INTO fashion_sota.users (name) VALUES ('x')").rowcount == 0
        assert database.execute("SELECT * FROM fashion_sota.notes").fetchall() == []
        assert database.execute(number).fetchone() == before
        database.commit()


def as_of_a_former_version(conn: Connection, release: Release) -> None:
    """With whatever columns the table has."""
    conn.execute("DROP VIEW fashion_sota.products")
    conn.execute(
        sql.SQL(
            "CREATE VIEW fashion_sota.products AS SELECT title, product_id, NULL::text AS brand FROM {}"
        ).format(release.table("products"))
    )
    conn.commit()


def test_what_will_not_stay_is_named_before_anything_is_built(candidate: Candidate):
    """By a dry run; it says the same at the begin of a run."""
    conn, settings = candidate.conn, candidate.settings
    former = tiny(conn, products=PRODUCTS)
    put_live(conn, settings, former)
    as_of_a_former_version(conn, former)
    assert in_the_way(conn) == []
    hang(conn)
    (said,) = in_the_way(conn)
    assert said.startswith("The views products of fashion_sota are those of a former version")
    for statement in (
        "DROP VIEW shop.titles",
        "DROP MATERIALIZED VIEW shop.kept",
        "DROP FUNCTION shop.title()",
        "DROP RULE kept ON fashion_sota.users",
        "DROP TRIGGER kept ON fashion_sota.users",
        "DROP TABLE fashion_sota.notes",
        "DROP FOREIGN TABLE fashion_sota.prices",
    ):
        assert statement in said
    # It is said where there is something to build.
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'failed' WHERE release = %s", (candidate.release.release,)
    )
    conn.commit()
    told = Migration(settings, Console(quiet=True)).dry_run()
    assert told.lines[-1] == said and "dry run: 0 of 2 batches would run" in told.lines[-2]


def test_a_declared_column_of_another_type_is_named_before_anything_is_built(
    settings: Settings, database: Connection
):
    with_sizes(database, settings, "source text, size_id text, chest bigint, wide numeric, record json")

    def declaring(chest: str) -> list[str]:
        columns = {"size_id": "text", "chest": chest, "wide": "numeric"}
        return in_the_way(database, [Declared("shop", "sizes", ("size_id",), columns, (), ())])

    assert declaring("bigint") == []
    (said,) = declaring("text")
    assert said.startswith("fashion_sota.sizes serves chest as bigint, and shop declares it as text")
    assert said.endswith("fashion-assets contract retire fashion_sota.sizes")
