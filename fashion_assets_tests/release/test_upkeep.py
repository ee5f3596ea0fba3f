"""The index of vectors is built anew by itself once much of it was replaced, and what was cut off is begun again."""

import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.release import graphs, indexes, upkeep
from fashion_assets.release.build import DEAD_SHARE
from fashion_assets.release.upkeep import Tended, Vectors, of_vectors, tend
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.release_indexes import VECTOR_INDEX
from fashion_assets_tests.release.test_indexes import NEW, leave_one_behind, oids


def replaced(live: Candidate, many: int) -> None:
    releases.count_replaced(live.conn, live.release, many)
    live.conn.commit()


def tended(live: Candidate) -> Tended:
    with connect(live.settings, autocommit=True) as conn:
        return tend(conn, live.settings, live.release)


def state(live: Candidate) -> Vectors:
    said = of_vectors(live.conn, live.settings, live.release)
    live.conn.commit()
    return said


def found(live: Candidate) -> list[list[str]]:
    """By the index: the ten nearest of each of five products."""
    products = live.release.table("products")
    conn = live.conn
    for name, value in (("enable_seqscan", "off"), ("enable_sort", "off"), ("hnsw.ef_search", "200")):
        conn.execute("SELECT set_config(%s, %s, true)", (name, value))
    asked = conn.execute(
        sql.SQL("SELECT embedding, embedding_space FROM {} ORDER BY product_id LIMIT 5").format(products)
    ).fetchall()
    dimension = sql.Literal(asked[0][0].dimensions())
    nearest = sql.SQL(
        "SELECT external_id FROM {products} WHERE embedding_space = {space} "
        "ORDER BY (embedding::halfvec({dimension})) <=> %s::halfvec({dimension}) LIMIT 10"
    ).format(products=products, space=sql.Literal(asked[0][1]), dimension=dimension)
    rows = [sorted(one for (one,) in conn.execute(nearest, (vector,)).fetchall()) for vector, _ in asked]
    plan = conn.execute(sql.SQL("EXPLAIN {}").format(nearest), (asked[0][0],)).fetchall()
    assert any(VECTOR_INDEX in line for (line,) in plan)
    conn.commit()
    return rows


def test_an_index_is_built_anew_once_so_much_of_it_was_replaced(live: Candidate):
    before, answers = oids(live), found(live)
    replaced(live, 9)
    assert not state(live).is_due
    assert tended(live) == ([], [], "") and oids(live) == before
    replaced(live, 1)
    assert "25% of the vectors were replaced" in str(state(live))
    done = tended(live)
    after = oids(live)
    assert [each.name for each in done.rebuilt] == [VECTOR_INDEX] and not done.put_off
    assert {name for name in before if after[name] != before[name]} == {VECTOR_INDEX}
    assert all(each.valid for each in indexes.standing(live.conn, live.release))
    assert releases.get(live.conn, live.release.release).replaced_vectors == 0
    assert found(live) == answers
    # What was replaced is freed then, and not before: a vacuum of an index that leads to many rows that are gone takes longer than building it.
    (vacuums, options), *_ = live.conn.execute(
        "SELECT s.vacuum_count, c.reloptions FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid "
        "WHERE s.schemaname = %s AND s.relname = 'products'",
        (live.release.release,),
    ).fetchall()
    assert vacuums >= 1 and f"autovacuum_vacuum_scale_factor={DEAD_SHARE}" in options
    live.conn.commit()
    # What the rows that come next are linked with is set again, and looked after: a process may end before that.
    later = {VECTOR_INDEX: graphs.LATER_WITH}
    assert graphs.standing(live.conn, live.release) == later
    live.conn.commit()
    with connect(live.settings, autocommit=True) as conn:
        assert graphs.take(conn, live.release, VECTOR_INDEX, graphs.BUILT_WITH, 1)
        assert tended(live).lines() == [] and graphs.standing(conn, live.release) == later


def test_dead_rows_are_freed_with_the_care_the_graph_was_built_with(
    live: Candidate, monkeypatch: pytest.MonkeyPatch
):
    take, taken = graphs.take, list[int]()
    monkeypatch.setattr(graphs, "take", lambda *given: taken.append(given[3]) or take(*given))
    assert tended(live).lines() == [] and not taken
    for _ in range(2):
        live.conn.execute(sql.SQL("UPDATE {} SET price = 7").format(live.release.table("products")))
        live.conn.commit()
    live.conn.execute("SELECT pg_stat_force_next_flush()")
    live.conn.commit()
    assert tended(live).lines() == [] and taken == [graphs.BUILT_WITH, graphs.LATER_WITH]
    assert (
        live.number(
            f"SELECT vacuum_count FROM pg_stat_user_tables WHERE relid = '{live.release.release}.products'::regclass"
        )
        > 0
    )


def test_one_that_nobody_wants_built_anew_is_not(live: Candidate):
    before = oids(live)
    replaced(live, 400)
    never = live.settings.model_copy(update={"reindex_after": 0.0})
    with connect(live.settings, autocommit=True) as conn:
        assert tend(conn, never, live.release).lines() == []
    assert oids(live) == before


def test_what_was_cut_off_is_begun_again(live: Candidate):
    replaced(live, 20)
    leave_one_behind(live)
    assert NEW in str(state(live))
    done = tended(live)
    assert done.dropped == [NEW] and [each.name for each in done.rebuilt] == [VECTOR_INDEX]
    assert NEW not in oids(live)
    # One that somebody began by hand is no more than taken away.
    before = oids(live)
    leave_one_behind(live)
    assert tended(live) == ([], [NEW], "") and oids(live) == before


def test_nobody_who_reads_for_long_is_waited_for(live: Candidate, monkeypatch: pytest.MonkeyPatch):
    replaced(live, 20)
    before = oids(live)
    with connect(live.settings, application_name="a report") as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM fashion_sota.products")
        monkeypatch.setattr(upkeep, "OLD_SECONDS", 0.0)
        put_off = tended(live).put_off
        assert "waits to be built anew" in put_off and "a report (server process" in put_off
        # One that began later is waited for a while; then it is left for the next time, and nothing lies about.
        monkeypatch.setattr(upkeep, "OLD_SECONDS", 60.0)
        monkeypatch.setattr(upkeep, "PATIENCE_SECONDS", 0.3)
        assert "has a transaction open that has not ended after 0.3 s. The next sync" in tended(live).put_off
        assert reader.execute("SELECT count(*) FROM fashion_sota.products").fetchone() == (40,)
    assert {*oids(live)} - {*before} <= {NEW, f"{VECTOR_INDEX}_ccold"}
    assert [each.name for each in tended(live).rebuilt] == [VECTOR_INDEX]
    assert oids(live).keys() == before.keys()
