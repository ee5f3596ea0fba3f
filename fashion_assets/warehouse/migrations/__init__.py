"""The versioned steps that make and change the `fashion_ops` schema, in order, run by Alembic.

What belongs here: one file in `versions` for each step, never changed once released, and running them. What
does not: the tables' definition (`warehouse.tables`), and deciding when to migrate (`warehouse.database`).
"""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fashion_assets.warehouse.schemas import OPS, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0021"
"""The newest version. Known without importing Alembic, so that looking whether there is anything to do is
cheap."""


def _configuration() -> "Config":
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def upgrade(connection: "Connection", revision: str = "head") -> None:
    """Run every missing step, in the caller's transaction, and put back what was kept when one was undone."""
    from alembic import command

    from fashion_assets.warehouse.migrations import undoing

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    if not undoing.is_kept(connection):
        command.upgrade(configuration, revision)
        return
    done, wanted = version(connection), HEAD if revision == "head" else revision
    for step in steps():
        if (done is None or step > done) and step <= wanted:
            command.upgrade(configuration, step)
            undoing.put_back(connection, step)


def undo(connection: "Connection", revision: str) -> list[str]:
    """Undo the steps after `revision`, the last first, in the caller's transaction. What a former version has no place for is kept, and
    put back when the step is done again. Returns the steps that were undone, in that order."""
    from fashion_assets.warehouse.migrations import undoing

    done = version(connection)
    undone = []
    known = steps()
    for before, step in reversed(list(pairwise(known))):
        if done is not None and revision < step <= done:
            undoing.keep(connection, step)
            downgrade(connection, before)
            undone.append(step)
    return undone


def version(connection: "Connection") -> str | None:
    """The newest step that is done; None where none is."""
    from alembic.migration import MigrationContext

    opts = {"version_table": VERSION_TABLE, "version_table_schema": OPS}
    return MigrationContext.configure(connection, opts=opts).get_current_revision()


def downgrade(connection: "Connection", revision: str) -> None:
    """Undo the steps after `revision` ("base" undoes all), in reverse order, in the caller's transaction."""
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.downgrade(configuration, revision)


def differences(connection: "Connection") -> list[str]:
    """How the database differs from `warehouse.tables`; empty if it is exactly as it should be."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from fashion_assets.warehouse.tables import metadata

    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": lambda name, kind, parents: kind != "schema" or name == OPS,
            "version_table": VERSION_TABLE,
            "version_table_schema": OPS,
            "compare_type": True,
        },
    )
    return [str(difference) for difference in compare_metadata(context, metadata)]


def steps() -> list[str]:
    """Every version, oldest first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_configuration())
    return [step.revision for step in script.walk_revisions()][::-1]
