"""The state of an installation, for people and programs.

What belongs here: gathering it from what the other modules know. What does not: finding any of it out, printing it (`cli.releases`).
"""

import json
from pathlib import Path
from typing import Any

import psycopg

from fashion_assets.batches.plan import BatchPlan
from fashion_assets.postgres.server import describe
from fashion_assets.release import upkeep
from fashion_assets.release.approval import is_lacking
from fashion_assets.release.freshness import freshness, unmade
from fashion_assets.release.known_sources import of_sources
from fashion_assets.release.plan import plan
from fashion_assets.release.way_back import way_back
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.reader import missing_grant, searches_as_owner
from fashion_assets.warehouse.releases import Release


def status(conn: psycopg.Connection, settings: Settings) -> dict[str, Any]:
    """What is live, what stands ready, which batches are through, where everything is; no secrets."""
    wanted = plan(conn, settings)
    live = wanted.live
    fresh = freshness(conn, wanted)
    back = live and way_back(conn, settings, live)
    grant = missing_grant(conn, settings.reader_role)
    return {
        "live": live
        and {
            "release": live.release,
            "products": live.products,
            "quarantined": live.quarantined,
            **releases.lacking(conn, live.release),
            "promoted_at": live.promoted_at and live.promoted_at.isoformat(),
        },
        "freshness": fresh and fresh.to_dict(),
        "index": live and upkeep.of_vectors(conn, settings, live).to_dict(),
        "back": back and back.to_dict(),
        "sources": of_sources(conn, wanted.missing),
        "batches": {
            "total": len(wanted.batches),
            "through": len(wanted.batches) - len(wanted.stale),
            "listings": wanted.listings,
            "stale": [batch.name for batch in wanted.stale],
            **_unmade(conn, wanted.of_listings),
        },
        "tables": {
            "total": len(wanted.of_rows.batches),
            "through": len(wanted.of_rows.batches) - len(wanted.of_rows.stale),
            "rows": sum(batch.listings for batch in wanted.of_rows.batches),
            "stale": [batch.name for batch in wanted.of_rows.stale],
            **_unmade(conn, wanted.of_rows),
        },
        "release_is_due": wanted.release_is_due,
        "releases": [
            {
                "release": r.release,
                "state": r.state,
                "products": r.products,
                "quarantined": r.quarantined,
                "created_at": r.created_at.isoformat(timespec="seconds"),
                "promoted_at": r.promoted_at and r.promoted_at.isoformat(timespec="seconds"),
                "report": r.report and str(report_page(settings, r)),
                "made_from": r.made_from,
                "shared": r.shared,
                "approval": r.approval,
                "approval_is_lacking": is_lacking(r, settings),
            }
            for r in releases.releases(conn)
            if r.state != "dropped"
        ],
        "space": wanted.space.name,
        "database": describe(settings),
        "reader": {
            "role": settings.reader_role,
            "note": grant and searches_as_owner(settings.reader_role, grant),
        },
        "home": str(settings.home),
    }


def _unmade(conn: psycopg.Connection, batches: BatchPlan) -> dict[str, Any]:
    found = unmade(conn, batches)
    return {"stale_since": None, "why": None} if found is None else found.to_dict()


def report_page(settings: Settings, release: Release) -> Path:
    """Where a release's report is, or would be: beside the others of this home, which may have been moved since."""
    return settings.reports / f"{release.release}.html"


def unmet_expectations(settings: Settings, release: Release) -> list[str]:
    """Names of the expectations that the release's report says are unmet; none where there is no report to read."""
    if release.report is None:
        return []
    try:
        said = json.loads(report_page(settings, release).with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [each["name"] for each in said.get("expectations", ()) if not each["passed"]]
