"""What hangs on a serving view and its schema, and goes along to another of its name: owner, rights, comments, options, default privileges.

What belongs here: reading it, giving it to another, and seeing that it is the same. What does not: what of others depends on the views
(`dependents`), policies of the tables behind them (`row_security`).

It is carried over whole, or not at all: what cannot be (a right given by a role this one may not act for) is told by name, and the
views stay as they are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release.views import trusted


class CannotGoAlong(WarehouseError):
    """Something that hangs on the views cannot be given to others of their names. The message says what, and what to do."""


class Grant(NamedTuple):
    """A right somebody gave. Roles are quoted."""

    column: str | None
    """None: on the whole."""
    privilege: str
    grantee: str
    grantor: str
    grantable: bool

    def __str__(self) -> str:
        return f"{self.privilege}{f' of {self.column}' if self.column else ''} given to {self.grantee} by {self.grantor}"


class Default(NamedTuple):
    """A right that whatever a role makes in a schema comes with."""

    role: str
    kind: str
    """TABLES, FUNCTIONS, …"""
    privilege: str
    grantee: str
    grantable: bool

    def __str__(self) -> str:
        return f"default privilege {self.privilege} on {self.kind} of {self.role} for {self.grantee}"


class Comment(NamedTuple):
    column: str | None
    said: str

    def __str__(self) -> str:
        return f"comment on {self.column or 'it'}"


class Option(NamedTuple):
    said: str

    def __str__(self) -> str:
        return f"option {self.said}"


class Owner(NamedTuple):
    role: str
    """Quoted."""

    def __str__(self) -> str:
        return f"owner {self.role}"


Thing = Grant | Default | Comment | Option | Owner


@dataclass(frozen=True)
class Attached:
    """What hangs on a view, or a schema."""

    owner: Owner
    grants: frozenset[Grant]
    """The owner's own included."""
    comments: frozenset[Comment]
    options: frozenset[Option] = frozenset()
    defaults: frozenset[Default] = frozenset()

    def of(self, columns: Iterable[str]) -> "Attached":
        """What of it hangs on a view with these columns."""
        kept = {None, *columns}
        return replace(
            self,
            grants=frozenset(each for each in self.grants if each.column in kept),
            comments=frozenset(each for each in self.comments if each.column in kept),
        )

    @property
    def things(self) -> frozenset[Thing]:
        return frozenset({self.owner, *self.grants, *self.comments, *self.options, *self.defaults})


_RIGHTS = """
    jsonb_build_array({column}, g.privilege_type, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
                      {grantor}, g.is_grantable)
"""
_OF_A_VIEW = sql.SQL(
    """
    WITH it AS (SELECT * FROM pg_class WHERE oid = to_regclass(%s)),
    columns AS (SELECT a.* FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND a.attnum > 0 AND NOT a.attisdropped)
    SELECT it.relowner::regrole::text, coalesce(it.reloptions, '{{}}'),
      (SELECT jsonb_agg({own}) FROM aclexplode(coalesce(it.relacl, acldefault('r', it.relowner))) g),
      (SELECT jsonb_agg({each}) FROM columns, aclexplode(columns.attacl) g),
      (SELECT jsonb_agg(jsonb_build_array(said.name, said.text)) FROM (
           SELECT NULL::text, obj_description(it.oid, 'pg_class')
           UNION ALL SELECT attname, col_description(attrelid, attnum) FROM columns) AS said(name, text)
       WHERE said.text IS NOT NULL)
    FROM it
    """
).format(
    own=sql.SQL(_RIGHTS).format(column=sql.SQL("NULL"), grantor=sql.SQL("g.grantor::regrole::text")),
    each=sql.SQL(_RIGHTS).format(column=sql.SQL("attname"), grantor=sql.SQL("g.grantor::regrole::text")),
)

_OF_A_SCHEMA = sql.SQL(
    """
    SELECT it.nspowner::regrole::text,
      (SELECT jsonb_agg({own}) FROM aclexplode(coalesce(it.nspacl, acldefault('n', it.nspowner))) g),
      obj_description(it.oid, 'pg_namespace'),
      (SELECT jsonb_agg(jsonb_build_array(d.defaclrole::regrole::text, CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
              WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' END) || {default})
       FROM pg_default_acl d, aclexplode(d.defaclacl) g WHERE d.defaclnamespace = it.oid)
    FROM pg_namespace it WHERE it.nspname = %s
    """
).format(
    own=sql.SQL(_RIGHTS).format(column=sql.SQL("NULL"), grantor=sql.SQL("g.grantor::regrole::text")),
    default=sql.SQL(
        "jsonb_build_array(g.privilege_type, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, g.is_grantable)"
    ),
)


def of_view(conn: psycopg.Connection[Any], view: sql.Identifier) -> Attached | None:
    """What hangs on a view, or a table; None where there is none."""
    row = conn.execute(_OF_A_VIEW, (view.as_string(conn),)).fetchone()
    if row is None:
        return None
    owner, options, own, columns, said = row
    return Attached(
        Owner(owner),
        frozenset(Grant(*each) for each in [*(own or ()), *(columns or ())]),
        frozenset(Comment(*each) for each in said or ()),
        frozenset(map(Option, options)),
    )


def of_schema(conn: psycopg.Connection[Any], schema: str) -> Attached | None:
    """What hangs on a schema; None where there is none."""
    row = conn.execute(_OF_A_SCHEMA, (schema,)).fetchone()
    if row is None:
        return None
    owner, own, said, defaults = row
    return Attached(
        Owner(owner),
        frozenset(Grant(*each) for each in own or ()),
        frozenset({Comment(None, said)} if said else ()),
        defaults=frozenset(Default(*each) for each in defaults or ()),
    )


def give_to_view(
    conn: psycopg.Connection[Any], wanted: Attached, view: sql.Identifier, columns: Iterable[str]
) -> None:
    """Have on a view that was just made what hung on another, as far as it has its columns. Raises `CannotGoAlong`."""
    wanted = wanted.of(columns)
    has = of_view(conn, view)
    assert has is not None
    on = sql.SQL("{}").format(view)
    _regrant(conn, on, has, wanted)
    for comment in wanted.comments:
        kind, name = ("COLUMN", (comment.column,)) if comment.column else ("VIEW", ())
        conn.execute(
            sql.SQL("COMMENT ON {} {} IS {}").format(
                sql.SQL(kind),
                sql.SQL(".").join([view, *map(sql.Identifier, name)]),
                sql.Literal(comment.said),
            )
        )
    for option in wanted.options:
        try:
            conn.execute(sql.SQL("ALTER VIEW {} SET ({})").format(view, trusted(option.said)))
        except psycopg.errors.FeatureNotSupported as error:
            raise CannotGoAlong(
                f"The view {view.as_string(conn)} cannot have the option {option.said} that somebody set, as the release lacks what is behind "
                f"it: {error.diag.message_primary}. Take it away before: ALTER VIEW … RESET ({option.said.partition('=')[0]})"
            ) from error
    if wanted.owner != has.owner:
        _try(conn, sql.SQL("ALTER VIEW {} OWNER TO {}").format(view, trusted(wanted.owner.role)))
    _require_same(conn, wanted, of_view(conn, view), view.as_string(conn))


def give_to_schema(conn: psycopg.Connection[Any], wanted: Attached, schema: str) -> None:
    """Have on a schema that was just made what hung on another, but for its owner (`give_owner`). Raises `CannotGoAlong`."""
    has = of_schema(conn, schema)
    assert has is not None
    name = sql.Identifier(schema)
    _regrant(conn, sql.SQL("SCHEMA {}").format(name), has, wanted)
    for comment in wanted.comments:
        conn.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(comment.said)))
    for default in wanted.defaults:
        _try(
            conn,
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} ON {} TO {}{}").format(
                trusted(default.role),
                name,
                trusted(default.privilege),
                trusted(default.kind),
                trusted(default.grantee),
                sql.SQL(" WITH GRANT OPTION" if default.grantable else ""),
            ),
        )
    if wanted.owner != has.owner:
        _try(conn, sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name, trusted(wanted.owner.role)))
    _require_same(conn, wanted, of_schema(conn, schema), schema)


def _regrant(conn: psycopg.Connection[Any], on: sql.Composable, has: Attached, wanted: Attached) -> None:
    """Exactly the rights that are wanted. What was just made may have others, by default privileges of its maker."""
    owner = has.owner.role
    others = sorted({each.grantee for each in has.grants} - {owner})
    statements = [sql.SQL("REVOKE ALL ON {} FROM {} CASCADE").format(on, trusted(each)) for each in others]
    kept = {each.privilege for each in wanted.grants if each.grantee == wanted.owner.role and not each.column}
    for each in has.grants:
        if each.grantee == owner and not each.column and each.privilege not in kept:
            statements.append(
                sql.SQL("REVOKE {} ON {} FROM {}").format(trusted(each.privilege), on, trusted(owner))
            )
    if statements:
        _try(conn, sql.SQL("; ").join(statements))
    grant(conn, on, wanted)


def grant(conn: psycopg.Connection[Any], on: sql.Composable, wanted: Attached) -> None:
    """Give the rights that others than the owner are to have on something, each in its giver's name, as far as that can be."""
    own: list[sql.Composed] = []
    given: list[tuple[sql.Composed, str]] = []
    for each in _in_order(wanted):
        statement = sql.SQL("GRANT {}{} ON {} TO {}{}").format(
            trusted(each.privilege),
            sql.SQL(" ({})").format(sql.Identifier(each.column)) if each.column else sql.SQL(""),
            on,
            trusted(each.grantee),
            sql.SQL(" WITH GRANT OPTION" if each.grantable else ""),
        )
        if each.grantor == wanted.owner.role:
            own.append(statement)
        else:
            given.append((statement, each.grantor))
    # Those the owner gave come first, and in one round trip: there are as many as columns.
    if own:
        _try(conn, sql.SQL("; ").join(own))
    for statement, giver in given:
        _try(conn, statement, giver)


def _in_order(wanted: Attached) -> Iterator[Grant]:
    """Rights that others were given, each behind those its giver was given."""
    left = {each for each in wanted.grants if each.grantee != wanted.owner.role}
    givers = {wanted.owner.role}
    while ready := {each for each in left if each.grantor in givers}:
        yield from sorted(ready, key=str)
        givers |= {each.grantee for each in ready if each.grantable}
        left -= ready


def _try(conn: psycopg.Connection[Any], statement: sql.Composed, role: str | None = None) -> None:
    """Run a statement, in another role's name where one is given. Whether it came to anything is seen at the end
    (`_require_same`), as PostgreSQL only warns of some that did not."""
    try:
        with conn.transaction():
            if role is None:
                conn.execute(statement)
                return
            before = conn.execute("SELECT current_setting('role')").fetchone()
            assert before is not None
            conn.execute(sql.SQL("SET LOCAL ROLE {}").format(trusted(role)))
            conn.execute(statement)
            conn.execute("SELECT set_config('role', %s, true)", before)
    except psycopg.errors.InsufficientPrivilege:
        pass


def _require_same(conn: psycopg.Connection[Any], wanted: Attached, has: Attached | None, where: str) -> None:
    missing = sorted(map(str, wanted.things - (has.things if has else set())))
    besides = sorted(f"no {each}" for each in (has.things if has else set()) - wanted.things)
    if missing or besides:
        user = conn.execute("SELECT current_user::regrole::text").fetchone()
        raise CannotGoAlong(
            f"This cannot be carried over to new views ({where}): {'; '.join([*missing, *besides])}. Let {user and user[0]} act "
            f"for the roles it names (GRANT ROLE TO {user and user[0]}), or wait until nobody holds the views."
        )
