"""Replaying schedules: a server, a proxy, a template that is copied for each, the steps with their faults, and what is looked at between.

What belongs here: the order of it all, and what a schedule's replay tells. What does not: what must hold (`invariants`).

One server serves all schedules. Each has a database and a home of its own, copied from a template in which one release is live and one
is retired. At the end nothing goes wrong any more: the catalogue the template began with must be taken over whole, as it was by an
installation nothing had befallen yet, and the doctor must find nothing.
"""

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg

from fashion_assets.doctor import examination
from fashion_assets.faults import catalogues, invariants, steps, tables
from fashion_assets.faults.proxy import PORT, Proxy
from fashion_assets.faults.schedule import (
    CATALOGUES,
    KINDS,
    OF_TABLES,
    TOGETHER,
    Fault,
    Kind,
    Origin,
    Schedule,
    Step,
)
from fashion_assets.faults.servers import Server
from fashion_assets.faults.steps import Ended, Place
from fashion_assets.faults.striking import kill, striking
from fashion_assets.faults.watchers import Reader, Writer
from fashion_assets.postgres.embedded import USER
from fashion_assets.sources.drawn.wardrobe import documents, make_table

STEP_SECONDS = 90
"""A step that takes longer hangs."""

TEMPLATE, DATABASE = "template_of_faults", "faults"
DOCUMENTS = 40

REPAIRING = CATALOGUES
"""The catalogue with which the template begins and a schedule ends; no step has it."""

FOLLOWED_THROUGH = ("none", "cut", "lost", "timeout", "stall", "clock", *OF_TABLES)
"""Faults of which a watch of a table is to have seen everything when they are over, and before its step is."""

_FORGIVEN = {"disk", "server disk", "home", "sources", "runs"}
"""What the doctor looks at that is no matter of faults: the small disk, and folders that come and go."""


@dataclass
class Told:
    """What became of one step."""

    step: Step
    ended: Ended | None
    """None: it was killed."""
    struck: bool
    statements: int
    seconds: float
    asked: int = 0
    """Statements sent to a table that is the source."""


@dataclass
class Result:
    """What became of a schedule."""

    schedule: Schedule
    steps: list[Told] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answers: int = 0
    writes: int = 0
    seconds: float = 0


class Stage:
    """All that schedules are replayed on; `with Stage.open(folder) as stage`."""

    def __init__(self, folder: Path, origin: Origin = "folder"):
        self.folder = folder
        self.origin: Origin = origin
        self.server = Server(folder / "server")
        self.source = Server(folder / "source", plain=True) if origin == "table" else None
        self.proxy: Proxy
        self.source_proxy: Proxy | None = None
        self._notifies = False
        self.undisturbed: dict[str, Any] = {}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["fashion_assets.faults.steps"])
        self._processes: list[BaseProcess] = []

    @classmethod
    @contextmanager
    def open(cls, folder: Path | None = None, origin: Origin = "folder") -> Iterator[Self]:
        """In `folder`, which is made, or a temporary one; nothing of it is left. `origin`: what the source of all of its schedules is."""
        own = Path(tempfile.mkdtemp(prefix="fashion_assets_faults-")) if folder is None else folder
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o711)
        stage = cls(own, origin)
        try:
            stage._prepare()
            yield stage
        finally:
            for process in stage._processes:
                process.kill()
            stage.server.close()
            if stage.source is not None:
                stage.source.close()
            shutil.rmtree(own, ignore_errors=True)

    @property
    def kinds(self) -> list[Kind]:
        """Faults that can be had here."""
        lacking = {"full"} if not self.server.has_disk else set()
        lacking |= {"clock"} if self.server.clock is None else set()
        own = () if self.source is None else OF_TABLES
        return [kind for kind in (*KINDS, *own) if kind not in lacking]

    # --- the template

    def _prepare(self) -> None:
        self.server.folder.mkdir(exist_ok=True)
        socket = self.server.start()
        self.proxy = Proxy(self.folder / "proxy", socket)
        self.whole = self.folder / "catalogues" / "whole"
        self.catalogues = catalogues.draw(self.folder / "catalogues", CATALOGUES + 1)
        if self.source is not None:
            self.source_proxy = Proxy(self.folder / "source-proxy", self.source.start())
            tables.make(self.source, self.whole)
        home = self._home("template")
        home.mkdir(mode=0o700, parents=True)
        self.server.copy("template0", TEMPLATE)
        with self.server.connect(TEMPLATE) as conn:
            make_table(conn, documents(DOCUMENTS), steps.DOCUMENTS)
        for number in (REPAIRING, 0):
            told = self._step(Step("run", number, Fault("none")), TEMPLATE, home)
            if told.ended is None or told.ended.outcome != "done":
                raise RuntimeError(f"even without a fault it fails: {told.step}: {told.ended}")
            if number == REPAIRING:  # of an installation that nothing befell
                with self.server.connect(TEMPLATE) as conn:
                    self.undisturbed = invariants.content(conn)

    def _home(self, name: str) -> Path:
        return self.folder / "homes" / name

    # --- a schedule

    def replay(self, schedule: Schedule, tell: Callable[[str], None] = lambda said: None) -> Result:
        """Replay a schedule from the template; what did not hold is in the result."""
        result, began = Result(schedule), time.monotonic()
        self._notifies = schedule.notifies
        home, elsewhere = self._home("own"), self._home("elsewhere")
        for folder in (home, elsewhere):
            shutil.rmtree(folder, ignore_errors=True)
        self.server.copy(TEMPLATE, DATABASE)
        shutil.copytree(self._home("template"), home, ignore=shutil.ignore_patterns("*.lock"))
        with self.server.connect(DATABASE) as conn:
            before = invariants.fingerprints(conn)
        watching = [Reader(self.server, DATABASE, True), Reader(self.server, DATABASE, False)]
        writer = Writer(self.server, DATABASE)
        for each in (*watching, writer):
            each.start()
        for number, step in enumerate(schedule.steps, start=1):
            told = self._step(step, DATABASE, home, elsewhere)
            result.steps.append(told)
            tell(f"  {number}. {step}: {_said(told)}")
            result.wrong += [f"step {number} ({step}): {said}" for said in self._wrong_of(told)]
            with self.server.connect(DATABASE) as conn:
                wrong = invariants.broken(conn)
                if not wrong:
                    now = invariants.fingerprints(conn)
                    wrong = invariants.changed(before, now) + invariants.lost_writes(
                        conn, list(writer.writes)
                    )
                    before = now
            result.wrong += [f"after step {number} ({step}): {said}" for said in wrong]
            if result.wrong:
                break
        for each in (*watching, writer):
            each.end()
        if not result.wrong:
            result.wrong += [f"at the end: {said}" for said in self._repaired(home, writer)]
        result.wrong += [said for each in (*watching, writer) for said in dict.fromkeys(each.wrong)]
        result.answers, result.writes = sum(each.answers for each in watching), len(writer.writes)
        result.seconds = time.monotonic() - began
        return result

    def _wrong_of(self, told: Told) -> list[str]:
        if told.ended is None:
            return [] if told.step.fault.kind == "kill" else ["its process died by itself"]
        if told.ended.outcome == "unforeseen":
            return [f"nobody foresaw this error: {told.ended.said}"]
        undisturbed = told.step.fault.kind in ("none", "stall", "clock") or not told.struck
        if undisturbed and told.ended.outcome == "told" and told.step.fault.kind not in TOGETHER:
            return [f"it failed, though nothing went wrong: {told.ended.said}"]
        return []

    def _repaired(self, home: Path, writer: Writer) -> list[str]:
        if self.server.clock is not None:
            self.server.clock.jump(0)
        told = self._step(Step("run", REPAIRING, Fault("none")), DATABASE, home)
        if told.ended is None or told.ended.outcome not in ("done", "nothing"):
            return [f"the run that repairs fails: {told.ended}"]
        with self.server.connect(DATABASE) as conn:
            wrong = invariants.broken(conn)
            wrong += invariants.differences(invariants.content(conn), self.undisturbed)
            wrong += invariants.lost_writes(conn, list(writer.writes), settled=True)
        again = self._step(Step("run", REPAIRING, Fault("none")), DATABASE, home)
        if again.ended is None or again.ended.outcome != "nothing":
            wrong.append(f"a run with nothing to do did something: {again.ended}")
        wrong += [
            f"{name} was left behind"
            for pattern in ("*.tmp", "*.new-*", ".*.tmp")
            for name in sorted(path.relative_to(home) for path in home.rglob(pattern))
        ]
        settings = self._place(DATABASE, home, through_proxy=False).settings()
        wrong += [
            f"the doctor finds: {each.check}: {each.said}"
            for each in examination.examine(settings)
            if each.state == "mend"
            and each.check not in _FORGIVEN
            and "_ccnew" not in each.said
            and "_ccold" not in each.said
        ]
        return wrong

    # --- a step

    def _place(
        self,
        database: str,
        home: Path,
        catalogue: int = REPAIRING,
        *,
        through_proxy: bool = True,
        must_follow: bool = False,
    ) -> Place:
        url = _url(self.proxy.folder if through_proxy else self.server.start(), database)
        # What a watch finds after catalogue n: the next one, and the one after that.
        later = [self.catalogues[(catalogue + more) % CATALOGUES] for more in (1, 2)]
        table = None
        if self.source is not None and self.source_proxy is not None:
            table = tables.Table(
                _url(self.source_proxy.folder, tables.DATABASE),
                _url(self.source.start(), tables.DATABASE),
                self.whole,
                _url(self.server.start(), database),
                catalogue,
                must_follow,
            )
        return Place(home, url, self.folder / "catalogue", [self.whole, *later], table)

    def _step(self, step: Step, database: str, home: Path, elsewhere: Path | None = None) -> Told:
        began, fault = time.monotonic(), step.fault
        if self.source is None:
            catalogues.place(self.catalogues[step.catalogue], self.whole, self.folder / "catalogue")
        else:
            tables.become(self.source, self.catalogues[step.catalogue], notifies=self._notifies)
        place = self._place(database, home, step.catalogue, must_follow=fault.kind in FOLLOWED_THROUGH)
        self._processes = []
        proxies = [each for each in (self.proxy, self.source_proxy) if each is not None]
        struck_at = proxies[-1] if fault.kind in OF_TABLES else self.proxy
        for each in proxies:
            each.arm(None)
        strike = striking(
            fault, self.server, struck_at, lambda: [each.pid or 0 for each in self._processes], self.source
        )
        struck_at.arm(strike, fault.at, commits=fault.kind == "lost")
        started = [self._start(step.action, place)]
        if fault.kind == "twice":
            started.append(self._start(step.action, place))
        elif fault.kind == "beside" and fault.other is not None:
            started.append(self._start(fault.other, place))
        elif fault.kind == "elsewhere" and elsewhere is not None:
            elsewhere.mkdir(mode=0o700, exist_ok=True)
            started.append(self._start(step.action, self._place(database, elsewhere, step.catalogue)))
        ended = [self._ended(process, pipe, database) for process, pipe in started]
        struck, statements = struck_at.struck or fault.kind in TOGETHER, self.proxy.statements
        asked = 0 if self.source_proxy is None else self.source_proxy.statements
        for each in proxies:
            each.arm(None)
            each.end_all()
        self.server.free()
        self._settle(database)
        worst = next((each for each in ended if each is None or each.outcome == "unforeseen"), ended[0])
        return Told(step, worst, struck, statements, time.monotonic() - began, asked)

    def _ended(self, process: BaseProcess, pipe: Any, database: str) -> Ended | None:
        found, hung = None, ""
        try:
            if pipe.poll(STEP_SECONDS):
                found = pipe.recv()
                process.join(20)
                hung = "its process did not end" if process.is_alive() else ""
            else:
                hung = f"it hung for {STEP_SECONDS} s"
        except (EOFError, OSError):
            process.join(20)
        if hung:
            found = Ended("unforeseen", "\n".join([hung, *self._hanging(process, database)]))
            kill(process.pid or 0)
        return found

    def _hanging(self, process: BaseProcess, database: str) -> list[str]:
        """Where a process is, thread by thread, and what the server waits for."""
        log = self.folder / "steps.log"
        before = log.stat().st_size
        os.kill(process.pid or 0, signal.SIGUSR1)
        time.sleep(1)
        with log.open("rb") as file:
            file.seek(before)
            said = file.read().decode(errors="replace").splitlines()
        with suppress(psycopg.Error), self.server.connect(database, start=False) as conn:
            said += [" ".join(map(str, row)) for row in conn.execute(_UNDER_WAY, (database,)).fetchall()]
        return said

    def _start(self, action: str, place: Place) -> tuple[BaseProcess, Any]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=steps.perform, args=(theirs, action, place, self.folder / "steps.log"), daemon=True
        )
        process.start()
        theirs.close()
        self._processes.append(process)
        return process, ours

    def _settle(self, database: str) -> None:
        """Wait until the server takes connections, and nothing of the step is under way in it any more."""
        deadline = time.monotonic() + 30
        while True:
            try:
                with self.server.connect(database) as conn:
                    while time.monotonic() < deadline:
                        row = conn.execute(_OF_THE_STEP, (database,)).fetchone()
                        if row == (0,):
                            return
                        time.sleep(0.01)
                return
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _url(folder: Path, database: str) -> str:
    where = {"host": str(folder), "port": str(PORT), "user": USER, "dbname": database}
    return "postgresql:///?" + urlencode(where, quote_via=quote)


_UNDER_WAY = """
SELECT pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 100) FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid()
"""

_OF_THE_STEP = """
SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND application_name LIKE 'fashion%%'
"""


def _said(told: Told) -> str:
    how = (
        "killed" if told.ended is None else f"{told.ended.outcome}: {told.ended.said.splitlines()[-1][:110]}"
    )
    asked = f", {told.asked} to the source" if told.asked else ""
    return f"{how} ({told.statements} statements{asked}, {told.seconds:.1f} s{'' if told.struck or told.step.fault.kind == 'none' else ', it did not strike'})"


def summary(results: Collection[Result]) -> dict[str, Any]:
    """How many schedules, steps and faults there were, and which broke something."""
    faults = Counter(
        told.step.fault.kind
        for each in results
        for told in each.steps
        if told.struck and told.step.fault.kind != "none"
    )
    return {
        "schedules": len(results),
        "steps": sum(len(each.steps) for each in results),
        "faults": dict(sorted(faults.items())),
        "did_not_strike": sum(
            not told.struck and told.step.fault.kind != "none" for each in results for told in each.steps
        ),
        "answers": sum(each.answers for each in results),
        "writes": sum(each.writes for each in results),
        "seconds": round(sum(each.seconds for each in results), 1),
        "broken": {each.schedule.seed: each.wrong for each in results if each.wrong},
    }
