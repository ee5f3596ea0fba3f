"""Going back is told before it is done: where it leads, until when, what it would change. What changed since goes ahead of it."""

import json

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets import sync
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.release import swap, upkeep
from fashion_assets.release.carrying import Carried
from fashion_assets.release.following import behind
from fashion_assets.release.swap import promote, rollback
from fashion_assets.release.way_back import Difference, WayBack, way_back
from fashion_assets.reports.report import note, page_of
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.locks import keep_from_changing, lock_changes
from fashion_assets.warehouse.releases import Release
from fashion_assets_tests.release.copies import copy_of


def call(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == exit_code, done.output
    return done.output


def live_one(conn: psycopg.Connection) -> Release:
    found = releases.live(conn)
    assert found is not None
    return found


def test_going_back_is_told_before_it_is_done(live: Candidate):
    conn, settings, first = live.conn, live.settings, live.release.release
    assert way_back(conn, settings, live_one(conn)) is None
    assert json.loads(call("status", "--json"))["back"] is None
    second = copy_of(live, None)
    ids = [
        each
        for (each,) in conn.execute(
            sql.SQL("SELECT product_id FROM {} ORDER BY 1 LIMIT 4").format(second.table("products"))
        ).fetchall()
    ]
    of = {"old": live.release.table("products"), "new": second.table("products")}
    conn.execute(sql.SQL("DELETE FROM {old} WHERE product_id = %s").format(**of), ids[:1])
    conn.execute(sql.SQL("DELETE FROM {new} WHERE product_id = ANY (%s)").format(**of), [ids[1:3]])
    conn.execute(
        sql.SQL("UPDATE {new} SET content_hash = 'another' WHERE product_id = %s").format(**of), ids[3:]
    )
    conn.execute("UPDATE fashion_ops.releases SET made_with = release")
    conn.commit()

    # A candidate's report tells it beforehand.
    second = releases.get(conn, second.release)
    page = page_of(conn, settings, second)
    said = json.loads(page.with_suffix(".json").read_text())
    found = said["back"]
    assert (found["release"], found["promotions_left"]) == (first, settings.keep_releases)
    assert found["changes"] == vars(Difference(1, 2, 1, (), True, False)) | {"without_columns": []}
    assert f"Once it is live, going back leads to {first} (40 products), until 3 further" in page.read_text()
    # One that a former version wrote tells nothing of it, and is written again.
    page.with_suffix(".json").write_text(
        json.dumps({name: each for name, each in said.items() if name != "back"})
    )
    note(settings, second)
    assert "going back" not in page.read_text()

    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired', retired_at = now(), has_changes_before = NULL WHERE release = %s",
        (first,),
    )
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'live', replaced = %s WHERE release = %s",
        (first, second.release),
    )
    conn.commit()
    assert f"back      {first}: 40 products, until 3 further releases are live" in call("status")
    told = call("rollback", "--dry-run")
    assert f"would go back to {first}, until 3 further releases are live, or somebody retires it" in told
    assert (
        "1 products would be gone, 2 products would be there again, 1 products would be as their listings were."
        in told
    )
    assert "It is of a former version: what was written since is not brought to it." in told
    assert f"another model: fashion-assets diff {first} {second.release} names every value" in told
    assert live_one(conn).release == second.release  # nothing was done
    assert "is live; only a retired release" in call(
        "rollback", "--dry-run", "--to", second.release, exit_code=1
    )


def test_what_changed_since_is_in_both_and_the_way_back_ends(live: Candidate):
    conn, settings, first = live.conn, live.settings, live.release.release
    second = copy_of(live, None)
    conn.commit()
    promote(conn, settings, second)
    back = way_back(conn, settings, live_one(conn), compared=True)
    assert back is not None and back.changes == Difference(0, 0, 0, (), False, False)
    assert back.told() == ["The same products of the same listings would be there."]
    conn.execute(
        sql.SQL("DELETE FROM {0} WHERE product_id = (SELECT min(product_id::text)::uuid FROM {0})").format(
            second.table("products")
        )
    )
    conn.commit()
    assert way_back(conn, settings, live_one(conn), compared=True) == back
    # Each release that went live since brings its end nearer.
    conn.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, content_version, retired_at) "
        "SELECT 'fashion_sota_r000' || n, n, 'retired', n, now() + interval '1 minute' FROM generate_series(3, 4) n"
    )
    nearer = way_back(conn, settings, live_one(conn))
    assert (
        nearer is not None
        and nearer == WayBack(second.release, first, 40, 1, False)
        and nearer.until.startswith("until another release is live")
    )


def test_what_is_written_where_triggers_do_not_fire_is_carried_all_the_same(live: Candidate):
    conn, settings = live.conn, live.settings
    second = copy_of(live, None)
    promote(conn, settings, second)
    write = "INSERT INTO fashion_sota.favourites (user_id, source, record) VALUES (%s, 'people', '{}')"
    with connect(settings, autocommit=True) as writer:
        writer.execute("SET session_replication_role = replica")
        writer.execute(write, ("u1",))
        # A trigger that somebody took away is there again once the release was looked after.
        writer.execute(sql.SQL("DROP TRIGGER log_insert ON {}").format(second.table("favourites")))
        upkeep.tend(writer, settings, second)
        writer.execute(write, ("u2",))
    assert rollback(conn, settings).release == live.release.release
    found = conn.execute("SELECT user_id FROM fashion_sota.favourites WHERE source = 'people' ORDER BY 1")
    assert found.fetchall() == [("u1",), ("u2",)]


def test_what_was_carried_is_not_taken_for_what_was_built(live: Candidate):
    """The register is what the first release was built of: what was written into the second one since makes it another."""
    conn, settings, first = live.conn, live.settings, live.release
    assert not behind(conn, first)
    second = copy_of(live, None)
    conn.commit()
    promote(conn, settings, second)
    changed = conn.execute(
        sql.SQL(
            "UPDATE {0} SET content_hash = 'another' WHERE product_id = (SELECT min(product_id::text)::uuid FROM {0}) RETURNING batch"
        ).format(second.table("products"))
    ).fetchall()
    conn.commit()
    assert rollback(conn, settings, first.release).release == first.release
    assert [(batch,) for _, batch in behind(conn, first)] == changed
    assert releases.with_content(conn, first.content_version) is None


class CutOff(Exception):
    """The end of a process, before the swap."""


def test_what_changed_is_brought_before_readers_wait(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    conn, settings, first = live.conn, live.settings, live.release
    second = copy_of(live, None)
    promote(conn, settings, second)
    conn.execute(
        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u1', 'app', '3', '{}')"
    )
    conn.execute(
        sql.SQL(
            "UPDATE {0} SET title = 'later' WHERE product_id = (SELECT min(product_id::text)::uuid FROM {0})"
        ).format(second.table("products"))
    )
    conn.commit()
    seen: list[tuple[int, int]] = []

    def brought(release: Release) -> tuple[int, int]:
        """By somebody else: what is committed."""
        with connect(settings, autocommit=True) as other:
            (found,) = other.execute(
                sql.SQL(
                    "SELECT (SELECT count(*) FROM {} WHERE title = 'later'), (SELECT count(*) FROM {})"
                ).format(release.table("products"), release.table("favourites"))
            ).fetchall()
        return found

    def cut_off(*_: object) -> None:
        seen.append(brought(first))
        raise CutOff

    with monkeypatch.context() as patch:
        patch.setattr(swap, "point_views_at", cut_off)
        with pytest.raises(CutOff):
            rollback(conn, settings)
    assert seen == [(1, 1)]
    # As if nothing had been, but that there is less to do: what came meanwhile, and nothing twice.
    assert live_one(conn).release == second.release
    conn.execute(
        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u2', 'app', '3', '{}')"
    )
    conn.commit()
    told: list[Carried] = []
    assert rollback(conn, settings, told=told.append).state == "live"
    assert (told[-1].products, told[-1].rows) == (0, 1)
    assert brought(first) == (1, 2)


def test_who_brings_changes_along_and_who_swaps_wait_for_one_another_in_one_order(
    live: Candidate, monkeypatch: pytest.MonkeyPatch
):
    conn, settings, first = live.conn, live.settings, live.release
    promote(conn, settings, copy_of(live, None))
    point = swap.point_views_at

    def others_bring(*arguments: object) -> None:
        """As another rollback does, or a sync, which has the lock of changes: it waits for no table, or neither would end."""
        with connect(settings) as other:
            lock_changes(other)
            other.execute("SET LOCAL lock_timeout = '1s'")
            other.execute(
                sql.SQL(
                    "INSERT INTO {} (user_id, source, external_id, record) VALUES ('u1', 'app', '3', '{{}}')"
                ).format(first.table("favourites"))
            )
            other.commit()
        point(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(swap, "point_views_at", others_bring)
    assert rollback(conn, settings).state == "live"


def test_what_cannot_be_brought_now_is_left_to_the_swap(live: Candidate):
    """Whoever keeps the release gone back to from being written to, as a promotion of it does while it judges, may want the lock of changes next."""
    conn, settings, first = live.conn, live.settings, live.release
    second = copy_of(live, None)
    promote(conn, settings, second)
    conn.execute(
        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u1', 'app', '3', '{}')"
    )
    conn.commit()
    with connect(settings) as promoting, connect(settings, autocommit=True) as syncing:
        keep_from_changing(promoting, first)
        sync.bring_back(syncing)
        assert live.number(f"SELECT count(*) FROM {first.release}.favourites") == 0
        promoting.commit()
        sync.bring_back(syncing)
    conn.commit()
    assert live.number(f"SELECT count(*) FROM {first.release}.favourites") == 1
