"""What a catalogue costs follows from its pieces, and says where one machine ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fashion_assets.benchmarks.cost import (
    DATABASES,
    OF_SERVER,
    Asked,
    CostError,
    Rates,
    of_floor,
    reckon,
    rows,
)
from fashion_assets.cli.app import app
from fashion_assets.places import CHECKOUT
from fashion_assets.release.indexes import graph_bytes

RATES = Rates()


def test_ten_times_the_listings_take_ten_times_but_for_the_index():
    one, ten = (reckon(Asked(n), RATES) for n in (10**7, 10**8))
    for name in ("encoding_hours", "batches_hours", "index_bytes", "database_bytes", "files_bytes"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name), rel=0.001), name
    # As many workers build: more processors than they are change nothing.
    assert ten.index_hours > 10 * one.index_hours
    total = one.encoding_hours + one.batches_hours + one.load_hours + one.index_hours
    assert one.first_hours == pytest.approx(total)


def test_the_measured_catalogue_is_reckoned_as_it_was_measured():
    measured = reckon(Asked(39_976), RATES)
    cpus = 16  # of the machine batches are reckoned on; two cores were measured
    assert measured.encoding_hours * 3600 * cpus / 2 == pytest.approx(39_976 / 1_409)
    # products, its vector index and the store, in bytes (docs/what-it-costs.md)
    assert measured.index_bytes == pytest.approx(54.0e6, rel=0.01)
    assert measured.database_bytes == pytest.approx(2 * 296.0e6 + 233.4e6, rel=0.01)
    assert measured.files_bytes == pytest.approx(264 * 2**20, rel=0.01)


def test_the_machine_holds_what_searches_read_and_a_build_needs():
    for n in (10**6, 10**7, 10**8):
        cost = reckon(Asked(n), RATES)
        needed = cost.hot_bytes + cost.build_bytes + OF_SERVER
        assert cost.database is not None and cost.database.memory * 2**30 >= needed
        smaller = [each for each in DATABASES if each.memory < cost.database.memory]
        assert all(each.memory * 2**30 < needed for each in smaller)
    none = reckon(Asked(10**9), RATES)
    assert none.database is None and none.database_month is None
    assert [row for row in rows([none]) if row[0] == "the database's machine"] == [
        ("the database's machine", "none")
    ]


def test_a_build_is_reckoned_with_the_memory_it_is_given():
    assert reckon(Asked(10**6), RATES).build_bytes == pytest.approx(graph_bytes(10**6, 512), rel=0.01)


def test_more_machines_shorten_the_batches_alone_and_cost_the_same_for_them():
    one, four = (reckon(Asked(10**7, machines=machines), RATES) for machines in (1, 4))
    assert four.encoding_hours == pytest.approx(one.encoding_hours / 4)
    assert (four.load_hours, four.index_hours) == (one.load_hours, one.index_hours)
    assert four.first_dollars < one.first_dollars  # the database waits for a shorter time


def test_a_machines_own_floor_is_reckoned_with():
    figures = {
        "decode_s": 1.0,
        "model_s": 9.0,
        "copy_s": 1.0,
        "index_s": 3.0,
        "floor_s": 14.0,
        "pictures": 1_000,
    }
    own = of_floor(figures, RATES)
    assert (own.pictures, own.index, own.index_of) == (100.0, 3.0, 1_000)
    with pytest.raises(CostError, match="bench floor --json"):
        of_floor({"pictures": 3}, RATES)


def test_the_page_shows_what_the_command_says():
    assert CHECKOUT is not None
    page = (CHECKOUT / "docs/what-it-costs.md").read_text("utf-8")
    for row in rows([reckon(Asked(n), RATES) for n in (10**6, 10**7, 10**8)]):
        assert f"| {' | '.join(row)} |" in page


@pytest.mark.parametrize("asked", [Asked(0), Asked(1, picture_bytes=-1), Asked(1, machines=0)])
def test_numbers_that_make_no_sense_are_refused(asked: Asked):
    with pytest.raises(CostError, match="1 or more"):
        reckon(asked, RATES)


def test_the_command_says_it_for_people_and_programs(tmp_path: Path):
    def said(*options: str) -> str:
        result = CliRunner().invoke(app, ["bench", "cost", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "100,000,000" in said() and "r7i." in said()
    floor = tmp_path / "floor.json"
    floor.write_text(json.dumps({"decode_s": 1, "model_s": 9, "index_s": 3.0, "pictures": 1_000}))
    (cost,) = json.loads(said("--listings", "1000000", "--floor", str(floor), "--cores", "4", "--json"))
    assert cost["encoding_hours"] == pytest.approx(10**6 / 100 * 4 / 16 / 3600)
