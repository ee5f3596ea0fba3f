"""Which release a search reads: the one that was live as it began, whatever goes live, is dropped or is looked up meanwhile."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.release.swap import rollback
from fashion_assets.search.engine import AsyncSearchEngine, SearchEngine
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Query
from fashion_assets.search.served import ServedReleases
from fashion_assets.search.work import Compute, Work
from fashion_assets.warehouse import changes
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError
from fashion_assets.warehouse.serving import REVISION
from fashion_assets_tests.release.copies import copy_of


def second_release(live: Candidate) -> str:
    """The live release once more, under the next number, and live in its place."""
    second = copy_of(live, None)
    # Judged as its original was.
    live.conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired' WHERE release = %s", (second.release,)
    )
    live.conn.commit()
    return rollback(live.conn, live.settings, second.release).release


def test_a_page_is_of_the_release_it_began_with(live: Candidate, engine: SearchEngine):
    first = engine.search(Query("red", limit=5))
    assert first.next_page is not None
    expected = [hit.product_id for hit in engine.search(Query("red", limit=5, page=first.next_page)).hits]
    name = second_release(live)
    again = engine.search(Query("red", limit=5, page=first.next_page))
    assert again.plan.release == live.release.release
    assert [hit.product_id for hit in again.hits] == expected
    assert engine.search(Query("red")).plan.release == name
    live.conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(live.release.release)))
    live.conn.commit()
    with pytest.raises(ReleaseError, match="no longer there"):
        engine.search(Query("red", limit=5, page=first.next_page))
    with SearchEngine.open(live.settings) as other, pytest.raises(ReleaseError, match="no longer there"):
        other.search(Query("red", limit=5, page=first.next_page))


def test_a_swap_is_noticed_by_the_next_search(live: Candidate, engine: SearchEngine):
    assert engine.search(Query("red")).plan.release == live.release.release
    name = second_release(live)
    live.conn.execute(sql.SQL("DELETE FROM {} WHERE colour = 'red'").format(sql.Identifier(name, "products")))
    live.conn.commit()
    results = engine.search(Query(filters={"colour": "red"}, facets=("colour",)))
    assert results.plan.release == name and results.hits == () and results.plan.selectivity == 0


def test_no_search_fails_while_releases_swap_back_to_back(live: Candidate, engine: SearchEngine):
    first, second = live.release.release, second_release(live)
    # Unlogged: else the swap brings to the other release what is written here.
    with live.conn.transaction(), changes.carrying(live.conn):
        live.conn.execute(
            sql.SQL("UPDATE {} SET brand = 'second'").format(sql.Identifier(second, "products"))
        )
    failures: list[BaseException] = []
    wrong: list[object] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                results = engine.search(Query("red tshirt", limit=5))
                brands = {hit.brand for hit in results.hits}
                if brands != ({"second"} if results.plan.release == second else {"Puma"}):
                    wrong.append((results.plan.release, brands))
        except BaseException as error:
            failures.append(error)

    searching = [threading.Thread(target=search) for _ in range(4)]
    for thread in searching:
        thread.start()
    try:
        for _ in range(10):
            for release in (first, second):
                rollback(live.conn, live.settings, release)
    finally:
        stop.set()
    for thread in searching:
        thread.join(timeout=30)
    assert failures == [] and wrong == []


def test_one_gathers_what_a_release_is_like_and_the_others_wait_for_it(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
):
    gathered: list[str] = []
    gather = ServedReleases._gather

    def counted(self: ServedReleases, release: str) -> Work[Facts]:
        gathered.append(release)
        return (yield from gather(self, release))

    monkeypatch.setattr(ServedReleases, "_gather", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: engine.search(Query("red")).hits, range(8)))
    assert all(hits == found[0] for hits in found) and gathered == [live.release.release]


@pytest.mark.parametrize("revised", [False, True])
def test_while_one_finds_out_what_went_live_the_others_go_on(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch, revised: bool
):
    first = engine.search(Query("red")).plan.release
    second = second_release(live)
    begun, told = threading.Event(), threading.Event()
    gather = ServedReleases._gather

    def held(self: ServedReleases, release: str) -> Work[Facts]:
        begun.set()
        yield Compute(lambda: told.wait(30))
        return (yield from gather(self, release))

    if revised:
        assert engine.search(Query("red")).plan.release == second
        monkeypatch.setattr("fashion_assets.search.served.FRESH_SECONDS", 0.0)
        live.conn.execute(
            sql.SQL("UPDATE {} SET revision = revision + 1").format(sql.Identifier(second, REVISION.name))
        )
        live.conn.commit()
    monkeypatch.setattr(ServedReleases, "_gather", held)
    with ThreadPoolExecutor(1) as pool:
        finding_out = pool.submit(lambda: engine.search(Query("red")).plan.release)
        try:
            assert begun.wait(30)
            assert engine.search(Query("red")).plan.release == (second if revised else first)
            if revised:
                assert engine.search(Query("red", release=second)).plan.release == second
            assert not finding_out.done()
        finally:
            told.set()
        assert finding_out.result() == second
    assert engine.search(Query("red")).plan.release == second


def test_no_search_waits_long_for_what_is_live_to_be_found_out(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fashion_assets.search.served.WAIT_SECONDS", 0.0)
    told, found_out = threading.Event(), threading.Semaphore(0)
    renew = ServedReleases._renew

    def held(self: ServedReleases, release: str) -> Work[None]:
        yield Compute(lambda: told.wait(30))
        yield from renew(self, release)
        found_out.release()

    async def asked(other: AsyncSearchEngine) -> str | None:
        return (await other.search(Query("red"))).plan.release

    async def both() -> None:
        async with AsyncSearchEngine.open(live.settings) as other:
            first = engine.search(Query("red")).plan.release
            assert await asked(other) == first
            second = second_release(live)
            monkeypatch.setattr(ServedReleases, "_renew", held)
            for _ in range(2):
                assert engine.search(Query("red")).plan.release == await asked(other) == first
            told.set()
            for _ in range(2):
                assert await asyncio.to_thread(found_out.acquire, timeout=30)
            assert engine.search(Query("red")).plan.release == await asked(other) == second

    asyncio.run(both())


def test_where_finding_out_what_went_live_fails_the_next_search_tries(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
):
    engine.search(Query("red"))
    second = second_release(live)

    def failing(self: ServedReleases, release: str) -> Work[Facts]:
        yield Compute(lambda: None)
        raise ValueError(release)

    with monkeypatch.context() as patched:
        patched.setattr(ServedReleases, "_gather", failing)
        for _ in range(2):
            with pytest.raises(ValueError, match=second):
                engine.search(Query("red"))
    assert engine.search(Query("red")).plan.release == second


def test_a_release_from_before_an_attribute_is_searched_without_it(live: Candidate, engine: SearchEngine):
    release = live.release.release
    whole = engine.search(Query("red shirt", facets=("gender",)))
    with connect(live.settings, autocommit=True) as conn:
        for column in ("year", "currency"):
            # The serving view goes with its column: what is asked here is asked of the release by name.
            conn.execute(
                sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE").format(
                    live.release.table("products"), sql.Identifier(column)
                )
            )
    with SearchEngine.open(live.settings, size=1) as later:
        found = later.search(Query("red shirt", facets=("gender", "year"), release=release))
        assert [hit.product_id for hit in found.hits] == [hit.product_id for hit in whole.hits] != []
        assert found.facets["gender"] == whole.facets["gender"] and not found.facets["year"]
        assert not later.search(Query("red shirt", filters={"year": 2012}, release=release)).hits
        alike = Query(product=found.hits[0].product_id, mode="vector", release=release)
        assert later.search(alike).hits and later.explain(alike)


def test_a_dropped_release_is_left_for_the_live_one(live: Candidate, engine: SearchEngine):
    engine.search(Query("red"))
    second = second_release(live)
    live.conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(live.release.release)))
    live.conn.commit()
    assert engine.search(Query("red")).plan.release == second


def test_nothing_live_is_said(candidate: Candidate):
    with SearchEngine.open(candidate.settings) as engine:
        with pytest.raises(ReleaseError, match="nothing is live yet"):
            engine.search(Query("red"))
        named = engine.search(Query("red", release=candidate.release.release))
        assert len(named.hits) == 10 and named.plan.release == candidate.release.release
        for unknown in ("fashion_sota_r9999", "public", "fashion_sota_r1; DROP"):
            with pytest.raises(ReleaseError):
                engine.search(Query("red", release=unknown))


def test_names_of_releases_that_callers_make_up_are_not_kept(live: Candidate, engine: SearchEngine):
    made_up = [f"{SERVING_SCHEMA}_r{number}" for number in range(9_000, 9_020)]

    async def asked() -> int:
        async with AsyncSearchEngine.open(live.settings) as other:
            for name in made_up:
                with pytest.raises(ReleaseError):
                    await other.search(Query("red", release=name))
            return len(other._locks)

    for name in made_up:
        with pytest.raises(ReleaseError):
            engine.search(Query("red", release=name))
    assert len(engine._locks) == 0 and asyncio.run(asked()) == 0
