"""What the database alone does with the engine's own statements: the engine beside `pgbench`, in one sitting.

What belongs here: taking down what an engine sends, running it with `pgbench`, the ratio. What does not: thresholds
(`criteria`), the engine's own latency (`latency`).
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import abc
from psycopg.adapt import PyFormat, Transformer

from fashion_assets.benchmarks.latency import SECONDS, Callers, Kind, questions
from fashion_assets.benchmarks.results import Row
from fashion_assets.errors import FashionAssetsError
from fashion_assets.machine import usable_cores
from fashion_assets.postgres import server
from fashion_assets.search.answering import Answering
from fashion_assets.search.meaning import Encoders
from fashion_assets.search.query import Query
from fashion_assets.search.reading import Statement, settle
from fashion_assets.search.work import Beside, Compute, Once, Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release

BENCHED: tuple[Kind, ...] = ("vector", "hybrid")
"""Kinds with a goal of their own (B6)."""

QUESTIONS = 50
"""Scripts of one kind; pgbench draws one at random each time, and takes 128 at the most."""

CONCURRENCY = 8
"""Callers at once: enough to keep two cores busy, few enough that latency is not all waiting."""

_PLACEHOLDER = re.compile(rb"%\((\w+)\)s")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([1-9]\d*)", re.MULTILINE)


class PgbenchError(FashionAssetsError):
    """pgbench could not run, or its transactions failed; the message has what it said."""


def measure_pgbench(
    settings: Settings,
    conn: psycopg.Connection,
    release: Release,
    program: Path,
    *,
    kinds: Sequence[Kind] = BENCHED,
    concurrency: int = CONCURRENCY,
    seconds: float = SECONDS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """Queries a second of the engine and of `program`, a pgbench, with the same questions, statements, settings and
    round trips; rows: `kind`, `concurrency`, `engine_qps`, `pgbench_qps`, `ratio` (engine/pgbench).

    pgbench sends each statement prepared, with its values as parameters, in one pipeline, as the engine does; it reads
    no answer and embeds no words. Raises `PgbenchError`.
    """
    rows = []
    parameters = server.parameters(settings)
    answering = Answering(settings, Encoders(settings), curated=False)
    with Callers(settings, concurrency) as callers:
        for kind in kinds:
            asked = [
                question
                for question in questions(conn, release, kind, QUESTIONS, seed)
                if isinstance(question, Query)
            ]
            if not asked:
                continue
            progress(kind)
            reads = [_sent(conn, answering, question) for question in asked]
            callers.learn(asked)
            progress(f"{kind}, engine")
            engine = callers.ask(concurrency, seconds).row(kind, concurrency)["qps"]
            progress(f"{kind}, pgbench")
            alone = run(program, conn, parameters, reads, concurrency, seconds)
            rows.append(
                {
                    "kind": kind,
                    "concurrency": concurrency,
                    "engine_qps": engine,
                    "pgbench_qps": alone,
                    "ratio": engine / alone,
                }
            )
    return rows


def _sent(conn: psycopg.Connection, answering: Answering, question: Query) -> Read:
    """What the engine sends for a question once it knows the release and the words."""
    sent: list[Read] = []
    for _ in range(2):
        sent.clear()
        _drive(conn, answering.search(question), sent)
    return sent[-1]


def _drive(conn: psycopg.Connection, work: Work[Any], sent: list[Read]) -> Any:
    """Carry out a search's work over a connection of ours, and note what is sent."""
    answer: Any = None
    try:
        while True:
            step = work.send(answer)
            if isinstance(step, Compute):
                answer = step.make()
            elif isinstance(step, Once):
                known = step.known()
                answer = _drive(conn, step.work(), sent) if known is None else known
            elif isinstance(step, Beside):
                _drive(conn, step.work(), sent)
                answer = True
            else:
                sent.append(step)
                answer = list(_answers(conn, step))
    except StopIteration as end:
        return end.value


def _answers(conn: psycopg.Connection, step: Read) -> Iterator[list[tuple]]:
    with conn.transaction(force_rollback=True), conn.cursor(binary=True) as cursor:
        for place, statement in enumerate([settle(step.settings, lasting=False), *step.statements]):
            cursor.execute(statement.text, statement.parameters)
            if place:
                yield cursor.fetchall()


def run(
    program: Path,
    conn: psycopg.Connection,
    parameters: Mapping[str, str],
    reads: Sequence[Read],
    concurrency: int,
    seconds: float,
) -> float:
    """Transactions a second of pgbench with so many callers, each transaction a read drawn at random. `conn` knows how
    values are written. Raises `PgbenchError`."""
    dumping = Transformer(conn)
    command = [str(program), "--no-vacuum", "--protocol=prepared", f"--client={concurrency}"]
    command += [f"--jobs={min(concurrency, usable_cores())}", f"--time={max(1, round(seconds))}"]
    with tempfile.TemporaryDirectory(prefix="pgbench-") as folder:
        for number, read in enumerate(reads):
            path = Path(folder, f"{number}.sql")
            lines = [b"\\startpipeline"]
            for place, statement in enumerate([settle(read.settings, lasting=False), *read.statements]):
                text, values = _as_script(dumping, f"q{number}_{place}_", statement)
                lines.append(text.strip() + b";")
                command += [f"--define={name}={value}" for name, value in values.items()]
            path.write_bytes(b"\n".join([*lines, b"\\endpipeline\n"]))
            command.append(f"--file={path}")
        environment = os.environ | {
            _ENVIRONMENT[name]: value for name, value in parameters.items() if name in _ENVIRONMENT
        }
        environment["PGOPTIONS"] = "-c default_transaction_read_only=on"
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rate = _RATE.search(ran.stdout)
    if ran.returncode or rate is None or _FAILED.search(ran.stdout) or not float(rate[1]):
        raise PgbenchError(f"pgbench failed: {(ran.stderr or ran.stdout).strip()[-2000:]}")
    return float(rate[1])


_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
}
"""Connection parameters of the embedded server, as libpq reads them from the environment."""


def _as_script(dumping: abc.Transformer, prefix: str, statement: Statement) -> tuple[bytes, dict[str, str]]:
    """The statement as pgbench takes it, and its values in Postgres's text form by variable. NULL and empty text, which no
    variable can be, stand in the text."""
    texts = {
        name: bytes(dumping.get_dumper(value, PyFormat.TEXT).dump(value) or b"").decode()
        for name, value in statement.parameters.items()
        if value is not None
    }

    def variable(found: re.Match[bytes]) -> bytes:
        text = texts.get(name := found[1].decode())
        return b"NULL" if text is None else f":{prefix}{name}".encode() if text else b"''"

    text = _PLACEHOLDER.sub(variable, statement.text).replace(b"%%", b"%")
    return text, {f"{prefix}{name}": value for name, value in texts.items() if value}
