"""What is kept of what people search for, and what is not."""

import psycopg
import pytest
from starlette.datastructures import Headers

from fashion_assets.serving.analytics import Analytics, kind_of, may_be_kept
from fashion_assets.settings import Settings
from fashion_assets.warehouse import searches

RELEASE = "fashion_sota_r0001"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("  Red   SHOES ", "red shoes"),
        ("size 42 1990s levi's 501", "size 42 1990s levi's 501"),
        ("mail anna.b@shop.example please", ""),
        ("@anna_b dress", ""),
        ("call +49 (151) 234-5678", ""),
        ("0151 2345678", ""),
        ("4111 1111 1111 1111", ""),
        ("https://x.example/me", ""),
        ("a\0b", "a b"),
        ("x" * 300, "x" * 100),
    ],
)
def test_words_are_kept_unless_they_may_be_personal(words: str, kept: str):
    assert searches.kept_words(words) == kept


def test_counts_are_added_up_by_day_and_release(settings: Settings, database: psycopg.Connection):
    with Analytics(settings) as analytics:
        for words, hits in (
            ("Red shoes", 3),
            ("red shoes", 4),
            ("flying carpet", 0),
            ("anna@shop.example", 0),
        ):
            analytics.searched("words", words, RELEASE, hits)
        analytics.write()
        analytics.searched("words", "flying carpet", RELEASE, 0)
        analytics.searched("words", "flying carpet", "fashion_sota_r0002", 0)
        analytics.searched(kind_of(words="", picture=True, product=False), "", RELEASE, 5)
    # The last of them are written as it ends.
    most = [(each.words, each.searches, each.without_hits) for each in searches.asked(database)]
    assert most == [("flying carpet", 3, 3), ("red shoes", 2, 0)]
    none = searches.asked(database, without_hits=True, release=RELEASE)
    assert [(each.words, each.without_hits) for each in none] == [("flying carpet", 2)]
    rows = database.execute(
        "SELECT kind, words, searches FROM fashion_ops.searches WHERE words = ''"
    ).fetchall()
    assert sorted(rows) == [("picture", "", 1), ("words", "", 1)]
    columns = database.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'fashion_ops' AND table_name = 'searches'"
    ).fetchall()
    counted = ("searches", "without_hits", "clicks", "places")
    assert {name for (name,) in columns} == {*("day", "release", "kind", "words"), *counted}


def test_clicks_are_counted_by_what_was_searched_for_without_whose_they_were(
    settings: Settings, database: psycopg.Connection
):
    with Analytics(settings) as analytics:
        analytics.searched("words", "Red shoes", RELEASE, 3)
        for place in (1, 4):
            analytics.clicked("words", "red  SHOES", RELEASE, place)
        analytics.write()
        analytics.clicked("words", "red shoes", RELEASE, 1)
        analytics.clicked("words", "anna@shop.example", RELEASE, 2)
    (asked,) = searches.asked(database)
    assert (asked.words, asked.searches, asked.clicks, asked.mean_place) == ("red shoes", 1, 3, 2.0)
    assert database.execute(
        "SELECT clicks, places FROM fashion_ops.searches WHERE words = ''"
    ).fetchall() == [(1, 2)]


@pytest.mark.parametrize(
    ("headers", "kept"),
    [({}, True), ({"DNT": "0"}, True), ({"DNT": "1"}, False), ({"Sec-GPC": "1"}, False)],
)
def test_who_wants_nothing_kept_says_so(headers: dict[str, str], kept: bool):
    assert may_be_kept(Headers(headers)) is kept


def test_old_counts_go_and_nothing_is_noted_where_nobody_wants_it(
    settings: Settings, database: psycopg.Connection
):
    database.execute(
        "INSERT INTO fashion_ops.searches SELECT (now() AT TIME ZONE 'UTC')::date - age, %s, 'words', 'old', 1, 0 "
        "FROM unnest(ARRAY[0, 90, 91]) AS age",
        (RELEASE,),
    )
    assert searches.prune(database, settings.searches_kept_days) == 1
    database.rollback()
    with Analytics(settings.model_copy(update={"searches_kept_days": 0})) as analytics:
        analytics.searched("words", "red", RELEASE, 1)
    assert searches.asked(database) == []


def test_what_cannot_be_written_is_kept_for_the_next_time(settings: Settings, database: psycopg.Connection):
    analytics = Analytics(settings)
    analytics.searched("words", "red", RELEASE, 1)
    database.execute("ALTER TABLE fashion_ops.searches RENAME TO away")
    database.commit()
    with pytest.raises(psycopg.errors.UndefinedTable):
        analytics.write()
    database.execute("ALTER TABLE fashion_ops.away RENAME TO searches")
    database.commit()
    analytics.searched("words", "red", RELEASE, 1)
    analytics.write()
    assert [each.searches for each in searches.asked(database)] == [2]
