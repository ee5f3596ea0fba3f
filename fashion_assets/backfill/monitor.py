"""How a backfill goes: figures, health, what was written last, what failed, and what to do.

What belongs here: the report. What does not: asking for the figures (`documents`), printing (`cli.backfill`).

The report's names are those that readers of the former system's reports know; the figures are counted, each time, in the documents.
"""

from datetime import UTC, datetime
from typing import Any

from fashion_assets.backfill.documents import Documents, Found
from fashion_assets.backfill.register import Progress
from fashion_assets.catalog import wardrobe

UNHEALTHY, WARNING = 0.05, 0.01
"""Shares of documents that fail, from which on that is the word."""

STALLED_SECONDS = 300
"""Without a batch, after which one that says it runs does not."""

MANY = 1_000
"""Documents that are worth a quiet hour."""

RECENT, ERRORS, SAMPLE = 10, 10, 5


def report(documents: Documents) -> dict[str, Any]:
    """All of it, as it is kept in a file and printed by `--json`."""
    now = datetime.now(UTC)
    counts, progress = documents.counts(), documents.progress()
    at_work, errors = documents.is_at_work(), documents.parked_count()
    pending = max(counts.documents - counts.normalized - errors, 0)
    share = counts.normalized / counts.documents if counts.documents else 1.0
    issues = [*_of_progress(progress, at_work, now), *documents.complaints()]
    rate = errors / counts.documents if counts.documents else 0.0
    if rate > WARNING:
        issues.insert(0, f"{rate:.1%} of the documents failed")
    if counts.documents and share < 0.5:
        issues.append(f"only {share:.1%} of the documents are normalized")
    status = "unhealthy" if rate > UNHEALTHY else "warning" if rate > WARNING else "healthy"
    left = None if progress is None or not at_work or not progress.rate else _left(progress)
    return {
        "report_generated_at": _text(now),
        "target": documents.target,
        "summary": {
            "total_items": counts.documents,
            "normalized_items": counts.normalized,
            "pending_items": pending,
            "error_items": errors,
            "completion_percentage": round(100 * share, 2),
            "health_status": status,
        },
        "health_check": {
            "status": status,
            "issues": issues,
            "stats": {
                "total_items": counts.documents,
                "normalized_items": counts.normalized,
                "earlier_version": counts.earlier_version,
                "normalized_by_others": counts.foreign,
                "metadata_normalized": counts.nested,
                "no_document": counts.no_object,
                "error_items": errors,
                "last_check": _text(now),
            },
            "checked_at": _text(now),
        },
        "progress": None if progress is None else _progress(progress, at_work, left),
        "recent_normalizations": [_recent(each) for each in documents.latest(RECENT)],
        "normalization_errors": [
            {"id": each.name, "name": _name(each.document), "error": each.reason, "error_at": each.at}
            for each in documents.parked(ERRORS)
        ],
        "sample_normalized_items": [_both(each) for each in documents.sample(SAMPLE)],
        "recommendations": _advice(share, errors, status, pending, at_work, progress),
    }


def _of_progress(progress: Progress | None, at_work: bool, now: datetime) -> list[str]:
    if progress is None:
        return []
    if progress.state == "stopped":
        return [f"the {progress.way} stopped: {progress.said}"]
    if progress.state == "running" and not at_work:
        return [f"the {progress.way} was ended in the middle (killed, or its machine went away)"]
    if at_work and progress.seen_at and (now - progress.seen_at).total_seconds() > STALLED_SECONDS:
        return [f"no batch since {_text(progress.seen_at)}"]
    return [f"it waits: {progress.said}"] if at_work and progress.said else []


def _left(progress: Progress) -> float | None:
    return (
        max(progress.total - progress.counts.get("processed", 0), 0) / progress.rate
        if progress.rate
        else None
    )


def _progress(progress: Progress, at_work: bool, left: float | None) -> dict[str, Any]:
    return {
        "way": progress.way,
        "state": progress.state,
        "at_work": at_work,
        "pause_asked": progress.pause_asked,
        "processed": progress.counts.get("processed", 0),
        "total": progress.total,
        "documents_per_second": None if progress.rate is None else round(progress.rate, 1),
        "seconds_left": None if left is None else round(left),
        "batch_size": progress.size,
        "counts": progress.counts,
        "began_at": progress.began_at and _text(progress.began_at),
        "seen_at": progress.seen_at and _text(progress.seen_at),
        "said": progress.said,
    }


def _advice(
    share: float, errors: int, status: str, pending: int, at_work: bool, progress: Progress | None
) -> list[str]:
    said = []
    if status == "unhealthy":
        said.append("Stop and look at the errors: more than one document in twenty fails.")
    if errors:
        said.append("Look at normalization_errors; documents that failed are tried again by each run.")
    if progress is not None and progress.pause_asked:
        said.append("It is paused: go on with fashion-assets backfill resume.")
    elif pending and not at_work:
        said.append(f"{pending:,} documents are not normalized: fashion-assets backfill run.")
    elif share < 0.5:
        said.append("Less than half is done: let it run on.")
    if pending > MANY:
        said.append("More than 1,000 documents remain: let them be done while few people use the database.")
    return said or ["Nothing is left to do." if not pending else "It runs as it should."]


def _recent(found: Found) -> dict[str, Any]:
    there = _there(found.document)
    return {
        "id": found.name,
        "name": _name(found.document),
        "normalized_at": there.get("normalized_at"),
        **{f"{field}_count": len(there.get(field) or []) for field in ("style", "occasion", "mood")},
    }


def _both(found: Found) -> dict[str, Any]:
    there = _there(found.document)
    return {
        "id": found.name,
        "name": _name(found.document),
        **{f"original_{field}": found.document.get(field) for field in wardrobe.FIELDS},
        **{f"normalized_{field}": there.get(field) for field in wardrobe.FIELDS},
        "normalized_at": there.get("normalized_at"),
    }


def _there(document: Any) -> dict[str, Any]:
    there = document.get(wardrobe.NORMALIZED) if isinstance(document, dict) else None
    return there if isinstance(there, dict) else {}


def _name(document: Any) -> str | None:
    name = document.get("name") if isinstance(document, dict) else None
    return None if name is None else str(name)[:200]


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
