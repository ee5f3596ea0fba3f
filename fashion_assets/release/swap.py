"""Going live, going back, and letting go: which release the serving views lead to, and which stay.

What belongs here: promotion, rollback and retirement, their order, and the refusal. What does not: building (`build`), the
criteria, how the views are re-pointed (`repointing`).
"""

import time
from collections.abc import Callable, Collection
from contextlib import suppress

import psycopg
from psycopg.types.json import Jsonb

from fashion_assets.criteria.answers import HeldAnswers
from fashion_assets.criteria.candidate import judge
from fashion_assets.criteria.losses import NOTHING_MUCH_IS_LOST
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Verdict
from fashion_assets.errors import FashionAssetsError
from fashion_assets.release import approval
from fashion_assets.release.carrying import Carried, carry, carry_ahead, carry_late
from fashion_assets.release.repointing import drop_former_views, point_views_at
from fashion_assets.release.views import leading
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes, releases
from fashion_assets.warehouse.locks import (
    Busy,
    keep_from_changing,
    lock_changes,
    lock_swaps,
    once_nobody_writes,
)
from fashion_assets.warehouse.releases import Release, ReleaseError

DROP_WAIT_MS = 1_000
"""How long the dropping of a release waits for who reads it; what is left is dropped by whoever comes next."""


LATE_SECONDS = 1.0
"""How long a swap that is done waits for writers who began before it; what they commit later the next sync or swap brings along."""


class PromotionRefused(FashionAssetsError):
    """The candidate fails criteria; `failed` lists them. Nothing was changed, and it stays a candidate."""

    def __init__(self, release: Release, failed: list[Verdict]):
        self.release = release
        self.failed = failed
        if {verdict.name for verdict in failed} == {NOTHING_MUCH_IS_LOST}:
            super().__init__(_held_back(release, failed[0]))
            return
        lines = [f"{release.release} is not promoted: {len(failed)} criteria fail"]
        for verdict in failed:
            who = f" — {', '.join(map(str, verdict.offenders))}" if verdict.offenders else ""
            lines.append(
                f"  {verdict.claim} ({verdict.name}): {verdict.value}, must be {verdict.must_be}{who}"
            )
            lines += [f"    {verdict.remedy}"] if verdict.remedy else []
        super().__init__("\n".join(lines))


def _held_back(release: Release, verdict: Verdict) -> str:
    """What is said where nothing is wrong with a release but that much of the live one is gone."""
    lines = [
        f"{release.release} waits for a person: {'; '.join(map(str, verdict.offenders))}",
        f"  {verdict.name}: must be {verdict.must_be}",
        f"  it stands ready to be looked at: fashion-assets report {release.release}",
        "  if the source delivered too little, mend it and run again: fashion-assets run",
        f"  if so much is meant to be gone: fashion-assets promote {release.release} --allow-shrink, or the job promote_smaller_candidate",
    ]
    return "\n".join(lines)


def promote(
    conn: psycopg.Connection,
    settings: Settings,
    release: Release,
    accepted: Collection[str] = (),
    *,
    force: bool = False,
    answers: HeldAnswers | None = None,
    told: Callable[[Carried], None] = lambda carried: None,
) -> list[Verdict]:
    """Put a candidate, or a retired release, live if every criterion holds *now*: criteria are measured in the swap's own
    transaction, in which nobody can write to the release.

    Args:
        accepted: names of criteria that a person lets fail (`criteria.candidate.ACCEPTABLE`).
        force: end the sessions that keep the views locked.
        answers: what the engine answered on this release. It is not asked again if nobody could write to the release since. Closed here.
        told: is given what was carried over from the release that was live.
    Returns:
        The verdicts, which are kept with the release.
    Raises:
        PromotionRefused, ReleaseError, ApprovalRequired, Busy, HeldUp: nothing has changed then.
    """
    # A transaction the caller left open would hold the views' locks until the caller came round to committing.
    conn.commit()
    with conn.transaction():
        standing = releases.get(conn, release.release)
        _check_promotable(standing, releases.live(conn))
        approval.require(standing, settings)
        keep_from_changing(conn, release)
        verdicts = judge(Candidate(conn, release, settings, answers), accepted=accepted)
        if answers is not None:
            answers.close()
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed:
            raise PromotionRefused(release, failed)

        with once_nobody_writes(conn, release):
            changes.begin(conn, release)

        def register() -> None:
            live, now = releases.live(conn), releases.get(conn, release.release)
            _check_promotable(now, live)
            # What changed while it was built, and what people wrote into the release it takes the place of.
            told(carry(conn, live, now))
            _make_live(conn, release)
            conn.execute(
                "UPDATE fashion_ops.releases SET criteria = %s, replaced = coalesce(%s, replaced) WHERE release = %s",
                (
                    Jsonb([verdict.to_dict() for verdict in verdicts]),
                    live.release if live is not None and live.number < release.number else None,
                    release.release,
                ),
            )

        point_views_at(conn, settings, release, register, force)
    _catch_up(conn, release)
    with suppress(Busy):  # whoever swaps just now tidies up
        tidy(conn, settings)
    return verdicts


def _check_promotable(release: Release, live: Release | None) -> None:
    if release.state not in ("candidate", "retired"):
        raise ReleaseError(
            f"{release.release} is {release.state}; only a finished candidate or a retired release goes live"
        )
    if release.state == "candidate" and live is not None and live.number > release.number:
        raise ReleaseError(
            f"{release.release} was built before {live.release}, which is live by now: fashion-assets run builds what "
            "the sources hold today"
        )


def previous(conn: psycopg.Connection) -> Release:
    """The release that a rollback goes to: the one that the live one replaced, or the nearest before that which still stands.
    Never a later one: going forward is a promotion. Raises `ReleaseError` where there is none."""
    known = {release.release: release for release in releases.releases(conn)}
    live = next((release for release in known.values() if release.state == "live"), None)
    if live is None:
        raise ReleaseError("nothing is live, so there is nothing to go back from")
    step: Release | None = live
    # Ends: a release replaced one of a lower number.
    while step is not None and step.replaced is not None:
        step = known.get(step.replaced)
        if step is not None and step.state == "retired":
            return step
    earlier = [
        release for release in known.values() if release.state == "retired" and release.number < live.number
    ]
    if not earlier:
        raise ReleaseError(f"there is no earlier release to go back to from {live.release}")
    return max(earlier, key=lambda release: release.number)


def rollback(
    conn: psycopg.Connection,
    settings: Settings,
    to: str | None = None,
    *,
    away_from: str | None = None,
    force: bool = False,
    told: Callable[[Carried], None] = lambda carried: None,
) -> Release:
    """Put an earlier release back live: `to`, or the one that the live one replaced (`previous`). Returns it.

    First it gets what changed in the live one meanwhile (`carrying`). Its criteria are not asked again: it was live, and going back
    must never wait.

    Args:
        away_from: the release that the caller takes to be live. Where it no longer is, somebody else went back, and nothing is done.
        force: end the sessions that keep the views locked.
        told: is given what was carried over.
    Raises:
        ReleaseError: there is nothing to go back to. Also `Busy`, `HeldUp`.
    """
    conn.commit()
    brought = _bring_near(conn, to)
    with conn.transaction():
        target = previous(conn) if to is None else releases.get(conn, to)
        if target.state == "retired":
            with once_nobody_writes(conn, target):
                changes.begin(conn, target)

        def register() -> None:
            live = releases.live(conn)
            if away_from is not None and (live is None or live.release != away_from):
                raise ReleaseError(
                    f"{away_from} is no longer live, {live.release if live else 'nothing'} is: somebody else was at it. "
                    "Nothing was done."
                )
            now = releases.get(conn, target.release)
            if now.state != "retired":
                raise ReleaseError(
                    f"{target.release} is {now.state}; only a retired release can be gone back to"
                )
            told(brought + carry(conn, live, now))
            _make_live(conn, target)

        point_views_at(conn, settings, target, register, force)
    _catch_up(conn, target)
    return releases.get(conn, target.release)


def _bring_near(conn: psycopg.Connection, to: str | None) -> Carried:
    """Carry over most of what changed, in a transaction before the swap's, so that readers wait only while the swap writes the rest."""
    with suppress(Busy), conn.transaction():  # who keeps us from it carries the same over
        lock_changes(conn)
        target = previous(conn) if to is None else releases.get(conn, to)
        if target.state == "retired":
            return carry_ahead(conn, releases.live(conn), target)
    return Carried()


def lead_views_again(conn: psycopg.Connection, settings: Settings) -> Release | None:
    """Have the serving views lead to what is live where somebody dropped them or led them elsewhere; returns it, or None where there is
    nothing to do. Raises `Busy` or `HeldUp`."""
    live = releases.live(conn)
    led = leading(conn)
    conn.commit()
    if live is None or (led and all(where == {live.release} for where in led.values())):
        return None
    with conn.transaction():
        point_views_at(conn, settings, live, lambda: None)
    return live


def _catch_up(conn: psycopg.Connection, release: Release) -> None:
    """Carry over what transactions still write into the former release: they began while the views led there."""
    until = time.monotonic() + LATE_SECONDS
    with conn.transaction():
        row = conn.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    while row is not None and time.monotonic() < until:
        with conn.transaction():
            if changes.position(conn) >= row[0]:
                break
        time.sleep(0.02)
    with suppress(Busy), conn.transaction():  # whoever swaps or syncs just now does it, or the next one
        lock_changes(conn)
        now = releases.get(conn, release.release)
        if now.state == "live":
            carry_late(conn, now)


def _make_live(conn: psycopg.Connection, release: Release) -> None:
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'retired', retired_at = clock_timestamp(), "
        "has_changes_before = %s WHERE state = 'live'",
        (changes.position(conn),),
    )
    conn.execute(
        "UPDATE fashion_ops.releases SET state = 'live', promoted_at = clock_timestamp(), retired_at = NULL, "
        "has_changes_before = coalesce(has_changes_before, %s) WHERE release = %s",
        (changes.position(conn), release.release),
    )


def retire(conn: psycopg.Connection, name: str) -> bool:
    """Let go of a release that is no longer wanted. It cannot be found any more at once; its tables are dropped now, or, where
    somebody still reads them, by the next that drops any. Returns whether they are dropped. Raises `ReleaseError` for the live one.
    """
    conn.commit()
    with conn.transaction():
        lock_swaps(conn)
        release = releases.get(conn, name)
        if release.state == "live":
            raise ReleaseError(f"{name} is live; promote or roll back to another release before dropping it")
        if release.state == "building":
            raise ReleaseError(f"{name} is being built; end the run that builds it instead")
        if release.state == "dropped":
            raise ReleaseError(f"{name} was dropped already")
        releases.mark_dropping(conn, [name])
    return name not in _drop(conn)


def tidy(
    conn: psycopg.Connection, settings: Settings, building: bool = False, begun: Release | None = None
) -> None:
    """Let go of what nobody needs: retired releases and candidates beyond those the settings keep, candidates older than the live
    release, and all spares but one.

    Args:
        building: a release is about to be built, under the run's lock. Then what dead runs left half built goes, too,
        begun: but for this one, which the build continues.
    """
    conn.commit()
    with conn.transaction():
        lock_swaps(conn)
        known = releases.releases(conn)
        gone = _beyond(known, settings, building)
        spare = _spare(known, gone) if settings.keep_spare else None
        kept = {each.release for each in (begun, spare) if each is not None}
        releases.mark_dropping(conn, [name for name in gone if name not in kept])
        releases.keep_as_spare(conn, spare.release if spare else "")
        changes.prune(conn)
    _drop(conn)


def _beyond(known: Collection[Release], settings: Settings, building: bool) -> list[str]:
    live = next((release for release in known if release.state == "live"), None)
    retired = sorted(
        (release for release in known if release.state == "retired"),
        key=lambda release: (release.retired_at is not None, release.retired_at, release.number),
        reverse=True,
    )
    waiting = [release for release in known if release.state == "candidate"]
    outdated = [release for release in waiting if live is not None and release.number < live.number]
    standing = sorted(
        (release for release in waiting if release not in outdated),
        key=lambda release: release.number,
        reverse=True,
    )
    # One more is about to be built.
    kept = max(1, settings.keep_candidates - 1) if building else settings.keep_candidates
    unfinished = [release for release in known if building and release.state in ("building", "failed")]
    gone = [*retired[settings.keep_releases :], *outdated, *standing[kept:], *unfinished]
    return [release.release for release in gone]


def _spare(known: Collection[Release], gone: Collection[str]) -> Release | None:
    """The release to keep as the spare: the newest of those that go, and of the present spare, that was made with the same as the live one."""
    live = next((release for release in known if release.state == "live"), None)
    fit = [
        each
        for each in known
        if (each.state == "spare" or (each.release in gone and each.state in ("retired", "candidate")))
        and live is not None
        and each.made_with is not None
        and each.made_with == live.made_with
    ]
    return max(fit, key=lambda each: each.number, default=None)


def _drop(conn: psycopg.Connection) -> list[str]:
    """Drop what is marked for it; names of the releases that somebody still reads."""
    drop_former_views(conn, DROP_WAIT_MS)
    return releases.drop_marked(conn, DROP_WAIT_MS)
