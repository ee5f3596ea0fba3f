"""What the tables of `fashion_ops` share: the schema they stand in, and how a column holds a moment.

What belongs here: what more than one of the modules beside it needs. What does not: any table.
"""

from sqlalchemy import Column, DateTime, MetaData, func

from fashion_assets.warehouse.schemas import OPS

metadata = MetaData(
    schema=OPS,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    },
)

_now = func.now()


def at(name: str, comment: str, *, nullable: bool = True, default: bool = False) -> Column:
    """A column that holds a moment; `default`: that at which its row is written."""
    return Column(
        name,
        DateTime(timezone=True),
        nullable=nullable,
        server_default=_now if default else None,
        comment=comment,
    )
