"""Why Dagster runs failed, in words: read from the events of a run that has just ended, or from those that are kept.

What belongs here: the way from events to one reason, the first. What does not: the words of errors (`failure`), running
(`runs`), and telling (`cli`, `migration`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from fashion_assets.failure import Reason, kept, name_and_text, told_of_texts, unforeseen_text
from fashion_assets.settings import Settings
from fashion_assets.warehouse.schemas import DAGSTER

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, DagsterEvent
    from dagster._core.events import JobFailureData
    from dagster._core.execution.plan.objects import StepFailureData
    from dagster_shared.error import SerializableErrorInfo

_TELLING = ("ASSET_CHECK_EVALUATION", "STEP_FAILURE", "PIPELINE_FAILURE")
"""Types of events that say why a run failed."""


def failed_checks(evaluations: "Iterable[AssetCheckEvaluation]") -> list[str]:
    """In words, the checks that stopped a run."""
    return [
        f"check {evaluation.check_name} failed ({evaluation.metadata.get('reason', evaluation.metadata['value']).value})"
        for evaluation in evaluations
        if not evaluation.passed and evaluation.blocking
    ]


def reason_of(events: "Sequence[DagsterEvent]", settings: Settings, keep: bool = True) -> Reason:
    """Why a run failed: what stopped it first, be it checks or a step. With `keep`, the traceback of an error nobody foresaw
    is kept in the home."""
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            if failed_checks([event.asset_check_evaluation_data]):
                every = (
                    each.asset_check_evaluation_data
                    for each in events
                    if each.event_type_value == "ASSET_CHECK_EVALUATION"
                )
                return Reason("; ".join(failed_checks(every)))
        elif event.is_step_failure or event.is_failure:
            data = event.step_failure_data if event.is_step_failure else event.job_failure_data
            if reason := _of_failure(event.step_key, data, settings, keep):
                return reason
    said = next((event.message for event in events if event.is_failure and event.message), None)
    return Reason(said or "the run failed; see it in the Dagster UI")


def _of_failure(
    step: str | None, data: "StepFailureData | JobFailureData", settings: Settings, keep: bool
) -> Reason | None:
    errors = list(_with_causes(data.error))
    told = told_of_texts([error.message.strip() for error in errors], settings)
    described = getattr(data, "user_failure_data", None)
    if described is not None and described.description:
        return Reason(described.description, told is not None and told.shared)
    if told is not None or not errors:
        return told
    name, text = name_and_text(errors[-1].message.strip())
    where = kept(errors[0].to_string(), settings) if keep else "its traceback is in the Dagster UI"
    said = unforeseen_text(name, text, where)
    return Reason(f"{step or 'the run itself'}: {said[0].lower()}{said[1:]}")


def _with_causes(error: "SerializableErrorInfo | None") -> "Iterator[SerializableErrorInfo]":
    while error is not None:
        yield error
        error = error.cause


def last_reasons(
    conn: psycopg.Connection, settings: Settings, job: str, batches: Sequence[str]
) -> dict[str, Reason]:
    """By batch, why its last run of a job failed, of those whose last run did. Two queries; imports Dagster only where there
    are such."""
    if conn.execute("SELECT to_regclass(%s)", (f"{DAGSTER}.event_logs",)).fetchone() == (None,):
        return {}
    runs, logs = (sql.Identifier(DAGSTER, table) for table in ("runs", "event_logs"))
    rows = conn.execute(
        sql.SQL(
            """
            SELECT last.partition, log.event
            FROM (
                SELECT DISTINCT ON (partition) partition, run_id, status FROM {runs}
                WHERE pipeline_name = %s AND partition = ANY(%s) ORDER BY partition, id DESC
            ) AS last
            JOIN {logs} AS log USING (run_id)
            WHERE last.status = 'FAILURE' AND log.dagster_event_type = ANY(%s)
            ORDER BY log.id
            """
        ).format(runs=runs, logs=logs),
        (job, list(batches), list(_TELLING)),
    ).fetchall()
    if not rows:
        return {}
    from dagster import EventLogEntry
    from dagster._serdes import deserialize_value

    events: dict[str, list[DagsterEvent]] = {}
    for batch, event in rows:
        of_dagster = deserialize_value(event, EventLogEntry).dagster_event
        if of_dagster is not None:
            events.setdefault(batch, []).append(of_dagster)
    return {batch: reason_of(events[batch], settings, keep=False) for batch in sorted(events)}
