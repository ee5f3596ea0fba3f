import numpy as np
import pyarrow as pa

from fashion_assets.embedding.embed import TEXT_WEIGHT, combine
from fashion_assets.embedding.joining import PRODUCT_VECTORS, join, to_embed
from fashion_assets_tests.catalog.test_vectors import products

OWN = "clip@own"
EAST, NORTH = [1.0, 0.0], [0.0, 1.0]


def embedded(*ids: str, vector: list[float]) -> pa.Table:
    vectors = pa.array([vector] * len(ids), pa.list_(pa.float32()))
    return pa.table({"product_id": pa.array(ids, pa.string()), "vector": vectors})


def rows(joined) -> list[tuple]:
    assert joined.vectors.schema == PRODUCT_VECTORS
    return sorted(
        (row["product_id"], row["space"], row["kind"], row["served"]) for row in joined.vectors.to_pylist()
    )


def mean(image: list[float], text: list[float]) -> list[float]:
    return combine(np.array([image], np.float32), np.array([text], np.float32))[0].tolist()


def test_a_product_has_a_vector_of_what_there_is_of_it():
    made = join(
        products(None, None, None), embedded("0", "2", vector=EAST), embedded("0", "1", vector=NORTH), OWN
    )
    assert rows(made) == [("0", OWN, "product", True), ("1", OWN, "text", True), ("2", OWN, "image", True)]
    vectors = dict(
        zip(made.vectors["product_id"].to_pylist(), made.vectors["vector"].to_pylist(), strict=True)
    )
    assert vectors == {"0": mean(EAST, NORTH), "1": NORTH, "2": EAST}
    assert 0 < TEXT_WEIGHT < 1 and made.preserved == 0


def test_nothing_is_made_of_nothing():
    made = join(products(None), embedded(vector=EAST), embedded(vector=EAST), OWN)
    assert made.vectors.num_rows == 0 and made.vectors.schema == PRODUCT_VECTORS


def test_all_that_came_stays_and_the_best_is_served():
    image, text, whole = (
        ("old", kind, vector) for kind, vector in (("image", EAST), ("text", NORTH), ("product", [0.5, 0.5]))
    )
    joined = join(
        products(
            [text, image, whole],
            [image],
            [text],
            [text, image],
            [text, ("new", "image", [1.0, 2.0, 3.0])],
            [text, (OWN, "text", EAST)],
        ),
        embedded(vector=EAST),
        embedded(vector=EAST),
        OWN,
    )
    assert rows(joined) == [
        ("0", "old", "image", False),
        ("0", "old", "product", True),
        ("0", "old", "text", False),
        ("1", "old", "image", True),
        ("2", "old", "text", True),
        ("3", "old", "image", False),
        ("3", "old", "product", True),  # the mean of the two, beside them
        ("3", "old", "text", False),
        ("4", "new", "image", True),
        ("4", "old", "text", False),
        ("5", OWN, "text", True),
        ("5", "old", "text", False),
    ]
    made = [row for row in joined.vectors.to_pylist() if (row["product_id"], row["kind"]) == ("3", "product")]
    assert [row["vector"] for row in made] == [mean(EAST, NORTH)]
    assert joined.preserved == 11


def test_what_brought_a_vector_is_not_embedded_and_what_only_brought_zeros_is():
    shown = products(None, [("old", "image", EAST)], [("old", "image", [0.0, 0.0])], None)
    shown = shown.append_column("image_uri", pa.array(["0.jpg", "1.jpg", "2.jpg", None], pa.string()))
    shown = shown.append_column("title", pa.array(["a", "b", "c", "d"]))
    assert to_embed(shown, "image")["product_id"].to_pylist() == ["0", "2"]
    assert to_embed(shown, "text")["product_id"].to_pylist() == ["0", "2", "3"]
    joined = join(shown, embedded("0", "2", vector=EAST), embedded("0", "2", "3", vector=NORTH), OWN)
    assert joined.refused["reason"].to_pylist() == ["vector_all_zero"]
    assert [row[:3] for row in rows(joined) if row[0] == "2"] == [("2", OWN, "product")]
