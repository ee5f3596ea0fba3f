"""The three roles: the owner, who this is, the reader, the writer; whether each may do what it is for, and no more.

What belongs here: looking at rights. What does not: giving them (`warehouse.reader`, `warehouse.writer`, `warehouse.release_tables`).
"""

from typing import Any, NamedTuple

import psycopg

from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.settings import Settings
from fashion_assets.warehouse.reader import missing_grant, searches_as_owner
from fashion_assets.warehouse.schemas import DAGSTER, OPS, SERVING
from fashion_assets.warehouse.serving import SERVED
from fashion_assets.warehouse.writer import WRITTEN

GIVE = "fashion-assets migrate gives the roles their rights again."


class Rights(NamedTuple):
    """What a role may do."""

    may_use: bool
    """The serving schema."""
    unread: list[str]
    """Serving views of which it may read no column."""
    private: list[str]
    """Private columns that it may read, as `users.email`."""
    written: list[str]
    """Views it may write to."""
    unwritten: list[str]
    """Views it may not write to as people do: insert, update, delete."""
    inside: list[str]
    """Schemas of the product's own that it may use."""
    is_mighty: bool
    """Whether it is a superuser, or may make roles or databases, or pass row security by."""


def rights_of(conn: psycopg.Connection[Any], role: str) -> Rights | None:
    """What a role may do; None where there is none of the name."""
    row = conn.execute(
        """
        SELECT coalesce(has_schema_privilege(oid, to_regnamespace(%(serving)s), 'USAGE'), false),
               rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls,
               ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname IN (%(ops)s, %(dagster)s)
                     AND has_schema_privilege(r.oid, pg_namespace.oid, 'USAGE') ORDER BY 1)
        FROM pg_roles r WHERE rolname = %(role)s
        """,
        {"serving": SERVING, "ops": OPS, "dagster": DAGSTER, "role": role},
    ).fetchone()
    if row is None:
        return None
    may_use, is_mighty, inside = row
    views = conn.execute(
        """
        SELECT c.relname::text, has_any_column_privilege(%(role)s, c.oid, 'SELECT'),
               has_any_column_privilege(%(role)s, c.oid, 'INSERT') OR has_any_column_privilege(%(role)s, c.oid, 'UPDATE')
               OR has_table_privilege(%(role)s, c.oid, 'DELETE'),
               has_any_column_privilege(%(role)s, c.oid, 'INSERT') AND has_any_column_privilege(%(role)s, c.oid, 'UPDATE')
               AND has_table_privilege(%(role)s, c.oid, 'DELETE'),
               ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                     AND has_column_privilege(%(role)s, c.oid, a.attnum, 'SELECT'))
        FROM pg_class c WHERE c.relnamespace = to_regnamespace(%(serving)s) AND c.relkind = 'v' AND c.relname = ANY(%(views)s)
        ORDER BY 1
        """,
        {"role": role, "serving": SERVING, "views": list(SERVED)},
    ).fetchall()
    return Rights(
        may_use,
        [view for view, read, *_ in views if not read],
        [
            f"{view}.{column}"
            for view, *_, columns in views
            for column in columns
            if column in SERVED[view].private
        ],
        [view for view, _, some, *_ in views if some],
        [view for view, _, _, whole, _ in views if not whole],
        inside,
        is_mighty,
    )


def of_reader(role: str, rights: Rights | None, grant: str | None = None) -> list[Finding]:
    """Whether the role that reads reads what is served, and nothing else. `grant`: what would let searches become it."""
    if rights is None:
        return [mend("reader", f"there is no role {role}, which reads what is served", GIVE)]
    findings = _too_much("reader", role, rights, may_write=())
    if not rights.may_use or rights.unread:
        what = ", ".join(rights.unread) or f"the schema {SERVING}"
        findings.append(mend("reader", f"{role} may not read {what}", GIVE))
    if grant is not None:
        findings.append(note("reader", searches_as_owner(role, grant).partition(": ")[0], f"`{grant}`"))
    return findings or [well("reader", f"{role} may read what is served, and nothing else")]


def of_writer(role: str, rights: Rights | None) -> list[Finding]:
    """Whether the role that writes writes what people write, and nothing else."""
    if rights is None:
        return [
            note(
                "writer",
                f"there is no role {role}, which writes what people write: favourites",
                "If a program is to write: fashion-assets migrate, as a role that may make roles.",
            )
        ]
    findings = _too_much("writer", role, rights, may_write=WRITTEN)
    unwritten = sorted(set(rights.unwritten) & set(WRITTEN))
    if not rights.may_use or unwritten:
        what = ", ".join(unwritten) or f"the schema {SERVING}"
        findings.append(mend("writer", f"{role} may not write to {what}", GIVE))
    return findings or [well("writer", f"{role} may write {', '.join(WRITTEN)}, and nothing else")]


def _too_much(check: str, role: str, rights: Rights, may_write: tuple[str, ...]) -> list[Finding]:
    findings = []
    if rights.is_mighty:
        findings.append(
            mend(
                check,
                f"{role} is a superuser, or may make roles or databases, or pass row security by",
                f"`ALTER ROLE {role} NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS`",
            )
        )
        if rights.inside:
            return findings  # all else follows from it
    if rights.inside:
        schemas = ", ".join(rights.inside)
        findings.append(
            mend(check, f"{role} may use {schemas}", f"`REVOKE ALL ON SCHEMA {schemas} FROM {role}`")
        )
    if rights.private:
        columns = ", ".join(rights.private)
        findings.append(
            mend(
                check,
                f"{role} may read what is personal: {columns}",
                f"`REVOKE SELECT ON {_views(each.partition('.')[0] for each in rights.private)} FROM {role}`, also of roles it is "
                f"a member of and of PUBLIC. {GIVE}",
            )
        )
    if wrongly := [view for view in rights.written if view not in may_write]:
        findings.append(
            mend(
                check,
                f"{role} may write to {', '.join(wrongly)}",
                f"`REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {_views(wrongly)} FROM {role}`, also of roles it is a member of and of "
                "PUBLIC.",
            )
        )
    return findings


def _views(names: Any) -> str:
    return ", ".join(f"{SERVING}.{name}" for name in dict.fromkeys(names))


def of_roles(conn: psycopg.Connection[Any], settings: Settings) -> list[Finding]:
    """Reader and writer."""
    reader, writer = settings.reader_role, settings.writer_role
    rights = rights_of(conn, reader)
    grant = missing_grant(conn, reader) if rights is not None else None
    return [*of_reader(reader, rights, grant), *of_writer(writer, rights_of(conn, writer))]
