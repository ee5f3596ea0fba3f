"""Approval given in the UI: a job whose config says who approves, and why.

What belongs here: the Dagster face of `release.approval`. What does not: going live, which is `promote_candidate`.
"""

import dagster as dg
from pydantic import Field

from fashion_assets.defs.failures import telling
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.release import approval
from fashion_assets.reports import report
from fashion_assets.serving.links import report_link
from fashion_assets.warehouse import releases

OBSERVED = dg.AssetKey("migration_report")
"""The asset the approval is noted at: what somebody looked at before."""


class Approval(dg.Config):
    """Who approves which release, and why."""

    by: str = Field(description="Who approves. There are no logins here: your own name.")
    why: str = Field(description="Why it may go live, in a few words; kept with the release.")
    release: str = Field(default="", description="The candidate, by name. Empty: the only one there is.")


@dg.op(out=dg.Out(dg.Nothing), description="Notes with a candidate that somebody approves it, and why.")
@telling
def note_approval(context: dg.OpExecutionContext, config: Approval, warehouse: WarehouseResource) -> None:
    """Fails in words where there is no such candidate, or it was approved already."""
    with warehouse.connect() as conn:
        name = config.release.strip() or releases.only_candidate(conn).release
        approved = approval.approve(conn, name, config.by, config.why)
        conn.commit()
    said = approved.approval or {}
    report.note(warehouse.settings, approved, approval=said)
    page = warehouse.settings.reports / f"{name}.html"
    context.log_event(
        dg.AssetObservation(
            OBSERVED,
            metadata={
                "release": name,
                **{f"approved_{each}": value for each, value in said.items()},
                "report": dg.MetadataValue.url(report_link(warehouse.settings, page)),
            },
        )
    )
    context.log.info(
        f"{name} is approved by {approved.approved_by}: {approved.approved_why}. Launch promote_candidate to put it live"
    )


@dg.job(
    description="Say that a candidate may go live, where approval_required asks for it: who and why is in the config, and kept with the "
    "release. promote_candidate puts it live.",
    executor_def=dg.in_process_executor,
)
def approve_candidate() -> None:
    note_approval()


@dg.definitions
def approving() -> dg.Definitions:
    return dg.Definitions(jobs=[approve_candidate])
