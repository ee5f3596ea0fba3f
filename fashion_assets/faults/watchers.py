"""Who uses the live release while steps and faults go on: readers who look whether answers are of one release, and people who write.

What belongs here: both, each a thread with a connection of its own that comes by no proxy. What does not: steps.
"""

import threading
import time
from typing import LiteralString, NamedTuple

import psycopg

from fashion_assets.faults.servers import Server

OF_ONE_RELEASE: LiteralString = """
SELECT (SELECT count(*) FROM fashion_sota.products),
       (SELECT count(*) FROM fashion_sota.products p FULL JOIN
           (SELECT * FROM fashion_sota.product_embeddings WHERE served) e USING (product_id)
        WHERE e.product_id IS NULL AND p.embedding IS NOT NULL OR p.product_id IS NULL),
       (SELECT count(*) FROM fashion_sota.product_style_affinity a
        WHERE NOT EXISTS (SELECT FROM fashion_sota.products p WHERE p.product_id = a.product_id))
"""
"""Products, and rows of other views that are of no product: one, and none, if the answer is of one whole release."""

FIRST: LiteralString = "SELECT * FROM fashion_sota.products ORDER BY product_id LIMIT 2"

PAUSE = 0.03


class Reader(threading.Thread):
    """Asks again and again; every answer must be whole, and of one release."""

    def __init__(self, server: Server, database: str, prepared: bool):
        super().__init__(daemon=True)
        self._server, self._database = server, database
        self._query: LiteralString = FIRST if prepared else OF_ONE_RELEASE
        self._prepared, self._ended = prepared, threading.Event()
        self.answers, self.wrong = 0, list[str]()

    def run(self) -> None:
        """Until `end`. A server that is gone, or whose disk is full, is asked again."""
        while not self._ended.is_set():
            try:
                with self._server.connect(self._database, start=False) as conn:
                    conn.execute("SET ROLE fashion_reader; SET search_path = public")
                    while not self._ended.is_set():
                        self._ask(conn)
                        time.sleep(PAUSE)
            except GONE:
                time.sleep(PAUSE)
            except psycopg.Error as error:
                self.wrong.append(f"a reader was told: {type(error).__name__}: {error}".splitlines()[0])
                time.sleep(PAUSE)

    def _ask(self, conn: psycopg.Connection) -> None:
        cursor = conn.execute(self._query, prepare=self._prepared)
        rows = cursor.fetchall()
        self.answers += 1
        if not rows:
            self.wrong.append("a reader saw no products")
        elif not self._prepared and (rows[0][0] == 0 or any(rows[0][1:])):
            self.wrong.append(f"an answer is of no one release: {rows[0]}")

    def end(self) -> None:
        self._ended.set()
        self.join(30)


GONE = (
    psycopg.OperationalError,
    psycopg.errors.DiskFull,
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.IoError,
)
"""What a server says, or no longer says, that was killed or is out of room: asking again is all there is to do."""


class Write(NamedTuple):
    """A favourite that somebody marked."""

    user: str
    release: str | None
    """Where it went; None where the answer never came: it may be there, or not."""


class Writer(threading.Thread):
    """Marks favourites by the view, as the role that may, one after another."""

    def __init__(self, server: Server, database: str):
        super().__init__(daemon=True)
        self._server, self._database = server, database
        self._ended = threading.Event()
        self.writes, self.wrong = list[Write](), list[str]()

    def run(self) -> None:
        """Until `end`."""
        number = 0
        while not self._ended.is_set():
            try:
                with self._server.connect(self._database, start=False) as conn:
                    conn.execute("SET search_path = public")
                    while not self._ended.is_set():
                        number += 1
                        self._write(conn, f"writer-{number}")
                        time.sleep(2 * PAUSE)
            except GONE:
                time.sleep(PAUSE)
            except psycopg.Error as error:
                self.wrong.append(f"a writer was told: {type(error).__name__}: {error}".splitlines()[0])
                time.sleep(PAUSE)

    def _write(self, conn: psycopg.Connection, user: str) -> None:
        unknown, place = Write(user, None), len(self.writes)
        self.writes.append(unknown)
        with conn.transaction():
            conn.execute("SET LOCAL ROLE fashion_writer")
            conn.execute(
                "INSERT INTO fashion_sota.favourites (user_id, source, external_id, record) VALUES (%s, 'people', 'x', '{}')",
                (user,),
            )
            conn.execute("RESET ROLE")
            # Whoever wrote by the view holds it, so that it cannot be led elsewhere before this transaction ends.
            row = conn.execute(WHERE_FAVOURITES_GO).fetchone()
        assert row is not None
        self.writes[place] = Write(user, row[0])

    def end(self) -> None:
        self._ended.set()
        self.join(30)


WHERE_FAVOURITES_GO: LiteralString = """
SELECT n.nspname::text FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_class'::regclass
JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> r.ev_class JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE r.ev_class = 'fashion_sota.favourites'::regclass LIMIT 1
"""
