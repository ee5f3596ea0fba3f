from pathlib import Path

from fashion_assets.batches.stages import batch_version
from fashion_assets.catalog.profile import Profile
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets.settings import Settings
from fashion_assets.sources.sample import Sample
from fashion_assets.warehouse.register import Batch


class Shop(Sample):
    """A source of whatever profile and version."""

    profile = Profile()
    version = ""


def test_a_batch_is_stale_once_its_source_is_held_to_something_else_or_read_otherwise():
    batch = Batch("shop-00000", "shop", number=0, listings=1, content_version="content")
    space = embedding_space(None)
    shop = Shop(Path("nowhere"), size=10)

    def version() -> str:
        return batch_version(batch, Settings(), space, shop)

    versions = [version()]
    shop.profile = Profile(picture="optional")
    versions.append(version())
    shop.version = "another mapping"
    versions.append(version())
    assert len(set(versions)) == 3
    shop.profile, shop.version = Profile(), ""
    assert version() == versions[0]
