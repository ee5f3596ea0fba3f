"""Files that are left of a backfill: what it did, how it stands, what a sample showed.

What belongs here: their names, their places, and the figures of a run in the former system's words. What does not: how the other reports
are made (`monitor`, `validation`).
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fashion_assets.backfill.register import Progress
from fashion_assets.backfill.run import Preview
from fashion_assets.characters import to_json

Kind = Literal["backfill_stats", "backfill_report", "validation_report", "rollback_stats"]

LOG = "backfill_normalize.log"
"""One line for each time it is told how far it is."""


def save(folder: Path, kind: Kind, report: dict[str, Any]) -> Path:
    """Write a report as `KIND_YYYYMMDD_HHMMSS.json` (UTC); never over another one. Returns where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, number = f"{kind}_{datetime.now(UTC):%Y%m%d_%H%M%S}", 1
    while True:
        path = folder / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            number += 1
            continue
        with open(file, "w", encoding="utf-8") as out:
            out.write(to_json(report, indent=2))
        return path


def stats(progress: Progress, parked: int, environment: str, began: datetime) -> dict[str, Any]:
    """What a run or a rollback did, all processes that worked on it together."""
    counts = progress.counts
    processed, updated = counts.get("processed", 0), counts.get("updated", 0)
    name = "total_updated" if progress.way == "run" else "total_rolled_back"
    return {
        "way": progress.way,
        "environment": environment,
        "target": progress.target,
        "state": progress.state,
        "said": progress.said,
        "dry_run": False,
        "normalized_version": progress.version,
        "total_processed": processed,
        name: updated,
        "total_skipped": counts.get("unchanged", 0) + counts.get("without_document", 0),
        "total_errors": parked,
        "success_rate": round(100 * (processed - parked) / processed, 2) if processed else None,
        "splits": counts.get("splits", 0),
        "waits": counts.get("waits", 0),
        "changed_meanwhile": counts.get("changed_meanwhile", 0),
        "states_nothing": counts.get("states_nothing", 0),
        "set_aside": counts.get("set_aside", {}),
        "unknown": counts.get("unknown", {}),
        "start_time": (progress.began_at or began).isoformat(),
        "end_time": datetime.now(UTC).isoformat(),
    }


def preview_stats(found: Preview, target: str, environment: str, began: datetime) -> dict[str, Any]:
    """What a dry run found: nothing was updated, and it does not say so."""
    return {
        "way": "run",
        "environment": environment,
        "target": target,
        "dry_run": True,
        "total_processed": found.processed,
        "total_updated": 0,
        "would_update": found.would_update,
        "total_skipped": found.counts.get("unchanged", 0) + found.counts.get("without_document", 0),
        "total_errors": 0,
        "would_fail": dict(found.would_park.most_common(20)),
        "states_nothing": found.counts.get("states_nothing", 0),
        "set_aside": found.counts.get("set_aside", {}),
        "unknown": found.counts.get("unknown", {}),
        "sample": found.sample,
        "start_time": began.isoformat(),
        "end_time": datetime.now(UTC).isoformat(),
    }
