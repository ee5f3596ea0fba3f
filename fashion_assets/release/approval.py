"""Approval: a person says, before a release goes live, that it may, and why.

What belongs here: whether one is lacking, the refusal, noting it with the release. What does not: the swap (`swap`), criteria, which no
approval replaces.
"""

import psycopg

from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.releases import Release, ReleaseError


class ApprovalRequired(FashionAssetsError):
    """Nobody has approved the release yet; the message says how. Nothing was changed."""


def is_lacking(release: Release, settings: Settings) -> bool:
    """Whether a release must be approved before it goes live. One that was live before was approved, or needed no approval then."""
    return settings.approval_required and release.state == "candidate" and release.approved_at is None


def how(name: str) -> str:
    """The command that approves a release."""
    return f"fashion-assets approve {name} --why TEXT"


def require(release: Release, settings: Settings) -> None:
    """Raise `ApprovalRequired` where an approval is lacking."""
    if is_lacking(release, settings):
        raise ApprovalRequired(
            f"{release.release} is not approved, and goes live only once somebody says that it may (approval_required). Look at it: "
            f"fashion-assets report {release.release}; then: {how(release.release)}"
        )


def approve(conn: psycopg.Connection, name: str, by: str, why: str) -> Release:
    """Note that `by` approves a candidate, and why; returns it. Raises `ReleaseError` where it is no candidate, was approved already, or
    either says nothing."""
    by, why = by.strip(), why.strip()
    if not by or not why:
        raise ReleaseError("an approval says who approves, and why")
    with conn.transaction():
        release = releases.get(conn, name)
        if release.state != "candidate":
            raise ReleaseError(f"{name} is {release.state}; what is approved is a candidate")
        noted = conn.execute(
            "UPDATE fashion_ops.releases SET approved_at = clock_timestamp(), approved_by = %s, approved_why = %s "
            "WHERE release = %s AND state = 'candidate' AND approved_at IS NULL",
            (by, why, name),
        ).rowcount
        now = releases.get(conn, name)
    if not noted and now.approval is not None:
        raise ReleaseError(f"{name} was approved already, by {now.approved_by}: {now.approved_why}")
    return now
