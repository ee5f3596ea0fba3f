"""The live release follows its sources, all or nothing, and what changed in it is in the release one goes back or forward to."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from rich.console import Console

from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.encoder import InstalledModel
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.connections import connect
from fashion_assets.release import carrying, roots, swap
from fashion_assets.release.applying import Applying, Followed, Moved, NeedsSnapshot, Overtaken, TooMuchGone
from fashion_assets.release.carrying import Carried
from fashion_assets.release.following import behind, portions
from fashion_assets.release.following_tables import settle
from fashion_assets.release.plan import plan
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.sync import Sync, SyncResult, bring_back
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.filling import write_batches
from fashion_assets.warehouse.locks import lock_batches, lock_swaps
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import active_sources
from fashion_assets_tests.catalogue import draw_picture, line, replace_line, write_catalogue
from fashion_assets_tests.release.copies import copy_of

ROWS = {
    # When and in which style differ from build to build.
    "products": "to_jsonb(t) - 'normalized' || jsonb_build_object('n', t.normalized - 'normalized_at')",
    "product_embeddings": "to_jsonb(t)",
}


def synced(settings: Settings, **how: object) -> SyncResult:
    with closing(Sync(settings, Console(quiet=True))) as sync:
        return sync.once(**how)  # type: ignore[arg-type]


def figures(database: psycopg.Connection, release: str) -> tuple[int, int, int, int]:
    """Products, rejections and listings as the register has them, and products there are."""
    database.commit()
    known = releases.get(database, release)
    row = database.execute(sql.SQL("SELECT count(*) FROM {}").format(known.table("products"))).fetchone()
    assert row is not None and known.products is not None
    return known.products, known.quarantined or 0, known.listings or 0, row[0]


def differing(database: psycopg.Connection, one: str, other: str) -> dict[str, int]:
    """Rows of one release that another one does not have, and the other way round, by table."""
    database.commit()
    found = {}
    for table, said in ROWS.items():
        rows = [
            sql.SQL("SELECT {} FROM {} t").format(sql.SQL(said), sql.Identifier(release, table))
            for release in (one, other)
        ]
        row = database.execute(
            sql.SQL("SELECT count(*) FROM (({0} EXCEPT ALL {1}) UNION ALL ({1} EXCEPT ALL {0})) d").format(
                *rows
            )
        ).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


def versions(database: psycopg.Connection, release: str) -> dict[str, str]:
    """Which transaction wrote each product."""
    database.commit()
    rows = database.execute(
        sql.SQL("SELECT external_id, xmin::text FROM {}").format(sql.Identifier(release, "products"))
    )
    return dict(rows.fetchall())


def test_a_sync_by_snapshot_is_a_run(shop: Path, settings: Settings):
    result = synced(settings, mode="snapshot")
    assert result.mode == "snapshot" and result.run is not None and result.run.live
    assert result.run.lines[-1] == "nothing changed" and result.release == result.run.release


def test_what_changed_in_a_source_comes_into_the_live_release_as_a_run_would_bring_it(
    migrate: Callable[..., MigrationResult],
    settings: Settings,
    database: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    monkeypatch.setenv("FASHION_ASSETS_MAX_SHRINK", "0.5")
    # Each batch by itself, so that they are written side by side.
    monkeypatch.setattr("fashion_assets.release.following.AT_ONCE", 1)
    settings = Settings()
    catalogue = write_catalogue(tmp_path / "catalogue", 40)
    first = migrate(catalogue)
    assert first.live and first.release is not None
    assert synced(settings).mode == "nothing"
    before = versions(database, first.release)

    replace_line(catalogue, 3, line(3, "Puma Men Purple Blazer 3"))
    replace_line(catalogue, 7, line(7, "").removesuffix("Puma Men Grey T-shirt 7"))
    replace_line(catalogue, 7, "7,Men,Apparel,Topwear,Tshirts,Grey,Summer,2012,Casual,")
    lines = (catalogue / "styles.csv").read_text().splitlines()
    (catalogue / "styles.csv").write_text(
        "\n".join([each for each in lines if not each.startswith("9,")] + [line(41), line(42)]) + "\n"
    )
    draw_picture(catalogue / "images" / "41.jpg", 41)  # and none for 42
    draw_picture(catalogue / "images" / "11.jpg", 1_100)
    result = synced(settings)
    # 3, 11 and 41 are written; 9 is gone; 7 and 42 are rejected.
    assert result.mode == "triggered" and result.release == first.release and result.revision == 2
    done = result.followed
    assert (done.written, done.new, done.removed, done.rejected) == (3, 1, 2, 2)
    assert figures(database, first.release) == (39, 2, 41, 39)
    after = versions(database, first.release)
    assert {key for key in before if after.get(key) != before[key]} == {"3", "7", "9", "11"}
    logged = database.execute(
        "SELECT operation, count(*) FROM fashion_ops.changes WHERE name = 'products' AND origin = 'sync fashion_demo' GROUP BY 1"
    ).fetchall()
    assert dict(logged) == {"insert": 1, "update": 2, "delete": 2}
    live = releases.get(database, first.release)
    assert behind(database, live) == []
    # Vectors of 3 and 11 are others, 7 and 9 are gone; 41 takes nothing's place.
    assert live.replaced_vectors == 4
    assert synced(settings).mode == "nothing"

    # The batches' files come up to date with the next run, which finds the release to be what they make.
    again = migrate()
    assert again.release == first.release and again.live and again.batches_run == 2

    # An application's favourite is in no source, and comes along; so does all a run would make of the sources.
    database.execute(
        "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u1', 'app', '3', '{}')"
    )
    database.execute("UPDATE fashion_ops.releases SET content_version = 'another'")
    database.commit()
    second = migrate()
    assert second.live and second.release not in (None, first.release) and second.release is not None
    assert differing(database, first.release, second.release) == {"products": 0, "product_embeddings": 0}
    assert figures(database, second.release) == (39, 2, 41, 39)
    favourites = "SELECT user_id, external_id FROM fashion_sota.favourites"
    assert database.execute(favourites).fetchall() == [("u1", "3")]
    database.execute("DELETE FROM fashion_sota.favourites")
    database.commit()

    # What is synced into a release is in the one it replaced, too.
    replace_line(catalogue, 5, line(5, "Puma Men Teal Poncho 5"))
    assert synced(settings).followed.written == 1
    told: list[Carried] = []
    assert swap.rollback(database, settings, told=told.append).release == first.release
    assert differing(database, first.release, second.release) == {"products": 0, "product_embeddings": 0}
    assert database.execute(favourites).fetchall() == []
    assert figures(database, first.release) == (39, 2, 41, 39)
    # All of it had been brought there when it was synced.
    assert not told[-1]
    assert releases.get(database, first.release).replaced_vectors == 5


def gone_from_the_register(live: Candidate, ids: list[str]) -> None:
    """As a scan would note it."""
    with live.conn.transaction():
        batches = live.conn.execute(
            "UPDATE fashion_ops.listings SET present = false WHERE external_id = ANY (%s) RETURNING batch",
            (ids,),
        ).fetchall()
        write_batches(live.conn, sorted({batch for (batch,) in batches}))


def apply_all(live: Candidate, most: int | None = None, **how: bool) -> Followed:
    done = Followed()
    (entry,) = active_sources(live.conn)
    live.conn.commit()
    with (
        connect(live.settings, autocommit=True) as conn,
        connect(live.settings, autocommit=True) as looking,
        closing(Applying(live.settings, conn, looking, InstalledModel(live.settings))) as applying,
    ):
        for number, portion in enumerate(portions(conn, live.release, behind(conn, live.release))):
            if number == most:
                break
            done.add(applying.apply(live.release, entry, portion, **how))
    return done


def test_much_of_a_source_is_not_taken_out_without_a_person(live: Candidate):
    gone_from_the_register(live, [str(number) for number in range(1, 31)])
    with pytest.raises(TooMuchGone, match=r"30 of 40 products of source fashion_demo would be gone"):
        apply_all(live)
    assert figures(live.conn, live.release.release) == (40, 0, 40, 40)
    # Nor little by little.
    live.conn.execute("UPDATE fashion_ops.listings SET present = true")
    live.conn.commit()
    gone_from_the_register(live, ["1"])
    with live.conn.transaction():
        write_batches(live.conn, ["fashion_demo-00002"])
    assert apply_all(live).removed == 1
    gone_from_the_register(live, [str(number) for number in range(2, 12)])
    with pytest.raises(TooMuchGone, match="11 of 39"):
        apply_all(live)
    assert releases.get(live.conn, live.release.release).tables_version is None  # should the sync end here
    assert apply_all(live, allow_shrink=True).removed == 10
    assert figures(live.conn, live.release.release) == (29, 0, 29, 29)


def test_what_was_interrupted_goes_on_where_it_ended(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.release.following.AT_ONCE", 1)
    live.conn.execute(
        "UPDATE fashion_ops.listings SET content_hash = 'other' WHERE external_id IN ('2', '39')"
    )
    with live.conn.transaction():
        write_batches(live.conn, ["fashion_demo-00001", "fashion_demo-00002"])
    live.conn.commit()
    # What is in the release says nothing of the register's content, so both are judged anew.
    assert apply_all(live, most=1).written == 1
    (left,) = portions(live.conn, live.release, behind(live.conn, live.release))
    assert list(left.batches) == ["fashion_demo-00002"] and left.listings["external_id"].to_pylist() == ["39"]
    # Its picture is one the release has, and is not opened again where it is the same.
    [(picture, *size)] = live.conn.execute(
        sql.SQL("SELECT image_sha256, image_width, image_height FROM {} WHERE external_id = '39'").format(
            live.release.table("products")
        )
    ).fetchall()
    assert left.pictures == {picture: tuple(size)}


def test_what_is_written_beside_a_portion_that_fails_stays(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.release.following.AT_ONCE", 1)
    live.conn.execute(
        "UPDATE fashion_ops.listings SET content_hash = 'other' WHERE external_id IN ('2', '39')"
    )
    with live.conn.transaction():
        write_batches(live.conn, ["fashion_demo-00001", "fashion_demo-00002"])
    live.conn.execute("UPDATE fashion_ops.batches SET listings = 7 WHERE batch = 'fashion_demo-00002'")
    live.conn.commit()
    (entry,) = active_sources(live.conn)
    live.conn.commit()
    done = Followed()
    with closing(Sync(live.settings, Console(quiet=True))) as sync, connect(live.settings) as conn:
        with pytest.raises(NeedsSnapshot, match="fashion_demo-00002"):
            sync._follow(
                live.release,
                portions(conn, live.release, behind(conn, live.release)),
                {entry.name: entry},
                done,
                False,
            )
        conn.rollback()
        assert done.written == 1
        assert behind(conn, live.release) == [(entry.name, "fashion_demo-00002")]


def test_a_batch_is_written_by_one_and_others_beside_it(live: Candidate):
    live.conn.commit()
    with connect(live.settings) as one, connect(live.settings) as other:
        lock_batches(one, live.release, ["fashion_demo-00001"])
        other.execute("SET statement_timeout = '200ms'")
        lock_batches(other, live.release, ["fashion_demo-00002"])
        with pytest.raises(psycopg.errors.QueryCanceled):
            lock_batches(other, live.release, ["fashion_demo-00001"])
        other.rollback()
        other.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            lock_swaps(other)  # waits for whoever writes


def test_what_people_write_while_tables_are_settled_stays(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    replay, written = carrying.replay_written, []

    def somebody_writes(conn: psycopg.Connection, to: Release, name: str) -> None:
        replay(conn, to, name)
        if name == "favourites":
            written.append(name)
            live.conn.execute(
                "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u1', 'app', '3', '{}')"
            )
            live.conn.commit()

    monkeypatch.setattr(carrying, "replay_written", somebody_writes)
    with connect(live.settings, autocommit=True) as conn:
        wanted = plan(conn, live.settings)
        settle(conn, live.settings, live.release, wanted.tables, wanted.of_rows, "version")
    row = live.conn.execute("SELECT count(*) FROM fashion_sota.favourites").fetchone()
    assert written and row == (1,)


def test_a_release_that_is_not_live_any_more_is_left_alone(live: Candidate):
    other = copy_of(live, "another")
    gone_from_the_register(live, ["1"])
    live.conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired' WHERE release = %s", (other.release,)
    )
    live.conn.commit()
    swap.rollback(live.conn, live.settings, other.release)
    with pytest.raises(Moved, match="is retired by now"):
        apply_all(live)


def test_what_another_sync_wrote_meanwhile_is_compared_anew(live: Candidate):
    conn, (entry,) = live.conn, active_sources(live.conn)
    gone_from_the_register(live, ["1"])
    (early,) = portions(conn, live.release, behind(conn, live.release))
    # By a watch whose register is another one: what it wrote is in no register, and none of what was compared.
    conn.execute(
        "UPDATE fashion_ops.release_batches SET content_version = 'other' WHERE batch = ANY (%s)",
        (list(early.batches),),
    )
    conn.commit()
    with (
        connect(live.settings, autocommit=True) as own,
        closing(Applying(live.settings, own, own, InstalledModel(live.settings))) as applying,
        pytest.raises(Overtaken, match="wrote fashion_demo-00001 into fashion_sota_r0001 meanwhile"),
    ):
        applying.apply(live.release, entry, early)
    assert figures(conn, live.release.release) == (40, 0, 40, 40)
    assert apply_all(live).removed == 1


def test_figures_that_do_not_add_up_change_nothing(live: Candidate):
    gone_from_the_register(live, ["1"])
    live.conn.execute("UPDATE fashion_ops.batches SET listings = 7 WHERE batch = 'fashion_demo-00001'")
    live.conn.commit()
    with pytest.raises(NeedsSnapshot, match="7 listings, and 19 products and 0 rejections"):
        apply_all(live)
    assert figures(live.conn, live.release.release) == (40, 0, 40, 40)


def test_only_what_changes_rows_can_follow(live: Candidate):
    live.conn.execute("UPDATE fashion_ops.releases SET made_with = 'other'")
    live.conn.commit()
    with pytest.raises(NeedsSnapshot, match="was made with other sources, mappings, rules or another model"):
        synced(live.settings, mode="triggered")


def test_a_search_knows_the_revision_it_reads(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.search.served.FRESH_SECONDS", 0.0)
    with SearchEngine.open(live.settings) as engine:
        asked = Query(facets=("gender",), limit=1)
        first = engine.search(asked)
        assert first.facets["gender"] == [("men", 40)] and not first.plan.notes
        gone_from_the_register(live, ["1"])
        apply_all(live)
        assert engine.search(asked).facets["gender"] == [("men", 39)]
        (note,) = engine.search(replace(asked, page=first.next_page)).plan.notes
        assert "was changed since the first page" in note


def test_writers_cannot_keep_their_writes_out_of_the_log(live: Candidate):
    conn = live.conn
    writer = "log_writer"
    conn.execute(sql.SQL("DROP ROLE IF EXISTS {0}; CREATE ROLE {0}").format(sql.Identifier(writer)))
    conn.execute(
        sql.SQL(
            "GRANT USAGE ON SCHEMA fashion_sota TO {0}; GRANT INSERT ON fashion_sota.favourites TO {0}"
        ).format(sql.Identifier(writer))
    )
    conn.commit()
    try:
        with connect(live.settings) as other:
            other.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(writer)))
            other.execute("SET fashion_assets.carrying = 'on'")
            other.execute(
                "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES ('u', 'app', '1', '{}')"
            )
        logged = conn.execute(
            "SELECT origin, row ->> 'user_id' FROM fashion_ops.changes WHERE name = 'favourites'"
        )
        assert logged.fetchall() == [(writer, "u")]
    finally:
        conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(writer)))
        conn.commit()


def test_a_release_with_another_model_keeps_its_own_vectors_where_they_show_the_same(live: Candidate):
    conn = live.conn
    other = copy_of(live, None)
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired', has_changes_before = 0 WHERE release = %s",
        (other.release,),
    )
    conn.execute(
        "INSERT INTO fashion_ops.spaces (space, model, dimension, preprocessing) VALUES ('other', 'm', 512, '{}')"
    )
    conn.execute(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT product_embeddings_space_check").format(
            other.table("product_embeddings")
        )
    )
    for table in ("products", "product_embeddings"):
        conn.execute(
            sql.SQL("UPDATE {} SET embedding_space = 'other'").format(sql.Identifier(other.release, table))
        )
    conn.execute(
        "INSERT INTO fashion_ops.release_spaces (release, space, kind, vectors) VALUES (%s, 'other', 'image', 40)",
        (other.release,),
    )
    products = live.release.table("products")
    conn.execute(sql.SQL("UPDATE {} SET brand = 'Nike' WHERE external_id = '1'").format(products))
    conn.execute(sql.SQL("UPDATE {} SET title = 'Other' WHERE external_id = '2'").format(products))
    conn.execute(sql.SQL("DELETE FROM {} WHERE external_id = '3'").format(products))
    conn.commit()
    told: list[Carried] = []
    swap.rollback(conn, live.settings, other.release, told=told.append)
    assert told == [Carried(3, 0, 1)] and "1 of these products have no vector" in str(told[0])
    rows = conn.execute(
        "SELECT external_id, brand, title = 'Other', embedding_space FROM fashion_sota.products "
        "WHERE external_id IN ('1', '2', '3', '4') ORDER BY 1"
    ).fetchall()
    assert rows == [("1", "Nike", False, "other"), ("2", "Puma", True, None), ("4", "Puma", False, "other")]
    assert roots.active(conn, live.settings)


def test_what_a_writer_commits_behind_a_swap_is_not_left_behind(
    live: Candidate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(swap, "LATE_SECONDS", 0.0)
    conn = live.conn
    other = copy_of(live, None)
    conn.execute("UPDATE fashion_ops.releases SET state = 'retired' WHERE release = %s", (other.release,))
    conn.commit()
    favourite = sql.SQL(
        "INSERT INTO {} (user_id, source, external_id, record) VALUES (%s, 'app', '1', '{{}}')"
    )
    with connect(live.settings) as writer:
        # As one whose statement had looked up the view before it led elsewhere.
        writer.execute(favourite.format(live.release.table("favourites")), ("late",))
        swap.rollback(conn, live.settings, other.release)
        assert conn.execute("SELECT user_id FROM fashion_sota.favourites").fetchall() == []
        conn.commit()
    bring_back(conn)
    assert conn.execute("SELECT user_id FROM fashion_sota.favourites").fetchall() == [("late",)]
    conn.execute(favourite.format(sql.Identifier("fashion_sota", "favourites")), ("next",))
    conn.commit()
    swap.rollback(conn, live.settings, live.release.release)
    rows = conn.execute("SELECT user_id FROM fashion_sota.favourites ORDER BY 1").fetchall()
    assert rows == [("late",), ("next",)]


def test_the_log_keeps_what_a_release_may_lack_and_what_people_wrote(live: Candidate):
    conn = live.conn
    for origin, days, transaction in (
        ("sync shop", 40, 1),
        ("sync shop", 1, 1),
        ("sync shop", 40, 2**40),
        ("app", 40, 1),
    ):
        conn.execute(
            "INSERT INTO fashion_ops.changes (at, transaction, release, name, operation, product_id, origin) "
            "VALUES (now() - make_interval(days => %s), %s, 'r', 'products', 'update', gen_random_uuid(), %s)",
            (days, transaction, origin),
        )
    conn.commit()
    swap.tidy(conn, live.settings)
    left = conn.execute(
        "SELECT origin, transaction > 1, at > now() - interval '30 days' FROM fashion_ops.changes ORDER BY 1, 2, 3"
    ).fetchall()
    assert left == [("app", False, False), ("sync shop", False, True), ("sync shop", True, False)]


def test_the_log_is_read_in_its_order_and_what_is_compared_alike_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(carrying, "AT_ONCE", 2)
    one, other = {"a": 1, "b": 2}, {"a": 1, "b": None}
    log = [("insert", one)] * 3 + [("insert", other), ("delete", one), ("insert", one)]
    assert list(carrying._runs(log, {"a": "integer", "b": "integer"})) == [
        ("insert", [one, one]),
        ("insert", [one]),
        ("insert", [other]),
        ("delete", [one]),
        ("insert", [one]),
    ]
