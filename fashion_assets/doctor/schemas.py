"""What stands in the database: steps of the tables, releases and their schemas, views, indexes.

What belongs here: our schemas. What does not: the server (`server`), who may use them (`roles`), work under way (`work`).
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import psycopg

from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.release import indexes, value_counting
from fashion_assets.settings import Settings
from fashion_assets.warehouse import migrations
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING

STANDING = ("live", "candidate", "retired")
"""States of releases whose tables must be there."""

SHOWN = 5
"""Differences of the tables that are told one by one: a restore without their comments has hundreds."""

AGAIN = "fashion-assets migrate makes the views lead there again."

_OF_A_RELEASE = re.compile(rf"{SERVING}_r\d{{4,}}")
_ASIDE = re.compile(rf"{SERVING}\w*_(next|former_\d+)")


def of_steps(done: str | None, different: Collection[str]) -> list[Finding]:
    """The newest step of our own tables that is done, and how the tables differ from their definition."""
    if done is None:
        return [note("tables", "nothing was ever migrated here", "Begin with: fashion-assets run")]
    if done > migrations.HEAD:
        return [
            mend(
                "tables",
                f"they are those of a newer fashion-assets (version {done}; {migrations.HEAD} is known here)",
                "Upgrade the package here.",
            )
        ]
    if done != migrations.HEAD:
        return [
            note(
                "tables",
                f"they are at version {done}, and {migrations.HEAD} is wanted",
                "Any command does the steps: fashion-assets migrate",
            )
        ]
    found = [
        mend(
            "tables",
            f"somebody changed them: {each}",
            "Undo that change by hand, and look again with: fashion-assets migrate --check",
        )
        for each in list(different)[:SHOWN]
    ]
    if len(different) > SHOWN:
        found.append(
            mend(
                "tables",
                f"and {len(different) - SHOWN:,} more changes of that kind",
                "All of them: fashion-assets migrate --check",
            )
        )
    return found or [well("tables", f"version {done}, as they are defined")]


def of_schemas(known: Collection[Release], there: Collection[str], running: bool) -> list[Finding]:
    """Schemas of releases (`there`) against the register; `running`: somebody holds the run lock."""
    by_name = {each.release: each for each in known}
    told = (_of_schema(name, by_name.get(name), running) for name in sorted(there))
    findings = [finding for finding in told if finding is not None]
    for release in known:
        if release.state in STANDING and release.release not in there:
            findings.append(
                mend(
                    "schemas",
                    f"{release.release} is {release.state}, and its schema is gone",
                    "Put another one live (fashion-assets rollback), and build it again: fashion-assets run"
                    if release.state == "live"
                    else f"Let it go: fashion-assets retire {release.release}",
                )
            )
    live = [each.release for each in known if each.state == "live"]
    if not live and any(each.state in STANDING for each in known):
        findings.append(mend("schemas", "no release is live", "Put one live: fashion-assets promote RELEASE"))
    return findings or [well("schemas", f"{len(there)}, each as the register says")]


def _of_schema(name: str, release: Release | None, running: bool) -> Finding | None:
    """What is to be said of a schema that is there; None where it is as the register says, or somebody else's."""
    if _ASIDE.fullmatch(name):
        return note(
            "schemas",
            f"{name} is left of a swap; somebody may still hold it",
            "The next promotion or run drops it when nobody does.",
        )
    if not _OF_A_RELEASE.fullmatch(name):
        return None
    if release is None or release.state == "dropped":
        said = "no release of that name is registered" if release is None else "it is registered as dropped"
        return mend(
            "schemas",
            f"{name} is there, and {said}",
            f"Look into it; if nobody needs it: DROP SCHEMA {name} CASCADE",
        )
    if release.state == "dropping":
        return note(
            "schemas",
            f"{name} is to be dropped, and is still there",
            "The next promotion or run drops it when nobody reads it any more.",
        )
    if release.state in ("building", "failed") and not running:
        return note(
            "schemas",
            f"{name} was left half built by a run that ended",
            "The next run that builds a release goes on with it if the catalogue is the same, and else drops it.",
        )
    return None


def schemas_there(conn: psycopg.Connection[Any]) -> list[str]:
    rows = conn.execute(
        "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, %s) AND nspname <> %s",
        (SERVING, SERVING),
    ).fetchall()
    return [name for (name,) in rows]


def of_views(live: Release | None, leading: Mapping[str, Collection[str]]) -> list[Finding]:
    """Where each serving view leads (releases by view) against what the register says is live."""
    if live is None:
        return []
    astray = {view: led for view, led in leading.items() if set(led) != {live.release}}
    if not leading:
        return [
            mend(
                "views",
                f"{live.release} is live, and {SERVING} has no views",
                AGAIN,
            )
        ]
    found = [
        mend(
            "views",
            f"{view} leads to {', '.join(sorted(led))}, while {live.release} is live",
            AGAIN,
        )
        for view, led in sorted(astray.items())
    ]
    return found or [well("views", f"all {len(leading)} lead to {live.release}, which is live")]


def of_indexes(
    conn: psycopg.Connection[Any], settings: Settings, known: Collection[Release]
) -> list[Finding]:
    """Every index of a standing release and of our own tables is valid, and every release has those it must have, and its counts of values."""
    findings = faults_of_indexes(conn, known)
    for release in known:
        if release.state not in STANDING or not indexes.standing(conn, release):
            continue
        if value_counting.are_lacking(conn, settings, release):
            findings.append(
                mend(
                    "indexes",
                    f"{release.release} has {settings.counts_from:,} products or more (counts_from) and no counts of their values: pages under one "
                    "filter are counted row by row",
                    f"fashion-assets reindex {release.release}",
                )
            )
    return findings or [well("indexes", "all are valid, and none is missing")]


def faults_of_indexes(conn: psycopg.Connection[Any], known: Collection[Release]) -> list[Finding]:
    """What is wrong with them, whatever the settings are: those that are not valid or not there, and counts that do not follow."""
    standing = [each for each in known if each.state in STANDING]
    findings = _invalid(conn, standing)
    for release in standing:
        remedy = f"fashion-assets reindex {release.release}"
        there = {each.name for each in indexes.standing(conn, release)}
        if there and (lacking := indexes.lacking(conn, release, there)):
            findings.append(mend("indexes", f"{release.release} lacks {', '.join(lacking)}", remedy))
        if there and value_counting.do_not_follow(conn, release):
            findings.append(
                mend(
                    "indexes",
                    f"the counts of values of {release.release} do not follow what is written: pages under one filter are counted wrong",
                    remedy,
                )
            )
    return findings


def _invalid(conn: psycopg.Connection[Any], standing: Collection[Release]) -> list[Finding]:
    """Indexes of releases and of our own tables that answer nothing as they are."""
    rebuilt = {oid for (oid,) in conn.execute("SELECT index_relid FROM pg_stat_progress_create_index")}
    bad = conn.execute(
        """
        SELECT c.oid, n.nspname::text, c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT (i.indisvalid AND i.indisready) AND (n.nspname IN (%s, %s) OR starts_with(n.nspname, %s)) ORDER BY 2, 3
        """,
        (OPS, DAGSTER, f"{SERVING}_r"),
    ).fetchall()
    names = {each.release for each in standing}
    dropped = {
        (each.release, name)
        for each in standing
        if each.state == "live"
        for name in indexes.leftovers(conn, each)
    }
    findings = []
    for oid, schema, index in bad:
        what, again = f"{schema}.{index}", f"fashion-assets reindex {schema}"
        if oid in rebuilt:
            findings.append(note("indexes", f"{what} is being built", "It is valid when that has ended."))
        elif (schema, index) in dropped:
            said = f"{what} is left of a rebuild that was cut off: it costs every write and answers nothing"
            findings.append(note("indexes", said, f"The next sync drops it; at once: {again}"))
        else:
            by_hand = (
                f"`REINDEX INDEX CONCURRENTLY {what}`, or drop it if its name ends with _ccnew or _ccold"
            )
            said = f"{what} is not valid: it costs every write and answers nothing"
            findings.append(mend("indexes", said, again if schema in names else by_hand))
    return findings
