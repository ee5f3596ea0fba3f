"""What a person may like."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Json

from fashion_assets.catalog.style import stated_style
from fashion_assets.criteria.subject import Candidate
from fashion_assets.release.swap import promote
from fashion_assets.search import preferences
from fashion_assets.search.diversity import marginally_relevant
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import SearchError
from fashion_assets.search.query import Query
from fashion_assets.search.taste import tastes
from fashion_assets.settings import Settings
from fashion_assets.warehouse import feedback
from fashion_assets.warehouse.feedback import Event
from fashion_assets_tests.conftest import Template, changed_once, release_of


def add_people(candidate: Candidate) -> None:
    conn, release = candidate.conn, candidate.release
    known: list[tuple[str, dict]] = [
        ("by-style", {"style_features": {"preferred_colours": ["Gray", "no such"], "gender": "Men"}}),
        ("silent", {}),
        ("likes-red", {}),
    ]
    for user, record in known:
        conn.execute(
            sql.SQL(
                "INSERT INTO {} (user_id, source, style, record) VALUES (%s, 'fashion_demo', %s, %s)"
            ).format(release.table("users")),
            (user, Json(stated_style(json.dumps(record))), Json(record)),
        )
    for external_id in ("8", "16", "24", "gone"):
        conn.execute(
            sql.SQL(
                "INSERT INTO {favourites} (user_id, source, external_id, product_id, record) "
                "SELECT 'likes-red', 'fashion_demo', %(id)s, (SELECT product_id FROM {products} WHERE external_id = %(id)s), '{{}}'"
            ).format(favourites=release.table("favourites"), products=release.table("products")),
            {"id": external_id},
        )
    # Nobody looks for these people in the source.
    conn.execute("DELETE FROM fashion_ops.declared_tables")
    promote(conn, candidate.settings, release)


@pytest.fixture(scope="module")
def people_template(server_settings: Settings, candidate_template: Template) -> Iterator[Template]:
    with changed_once(server_settings, candidate_template, add_people) as template:
        yield template


@pytest.fixture
def live(
    server_settings: Settings, people_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    with release_of(server_settings, people_template, tmp_path, monkeypatch) as live:
        yield live


def test_favourites_lead_to_more_like_them_and_none_of_them(engine: SearchEngine):
    results = engine.recommend("likes-red", limit=5)
    assert len(results.hits) == 5 and results.plan.notes == ("like 3 favourites",)
    ids = {hit.external_id for hit in results.hits}
    assert not ids & {"8", "16", "24"}
    assert ids & {"32", "40"}, "the red ones that are left"


def test_of_many_favourites_none_is_recommended(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(preferences, "FAVOURITES", 2)
    hits = engine.recommend("likes-red", limit=40).hits
    assert len(hits) == 37 and not {hit.external_id for hit in hits} & {"8", "16", "24"}


def test_a_style_nothing_is_of_leads_to_what_is_popular(live: Candidate, engine: SearchEngine):
    live.conn.execute(
        sql.SQL("UPDATE {} SET style = %s WHERE user_id = 'by-style'").format(live.release.table("users")),
        (Json({"gender": ["women"]}),),
    )
    live.conn.commit()
    results = engine.recommend("by-style", limit=5)
    assert {hit.external_id for hit in results.hits[:3]} == {"8", "16", "24"} and len(results.hits) == 5
    assert results.plan.notes == ("popular, as nothing is there by stated style: women",)


def test_a_stated_style_stands_in_for_favourites(engine: SearchEngine):
    results = engine.recommend("by-style", limit=3)
    assert results.hits[0].colour == "grey" and len(results.hits) == 3
    assert "by stated style: grey, men" in results.plan.notes[0]


def test_who_says_nothing_gets_what_is_popular_and_is_told_so(engine: SearchEngine):
    results = engine.recommend("silent", limit=5)
    assert len({hit.product_id for hit in results.hits}) == 5
    assert {hit.external_id for hit in results.hits[:3]} == {"8", "16", "24"}
    assert "popular" in results.plan.notes[0]


@pytest.mark.parametrize("user", ["nobody", "", "\0", "'; DROP TABLE users; --"])
def test_who_is_not_known_is_said_so(engine: SearchEngine, user: str):
    with pytest.raises(SearchError, match="there is no person"):
        engine.recommend(user)


def test_a_person_of_several_sources_has_one_style(live: Candidate, engine: SearchEngine):
    live.conn.execute(
        sql.SQL(
            "INSERT INTO {} (user_id, source, style, record) VALUES ('by-style', 'another', %s, '{{}}'), "
            "('by-style', 'third', NULL, '{{}}')"
        ).format(live.release.table("users")),
        (Json({"colour": ["red", "grey"]}),),
    )
    live.conn.commit()
    assert engine.recommend("by-style").plan.notes == ("by stated style: red, grey, men",)
    assert engine.recommend("by-style", source="another").plan.notes == ("by stated style: red, grey",)


def test_of_a_release_without_styles_people_are_known_and_favourites_lead(live: Candidate):
    users = live.release.table("users")
    live.conn.execute(sql.SQL("ALTER TABLE {} DROP COLUMN style CASCADE").format(users))
    live.conn.execute(
        sql.SQL(
            "CREATE VIEW fashion_sota.users AS SELECT * FROM {}; GRANT SELECT (user_id, source) ON "
        ).format(users)
        + sql.SQL("fashion_sota.users TO {}").format(sql.Identifier(live.settings.reader_role))
    )
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as engine:
        assert engine.recommend("likes-red").plan.notes == ("like 3 favourites",)
        assert "popular" in engine.recommend("by-style").plan.notes[0]
        with pytest.raises(SearchError, match="no person"):
            engine.recommend("nobody")


def tell(live: Candidate, person: str, **told: list[str]) -> None:
    """Have a person like, dislike or click what has these ids in the source."""
    rows = live.conn.execute(
        "SELECT external_id, product_id FROM fashion_ops.id_map WHERE source = 'fashion_demo'"
    ).fetchall()
    products = dict(rows)
    feedback.note(
        live.conn,
        [Event(person, products[each], kind) for kind, ids in told.items() for each in ids],  # type: ignore[arg-type]
    )
    live.conn.commit()


def test_who_is_known_by_feedback_alone_is_recommended_to(live: Candidate, engine: SearchEngine):
    tell(live, "visit", like=["8", "16"], click=["24"], view=["24", "24"])
    results = engine.recommend("visit", limit=5)
    assert results.plan.notes == ("like 2 likes, 1 click and 2 views",)
    assert len(results.hits) == 5 and not {hit.external_id for hit in results.hits} & {"8", "16"}
    # As favourites of the same products lead to.
    theirs = {hit.attributes["colour"] for hit in engine.recommend("likes-red", limit=3).hits}
    assert {hit.attributes["colour"] for hit in results.hits[:3]} & theirs


def test_what_is_disliked_is_not_recommended_and_leads_away(live: Candidate, engine: SearchEngine):
    before = engine.recommend("likes-red", limit=5)
    disliked = before.hits[0].external_id
    tell(live, "likes-red", dislike=[disliked, "8"])
    after = engine.recommend("likes-red", limit=39)
    # A favourite that is disliked here is none any more, and is not shown either.
    assert after.plan.notes == ("like 2 favourites, away from 2 dislikes",)
    assert not {hit.external_id for hit in after.hits} & {disliked, "8", "16", "24"}
    tell(live, "likes-red", neither=[disliked, "8"])
    assert [hit.product_id for hit in engine.recommend("likes-red", limit=5).hits] == [
        hit.product_id for hit in before.hits
    ]


def test_who_dislikes_all_they_know_is_shown_what_is_popular_without_it(
    live: Candidate, engine: SearchEngine
):
    tell(live, "sullen", dislike=["8"])
    results = engine.recommend("sullen", limit=5)
    assert "popular, but for what they dislike" in results.plan.notes[0]
    assert "8" not in {hit.external_id for hit in results.hits} and len(results.hits) == 5


def test_a_search_for_somebody_finds_the_same_in_another_order(
    live: Candidate, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
):
    # So much that it is seen on a page of ten; how much it is at the most, `test_taste` says.
    monkeypatch.setattr(preferences, "LIFT", 10.0)
    query = Query(words="tshirts", limit=10)
    everybodys = engine.search(query)
    liked = everybodys.hits[-1]
    tell(live, "visit", like=[liked.external_id])
    theirs = engine.search(replace(query, person="visit"))
    order = [hit.product_id for hit in theirs.hits]
    assert set(order) == {hit.product_id for hit in everybodys.hits} and theirs.total == everybodys.total
    assert order[0] == liked.product_id and "1 like" in theirs.plan.notes[-1]
    moved = next(hit for hit in theirs.hits if hit.product_id == liked.product_id)
    assert moved.explanation[-1].leg == "person" and moved.explanation[-1].rank == 1
    # Its pages are everybody's: what follows is the same, whoever asks.
    following = [
        {hit.product_id for hit in engine.search(replace(query, page=theirs.next_page, person=person)).hits}
        for person in ("visit", None)
    ]
    assert following[0] == following[1] and not following[0] & set(order)
    unknown = engine.search(replace(query, person="nobody"))
    assert [hit.product_id for hit in unknown.hits] == [hit.product_id for hit in everybodys.hits]
    with pytest.raises(SearchError):
        engine.search(replace(query, person="\0"))


def test_without_the_right_to_read_feedback_nothing_is_known_of_it(live: Candidate):
    tell(live, "visit", like=["8"])
    live.conn.execute("ALTER TABLE fashion_ops.feedback RENAME TO away")
    live.conn.commit()
    with SearchEngine.open(live.settings, size=1) as engine:
        assert engine.recommend("likes-red").plan.notes == ("like 3 favourites",)
        with pytest.raises(SearchError, match="no person"):
            engine.recommend("visit")


def test_tastes_are_the_centres_of_what_is_liked():
    shirts, shoes = np.eye(4, dtype=np.float32)[:2]
    found = tastes(np.stack([shirts, shoes, shirts, shoes, shirts]))
    assert {int(centre.argmax()) for centre in found} == {0, 1}
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert len(tastes(shirts[None])) == 1


def test_near_duplicates_come_last():
    same, other = np.eye(4, dtype=np.float32)[:2]
    chosen = marginally_relevant(np.array([0.9, 0.89, 0.5]), [("a", same), ("a", same), ("a", other)], 3)
    assert chosen == [0, 2, 1]
    # Equal dimension is not equal space.
    assert marginally_relevant(np.array([0.9, 0.89, 0.5]), [("a", same), ("b", same), ("a", other)], 3) == [
        0,
        1,
        2,
    ]
    assert marginally_relevant(np.array([0.9, 0.8]), [("a", same), ("b", np.ones(2, np.float32))], 1) == [0]


def test_people_are_read_as_the_reader(live: Candidate, engine: SearchEngine):
    live.conn.execute(
        sql.SQL("REVOKE SELECT ON {} FROM {}").format(
            live.release.table("favourites"), sql.Identifier(live.settings.reader_role)
        )
    )
    live.conn.commit()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.recommend("silent")
