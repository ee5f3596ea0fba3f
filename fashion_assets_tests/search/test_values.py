"""Values of filters that no product has: told, with what was likely meant, by what the release holds."""

import pytest
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.filters import parse_filters
from fashion_assets.search.query import Query
from fashion_assets_tests.search.large import PRODUCTS, fill


def notes(engine: SearchEngine, *filters: str, release: str | None = None) -> tuple[str, ...]:
    answer = engine.search(Query(filters=parse_filters(filters), release=release))
    return tuple(note for note in answer.plan.notes if note.startswith("no product"))


def test_a_value_no_product_has_is_told_with_the_one_that_was_meant(engine: SearchEngine):
    assert (
        notes(engine, "colour=red,blue", "gender=men", "normalized.colour=red", "price=1..2", "external_id=x")
        == ()
    )
    answer = engine.search(Query(filters={"normalized.colour": [], "brand": []}))
    assert answer.hits == () and answer.plan.notes == ()  # asked for nothing
    assert notes(engine, "colour=red-ish") == ("no product has colour 'red-ish'; did you mean red?",)
    # One of several, beside which there are hits.
    answer = engine.search(Query(filters=parse_filters(["colour=red,grean"])))
    assert answer.hits and answer.plan.notes == ("no product has colour 'grean'; did you mean green?",)
    assert notes(engine, "gender=xyzzy") == ("no product has gender 'xyzzy'; there are men",)
    (said,) = notes(engine, "colour=xyzzy")
    assert said.startswith("no product has colour 'xyzzy'; there are ") and said.endswith(" and others")
    assert notes(engine, "brand=Pumma") == ("no product has brand 'Pumma'; did you mean Puma?",)
    assert notes(engine, "source=fashion") == ("no product has source 'fashion'; did you mean fashion_demo?",)


def test_the_same_of_the_normalized_object(engine: SearchEngine):
    assert notes(engine, "normalized.colour=redd") == (
        "no product has normalized.colour 'redd'; did you mean red?",
    )
    assert notes(engine, "normalized.coluor=red") == (
        "no product has any normalized.coluor; did you mean colour?",
    )


def test_a_release_that_is_not_live_is_asked_itself(candidate: Candidate):
    with SearchEngine.open(candidate.settings, size=1) as engine:
        assert notes(engine, "colour=grean", release=candidate.release.release) == (
            "no product has colour 'grean'; did you mean green?",
        )


def test_a_value_beyond_the_sample_is_looked_for_once(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fashion_assets.search.release_facts.SAMPLE", 500)
    fill(candidate)
    products = candidate.release.table("products")
    # Ids are hashes and the sample is of the first: this one is not in it.
    candidate.conn.execute(
        sql.SQL(
            "UPDATE {} SET colour = 'vermilion', normalized = '{{\"fit\": \"slim\"}}' "
            "WHERE product_id = (SELECT max(product_id::text)::uuid FROM {})"
        ).format(products, products)
    )
    candidate.conn.commit()
    assert PRODUCTS > 500
    release = candidate.release.release
    with SearchEngine.open(candidate.settings, size=1) as engine:
        assert notes(engine, "colour=vermilion", "normalized.fit=slim", release=release) == ()
        (said, other) = notes(engine, "colour=vermillon", "normalized.fit=slimm", release=release)
        assert said == "no product has colour 'vermillon'; did you mean vermilion?"
        assert other.startswith("no product has any normalized.fit")
        statements = []
        read = engine._read
        monkeypatch.setattr(engine, "_read", lambda step: statements.extend(step.statements) or read(step))
        notes(engine, "colour=vermillon", release=release)
        assert not any(b"EXISTS" in statement.text for statement in statements) and statements
