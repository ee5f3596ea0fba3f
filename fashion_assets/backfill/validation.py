"""Whether normalized documents are as they should be: a sample of them, looked at again from their originals.

What belongs here: the three looks at a document, the report, the criteria. What does not: drawing the sample (`documents`).

An empty list is right where the original states nothing, and wrong only where it states something.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fashion_assets.backfill.documents import Documents, Found
from fashion_assets.catalog import compatibility, wardrobe
from fashion_assets.criteria.verdict import Criterion, Finding, Verdict, holds, not_applicable

GOOD, FAIR = 0.95, 0.90
"""Shares of sound documents: from the first on all is well, from the second on somebody should look."""

LOOKS = ("normalization_quality", "semantic_compatibility", "consistency")


@dataclass(frozen=True)
class Validated:
    """One document, looked at."""

    found: Found
    errors: dict[str, list[str]]
    """By look, what is wrong; empty lists where nothing is."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.errors.values())


def validated(documents: Documents, size: int) -> list[Validated]:
    """A sample, looked at."""
    return [look(found) for found in documents.sample(size)]


def look(found: Found) -> Validated:
    """What is wrong with one document's `normalized`."""
    there = found.document.get(wardrobe.NORMALIZED) if isinstance(found.document, dict) else None
    if not isinstance(there, dict):
        return Validated(
            found, {"normalization_quality": ["normalized is no object"], **{name: [] for name in LOOKS[1:]}}
        )
    again = wardrobe.normalize(found.document)
    return Validated(
        found,
        {
            "normalization_quality": _quality(there),
            "semantic_compatibility": _compatibility(found.document, there),
            "consistency": [
                f"{field} is {there.get(field)!r} and should be {again.values[field]!r}, as the original says"
                for field in wardrobe.FIELDS
                if there.get(field) != again.values[field]
            ],
        },
    )


def _quality(there: dict[str, Any]) -> list[str]:
    said = [f"{name} is missing" for name in ("normalized_at", "normalized_version") if not there.get(name)]
    for field in wardrobe.FIELDS:
        values = there.get(field)
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            said.append(f"{field} is no list of texts")
            continue
        said += [
            f"{field} has {each!r}, which is not canonical"
            for each in values
            if not _is_canonical(field, each)
        ]
        said += [
            f"{field} has {each!r} {times} times" for each, times in Counter(values).items() if times > 1
        ]
    return said


def _is_canonical(field: str, value: str) -> bool:
    return wardrobe.normalize({field: [value]}).values[field] == [value]


def _compatibility(document: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """Who asks for what the original says must find it by what is normalized."""
    said = []
    for field in wardrobe.FIELDS:
        values = [each for each in there.get(field) or [] if isinstance(each, str)]
        for value in wardrobe.normalize({field: document.get(field)}).values[field]:
            if not values or not compatibility.compatible(field, value, values):
                said.append(f"who asks for {field} {value!r} does not find it, though it is stated")
    return said


def _finding(look_: str):
    def measure(sample: Sequence[Validated]) -> Finding:
        if not sample:
            return not_applicable("no document is normalized")
        bad = [each for each in sample if each.errors[look_]]
        share = 1 - len(bad) / len(sample)
        return holds(
            share >= GOOD,
            f"{len(sample) - len(bad):,} of {len(sample):,}",
            [f"{each.found.name}: {each.errors[look_][0]}" for each in bad],
        )

    return measure


CRITERIA: list[Criterion[Sequence[Validated]]] = [
    Criterion(
        "normalized_values_are_canonical",
        "E5",
        "The four fields of normalized are lists of canonical values, each once, with time and version",
        f"at least {GOOD:.0%}",
        "wardrobe_backfill",
        _finding("normalization_quality"),
        "Run the backfill again: it mends what is not as it should be.",
    ),
    Criterion(
        "documents_are_found_by_what_they_state",
        "E5",
        "Who asks for a style, occasion, mood or season that a document states is led to it by its normalized values",
        f"at least {GOOD:.0%}",
        "wardrobe_backfill",
        _finding("semantic_compatibility"),
        "Run the backfill again: it mends what is not as it should be.",
    ),
    Criterion(
        "normalized_agrees_with_originals",
        "E5",
        "What is normalized is what the originals say now",
        f"at least {GOOD:.0%}",
        "wardrobe_backfill",
        _finding("consistency"),
        "Somebody changed originals after they were normalized: run the backfill again.",
    ),
]
"""What a sample of normalized documents is held to."""


def verdicts(sample: Sequence[Validated]) -> list[Verdict]:
    """The criteria on a sample."""
    return [criterion.judge(sample) for criterion in CRITERIA]


def exit_code(sample: Sequence[Validated]) -> int:
    """0 where at least 95 % are sound, 1 at 90 %, else 2; where nothing is normalized nothing was shown to be sound."""
    if not sample:
        return 2
    share = sum(each.is_sound for each in sample) / len(sample)
    return 0 if share >= GOOD else 1 if share >= FAIR else 2


def report(target: str, sample: Sequence[Validated]) -> dict[str, Any]:
    """All of it, as it is kept in a file and printed by `--json`."""
    passed = sum(each.is_sound for each in sample)
    share = passed / len(sample) if sample else 0.0
    reasons = Counter(name for each in sample for name in LOOKS if each.errors[name])
    said = Counter(error for each in sample for error in each.errors["normalization_quality"])
    return {
        "report_generated_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "target": target,
        "summary": {
            "total_validated": len(sample),
            "passed_validation": passed,
            "failed_validation": len(sample) - passed,
            "success_rate": round(100 * share, 2),
        },
        "quality_metrics": {
            "average_field_counts": {
                field: round(sum(_length(each, field) for each in sample) / len(sample), 2) if sample else 0
                for field in wardrobe.FIELDS
            },
            "validation_failure_reasons": dict(reasons.most_common()),
            "quality_issues": dict(said.most_common(20)),
        },
        "criteria": [verdict.to_dict() for verdict in verdicts(sample)],
        "recommendations": _advice(share, reasons, bool(sample)),
        "detailed_results": [
            {
                "item_id": each.found.name,
                "item_name": each.found.document.get("name")
                if isinstance(each.found.document, dict)
                else None,
                "validations": {name: not each.errors[name] for name in LOOKS},
                "overall_valid": each.is_sound,
                "errors": [error for name in LOOKS for error in each.errors[name]],
            }
            for each in sample
        ],
    }


def _length(each: Validated, field: str) -> int:
    there = each.found.document.get(wardrobe.NORMALIZED) if isinstance(each.found.document, dict) else None
    values = there.get(field) if isinstance(there, dict) else None
    return len(values) if isinstance(values, list) else 0


def _advice(share: float, reasons: Counter[str], is_any: bool) -> list[str]:
    if not is_any:
        return ["No document is normalized yet: fashion-assets backfill run."]
    said = []
    if share < FAIR:
        said.append(
            "More than one document in ten is not as it should be: look at detailed_results before anything uses them."
        )
    elif share < GOOD:
        said.append("Some documents are not as they should be: look at detailed_results.")
    if reasons["consistency"]:
        said.append("Originals changed since they were normalized: run the backfill again.")
    if reasons["normalization_quality"]:
        said.append("Something else wrote into normalized: find out what, then run the backfill again.")
    return said or ["All is as it should be."]
