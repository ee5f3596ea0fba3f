"""What a batch's files bring into a release's tables."""

import json
import uuid
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from fashion_assets.batches.files import REFUSED, with_refused
from fashion_assets.catalog.listing import PictureFolders
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.properties import read_properties
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.embedding.joining import PRODUCT_VECTORS
from fashion_assets.release.rows import serving_rows
from fashion_assets.warehouse.serving import PRODUCTS
from fashion_assets.warehouse.spaces import WrongDimension
from fashion_assets_tests.catalog.test_validation import listing, table

MARKET = Profile(critical=(), picture="optional")


def vectors(*rows: tuple) -> pa.Table:
    columns = dict(zip(PRODUCT_VECTORS.names, zip(*rows, strict=True), strict=True))
    return pa.table({name: list(values) for name, values in columns.items()}, PRODUCT_VECTORS)


@pytest.fixture
def normalized() -> pa.Table:
    rows = [listing(None, str(number), image=None) for number in range(3)]
    products = validate(table(*rows), Rules(profile=MARKET)).products
    return normalize(products, at=datetime.now(UTC))


def test_products_come_with_the_vector_that_is_served_and_all_vectors_beside(normalized: pa.Table):
    first, second, _ = normalized["product_id"].to_pylist()
    came = vectors(
        (first, "old", "image", [3.0, 4.0], False),
        (first, "old", "product", [1e6, 0.0], True),  # more than half precision holds
        (second, "new", "text", [1.0, 0.0, 0.0], True),
    )
    counts = [{"space": "old", "kind": "text", "reason": "vector_all_zero", "vectors": 1, "products": []}]
    rows = serving_rows(
        normalized,
        read_properties(normalized, "1"),
        with_refused(came, counts),
        "shop-00001",
        PictureFolders("/shop"),
    )
    assert sorted(sum(count for _, count in part.blocks) for part in rows.products) == [1, 1, 1]
    assert sorted((each.space, each.kind, each.dimension) for each in rows.vectors) == [
        ("new", "text", 3),
        ("old", "image", 2),
        ("old", "product", 2),
    ]
    assert rows.figures == (3, 1, 0, counts)


def test_products_of_one_kind_lie_side_by_side(normalized: pa.Table):
    kinds = ["shoes", "shirts", "shoes"]
    place = normalized.schema.get_field_index("article_type")
    normalized = normalized.set_column(place, "article_type", [kinds])
    ids = normalized["product_id"].to_pylist()
    came = vectors(*((each, "old", "image", [3.0, 4.0], True) for each in ids))
    (rows,) = serving_rows(
        normalized, read_properties(normalized, "1"), came, "shop-00001", PictureFolders("/shop")
    ).products
    ((block, count),) = rows.blocks
    written = sorted(ids, key=lambda each: bytes(block).index(uuid.UUID(each).bytes))
    assert count == 3 and written[0] == ids[1]


def test_what_searches_read_of_every_product_lies_first_in_a_row():
    laid = [column.name for column in PRODUCTS.laid_out]
    assert sorted(laid) == sorted(column.name for column in PRODUCTS.columns)
    # Behind a column of one length, so that it begins at the same byte in every row.
    assert laid[:2] == ["product_id", "embedding"] and laid.index("colour") < laid.index("title")


def test_a_file_says_which_vectors_it_refused():
    came = with_refused(vectors(("1", "old", "image", [1.0], True)), [{"reason": "vector_all_zero"}])
    assert json.loads((came.schema.metadata or {})[REFUSED]) == [{"reason": "vector_all_zero"}]


def test_a_space_of_two_lengths_is_named(normalized: pa.Table):
    first, second, _ = normalized["product_id"].to_pylist()
    came = vectors((first, "old", "text", [1.0], True), (second, "old", "text", [1.0, 2.0], True))
    with pytest.raises(WrongDimension, match="space 'old' in batch shop-00001"):
        serving_rows(normalized, read_properties(normalized, "1"), came, "shop-00001", PictureFolders(""))
