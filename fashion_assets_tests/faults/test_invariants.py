"""Each invariant of the fault harness is seen to fail: on a sound release that is damaged in just that."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.faults import invariants
from fashion_assets.faults.servers import Server
from fashion_assets.faults.watchers import Reader, Write, Writer
from fashion_assets.postgres.connections import connect
from fashion_assets.release import value_counting
from fashion_assets.settings import Settings

DAMAGES = {
    "one_release_is_live: 0 releases are live": "UPDATE fashion_ops.releases SET state = 'retired'",
    "one_release_is_live: fashion_sota.users leads to": "CREATE SCHEMA fashion_sota_r0099; "
    "CREATE TABLE fashion_sota_r0099.users (LIKE {release}.users); CREATE OR REPLACE VIEW fashion_sota.users AS SELECT * FROM "
    "fashion_sota_r0099.users",
    "every_release_has_its_tables": "DROP SCHEMA {release} CASCADE",
    "in_is_out_and_quarantined: {release}: 41 listings": "UPDATE fashion_ops.releases SET listings = 41",
    "in_is_out_and_quarantined: {release}: 20 listings of batch": "UPDATE fashion_ops.release_batches SET quarantined = 1",
    "in_is_out_and_quarantined: {release}: 3 rows of": "INSERT INTO fashion_ops.release_tables VALUES ('{release}', 's', 'users', 3, 1, 1, '{{}}', "
    "'{{}}')",
    "served_is_what_the_register_says: {release}: product": "UPDATE {release}.products SET content_hash = 'other' WHERE external_id = '7'",
    "served_is_what_the_register_says: {release}: batch": "UPDATE fashion_ops.listings SET present = false WHERE external_id = '7'",
    "references_are_whole: {release}: 1 vectors of no product": "UPDATE {release}.product_embeddings SET product_id = gen_random_uuid() "
    "WHERE ctid = (SELECT ctid FROM {release}.product_embeddings LIMIT 1)",
    "references_are_whole: {release}: 1 styles of no product": "INSERT INTO {release}.product_style_affinity SELECT gen_random_uuid(), "
    "cluster, 1, 0.5 FROM {release}.style_clusters LIMIT 1",
    "references_are_whole: {release}: 1 products of no style": "INSERT INTO {release}.product_style_affinity SELECT product_id, 9999, 9, 0.5 "
    "FROM {release}.products LIMIT 1",
    "references_are_whole: {release}: 1 favourites of no product": "INSERT INTO {release}.favourites (user_id, source, product_id, record) "
    "VALUES ('u', 's', gen_random_uuid(), '{{}}')",
    "references_are_whole: {release}: 1 favourites of nobody": "INSERT INTO {release}.favourites (user_id, source, product_id, record) "
    "SELECT 'u', 's', product_id, '{{}}' FROM {release}.products LIMIT 1",
    "references_are_whole: {release}: 40 products whose vector is not kept": "DELETE FROM {release}.product_embeddings",
    "the_id_map_is_whole: {release}: product 7": "DELETE FROM fashion_ops.id_map WHERE external_id = '7'",
    "the_id_map_is_whole: 2 old ids": "INSERT INTO fashion_ops.id_map SELECT source, 'again', product_id, first_release FROM "
    "fashion_ops.id_map WHERE external_id = '7'",
    "indexes_are_valid: {release}.products_gender": "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
    "'{release}.products_gender'::regclass",
    "counts_are_of_the_rows: {release} counts otherwise": "UPDATE {release}.value_counts SET products = products + 1 WHERE filter = ''",
    "vectors_are_counted: {release}": "UPDATE fashion_ops.release_spaces SET vectors = vectors + 1",
}


def test_each_invariant_fails_where_it_is_broken(live: Candidate):
    conn, name = live.conn, live.release.release
    assert invariants.broken(conn) == [f"counts_are_of_the_rows: {name} keeps no counts of its values"]
    conn.rollback()
    value_counting.count(live.settings, live.release)
    assert invariants.broken(conn) == []
    for said, damage in DAMAGES.items():
        conn.execute(sql.SQL(damage.format(release=name)))  # pyright: ignore[reportArgumentType]
        broken = invariants.broken(conn)
        conn.rollback()
        assert any(each.startswith(said.format(release=name)) for each in broken), (said, broken)
    assert {said.partition(":")[0] for said in DAMAGES} == set(invariants.INVARIANTS)


def test_a_release_that_changes_and_writes_that_are_lost(live: Candidate):
    conn, name = live.conn, live.release.release
    before, content = invariants.fingerprints(conn), invariants.content(conn)
    conn.execute(
        sql.SQL("UPDATE {} SET title = 'x' WHERE external_id = '7'").format(live.release.table("products"))
    )
    assert invariants.changed(before, invariants.fingerprints(conn)) == [
        f"a_release_stays_what_it_is: {name}, revision 0, has other rows than before"
    ]
    (wrong,) = invariants.differences(invariants.content(conn), content)
    assert wrong.startswith("repaired_is_as_undisturbed: 40 rows of products, and 40 undisturbed: first")
    conn.rollback()
    assert invariants.changed(before, invariants.fingerprints(conn)) == []
    assert invariants.differences(invariants.content(conn), content) == []
    writes = [Write("w1", name), Write("w2", None), Write("w3", "fashion_sota_r0000")]
    assert [said.split()[1] for said in invariants.lost_writes(conn, writes)] == ["w1", "w3"]
    writes = writes[:2]
    mark = sql.SQL("INSERT INTO {} (user_id, source, record) VALUES ('w1', 'people', '{{}}')").format(
        live.release.table("favourites")
    )
    conn.execute(mark)
    assert invariants.lost_writes(conn, writes) == []
    conn.execute(mark)
    assert "twice" in invariants.lost_writes(conn, writes)[0]


class Own(Server):
    """The server of the tests, as the watchers connect to one."""

    def __init__(self, settings: Settings):
        self.settings = settings

    def connect(self, database: str = "", *, start: bool = True) -> psycopg.Connection:
        return connect(self.settings, autocommit=True)


@pytest.fixture
def watched(live: Candidate) -> Iterator[Callable[[str], list[str]]]:
    """What readers and a writer say while a statement's damage is there."""

    def told(damage: str) -> list[str]:
        live.conn.execute(sql.SQL(damage))  # pyright: ignore[reportArgumentType]
        live.conn.commit()
        own = Own(live.settings)
        watching = [Reader(own, "", True), Reader(own, "", False), Writer(own, "")]
        for each in watching:
            each.start()
        while not all(each.wrong for each in watching) and any(
            (each.answers if isinstance(each, Reader) else len(each.writes)) < 2 for each in watching
        ):
            pass
        for each in watching:
            each.end()
        return [said for each in watching for said in each.wrong]

    yield told


def test_readers_and_writers_say_what_is_wrong(live: Candidate, watched: Callable[[str], list[str]]):
    assert watched("SELECT") == []
    name = live.release.release
    said = watched(
        f"DELETE FROM {name}.product_embeddings WHERE served AND product_id = (SELECT min(product_id::text)::uuid FROM {name}.products)"
    )
    assert said and all("of no one release: (40, 1, 0)" in each for each in said)
    said = watched(f"TRUNCATE {name}.products")
    assert "a reader saw no products" in said
    said = watched(
        "ALTER VIEW fashion_sota.favourites RENAME TO others; ALTER VIEW fashion_sota.products RENAME TO more"
    )
    assert {each.partition(" was told")[0] for each in said} == {"a reader", "a writer"}
