"""Indexes of a release are built anew while it is read, and what a cancelled rebuild leaves is taken away."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import Busy
from fashion_assets.release import build, graphs, indexes
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.release_indexes import BESIDE_KB, VECTOR_INDEX

NEW, OLD = f"{VECTOR_INDEX}_ccnew", f"{VECTOR_INDEX}_ccold"


def oids(candidate: Candidate) -> dict[str, int]:
    rows = candidate.conn.execute(
        "SELECT relname::text, relfilenode FROM pg_class WHERE relkind = 'i' AND relnamespace = to_regnamespace(%s)",
        (candidate.release.release,),
    ).fetchall()
    candidate.conn.commit()
    return dict(rows)


def leave_one_behind(candidate: Candidate, leftover: str = NEW) -> None:
    """Cancel a rebuild while it waits for somebody: who writes, before it has built; who reads, after."""
    release = candidate.release
    mode = sql.SQL("ROW EXCLUSIVE" if leftover == NEW else "ACCESS SHARE")
    candidate.conn.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(release.table("products"), mode))
    with connect(candidate.settings, autocommit=True) as other:
        other.execute("SET lock_timeout = '300ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(
                sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(release.release, VECTOR_INDEX))
            )
    candidate.conn.commit()
    there = {each.name: each.valid for each in indexes.standing(candidate.conn, release)}
    candidate.conn.commit()
    assert there[leftover] is False and there[VECTOR_INDEX]


def test_every_index_is_built_anew_and_valid(candidate):
    before = oids(candidate)
    done = indexes.rebuild(candidate.settings, candidate.release)
    after = oids(candidate)
    assert {each.name for each in done} == set(before) == set(after)
    assert all(after[name] != before[name] for name in before)
    assert {each.was for each in done} == {"valid"}
    assert all(each.valid for each in indexes.standing(candidate.conn, candidate.release))


def test_a_vector_index_is_built_in_the_memory_it_takes_and_in_no_more_than_it_may(candidate):
    conn, settings = candidate.conn, candidate.settings.model_copy(update={"database_url": None})

    def given(vectors: int, **changed) -> str:
        wanted = indexes.Wanted("any", "products", False, sql.SQL(""), indexes.graph_bytes(vectors, 512))
        indexes.memory_for(conn, settings.model_copy(update=changed), wanted)
        return conn.execute("SHOW maintenance_work_mem").fetchone()[0]

    assert given(1_000) == "64MB"
    assert given(100_000) == f"{indexes.graph_bytes(100_000, 512) // 1024}kB"
    assert given(1_000_000, index_memory=256 * 2**20) == "256MB"
    # The owner of any other server says what it may take, unless a setting does.
    conn.rollback()
    elsewhere = {"database_url": SecretStr("postgresql://elsewhere")}
    before = conn.execute("SHOW maintenance_work_mem").fetchone()[0]
    assert given(1_000_000, **elsewhere) == before
    assert given(1_000_000, **elsewhere, index_memory=512 * 2**20) == "512MB"
    conn.rollback()


@pytest.mark.parametrize("leftover", [NEW, OLD])
def test_what_a_cancelled_rebuild_left_is_dropped(candidate, leftover):
    leave_one_behind(candidate, leftover)
    said: list[str] = []
    done = indexes.rebuild(candidate.settings, candidate.release, [VECTOR_INDEX], said.append)
    assert said[0] == f"dropped {leftover}, which a cancelled rebuild had left"
    assert [each.name for each in done] == [VECTOR_INDEX] and leftover not in oids(candidate)


def test_two_rebuilds_at_once_go_one_after_the_other(candidate):
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(
                indexes.rebuild, candidate.settings, candidate.release, ["products_pkey", VECTOR_INDEX]
            )
            for _ in range(2)
        ]
    assert [len(each.result()) for each in both] == [2, 2]


def test_a_rebuild_that_is_stopped_leaves_nothing(candidate, monkeypatch):
    before = oids(candidate)

    def stop(said: str) -> None:
        if said != "products_pkey":
            raise KeyboardInterrupt

    leave_one_behind(candidate)
    with pytest.raises(KeyboardInterrupt):
        indexes.rebuild(candidate.settings, candidate.release, ["products_pkey", VECTOR_INDEX], stop)
    assert oids(candidate).keys() == before.keys()


def test_a_missing_index_is_made_and_one_nobody_knows_told(candidate):
    candidate.conn.execute(
        sql.SQL("DROP INDEX {}").format(sql.Identifier(candidate.release.release, VECTOR_INDEX))
    )
    candidate.conn.commit()
    done = indexes.rebuild(candidate.settings, candidate.release, [VECTOR_INDEX])
    assert [(each.name, each.was) for each in done] == [(VECTOR_INDEX, "missing")]
    definition = candidate.conn.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname = %s AND schemaname = %s",
        (VECTOR_INDEX, candidate.release.release),
    ).fetchone()
    assert definition is not None and "USING hnsw" in definition[0]
    assert graphs.standing(candidate.conn, candidate.release) == {VECTOR_INDEX: graphs.LATER_WITH}
    with pytest.raises(
        indexes.NoIndex, match=f"no index product_embeddings_idx. Did you mean {VECTOR_INDEX}"
    ):
        indexes.rebuild(candidate.settings, candidate.release, ["product_embeddings_idx"])


def test_what_comes_into_a_graph_later_is_linked_with_less_care_than_what_it_was_built_of(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    settings, release, conn = candidate.settings, candidate.release, candidate.conn
    later, built = {VECTOR_INDEX: graphs.LATER_WITH}, {VECTOR_INDEX: graphs.BUILT_WITH}
    assert graphs.standing(conn, release) == later
    # Whoever restores a dump, or builds it by hand, makes an index of the same options.
    with conn.transaction(force_rollback=True):
        conn.execute(sql.SQL("REINDEX INDEX {}").format(sql.Identifier(release.release, VECTOR_INDEX)))
    conn.commit()
    # Of a process that ends behind the rebuild it is seen what the graph was built with.
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "finish", lambda *_: [])
        indexes.rebuild(settings, release, [VECTOR_INDEX])
    assert graphs.standing(conn, release) == built
    conn.commit()
    with connect(settings, autocommit=True) as other, connect(settings) as reader:
        reader.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(release.table("products")))
        other.execute("SELECT '[1]'::vector <=> '[1]'")
        assert graphs.finish(other, release, 0.1) == [VECTOR_INDEX]
        with pytest.raises(Busy, match=r"has not ended after 0.1 s"):
            indexes.rebuild_by(other, settings, release, [VECTOR_INDEX], workers=0, patience=0.1)
        reader.rollback()
        assert graphs.finish(other, release, 0.1) == [] and graphs.standing(other, release) == later


def test_little_lies_unsorted_beside_an_index_of_words(candidate: Candidate):
    """Each search by words reads all that does."""
    conn, products = candidate.conn, candidate.release.table("products")
    conn.execute("CREATE SEQUENCE pg_temp.word")
    for _ in range(12):
        conn.execute(
            sql.SQL(
                "UPDATE {} SET title = (SELECT string_agg('word' || nextval('pg_temp.word'), ' ') FROM generate_series(1, 200))"
            ).format(products)
        )
    pages = conn.execute(
        "SELECT gin_clean_pending_list(%s)", (f"{candidate.release.release}.products_search_vector",)
    ).fetchone()
    assert pages is not None and 0 < pages[0] <= BESIDE_KB // 8 + 8
    conn.rollback()


def test_the_command_checks_and_rebuilds(candidate):
    release = candidate.release.release
    leave_one_behind(candidate)
    looked = CliRunner().invoke(app, ["reindex", release, "--check", "--json"])
    assert looked.exit_code == 1
    assert [each["name"] for each in json.loads(looked.stdout) if not each["valid"]] == [NEW]
    done = CliRunner().invoke(app, ["reindex", release, "--index", VECTOR_INDEX])
    assert done.exit_code == 0 and "every index is valid" in done.stdout
    assert CliRunner().invoke(app, ["reindex", release, "--check"]).exit_code == 0
    assert "no release is live" in CliRunner().invoke(app, ["reindex"]).output


def test_a_build_that_was_cut_off_is_gone_on_with(candidate: Candidate):
    conn, settings, space = candidate.conn, candidate.settings, embedding_space(None)
    begun = build.load(conn, settings, space, "one")
    (of_vectors,) = indexes.of_vectors(conn, settings, begun)
    conn.execute(of_vectors.statement())
    conn.commit()
    built = oids(replace(candidate, release=begun))

    again = build.load(conn, settings, space, "two")
    assert again.release == begun.release and releases.built_by(conn, "two") == again
    build.index(settings, again)
    assert oids(replace(candidate, release=again)).items() >= built.items()
    assert indexes.lacking(conn, again, oids(replace(candidate, release=again))) == []
    assert releases.get(conn, again.release).state == "candidate"

    # What is not of the content that is wanted is not gone on with, and goes.
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'building', content_version = 'another' WHERE release = %s",
        (again.release,),
    )
    conn.commit()
    another = build.load(conn, settings, space, "three")
    assert another.number == again.number + 1
    assert releases.get(conn, again.release).state == "dropped"


def test_an_index_that_a_killed_process_had_asked_for_is_waited_for(candidate: Candidate):
    conn, products = candidate.conn, candidate.release.table("products")
    conn.execute(
        "CREATE FUNCTION slow(id uuid) RETURNS uuid IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(.01); RETURN id; END'"
    )
    conn.commit()
    said: list[str] = []
    with (
        ThreadPoolExecutor(1) as pool,
        connect(candidate.settings, autocommit=True) as other,
        connect(candidate.settings, autocommit=True) as looking,
    ):
        building = pool.submit(
            other.execute, sql.SQL("CREATE INDEX slow ON {} (public.slow(product_id))").format(products)
        )
        while not said and not building.done():
            indexes.wait_for_builds(looking, candidate.release, said.append)
        there = {each.name for each in indexes.standing(conn, candidate.release)}
    assert said == ["waiting for an index that a run before began"] and "slow" in there


def test_vectors_are_put_into_lists_where_they_are_many_or_somebody_says_so(candidate: Candidate):
    conn, settings = candidate.conn, candidate.settings
    assert [indexes.is_listed(settings, n) for n in (99_999, 100_000)] == [False, True]
    chosen = settings.model_copy(update={"index_method": "ivfflat"})
    assert indexes.is_listed(chosen, 1) and not indexes.is_listed(
        settings.model_copy(update={"index_method": "hnsw"}), 10**7
    )
    for update, ends in (({}, "hnsw"), ({"index_method": "ivfflat"}, "lists = ")):
        (wanted,) = indexes.of_vectors(conn, settings.model_copy(update=update), candidate.release)
        assert ends in wanted.statement().as_string(conn) and wanted.memory


def test_there_are_as_many_lists_as_their_centres_are_found_in_the_memory():
    assert indexes.lists_for(10**6, 512, 2**40) == 707
    assert indexes.lists_bytes(707, 512) < 160 * 2**20
    for most in (64, 128, 256):
        lists = indexes.lists_for(10**8, 512, most * 2**20)
        assert indexes.lists_bytes(lists, 512) <= most * 2**20 < indexes.lists_bytes(lists * 10 // 8, 512)
    assert indexes.lists_for(0, 512, 0) == 1


def test_the_server_finds_the_centres_of_lists_in_the_memory_that_was_reckoned(candidate: Candidate):
    """It says so itself where it has too little."""
    conn, dimension = candidate.conn, 16
    conn.execute(
        "CREATE TEMPORARY TABLE vectors ON COMMIT DROP AS SELECT array_agg(random())::vector::halfvec(16) AS of "
        "FROM generate_series(1, 10000) AS n, generate_series(1, 16) GROUP BY n"
    )
    reckoned = indexes.lists_bytes(200, dimension)
    build = "CREATE INDEX ON vectors USING ivfflat (of halfvec_cosine_ops) WITH (lists = 200)"

    def build_in(size: float) -> None:
        with conn.transaction(force_rollback=True):
            conn.execute("SELECT set_config('maintenance_work_mem', %s, true)", (f"{int(size) // 1024}kB",))
            conn.execute(build)

    build_in(reckoned)
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="memory required"):
        build_in(0.9 * (reckoned - 8 * 2**20))
