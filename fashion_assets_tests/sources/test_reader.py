"""A reader that another package brings: the one of examples/shop-reader, which docs/how-to/reader.md is about."""

import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from fashion_assets.outcome import MigrationResult
from fashion_assets.places import CHECKOUT
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.warehouse.sources import active_sources
from fashion_assets_tests.catalogue import write_catalogue

EXAMPLE = (CHECKOUT or Path()) / "examples" / "shop-reader"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip would write of the example into a folder of packages: its entry points."""
    packages = tmp_path / "packages"
    about = packages / "shop_reader-1.dist-info"
    about.mkdir(parents=True)
    for module in EXAMPLE.glob("*.py"):
        shutil.copy(module, packages)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-reader\nVersion: 1\n")
    ((group, points),) = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"][
        "entry-points"
    ].items()
    offered = "".join(f"{kind} = {where}\n" for kind, where in points.items())
    (about / "entry_points.txt").write_text(f"[{group}]\n{offered}")
    monkeypatch.syspath_prepend(packages)
    return about


@pytest.fixture
def items(installed: Path, tmp_path: Path) -> Path:
    """A shop system of thirty items."""
    make_shop = import_module("make_shop")
    assert make_shop.make(write_catalogue(tmp_path / "catalogue", 30), tmp_path / "shop") == 30
    for name in ("make_shop", "shop_reader"):
        del sys.modules[name]
    return tmp_path / "shop"


def test_a_catalogue_is_read_by_a_reader_of_ones_own(
    items: Path, settings: Settings, migrate: Callable[..., MigrationResult]
):
    result = migrate(source=f"shopdb:{items}")
    assert result.live and (result.listings, result.products, result.quarantined) == (30, 30, 0)
    with connect(settings) as conn:
        (active,) = active_sources(conn)
    assert (active.name, active.kind, active.location) == ("fashion_demo", "shopdb", str(items))

    with sqlite3.connect(items / "shop.sqlite") as database:
        database.execute("UPDATE items SET photo = '../../secret.jpg', updated = 'now' WHERE sku = '3'")
        database.execute("DELETE FROM items WHERE sku = '4'")
    database.close()
    again = migrate()
    assert again.lines[0].endswith("0 new, 1 changed, 1 gone, 28 unchanged")
    assert (again.listings, again.products, again.quarantined) == (29, 28, 1)


def test_a_kind_nobody_reads_and_a_reader_that_cannot_be_loaded_are_told(
    installed: Path, settings: Settings, migrate: Callable[..., MigrationResult]
):
    with pytest.raises(
        SourceError, match=r"of kind 'shopbd', only for catalogue, folder, sample, shopdb\. A package"
    ):
        migrate(source="shopbd:/data/shop")
    with connect(settings) as conn:
        assert active_sources(conn) == []
    with pytest.raises(SourceError, match="names no source"):
        migrate(source="shopdb")
    (installed / "entry_points.txt").write_text("[fashion_assets.sources]\nbroken = shop_reader:Nobody\n")
    with pytest.raises(SourceError, match=r"'broken' \(shop_reader:Nobody\) cannot be loaded"):
        open_source("broken", "shop", "/data/shop", settings)
