"""A candidate can be read before it is live, under a name of its own, and the preview goes with it."""

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release.preview import preview
from fashion_assets.release.swap import retire
from fashion_assets_tests.release.copies import copy_of


def titles(live: Candidate, schema: str) -> set[str]:
    """What a reader finds there."""
    with live.conn.transaction():
        live.conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(live.settings.reader_role)))
        found = live.conn.execute(
            sql.SQL("SELECT DISTINCT title FROM {}").format(sql.Identifier(schema, "products"))
        ).fetchall()
    return {title for (title,) in found}


def test_a_candidate_is_read_before_it_is_live(live: Candidate):
    conn, settings = live.conn, live.settings
    second = copy_of(live, "second")
    conn.commit()
    invoke = CliRunner().invoke
    made = invoke(app, ["preview", second.release])
    assert made.exit_code == 0 and "fashion_preview shows fashion_sota_r0002: " in made.stdout, made.output
    assert titles(live, "fashion_preview") == {"second"} and "second" not in titles(live, "fashion_sota")
    columns = (
        "SELECT array_agg(a.attname || format_type(atttypid, atttypmod) ORDER BY attnum) FROM pg_attribute a "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0"
    )
    both = [
        conn.execute(columns, (f"{schema}.products",)).fetchone()
        for schema in ("fashion_preview", "fashion_sota")
    ]
    assert both[0] == both[1] != (None,)
    # People's names are as closed as they are in what is served.
    with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(settings.reader_role)))
        conn.execute("SELECT email FROM fashion_preview.users")
    conn.commit()

    preview(conn, settings, live.release.release)  # of another one, in its place
    assert "second" not in titles(live, "fashion_preview")
    preview(conn, settings, second.release, "shop_preview")
    conn.execute("CREATE SCHEMA theirs")
    for taken in ("theirs", "fashion_sota", "fashion_ops", "pg_preview", "A b"):
        with pytest.raises(WarehouseError, match=r"is there and is no preview|is no name for a preview"):
            preview(conn, settings, second.release, taken)
    conn.execute("ALTER TABLE fashion_sota_r0001.users ENABLE ROW LEVEL SECURITY")
    with pytest.raises(WarehouseError, match="Row security closes rows of users"):
        preview(conn, settings, second.release, "shop_preview")
    conn.commit()

    assert "gone: fashion_preview" in invoke(app, ["preview", "fashion_sota_r0001", "--drop"]).stdout
    retire(conn, second.release)
    row = conn.execute(
        "SELECT to_regnamespace('shop_preview'), to_regnamespace('theirs') IS NOT NULL"
    ).fetchone()
    assert row == (None, True)
