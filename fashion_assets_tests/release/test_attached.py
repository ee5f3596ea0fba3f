"""What hangs on the views, their schema and the tables behind them goes along through swaps, whole, or is named."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release import attached, repointing
from fashion_assets.release.repointing import HeldUp
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release
from fashion_assets_tests.release.tiny import put_live, served_title, tiny

ROLES = ("analyst", "intern", "owner")


@pytest.fixture
def roles(database: Connection) -> Iterator[dict[str, str]]:
    """Roles of this database alone, by what they are called here."""
    named = {role: f"{role}_{database.info.dbname}" for role in ROLES}
    run(database, named, *(f"CREATE ROLE {{{role}}} LOGIN" for role in ROLES))
    yield named
    database.rollback()
    database.execute("RESET ROLE")
    # With it go the rights that roles gave each other.
    run(
        database,
        named,
        "DROP SCHEMA fashion_sota CASCADE",
        *(f"DROP OWNED BY {{{role}}} CASCADE; DROP ROLE {{{role}}}" for role in ROLES),
    )


def run(conn: psycopg.Connection, roles: dict[str, str], *statements: str, role: str | None = None) -> None:
    if role:
        conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(roles[role])))
    for statement in statements:
        conn.execute(sql.SQL(statement).format(**{name: sql.Identifier(own) for name, own in roles.items()}))  # type: ignore[arg-type]
    conn.execute("RESET ROLE")
    conn.commit()


@contextmanager
def held(settings: Settings, beside: bool) -> Iterator[None]:
    """Somebody keeps a view locked for ever, so that it cannot be replaced in place; or nobody does."""
    with connect(settings) as idle:
        if beside:
            idle.execute("SELECT title FROM fashion_sota.products")
        yield


def everything(conn: Connection) -> dict[str, object]:
    found: dict[str, object] = {"schema": attached.of_schema(conn, "fashion_sota")}
    for view in ("products", "users", "favourites"):
        found[view] = attached.of_view(conn, sql.Identifier("fashion_sota", view))
    conn.commit()
    return found


@pytest.mark.parametrize("beside", [False, True], ids=["in place", "beside"])
def test_everything_that_hangs_on_the_views_goes_along(
    settings: Settings, database: Connection, roles: dict[str, str], beside: bool
):
    put_live(database, settings, tiny(database))
    run(
        database,
        roles,
        "GRANT USAGE ON SCHEMA fashion_sota TO {analyst} WITH GRANT OPTION",
        "GRANT CREATE ON SCHEMA fashion_sota TO {owner}",
        "GRANT SELECT ON fashion_sota.products TO {analyst} WITH GRANT OPTION",
        "GRANT SELECT (name, email), REFERENCES (name) ON fashion_sota.users TO {analyst} WITH GRANT OPTION",
        "GRANT SELECT ON fashion_sota.favourites TO PUBLIC",
        "REVOKE DELETE, TRUNCATE ON fashion_sota.products FROM CURRENT_USER",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA fashion_sota GRANT SELECT ON TABLES TO {analyst} WITH GRANT OPTION",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA fashion_sota GRANT EXECUTE ON FUNCTIONS TO {intern}",
        "COMMENT ON SCHEMA fashion_sota IS 'the shop''s {{own}} 100 % words'",
        "COMMENT ON VIEW fashion_sota.products IS 'what we sell'",
        "COMMENT ON COLUMN fashion_sota.products.title IS 'its name'",
        "ALTER VIEW fashion_sota.products SET (security_barrier, security_invoker = on, check_option = local)",
        "ALTER VIEW fashion_sota.users OWNER TO {owner}",
        # Of everybody's, and not of this schema: what is made anew must not have it.
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {intern}",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {intern}",
    )
    run(
        database,
        roles,
        "GRANT USAGE ON SCHEMA fashion_sota TO {intern}",
        "GRANT SELECT ON fashion_sota.products TO {intern}",
        "GRANT SELECT (name) ON fashion_sota.users TO {intern}",
        role="analyst",
    )
    before = everything(database)
    assert "intern_" in str(before) and "security_invoker=on" in str(before)
    try:
        for _ in range(2):
            with held(settings, beside):
                put_live(database, settings, second := tiny(database))
            assert served_title(database) == second.release
            assert everything(database) == before
    finally:
        run(
            database,
            roles,
            "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {intern}",
            "ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM {intern}",
        )
    given = database.execute(
        "SELECT has_column_privilege(%(intern)s, 'fashion_sota.users', 'name', 'SELECT'), "
        "has_column_privilege(%(intern)s, 'fashion_sota.users', 'email', 'SELECT'), "
        "has_table_privilege(%(intern)s, 'fashion_sota.favourites', 'DELETE')",
        roles,
    ).fetchone()
    assert given == (True, False, False)


def test_what_cannot_go_along_is_named_and_the_views_stay(
    settings: Settings, database: Connection, roles: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """A right that somebody gave for whom the product's role may not act."""
    monkeypatch.setattr(repointing, "PATIENCE_SECONDS", 0.3)
    run(
        database,
        roles,
        sql.SQL("GRANT CREATE ON DATABASE {} TO {{owner}}")
        .format(sql.Identifier(database.info.dbname))
        .as_string(),
        "GRANT ALL ON SCHEMA fashion_ops, fashion_sota TO {owner}",
        "GRANT ALL ON ALL TABLES IN SCHEMA fashion_ops TO {owner}",
        "ALTER SCHEMA fashion_sota OWNER TO {owner}",
    )
    own = psycopg.connect(**{**server.parameters(settings), "user": roles["owner"]})  # type: ignore[arg-type]
    with own:
        put_live(own, settings, tiny(own))
        run(own, roles, "GRANT USAGE ON SCHEMA fashion_sota TO {analyst}, {intern}")
        run(own, roles, "GRANT SELECT ON fashion_sota.users TO {analyst} WITH GRANT OPTION")
        run(database, roles, "GRANT SELECT ON fashion_sota.users TO {intern}", role="analyst")
        before = everything(database)
        second = tiny(own)
        with held(settings, True), pytest.raises(HeldUp) as refused:
            put_live(own, settings, second)
        said = str(refused.value)
        assert f"SELECT given to {roles['intern']} by {roles['analyst']}" in said
        assert f"Let {roles['owner']} act for the roles it names" in said
        assert everything(database) == before and served_title(database) == "fashion_sota_r0001"
        # Nobody holds the views: they are replaced in place, and nothing has to go anywhere.
        put_live(own, settings, second)
        assert everything(database) == before and served_title(database) == second.release


# --- row security


def secure(conn: Connection, roles: dict[str, str], release: Release, *policies: str) -> None:
    """Let the analyst read the release's rows that a policy lets through, by a view with the reader's own rights."""
    run(
        conn,
        roles,
        "ALTER VIEW fashion_sota.products SET (security_invoker = true)",
        "GRANT USAGE ON SCHEMA fashion_sota TO {analyst}",
        "GRANT SELECT ON fashion_sota.products TO {analyst}",
        f"GRANT USAGE ON SCHEMA {release.release} TO {{analyst}}",
        f"GRANT SELECT ON {release.release}.products TO {{analyst}}",
        f"ALTER TABLE {release.release}.products ENABLE ROW LEVEL SECURITY",
        *policies,
    )


def read_by(conn: Connection, role: str) -> list[str]:
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    rows = conn.execute("SELECT title FROM fashion_sota.products").fetchall()
    conn.execute("RESET ROLE")
    conn.commit()
    return [title for (title,) in rows]


def policies(conn: Connection) -> list[tuple]:
    return conn.execute(
        "SELECT schemaname::text, policyname::text, permissive, cmd, roles::text[], qual FROM pg_policies ORDER BY 1, 2"
    ).fetchall()


def test_rows_that_a_policy_closes_stay_closed_in_the_next_release(
    settings: Settings, database: Connection, roles: dict[str, str]
):
    first, second = tiny(database), tiny(database)
    put_live(database, settings, first)
    on = f"ON {first.release}.products"
    secure(
        database,
        roles,
        first,
        f"CREATE POLICY any_of {on} FOR SELECT TO {{analyst}} USING (true)",
        f"CREATE POLICY hidden {on} AS RESTRICTIVE FOR SELECT TO {{analyst}} USING (title <> '{second.release}')",
    )
    assert read_by(database, roles["analyst"]) == [first.release]
    put_live(database, settings, second)
    assert read_by(database, roles["analyst"]) == []
    assert [row[1:] for row in policies(database)[:2]] == [row[1:] for row in policies(database)[2:]]
    # What is changed on the live release is so on the one that is gone back to.
    run(database, roles, f"DROP POLICY any_of ON {second.release}.products")
    put_live(database, settings, first)
    assert [row[:2] for row in policies(database)] == [
        (first.release, "hidden"),
        (second.release, "hidden"),
    ]
    run(database, roles, f"ALTER TABLE {first.release}.products DISABLE ROW LEVEL SECURITY")
    put_live(database, settings, second)
    assert read_by(database, roles["analyst"]) == [second.release]


def test_a_policy_over_a_table_of_the_release_is_over_that_of_the_next(
    settings: Settings, database: Connection, roles: dict[str, str]
):
    shape = {"products": "product_id uuid, title text", "shown": "title text"}
    first, second, without = tiny(database, **shape), tiny(database, **shape), tiny(database)
    put_live(database, settings, first)
    over = f"EXISTS (SELECT FROM {first.release}.shown s WHERE s.title = products.title)"
    secure(
        database,
        roles,
        first,
        f"CREATE POLICY shown ON {first.release}.products USING ({over})",
        f"GRANT SELECT ON {first.release}.shown TO {{analyst}}",
        f"GRANT SELECT ON {second.release}.shown TO {{analyst}}",
    )
    put_live(database, settings, second)
    assert read_by(database, roles["analyst"]) == [second.release]
    assert second.release in policies(database)[1][-1] and first.release not in policies(database)[1][-1]
    with pytest.raises(
        WarehouseError, match=r"row security of .*\.products cannot be that of .*shown.*policies of its own"
    ):
        put_live(database, settings, without)
    # It may be given its own before.
    run(
        database,
        roles,
        f"CREATE POLICY all_of_it ON {without.release}.products USING (true)",
        f"ALTER TABLE {without.release}.products ENABLE ROW LEVEL SECURITY",
    )
    put_live(database, settings, without)
    assert read_by(database, roles["analyst"]) == [without.release]
