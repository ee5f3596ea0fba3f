"""Searching as a person does, on a live release of forty T-shirts; blocking and not."""

import asyncio
import io
import os
import re
import shutil
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg import sql
from pydantic import SecretStr

from fashion_assets.criteria.subject import Candidate
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import SHIPPED_MODEL, embedding_space
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import ServerUnreachable
from fashion_assets.release.status import status
from fashion_assets.search.engine import AsyncSearchEngine, SearchEngine, within
from fashion_assets.search.filters import FilterError, SearchError, parse_filters
from fashion_assets.search.query import Cursor, Query, Weights
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError
from fashion_assets_tests import hostile
from fashion_assets_tests.conftest import database_url


def picture_of(candidate: Candidate, external_id: str) -> bytes:
    row = candidate.conn.execute(
        sql.SQL("SELECT image_path FROM {} WHERE external_id = %s").format(
            candidate.release.table("products")
        ),
        (external_id,),
    ).fetchone()
    assert row is not None
    return Path(row[0]).read_bytes()


def test_words_pictures_products_and_mixes_find_what_they_show(live: Candidate, engine: SearchEngine):
    for external_id in ("7", "33"):
        picture = picture_of(live, external_id)
        hits = engine.search(Query(picture=picture, limit=5)).hits
        assert hits[0].external_id == external_id and len(hits) == 5
        assert Path(hits[0].image_path).read_bytes() == picture and hits[0].source == "fashion_demo"
        assert (
            engine.search(Query(hits[0].title, picture=picture, limit=5)).hits[0].external_id == external_id
        )
        alike = engine.search(Query(product=hits[0].product_id)).hits
        assert alike and external_id not in {hit.external_id for hit in alike}
        assert [hit.product_id for hit in engine.search(Query(product=external_id)).hits] == [
            hit.product_id for hit in alike
        ]
    words = engine.search(Query("red tshirts for men", filters=parse_filters(["colour=red"])))
    assert {hit.external_id for hit in words.hits} == {"8", "16", "24", "32", "40"}
    assert words.plan.release == live.release.release and words.plan.selectivity == 5 / 40
    for odd in ("x" * 100_000, "'; DROP TABLE products; --", "((( x", "!&|<->:* x"):
        assert len(engine.search(Query(odd)).hits) == 10
    for signs in ("\N{SHORTCAKE}" * 500, "(((", "!&|<->:*"):
        answer = engine.search(Query(signs))
        assert not answer.hits and "there is no word in" in answer.plan.told[0]


def test_words_to_avoid_and_weights_change_what_is_found(live: Candidate, engine: SearchEngine):
    red = picture_of(live, "8")
    blue = engine.search(Query("blue", picture=red, mode="vector", weights=Weights(words=3))).hits
    assert {hit.colour for hit in blue[:3]} == {"blue"}
    without = engine.search(Query("red tshirt", avoid="red", mode="text", limit=40)).hits
    assert without and "red" not in {hit.colour for hit in without}
    with pytest.raises(SearchError, match="cancel each other out"):
        engine.search(Query("red", avoid="red", mode="vector", weights=Weights(avoid=1)))


def test_misspelt_words_and_synonyms_are_understood(engine: SearchEngine):
    results = engine.search(Query("gren tees"))
    assert results.plan.understood == "green tees"
    assert {hit.colour for hit in results.hits[:5]} == {"green"}


def test_hits_say_what_brought_them(live: Candidate, engine: SearchEngine):
    results = engine.search(Query("red tshirt"))
    first = {found.leg: found for found in results.hits[0].explanation}
    assert set(first) == {live.release.space, "text"} == set(results.plan.legs)
    assert first["text"].coverage == 1 and first["text"].rank == 1
    meaning = first[str(live.release.space)]
    assert meaning.distance is not None and 0 <= meaning.distance <= 2
    assert results.hits[0].score == pytest.approx(sum(found.score for found in first.values()))
    alone = engine.search(Query("red tshirt", mode="vector")).hits[0]
    assert alone.score == pytest.approx(1 - (alone.explanation[0].distance or 0))


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text", "listing"])
def test_pages_neither_overlap_nor_skip(engine: SearchEngine, mode: str):
    asked = Query() if mode == "listing" else Query("men tshirt", mode=mode)  # type: ignore[arg-type]
    whole = [hit.product_id for hit in engine.search(replace(asked, limit=40)).hits]
    assert len(whole) == 40
    seen: list[str] = []
    query = replace(asked, limit=7)
    while True:
        results = engine.search(query)
        seen += [hit.product_id for hit in results.hits]
        if results.next_page is None:
            break
        query = replace(query, page=results.next_page)
    assert seen == whole


@pytest.mark.parametrize("words", ["and", "red tshirt", ""])
def test_a_page_far_behind_the_last_hit_is_empty(live: Candidate, engine: SearchEngine, words: str):
    # Where one page ends and the next begins are numbers of two bytes, and what is between them is none.
    asked = Query(words, mode="text" if words else "hybrid", sort="-price", limit=100)
    page = Cursor(live.release.release, 32_700).encode(asked)
    assert engine.search(replace(asked, page=page)).hits == ()


def test_an_engine_outlives_its_connections(live: Candidate, engine: SearchEngine):
    expected = engine.search(Query("red")).hits
    ended = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'fashion-assets search'"
    )
    for _ in range(3):
        assert live.number(ended) > 0
        live.conn.commit()
        assert engine.search(Query("red")).hits == expected

    async def asked() -> list:
        async with AsyncSearchEngine.open(live.settings) as other:
            before = await other.search(Query("red"))
            live.number(ended)
            live.conn.commit()
            return [before.hits, (await other.search(Query("red"))).hits]

    assert asyncio.run(asked()) == [expected, expected]


def test_an_engine_outlives_its_server(tmp_path: Path):
    settings = Settings(home=tmp_path / "own", database_url=None)
    prepare(settings)
    try:
        with SearchEngine.open(settings) as engine:
            with pytest.raises(ReleaseError, match="nothing is live yet"):
                engine.search(Query("red"))
            pid = int((settings.postgres_data / "postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, signal.SIGKILL)
            # Not a word of a server that went away: it was started again, and asked again.
            with pytest.raises(ReleaseError, match="nothing is live yet"):
                engine.search(Query("red"))
    finally:
        server.stop_embedded(settings, force=True)


def test_a_server_that_stays_away_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.search.engine.SERVER_AWAY_SECONDS", 0.0)
    monkeypatch.setattr("fashion_assets.search.engine.LOOK_SECONDS", 0.2)
    away = settings.model_copy(
        update={"database_url": SecretStr("postgresql://shop:s3cr3t@127.0.0.1:9/shop")}
    )
    with SearchEngine.open(away) as engine, pytest.raises(ServerUnreachable) as said:
        engine.search(Query("red"))
    assert "127.0.0.1" in str(said.value) and "s3cr3t" not in str(said.value)


def test_facets_count_what_the_other_filters_leave(engine: SearchEngine):
    results = engine.search(
        Query(filters={"colour": "red", "gender": "men"}, facets=("colour", "gender", "brand"))
    )
    assert dict(results.facets["gender"]) == {"men": 5}
    assert dict(results.facets["brand"]) == {"Puma": 5}
    # What most catalogues never say is no facet where no product has it.
    assert not engine.search(Query(facets=("era", "neckline"))).facets
    assert len(results.facets["colour"]) == 8 and sum(count for _, count in results.facets["colour"]) == 40
    with pytest.raises(FilterError, match="no facet 'shape'"):
        engine.search(Query(facets=("shape",)))


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


def test_what_is_no_picture_is_refused_with_the_reason(live: Candidate, engine: SearchEngine):
    sound = picture_of(live, "7")
    for content, reason in (
        (b"", "image empty"),
        (sound[:-400], "image truncated"),
        (sound[:40], "image truncated"),
        (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "not an image"),
        (b"<!doctype html><title>404</title>", "not an image"),
        (picture((1, 300)), "1 by 300 pixels"),
        (picture((300, 1)), "300 by 1 pixels"),
        (picture((9_000, 9_000)), "image too large"),
        (hostile.progressive(200, 64), "image too costly"),
        (sound + bytes(64 * 2**20), "image file too large"),
    ):
        with pytest.raises(SearchError, match=reason):
            engine.search(Query(picture=content))
    assert engine.search(Query(picture=picture((8, 8)))).hits


def test_vectors_of_the_wrong_kind_are_refused_by_name(live: Candidate, engine: SearchEngine):
    space = live.release.space
    with pytest.raises(SearchError, match=r"has 3 dimensions, and fashion-clip@\w+ has 512"):
        engine.search(Query(vector=[1, 2, 3], space=space))  # type: ignore[arg-type]
    # Of the right dimension, and yet nobody said of which space.
    with pytest.raises(SearchError, match="say which space the vector is of: fashion-clip@"):
        engine.search(Query(vector=np.ones(512)))
    assert engine.search(Query(vector=np.ones(512), space=space)).hits
    with pytest.raises(SearchError, match=r"no space 'other'; it has fashion-clip@"):
        engine.search(Query("red", space="other"))
    for key in ("no-such", "00000000-0000-0000-0000-000000000000", "'", "\0"):
        with pytest.raises(SearchError, match="no product"):
            engine.search(Query(product=key))


def test_a_release_of_another_model_is_searched_by_text_or_not_at_all(live: Candidate, engine: SearchEngine):
    live.conn.execute(
        sql.SQL("UPDATE {} SET embedding_space = 'other@000000000000'").format(live.release.table("products"))
    )
    live.conn.execute(
        sql.SQL("DROP INDEX {}").format(sql.Identifier(live.release.release, "product_embeddings_index"))
    )
    live.conn.commit()
    with pytest.raises(
        ReleaseError, match=r"made with the model other@0+, and the model in use is fashion-clip"
    ):
        engine.search(Query(picture=picture((64, 64))))
    words = engine.search(Query("red tshirts"))
    assert words.hits and set(words.plan.legs) == {"text"}
    assert "other@000000000000" in words.plan.notes[0]


def test_two_spaces_are_searched_side_by_side(live: Candidate, engine: SearchEngine, tmp_path: Path):
    # The same model under another name: a space of its own, whose vectors happen to be known.
    encoder = Encoder(embedding_space(str(shutil.copytree(SHIPPED_MODEL, tmp_path / "other"))), device="cpu")
    other = encoder.space.name
    live.conn.execute(
        sql.SQL("UPDATE {} SET embedding_space = {} WHERE external_id::int > 20").format(
            live.release.table("products"), sql.Literal(other)
        )
    )
    live.conn.execute(
        sql.SQL("DROP INDEX {}").format(sql.Identifier(live.release.release, "product_embeddings_index"))
    )
    live.conn.commit()
    one = engine.search(Query("red tshirts", mode="vector", limit=40))
    assert len(one.hits) == 20 and other in one.plan.notes[0]
    with pytest.raises(SearchError, match=f"given for the space a@b makes vectors of {other}"):
        SearchEngine.open(live.settings, encoders={"a@b": encoder})
    with SearchEngine.open(live.settings, encoders={other: encoder}) as both:
        results = both.search(Query("red tshirts", mode="vector", limit=40))
        assert len(results.hits) == 40 and len(results.plan.legs) == 2
        assert {hit.colour for hit in results.hits[:4]} == {"red"}


def test_words_and_filters_nobody_types_are_kept_up_to_so_many_bytes(engine: SearchEngine):
    answering = engine._answering
    engine.search(Query("x" * 1_900, avoid="y" * 1_900, filters={"brand": "z" * 900}))
    asked = [
        answering.encoders._vectors,
        answering._understanding._said,
        answering._understanding._words,
        answering._understanding._levels,
        answering._values._present,
        answering._lacking._there,
    ]
    assert all(each._most is not None for each in asked)
    assert sum(each._bytes > 1_900 for each in asked) >= 3


def test_reading_is_all_an_engine_can_do(live: Candidate, engine: SearchEngine):
    def run(text: bytes, role: bool) -> list:
        settings = {"role": live.settings.reader_role} if role else {}
        return engine._read(Read([Statement(text, {})], settings))[0]

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        run(b"DELETE FROM fashion_sota.products", False)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(b"SELECT count(*) FROM fashion_ops.releases", True)
    assert run(b"SELECT current_user::text, current_setting('enable_sort')", False) != [
        (live.settings.reader_role, "off")
    ]
    engine.search(Query("red"))
    assert engine._answering.releases._reader == live.settings.reader_role
    releases.live(live.conn)
    with connect(live.settings) as other:
        assert other.execute("SHOW enable_sort").fetchone() == ("on",)


def test_the_time_a_search_is_given_bounds_it_and_no_other(live: Candidate):
    def limit(_: object) -> Work[int]:
        asked = Statement(b"SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'", {})
        ((row,),) = yield Read([asked], {})
        return row[0]

    async def ask() -> None:
        async with AsyncSearchEngine.open(live.settings, size=1) as engine:
            for _ in range(2):
                with within(30):
                    assert 29_000 < await engine.ask(limit) <= 30_000
                with within(0.8):
                    assert 0 < await engine.ask(limit) <= 800
                assert await engine.ask(limit) == 0

    asyncio.run(ask())


def test_searches_that_have_the_owners_rights_say_so_once(live: Candidate):
    """The settings' role is not a member of the reader role, which an administrator made."""
    name = f"shop_{uuid.uuid4().hex}"
    role = sql.Identifier(name)
    live.conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    for schema in (live.release.release, SERVING_SCHEMA, "fashion_ops"):
        live.conn.execute(
            sql.SQL(
                "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
            ).format(schema=sql.Identifier(schema), role=role)
        )
    live.conn.commit()
    url = SecretStr(database_url(live.settings, user=name))
    settings = live.settings.model_copy(update={"database_url": url})
    try:
        with SearchEngine.open(settings, size=1) as engine:
            first, second = engine.search(Query("red")), engine.search(Query("red"))
            (note,) = set(first.plan.notes) - set(second.plan.notes)
            assert f"`GRANT fashion_reader TO {name} WITH SET TRUE`" in note
            assert first.hits == second.hits
        with connect(settings) as conn:
            assert status(conn, settings)["reader"]["note"] == note
        live.conn.execute(re.findall("`(.*)`", note)[0])
        live.conn.commit()
        with SearchEngine.open(settings, size=1) as engine:
            assert engine.search(Query("red")).plan == second.plan
        with connect(settings) as conn:
            assert status(conn, settings)["reader"]["note"] is None
    finally:
        live.conn.rollback()
        live.conn.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))
        live.conn.commit()


def test_both_engines_give_the_same_answers(live: Candidate, engine: SearchEngine):
    asked = [
        Query("red tshirt"),
        Query("blue", filters={"colour": ["blue", "red"]}, facets=("colour",)),
        Query(picture=picture_of(live, "7"), mode="vector", exact=True),
        Query("gren tees", mode="text"),
    ]

    async def answers() -> list:
        async with AsyncSearchEngine.open(live.settings) as other:
            return await asyncio.gather(*(other.search(query) for query in asked))

    assert asyncio.run(answers()) == [engine.search(query) for query in asked]
    assert engine.cache().misses >= 3


def test_what_was_encoded_once_is_kept(engine: SearchEngine):
    engine.search(Query("red tshirt"))
    before = engine.cache()
    engine.search(Query("red tshirt", filters={"colour": "red"}))
    after = engine.cache()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)


def test_what_was_prepared_together_is_answered_from_what_is_kept(engine: SearchEngine):
    engine.prepare(["red t-shirt", "  blue   tshrit ", "red t-shirt", ""])
    before = engine.cache()
    assert before.size == 2
    alone = [
        engine.search(Query(words=words, mode="vector")) for words in ("red t-shirt", "  blue   tshrit ")
    ]
    after = engine.cache()
    assert (after.size, after.misses) == (2, before.misses) and after.hits == before.hits + 2
    assert alone[1].plan.understood != "blue tshrit", "corrected, as it was encoded"
