"""The register of sources: several in use at a time, and what is kept with each."""

import pytest

from fashion_assets.postgres.connections import Connection
from fashion_assets.warehouse.sources import (
    SourceRecord,
    UnknownSource,
    activate_source,
    active_sources,
    forget,
    keep_found,
    set_active,
    source,
    sources,
)


def names(records: list[SourceRecord]) -> list[str]:
    return [known.name for known in records]


def test_one_more_source_switches_none_off(database: Connection):
    for name in ("shop", "b_2", "b"):
        activate_source(database, name, "folder", f"/{name}")
    assert names(active_sources(database)) == ["b", "b_2", "shop"]
    set_active(database, "b", False)
    assert names(active_sources(database)) == ["b_2", "shop"] and names(sources(database)) == [
        "b",
        "b_2",
        "shop",
    ]
    assert source(database, "b") == SourceRecord("b", "folder", "/b", {}, active=False)
    activate_source(database, "b", "folder", "/moved")
    assert source(database, "b") == SourceRecord("b", "folder", "/moved", {})
    forget(database, "b_2")
    assert names(sources(database)) == ["b", "shop"]


def test_a_name_no_source_has_is_told_beside_those_that_are(database: Connection):
    for ask in (
        lambda: source(database, "shp"),
        lambda: forget(database, "shp"),
        lambda: set_active(database, "shp", True),
    ):
        with pytest.raises(UnknownSource, match=r"no source .shp.\. Registered are: none"):
            ask()
    activate_source(database, "shop", "folder", "/a")
    with pytest.raises(UnknownSource, match="Registered are: shop"):
        source(database, "shp")


def test_what_was_said_and_what_was_found_stay_as_long_as_they_are_true(database: Connection):
    def options() -> dict:
        return source(database, "shop").options

    activate_source(database, "shop", "catalogue", "/a", {"mapping": "shopify"})
    keep_found(database, "shop", {"price": {"decimal": ","}})
    assert options() == {"mapping": "shopify", "found": {"price": {"decimal": ","}}}
    assert source(database, "shop").said == {"mapping": "shopify"}
    # Named again: nothing is said anew.
    activate_source(database, "shop", "catalogue", "/a")
    assert options() == {"mapping": "shopify", "found": {"price": {"decimal": ","}}}
    keep_found(database, "shop", {"price": {"decimal": "."}, "lines": 3})
    assert options()["found"] == {"price": {"decimal": "."}, "lines": 3}
    # Elsewhere it may be written in another way, by the same system.
    activate_source(database, "shop", "catalogue", "/b")
    assert options() == {"mapping": "shopify"}
    keep_found(database, "shop", {"lines": 3})
    keep_found(database, "shop", {})
    assert options() == {"mapping": "shopify"}
    activate_source(database, "shop", "catalogue", "/b", {"mapping": "woocommerce"})
    assert options() == {"mapping": "woocommerce"}
    activate_source(database, "shop", "sample", "40")
    assert options() == {}
