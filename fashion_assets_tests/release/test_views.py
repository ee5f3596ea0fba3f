"""The serving views keep to their contract, whatever a release has."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.release import views
from fashion_assets.settings import Settings
from fashion_assets.warehouse import contract
from fashion_assets.warehouse.contract import ContractError, contracts
from fashion_assets_tests.release.tiny import put_live, served_title, tiny

MORE = "product_id uuid, since date, title text, brand text"
"""Columns of a later release's products: one more in between, and one at the end."""


@contextmanager
def prepared(settings: Settings, *statements: bytes) -> Iterator[list[psycopg.Connection]]:
    """A session for each statement, which it has asked so often that the server keeps it prepared."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(connect(settings, autocommit=True)) for _ in statements]
        for session, statement in zip(sessions, statements, strict=True):
            session.prepare_threshold = 0
            session.execute(statement)
        yield sessions


@pytest.mark.parametrize("held", [False, True], ids=["in place", "beside"])
def test_prepared_statements_go_on_through_swaps_that_add_and_remove_columns(
    settings: Settings, database: Connection, held: bool
):
    old, new = tiny(database), tiny(database, products=MORE, users="user_id text")
    put_live(database, settings, old)
    statements = (b"SELECT * FROM fashion_sota.products", b"SELECT brand, title FROM fashion_sota.products")
    with prepared(settings, *statements) as (whole, named), connect(settings) as idle:
        shape = whole.execute(statements[0]).description
        assert shape is not None
        for release in [new, old] * 3:
            if held:
                idle.rollback()
                idle.execute("SELECT title FROM fashion_sota.products")
            put_live(database, settings, release)
            answer = whole.execute(statements[0])
            assert [column.name for column in answer.description or ()] == [column.name for column in shape]
            assert release.release in (answer.fetchone() or ())
            brand = release.release if release is new else None
            assert named.execute(statements[1]).fetchall() == [(brand, release.release)]


def test_without_named_columns_a_prepared_statement_would_fail(settings: Settings, database: Connection):
    """What the contract is against."""
    old, new = tiny(database), tiny(database, products="product_id uuid, title text, brand text")
    bare = "CREATE OR REPLACE VIEW public.bare AS SELECT * FROM {}"
    database.execute(sql.SQL(bare).format(old.table("products")))
    database.commit()
    with prepared(settings, b"SELECT * FROM public.bare") as (whole,):
        database.execute(sql.SQL(bare).format(new.table("products")))
        database.commit()
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="must not change result type"):
            whole.execute(b"SELECT * FROM public.bare")


def test_views_have_the_columns_of_the_contract_and_what_a_release_lacks_is_null(
    settings: Settings, database: Connection
):
    put_live(database, settings, tiny(database))
    there = views.relations(database, "fashion_sota")
    promised = contracts()[-1].views
    assert {name: list(columns.items()) for name, columns in there.items()} == {
        name: list(columns.items()) for name, columns in promised.items()
    }
    row = database.execute(
        "SELECT title IS NULL, price, facts, embedding FROM fashion_sota.products"
    ).fetchone()
    assert row == (False, None, None, None)
    assert database.execute("SELECT * FROM fashion_sota.garments").fetchall() == []


def test_a_column_of_another_type_is_read_as_the_promised_one_or_refused(
    settings: Settings, database: Connection
):
    first = tiny(database)
    put_live(database, settings, first)
    put_live(database, settings, tiny(database, products="title text, brand integer, image_width smallint"))
    assert database.execute("SELECT pg_typeof(brand)::text FROM fashion_sota.products").fetchone() == (
        "text",
    )
    wrong = tiny(database, products="title text, image_width bigint")
    with pytest.raises(
        ContractError, match=r"has products\.image_width as bigint, and the views promise integer"
    ):
        put_live(database, settings, wrong)
    assert served_title(database) == "fashion_sota_r0002"


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version of the program that states two contracts; the folder of the first one alone."""
    first, both = tmp_path / "first", tmp_path / "both"
    for folder in (first, both):
        folder.mkdir()
        (folder / "fashion_sota.txt").write_text("products.title text\nproducts.price numeric(12,2)\n")
    (both / "fashion_sota_v2.txt").write_text(
        "products.title text\nproducts.price numeric(12,2)\nproducts.brand text\n"
    )
    monkeypatch.setattr(contract, "FOLDER", both)
    return first


def columns(database: Connection) -> dict[str, list[str]]:
    return {view.schema: list(view.columns) for view in views.views(database) if view.name == "products"}


BOTH = {
    "fashion_sota": ["title", "price"],
    "fashion_sota_v2": ["title", "price", "brand"],
}


def test_an_option_no_empty_view_can_have_is_named_before_anything_changes(
    settings: Settings, database: Connection
):
    put_live(database, settings, tiny(database, products="title text", favourites="user_id text"))
    database.execute("ALTER VIEW fashion_sota.favourites SET (check_option = local)")
    database.commit()
    lacking = tiny(database)
    with pytest.raises(
        ContractError, match=r"has no favourites.*ALTER VIEW fashion_sota.favourites RESET \(check_option\)"
    ):
        put_live(database, settings, lacking)
    database.rollback()
    assert served_title(database) == "fashion_sota_r0001"
    database.execute("ALTER VIEW fashion_sota.favourites RESET (check_option)")
    put_live(database, settings, lacking)
    assert served_title(database) == "fashion_sota_r0002"


@pytest.mark.parametrize("held", ["fashion_sota", "fashion_sota_v2", None])
def test_two_contracts_are_served_and_change_at_once(
    settings: Settings, database: Connection, two: Path, held: str | None, monkeypatch: pytest.MonkeyPatch
):
    old, new = tiny(database), tiny(database, products=MORE)
    with monkeypatch.context() as before:
        before.setattr(contract, "FOLDER", two)
        put_live(database, settings, old)
        assert set(columns(database)) == {"fashion_sota"}
    put_live(database, settings, old)
    assert columns(database) == BOTH
    with connect(settings) as idle:
        if held:
            idle.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(held, "products")))
        put_live(database, settings, new)
    assert [served_title(database, schema) for schema in BOTH] == [new.release] * 2
    assert columns(database) == BOTH
    # Readers may use both.
    database.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(settings.reader_role)))
    assert served_title(database, "fashion_sota_v2") == new.release
    database.execute("RESET ROLE")
    # A former version of the program, which knows of the first alone, leads both of them back.
    monkeypatch.setattr(contract, "FOLDER", two)
    put_live(database, settings, old)
    assert [served_title(database, schema) for schema in BOTH] == [old.release] * 2
    assert columns(database) == BOTH
