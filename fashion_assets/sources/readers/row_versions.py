"""Which transaction wrote a row: how a PostgreSQL table tells what changed in it, whatever its columns are.

What belongs here: the conditions. What does not: rows (`sql`).

Every row has the number of the transaction that wrote it. A poll asks for the rows of transactions from a number on, and for the number from which
the next one is to ask: that of the oldest transaction still under way. So what is committed late is not passed over, and what was seen already may
come once more. What is deleted leaves no row: that shows in how many there are.
"""

import sqlalchemy as sa


def tells(connection: sa.Connection, schema: str | None, name: str) -> bool:
    """Whether a table's rows have such a number: views have none, nor have other databases' tables."""
    if connection.dialect.name != "postgresql":
        return False
    quote = connection.dialect.identifier_preparer.quote
    asked = ".".join(quote(part) for part in (schema, name) if part)
    found = connection.execute(
        sa.text("SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass(:name)"), {"name": asked}
    ).scalar()
    return bool(found)


def position(table: sa.FromClause) -> sa.Select:
    """From which transaction on the next poll is to ask, and how many rows there are."""
    oldest = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
    return sa.select(
        sa.cast(sa.cast(oldest, sa.Text), sa.BigInteger),
        sa.select(sa.func.count()).select_from(table).scalar_subquery(),
    )


def written_from(transaction: int) -> sa.ColumnElement[bool]:
    """That a row was written by this transaction or a later one. Rows have the number's last 32 bits, which are compared by age."""
    since = sa.bindparam("since", str(transaction % 2**32), type_=sa.Text)
    return sa.text("age(xmin) <= age(CAST(CAST(:since AS text) AS xid))").bindparams(since)  # type: ignore[return-value]
