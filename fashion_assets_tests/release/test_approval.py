"""Where a setting asks for it, a candidate goes live only once somebody has said that it may."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.defs.automation import _waiting_for
from fashion_assets.defs.release.assets import _waits_for_a_person
from fashion_assets.release.approval import ApprovalRequired, approve
from fashion_assets.release.plan import plan
from fashion_assets.release.status import report_page
from fashion_assets.release.swap import promote
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import ReleaseError
from fashion_assets_tests.conftest import run_migration

APPROVE = "fashion-assets approve fashion_sota_r0001 --why TEXT"


@pytest.fixture
def asking(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """A candidate of an installation that wants approval."""
    monkeypatch.setenv("FASHION_ASSETS_APPROVAL_REQUIRED", "true")
    monkeypatch.setenv("FASHION_ASSETS_BATCH_SIZE", "20")
    return Candidate(candidate.conn, candidate.release, Settings())  # type: ignore[call-arg]


def test_nothing_goes_live_that_nobody_approved(asking: Candidate):
    conn, name = asking.conn, asking.release.release
    with pytest.raises(ApprovalRequired, match=APPROVE):
        promote(conn, asking.settings, asking.release)
    assert releases.live(conn) is None

    # Nobody else puts it live either: not a run that finds it, nor the one that built it, nor the sensor.
    assert _waits_for_a_person(replace(asking.release, run_id="r"), "r", True, asking.settings)
    waiting = _waiting_for(plan(conn, asking.settings), asking.settings)
    assert waiting.endswith(f"launch approve_candidate (or {APPROVE}), then promote_candidate")
    conn.commit()
    result = run_migration()
    assert (result.live, result.lacks_approval, result.succeeded) == (False, True, True)
    assert any(f"approve it: {APPROVE}; then put it live" in said for said in result.summary())
    invoke = CliRunner().invoke
    told = invoke(app, ["status"])
    assert f"waits     {name} for approval: fashion-assets approve" in told.stdout

    page = report_page(asking.settings, asking.release)
    page.parent.mkdir(parents=True, exist_ok=True)
    assert invoke(app, ["report", name]).exit_code == 0
    assert invoke(app, ["approve", name]).exit_code == 2  # it says why
    assert invoke(app, ["approve", name, "--why", " "]).exit_code == 1
    done = invoke(app, ["approve", name, "--by", "ann", "--why", "the <autumn> range"])
    assert done.exit_code == 0 and f"fashion-assets promote {name}" in done.stdout, done.output
    said = json.loads(page.with_suffix(".json").read_text())["approval"]
    assert (said["by"], said["why"]) == ("ann", "the <autumn> range")
    assert "the &lt;autumn&gt; range" in page.read_text()
    assert "by ann" in invoke(app, ["status"]).stdout
    conn.commit()
    with pytest.raises(ReleaseError, match="approved already, by ann"):
        approve(conn, name, "bob", "again")

    promote(conn, asking.settings, asking.release)
    live = releases.live(conn)
    assert live is not None and live.approval == said
    with pytest.raises(ReleaseError, match="what is approved is a candidate"):
        approve(conn, name, "bob", "too late")


def test_where_nobody_asks_for_it_no_approval_is_needed(candidate: Candidate):
    assert not _waits_for_a_person(replace(candidate.release, run_id="r"), "r", True, candidate.settings)
    promote(candidate.conn, candidate.settings, candidate.release)
    assert releases.get(candidate.conn, candidate.release.release).approval is None
