"""What a run or a sync would change is said before, and nothing is changed by asking."""

import hashlib
import json
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.planning import Planned, planned
from fashion_assets.settings import Settings
from fashion_assets_tests.catalogue import draw_picture, line, replace_line


def asked(settings: Settings, **how: object) -> Planned:
    return planned(settings, Console(quiet=True), **how)  # type: ignore[arg-type]


def everything(database: psycopg.Connection, home: Path) -> dict[str, str]:
    """A digest of each table, with who wrote its rows, and of each file."""
    database.commit()
    tables = database.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'"
    ).fetchall()
    found = {}
    for schema, name in tables:
        row = database.execute(
            sql.SQL(
                "SELECT md5(coalesce(string_agg(t.xmin::text || t::text, ',' ORDER BY t.ctid), '')) FROM {} t"
            ).format(sql.Identifier(schema, name))
        ).fetchone()
        found[f"{schema}.{name}"] = row[0] if row else ""
    for path in sorted(home.rglob("*")):
        if path.is_file() and "server" not in path.parts:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def price(shop: Path, of: dict[int, str]) -> None:
    """Give the catalogue a column of prices, and some listings one."""
    lines = (shop / "styles.csv").read_text().splitlines()
    priced = [f"{lines[0]},price"]
    priced += [f"{each},{of.get(int(each.split(',')[0]), '10.00')}" for each in lines[1:]]
    (shop / "styles.csv").write_text("\n".join(priced) + "\n")


def test_a_plan_says_what_changes_and_changes_nothing(
    settings: Settings, database: psycopg.Connection, shop: Path
):
    unchanged = asked(settings)
    assert (unchanged.how, unchanged.sources, unchanged.schema, unchanged.in_the_way) == (
        "nothing",
        {},
        [],
        [],
    )
    assert "is in step with its sources: nothing would change" in unchanged.summary()[-1]

    replace_line(shop, 3, line(3, "Nike Women Purple Blazer 3").replace("Men,", "Women,", 1))
    replace_line(shop, 7, line(7).replace("Men,", ",", 1))
    text = (shop / "styles.csv").read_text().splitlines()
    (shop / "styles.csv").write_text("\n".join(each for each in text if not each.startswith("9,")) + "\n")
    with (shop / "styles.csv").open("a") as file:
        file.write(line(41) + "\n" + line(42) + "\n")
    draw_picture(shop / "images" / "41.jpg", 41)  # and none for 42
    draw_picture(shop / "images" / "11.jpg", 1_100)
    before = everything(database, settings.home)
    found = asked(settings)
    assert everything(database, settings.home) == before
    assert found.how == "sync" and not found.is_sample
    # 9 leaves; 7, which would be rejected, is told beside what changes.
    assert found.sources == {"fashion_demo": {"new": 2, "changed": 3, "gone": 1, "products_leaving": 1}}
    judged = found.forecast
    assert (judged.looked_at, judged.new, judged.changed, judged.rejected, judged.no_longer) == (
        5,
        1,
        2,
        2,
        1,
    )
    assert judged.attributes["gender"] == judged.attributes["title"] == judged.attributes["picture"] == 1
    assert judged.reasons == {"null_gender": 1, "image_missing": 1}
    assert {each["listing"] for each in judged.rejections} == {"7", "42"}
    # The picture of 41, the other one of 11; the titles of 3 and 41.
    assert (judged.pictures, judged.titles) == (2, 2)
    assert set(found.seconds) == {"reading and judging", "vectors", "writing"} and found.bytes

    result = CliRunner().invoke(app, ["plan", "--exit-code"])
    assert result.exit_code == 2 and "fashion-assets sync" in result.stdout
    assert "Nothing was changed." in result.stdout
    told = json.loads(CliRunner().invoke(app, ["plan", "--json"]).stdout)
    assert told["vectors"] == {"pictures": 2, "titles": 2} and told["is_sample"] is False
    assert everything(database, settings.home) == before

    # Of more than may be read a sample is, which is said; and what becomes of all.
    some = asked(settings, look_at=2)
    assert (some.is_sample, some.forecast.looked_at, some.to_judge, some.in_all(2)) == (True, 2, 5, 5)
    assert any("2 of 5 listings were looked at, drawn by chance" in said for said in some.summary())


def test_a_plan_says_what_a_release_shares_with_a_spare(
    settings: Settings, database: psycopg.Connection, shop: Path
):
    database.execute("CREATE SCHEMA fashion_sota_r0000")
    database.execute("CREATE TABLE fashion_sota_r0000.products AS SELECT * FROM fashion_sota_r0001.products")
    database.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, made_with, products) "
        "SELECT 'fashion_sota_r0000', 0, 'spare', made_with, products FROM fashion_ops.releases"
    )
    database.execute(
        "INSERT INTO fashion_ops.release_batches (release, batch, content_version, products, quarantined, listings) "
        "SELECT 'fashion_sota_r0000', batch, content_version, products, quarantined, listings FROM fashion_ops.release_batches"
    )
    # So quick that writing one row takes longer.
    database.execute("UPDATE fashion_ops.releases SET build_seconds = .0001 WHERE number = 1")
    database.commit()
    replace_line(shop, 3, line(3, "Nike Women Purple Blazer 3"))
    found = asked(settings)
    assert (found.how, found.made_from, found.shared, found.whole) == (
        "release",
        "fashion_sota_r0000",
        39,
        "",
    )
    assert any("shares    39 listings with fashion_sota_r0000" in said for said in found.summary())
    off = asked(settings.model_copy(update={"keep_spare": False}))
    assert (off.made_from, off.shared, off.whole) == (None, 0, "keep_spare is off")


def test_what_a_sync_cannot_do_is_due_as_a_release_and_prices_are_named(
    settings: Settings, database: psycopg.Connection, shop: Path
):
    database.execute("UPDATE fashion_sota_r0001.products SET price = 10 WHERE external_id <> '5'")
    database.execute("UPDATE fashion_sota_r0001.products SET price = 25 WHERE external_id = '5'")
    database.execute("ALTER TABLE fashion_sota_r0001.products DROP COLUMN sub_category CASCADE")
    database.execute("ALTER TABLE fashion_sota_r0001.users ADD COLUMN former text")
    database.execute("CREATE VIEW cheap AS SELECT * FROM fashion_sota.style_clusters")
    database.execute("UPDATE fashion_ops.releases SET build_seconds = 8")
    database.commit()
    price(shop, {5: "20.00", 6: "40.00"})
    found = asked(settings)
    # The table has another column, so that any row may be another product.
    assert found.how == "release" and "every row may change" in found.why and found.to_judge == 40
    assert [(each["external_id"], each["was"], each["change"]) for each in found.forecast.prices] == [
        ("6", "10.00", 3.0),
        ("5", "25.00", -0.2),
    ]
    assert found.forecast.attributes["price"] == 2
    assert "products.sub_category is new (text)" in found.schema
    assert "users.former is gone, and null in the views" in found.schema
    assert found.dependents == ["view public.cheap"]
    assert found.seconds["building"] == 8.0
    assert any("price     6 of fashion_demo: 10.00 → 40.00" in said for said in found.summary())
    assert any("the release is built whole: there is no spare" in said for said in found.summary())

    result = CliRunner().invoke(app, ["plan", "--source", "nowhere"])
    assert result.exit_code == 1 and "There is no source 'nowhere' in use" in result.stderr
