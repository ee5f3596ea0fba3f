"""A candidate is approved in the UI: by a job that says who and why, and fails in words."""

import json

import dagster as dg
import pytest

from fashion_assets.criteria.candidate import judge
from fashion_assets.criteria.subject import Candidate
from fashion_assets.release.status import report_page
from fashion_assets.reports import report
from fashion_assets.warehouse import releases
from fashion_assets.worker import repository


def launch(
    instance: dg.DagsterInstance, job: str, config: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    given = {} if config is None else {"ops": {"note_approval": {"config": config}}}
    return (
        repository()
        .resolve_job_def(job)
        .execute_in_process(instance=instance, raise_on_error=False, run_config=given)
    )


def failure(run: dg.ExecuteInProcessResult) -> str:
    (failed,) = run.filter_events(lambda event: event.is_step_failure)
    return failed.step_failure_data.user_failure_data.description  # type: ignore[union-attr, return-value]


def test_a_candidate_is_approved_from_the_launchpad_and_may_go_live_then(
    candidate: Candidate, candidate_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FASHION_ASSETS_APPROVAL_REQUIRED", "true")
    conn, settings, name = candidate.conn, candidate.settings, candidate.release.release
    report.write(conn, settings, candidate.release, judge(candidate))
    conn.commit()
    refused = launch(candidate_instance, "promote_candidate")
    assert not refused.success and f"{name} is not approved" in failure(refused)

    # The launchpad says what is missing before anything runs.
    with pytest.raises(dg.DagsterInvalidConfigError, match='Missing required config entry "why"'):
        launch(candidate_instance, "approve_candidate", {"by": "ann"})
    for config, said in (
        ({"by": "ann", "why": " "}, "an approval says who approves, and why"),
        ({"by": "ann", "why": "so", "release": "fashion_sota_r0099"}, "fashion_sota_r0099"),
    ):
        run = launch(candidate_instance, "approve_candidate", config)
        assert not run.success and said in failure(run)
    conn.rollback()
    assert releases.get(conn, name).approval is None

    assert launch(candidate_instance, "approve_candidate", {"by": "ann", "why": "the <autumn> range"}).success
    conn.rollback()
    kept = releases.get(conn, name).approval
    assert kept is not None and (kept["by"], kept["why"]) == ("ann", "the <autumn> range")
    page = report_page(settings, candidate.release)
    assert json.loads(page.with_suffix(".json").read_text())["approval"] == kept
    assert "the &lt;autumn&gt; range" in page.read_text()
    # It stands at the report's asset, too.
    (seen,) = candidate_instance.fetch_observations(dg.AssetKey("migration_report"), limit=1).records
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["approved_by"].value == "ann"
    again = launch(candidate_instance, "approve_candidate", {"by": "bob", "why": "again", "release": name})
    assert f"{name} was approved already, by ann: the <autumn> range" in failure(again)

    assert launch(candidate_instance, "promote_candidate").success
    conn.rollback()
    live = releases.live(conn)
    assert live is not None and live.approval == kept
    # Nothing is left to approve.
    assert "candidate" in failure(launch(candidate_instance, "approve_candidate", {"by": "ann", "why": "x"}))
