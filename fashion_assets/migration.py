"""A whole migration from one command: scan, stale batches, release, swap; every step of work a Dagster run.

What belongs here: the order of things, progress and what is told to the person. What does not: the steps themselves
(`defs`), which source is asked for, and what reads it (`choice`), options and exit codes (`cli`).
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
from rich.console import Console

from fashion_assets import reserve
from fashion_assets.arrow import spare_pandas
from fashion_assets.batches.files import RAW_LISTINGS, judged
from fashion_assets.catalog import compatibility, wordlists
from fashion_assets.choice import Choice, found_out
from fashion_assets.failure import Reason
from fashion_assets.outcome import MigrationResult, replaced, said_of_scan
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.server import describe
from fashion_assets.progress import Tasks, steps, tasks
from fashion_assets.release import roots
from fashion_assets.release.approval import is_lacking
from fashion_assets.release.known_sources import of_release
from fashion_assets.release.plan import Plan, plan
from fashion_assets.release.recovery import recovered_plan
from fashion_assets.release.scan import (
    Scanned,
    fetch_pictures,
    require_listings,
    scan_active_sources,
    stale_sources,
    use_source,
)
from fashion_assets.release.status import report_page, unmet_expectations
from fashion_assets.runs import Runs
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import is_installed, prepare
from fashion_assets.warehouse.locks import RunLock, run_lock
from fashion_assets.warehouse.names import is_of_a_table
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.quarantine import reasons
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import active_sources, sources

CALIBRATED_FROM = 100_000
"""Pictures to embed from which it pays to find out first how the model runs fastest here: it takes as long as some ten
thousand small pictures, and gains a few per cent, or much where a machine is unlike those that the defaults are of."""

REJECTING_BATCHES_TOLD = 10
"""Batches named of those that went through with many rejections."""

DRAWN = {"sample", "second_hand", "garments"}
"""Sources that a first migration draws (`sources.sample.WHOLE`)."""


@dataclass(frozen=True)
class Allowed:
    """What a run may do without asking."""

    promote: bool = True
    """Put the release live if every criterion holds."""
    shrink: bool = False
    """Also where much of the live release is gone."""
    rejections: bool = False
    """Let batches through although many of their listings are rejected."""


class Migration:
    """One command's worth of work on one installation."""

    def __init__(self, settings: Settings, console: Console, lines: bool = False):
        """`console` shows how far it is: bars where it is a terminal, else, if they are wanted, lines."""
        self._settings = settings
        self._console = console
        self._lines = lines

    def dry_run(self, choice: Choice | None = None) -> MigrationResult:
        """What `run` would do. Sources, register and batches are compared as it would, and nothing is kept. Raises as it does."""
        spare_pandas()
        self._check_words()
        if not is_installed(self._settings):
            return self._dry_run_without_database(choice)
        reserve.let_go(self._settings)
        self._prepare()
        with connect(self._settings) as conn, conn.transaction(force_rollback=True):
            wanted, scans, said = self._scan(conn, choice, keeps=False)
            result = self._told(wanted, scans, said)
            if wanted.release_is_due:
                result.lines += _in_the_way(conn, wanted)
            return result

    def run(
        self, choice: Choice | None = None, allowed: Allowed = Allowed(), *, wait: bool = True
    ) -> MigrationResult:
        """Migrate what changed, of the source asked for or of what was migrated before.

        One run at a time: another one is waited for, or with `wait` false left alone (`Busy`). Raises what a person can mend
        (`SourceError`, `WarehouseError` …).
        """
        spare_pandas()
        self._check_words()
        first = self._settings.is_new
        reserve.require_room(self._settings)
        self._prepare()
        reserve.take(self._settings)
        # From before the sources are read until the release stands: what was read is what is released.
        lock = run_lock(self._settings, "run", wait=None if wait else 0, told=self._console.print)
        with lock as turn, connect(self._settings) as conn, ExitStack() as stack:
            # A first migration surely has work for workers: they come to be while the catalogue is read.
            runs = stack.enter_context(Runs(all_is_new=True)) if first else Runs()
            is_whole = choice is None and not active_sources(conn)
            wanted, scans, result = self._begin(conn, choice)
            if not wanted.release_is_due:
                self._without_changes(conn, wanted, result, allowed)
                if self._has_documents_to_backfill(conn, wanted):
                    if not first:
                        stack.enter_context(runs)
                    self._backfill(result, runs)
                return result
            # Before anything is built: what a person can mend until it is.
            for line in _in_the_way(conn, wanted):
                self._console.print(line, style="yellow", markup=False, soft_wrap=True)
            conn.commit()
            if not first:
                stack.enter_context(runs)
            runs.note_scan(scans)
            self._migrate(wanted, result, runs, turn, allowed)
            if not result.not_begun and self._has_documents_to_backfill(conn, wanted):
                self._backfill(result, runs)
            if is_whole and result.live:
                from fashion_assets.whole_sample import to_try  # here: few runs draw

                result.to_try += to_try()
            return result

    def promote(self, name: str, force: bool = False, allow_shrink: bool = False) -> MigrationResult:
        """Put a candidate, or a retired release, live in a run of its own; `allow_shrink` as `Allowed.shrink`."""
        result = MigrationResult(release=name)
        self._promote(result, allow_shrink, force)
        return result

    def _check_words(self) -> None:
        """A mistake in a file of words is told before anything is done."""
        wordlists.check()
        compatibility.check()

    def _prepare(self) -> None:
        with steps(self._console, "starting the database", self._lines):
            prepare(self._settings)

    def _begin(
        self, conn: psycopg.Connection, choice: Choice | None
    ) -> tuple[Plan, list[Scanned], MigrationResult]:
        """Read the sources: what there is to do, what their scans found, and the result as far as it is known."""
        known = {stale.source for stale in stale_sources(conn, self._settings, as_last_scanned=True)}
        conn.commit()
        fetched = self._fetch(conn, choice) if self._settings.fetch_pictures else []
        wanted, scans, said = self._scan(conn, choice)
        stale = stale_sources(conn, self._settings)
        conn.commit()
        result = _begun(wanted, scans, [*fetched, *said])
        result.lines += map(str, stale)
        result.newly_stale += [str(each) for each in stale if each.source not in known]
        return wanted, scans, result

    def _fetch(self, conn: psycopg.Connection, choice: Choice | None) -> list[str]:
        """Fetch pictures that are stated as URLs; what came of it."""
        active = roots.active(conn, self._settings)
        conn.commit()
        if choice is not None:
            choice = found_out(self._settings, choice, conn)
            conn.commit()
            asked = open_source(choice.kind, choice.name, choice.location, self._settings, choice.options)
            active = [asked, *(source for source in active if source.name != asked.name)]
        with self._progress() as progress:
            task = progress.add_task("fetching pictures", total=None)
            return fetch_pictures(
                active, self._settings, lambda source, done: progress.update(task, completed=done)
            )

    def _scan(
        self, conn: psycopg.Connection, choice: Choice | None, *, keeps: bool = True
    ) -> tuple[Plan, list[Scanned], list[str]]:
        """What there is to do, what the scan of each source found, and what to say of that; `keeps`: whether any of it is kept."""
        is_whole = choice is None and not active_sources(conn)
        if is_whole:
            self._require_a_new_home()
        # One transaction: a source that cannot be read must not take the place of the one in use.
        with conn.transaction(), self._progress() as progress:
            before = active_sources(conn)
            if choice is not None:
                choice = found_out(self._settings, choice, conn)
                known = {each.name: each for each in sources(conn)}.get(choice.name)
                same = known is not None and (known.kind, known.location, known.said) == (
                    choice.kind,
                    choice.location,
                    choice.options,
                )
                options = None if same else choice.options
                use_source(conn, choice.name, choice.kind, choice.location, options)
            elif is_whole:
                from fashion_assets import whole_sample  # here: few runs draw

                whole_sample.use(conn, self._settings, documents=keeps)
            task = progress.add_task("reading the catalogue", total=None)
            scans = scan_active_sources(
                conn,
                self._settings,
                lambda done, total: progress.update(task, completed=done, total=total),
                needed=() if choice is None else {choice.name},
            )
            if choice is not None:
                require_listings(scans, choice.name)
        said = [choice.said] if choice is not None and choice.said else []
        said += [said_of_scan(source, report) for source, report, _ in scans if report is not None]
        said += replaced(before, [scan.source for scan in scans])
        wanted, recovered = recovered_plan(conn, self._settings, vectors=keeps)
        return wanted, scans, [*said, *([str(recovered)] if recovered else [])]

    def _require_a_new_home(self) -> None:
        """Nothing is drawn beside a shop's own files: the database that knew where its catalogue is was another one."""
        names = ParquetStore(self._settings.assets_url).batches(RAW_LISTINGS.name)
        if own := sorted({name.rpartition("-")[0] for name in names} - DRAWN):
            raise SourceError(
                f"The database knows of no source ({describe(self._settings)}), and {self._settings.assets_url} has batches of "
                f"{', '.join(own)}. Say where the catalogue is: fashion-assets run --catalog FOLDER, or --sample N for a drawn "
                "one."
            )

    def _dry_run_without_database(self, choice: Choice | None) -> MigrationResult:
        if choice is None or choice.kind == "sample":
            from fashion_assets.sources.sample import WHOLE, parse_location  # here: few runs draw

            places = list(WHOLE.values()) if choice is None else [choice.location]
            name = "the drawn sample" if choice is None else choice.name
            sizes = [parse_location(location).size for location in places]
        else:
            choice = found_out(self._settings, choice)
            name = choice.name
            source = open_source(choice.kind, name, choice.location, self._settings, choice.options)
            sizes = [sum(chunk.num_rows for chunk in source.scan())]
        listings = sum(sizes)
        batches = sum(-(-size // self._settings.batch_size) for size in sizes)
        result = MigrationResult(listings=listings, batches=batches)
        result.lines.append(
            f"dry run: {name} has {listings:,} listings, all new; {batches:,} {'batch' if batches == 1 else 'batches'} would run, then the first release "
            f"would be built in {describe(self._settings)}. Nothing was changed."
        )
        return result

    def _told(self, wanted: Plan, scans: list[Scanned], said: list[str]) -> MigrationResult:
        result = _begun(wanted, scans, said)
        if not wanted.release_is_due:
            result.lines.append("dry run: nothing would be done.")
        else:
            rows = len(wanted.of_rows.stale)
            names = ", ".join(batch.name for batch in wanted.stale[:10]) + (
                " …" if len(wanted.stale) > 10 else ""
            )
            result.lines.append(
                f"dry run: {len(wanted.stale)} of {len(wanted.batches)} batches would run"
                + (f" ({names})" if names else "")
                + (f", {rows:,} of rows of declared tables" if rows else "")
                + ", then a new release would be built. Nothing was changed."
            )
        return result

    def _without_changes(
        self, conn: psycopg.Connection, wanted: Plan, result: MigrationResult, allowed: Allowed
    ) -> None:
        existing = wanted.existing
        assert existing is not None
        self._is(result, existing)
        if existing.state == "live":
            result.lines.append("nothing changed")
        elif existing.state == "retired":
            result.lines.append(
                f"nothing changed since {existing.release}, which was rolled back. It stays so; put it live again with: "
                f"fashion-assets promote {existing.release}"
            )
            if wanted.live is not None:
                self._is(result, wanted.live)
        elif is_lacking(existing, self._settings):
            result.lacks_approval = True
        elif allowed.promote:
            conn.commit()
            self._promote(result, allowed.shrink)

    def _migrate(
        self, wanted: Plan, result: MigrationResult, runs: Runs, turn: RunLock, allowed: Allowed
    ) -> None:
        """Have the stale batches run, and a release built of all of them, unless something stands in the way of both."""
        if sum(batch.listings for batch in wanted.stale) >= CALIBRATED_FROM:
            self._calibrate(wanted, result, runs)
        with self._progress() as progress:
            stale = [batch.name for batch in (*wanted.stale, *wanted.of_rows.stale)]
            task = progress.add_task("migrating batches", total=len(stale))
            self._run_batches(stale, result, runs, allowed, lambda: progress.advance(task))
            if any(isinstance(why, Reason) and why.shared for why in result.failed_batches.values()):
                # Nothing can be built meanwhile, and what else were asked would only fail of the same.
                result.not_begun = len(stale) - result.batches_run - result.table_batches_run
                return
            turn.check()
            if (live := self._in_step(wanted)) is not None and not result.failed_batches:
                self._is(result, live)
                result.lines.append(f"{live.release} is in step with its sources: no new release is built")
                return
            task = progress.add_task("building the release", total=None)
            if allowed.promote:
                swap = {"live_release": {"automatically": True, "allow_shrink": allowed.shrink}}
                result.refusal = runs.run("build_release", swap)
            else:
                result.refusal = runs.run("build_candidate")
            progress.update(task, total=1, completed=1)
        self._finish(result)

    def _run_batches(
        self,
        stale: list[str],
        result: MigrationResult,
        runs: Runs,
        allowed: Allowed,
        advance: Callable[[], None],
    ) -> None:
        rejected: list[str] = []
        accepting = {"validation": {"accept_rejections": allowed.rejections}}
        for batch, failure in runs.batches(stale, accepting):
            if is_of_a_table(batch):
                result.table_batches_run += 1
            else:
                result.batches_run += 1
            if failure is not None:
                result.failed_batches[batch] = failure
            elif not is_of_a_table(batch) and (said := self._rejected(batch)):
                rejected.append(said)
            advance()
        result.lines += rejected[:REJECTING_BATCHES_TOLD]
        if (more := len(rejected) - REJECTING_BATCHES_TOLD) > 0:
            result.lines.append(f"and so in {more:,} more batches")

    def _in_step(self, wanted: Plan) -> Release | None:
        """The live release, where a sync brought it in step with what the batches hold by now."""
        if wanted.live is None or not wanted.live.revision:
            return None
        with connect(self._settings) as conn:
            existing = plan(conn, self._settings, wanted.space).existing
        return existing if existing is not None and existing.state == "live" else None

    def _rejected(self, batch: str) -> str | None:
        """That more of a batch that went through was rejected than is usual, where it was."""
        listings, rejected = judged(ParquetStore(self._settings.assets_url), [batch])
        if rejected <= self._settings.max_rejection_rate * listings:
            return None
        return f"{batch}: {rejected:,} of {listings:,} listings were rejected; see fashion-assets quarantine"

    def _calibrate(self, wanted: Plan, result: MigrationResult, runs: Runs) -> None:
        from fashion_assets.embedding.encoder import resolved
        from fashion_assets.embedding.tuning import kept_tuning
        from fashion_assets.warehouse.embedding_store import EmbeddingStore

        if kept_tuning(self._settings.home, wanted.space, resolved(self._settings.device)) is not None:
            return
        # A few changes make many batches stale, whose other pictures have their vectors.
        with connect(self._settings) as conn:
            known = EmbeddingStore(conn).count(wanted.space.name, "image")
        if wanted.listings - known < CALIBRATED_FROM:
            return
        with steps(self._console, "finding out how the model runs fastest here", self._lines):
            failure = runs.calibrate(wanted.stale[0].name)
        if failure is not None:
            result.lines.append(f"the model was not calibrated: {failure}")

    def _promote(self, result: MigrationResult, allow_shrink: bool, force: bool = False) -> None:
        with Runs() as runs:
            how = {"release": result.release, "force": force, "allow_shrink": allow_shrink}
            wanted = {"live_release": how}
            result.refusal = runs.run("promote_candidate", wanted)
        self._finish(result)

    def _finish(self, result: MigrationResult) -> None:
        from fashion_assets.criteria.verdict import Verdict

        with connect(self._settings) as conn:
            known = releases.releases(conn)
        newest = next((r for r in known if r.release == result.release or result.release is None), None)
        if newest is not None:
            self._is(result, newest)
            result.lacks_approval = is_lacking(newest, self._settings)
            if newest.made_from is not None:
                result.lines.append(newest.said_of_sharing)
            result.verdicts = [Verdict.from_dict(verdict) for verdict in newest.criteria or []]
            with connect(self._settings) as conn:
                result.sources = of_release(conn, newest)
                result.rejected = dict(reasons(conn))
            if unmet := unmet_expectations(self._settings, newest):
                result.lines.append(
                    f"expectations not met, which hold nothing up but want a look: {', '.join(unmet)}"
                )

    def _has_documents_to_backfill(self, conn: psycopg.Connection, wanted: Plan) -> bool:
        """Whether a sample's wardrobe documents are to be backfilled."""
        if not any(source.kind == "sample" for source in wanted.sources):
            return False
        from fashion_assets import whole_sample

        return whole_sample.is_to_be_backfilled(conn, self._settings)

    def _backfill(self, result: MigrationResult, runs: Runs) -> None:
        """Backfill a sample's wardrobe documents, in the run that does it in the UI."""
        from fashion_assets import whole_sample

        with self._progress() as progress:
            task = progress.add_task("backfilling the wardrobe", total=None)
            result.backfill_failed = runs.run("backfill_wardrobe", whole_sample.BACKFILL)
            progress.update(task, total=1, completed=1)
        if result.backfill_failed is None:
            with connect(self._settings) as conn:
                result.lines.append(whole_sample.backfilled(conn))

    def _progress(self) -> Tasks:
        return tasks(self._console, self._lines)

    def _is(self, result: MigrationResult, release: Release) -> None:
        """The result is this release."""
        result.release, result.products, result.quarantined = (
            release.release,
            release.products,
            release.quarantined,
        )
        result.report, result.live = self._report(release), release.state == "live"

    def _report(self, release: Release) -> str | None:
        return release.report and str(report_page(self._settings, release))


def _in_the_way(conn: psycopg.Connection, wanted: Plan) -> list[str]:
    from fashion_assets.release.contracts import (
        in_the_way,  # here: a run with nothing to do has no need of it
    )

    return in_the_way(conn, wanted.tables)


def _begun(wanted: Plan, scans: list[Scanned], said: list[str]) -> MigrationResult:
    unread = {scan.source.name: scan.unread for scan in scans if scan.unread}
    return MigrationResult(listings=wanted.listings, batches=len(wanted.batches), unread=unread, lines=said)
