"""fashion_demo in Postgres, migrated as a person does it: one migration, whose release every test looks at."""

from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import SecretStr

from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets_tests import fashion_demo
from fashion_assets_tests.catalogue import draw_picture
from fashion_assets_tests.conftest import (
    TEMPLATE,
    _own_database,
    create_database,
    database_url,
    run_migration,
)
from fashion_assets_tests.fashion_demo import Old, drawn_vector, hybrid

SIZE = 61
FIRST = 1880
DOUBLE, ZEROS = 1940, 1899
"""Ids of a product with two rows, and of one whose text vector is all zeros."""


@pytest.fixture(scope="module")
def migrated(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection to the database of a release of fashion_demo, which is in another database."""
    home = tmp_path_factory.mktemp("fashion_demo")
    create_database(server_settings, "old_fashion_demo", "template0")
    old = database_url(server_settings, dbname="old_fashion_demo")
    (home / "pictures").mkdir()
    products = [
        Old(
            n,
            "Men",
            "Apparel",
            "Topwear",
            "Shirts",
            "Navy Blue",
            "Fall",
            2011,
            "Casual",
            f"Puma Men Shirt {n}",
        )
        for n in range(FIRST, FIRST + SIZE)
    ]
    products[1] = products[1]._replace(category="Free Items", season=None, year=None, usage=None)
    products[2] = products[2]._replace(title=None)
    for product in products:
        draw_picture(home / "pictures" / f"{product.id}.jpg", product.id)
    with connect(
        server_settings.model_copy(update={"database_url": SecretStr(old)}), vectors=False
    ) as connection:
        fashion_demo.build(connection, products, {})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OLD_SHOP", old)
        with _own_database(server_settings, home, TEMPLATE, environment) as settings:
            result = run_migration("env:OLD_SHOP", pictures=home / "pictures")  # type: ignore[arg-type]
            assert result.live, result.to_dict()
            with connect(settings) as connection:
                yield connection


def test_every_row_is_a_product_or_in_quarantine(migrated):
    products = dict(
        migrated.execute("SELECT external_id, price::float8 FROM fashion_sota.products").fetchall()
    )
    refused = migrated.execute(
        "SELECT external_id, reasons FROM fashion_ops.quarantine WHERE source = 'fashion_demo' ORDER BY external_id"
    ).fetchall()
    assert refused == [(str(FIRST + 2), ["null_title"]), (str(DOUBLE), ["duplicate_id"])]
    assert len(products) == SIZE - 1
    assert products[str(FIRST + 1)] == 0.0  # free, and sold as such


def test_no_password_is_registered(migrated):
    assert migrated.execute("SELECT location FROM fashion_ops.sources").fetchall() == [("env:OLD_SHOP",)]


def test_three_kinds_stand_side_by_side_bit_for_bit(migrated):
    found = migrated.execute(
        "SELECT p.external_id::int, e.kind, e.embedding FROM fashion_sota.product_embeddings e "
        "JOIN fashion_sota.products p USING (product_id) WHERE e.embedding_space = %s",
        (fashion_demo.MODEL,),
    ).fetchall()
    wanted = {}
    for number in {number for number, _, _ in found}:
        image, text = drawn_vector(number, "image"), drawn_vector(number, "text")
        mixed = hybrid(image, text)
        # One of zeros alone is none, and refused by name; its hybrid came all the same.
        of_text = {} if number == ZEROS else {(number, "text"): text}
        wanted |= {(number, "image"): image, (number, "product"): mixed} | of_text
    assert len(wanted) == 3 * (SIZE - 1) - 1
    assert {
        (number, kind): vector.to_numpy().astype(np.float32).tobytes() for number, kind, vector in found
    } == {key: vector.tobytes() for key, vector in wanted.items()}


def test_users_and_style_features_come_across(migrated):
    users = migrated.execute("SELECT user_id FROM fashion_sota.users ORDER BY 1").fetchall()
    assert users == [(f"user_{number:06}",) for number in range(5)]
    found = migrated.execute(
        "SELECT taste_embedding, avg_price, category_prefs FROM fashion_sota.user_style_features ORDER BY user_id"
    ).fetchall()
    for number, (vector, average, categories) in enumerate(found):
        assert np.linalg.norm(vector) == pytest.approx(1)
        assert np.array(vector) @ drawn_vector(number, "user") == pytest.approx(1, abs=1e-6)
        assert (average, categories) == (40.0 + number, ["Apparel", "Shoes"])
    assert len(found) == 5
