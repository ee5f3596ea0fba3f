"""The path of a vector search, and that the server takes it: after ANALYZE, with thousands of products."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.criteria.indexed import vector_search_uses_the_index
from fashion_assets.criteria.subject import Candidate
from fashion_assets.release import styles, widths
from fashion_assets.search import legs, release_facts, ways
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import AnyOf, Filter
from fashion_assets.search.path import TIE, Facts, Sample, Width
from fashion_assets.search.query import Query, Results
from fashion_assets.search.sample_vectors import Nearness
from fashion_assets.search.work import Read
from fashion_assets.settings import Settings
from fashion_assets.warehouse.release_indexes import VECTOR_INDEX
from fashion_assets_tests.conftest import Template, release_of
from fashion_assets_tests.search.large import SPACE, Large


@pytest.fixture
def large(filled: tuple[Template, Large]) -> Large:
    return filled[1]


@pytest.fixture
def candidate(
    server_settings: Settings,
    filled: tuple[Template, Large],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Candidate]:
    with release_of(server_settings, filled[0], tmp_path, monkeypatch) as candidate:
        yield candidate


@pytest.fixture
def engine(candidate: Candidate):
    with SearchEngine.open(candidate.settings, size=1) as engine:
        yield engine


def scans(plan: dict) -> set[str]:
    """Indexes and node types of a plan."""
    names = {plan["Node Type"], plan.get("Index Name", "")}
    return names.union(*(scans(inner) for inner in plan.get("Plans", [])))


def recall(large: Large, results: Results, vector: np.ndarray, kept: np.ndarray) -> float:
    distances = large.nearest_distances(vector, kept)
    assert len(results.hits) == len(distances)
    return (
        float(np.mean([1 - hit.score <= distances[-1] + TIE for hit in results.hits]))
        if len(distances)
        else 1.0
    )


def filters_of(large: Large, row: int) -> list[tuple[str, tuple[Filter, ...], np.ndarray]]:
    everything = np.ones(len(large.vectors), bool)
    own, far = int(large.groups[row]), int(large.groups[(row + 1) % len(large.groups)])
    cases: list[tuple[str, tuple[Filter, ...], np.ndarray]] = [("100 %", (), everything)]
    for share in (0.001, 0.01, 0.05, 0.1, 0.3):
        one, kept = large.unrelated(share)
        cases.append((f"{share:.1%} unrelated", (one,), kept))
    for groups in (
        [own],
        [far],
        [group for group in range(12) if group != own],
        sorted({own, *range(11)}),
    ):
        one, kept = large.tied(groups)
        cases.append((f"tied to {groups}", (one,), kept))
    return cases


def test_recall_holds_at_every_selectivity(engine: SearchEngine, large: Large):
    found: dict[str, list[float]] = {}
    rng = np.random.default_rng(3)
    for row in range(0, 300, 15):
        vector = large.vectors[row] + 0.1 * rng.standard_normal(large.vectors.shape[1])
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        for name, filters, kept in filters_of(large, row):
            query = Query(vector=vector, space=SPACE, filters=filters, mode="vector", release=large.release)
            found.setdefault(name.split(" to ")[0], []).append(
                recall(large, engine.search(query), vector, kept)
            )
    assert {name: np.mean(values) for name, values in found.items() if np.mean(values) < 0.99} == {}


def test_the_server_takes_the_path_that_was_chosen(engine: SearchEngine, large: Large):
    vector = large.vectors[0]
    half, _ = large.unrelated(0.9)
    tied, _ = large.tied([int(large.groups[1])])
    for filters, exact, path in (
        ((), False, "index"),
        ((half,), False, "iterative"),
        ((tied,), False, "exact"),
        ((), True, "exact"),
    ):
        query = Query(
            vector=vector, space=SPACE, filters=filters, mode="vector", exact=exact, release=large.release
        )
        assert engine.search(query).plan.legs == {SPACE: path}
        used = scans(engine.explain(query))
        assert ("product_embeddings_index" in used) == (path != "exact"), (path, used)


def test_the_path_does_not_hang_on_statistics(candidate: Candidate, engine: SearchEngine, large: Large):
    half, kept = large.unrelated(0.9)
    query = Query(vector=large.vectors[0], space=SPACE, filters=(half,), mode="vector", release=large.release)
    candidate.conn.execute(
        sql.SQL("DELETE FROM pg_statistic WHERE starelid = {}::regclass").format(
            sql.Literal(f"{large.release}.products")
        )
    )
    candidate.conn.execute(
        sql.SQL("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = {}::regclass").format(
            sql.Literal(f"{large.release}.products")
        )
    )
    candidate.conn.commit()
    assert "product_embeddings_index" in scans(engine.explain(query))
    assert recall(large, engine.search(query), large.vectors[0], kept) >= 0.9


def test_a_partial_index_is_used_where_it_holds_what_is_asked(
    candidate: Candidate, engine: SearchEngine, large: Large
):
    conn, products = candidate.conn, candidate.release.table("products")
    conn.execute(sql.SQL("UPDATE {} SET gender = 'men' WHERE image_width <= 400").format(products))
    conn.execute(
        sql.SQL(
            "CREATE INDEX men ON {} USING hnsw ((embedding::halfvec(32)) halfvec_cosine_ops) "
            "WHERE embedding_space = {} AND gender = 'men'"
        ).format(products, sql.Literal(SPACE))
    )
    conn.commit()
    conn.autocommit = True
    conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(products))
    query = Query(
        vector=large.vectors[0],
        space=SPACE,
        filters=(AnyOf("gender", ("men",)),),
        mode="vector",
        release=large.release,
    )
    results = engine.search(query)
    assert results.plan.legs == {SPACE: "partial"} and results.plan.notes == ()
    assert "men" in scans(engine.explain(query))
    assert recall(large, results, large.vectors[0], large.numbers <= 400) >= 0.9


def test_an_index_that_gives_too_few_is_not_believed(
    candidate: Candidate, engine: SearchEngine, large: Large, monkeypatch: pytest.MonkeyPatch
):
    """What happens where the sample misjudges a filter: made to, it calls every filter a wide one."""
    monkeypatch.setattr(legs, "choose", lambda *_: "iterative")
    one, kept = large.unrelated(0.005)
    results = engine.search(
        Query(vector=large.vectors[0], space=SPACE, filters=(one,), mode="vector", release=large.release)
    )
    assert recall(large, results, large.vectors[0], kept) == 1
    assert results.plan.legs == {SPACE: "exact"} and "found too few" in results.plan.notes[0]


@pytest.fixture
def lacking(candidate: Candidate, large: Large) -> Large:
    """With an index that lacks one group of products, and the first among them: it stands for a graph that does not reach
    a region."""
    conn, products = candidate.conn, candidate.release.table("products")
    conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(large.release, "product_embeddings_index")))
    conn.execute(sql.SQL("UPDATE {} SET embedding = embedding WHERE false").format(products))
    own = [f"kind {large.groups[0]}"]
    # Zero vectors are not indexed, and come back unindexed.
    conn.execute(sql.SQL("ALTER TABLE {} ADD kept halfvec").format(products))
    conn.execute(
        sql.SQL("UPDATE {} SET kept = embedding, embedding = %s WHERE article_type = ANY(%s)").format(
            products
        ),
        (f"[{','.join('0' * large.vectors.shape[1])}]", own),
    )
    conn.execute(
        sql.SQL(
            "CREATE INDEX product_embeddings_index ON {} USING hnsw ((embedding::halfvec(32)) halfvec_cosine_ops) "
            "WHERE embedding_space = {}"
        ).format(products, sql.Literal(SPACE))
    )
    conn.execute("SET enable_indexscan = off")
    conn.execute("SET session_replication_role = replica")
    conn.execute(
        "UPDATE pg_index SET indisready = false WHERE indexrelid = %s::regclass",
        (f"{large.release}.product_embeddings_index",),
    )
    conn.execute(sql.SQL("UPDATE {} SET embedding = kept WHERE kept IS NOT NULL").format(products))
    conn.execute(
        "UPDATE pg_index SET indisready = true WHERE indexrelid = %s::regclass",
        (f"{large.release}.product_embeddings_index",),
    )
    conn.commit()
    return large


def test_what_changed_since_the_sample_was_drawn_puts_no_index_in_doubt(
    candidate: Candidate, engine: SearchEngine, large: Large
):
    """A product of the sample that has moved away from the question, and one that no longer meets the filter."""
    half, kept = large.unrelated(0.5)
    inside = np.flatnonzero(kept)
    query = Query(
        vector=large.vectors[inside[0]], space=SPACE, mode="vector", filters=(half,), release=large.release
    )
    before = engine.search(query)
    assert set(before.plan.legs.values()) <= {"index", "iterative"} and not before.plan.notes
    sample = engine._answering.releases._facts.peek(large.release).sample
    near = [
        hit.product_id
        for hit in engine.search(replace(query, limit=100)).hits
        if hit.product_id in sample.ids
    ]
    assert len(near) > 1
    products = candidate.release.table("products")
    for product, changed in zip(near, ("embedding = %(far)s::halfvec", "image_width = 1000"), strict=False):
        candidate.conn.execute(
            sql.SQL("UPDATE {} SET {} WHERE product_id = %(product)s").format(products, sql.SQL(changed)),
            {"product": product, "far": HalfVector(-large.vectors[inside[0]])},
        )
    candidate.conn.commit()
    after = engine.search(query)
    assert after.plan.legs == before.plan.legs and not after.plan.notes


@pytest.mark.parametrize("at_once", [True, False])
def test_an_index_that_lacks_what_is_near_is_not_believed(
    engine: SearchEngine, lacking: Large, at_once: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ways, "EXACT_AT_ONCE", len(lacking.vectors) if at_once else 0)
    results = engine.search(
        Query(vector=lacking.vectors[0], space=SPACE, mode="vector", release=lacking.release)
    )
    assert recall(lacking, results, lacking.vectors[0], np.ones(len(lacking.vectors), bool)) == 1
    assert results.plan.legs == {SPACE: "exact"}
    assert ["searched wider" in note for note in results.plan.notes] == [True, False][at_once:]
    assert "passed over" in results.plan.notes[-1] and "all was compared" in results.plan.notes[-1]


@pytest.mark.parametrize("far", [100, 101])
def test_the_sample_is_compared_while_the_server_searches_unless_something_hangs_on_it(
    candidate: Candidate, lacking: Large, far: int, monkeypatch: pytest.MonkeyPatch
):
    """How far the index is searched hangs on it, where that was measured to differ."""
    index = candidate.release.table(VECTOR_INDEX)
    candidate.conn.execute(
        sql.SQL("COMMENT ON INDEX {} IS {}").format(index, sql.Literal(Width(100, far, 0.5).written()))
    )
    candidate.conn.commit()
    compared = []
    with SearchEngine.open(candidate.settings, size=1) as engine:
        reading = engine._read

        def read(step: Read) -> list[list[tuple]]:
            if any(b"vector_0" in each.text for each in step.statements):
                compared.append(any(nearness.known for nearness in made))
            return reading(step)

        made: list[Nearness] = []
        nearness_of = Facts.nearness

        def nearness(*asked: Any) -> Nearness:
            made.append(nearness_of(*asked))
            return made[-1]

        monkeypatch.setattr(Facts, "nearness", nearness)
        monkeypatch.setattr(engine, "_read", read)
        query = Query(vector=lacking.vectors[0], space=SPACE, mode="vector", release=lacking.release)
        results = engine.search(query)
    assert compared[0] == (far != 100)
    assert "passed over" in results.plan.notes[0]
    assert recall(lacking, results, lacking.vectors[0], np.ones(len(lacking.vectors), bool)) == 1


def test_a_question_whose_index_was_in_doubt_goes_round_it_the_next_time(
    engine: SearchEngine, lacking: Large, monkeypatch: pytest.MonkeyPatch
):
    half, kept = lacking.unrelated(0.5)
    reading, pages = engine._read, []

    def read(step: Read) -> list[list[tuple]]:
        pages.extend(each for each in step.statements if b"vector_0" in each.text)
        return reading(step)

    monkeypatch.setattr(engine, "_read", read)
    for filters, rows in (((), np.ones(len(kept), bool)), ((half,), kept)):
        query = Query(
            vector=lacking.vectors[0], space=SPACE, mode="vector", filters=filters, release=lacking.release
        )
        asked = []
        for _ in range(2):
            pages.clear()
            asked.append((engine.search(query), len(pages)))
        (first, more), (second, one) = asked
        assert more > 1 and one == 1
        assert first.plan == second.plan and first.hits == second.hits
        assert recall(lacking, second, lacking.vectors[0], rows) == 1


def test_what_an_index_lacks_is_found_among_the_nearest_styles(
    candidate: Candidate, lacking: Large, monkeypatch: pytest.MonkeyPatch
):
    """In a release too large to be compared whole, stood for by lower thresholds."""
    for module in (ways, release_facts):
        monkeypatch.setattr(module, "EXACT_AT_ONCE", 0)
    monkeypatch.setattr(ways, "EXACT_AT_MOST", 0)
    styles.find(candidate.conn, candidate.release)
    candidate.conn.commit()
    styles.assign(candidate.settings, candidate.release)
    most, kept = lacking.unrelated(0.9)
    with SearchEngine.open(candidate.settings, size=1) as engine:
        for filters, rows in (((), np.ones(len(lacking.vectors), bool)), ((most,), kept)):
            query = Query(
                vector=lacking.vectors[0],
                space=SPACE,
                filters=filters,
                mode="vector",
                release=lacking.release,
            )
            results = engine.search(query)
            assert results.plan.legs == {SPACE: "styles"}
            assert len(results.plan.notes) == 1 and "of the nearest styles" in results.plan.notes[0]
            assert recall(lacking, results, lacking.vectors[0], rows) == 1
            used = scans(engine.explain(query))
            assert "product_embeddings_index" in used  # which it goes by first

    # Where the index was measured to miss too much, it is not asked at all.
    for share, at_once in ((0.98, True), (0.995, False)):
        candidate.conn.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(
                candidate.release.table(VECTOR_INDEX),
                sql.Literal(Width(100, 100, 0.0, (share, share)).written()),
            )
        )
        candidate.conn.commit()
        with SearchEngine.open(candidate.settings, size=1) as engine:
            results = engine.search(replace(query, filters=()))
            assert results.plan.legs == {SPACE: "styles"}
            assert (results.plan.notes == ()) == at_once
            assert recall(lacking, results, lacking.vectors[0], np.ones(len(lacking.vectors), bool)) == 1
            # Counted under filters, what is near is looked for without them where an index is walked, and with them here.
            # What is near is looked for beside its filters where an index is walked, to be counted; here each row is asked.
            colours = ("red", "blue")
            with monkeypatch.context() as small:
                small.setattr(legs, "MAX_LIMIT", len(lacking.vectors))
                alike = Query(
                    product=results.hits[0].product_id,
                    mode="vector",
                    filters=(AnyOf("colour", colours),),
                    facets=("colour",),
                    release=lacking.release,
                )
                counted = engine.search(alike)
            assert counted.plan.legs == {SPACE: "styles"}
            assert counted.hits and {hit.colour for hit in counted.hits} <= set(colours)
            assert counted.total is not None
            found = dict(counted.facets["colour"])
            assert sum(found[colour] for colour in colours if colour in found) == counted.total.value
        with candidate.searching() as searching:
            assert vector_search_uses_the_index(searching).outcome == "pass"


def test_what_is_too_much_to_compare_is_only_searched_wider(
    engine: SearchEngine, lacking: Large, monkeypatch: pytest.MonkeyPatch
):
    """A release of millions, stood for by lower thresholds; of what a filter leaves of it, fewer are compared."""
    monkeypatch.setattr(ways, "EXACT_AT_ONCE", 0)
    monkeypatch.setattr(ways, "EXACT_AT_MOST", len(lacking.vectors) // 2)
    query = Query(vector=lacking.vectors[0], space=SPACE, mode="vector", release=lacking.release)
    results = engine.search(query)
    assert results.plan.legs == {SPACE: "index"} and len(results.hits) == query.limit
    assert len(results.plan.notes) == 1 and "searched wider" in results.plan.notes[0]

    monkeypatch.setattr(legs, "choose", lambda *_: "iterative")
    most, _ = lacking.unrelated(0.9)
    results = engine.search(replace(query, filters=(most,)))
    assert results.plan.legs == {SPACE: "iterative"} and "searched wider" in results.plan.notes[-1]

    few, kept = lacking.unrelated(0.4)
    results = engine.search(replace(query, filters=(few,)))
    assert recall(lacking, results, lacking.vectors[0], kept) == 1
    assert results.plan.legs == {SPACE: "exact"} and "all was compared" in results.plan.notes[-1]


def test_too_few_are_never_an_answer(engine: SearchEngine, large: Large, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ways, "EXACT_AT_MOST", 0)
    monkeypatch.setattr(legs, "choose", lambda *_: "iterative")
    one, kept = large.unrelated(0.005)
    query = Query(vector=large.vectors[0], space=SPACE, filters=(one,), mode="vector", release=large.release)
    assert recall(large, engine.search(query), large.vectors[0], kept) == 1


@pytest.mark.parametrize(
    ("products", "candidates"), [(10, 200), (40_000, 200), (100_000, 500), (10**7, 1_000)]
)
def test_a_larger_release_is_searched_wider(products: int, candidates: int):
    facts = Facts("r", products, (), Sample([], [], {}, {}))
    assert facts.ef_search == candidates


def test_an_index_is_walked_as_wide_as_was_measured_when_it_was_built(
    candidate: Candidate, large: Large, monkeypatch: pytest.MonkeyPatch
):
    index = candidate.release.table(VECTOR_INDEX).as_string(candidate.conn)
    row = candidate.conn.execute("SELECT obj_description(%s::regclass, 'pg_class')", (index,)).fetchone()
    assert row is not None
    measured = Width.read(row[0])
    assert measured is not None and {measured.near, measured.far} <= set(widths.WIDTHS)
    query = Query(
        vector=large.vectors[0] + 0.01, space=SPACE, mode="vector", release=large.release, filters=()
    )

    def walked() -> int:
        with SearchEngine.open(candidate.settings, size=1) as engine:
            seen: list[Mapping[str, str]] = []
            reading = engine._read
            monkeypatch.setattr(engine, "_read", lambda step: (seen.append(step.settings), reading(step))[1])
            assert engine.search(query).plan.legs == {SPACE: "index"}
        return max(int(settings.get("hnsw.ef_search", 0)) for settings in seen)

    assert walked() == measured.near
    for said, expected in (
        (Width(near=150, far=333, border=2.0).written(), 333),
        (Width(near=150, far=333, border=-1.0).written(), 150),
        ("anything", 200),
    ):
        candidate.conn.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(
                candidate.release.table(VECTOR_INDEX), sql.Literal(said)
            )
        )
        candidate.conn.commit()
        assert walked() == expected


def test_too_narrow_a_walk_is_not_enough():
    found = np.zeros((4, len(widths.WIDTHS), 2))
    recalls, doubted = found[:, :, 0], found[:, :, 1]
    recalls[:] = 1
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 1e6) == widths.WIDTHS[0]
    recalls[0, 2] = 0.9  # finding less with more candidates is chance: what finds more before it is no proof
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 1e6) == widths.WIDTHS[3]
    recalls[0, -1] = 0.9
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 1e6) == widths.WIDTHS[-1]
    # Where no walk finds all, the narrowest of those that find about as much; and one that is doubted less where doubts cost more than it does.
    recalls[:, :2], recalls[:, 2:] = 0.9, 0.97
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 1e6) == widths.WIDTHS[2]
    doubted[0, 2:4] = 1
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 1e6) == widths.WIDTHS[4]
    assert widths._enough(found, widths.WIDTHS, widths.ROWS_PER_CANDIDATE, 100) == widths.WIDTHS[2]


def test_the_fewer_a_filter_leaves_the_wider_the_index_is_searched():
    rows = [{"colour": "red" if place % 4 == 0 else "blue"} for place in range(40)]
    facts = Facts("r", 10_000, (), Sample(rows, [str(place) for place in range(40)], {}, {}))
    assert facts.candidates(()) == 200
    assert facts.candidates((AnyOf("colour", ("red",)),)) == 800
    assert facts.candidates((AnyOf("colour", ("red", "blue")),)) == 200
    # The sample has none: how many there are is not known, and such a filter is compared one by one.
    assert facts.candidates((AnyOf("colour", ("green",)),)) == 200
    wide = Facts("r", 100_000, (), facts.sample)
    assert wide.candidates((AnyOf("colour", ("red",)),)) == 1_000
