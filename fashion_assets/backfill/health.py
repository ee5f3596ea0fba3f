"""Whether the server has breath for a backfill: who waits for locks, how far standbys are behind, how long transactions last.

What belongs here: the signs and their limits. What does not: waiting (`walk`).
"""

from dataclasses import dataclass

from psycopg import sql

from fashion_assets.postgres.connections import Connection


@dataclass(frozen=True)
class Limits:
    """Beyond any of these a backfill waits. 0: that sign does not count."""

    lock_waits: int = 5
    """Sessions of the database that wait for a lock, whoever holds it."""
    lag_seconds: float = 10
    """By which a standby lags behind."""
    transaction_seconds: float = 600
    """Age of the oldest other transaction: while it lasts no row version that a backfill leaves behind can be cleaned up."""


@dataclass(frozen=True)
class Signs:
    """What the server shows at one moment."""

    lock_waits: int
    lag_seconds: float
    transaction_seconds: float

    def complaints(self, limits: Limits) -> list[str]:
        """What is beyond its limit, in words."""
        said = []
        if limits.lock_waits and self.lock_waits > limits.lock_waits:
            said.append(f"{self.lock_waits} sessions wait for locks (at most {limits.lock_waits})")
        if limits.lag_seconds and self.lag_seconds > limits.lag_seconds:
            said.append(f"a standby lags {self.lag_seconds:,.0f} s behind (at most {limits.lag_seconds:g})")
        if limits.transaction_seconds and self.transaction_seconds > limits.transaction_seconds:
            said.append(
                f"a transaction is {self.transaction_seconds:,.0f} s old (at most {limits.transaction_seconds:g})"
            )
        return said


# Of other roles' sessions and of standbys only a member of pg_monitor sees all; what is hidden counts as none.
_SIGNS = sql.SQL(
    """
    SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
           coalesce((SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication), 0)::float8,
           coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE state <> 'idle'), 0)::float8
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    """
)


def signs(conn: Connection) -> Signs:
    """What the server shows now; about a millisecond."""
    row = conn.execute(_SIGNS).fetchone()
    assert row is not None
    return Signs(*row)
