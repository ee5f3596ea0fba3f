"""The serving views: re-pointed whatever their readers do, with all that hangs on them."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release import repointing
from fashion_assets.release.repointing import HeldUp
from fashion_assets.release.swap import promote, rollback, tidy
from fashion_assets.release.views import relations
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, releases
from fashion_assets.warehouse.contract import contracts
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import TABLES
from fashion_assets_tests.conftest import Template, changed_once, release_of
from fashion_assets_tests.release.copies import copy_of


@pytest.fixture(scope="module")
def second_template(server_settings: Settings, live_template: Template) -> Iterator[Template]:
    """A release that is live, and one that may go live."""
    with changed_once(server_settings, live_template, lambda live: copy_of(live, "second")) as template:
        yield template


@pytest.fixture
def candidate(
    server_settings: Settings, second_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    """The one that is live."""
    with release_of(server_settings, second_template, tmp_path, monkeypatch) as candidate:
        yield candidate


@pytest.fixture
def second(candidate: Candidate) -> Release:
    """The one that may go live."""
    found = releases.only_candidate(candidate.conn)
    candidate.conn.commit()
    return found


def served(candidate: Candidate) -> bool:
    """Whether the second release is served."""
    with connect(candidate.settings, autocommit=True) as conn:
        titles = conn.execute("SELECT DISTINCT title FROM fashion_sota.products").fetchall()
    return titles == [("second",)]


@contextmanager
def idle_on(candidate: Candidate, view: str, name: str = "idle reader") -> Iterator[psycopg.Connection]:
    """Somebody who looked at a view and keeps the transaction open."""
    with connect(candidate.settings, application_name=name) as conn:
        conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("fashion_sota", view)))
        yield conn


def oid_of_products(candidate: Candidate) -> int:
    return candidate.number("SELECT 'fashion_sota.products'::regclass::oid::bigint")


def hang_something_on(candidate: Candidate, role: str) -> None:
    """Grants of every kind, comments and an option on the views and their schema."""
    for statement in (
        "CREATE ROLE {role}",
        "GRANT USAGE ON SCHEMA fashion_sota TO {role}",
        "GRANT SELECT ON fashion_sota.favourites TO {role} WITH GRANT OPTION",
        "GRANT SELECT (title, brand) ON fashion_sota.products TO {role}",
        "GRANT SELECT ON fashion_sota.users TO PUBLIC",
        "COMMENT ON SCHEMA fashion_sota IS 'the shop''s {{own}} words'",
        "COMMENT ON VIEW fashion_sota.products IS 'what we sell'",
        "COMMENT ON COLUMN fashion_sota.products.title IS 'its name'",
        "ALTER VIEW fashion_sota.products SET (security_barrier = true)",
    ):
        candidate.conn.execute(sql.SQL(statement).format(role=sql.Identifier(role)))  # type: ignore[arg-type]
    candidate.conn.commit()


def hung(candidate: Candidate, role: str) -> list[tuple]:
    found = candidate.rows(
        """
        SELECT has_schema_privilege(%(role)s, 'fashion_sota', 'USAGE'),
               has_table_privilege(%(role)s, 'fashion_sota.favourites', 'SELECT WITH GRANT OPTION'),
               has_column_privilege(%(role)s, 'fashion_sota.products', 'brand', 'SELECT'),
               has_column_privilege(%(role)s, 'fashion_sota.products', 'price', 'SELECT'),
               has_table_privilege(%(role)s, 'fashion_sota.users', 'SELECT'),
               obj_description('fashion_sota'::regnamespace, 'pg_namespace'),
               obj_description('fashion_sota.products'::regclass, 'pg_class'),
               (SELECT col_description(attrelid, attnum) FROM pg_attribute
                WHERE attrelid = 'fashion_sota.products'::regclass AND attname = 'brand'),
               (SELECT col_description(attrelid, attnum) FROM pg_attribute
                WHERE attrelid = 'fashion_sota.products'::regclass AND attname = 'title'),
               (SELECT reloptions::text FROM pg_class WHERE oid = 'fashion_sota.products'::regclass)
        """,
        {"role": role},
    )
    candidate.conn.commit()
    return found


ALL_OF_IT = [
    (
        True,
        True,
        True,
        False,
        True,
        "the shop's {own} words",
        "what we sell",
        TABLES["products"].comments["brand"],
        "its name",
        "{security_barrier=true}",
    )
]


@pytest.fixture
def analyst(candidate: Candidate) -> Iterator[str]:
    role = f"analyst_{candidate.conn.info.dbname}"
    yield role
    candidate.conn.rollback()
    candidate.conn.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
    candidate.conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    candidate.conn.commit()


def test_views_are_replaced_in_place_with_all_that_hangs_on_them(
    candidate: Candidate, second: Release, analyst: str
):
    hang_something_on(candidate, analyst)
    before = oid_of_products(candidate)
    promote(candidate.conn, candidate.settings, second)
    assert served(candidate) and oid_of_products(candidate) == before
    assert hung(candidate, analyst) == ALL_OF_IT


@pytest.mark.parametrize("view", TABLES)
def test_a_reader_that_never_ends_holds_nobody_up(
    candidate: Candidate, second: Release, analyst: str, view: str
):
    hang_something_on(candidate, analyst)
    with idle_on(candidate, view) as idle:
        promote(candidate.conn, candidate.settings, second)
        assert served(candidate) and hung(candidate, analyst) == ALL_OF_IT
        for _ in range(3):
            rollback(candidate.conn, candidate.settings, candidate.release.release)
            assert not served(candidate)
            rollback(candidate.conn, candidate.settings, second.release)
            assert served(candidate)
        # Its transaction goes on, and reads committed what is live now.
        assert idle.execute("SELECT DISTINCT title FROM fashion_sota.products").fetchall() == [("second",)]
    tidy(candidate.conn, candidate.settings)
    assert (
        candidate.number("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^fashion_sota_(former|next)'")
        == 0
    )
    assert hung(candidate, analyst) == ALL_OF_IT


def test_readers_in_any_order_neither_fail_nor_see_two_releases_in_one_statement(
    candidate: Candidate, second: Release
):
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, second)
    # So that products and vectors each tell of which release they are; unlogged, as the other one is not to have it.
    with conn.transaction(), changes.carrying(conn):
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE product_id IN (SELECT product_id FROM {} LIMIT 10)").format(
                second.table("product_embeddings"), second.table("products")
            )
        )
    failures: list[BaseException] = []
    mixed: list[object] = []
    answers = [0]
    stop = threading.Event()

    def read(number: int) -> None:
        rng = random.Random(number)
        try:
            with connect(settings, autocommit=True) as reader:
                while not stop.is_set():
                    one, other = rng.sample(list(TABLES), 2)
                    with reader.transaction():
                        for view in (one, other):
                            reader.execute(
                                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(
                                    sql.Identifier("fashion_sota", view)
                                )
                            )
                    row = reader.execute(
                        "SELECT count(DISTINCT title), count(*) FROM fashion_sota.products "
                        "JOIN fashion_sota.product_embeddings USING (product_id)"
                    ).fetchone()
                    if row not in ((1, 30), (40, 40)):
                        mixed.append(row)
                    answers[0] += 1
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    with idle_on(candidate, "users"):
        for reader in readers:
            reader.start()
        try:
            for turn in range(10):
                # A server may look for deadlocks sooner than a try is given up.
                conn.execute(sql.SQL("SET deadlock_timeout = {}").format("1ms" if turn % 2 else "1s"))
                conn.commit()
                rollback(conn, settings, candidate.release.release)
                rollback(conn, settings, second.release)
        finally:
            stop.set()
        for reader in readers:
            reader.join(timeout=30)
    assert failures == [] and mixed == []
    assert answers[0] > 10


def test_tables_that_somebody_reads_for_long_are_not_tried_for_ever(
    candidate: Candidate, second: Release, monkeypatch: pytest.MonkeyPatch
):
    conn = candidate.conn
    conn.execute(
        sql.SQL("CREATE POLICY shown ON {} USING (true)").format(candidate.release.table("products"))
    )
    conn.commit()
    monkeypatch.setattr(repointing, "TRYING_SECONDS", 0.1)
    with connect(candidate.settings, application_name="a dump") as reader:
        reader.execute("SET idle_in_transaction_session_timeout = '60s'")
        reader.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(second.table("products")))
        with pytest.raises(HeldUp, match=r"lock timeout.*held by a dump"):
            promote(candidate.conn, candidate.settings, second)


def test_views_of_others_follow(candidate: Candidate, second: Release):
    candidate.conn.execute("CREATE SCHEMA shop")
    candidate.conn.execute("CREATE VIEW shop.bestsellers AS SELECT title FROM fashion_sota.products")
    candidate.conn.commit()
    promote(candidate.conn, candidate.settings, second)
    assert candidate.rows("SELECT DISTINCT title FROM shop.bestsellers") == [("second",)]


def test_where_views_of_others_depend_it_is_said_who_holds_them_up_and_force_ends_that(
    candidate: Candidate, second: Release, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repointing, "PATIENCE_SECONDS", 0.3)
    conn = candidate.conn
    conn.execute("CREATE SCHEMA shop")
    conn.execute("CREATE VIEW shop.bestsellers AS SELECT title FROM fashion_sota.products")
    conn.commit()
    with connect(candidate.settings, application_name="a report") as idle:
        idle.execute("SELECT 1 FROM fashion_sota.favourites")
        with pytest.raises(HeldUp) as held:
            promote(conn, candidate.settings, second)
        said = str(held.value)
        assert f"a report (server process {idle.info.backend_pid}, role" in said
        assert (
            "idle in an open transaction, since" in said
            and "view shop.bestsellers" in said
            and "--force" in said
        )
        assert not served(candidate)
        promote(conn, candidate.settings, second, force=True)
        assert served(candidate)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert candidate.rows("SELECT DISTINCT title FROM shop.bestsellers") == [("second",)]


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE TABLE fashion_sota.notes (said text)", "table fashion_sota.notes"),
        (
            "CREATE FUNCTION fashion_sota.one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function fashion_sota.one()",
        ),
        (
            "CREATE RULE kept AS ON DELETE TO fashion_sota.users DO INSTEAD NOTHING",
            "rule kept on fashion_sota.users",
        ),
        (
            "CREATE MATERIALIZED VIEW shop.kept AS SELECT count(*) FROM fashion_sota.products",
            "materialized view shop.kept",
        ),
    ],
)
def test_nothing_of_others_is_left_behind(
    candidate: Candidate, second: Release, monkeypatch: pytest.MonkeyPatch, made: str, named: str
):
    monkeypatch.setattr(repointing, "PATIENCE_SECONDS", 0.1)
    candidate.conn.execute("CREATE SCHEMA shop")
    candidate.conn.execute(made.encode())
    candidate.conn.commit()
    with idle_on(candidate, "users"), pytest.raises(HeldUp, match="cannot be replaced beside") as held:
        promote(candidate.conn, candidate.settings, second)
    assert named in str(held.value)
    promote(candidate.conn, candidate.settings, second)
    assert served(candidate)


def test_views_of_a_former_version_are_made_anew_where_nothing_depends_on_them(
    candidate: Candidate, second: Release, analyst: str
):
    """They were `SELECT *`, with the columns the tables had then, in their order."""
    conn, settings = candidate.conn, candidate.settings
    conn.execute("DROP VIEW fashion_sota.users")
    conn.execute(
        sql.SQL("CREATE VIEW fashion_sota.users AS SELECT problem, user_id FROM {}").format(
            candidate.release.table("users")
        )
    )
    conn.commit()
    hang_something_on(candidate, analyst)
    conn.execute("CREATE VIEW public.bestsellers AS SELECT title FROM fashion_sota.products")
    conn.commit()
    with pytest.raises(
        WarehouseError, match=r"those of a former version.*view public\.bestsellers.*Drop them"
    ):
        promote(conn, settings, second)
    assert not served(candidate)
    conn.execute("DROP VIEW public.bestsellers")
    conn.commit()
    promote(conn, settings, second)
    assert served(candidate) and hung(candidate, analyst) == ALL_OF_IT
    promised = contracts()[0].views["users"]
    assert list(relations(conn, "fashion_sota")["users"].items()) == list(promised.items())
    # From now on what others hang on them is in nobody's way.
    conn.execute("CREATE VIEW public.bestsellers AS SELECT title FROM fashion_sota.products")
    rollback(conn, settings)
    assert not served(candidate)
