"""The styles of a release: in its tables, in searches, through a swap and back to a release that has none."""

import json
from collections.abc import Iterator

import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.styles import STYLE_CRITERIA
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.release import indexes, styles
from fashion_assets.release.swap import promote, rollback
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import LATER_TABLES, definition
from fashion_assets_tests.release.copies import copy_of


def verdict(candidate: Candidate, name: str) -> Verdict:
    (criterion,) = [each for each in STYLE_CRITERIA if each.name == name]
    return criterion.judge(candidate, candidate.settings)


def all_hold(candidate: Candidate) -> bool:
    return all(verdict(candidate, each.name).outcome == "pass" for each in STYLE_CRITERIA)


def damage(candidate: Candidate, statement: str) -> None:
    release = candidate.release
    candidate.conn.execute(
        sql.SQL(statement).format(  # pyright: ignore[reportArgumentType]
            styles=release.table("style_clusters"),
            affinity=release.table("product_style_affinity"),
            products=release.table("products"),
        )
    )


def test_a_run_gives_every_product_its_styles(candidate: Candidate):
    assert all_hold(candidate)
    found = styles.read(candidate.conn, candidate.release)
    assert len(found) == 3 and sum(each.products for each in found) == 40
    assert len({each.name for each in found}) == 3 and all(each.words for each in found)
    rows = candidate.conn.execute(
        sql.SQL("SELECT product_id, array_agg(rank ORDER BY affinity DESC) FROM {} GROUP BY 1").format(
            candidate.release.table("product_style_affinity")
        )
    ).fetchall()
    assert len(rows) == 40 and all(ranks == [1, 2, 3] for _, ranks in rows)


def test_styles_are_the_same_each_time_and_stay_from_release_to_release(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    conn, first = candidate.conn, styles.read(candidate.conn, candidate.release)
    monkeypatch.setattr(styles, "AT_ONCE", 7)  # read in several pieces, the last one of which is not full
    styles.find(conn, candidate.release)
    conn.commit()
    again = styles.assign(candidate.settings, candidate.release)
    assert [each[:5] for each in again] == [each[:5] for each in first] and all_hold(candidate)
    promote(conn, candidate.settings, candidate.release)
    following = copy_of(candidate, "another")
    # As if they had been found the other way round: the next release begins where this one is.
    conn.execute(
        sql.SQL("UPDATE {} SET cluster = 4 - cluster").format(candidate.release.table("style_clusters"))
    )
    conn.commit()
    kept = styles.find(conn, following)
    conn.commit()
    assert [each.name for each in kept] == [each.name for each in first][::-1]
    for now, before in zip(kept, reversed(first), strict=True):
        assert (now.centre == before.centre).all()


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        ("styles_are_told_apart", "UPDATE {styles} SET name = 'one'"),
        ("styles_are_told_apart", "UPDATE {styles} SET name = ' ' WHERE cluster = 1"),
        ("styles_are_told_apart", "DELETE FROM {styles}"),
        (
            "every_product_has_a_style",
            "DELETE FROM {affinity} WHERE product_id = (SELECT min(product_id::text)::uuid FROM {products})",
        ),
        (
            "every_product_has_a_style",
            "INSERT INTO {affinity} SELECT gen_random_uuid(), 1, 1, 0.5",
        ),
        (
            "styles_are_the_nearest",
            "UPDATE {affinity} a SET cluster = b.cluster, affinity = b.affinity FROM {affinity} b "
            "WHERE b.product_id = a.product_id AND b.rank = 4 - a.rank",
        ),
        ("styles_are_the_nearest", "UPDATE {affinity} SET affinity = affinity - 0.1"),
        (
            "styles_are_the_nearest",
            "UPDATE {styles} SET centre = centre * array_fill(-1::real, ARRAY[vector_dims(centre)])::vector",
        ),
    ],
)
def test_a_release_whose_styles_are_wrong_is_told_so(candidate: Candidate, broken: str, by: str):
    damage(candidate, by)
    found = verdict(candidate, broken)
    assert found.outcome == "fail" and "style_clusters" in found.remedy


def test_a_catalogue_without_vectors_needs_no_styles(candidate: Candidate):
    damage(candidate, "UPDATE {products} SET embedding = NULL, embedding_space = NULL")
    assert styles.find(candidate.conn, candidate.release) == []
    candidate.conn.commit()
    assert styles.assign(candidate.settings, candidate.release) == []
    assert {verdict(candidate, each.name).outcome for each in STYLE_CRITERIA} == {"not applicable"}


@pytest.fixture
def engine(live: Candidate) -> Iterator[SearchEngine]:
    with SearchEngine.open(live.settings, size=1) as engine:
        yield engine


def test_styles_are_asked_for_by_name_product_and_person(live: Candidate, engine: SearchEngine):
    known = engine.styles()
    assert [each.products for each in known] == sorted((each.products for each in known), reverse=True)
    style = known[0]
    results = engine.of_style(style.name.upper(), limit=50)
    assert len(results.hits) == style.products
    assert [hit.score for hit in results.hits] == sorted((hit.score for hit in results.hits), reverse=True)
    assert engine.of_style(str(style.number), limit=1).hits == results.hits[:1]
    near = engine.styles_of(product=results.hits[0].external_id)
    assert near[0].name == style.name and near[0].affinity == pytest.approx(results.hits[0].score)
    assert len(near) == 3 and near[0].affinity > near[1].affinity > near[2].affinity  # type: ignore[operator]
    live.conn.execute(
        sql.SQL(
            "INSERT INTO {} (user_id, source, product_id, record) SELECT 'ann', 'demo', id::uuid, '{{}}' FROM unnest(%s::text[]) id"
        ).format(live.release.table("favourites")),
        ([hit.product_id for hit in results.hits[:2]],),
    )
    live.conn.commit()
    (theirs,) = engine.styles_of(user="ann")
    assert theirs.name == style.name and 0 < (theirs.affinity or 0) <= 1
    assert engine.styles_of(user="nobody") == []
    with pytest.raises(SearchError, match="there is no style 'nothing'"):
        engine.of_style("nothing")
    with pytest.raises(SearchError, match=f"there are .*{known[1].name}"):
        engine.of_style(f"unheard-of {known[1].name.split()[0]}")
    with pytest.raises(SearchError, match="no product"):
        engine.styles_of(product="nothing")
    with pytest.raises(SearchError, match="name a product or a person"):
        engine.styles_of()


def test_the_command_tells_them(engine: SearchEngine):
    called = CliRunner().invoke(app, ["styles", "--json"])
    known = json.loads(called.stdout)
    assert len(known) == 3 and {"number", "name", "products", "words", "affinity"} == set(known[0])
    of_one = json.loads(
        CliRunner().invoke(app, ["styles", known[0]["name"], "--limit", "2", "--json"]).stdout
    )
    assert len(of_one["hits"]) == 2
    assert known[0]["name"] in CliRunner().invoke(app, ["styles"]).stdout
    assert "affinity" in CliRunner().invoke(app, ["styles", "--product", "1"]).stdout
    assert CliRunner().invoke(app, ["styles", "x", "--product", "1"]).exit_code == 2


def test_a_release_from_before_styles_serves_is_gone_back_to_and_is_searched(candidate: Candidate):
    conn, settings = candidate.conn, candidate.settings
    for table in LATER_TABLES:
        conn.execute(sql.SQL("DROP TABLE {}").format(candidate.release.table(table)))
    conn.commit()
    assert {verdict(candidate, each.name).outcome for each in STYLE_CRITERIA} == {"not applicable"}
    promote(conn, settings, candidate.release)
    conn.commit()
    # As the contract says: a table the release lacks is an empty view.
    assert conn.execute("SELECT FROM fashion_sota.style_clusters").fetchall() == []
    conn.commit()
    copy = _with_styles(candidate)
    promote(conn, settings, copy)
    conn.commit()
    assert conn.execute("SELECT count(*) FROM fashion_sota.style_clusters").fetchone() == (3,)
    with SearchEngine.open(settings, size=1) as engine:
        assert len(engine.styles()) == 3
        rollback(conn, settings)
        conn.commit()
        with pytest.raises(SearchError, match="kept no styles: fashion-assets run"):
            engine.styles()
        assert engine.search(Query(words="shirt")).hits
    conn.autocommit = True
    assert {each.was for each in indexes.rebuild(settings, candidate.release)} == {"valid"}


def _with_styles(candidate: Candidate) -> Release:
    """A further release with the tables that the first one lacks."""
    conn = candidate.conn
    for table in LATER_TABLES.values():
        conn.execute(
            sql.SQL("CREATE TABLE {} ({})").format(candidate.release.table(table.name), definition(table))
        )
    copied = copy_of(candidate, "later")
    for table in LATER_TABLES:
        conn.execute(sql.SQL("DROP TABLE {}").format(candidate.release.table(table)))
    styles.find(conn, copied)
    conn.commit()
    styles.assign(candidate.settings, copied)
    return copied
