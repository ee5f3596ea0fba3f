"""A release made from a spare has the rows of one that is built whole, whatever was in the spare."""

import re
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.candidate import judge
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.release import build, renewal, styles, value_counting
from fashion_assets.release.plan import plan
from fashion_assets.release.swap import tidy
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, release_indexes, releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import LATER_TABLES, REVISION, TABLES


def built(live: Candidate, settings: Settings) -> Release:
    """A finished candidate of what the batches hold."""
    space = embedding_space(settings.model, settings.model_revision)
    release = build.load(live.conn, settings, space, None)
    live.conn.commit()
    styles.find(live.conn, release)
    live.conn.commit()
    styles.assign(settings, release)
    build.index(settings, release)
    return releases.get(live.conn, release.release)


def let_go(live: Candidate) -> Release:
    """A release that was let go and kept as a spare, as it was built."""
    name = built(live, live.settings).release
    live.conn.execute("UPDATE fashion_ops.releases SET state = 'spare' WHERE release = %s", (name,))
    live.conn.commit()
    return releases.get(live.conn, name)


def rows(conn: psycopg.Connection, release: Release) -> dict[str, list[str]]:
    """All rows of a release's tables, each as the bytes PostgreSQL sends, in their order; without the moment of its revision."""
    tables = {*TABLES, *LATER_TABLES} - {REVISION.name}
    return {
        name: [
            row
            for (row,) in conn.execute(
                sql.SQL("SELECT encode(record_send(t), 'hex') FROM {} t ORDER BY 1").format(
                    release.table(name)
                )
            ).fetchall()
        ]
        for name in tables
    }


def figures(conn: psycopg.Connection, release: Release) -> list[tuple]:
    """What the register says it is made of."""
    of = "release_batches", "release_spaces", "release_tables"
    return [
        row
        for name in of
        for row in conn.execute(
            sql.SQL("SELECT (to_jsonb(t) - 'release')::text FROM {} t WHERE release = %s ORDER BY 1").format(
                sql.Identifier("fashion_ops", name)
            ),
            (release.release,),
        ).fetchall()
    ]


class CutOff(Exception):
    """The end of a process, between two batches."""


def cut_off(done: int, total: int) -> None:
    raise CutOff


def damage(conn: psycopg.Connection, release: Release) -> None:
    """All that can become of rows while nobody looks: one byte of a title, of a vector and of a record, rows gone, moved, made up."""
    for statement in (
        "UPDATE {products} SET title = overlay(title placing 'x' from 1 for 1) WHERE product_id = (SELECT product_id FROM {products} ORDER BY 1 LIMIT 1)",
        "UPDATE {products} SET record = (record::text || ' ')::json WHERE product_id = (SELECT product_id FROM {products} ORDER BY 1 DESC LIMIT 1)",
        # The first number's sign.
        "UPDATE {vectors} SET embedding = subvector(embedding, 1, 1) * '[-1]' || subvector(embedding, 2, vector_dims(embedding) - 1) "
        "WHERE (product_id, kind) = (SELECT product_id, kind FROM {vectors} ORDER BY 1, 2 LIMIT 1)",
        "DELETE FROM {products} WHERE product_id = (SELECT product_id FROM {products} ORDER BY 1 OFFSET 5 LIMIT 1)",
        "DELETE FROM {vectors} WHERE (product_id, kind) = (SELECT product_id, kind FROM {vectors} ORDER BY 1, 2 OFFSET 9 LIMIT 1)",
        "INSERT INTO {vectors} SELECT gen_random_uuid(), embedding_space, embedding, kind, served FROM {vectors} LIMIT 1",
        "UPDATE {affinity} SET affinity = 0",
        "INSERT INTO {favourites} (user_id, source, record) VALUES ('nobody', 'shop', '{{}}')",
    ):
        conn.execute(
            sql.SQL(statement).format(  # type: ignore[arg-type]
                products=release.table("products"),
                vectors=release.table("product_embeddings"),
                affinity=release.table("product_style_affinity"),
                favourites=release.table("favourites"),
            )
        )
    conn.commit()


def test_what_was_wrong_in_the_spare_is_written_and_the_rest_stays_where_it_lies(live: Candidate):
    live = replace(live, settings=live.settings.model_copy(update={"counts_from": 10}))
    conn, settings = live.conn, live.settings
    former = let_go(live)
    damage(conn, former)
    conn.execute(
        sql.SQL("ALTER INDEX {} RESET (gin_pending_list_limit)").format(
            former.table("products_search_vector")
        )
    )
    conn.commit()
    graph = conn.execute(
        "SELECT to_regclass(%s)::oid", (f"{former.release}.product_embeddings_index",)
    ).fetchone()
    with pytest.raises(CutOff):
        build.load(conn, settings, embedding_space(settings.model, settings.model_revision), None, cut_off)
    # As if nothing had been: whoever comes next begins with it again.
    assert releases.spare(conn) == former
    renewed = built(live, settings)
    assert (renewed.made_from, renewed.shared, renewed.written) == (former.release, 37, 3)
    # The graph is the spare's, not another one.
    assert (
        conn.execute(
            "SELECT to_regclass(%s)::oid", (f"{renewed.release}.product_embeddings_index",)
        ).fetchone()
        == graph
    )
    assert releases.get(conn, former.release).state == "dropped"
    # Nothing lies beside an index of words, nor will much.
    words = f"{renewed.release}.products_search_vector"
    assert conn.execute("SELECT gin_clean_pending_list(%s)", (words,)).fetchone() == (0,)
    assert conn.execute(
        "SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", (words,)
    ).fetchone() == ([f"gin_pending_list_limit={release_indexes.BESIDE_KB}"],)
    whole = built(live, settings.model_copy(update={"keep_spare": False}))
    assert whole.made_from is None
    assert rows(conn, renewed) == rows(conn, whole)
    assert figures(conn, renewed) == figures(conn, whole)
    # Its counts came along, and followed what was written.
    assert value_counting.follows(conn, renewed) and value_counting.differing(conn, renewed) == []
    verdicts = judge(Candidate(conn, renewed, settings))
    assert [each.name for each in verdicts if not each.passed] == []
    # The comparison tells one byte.
    damage(conn, renewed)
    assert rows(conn, renewed) != rows(conn, whole)


WITH_OTHERS_ON_IT = {
    "view": "CREATE VIEW public.cheap AS SELECT * FROM {products}",
    "another shape": "ALTER TABLE {products} ADD COLUMN mine text",
    "another  shape": "ALTER TABLE {products} ALTER title SET NOT NULL",
    # As of a former version whose columns lay in another order.
    "its tables are of another shape": "ALTER TABLE {products} RENAME batch TO other; ALTER TABLE {products} RENAME content_hash TO batch; "
    "ALTER TABLE {products} RENAME other TO content_hash",
    "no valid index products_search_vector": "DROP INDEX {schema}.products_search_vector",
    "no valid index product_embeddings_index": "DROP INDEX {schema}.product_embeddings_index",
    "index": "CREATE INDEX mine ON {products} (title)",
    "trigger": "CREATE TRIGGER mine BEFORE UPDATE ON {products} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "constraint": "CREATE TABLE public.mine (product_id uuid REFERENCES {products})",
    "rule": "CREATE RULE mine AS ON DELETE TO {products} DO INSTEAD NOTHING",
    "check": "ALTER TABLE {products} ADD CONSTRAINT mine CHECK (title <> 'x')",
    "publication": "CREATE PUBLICATION mine FOR TABLE {products}",
}


def test_a_spare_with_something_of_others_on_it_is_not_taken(candidate: Candidate):
    conn, release = candidate.conn, candidate.release
    empty = releases.begin(conn, "version", release.space, None)
    build.create_tables(conn, empty)
    renewal.Renewal(conn, empty, release)  # as it is, it would be
    conn.rollback()
    empty = releases.begin(conn, "version", release.space, None)
    build.create_tables(conn, empty)
    for said, statement in WITH_OTHERS_ON_IT.items():
        with conn.transaction(force_rollback=True):
            conn.execute(
                sql.SQL(statement).format(  # type: ignore[arg-type]
                    products=release.table("products"), schema=sql.Identifier(release.release)
                )
            )
            with pytest.raises(renewal.NotAsMade, match="mine|cheap|" + said.replace("  ", " ")):
                renewal.Renewal(conn, empty, release)


def test_rights_row_security_and_triggers_of_its_time_are_not_the_new_release_s(candidate: Candidate):
    conn, release = candidate.conn, candidate.release
    products = release.table("products")
    changes.begin(conn, release)
    for statement in (
        "CREATE POLICY mine ON {} USING (false)",
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
        "GRANT SELECT (title), UPDATE (title) ON {} TO PUBLIC",
    ):
        conn.execute(sql.SQL(statement).format(products))  # type: ignore[arg-type]
    empty = releases.begin(conn, "version", release.space, None)
    build.create_tables(conn, empty)
    rights = renewal.rights(conn, empty)
    assert renewal.rights(conn, release) != rights
    conn.execute("SET LOCAL lock_timeout = '7s'")
    renewal.Renewal(conn, empty, release)
    # It waits no longer than a moment for who reads the spare; what comes behind it waits as long as before.
    assert conn.execute("SHOW lock_timeout").fetchone() == ("7s",)
    assert renewal.rights(conn, empty) == rights
    assert conn.execute(
        "SELECT relrowsecurity, (SELECT count(*) FROM pg_policy) FROM pg_class WHERE oid = to_regclass(%s)",
        (f"{empty.release}.products",),
    ).fetchone() == (False, 0)
    assert conn.execute(
        "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = to_regclass(%s)",
        (f"{empty.release}.products",),
    ).fetchone() == (0,)


def test_a_spare_is_taken_where_little_differs(live: Candidate):
    conn, settings, name = live.conn, live.settings, live.release.release
    space = embedding_space(settings.model, settings.model_revision)

    def why(**changes: object) -> str:
        return renewal.chosen(conn, settings.model_copy(update=changes), plan(conn, settings, space)).why

    assert "there is no spare" in why()
    conn.execute("UPDATE fashion_ops.releases SET state = 'spare' WHERE release = %s", (name,))
    assert why() == "" and why(keep_spare=False) == "keep_spare is off"
    for statement, said in (
        ("UPDATE fashion_ops.releases SET replaced_vectors = 10", "vectors of .* would have been replaced"),
        ("UPDATE fashion_ops.releases SET made_with = 'other'", "made with other sources"),
        ("DELETE FROM fashion_ops.release_batches WHERE batch LIKE '%1'", ""),
        (
            f"UPDATE {name}.products SET content_hash = 'x'; UPDATE fashion_ops.release_batches SET content_version = ''",
            "40 listings differ",
        ),
    ):
        with conn.transaction(force_rollback=True):
            conn.execute(statement)  # type: ignore[arg-type]
            assert re.search(said, why()) and bool(why()) == bool(said)


def test_the_newest_that_is_let_go_stays_as_the_spare(live: Candidate):
    conn, settings = live.conn, live.settings.model_copy(update={"keep_candidates": 1})
    made_with = live.release.made_with
    conn.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, content_version, made_with) "
        "SELECT 'fashion_sota_r000' || n, n, 'candidate', n, %s FROM generate_series(2, 5) n",
        (made_with,),
    )
    conn.execute("UPDATE fashion_ops.releases SET made_with = 'other' WHERE number = 4")
    conn.commit()

    def states() -> dict[int, str]:
        return {each.number: each.state for each in releases.releases(conn)}

    tidy(conn, settings)
    assert states() == {1: "live", 2: "dropped", 3: "spare", 4: "dropped", 5: "candidate"}
    tidy(conn, settings)
    assert states()[3] == "spare"
    tidy(conn, settings.model_copy(update={"keep_spare": False}))
    assert states()[3] == "dropped"
