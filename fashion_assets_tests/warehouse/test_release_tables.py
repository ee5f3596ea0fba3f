"""Tables of a release and the views onto them say what they hold, and keep what is personal from readers."""

import json
import uuid
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.release.build import small_letters
from fashion_assets.release.swap import promote
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_tables
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.schemas import SERVING
from fashion_assets.warehouse.serving import LATER_TABLES, SERVED, TABLES, VIEWS, definition
from fashion_assets_tests.conftest import database_url
from fashion_assets_tests.release.copies import copy_of

READER = "fashion_reader"


@pytest.fixture
def live(live: Candidate) -> Iterator[Candidate]:
    live.conn.autocommit = True
    yield live
    live.conn.execute("RESET ROLE")


def said(conn: psycopg.Connection, schema: str) -> dict[str, dict[str | None, str | None]]:
    """Comments by table and column; by None, the table's own."""
    found: dict[str, dict[str | None, str | None]] = {}
    for table, _, column, comment in release_tables._present(conn, schema):
        found.setdefault(table, {})[column] = comment
    return found


def test_every_table_view_and_column_says_what_it_holds(live: Candidate):
    wanted = {name: {None: table.comment, **table.comments} for name, table in SERVED.items()}
    assert set(wanted) == {*TABLES, *LATER_TABLES, *VIEWS}
    for schema in (live.release.release, SERVING):
        assert said(live.conn, schema) == wanted


def test_what_somebody_else_wrote_stays(live: Candidate):
    live.conn.execute("COMMENT ON COLUMN fashion_sota.products.title IS 'something else'")
    live.conn.execute("COMMENT ON VIEW fashion_sota.users IS NULL")
    release_tables.describe(live.conn, SERVING)
    assert said(live.conn, SERVING)["products"]["title"] == "something else"
    assert said(live.conn, SERVING)["users"][None] == TABLES["users"].comment


def allowed(conn: psycopg.Connection, relation: sql.Identifier, columns: str) -> bool:
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(READER)))
    try:
        conn.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(columns), relation))  # pyright: ignore[reportArgumentType]
        return True
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        conn.execute("RESET ROLE")


def test_readers_see_nothing_personal_and_owners_see_all(live: Candidate):
    views = {name: sql.Identifier(SERVING, name) for name in TABLES}
    for name, table in TABLES.items():
        for column in table.comments:
            assert allowed(live.conn, views[name], column) is (column not in table.private), column
    for name in ("users", "favourites"):
        assert not allowed(live.conn, views[name], "*")
        assert not allowed(live.conn, views[name], f"to_jsonb({name})")
        live.conn.execute(sql.SQL("SELECT * FROM {}").format(views[name]))
    for name in ("products", "product_embeddings"):
        assert allowed(live.conn, views[name], "*")
    assert TABLES["users"].private == {"name", "email", "record"}
    assert TABLES["favourites"].private == {"record"}


def test_what_readers_were_granted_before_is_narrowed_by_the_next_command(live: Candidate):
    views = sql.SQL(", ").join(sql.Identifier(SERVING, name) for name in TABLES)
    live.conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(views, sql.Identifier(READER)))
    assert allowed(live.conn, sql.Identifier(SERVING, "users"), "email")
    schema = sql.Identifier(live.release.release)
    live.conn.execute(sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(schema, sql.Identifier(READER)))
    prepare(live.settings)
    # And what searches read, the live release by its own name, is opened.
    assert allowed(live.conn, live.release.table("users"), "user_id, style")
    assert not allowed(live.conn, live.release.table("users"), "email")
    assert not allowed(live.conn, sql.Identifier(SERVING, "users"), "email")
    assert allowed(live.conn, sql.Identifier(SERVING, "users"), "user_id, style")
    assert allowed(live.conn, sql.Identifier(SERVING, "products"), "*")


def test_a_column_that_is_new_to_the_views_is_described_and_read_at_once(candidate: Candidate):
    """The views of a former version had fewer, and those in the same order."""
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, candidate.release)
    conn.execute("DROP VIEW fashion_sota.users")
    columns = [name for name in TABLES["users"].comments if name not in ("style", "made")]
    conn.execute(
        sql.SQL("CREATE VIEW fashion_sota.users AS SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), candidate.release.table("users")
        )
    )
    before = conn.execute("SELECT 'fashion_sota.users'::regclass::oid").fetchone()
    second = copy_of(candidate, "second")
    promote(conn, settings, second)
    conn.commit()
    conn.autocommit = True
    assert conn.execute("SELECT 'fashion_sota.users'::regclass::oid").fetchone() == before
    assert allowed(conn, sql.Identifier(SERVING, "users"), "style")
    assert not allowed(conn, sql.Identifier(SERVING, "users"), "record")
    assert said(conn, SERVING)["users"]["style"] == TABLES["users"].comments["style"]


def test_a_release_without_a_column_is_described_and_read_all_the_same(live: Candidate):
    table = live.release.table("users")
    live.conn.execute(sql.SQL("ALTER TABLE {} DROP COLUMN style CASCADE").format(table))
    release_tables.describe(live.conn, live.release.release)
    release_tables.let_read(live.conn, live.release.release, READER)
    assert allowed(live.conn, table, "user_id") and not allowed(live.conn, table, "email")


def test_vectors_are_there_as_json_too(candidate):
    """Each array is its vector again, bit for bit, and no number has more digits than that takes."""
    rows = candidate.conn.execute(
        sql.SQL(
            "SELECT j.embedding::text, e.embedding::real[], j.dimension FROM {} j JOIN {} e USING (product_id, embedding_space, kind)"
        ).format(candidate.release.table("vectors_as_json"), candidate.release.table("product_embeddings"))
    ).fetchall()
    assert len(rows) == 40
    for text, numbers, dimension in rows:
        said = np.array(json.loads(text), np.float32)
        assert said.tobytes() == np.array(numbers, np.float32).tobytes() and said.size == dimension
        assert max(map(len, text.split(","))) <= 18


@pytest.fixture
def plain_letters(server_settings: Settings) -> Iterator[psycopg.Connection]:
    """A database whose locale knows the letters from A to Z alone, as many servers are set up."""
    name = f"test_{uuid.uuid4().hex}"
    made, dropped = (
        sql.SQL(text).format(sql.Identifier(name))
        for text in (
            "CREATE DATABASE {} ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
            "DROP DATABASE {} WITH (FORCE)",
        )
    )
    with connect(server_settings, autocommit=True) as administrator:
        administrator.execute(made)
        given = server_settings.model_copy(
            update={"database_url": SecretStr(database_url(server_settings, dbname=name))}
        )
        with connect(given, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION vector")
            yield conn
        administrator.execute(dropped)


def finds(conn: psycopg.Connection, letters: sql.Identifier | None) -> bool:
    """Whether the words of a question find a title in capitals, in a table made with these letters."""
    products = TABLES["products"]
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE products ({})").format(definition(products, letters)))
    for column in products.columns:
        if column.required:
            conn.execute(sql.SQL("ALTER TABLE products ALTER {} DROP NOT NULL").format(sql.Identifier(column.name)))  # fmt: skip
    conn.execute("INSERT INTO products (title) VALUES ('GRÜN NIKE')")
    row = conn.execute("SELECT search_vector @@ to_tsquery('english', 'grün & nike') FROM products").fetchone()  # fmt: skip
    conn.execute("DROP TABLE products")
    return row == (True,)


def test_capitals_are_found_by_small_letters_whatever_the_databases_locale(
    plain_letters: psycopg.Connection, live: Candidate
):
    assert small_letters(live.conn) is None and finds(live.conn, None)
    assert not finds(plain_letters, None), "of C, which shows what the collation is for"
    assert finds(plain_letters, small_letters(plain_letters))
