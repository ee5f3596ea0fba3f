"""Several sources of one installation: added, listed, left out, and one that cannot be read."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.release.known_sources import add_source
from fashion_assets.release.scan import Scanned, require_listings, scan_active_sources, use_source
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError
from fashion_assets.warehouse.noting import SyncReport
from fashion_assets.warehouse.register import batches
from fashion_assets.warehouse.sources import SourceRecord, activate_source, active_sources, source, sources
from fashion_assets_tests.catalogue import line, replace_line, write_catalogue


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


def answer(*words: object) -> dict:
    code, said = call(*words, "--json")
    assert code == 0, said
    return json.loads(said)


def test_sources_are_added_listed_left_out_and_removed(
    settings: Settings, database: psycopg.Connection, tmp_path: Path
):
    one, two = (write_catalogue(tmp_path / name, size) for name, size in (("one", 3), ("two", 4)))
    code, said = call("sources", "list")
    assert code == 1 and "there is no source yet" in said
    added = answer("sources", "add", "shop", one)
    assert (added["name"], added["location"], added["listings_seen"]) == ("shop", str(one), 3)
    code, said = call("sources", "add", "eu-shop-de", two)
    assert (
        code == 0
        and f"eu-shop-de is added: folder {two}, read by the mapping fashion-product-images; 4 listings"
        in said
        and "fashion-assets run" in said
    )
    (tmp_path / "none").mkdir()
    for words, why in (
        (("shop", two), "There is a source shop already"),
        (("third", one), "is the source shop already"),
        (("third", tmp_path / "nowhere"), "nowhere"),
        (("third", tmp_path / "none"), "styles.csv"),
        (("third", two, "--moved"), "no source third, which could have moved"),
        (("shop-00001", tmp_path), "batches are called so"),
        (("third", "postgresql://a:s3cret@db/x"), "environment variable"),
    ):
        code, said = call("sources", "add", *words)
        assert code == 1 and why in said and "s3cret" not in said, said
    assert [known.name for known in sources(database)] == ["eu-shop-de", "shop"]
    database.commit()

    assert answer("sources", "deactivate", "shop")["active"] is False
    assert call("sources", "deactivate", "shop") == (0, "shop is not in use already")
    listed = answer("sources", "list")["sources"]
    keys = {"name", "location", "mapping", "active", "listings", "products", "quarantined"}
    assert all(keys <= set(known) for known in listed)
    assert [(known["name"], known["active"]) for known in listed] == [("eu-shop-de", True), ("shop", False)]
    assert answer("sources", "activate", "shop")["active"] is True
    moved = one.rename(tmp_path / "elsewhere")
    assert "(not there)" in call("sources", "list")[1]
    assert answer("sources", "add", "shop", moved, "--moved")["location"] == str(moved)
    code, said = call("sources", "remove", "shop")
    assert code == 2 and "add --yes" in said
    assert answer("sources", "remove", "shop")["removed"]
    code, said = call("sources", "remove", "shop")
    assert code == 1 and "no source 'shop'" in said
    assert [known.name for known in active_sources(database)] == ["eu-shop-de"]


def test_a_source_that_comes_back_has_its_batches(
    settings: Settings, database: psycopg.Connection, tmp_path: Path
):
    folder = write_catalogue(tmp_path / "one", 3)
    add_source(database, settings, "shop", str(folder))
    scan_active_sources(database, settings)
    database.commit()
    before = batches(database)
    assert call("sources", "remove", "shop", "--yes")[0] == 0
    assert add_source(database, settings, "shop", str(folder)).known == 3
    (scan,) = scan_active_sources(database, settings)
    assert scan.report is not None and (scan.report.new, scan.report.unchanged) == (0, 3)
    assert batches(database) == before


def names(database: psycopg.Connection) -> list[str]:
    return [known.name for known in active_sources(database)]


def test_a_sample_gives_way_to_a_catalogue_unless_it_was_added(database: psycopg.Connection):
    use_source(database, "sample", "sample", "40")
    use_source(database, "shop", "folder", "/shop")
    assert names(database) == ["shop"]
    use_source(database, "other", "folder", "/other")
    assert names(database) == ["other", "shop"]
    activate_source(database, "sample", "sample", "40")
    use_source(database, "shop", "folder", "/moved")
    assert names(database) == ["other", "sample", "shop"]
    use_source(database, "sample", "sample", "50")
    assert names(database) == ["sample"]


def test_a_source_that_cannot_be_read_holds_no_other_up_and_loses_nothing(
    settings: Settings, database: psycopg.Connection, tmp_path: Path
):
    one, two = (write_catalogue(tmp_path / name, 3) for name in ("one", "two"))
    for name, folder in (("a", one), ("b", two)):
        activate_source(database, name, "folder", str(folder))
    assert [scan.unread for scan in scan_active_sources(database, settings)] == ["", ""]
    one.rename(tmp_path / "unmounted")
    replace_line(two, 1, line(1, "Nike Women Skirt"))
    before = batches(database, "a")
    first, second = scan_active_sources(database, settings)
    assert (
        first.report is None and str(one) in first.unread and str(first).startswith("source a cannot be read")
    )
    assert second.report is not None and second.report.changed == 1
    assert batches(database, "a") == before and before[0].listings == 3
    # The one that was asked for, or the last that could be read: then nothing is done.
    with pytest.raises(SourceError, match="one"):
        scan_active_sources(database, settings, needed={"a"})
    two.rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="one"):
        scan_active_sources(database, settings)


def test_what_a_scan_finds_out_is_kept_with_its_source(
    settings: Settings, database: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from fashion_assets.release import roots

    folder = write_catalogue(tmp_path / "one", 3)
    activate_source(database, "a", "folder", str(folder))
    opened = roots.opened(source(database, "a"), settings)
    monkeypatch.setattr(type(opened), "found", property(lambda self: {"price": {"decimal": ","}}))
    (scan,) = scan_active_sources(database, settings)
    assert isinstance(scan, Scanned)
    assert source(database, "a").options == {"found": {"price": {"decimal": ","}}}


def test_a_source_that_never_held_a_listing_is_told_before_anything_is_built():
    record = SourceRecord("shop", "folder", "/data/shop", {})
    empty, gone = SyncReport(0, 0, 0, 0, 0, ()), SyncReport(0, 0, 0, 5, 0, ())
    people = SyncReport(0, 0, 0, 0, 0, (), tables={"users": SyncReport(2, 2, 0, 0, 0, ())})
    with pytest.raises(SourceError, match=r"/data/shop holds no listings"):
        require_listings([Scanned(record, empty)], "shop")
    for scans in ([Scanned(record, gone)], [Scanned(record, people)], [Scanned(record, None, "gone")]):
        require_listings(scans, "shop")
    require_listings([Scanned(record, empty)], "another")
