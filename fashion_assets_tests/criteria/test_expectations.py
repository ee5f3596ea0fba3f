"""Each expectation on the products table holds for a sound candidate and fails on a damaged one."""

import pytest
from psycopg import sql

from fashion_assets.catalog.attributes import SPARSE
from fashion_assets.catalog.profile import Profile
from fashion_assets.criteria.expectations import EXPECTATIONS, data_docs_folder, validate_products
from fashion_assets.criteria.subject import Candidate

DAMAGE = (
    "ALTER TABLE {products} DROP CONSTRAINT products_pkey, ALTER title DROP NOT NULL, ALTER gender DROP NOT NULL, "
    "ALTER category DROP NOT NULL, ALTER article_type DROP NOT NULL, ALTER image_path DROP NOT NULL",
    "UPDATE {products} SET title = NULL, gender = NULL, category = NULL, article_type = NULL, image_path = NULL "
    "WHERE external_id = '1'",
    "UPDATE {products} SET product_id = (SELECT product_id FROM {products} WHERE external_id = '2'), price = 0, "
    "year = 1815, image_width = 0, image_sha256 = 'not a digest' WHERE external_id = '3'",
    "UPDATE {products} SET gender = 'gadget', category = 'gadget', sub_category = 'gadget', article_type = 'gadget', "
    "colour = 'gadget', season = 'gadget', usage = 'gadget', condition = 'gadget' WHERE external_id::int BETWEEN 10 AND 20",
    f"UPDATE {{products}} SET {', '.join(f'{name} = $$gadget$$' for name in SPARSE)} WHERE external_id::int BETWEEN 10 AND 20",
    "UPDATE {products} SET title = '', description = '', brand = '', size = '', currency = '' WHERE external_id = '4'",
)


def test_the_expectations_hold_and_each_fails_on_damage(candidate: Candidate):
    results, docs = validate_products(candidate.settings, candidate.release)
    assert [result.name for result in results] == [expected.name for expected in EXPECTATIONS]
    assert [result.name for result in results if not result.passed] == []
    assert {result.elements for result in results} == {40}
    assert docs.is_relative_to(data_docs_folder(candidate.settings)) and docs.is_file()
    assert candidate.release.release in docs.parts
    password = candidate.settings.database_url
    assert password is not None
    pages = list(data_docs_folder(candidate.settings).rglob("*.html"))
    assert len(pages) > 1
    assert not any(password.get_secret_value() in page.read_text("utf-8") for page in pages)

    for statement in DAMAGE:
        candidate.conn.execute(
            sql.SQL(statement).format(products=candidate.release.table("products"))  # type: ignore[arg-type]
        )
    candidate.conn.commit()
    results, _ = validate_products(candidate.settings, candidate.release)
    assert [result.name for result in results if result.passed] == []
    by_name = {result.name: result for result in results}
    assert by_name["title_is_never_null"].unexpected == 1
    assert by_name["product_id_is_unique"].unexpected == 2
    assert by_name["year_is_plausible"].offenders == ["1815"]
    assert set(by_name["colour_is_in_its_vocabulary"].offenders) == {"gadget"}
    assert by_name["colour_is_in_its_vocabulary"].unexpected == 11


def test_of_a_source_that_does_not_need_it_nothing_is_expected(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    market = Profile(critical=("title",), picture="optional", free_items=True)
    monkeypatch.setattr("fashion_assets.sources.sample.Sample.profile", market, raising=False)
    candidate.conn.execute(
        "INSERT INTO fashion_ops.sources (name, kind, location, options, active) VALUES ('market', 'sample', '40', '{}', true)"
    )
    lacking = (
        "UPDATE {} SET gender = NULL, image_path = NULL, price = 0, source = 'market' WHERE external_id = '1'"
    )
    products = candidate.release.table("products")
    candidate.conn.execute(sql.SQL(lacking).format(products))
    candidate.conn.commit()
    results, _ = validate_products(candidate.settings, candidate.release)
    assert [result.name for result in results if not result.passed] == []
    candidate.conn.execute(sql.SQL("UPDATE {} SET source = 'fashion_demo'").format(products))
    candidate.conn.commit()
    results, _ = validate_products(candidate.settings, candidate.release)
    assert {result.name for result in results if not result.passed} == {
        "gender_is_never_null",
        "image_path_is_never_null",
    }


def test_a_home_may_be_called_as_variables_are(candidate: Candidate, monkeypatch: pytest.MonkeyPatch):
    """The library puts variables in place of `$name`: one that is not there raises, one that is there leads astray."""
    monkeypatch.setenv("SHOP", "elsewhere")
    for name in ("ho$me", "$SHOP", "${SHOP}", r"a\$SHOP"):
        home = candidate.settings.home / name
        results, docs = validate_products(
            candidate.settings.model_copy(update={"home": home}), candidate.release
        )
        assert all(result.passed for result in results)
        assert docs.is_relative_to(home) and docs.is_file()


def test_an_expectation_that_cannot_be_computed_says_what_hindered_it(candidate: Candidate):
    candidate.conn.execute(
        sql.SQL("ALTER TABLE {} DROP COLUMN year").format(candidate.release.table("products"))
    )
    candidate.conn.commit()
    results, _ = validate_products(candidate.settings, candidate.release)
    (failed,) = [result for result in results if not result.passed]
    assert failed.name == "year_is_plausible" and "year" in failed.offenders[0]
