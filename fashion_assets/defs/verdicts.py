"""Criteria as asset checks: specs before a run, results in it.

What belongs here: the translation of `criteria` into Dagster's words. What does not: measuring anything.
"""

import warnings

import dagster as dg

from fashion_assets.criteria.requirements import in_words
from fashion_assets.criteria.verdict import Criterion, Verdict
from fashion_assets.settings import Settings


def check_specs(
    criteria: list[Criterion], *, blocking: bool, partitions_def: dg.PartitionsDefinition | None = None
) -> list[dg.AssetCheckSpec]:
    """One check for each criterion, on the criterion's asset; with the thresholds in force when the code location is loaded."""
    settings = Settings()
    with warnings.catch_warnings():
        # Partitioned checks are in preview. They are what keeps one batch's verdict from standing for another's; the
        # version of Dagster is pinned, and a test holds it to what is relied on here.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name=criterion.name,
                asset=criterion.asset,
                description=f"{criterion.claim}: {criterion.must_be_in(settings)}. Requirement {in_words(criterion.requirement)}",
                blocking=blocking,
                partitions_def=partitions_def,
                metadata={
                    "threshold": criterion.must_be_in(settings),
                    "remedy": criterion.remedy,
                    "requirement": in_words(criterion.requirement),
                },
            )
            for criterion in criteria
        ]


def check_result(verdict: Verdict, asset: str, **more: str) -> dg.AssetCheckResult:
    """A verdict as a check's result; offenders, what to do and the reason for not judging stand in its metadata, and `more`."""
    # A number stays one, so that the UI draws it over time.
    number = isinstance(verdict.value, int | float) and not isinstance(verdict.value, bool)
    metadata: dict[str, dg.MetadataValue] = {
        "outcome": dg.MetadataValue.text(verdict.outcome),
        "value": dg.MetadataValue.float(float(verdict.value))
        if number
        else dg.MetadataValue.text(str(verdict.value)),
        "threshold": dg.MetadataValue.text(verdict.must_be),
        "claim": dg.MetadataValue.text(verdict.claim),
        "requirement": dg.MetadataValue.text(in_words(verdict.requirement)),
        **{name: dg.MetadataValue.text(value) for name, value in more.items()},
    }
    if verdict.live is not None:
        metadata["live_release"] = dg.MetadataValue.text(str(verdict.live))
    if verdict.reason:
        metadata["reason"] = dg.MetadataValue.text(verdict.reason)
    if verdict.remedy:
        metadata["remedy"] = dg.MetadataValue.text(verdict.remedy)
    if verdict.offenders:
        metadata["offenders"] = dg.MetadataValue.md(
            "\n".join(f"- {offender}" for offender in verdict.offenders)
        )
    return dg.AssetCheckResult(
        check_name=verdict.name,
        asset_key=asset,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{verdict.outcome}: {verdict.reason or verdict.value}",
        metadata=metadata,
    )
