"""What is kept of what people like and look at: once, bounded, and for as long as it may be."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import feedback
from fashion_assets.warehouse.feedback import Event, FeedbackError, Kind


@pytest.fixture
def products(database: psycopg.Connection) -> list[UUID]:
    made = [uuid4() for _ in range(6)]
    database.cursor().executemany(
        "INSERT INTO fashion_ops.id_map (source, external_id, product_id, first_release) VALUES ('shop', %s, %s, 'r')",
        [(str(place), product) for place, product in enumerate(made)],
    )
    database.commit()
    return made


def kept(database: psycopg.Connection, person: str = "p") -> list[tuple]:
    return database.execute(
        "SELECT product_id, opinion, views, clicks, words, place FROM fashion_ops.feedback WHERE person = %s ORDER BY at, product_id",
        (person,),
    ).fetchall()


def test_a_like_and_a_dislike_take_each_others_place_and_looks_are_counted(
    database: psycopg.Connection, products: list[UUID]
):
    one = products[0]
    said: list[Kind] = ["view", "like", "view", "dislike", "click"]
    feedback.note(database, [Event("p", one, kind) for kind in said])
    assert kept(database) == [(one, "dislike", 2, 1, "", None)]
    feedback.note(database, [Event("p", one, "like", words="Red  shoes", place=3), Event("p", one, "view")])
    assert kept(database) == [(one, "like", 3, 1, "red shoes", 3)]
    feedback.note(database, [Event("p", one, "click", words="call 0151 2345678", place=2)])
    assert kept(database) == [(one, "like", 3, 2, "red shoes", 2)]
    feedback.note(database, [Event("p", one, "neither")])
    assert kept(database)[0][1:4] == (None, 3, 2)
    # Of a like that is taken back nothing is left.
    feedback.note(database, [Event("p", products[1], "like")])
    feedback.note(database, [Event("p", products[1], "neither")])
    assert [row[0] for row in kept(database)] == [one]
    made = feedback.counts(database)
    assert (made.people, made.products, made.kinds["view"], made.kinds["like"]) == (1, 1, 3, 0)


def test_what_is_sent_twice_counts_once_and_what_is_of_nothing_not_at_all(
    database: psycopg.Connection, products: list[UUID]
):
    number = uuid4()
    twice = [Event("p", products[0], "view", number), Event("p", products[0], "view", number)]
    assert feedback.note(database, [*twice, Event("p", uuid4(), "like")]) == ([0], [1], [2])
    assert feedback.note(database, twice) == ([], [0, 1], [])
    assert kept(database)[0][2] == 1
    # Another person's event is another one, whatever its id.
    assert feedback.note(database, [Event("q", products[0], "view", number)]).noted == [0]
    # That of a product nobody knew may be sent again once it is there.
    late = Event("p", uuid4(), "like", uuid4())
    assert feedback.note(database, [late]).unknown == [0]
    database.execute(
        "INSERT INTO fashion_ops.id_map (source, external_id, product_id, first_release) VALUES ('shop', 'late', %s, 'r')",
        (late.product,),
    )
    assert feedback.note(database, [late]).noted == [0]


def test_several_who_write_at_once_lose_nothing(
    settings: Settings, database: psycopg.Connection, products: list[UUID]
):
    again = uuid4()

    def write(turn: int) -> None:
        order = products if turn % 2 else products[::-1]
        events = [Event("p", each, "like" if turn % 2 else "dislike") for each in order]
        events += [Event("p", each, "view") for each in order] + [Event("p", products[0], "click", again)]
        with connect(settings, vectors=False) as connection:
            feedback.note(connection, events)
            connection.commit()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(12)))
    rows = kept(database)
    assert [row[2] for row in rows] == [12] * len(products) and sum(row[3] for row in rows) == 1
    assert {row[1] for row in rows} <= {"like", "dislike"}


def test_a_person_is_forgotten_and_old_feedback_goes(database: psycopg.Connection, products: list[UUID]):
    number = uuid4()
    feedback.note(database, [Event("p", products[0], "like", number), Event("p", products[1], "view")])
    feedback.note(database, [Event("q", products[0], "like")])
    assert feedback.forget(database, "p") == 2 and feedback.forget(database, "p") == 0
    assert kept(database) == [] and len(kept(database, "q")) == 1
    # What was on its way then comes to nothing.
    assert feedback.note(database, [Event("p", products[0], "like", number)]).repeated == [0]
    feedback.note(database, [Event("q", products[1], "view")])
    database.execute(
        "UPDATE fashion_ops.feedback SET at = now() - interval '31 days' WHERE product_id = %s",
        (products[0],),
    )
    database.execute("UPDATE fashion_ops.feedback_events SET at = now() - interval '8 days'")
    assert feedback.prune(database, 30) == 1
    assert [row[0] for row in kept(database, "q")] == [products[1]]
    assert database.execute("SELECT count(*) FROM fashion_ops.feedback_events").fetchone() == (0,)


def test_what_is_kept_of_one_person_is_bounded(
    database: psycopg.Connection, products: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feedback, "MOST_PER_PERSON", 3)
    for place, product in enumerate(products):
        feedback.note(database, [Event("p", product, "like" if place == 0 else "view")])
        database.commit()
    # The opinion stays, of the others the newest.
    assert {row[0] for row in kept(database)} == {products[0], *products[-2:]}


@pytest.mark.parametrize("person", ["", "anna@shop.example", "Anna Berg", "a\0b", "é", "x" * 129, "+49151"])
def test_a_person_is_an_id(database: psycopg.Connection, products: list[UUID], person: str):
    with pytest.raises(FeedbackError, match="not by a name or an address"):
        feedback.note(database, [Event(person, products[0], "like")])
    with pytest.raises(FeedbackError):
        feedback.forget(database, person)


def test_only_an_id_drawn_at_random_is_nobody_elses():
    assert feedback.is_session(str(uuid4()))
    for guessable in ("user-17", "41571", "14bc355a-c0b2-51f5-8d81-88d10110e9c3", str(uuid4()).upper()):
        assert not feedback.is_session(guessable)
