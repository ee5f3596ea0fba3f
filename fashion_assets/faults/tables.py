"""A source that is a table of another server's, which other people write to while it is followed.

What belongs here: making the table, having it become another catalogue, writing to it, and which of what was written the live release lacks. What
does not: when (`steps`), what befalls its server (`striking`).
"""

import csv
import random
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.faults.servers import Server

DATABASE, TABLE = "shop", sql.Identifier("products")
CHANGES = 12
LATE_SECONDS = 0.3
"""How long one transaction in three is kept open behind its change, while others commit."""

LATER_SECONDS = 0.15
"""At most between two changes."""

MARK = re.compile(r"\bNew\d+\b")

_TELLS = """
CREATE FUNCTION tell_of_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY fashion_assets; RETURN NULL; END $$;
CREATE TRIGGER tell_of_changes AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON products
FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes();
"""


class Table(NamedTuple):
    """A source's table, as a step knows it."""

    url: str
    """By which the product reads it: through a proxy."""
    direct: str
    """By which others write to it, as libpq takes it."""
    pictures: Path
    product: str
    """The product's own database, by no proxy, as libpq takes it."""
    seed: int
    must_follow: bool
    """Whether what is written while it is watched must be seen, whatever else the step's fault does."""


def make(server: Server, catalogue: Path) -> None:
    """The table, with a catalogue's columns; still empty."""
    server.copy("template0", DATABASE)
    header, _ = _read(catalogue)
    columns = [sql.SQL("{} text").format(sql.Identifier(name)) for name in header[1:]]
    with server.connect(DATABASE) as conn:
        conn.execute(
            sql.SQL("CREATE TABLE {} (id text PRIMARY KEY, {})").format(TABLE, sql.SQL(", ").join(columns))
        )
        conn.execute(_TELLS)


def become(server: Server, catalogue: Path, *, notifies: bool) -> None:
    """Have the table hold this catalogue; rows that are the same stay untouched. `notifies`: whether it tells of changes from now on."""
    header, rows = _read(catalogue)
    names = [sql.Identifier(name) for name in header[1:]]
    with server.connect(DATABASE) as conn, conn.transaction():
        conn.execute(
            sql.SQL("ALTER TABLE {} {} TRIGGER tell_of_changes").format(
                TABLE, sql.SQL("ENABLE" if notifies else "DISABLE")
            )
        )
        conn.execute(sql.SQL("CREATE TEMP TABLE wanted (LIKE {}) ON COMMIT DROP").format(TABLE))
        with conn.cursor() as cursor, cursor.copy("COPY wanted FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        conn.execute(
            sql.SQL("DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM wanted w WHERE w.id = t.id)").format(
                TABLE
            )
        )
        conn.execute(
            sql.SQL(
                "INSERT INTO {table} AS t SELECT * FROM wanted ON CONFLICT (id) DO UPDATE SET {set} "
                "WHERE to_jsonb(t) <> to_jsonb(excluded)"
            ).format(
                table=TABLE,
                set=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in names),
            )
        )


def _read(catalogue: Path) -> tuple[list[str], list[tuple[str | None, ...]]]:
    """Columns and rows of `styles.csv`: of each id the first, damaged lines as far as they go."""
    with (catalogue / "styles.csv").open(newline="", encoding="utf-8", errors="replace") as file:
        header, *lines = csv.reader(file)
    rows: dict[str, tuple[str | None, ...]] = {}
    for line in lines:
        key = line[0].strip() if line else ""
        if key:
            whole = (line + [""] * len(header))[1 : len(header)]
            rows.setdefault(key, (key, *(each or None for each in whole)))
    return header, list(rows.values())


class Writing:
    """People who change, delete and add rows of a table, some of whom commit late."""

    def __init__(self, table: Table):
        self._table = table
        self._chance = random.Random(table.seed)
        self._touched: set[str] = set()
        self._busy: set[str] = set()
        """Rows that a transaction still open has locked."""

    def go(self) -> None:
        """All of their changes; those that find no server are left out."""
        late: list[threading.Thread] = []
        for number in range(CHANGES):
            with suppress(psycopg.OperationalError):
                self._change(number, late)
            time.sleep(self._chance.uniform(0.01, LATER_SECONDS))
        for each in late:
            each.join()

    def _change(self, number: int, late: list[threading.Thread]) -> None:
        is_late, what = self._chance.random() < 1 / 3, self._chance.random()
        with psycopg.connect(self._table.direct) as conn:
            keys = [key for (key,) in conn.execute(sql.SQL("SELECT id FROM {} ORDER BY id").format(TABLE))]
            conn.commit()
        key = self._chance.choice([key for key in keys if key not in self._busy])
        if what < 0.2:
            statement = sql.SQL("DELETE FROM {} WHERE id = {}").format(TABLE, sql.Literal(key))
        elif what < 0.4:
            statement = sql.SQL(
                "INSERT INTO {0} SELECT (jsonb_populate_record(t, jsonb_build_object('id', {1}::text))).* FROM {0} t WHERE id = {2}"
            ).format(TABLE, sql.Literal(f"99{number:04}"), sql.Literal(key))
            self._touched.add(f"99{number:04}")
        else:
            statement = sql.SQL(
                'UPDATE {} SET "productDisplayName" = split_part("productDisplayName", {}, 1) || {} WHERE id = {}'
            ).format(TABLE, sql.Literal(" New"), sql.Literal(f" New{number}"), sql.Literal(key))
        self._touched.add(key)
        if not is_late:
            self._commit(statement, 0)
            return
        self._busy.add(key)
        late.append(threading.Thread(target=self._late, args=(statement, key), daemon=True))
        late[-1].start()

    def _late(self, statement: sql.Composed, key: str) -> None:
        with suppress(psycopg.OperationalError):
            self._commit(statement, LATE_SECONDS)
        self._busy.discard(key)

    def _commit(self, statement: sql.Composed, later: float) -> None:
        with psycopg.connect(self._table.direct) as conn:
            conn.execute(statement)
            time.sleep(later)

    def lacking(self, seconds: float) -> list[str]:
        """What the live release still lacks of all this after so many seconds at the latest."""
        deadline, found = time.monotonic() + seconds, ["neither could be asked"]
        while found and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                found = self._differing()
            time.sleep(0.05)
        return found

    def _differing(self) -> list[str]:
        keys = sorted(self._touched)
        with psycopg.connect(self._table.direct) as conn:
            theirs = _titles(
                conn,
                sql.SQL('SELECT id, "productDisplayName" FROM {} WHERE id = ANY(%s)').format(TABLE),
                keys,
            )
        with psycopg.connect(self._table.product) as conn:
            ours = _titles(
                conn,
                sql.SQL("SELECT external_id, title FROM fashion_sota.products WHERE external_id = ANY(%s)"),
                keys,
            )
            rejected = _titles(
                conn,
                sql.SQL(
                    "SELECT external_id, NULL FROM fashion_ops.quarantine q JOIN fashion_ops.releases r "
                    "ON r.state = 'live' AND coalesce(q.release, r.release) = r.release WHERE external_id = ANY(%s)"
                ),
                keys,
            )
        return [
            f"{key} is {theirs.get(key, 'gone')!r} in the table, and {ours.get(key, 'gone')!r} in the live release"
            for key in keys
            if not _same(key, theirs, ours, rejected)
        ]


def _same(
    key: str, theirs: dict[str, str | None], ours: dict[str, str | None], rejected: dict[str, Any]
) -> bool:
    if key not in theirs:
        return key not in ours
    if key not in ours:
        return key in rejected
    return _mark(theirs[key]) == _mark(ours[key])


def _mark(title: str | None) -> str | None:
    found = MARK.search(title or "")
    return found[0] if found else None


def _titles(
    conn: psycopg.Connection, query: sql.SQL | sql.Composed, keys: Sequence[str]
) -> dict[str, str | None]:
    return dict(conn.execute(query, (keys,)).fetchall())
