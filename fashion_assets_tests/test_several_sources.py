"""Several sources make one release: only the new one's batches are migrated, and one that cannot be read loses nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg

from fashion_assets.outcome import MigrationResult
from fashion_assets.proof.difference import difference
from fashion_assets.release.known_sources import add_source
from fashion_assets.release.status import status
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets_tests.catalogue import write_catalogue
from fashion_assets_tests.conftest import Template


def reported(page: Path) -> tuple[str, dict]:
    """A report: its page and its JSON."""
    return page.read_text("utf-8"), json.loads(page.with_suffix(".json").read_text("utf-8"))


def test_a_source_beside_another_is_migrated_by_itself(
    migrate: Callable[..., MigrationResult],
    settings: Settings,
    database: psycopg.Connection,
    shop: Path,
    live_template: Template,
    tmp_path: Path,
):
    first = releases.live(database)
    assert first is not None
    page, said = reported(live_template.home / "reports" / f"{first.release}.html")
    assert said["duplicates"] is None and "duplicates" not in page
    ids = "SELECT array_agg(product_id ORDER BY product_id) FROM fashion_sota.products WHERE source = 'fashion_demo'"
    before = database.execute(ids).fetchone()
    database.commit()

    two = write_catalogue(tmp_path / "two", 4)  # the same ids as those of the other, and they do not meet
    with database.transaction():
        add_source(database, settings, "outlet", str(two))
    both = migrate()
    assert both.live
    assert (both.products, both.batches, both.batches_run) == (44, 3, 1)
    assert database.execute(ids).fetchone() == before
    # Drawn alike, they have the same pictures and titles: the report says so, with pictures of both.
    page, said = reported(Path(both.report or ""))
    (between,) = said["duplicates"]["between"]
    assert between == {"one": "fashion_demo", "other": "outlet", "pictures": 4, "alike": 4}
    section = page.partition('<section id="duplicates">')[2].partition("</section>")[0]
    assert section.count("<img ") == 16 and "outlet 1" in section and "Likely duplicates" in page
    figures = [
        (known["name"], known["active"], known["listings"], known["products"], known["quarantined"])
        for known in status(database, settings)["sources"]
    ]
    assert figures == [("fashion_demo", True, 40, 40, 0), ("outlet", True, 4, 4, 0)]
    live = releases.live(database)
    assert live is not None
    for name, listings in (("fashion_demo", 40), ("outlet", 4)):
        assert difference(database, settings, name, live).rows == {"equal": listings}
    database.commit()

    two.rename(tmp_path / "unmounted")
    again = migrate()
    assert not again.succeeded and set(again.unread) == {"outlet"} and "two" in again.unread["outlet"]
    assert any("outlet" in line and "remove outlet" in line for line in again.summary())
    assert again.to_dict()["unread_sources"] == again.unread
    assert database.execute("SELECT count(*) FROM fashion_sota.products").fetchone() == (44,)
