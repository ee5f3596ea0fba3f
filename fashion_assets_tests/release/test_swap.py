"""Going live and back: one transaction, grants in place, no failed query."""

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import Candidate
from fashion_assets.release import swap
from fashion_assets.release.swap import promote, retire, rollback
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import connect
from fashion_assets.warehouse.releases import Release, ReleaseError


def copy_of(candidate: Candidate, title: str) -> Release:
    """A further candidate with the same tables, its products told apart by their title."""
    conn, first = candidate.conn, candidate.release
    with conn.transaction():
        number = conn.execute("SELECT max(number) + 1 FROM fashion_ops.releases").fetchone()[0]
        name = f"fashion_sota_r{number:04d}"
        conn.execute(
            "INSERT INTO fashion_ops.releases (release, number, state, content_version, space, products, quarantined, "
            "listings) SELECT %s, %s, 'candidate', %s, space, products, quarantined, listings FROM fashion_ops.releases "
            "WHERE release = %s",
            (name, number, title, first.release),
        )
        conn.execute(
            "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings) "
            "SELECT %s, batch, content_version, products, quarantined, listings FROM fashion_ops.release_batches "
            "WHERE release = %s",
            (name, first.release),
        )
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        for table in swap.SERVED_TABLES:
            conn.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(name, table), first.table(table)
                )
            )
            columns = sql.SQL(", ").join(
                sql.Identifier(row[0])
                for row in conn.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
                    "AND is_generated = 'NEVER'",
                    (name, table),
                ).fetchall()
            )
            conn.execute(
                sql.SQL("INSERT INTO {} ({columns}) SELECT {columns} FROM {}").format(
                    sql.Identifier(name, table), first.table(table), columns=columns
                )
            )
        conn.execute(sql.SQL("UPDATE {} SET title = %s").format(sql.Identifier(name, "products")), (title,))
        index = conn.execute(
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON "
            "a.oid = c.relam WHERE indrelid = to_regclass(%s) AND amname = 'hnsw'",
            (f"{name}.products",),
        ).fetchone()[0]
        conn.execute(
            sql.SQL("ALTER INDEX {} RENAME TO product_embeddings_index").format(
                sql.Identifier(*index.split("."))
            )
        )
    return releases.get(conn, name)


def served_titles(conn: psycopg.Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT DISTINCT title FROM fashion_sota.products").fetchall()}


def test_promotion_serves_the_release_and_keeps_its_verdicts(candidate: Candidate):
    verdicts = promote(candidate.conn, candidate.settings, candidate.release)
    live = releases.live(candidate.conn)
    assert live is not None and live.release == candidate.release.release
    assert live.promoted_at is not None
    assert [verdict["name"] for verdict in live.criteria or []] == [verdict.name for verdict in verdicts]
    assert candidate.number("SELECT count(*) FROM fashion_sota.products") == 40


def test_grants_on_the_views_survive_swap_and_rollback(candidate: Candidate):
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, candidate.release)
    role = sql.Identifier(f"analyst_{candidate.conn.info.dbname}")
    conn.execute(sql.SQL("CREATE ROLE {}").format(role))
    conn.execute(sql.SQL("GRANT SELECT ON fashion_sota.products TO {}").format(role))
    conn.commit()
    second = copy_of(candidate, "second")
    # Another shape: the view cannot be replaced in place, and is made anew.
    conn.execute(sql.SQL("ALTER TABLE {} DROP COLUMN content_hash CASCADE").format(second.table("products")))
    conn.commit()
    promote(conn, settings, second)
    for reader in (role, sql.Identifier(settings.reader_role)):
        granted = conn.execute(
            sql.SQL("SELECT has_table_privilege({}, 'fashion_sota.products', 'SELECT')").format(
                sql.Literal(reader.as_string(conn).strip('"'))
            )
        ).fetchone()
        assert granted == (True,)
    conn.rollback()
    rollback(conn, settings)
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(settings.reader_role)))
    assert candidate.number("SELECT count(*) FROM fashion_sota.products") == 40
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(sql.SQL("SELECT 1 FROM {}").format(candidate.release.table("products")))
    conn.rollback()
    conn.execute(sql.SQL("DROP OWNED BY {}").format(role))
    conn.execute(sql.SQL("DROP ROLE {}").format(role))
    conn.commit()


def test_rollback_goes_to_the_release_before_and_back_again(candidate: Candidate):
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, candidate.release)
    second = copy_of(candidate, "second")
    promote(conn, settings, second)
    assert served_titles(conn) == {"second"}
    conn.commit()
    assert rollback(conn, settings).release == candidate.release.release
    assert "second" not in served_titles(conn)
    conn.commit()
    assert rollback(conn, settings, to=second.release).state == "live"
    assert served_titles(conn) == {"second"}


def test_there_must_be_something_to_go_back_to(candidate: Candidate):
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(candidate.conn, candidate.settings)
    with pytest.raises(ReleaseError, match="there is no release 'nonsense'"):
        rollback(candidate.conn, candidate.settings, to="nonsense")
    with pytest.raises(ReleaseError, match="only a retired release"):
        rollback(candidate.conn, candidate.settings, to=candidate.release.release)


def test_only_so_many_retired_releases_are_kept(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_KEEP_RELEASES", "1")
    settings = Settings()  # type: ignore[call-arg]
    promote(candidate.conn, settings, candidate.release)
    for title in ("second", "third"):
        promote(candidate.conn, settings, copy_of(candidate, title))
    states = {release.number: release.state for release in releases.releases(candidate.conn)}
    assert list(states.values()) == ["live", "retired", "dropped"]
    assert (
        candidate.number("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (candidate.release.release,))
        == 0
    )


def test_the_live_release_cannot_be_retired(candidate: Candidate):
    promote(candidate.conn, candidate.settings, candidate.release)
    with pytest.raises(ReleaseError, match="is live"):
        retire(candidate.conn, candidate.release.release)


def test_no_query_fails_while_releases_are_swapped(candidate: Candidate):
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, candidate.release)
    second = copy_of(candidate, "second")
    failures: list[BaseException] = []
    answers: list[int] = []
    stop = threading.Event()

    def read() -> None:
        try:
            with connect(settings, autocommit=True) as reader:
                while not stop.is_set():
                    row = reader.execute(
                        "SELECT count(*), count(DISTINCT title) FROM fashion_sota.products"
                    ).fetchone()
                    assert row is not None
                    answers.append(row[0])
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        promote(conn, settings, second)
        for _ in range(10):
            rollback(conn, settings)
    finally:
        stop.set()
    for reader in readers:
        reader.join(timeout=20)
    assert failures == []
    assert set(answers) == {40}
    assert len(answers) > 10


def test_a_swap_waits_for_a_long_reader_without_holding_up_others(
    candidate: Candidate, monkeypatch, tmp_path: Path
):
    conn, settings = candidate.conn, candidate.settings
    promote(conn, settings, candidate.release)
    second = copy_of(candidate, "second")
    monkeypatch.setattr(swap, "LOCK_TIMEOUT_MS", 50)
    with connect(settings) as slow:
        slow.execute("SELECT count(*) FROM fashion_sota.products")  # its transaction stays open
        monkeypatch.setattr(swap, "LOCK_ATTEMPTS", 2)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            promote(conn, settings, second)
        with connect(settings) as other:
            assert "second" not in served_titles(other)
    monkeypatch.setattr(swap, "LOCK_ATTEMPTS", 40)
    promote(conn, settings, second)
    assert served_titles(conn) == {"second"}
