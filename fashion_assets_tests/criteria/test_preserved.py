"""The criterion on vectors that came: digests of what was read and of what a release has."""

import numpy as np
import pyarrow as pa
import pytest

from fashion_assets.catalog.listing import LISTING_SCHEMA, VECTORS, product_id
from fashion_assets.criteria.preserved import digest_of, finding
from fashion_assets.criteria.subject import Candidate
from fashion_assets.warehouse.parquet import ParquetStore


def bring(candidate: Candidate, listing: str, *vectors: tuple[str, str, np.ndarray]) -> None:
    """Have the listing that was read come with these vectors: space, kind, numbers."""
    store = ParquetStore(candidate.settings.assets_url)
    for batch in store.batches("raw_listings"):
        table = store.read("raw_listings", batch)
        came = [
            [{"space": space, "kind": kind, "vector": vector} for space, kind, vector in vectors]
            if name == listing
            else None
            for name in table["external_id"].to_pylist()
        ]
        place = LISTING_SCHEMA.get_field_index("vectors")
        store.write(
            table.set_column(place, table.schema.field(place), pa.array(came, VECTORS)), "raw_listings", batch
        )


def kept(candidate: Candidate, listing: str) -> tuple[str, str, np.ndarray]:
    """A vector of the listing's product in the release."""
    (row,) = candidate.rows(
        "SELECT embedding_space, kind, embedding FROM {embeddings} WHERE product_id = %s LIMIT 1",
        (product_id("fashion_demo", listing),),
    )
    return row[0], row[1], row[2].to_numpy().astype(np.float32)


def test_a_vector_of_the_releases_own_space_that_came_is_found_there(candidate: Candidate):
    bring(candidate, "7", own := kept(candidate, "7"))
    found = finding(candidate.conn, candidate.release, candidate.settings)
    assert (found.outcome, found.offenders) == ("pass", [])
    assert found.value == digest_of(product_id("fashion_demo", "7"), *own)
    assert "39 listings of the same sources came without one" in found.reason


@pytest.mark.parametrize("numbers", [slice(0, 1), slice(-1, None)])
def test_one_bit_is_another_vector(candidate: Candidate, numbers: slice):
    space, kind, vector = kept(candidate, "7")
    vector[numbers] = np.nextafter(vector[numbers], np.float32(2))
    bring(candidate, "7", (space, kind, vector))
    found = finding(candidate.conn, candidate.release, candidate.settings)
    assert (found.outcome, found.offenders) == ("fail", [f"7: its {kind} vector is another one"])


def test_a_vector_that_is_not_there_is_lost_and_one_that_can_be_none_is_refused(candidate: Candidate):
    other = np.ones(8, np.float32)
    bring(candidate, "7", ("old", "image", other), ("old", "text", np.zeros(8, np.float32)))
    found = finding(candidate.conn, candidate.release, candidate.settings)
    assert (found.outcome, found.offenders) == ("fail", ["7: its image vector is lost"])
    assert "1 that came can be none" in found.reason
