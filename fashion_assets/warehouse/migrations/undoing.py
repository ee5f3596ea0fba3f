"""Undoing steps with their data kept: what a former version has no place for lies in a schema of its own until the step is done again.

What belongs here: what each step's undoing would lose, putting it aside, putting it back. What does not: the steps (`versions`).

A step that is added says here what its undoing loses; a test undoes and repeats each on tables that are full.
"""

from typing import TYPE_CHECKING, LiteralString, NamedTuple

from fashion_assets.warehouse.schemas import OPS

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEPT = f"{OPS}_kept"
"""The schema. It is there only while something is in it."""


class Loses(NamedTuple):
    """What of a table is gone when a step is undone."""

    table: LiteralString
    key: tuple[LiteralString, ...]
    """Rows of equal values there are one another's: what is put back takes the place of what came meanwhile."""
    where: LiteralString = "true"
    """Which of its rows."""
    columns: tuple[LiteralString, ...] = ()
    """Only these columns, of rows that stay; none: the rows."""


LOST: dict[str, tuple[Loses, ...]] = {
    "0001": (),  # the bookkeeping itself: undone, nothing is installed any more
    "0002": (Loses("benchmarks", ("release", "name")),),
    # The counts of vectors are made anew of the releases that stand.
    "0003": (Loses("spaces", ("space",), "fingerprint IS NULL", ("fingerprint",)),),
    "0004": (Loses("releases", ("release",), "replaced IS NOT NULL", ("replaced",)),),
    "0005": (),  # comments, which the step itself writes
    "0008": (
        Loses("release_spaces", ("release",)),
        Loses(
            "release_batches",
            ("release", "batch"),
            columns=("without_picture", "without_vector", "refused_vectors"),
        ),
    ),
    "0009": (
        Loses("batch_files", ("batch",)),
        Loses("declared_tables", ("source", "name")),
        Loses("release_tables", ("release", "source", "name")),
        Loses("quarantine", ("source", "listing_key"), "release IS NOT NULL"),
    ),
    "0010": (),  # comments
    "0011": (
        Loses("changes", ("change",)),
        Loses("syncs", ("sync",)),
        Loses(
            "releases",
            ("release",),
            columns=("revision", "made_with", "tables_version", "build_seconds", "has_changes_before"),
        ),
        Loses("sources", ("name",), columns=("has_changes_before",)),
    ),
    "0012": (Loses("releases", ("release",), columns=("approved_at", "approved_by", "approved_why")),),
    "0013": (Loses("searches", ("day", "release", "kind", "words")),),
    "0014": (Loses("api_keys", ("key",)),),
    "0015": (Loses("releases", ("release",), columns=("replaced_vectors",)),),
    "0016": (
        Loses("merchandising", ("whole",)),
        Loses("synonyms", ("synonym",)),
        Loses("search_rules", ("rule",)),
    ),
    "0017": (
        Loses("feedback", ("person", "product_id")),
        Loses("feedback_events", ("event",)),
        Loses("searches", ("day", "release", "kind", "words"), "clicks > 0", ("clicks", "places")),
    ),
    "0018": (Loses("batch_files", ("batch",), columns=("content_version",)),),
    # A spare's state is lost: a former version drops it.
    "0019": (Loses("releases", ("release",), columns=("made_from", "shared")),),
    "0020": (),
    "0021": (),
}
"""By step."""


def keep(connection: "Connection", step: str) -> None:
    """Put aside what undoing a step loses, in the caller's transaction, before it is undone."""
    from sqlalchemy import text

    for each in LOST[step]:
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{KEPT}"'))
        connection.execute(
            text(
                f'CREATE TABLE "{KEPT}"."{step}_{each.table}" AS SELECT * FROM {OPS}.{each.table} WHERE {each.where}'
            )
        )


def put_back(connection: "Connection", step: str) -> None:
    """Put back what was kept when a step was undone, in the caller's transaction, once it is done again. Rows of releases that are
    gone by now stay away."""
    from sqlalchemy import inspect, text

    there = inspect(connection).get_table_names(schema=KEPT)
    for each in LOST[step]:
        name = f"{step}_{each.table}"
        if name not in there:
            continue
        kept = f'"{KEPT}"."{name}"'
        same = " AND ".join(f"t.{column} = k.{column}" for column in each.key)
        if each.columns:
            given = ", ".join(f"{column} = k.{column}" for column in each.columns)
            connection.execute(text(f"UPDATE {OPS}.{each.table} t SET {given} FROM {kept} k WHERE {same}"))
        else:
            columns = [column["name"] for column in inspect(connection).get_columns(name, schema=KEPT)]
            listed = ", ".join(f'"{column}"' for column in columns)
            gone = (
                f" WHERE release IS NULL OR EXISTS (SELECT FROM {OPS}.releases r WHERE r.release = k.release)"
                if "release" in columns
                else ""
            )
            connection.execute(text(f"DELETE FROM {OPS}.{each.table} t USING {kept} k WHERE {same}"))
            connection.execute(
                text(
                    f"INSERT INTO {OPS}.{each.table} ({listed}) OVERRIDING SYSTEM VALUE SELECT {listed} FROM {kept} k{gone}"
                )
            )
            _number_on(connection, each)
        connection.execute(text(f"DROP TABLE {kept}"))
    if there and not inspect(connection).get_table_names(schema=KEPT):
        connection.execute(text(f'DROP SCHEMA "{KEPT}"'))


def _number_on(connection: "Connection", each: Loses) -> None:
    """Have a table that numbers its rows go on behind those that were put back."""
    from sqlalchemy import text

    table, key = f"{OPS}.{each.table}", each.key[0]
    numbers = connection.execute(
        text("SELECT pg_get_serial_sequence(:table, :key)"), {"table": table, "key": key}
    ).scalar()
    if numbers is not None:
        connection.execute(
            text(f"SELECT setval(:numbers, (SELECT coalesce(max({key}), 0) + 1 FROM {table}), false)"),
            {"numbers": numbers},
        )


def is_kept(connection: "Connection") -> bool:
    """Whether anything lies aside."""
    from sqlalchemy import text

    return bool(
        connection.execute(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": KEPT}).scalar()
    )
