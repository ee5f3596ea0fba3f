"""The roles: the owner, who this is, the reader, the writer, the keeper; whether each may do what it is for, and no more.

What belongs here: looking at rights. What does not: giving them (`warehouse.reader`, `warehouse.writer`, `warehouse.keeper`,
`warehouse.release_tables`).
"""

from typing import Any, NamedTuple

import psycopg

from fashion_assets.doctor.finding import Finding, mend, note, well
from fashion_assets.settings import Settings
from fashion_assets.warehouse.keeper import KEPT, READ
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


class Keeping(NamedTuple):
    """What a role may do in the product's schemas and releases, of what it is to keep and of the rest."""

    lacking: list[str]
    """Rights it has not, as `INSERT on feedback`."""
    more: list[str]
    """Tables beyond those it may do something to, or more than it is to."""
    is_mighty: bool


def keeping_of(conn: psycopg.Connection[Any], role: str) -> Keeping | None:
    """What the role that keeps may do; None where there is none of the name."""
    row = conn.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles WHERE rolname = %s",
        (role,),
    ).fetchone()
    if row is None:
        return None
    tables = conn.execute(
        """
        SELECT n.nspname::text, c.relname::text,
               ARRAY(SELECT each FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS each
                     WHERE has_any_column_privilege(%(role)s, c.oid, each))
               || ARRAY(SELECT each FROM unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS each
                     WHERE has_table_privilege(%(role)s, c.oid, each)),
               has_table_privilege(%(role)s, c.oid, 'SELECT')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v', 'm', 'p') AND has_schema_privilege(%(role)s, n.oid, 'USAGE')
          AND (n.nspname IN (%(ops)s, %(dagster)s) OR starts_with(n.nspname, %(releases)s))
        """,
        {"role": role, "ops": OPS, "dagster": DAGSTER, "releases": SERVING},
    ).fetchall()
    may = {name: set(rights) for schema, name, rights, _ in tables if schema == OPS}
    lacking = [
        f"{right} on {name}"
        for name, rights in {**KEPT, **dict.fromkeys(READ, ("SELECT",))}.items()
        for right in rights
        if right not in may.get(name, set())
    ]
    more = [
        f"{schema}.{name}"
        for schema, name, rights, whole in tables
        if set(rights) - set(_kept(schema, name)) or (whole and schema == OPS and name in READ)
    ]
    return Keeping(lacking, sorted(more), row[0])


def _kept(schema: str, name: str) -> tuple[str, ...]:
    if schema != OPS:
        return ()
    return KEPT.get(name, ("SELECT",) if name in READ else ())


def of_keeper(role: str, keeping: Keeping | None, grant: str | None = None) -> list[Finding]:
    """Whether the role that the API writes by keeps what it is to, and nothing else. `grant`: what would let the API become it."""
    if keeping is None:
        return [
            note(
                "keeper",
                f"there is no role {role}: the search API writes what people like and a merchant decides with the owner's rights",
                "fashion-assets migrate, as a role that may make roles.",
            )
        ]
    findings = []
    if keeping.is_mighty:
        findings.append(
            mend(
                "keeper",
                f"{role} is a superuser, or may make roles or databases, or pass row security by",
                f"`ALTER ROLE {role} NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS`",
            )
        )
    elif keeping.more:
        some = ", ".join(keeping.more[:5])
        findings.append(
            mend(
                "keeper",
                f"{role} may do more than it is for to {some}",
                f"`REVOKE ALL ON {some} FROM {role}`, also of roles it is a member of and of PUBLIC. {GIVE}",
            )
        )
    if keeping.lacking and not keeping.is_mighty:
        findings.append(mend("keeper", f"{role} lacks {', '.join(keeping.lacking[:5])}", GIVE))
    if grant is not None:
        findings.append(
            note(
                "keeper",
                f"the search API writes with the owner's rights, as its role may not become {role}",
                f"`{grant}`",
            )
        )
    return findings or [well("keeper", f"{role} may keep {', '.join(KEPT)}, and nothing else")]


def of_roles(conn: psycopg.Connection[Any], settings: Settings) -> list[Finding]:
    """Reader, writer and keeper."""
    reader, writer, keeper = settings.reader_role, settings.writer_role, settings.keeper_role
    rights = rights_of(conn, reader)
    grant = missing_grant(conn, reader) if rights is not None else None
    keeping = keeping_of(conn, keeper)
    return [
        *of_reader(reader, rights, grant),
        *of_writer(writer, rights_of(conn, writer)),
        *of_keeper(keeper, keeping, None if keeping is None else missing_grant(conn, keeper)),
    ]
