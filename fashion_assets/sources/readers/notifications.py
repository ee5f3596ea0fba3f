"""Being told by a PostgreSQL server that something changed (`LISTEN`, `NOTIFY`).

What belongs here: listening. What does not: what changed (`row_versions`), when that is asked (`fashion_assets.watching`).

A notification says that it is time to ask, and nothing else: it is lost where nobody listens, where the connection breaks, behind a pooler that
shares sessions. So whoever is told asks now and then all the same.
"""

import threading
from collections.abc import Iterator

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import exc

LOOK_SECONDS = 0.5
"""How soon `stop` is seen."""

ASKED_SECONDS = 15.0
"""How often the server is asked whether it is still there, while it says nothing."""


def notified(engine: sa.Engine, channel: str, stop: threading.Event) -> Iterator[bool]:
    """Yields False once it listens, and True whenever it was notified, however often at once. Ends when `stop` is set, and at once where the
    database knows no channels. Raises SQLAlchemy's errors."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        listening = connection.connection.driver_connection
        if not isinstance(listening, psycopg.Connection):
            return
        # Not one that whoever asks next may be given.
        connection.detach()
        try:
            listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield False
            silent = 0.0
            while not stop.is_set():
                # The first one that comes ends the wait; those that come with it say the same.
                if list(listening.notifies(timeout=LOOK_SECONDS, stop_after=1)):
                    silent = 0.0
                    yield True
                    continue
                silent += LOOK_SECONDS
                if silent >= ASKED_SECONDS:
                    silent = 0.0
                    listening.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise exc.OperationalError(None, None, error, connection_invalidated=True) from error
