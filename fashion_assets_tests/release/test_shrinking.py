"""A delivery that shrank waits for a person, whoever asked for the release: the command, the sensor, a job."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.outcome import MigrationResult
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.worker import repository
from fashion_assets_tests.catalogue import line, write_lines
from fashion_assets_tests.defs.test_automation import evaluate, nightly, skipped


def live(conn: psycopg.Connection) -> Release:
    found = releases.live(conn)
    conn.commit()
    assert found is not None
    return found


def accepted(release: Release) -> list[str]:
    return [each["name"] for each in release.criteria or [] if each["outcome"] == "accepted"]


def test_an_export_that_was_cut_off_waits_until_a_person_says_that_it_is_meant(
    migrate: Callable[..., MigrationResult],
    database: psycopg.Connection,
    instance: dg.DagsterInstance,
    shop: Path,
):
    catalogue, first = shop, live(database)
    write_lines(catalogue, [line(number) for number in range(1, 7)])
    held = migrate(catalogue)
    assert not held.succeeded and not held.live and held.release != first.release
    said = held.refusal or ""
    assert "34 of 40 listings are gone (source fashion_demo)" in said
    assert f"fashion-assets promote {held.release} --allow-shrink" in said and "stands ready" in said
    assert live(database).release == first.release

    # Nobody builds it again: not the command, not the sensor, not the night.
    again = migrate(catalogue)
    assert not again.succeeded and again.release == held.release and again.batches_run == 0
    assert "34 of 40 listings" in (again.refusal or "")
    for told in (skipped(evaluate(instance)), str(nightly())):
        assert f"{held.release} stands ready and waits for a person" in told
        assert "34 of 40 listings are gone" in told and "promote_smaller_candidate" in told
    number = "SELECT count(*) FROM fashion_ops.releases"
    assert database.execute(number).fetchone() == (2,)
    database.commit()

    # It was meant: a job says so afterwards, an option of the command at once.
    job = repository().resolve_job_def("promote_smaller_candidate")
    assert job.execute_in_process(instance=instance, raise_on_error=False).success
    assert live(database).release == held.release and accepted(live(database)) == [NOTHING_MUCH_IS_LOST]
    write_lines(catalogue, [line(1), line(2), line(3)])
    told = CliRunner().invoke(app, ["run", "--allow-shrink"], env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert "accepted by a person" in told.stdout and "3 of 6 products are gone" in told.stdout
    assert live(database).products == 3 and accepted(live(database)) == [NOTHING_MUCH_IS_LOST]
