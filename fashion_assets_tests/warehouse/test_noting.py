"""The register: who a listing is, which batch it lives in, and that only what changed is looked at again."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pytest

from fashion_assets.catalog.listing import REFERENCE_SCHEMA
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import filling, noting, register
from fashion_assets.warehouse.noting import SyncReport, sync
from fashion_assets.warehouse.sources import activate_source


class ListedSource:
    """A source of (external_id, content) pairs. What it is asked to fingerprint is written down."""

    def __init__(self, *records: tuple[str | None, str], name: str = "shop"):
        self.name = name
        self.records = list(records)
        self.fingerprinted: list[str | None] = []
        self.touched_at = ""  # changes every signature, and no content
        self.fails_after: int | None = None

    def scan(self) -> Iterator[pa.Table]:
        for start in range(0, len(self.records), 1000):
            part = self.records[start : start + 1000]
            yield pa.table(
                [
                    [external_id for external_id, _ in part],
                    [str(start + number) for number in range(len(part))],
                    [f"{content}{self.touched_at}" for _, content in part],
                ],
                schema=REFERENCE_SCHEMA,
            )

    def fingerprints(self, references: pa.Table) -> list[str]:
        if self.fails_after is not None and len(self.fingerprinted) >= self.fails_after:
            raise OSError("the disk was pulled out")
        self.fingerprinted += references["external_id"].to_pylist()
        contents = [self.records[int(place)][1] for place in references["locator"].to_pylist()]
        return [hashlib.sha256(content.encode()).hexdigest()[:32] for content in contents]


@pytest.fixture(autouse=True)
def _sources(database: Connection) -> None:
    for name in ("other", "shop"):
        activate_source(database, name, "listed", "here")
    database.commit()


def figures(report: SyncReport) -> tuple[int, int, int, int, int]:
    return report.listings, report.new, report.changed, report.gone, report.unchanged


def state(connection: Connection) -> list:
    """Everything the register holds, but for times."""
    rows = connection.execute("SELECT * FROM fashion_ops.listings ORDER BY source, listing_key").fetchall()
    return rows + register.batches(connection)


def keys(connection: Connection, batch: str) -> list[str]:
    return register.references(connection, batch)["listing_key"].to_pylist()


def many(count: int) -> list[tuple[str | None, str]]:
    return [(str(number), f"content {number}") for number in range(count)]


def test_new_listings_fill_batches_in_the_order_of_the_source(database: Connection):
    source = ListedSource(("c", "1"), ("a", "2"), ("b", "3"), ("e", "4"), ("d", "5"))
    report = sync(database, source, 2)
    assert figures(report) == (5, 5, 0, 0, 0)
    assert report.batches_touched == ("shop-00001", "shop-00002", "shop-00003")
    assert [keys(database, batch.name) for batch in register.batches(database)] == [
        ["a", "c"],
        ["b", "e"],
        ["d"],
    ]
    assert [batch.listings for batch in register.batches(database)] == [2, 2, 1]


def test_an_unchanged_source_is_not_fingerprinted_and_changes_nothing(database: Connection):
    source = ListedSource(*many(10))
    sync(database, source, 4)
    before = state(database)
    source.fingerprinted.clear()
    report = sync(database, source, 4)
    assert figures(report) == (10, 0, 0, 0, 10)
    assert report.batches_touched == () and source.fingerprinted == []
    assert state(database) == before


def test_only_what_changed_is_fingerprinted_and_only_its_batch_is_touched(database: Connection):
    source = ListedSource(*many(10))
    sync(database, source, 5)
    before = {batch.name: batch.content_version for batch in register.batches(database)}
    source.fingerprinted.clear()
    source.records[7] = ("7", "other content")
    report = sync(database, source, 5)
    assert figures(report) == (10, 0, 1, 0, 9)
    assert report.batches_touched == ("shop-00002",) and source.fingerprinted == ["7"]
    after = {batch.name: batch.content_version for batch in register.batches(database)}
    assert after["shop-00001"] == before["shop-00001"] and after["shop-00002"] != before["shop-00002"]


def test_another_signature_of_the_same_content_touches_no_batch(database: Connection):
    source = ListedSource(*many(6))
    sync(database, source, 3)
    source.touched_at = " yesterday"
    assert figures(sync(database, source, 3)) == (6, 0, 0, 0, 6)
    source.fingerprinted.clear()
    assert figures(sync(database, source, 3)) == (6, 0, 0, 0, 6)
    assert source.fingerprinted == []


def test_a_listing_that_only_moved_is_found_at_its_new_place(database: Connection):
    source = ListedSource(("a", "1"), ("b", "2"))
    sync(database, source, 5)
    source.records.insert(0, ("z", "0"))
    report = sync(database, source, 5)
    assert figures(report) == (3, 1, 0, 0, 2) and report.batches_touched == ("shop-00002",)
    assert register.references(database, "shop-00001")["locator"].to_pylist() == ["1", "2"]


def test_a_listing_that_goes_and_comes_back_is_in_its_old_batch(database: Connection):
    source = ListedSource(("a", "1"), ("b", "2"), ("c", "3"))
    sync(database, source, 2)
    first = register.batches(database)
    removed = source.records.pop(0)
    report = sync(database, source, 2)
    assert figures(report) == (2, 0, 0, 1, 2) and report.batches_touched == ("shop-00001",)
    assert keys(database, "shop-00001") == ["b"]
    source.records.append(removed)
    report = sync(database, source, 2)
    assert figures(report) == (3, 0, 1, 0, 2) and report.batches_touched == ("shop-00001",)
    assert [(b.name, b.content_version) for b in register.batches(database)] == [
        (b.name, b.content_version) for b in first
    ]


def test_new_listings_never_enter_an_old_batch(database: Connection):
    source = ListedSource(*many(3))
    sync(database, source, 10)
    source.records.append(("new", "new"))
    assert sync(database, source, 10).batches_touched == ("shop-00002",)


def test_syncs_that_find_one_new_listing_each_make_no_batches_without_end(database: Connection, monkeypatch):
    monkeypatch.setattr(filling, "SPARE_BATCHES", 2)
    source = ListedSource()
    for number in range(24):
        source.records.append((str(number), "new"))
        assert len(sync(database, source, 3).batches_touched) == 1
    sizes = [batch.listings for batch in register.batches(database)]
    assert sum(sizes) == 24 and len(sizes) == 2 + 2 * (24 // 3) + 1 and max(sizes) <= 3
    # What goes beyond the last one begins others, full ones.
    source.records += [(f"more {number}", "new") for number in range(9)]
    sync(database, source, 3)
    assert [batch.listings for batch in register.batches(database)][len(sizes) :] == [3, 3, 3]


def test_a_large_catalogue_has_large_batches(database: Connection, monkeypatch):
    monkeypatch.setattr(filling, "MOST_BATCHES", 4)
    source = ListedSource(*many(10))
    sync(database, source, 1)
    assert [batch.listings for batch in register.batches(database)] == [3, 3, 3, 1]


def test_repeated_and_missing_ids_have_keys_of_their_own(database: Connection):
    records = [
        ("a", "1"),
        ("a", "2"),
        ("a#1", "3"),
        ("a##1", "4"),
        ("a#1", "5"),
        (None, "x"),
        (None, "x"),
        (None, "y"),
    ]
    unreadable = [key for key in ("x", "y")]
    digests = {text: "#unreadable:" + hashlib.sha256(text.encode()).hexdigest()[:32] for text in unreadable}
    records += [("", "6"), (digests["x"], "7")]
    sync(database, ListedSource(*records), 100)
    found = dict(database.execute("SELECT locator::int, listing_key FROM fashion_ops.listings").fetchall())
    assert [found[number] for number in range(len(records))] == [
        "a",
        "a#1",
        "a##1",
        "a####1",
        "a##1#1",
        digests["x"],
        digests["x"] + "#1",
        digests["y"],
        "",
        "#" + digests["x"],
    ]
    occurrences = (
        register.references(database, "shop-00001").select(["listing_key", "occurrence"]).to_pylist()
    )
    assert {row["listing_key"]: row["occurrence"] for row in occurrences}["a#1"] == 1


def test_ids_no_key_can_be_are_known_by_their_hash_and_ids_no_text_can_hold_are_none(database: Connection):
    longest, longer = "i" * noting.LONGEST_ID, "i" * (noting.LONGEST_ID + 1)
    endless = "".join(chr(0x20000 + number) for number in range(50_000))
    digests = ["#long:" + hashlib.sha256(text.encode()).hexdigest()[:32] for text in (longer, endless)]
    records: list[tuple[str | None, str]] = [
        *((id_, str(number)) for number, id_ in enumerate((longest, longer, endless, endless, digests[0]))),
        ("a\0b", "x"),
    ]
    source = ListedSource(*records)
    assert figures(sync(database, source, 100)) == (6, 6, 0, 0, 0)
    found = dict(database.execute("SELECT locator::int, listing_key FROM fashion_ops.listings").fetchall())
    assert [found[number] for number in range(5)] == [
        longest,
        digests[0],
        digests[1],
        digests[1] + "#1",
        "#" + digests[0],
    ]
    assert found[5].startswith("#unreadable:")
    ids = register.references(database, "shop-00001")
    assert {id_ for id_ in ids["external_id"].to_pylist()} == {longest, longer, endless, digests[0], None}
    assert figures(sync(database, source, 100)) == (6, 0, 0, 0, 6)


def test_sources_have_batches_and_keys_of_their_own(database: Connection):
    sync(database, ListedSource(*many(3)), 2)
    sync(database, ListedSource(*many(2), name="other"), 2)
    assert [batch.name for batch in register.batches(database)] == ["other-00001", "shop-00001", "shop-00002"]
    assert [batch.name for batch in register.batches(database, "other")] == ["other-00001"]


def test_a_failure_in_the_middle_leaves_the_register_as_it_was(
    database: Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(noting, "CHUNK", 3)
    source = ListedSource(*many(4))
    sync(database, source, 2)
    before = state(database)
    source.records = [(external_id, f"{content}!") for external_id, content in many(12)]
    source.fingerprinted.clear()
    source.fails_after = 6
    with pytest.raises(OSError, match="pulled out"):
        sync(database, source, 2)
    assert state(database) == before


def test_progress_counts_what_is_fingerprinted(database: Connection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(noting, "CHUNK", 3)
    seen: list[tuple[int, int]] = []
    sync(database, ListedSource(*many(7)), 2, lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_two_syncs_at_once_take_turns(settings: Settings, database: Connection):
    import threading

    def run() -> None:
        with connect(settings) as own:
            sync(own, ListedSource(*many(50)), 10)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [batch.listings for batch in register.batches(database)] == [10] * 5


def test_a_sync_takes_no_lock_that_anyone_could_take(settings: Settings, database: Connection):
    """An advisory lock is anyone's, a reader's too."""
    held: list[tuple] = []

    class Watched(ListedSource):
        def scan(self) -> Iterator[pa.Table]:
            with connect(settings) as other:
                locks = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'advisory'"
                held.extend(other.execute(locks, (database.info.backend_pid,)).fetchall())
            return super().scan()

    sync(database, Watched(*many(1)), 1)
    assert held == [(0,)]


def test_a_source_must_be_activated_first(database: Connection):
    with pytest.raises(LookupError, match="no source 'stranger'"):
        sync(database, ListedSource(*many(1), name="stranger"), 1)


def test_an_empty_source_is_a_source(database: Connection):
    assert figures(sync(database, ListedSource(), 5)) == (0, 0, 0, 0, 0)
    assert register.references(database, "shop-00001").num_rows == 0
