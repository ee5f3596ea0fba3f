"""A backfill of many wardrobe documents: its speed beside a bare UPDATE, readers meanwhile, memory, kills, and the way back.

Usage: python benchmarks/backfill.py FOLDER [DOCUMENTS]

FOLDER becomes an installation with an embedded server (about 6 GB for 1,000,000 documents, the default). The documents are drawn, one in
three with the `normalized` of another system. Measured are: a bare `UPDATE` that writes a constant `normalized` into the same rows, in one
statement; a whole `fashion-assets backfill run` in a process of its own, with its memory, while two readers ask for documents by their key;
a rollback; a run that is killed ten times; and a rollback of that. Exit code 1 where a document was lost, done twice, or is not as it
was, byte for byte, after a rollback; or where memory grew by more than a tenth in the second half.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare

KILLS = 10
READERS = 2
BEFORE_SECONDS = 15
GROWTH = 1.1

DRAW = """
CREATE TABLE {table} (id text PRIMARY KEY, doc jsonb NOT NULL);
INSERT INTO {table}
SELECT md5(n::text), jsonb_build_object(
    'id', md5(n::text), 'userId', 'user-' || n % 20000, 'name', 'A loose, long, solid, smooth shirt ' || n, 'type', 'shirt', 'color', 'blue',
    'style', (ARRAY['["Classic","Minimalist","Old Money","Business Casual"]', '["casual"]', '[]', '"Casual, Formal"',
                    '["Short Sleeve","Ribbed","Preppy"]', '["avant-garde","Avant Garde"]'])[1 + n % 6]::jsonb,
    'occasion', (ARRAY['["Casual"]', '["Business","Interview","Wedding","Formal"]', '["night-out"]', '[]'])[1 + n % 4]::jsonb,
    'mood', (ARRAY['["casual"]', '[]', '["Serious","Professional"]'])[1 + n % 3]::jsonb,
    'season', (ARRAY['["spring","summer","fall"]', '["all"]', '"summer"', '["Autumn"]', '[]'])[1 + n % 5]::jsonb,
    'createdAt', 1756977354 + n, 'wearCount', n % 30, 'imageUrl', 'https://example.invalid/' || md5((n * 7)::text) || '.jpg',
    'metadata', jsonb_build_object('visualAttributes', jsonb_build_object('fit', 'Slim', 'pattern', 'Solid', 'material', 'Cotton')))
    || CASE WHEN n % 3 = 0 THEN '{{"normalized": {{"style": ["casual"], "mood": [], "normalized_at": "2025-10-07T22:23:34.573156",
                                                  "normalized_version": "1.0"}}}}'::jsonb ELSE '{{}}' END
FROM generate_series(1, {documents}) AS n;
VACUUM ANALYZE {table};
"""
BARE = """
UPDATE bare SET doc = doc || '{"normalized": {"style": ["classic", "minimalist", "old money"], "occasion": ["casual"], "mood": ["casual"],
    "season": ["summer"], "normalized_at": "2026-01-01T00:00:00Z", "normalized_version": "2.0+00000000"}}'
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("documents", type=int, nargs="?", default=1_000_000)
    given = parser.parse_args()
    settings = Settings(home=given.folder)
    prepare(settings)
    faults: list[str] = []
    with connect(settings, autocommit=True, vectors=False) as conn:
        draw(conn, "wardrobe", given.documents)
        before = digest(conn)
        bare = bare_update(conn, given.documents)
        say("bare UPDATE", documents_per_second=given.documents / bare)
        quiet = Readers(settings, given.documents)
        time.sleep(BEFORE_SECONDS)
        alone = quiet.end()
        readers = Readers(settings, given.documents)
        stats, seconds, memory = watched(given.folder, "run")
        meanwhile = readers.end()
        say(
            "run",
            documents_per_second=given.documents / seconds,
            of_a_bare_update=bare / seconds,
            splits=stats["splits"],
        )
        say("readers' p95", before_ms=alone, meanwhile_ms=meanwhile, ratio=meanwhile / alone)
        half = max(memory[: len(memory) // 2] or [0])
        say("memory", peak_of_first_half_mb=half / 2**20, peak_mb=max(memory) / 2**20)
        if max(memory) > GROWTH * half:
            faults.append("memory grew in the second half")
        if stats["total_updated"] != given.documents or stats["total_errors"]:
            faults.append(f"not every document once: {stats}")
        _, seconds, _ = watched(given.folder, "rollback")
        say("rollback", documents_per_second=given.documents / seconds)
        if digest(conn) != before:
            faults.append("the rollback is not byte for byte")
        conn.execute("VACUUM wardrobe")
        began = time.monotonic()
        places = [
            killed(conn, given.folder, given.documents * (number + 1) // (KILLS + 1))
            for number in range(KILLS)
        ]
        stats, _, _ = watched(given.folder, "run")
        say(
            "killed",
            times=KILLS,
            seconds=time.monotonic() - began,
            at=str(places),
            updated=stats["total_updated"],
        )
        if stats["total_updated"] != given.documents or stats["total_processed"] != given.documents:
            faults.append(f"killed, not every document once: {stats}")
        watched(given.folder, "rollback")
        if digest(conn) != before:
            faults.append("the rollback after kills is not byte for byte")
        say("digest", before=str(before[0]), after=str(digest(conn)[0]))
    for fault in faults:
        print(f"FAULT: {fault}")
    return bool(faults)


def draw(conn: Connection, table: str, documents: int) -> None:
    conn.execute("DROP SCHEMA IF EXISTS fashion_backfill CASCADE")
    conn.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in DRAW.format(table=table, documents=documents).split(";\n"):
        if statement.strip():
            conn.execute(statement)
    row = conn.execute(f"SELECT pg_table_size('{table}')").fetchone()
    assert row is not None
    say("drawn", documents=documents, mb=row[0] / 2**20)


def bare_update(conn: Connection, documents: int) -> float:
    """Seconds of the one statement, on a copy of the table."""
    conn.execute("DROP TABLE IF EXISTS bare")
    conn.execute("CREATE TABLE bare AS TABLE wardrobe")
    conn.execute("ALTER TABLE bare ADD PRIMARY KEY (id)")
    conn.execute("VACUUM ANALYZE bare")
    conn.execute("CHECKPOINT")
    began = time.monotonic()
    conn.execute(BARE)
    seconds = time.monotonic() - began
    conn.execute("DROP TABLE bare")
    conn.execute("CHECKPOINT")
    return seconds


def digest(conn: Connection) -> tuple[Any, ...]:
    """Of every key and document as the database writes it."""
    row = conn.execute(
        "SELECT sum(hashtextextended(id || doc::text, 0)::numeric), count(*) FROM wardrobe"
    ).fetchone()
    assert row is not None
    return row


class Readers:
    """Threads that ask for documents by their key."""

    def __init__(self, settings: Settings, documents: int) -> None:
        self._ends = threading.Event()
        self._seconds: list[float] = []
        self._threads = [
            threading.Thread(target=self._read, args=(settings, documents, number))
            for number in range(READERS)
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, settings: Settings, documents: int, seed: int) -> None:
        draws = random.Random(seed)
        with connect(settings, autocommit=True, vectors=False) as conn:
            while not self._ends.is_set():
                began = time.perf_counter()
                conn.execute(
                    "SELECT doc FROM wardrobe WHERE id = md5(%s)", (str(draws.randint(1, documents)),)
                ).fetchone()
                self._seconds.append(time.perf_counter() - began)
                time.sleep(0.005)

    def end(self) -> float:
        """p95 in milliseconds."""
        self._ends.set()
        for thread in self._threads:
            thread.join()
        return 1000 * sorted(self._seconds)[int(0.95 * len(self._seconds))]


def started(folder: Path, way: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "fashion_assets",
        "backfill",
        way,
        "--home",
        str(folder),
        "--json",
        "--output",
        str(folder / "left"),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def watched(folder: Path, way: str) -> tuple[dict[str, Any], float, list[int]]:
    """What it says, its seconds, and its memory each half a second."""
    began, memory = time.monotonic(), list[int]()
    process = started(folder, way)
    seen = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            memory.append(seen.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.5)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"backfill {way} failed: {process.returncode}")
    return json.loads(out), time.monotonic() - began, memory


def killed(conn: Connection, folder: Path, behind: int) -> int:
    """Kill a run once so many documents are through; how many were."""
    process = started(folder, "run")
    while True:
        row = None
        if conn.execute("SELECT to_regclass('fashion_backfill.backfills')").fetchone() != (None,):
            row = conn.execute(
                "SELECT coalesce((counts->>'processed')::int, 0) FROM fashion_backfill.backfills WHERE way = 'run' AND state = 'running'"
            ).fetchone()
        if process.poll() is not None or (row and row[0] >= behind):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return row[0] if row else -1
        time.sleep(0.02)


def say(what: str, **figures: Any) -> None:
    told = ", ".join(
        f"{name} {value:,.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )
    print(f"{what}: {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
