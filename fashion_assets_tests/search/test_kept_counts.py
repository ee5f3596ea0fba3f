"""The counts a large release keeps are those of its rows: as it is built, and whatever is written to it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from fashion_assets.criteria.questions import Searching
from fashion_assets.criteria.searching import SEARCH_CRITERIA
from fashion_assets.criteria.subject import Candidate
from fashion_assets.doctor.schemas import of_indexes
from fashion_assets.postgres.connections import ask_for, connect
from fashion_assets.postgres.errors import Busy
from fashion_assets.release import build, value_counting
from fashion_assets.search import kept_counts
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.search.statements import Shape
from fashion_assets.warehouse import release_tables
from fashion_assets.warehouse.value_counts import TABLE
from fashion_assets_tests.conftest import Template, release_of
from fashion_assets_tests.search.large import COLOURS, GROUPS, Large

FACETS = ("colour", "article_type", "price", "year", "gender", "source")


@pytest.fixture(scope="module")
def counted(
    server_settings, filled: tuple[Template, Large], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Candidate]:
    """Thousands of drawn products, whose values are counted; a filter is kept from 200 products on."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        release_of(server_settings, filled[0], tmp_path_factory.mktemp("counted"), monkeypatch) as candidate,
    ):
        candidate = replace(candidate, settings=candidate.settings.model_copy(update={"counts_from": 2_000}))
        build.index(candidate.settings, candidate.release)
        yield candidate


def answers(engine: SearchEngine, query: Query) -> tuple:
    found = engine.search(query)
    return found.total, found.facets, found.ranges, [hit.product_id for hit in found.hits]


narrowed = st.fixed_dictionaries(
    {},
    optional={
        "colour": st.lists(st.sampled_from((*COLOURS, "mauve")), min_size=1, max_size=2, unique=True),
        "article_type": st.sampled_from([f"kind {group}" for group in range(GROUPS)]),
        "year": st.sampled_from([2011, [2012, 2013], {"from": 2014}]),
        "price": st.sampled_from([{"from": "20"}, {"to": "50.5"}]),
    },
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filters=narrowed, facets=st.lists(st.sampled_from(FACETS), unique=True, max_size=4))
def test_pages_by_kept_counts_say_what_pages_by_rows_do(
    counted: Candidate, engines: tuple[SearchEngine, SearchEngine], filters: dict, facets: list
):
    by_counts, by_rows = engines
    query = Query(filters=filters, facets=tuple(facets), limit=5, release=counted.release.release)
    assert answers(by_counts, query) == answers(by_rows, query)


@pytest.fixture(scope="module")
def engines(counted: Candidate) -> Iterator[tuple[SearchEngine, SearchEngine]]:
    """One that goes by the counts, and one that learnt of the release while it had none."""
    conn, release = counted.conn, counted.release
    hide = sql.SQL("ALTER TABLE {} RENAME TO {}")
    aside = sql.Identifier("aside")
    conn.commit()
    with (
        SearchEngine.open(counted.settings, size=1, curated=False) as by_counts,
        SearchEngine.open(counted.settings, size=1, curated=False) as by_rows,
    ):
        by_counts.search(Query(release=release.release))
        conn.execute(hide.format(release.table(TABLE), aside))
        conn.commit()
        by_rows.search(Query(release=release.release))
        conn.execute(hide.format(release.table("aside"), sql.Identifier(TABLE)))
        conn.commit()
        yield by_counts, by_rows


def kept(candidate: Candidate) -> dict[tuple, int]:
    rows = candidate.conn.execute(
        sql.SQL(
            "SELECT filter, value, counted, counted_value, sum(products)::int8 FROM {} GROUP BY 1, 2, 3, 4 HAVING sum(products) <> 0"
        ).format(candidate.release.table(TABLE))
    ).fetchall()
    return {row[:4]: row[4] for row in rows}


def test_counts_are_read_of_values_that_are_kept_alone(counted):
    conn, release = counted.conn, counted.release
    shape = Shape(release.release, (), filters=(("any", "gender"),), counted=("colour",), keeps_counts=True)
    assert kept_counts.hold(shape, ("colour",)) and not kept_counts.hold(shape, ("title",))
    readable = sql.SQL("SELECT {}").format(kept_counts.may_be_read(shape))
    for values, expected in ((["women"], True), (["women", "mauve"], False)):
        assert conn.execute(readable, {"filter_0": values}).fetchone() == (expected,)
    counts = conn.execute(kept_counts.summed(shape, ("colour",)), {"filter_0": ["women"]}).fetchall()
    rows = conn.execute(
        sql.SQL(
            "SELECT 'colour', colour, count(*) FROM {0} WHERE gender = 'women' AND colour IS NOT NULL GROUP BY colour "
            "UNION ALL SELECT '', '', count(*) FROM {0} WHERE gender = 'women'"
        ).format(release.table("products"))
    ).fetchall()
    assert len(counts) > 2 and sorted(counts) == sorted(rows)
    conn.rollback()


def test_a_page_is_read_from_the_counts_and_not_from_rows(counted, engines):
    table = counted.release.table(TABLE)
    query = Query(filters={"gender": "women"}, facets=("colour",), limit=1, release=counted.release.release)
    lie = sql.SQL("UPDATE {} SET products = products + {} WHERE filter = 'gender' AND counted = 'colour'")
    _, before, *_ = answers(engines[0], query)
    counted.conn.execute(lie.format(table, sql.Literal(1)))
    counted.conn.commit()
    _, told, *_ = answers(engines[0], query)
    policies = sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY")
    products = counted.release.table("products")
    counted.conn.execute(policies.format(products, sql.SQL("ENABLE")))
    counted.conn.commit()
    # From whom a policy may keep rows, counts of all are kept, too.
    assert answers(engines[0], query)[1] == before
    counted.conn.execute(policies.format(products, sql.SQL("DISABLE")))
    counted.conn.execute(lie.format(table, sql.Literal(-1)))
    counted.conn.commit()
    assert told["colour"] == [(value, count + 1) for value, count in before["colour"]]


def test_whatever_is_written_the_counts_are_those_made_anew(counted, monkeypatch):
    conn, products = counted.conn, counted.release.table("products")
    before = kept(counted)
    named = conn.execute(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND attgenerated = '' AND NOT attisdropped AND attname NOT IN ('product_id', 'external_id', 'colour')",
        (products.as_string(conn),),
    ).fetchall()
    columns = sql.SQL(", ".join(name for (name,) in named))
    for statement in (
        "UPDATE {products} SET colour = 'mauve', price = NULL WHERE image_width < 100",
        "UPDATE {products} SET title = title || '!' WHERE image_width < 300",
        "UPDATE {products} SET article_type = NULL, brand = repeat('ß', 255) WHERE image_width BETWEEN 50 AND 60",
        "DELETE FROM {products} WHERE image_width > 900",
        "INSERT INTO {products} (product_id, external_id, colour, {columns}) SELECT gen_random_uuid(), 'n' || external_id, 'red', {columns} "
        "FROM {products} WHERE image_width > 800",
    ):
        conn.execute(sql.SQL(statement).format(products=products, columns=columns))
    followed = kept(counted)
    conn.commit()
    monkeypatch.setattr(value_counting, "UNSETTLED", 1)
    assert value_counting.settle(conn, counted.release) and kept(counted) == followed
    assert not value_counting.settle(conn, counted.release)
    conn.commit()
    assert followed != before and value_counting.differing(conn, counted.release) == []
    conn.commit()
    value_counting.count(counted.settings, counted.release)
    anew = kept(counted)
    filters = {each[:2] for each in before} | {each[:2] for each in anew}
    both = {each[:2] for each in before} & {each[:2] for each in anew}
    assert filters - both <= {("colour", "mauve")} | {each[:2] for each in before}
    assert {key: many for key, many in followed.items() if key[:2] in both} == {
        key: many for key, many in anew.items() if key[:2] in both
    }


def test_readers_read_the_counts_and_writers_need_no_right_on_them(counted):
    conn, release, roles = counted.conn, counted.release, counted.settings
    release_tables.let_read(conn, release.release, roles.reader_role)
    conn.execute(
        sql.SQL("GRANT USAGE ON SCHEMA {0} TO {1}; GRANT SELECT, UPDATE ON {2} TO {1}").format(
            sql.Identifier(release.release), sql.Identifier(roles.writer_role), release.table("products")
        )
    )
    conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.reader_role)))
    assert kept(counted)
    conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(roles.writer_role)))
    conn.execute(
        sql.SQL("UPDATE {} SET colour = 'mauve' WHERE image_width < 9").format(release.table("products"))
    )
    conn.execute("RESET ROLE")
    assert value_counting.differing(conn, release) == []
    conn.rollback()


def test_counts_that_lie_are_told(counted):
    conn = counted.conn
    conn.execute(
        sql.SQL("UPDATE {} SET products = products + 1 WHERE filter = '' AND counted = 'gender'").format(
            counted.release.table(TABLE)
        )
    )
    assert value_counting.differing(conn, counted.release) == ["gender"]
    conn.rollback()


@pytest.mark.parametrize("more", [0, 1])
def test_a_release_whose_counts_lie_is_refused(counted, more):
    lie = sql.SQL(
        "UPDATE {} SET products = products + {} WHERE filter = 'gender' AND counted = 'embedding_space'"
    )
    table = counted.release.table(TABLE)
    counted.conn.execute(lie.format(table, sql.Literal(more)))
    counted.conn.commit()
    (criterion,) = [each for each in SEARCH_CRITERIA if each.name == "filters_leave_what_meets_them"]
    with Searching(counted.conn, counted.release, counted.settings) as searching:
        found = criterion.measure(searching)
    counted.conn.execute(lie.format(table, sql.Literal(-more)))
    counted.conn.commit()
    assert (found.outcome, len(found.offenders)) == (("fail", 1) if more else ("pass", 0))


def test_they_are_made_where_they_are_due_alone(counted):
    conn, release, settings = counted.conn, counted.release, counted.settings
    assert not value_counting.is_due(conn, settings, release)
    assert not value_counting.is_due(conn, settings.model_copy(update={"counts_from": 0}), release)
    assert value_counting.is_due(
        conn, settings.model_copy(update={"counts_from": 20}), release
    )  # rarer values are frequent
    conn.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER count_deleted").format(release.table("products")))
    assert value_counting.is_due(conn, settings, release)
    (found,) = of_indexes(conn, settings, [release])
    assert "do not follow" in found.said and found.remedy == f"fashion-assets reindex {release.release}"
    conn.rollback()
    (found,) = of_indexes(conn, settings, [release])
    assert found.state == "well"
    conn.execute(sql.SQL("DROP TABLE {}").format(release.table(TABLE)))
    assert value_counting.is_due(conn, settings, release)
    (found,) = of_indexes(conn, settings, [release])
    assert "2,000 products or more (counts_from) and no counts" in found.said
    assert (found.state, found.remedy) == ("mend", f"fashion-assets reindex {release.release}")
    for few in ({"counts_from": 100_000}, {"counts_from": 0}):
        small = settings.model_copy(update=few)
        assert not value_counting.is_due(conn, small, release)
        assert of_indexes(conn, small, [release])[0].state == "well"
    # One of a former version has not all that is counted, and nothing could make its counts.
    conn.execute(sql.SQL("ALTER TABLE {} DROP COLUMN gender CASCADE").format(release.table("products")))
    assert not value_counting.is_due(conn, settings, release)
    conn.rollback()


def test_two_that_count_do_so_one_after_the_other(counted):
    """As two `reindex` at once do: each lets the other keep the table from being written to, and then wants triggers on it."""
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(value_counting.count, counted.settings, counted.release) for _ in range(2)]:
            each.result()
    assert value_counting.differing(counted.conn, counted.release) == []
    counted.conn.commit()
    with connect(counted.settings) as first:
        ask_for(first, value_counting._COUNTING + counted.release.number, 0, "")
        with pytest.raises(
            Busy, match=rf"^Values of {counted.release.release} are being counted by fashion-assets"
        ):
            value_counting.count(counted.settings, counted.release, wait=0)
