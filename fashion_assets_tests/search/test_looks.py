"""What goes with a product, and what resembles the parts of an outfit."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from psycopg import sql
from typer.testing import CliRunner

from fashion_assets.catalog import outfits
from fashion_assets.cli import app
from fashion_assets.criteria.subject import Candidate
from fashion_assets.search import looks
from fashion_assets.search.engine import AsyncSearchEngine, SearchEngine
from fashion_assets.search.filters import FilterError, SearchError
from fashion_assets.search.query import SHOWN, Hit
from fashion_assets.settings import Settings
from fashion_assets_tests.conftest import Template, changed_once, release_of

KINDS = (
    ("shirts", "topwear", "apparel"),
    ("tshirts", "topwear", "apparel"),
    ("jeans", "bottomwear", "apparel"),
    ("casual shoes", "shoes", "footwear"),
    ("dresses", "dress", "apparel"),
    ("jackets", "topwear", "apparel"),
    ("watches", "watches", "accessories"),
    ("handbags", "bags", "accessories"),
    ("belts", "belts", "accessories"),
    ("bra", "innerwear", "apparel"),
)


def put_kinds(live: Candidate) -> None:
    for place, (article_type, sub_category, category) in enumerate(KINDS):
        put(
            live,
            "external_id::int %% 10 = %(place)s",
            article_type=article_type,
            sub_category=sub_category,
            category=category,
            gender="unisex" if category == "accessories" else "women",
            colour=None,
            place=place,
        )


@pytest.fixture(scope="module")
def kinds_template(server_settings: Settings, live_template: Template) -> Iterator[Template]:
    with changed_once(server_settings, live_template, put_kinds) as template:
        yield template


@pytest.fixture
def live(
    server_settings: Settings, kinds_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Candidate]:
    """The live release's forty products as ten kinds of four pieces: 10, 20, … are shirts, 1, 11, … t-shirts, 2, 12, … jeans, and so on."""
    with release_of(server_settings, kinds_template, tmp_path, monkeypatch) as live:
        yield live


def put(live: Candidate, where: str, place: int = 0, **values: str | None) -> None:
    """Give products other values."""
    live.conn.execute(
        sql.SQL("UPDATE {} SET {} WHERE {}").format(
            live.release.table("products"),
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values
            ),
            sql.SQL(where),  # pyright: ignore[reportArgumentType]
        ),
        {**values, "place": place},
    )
    live.conn.commit()


def worn(look: looks.Look) -> list[tuple[str, str]]:
    return [(piece.slot, piece.hit.article_type) for piece in look.pieces]


def test_a_look_has_what_the_rules_leave_open_for_the_same_people(engine: SearchEngine):
    look = engine.complete_look("10")
    assert look.slot == "top" and look.product.external_id == "10" and not look.plan.notes
    kinds = worn(look)
    assert kinds[:3] == [("bottom", "jeans"), ("footwear", "casual shoes"), ("outerwear", "jackets")]
    assert {slot for slot, _ in kinds[3:]} == {"accessory"}
    assert {kind for _, kind in kinds[3:]} == {"watches", "handbags", "belts"}
    nearest = engine.complete_look("10", limit=1)
    assert nearest.hits == look.hits[:1] and -1 <= nearest.hits[0].score <= 1
    assert [slot for slot, _ in worn(engine.complete_look("4"))] == [
        "footwear",
        "outerwear",
        *["accessory"] * 3,
    ]
    several = engine.complete_look("10", limit=50, per_slot=3)
    assert [slot for slot, _ in worn(several)].count("bottom") == 3
    assert len({hit.product_id for hit in several.hits}) == len(several.hits)


def test_every_look_obeys_every_rule(live: Candidate, engine: SearchEngine):
    put(live, "external_id::int %% 3 = 0", colour="red")
    put(live, "external_id::int %% 3 = 1", colour="pink")
    put(live, "external_id::int %% 7 = 0", usage="sports")
    rules, columns = outfits.read(), sql.SQL(", ").join(map(sql.Identifier, outfits.JUDGED_BY))
    rows = live.conn.execute(
        sql.SQL("SELECT product_id::text, {} FROM {}").format(columns, live.release.table("products"))
    ).fetchall()
    pieces = {row[0]: dict(zip(outfits.JUDGED_BY, row[1:], strict=True)) for row in rows}
    looked, filled = 0, 0
    for product, piece in pieces.items():
        if rules.slot(piece) is None:
            continue
        look = engine.complete_look(product)
        assert rules.broken([piece, *(pieces[hit.product_id] for hit in look.hits)]) == []
        looked, filled = looked + 1, filled + len(look.hits)
    assert looked == 36 and filled > 2 * looked


def test_an_empty_slot_says_why(live: Candidate, engine: SearchEngine):
    put(live, "article_type = 'jeans'", gender="men")
    put(live, "article_type = 'jackets'", usage="sports")
    look = engine.complete_look("10")
    assert look.plan.notes == (
        "nothing for bottom: there is none",
        "nothing for outerwear: of 4 looked at none goes with it (sports things with others 4x)",
    )
    # Nothing holds a belt up.
    assert "belts" not in {kind for _, kind in worn(look)}
    assert look.left_out["accessory"]["belts without bottom or dress"] == 1


def test_a_dress_or_a_top_and_a_bottom_whichever_is_nearer(live: Candidate, engine: SearchEngine):
    slots = [slot for slot, _ in worn(engine.complete_look("3"))]
    assert ("dress" in slots) is not ("top" in slots)
    assert not any("dress" in note or "top" in note for note in engine.complete_look("3").plan.notes)


def test_what_no_look_can_be_made_of_is_said_so(live: Candidate, engine: SearchEngine):
    with pytest.raises(SearchError, match="9 is no part of a look: it is bra"):
        engine.complete_look("9")
    with pytest.raises(SearchError, match="no product"):
        engine.complete_look("nothing")
    with pytest.raises(SearchError, match="1 or more"):
        engine.complete_look("10", per_slot=0)
    put(live, "external_id = '10'", embedding=None)
    with pytest.raises(SearchError, match="has no vector"):
        engine.complete_look("10")


def test_a_catalogue_without_sub_categories_has_looks_too(live: Candidate, engine: SearchEngine):
    put(live, "true", sub_category=None)
    kinds = {kind for _, kind in worn(engine.complete_look("10"))}
    assert kinds == {"jeans", "casual shoes", "jackets", "watches", "handbags", "belts"}


def hit(name: str, score: float) -> Hit:
    return Hit(name, name, "demo", None, dict.fromkeys(SHOWN), score)


def test_pieces_go_with_each_other_and_not_only_with_the_product():
    rules = outfits.read()
    stated: dict[str, dict] = {
        "shirt": {"article_type": "shirts", "colour": "white"},
        "red": {"article_type": "jeans", "colour": "red"},
        "pink": {"article_type": "flats", "colour": "pink"},
        "black": {"article_type": "flats", "colour": "black"},
    }
    offered = {"bottom": [[hit("red", 0.9)]], "footwear": [[hit("pink", 0.8), hit("black", 0.5)]]}
    chosen, left_out = looks.choose(rules, stated["shirt"], offered, stated)
    assert [each.hit.product_id for each in chosen] == ["red", "black"]
    assert left_out == {"bottom": {}, "footwear": {"red with pink": 1}}


# Inspiration


def outfit() -> bytes:
    """A red shirt over blue trousers, and black feet."""
    picture = Image.new("RGB", (300, 400), "white")
    for colour, top, bottom in (("red", 60, 190), ("blue", 190, 350), ("black", 350, 400)):
        picture.paste(colour, (90, top, 210, bottom))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=95)
    return written.getvalue()


def test_each_part_of_a_picture_finds_what_is_worn_there(live: Candidate, engine: SearchEngine):
    found = engine.inspire(outfit(), limit=3)
    kinds = {part.name: {hit.article_type for hit in part.hits} for part in found.parts}
    assert kinds["whole"] == {"dresses"} and kinds["lower"] == {"jeans"} and kinds["feet"] == {"casual shoes"}
    assert kinds["upper"] <= {"shirts", "tshirts", "jackets"}
    assert [part.box for part in found.parts][1] == (0, 40, 300, 220)
    upper = found.parts[1].hits
    assert [hit.score for hit in upper] == sorted((hit.score for hit in upper), reverse=True)
    put(live, "external_id IN ('3', '13')", gender="men")
    feet = engine.inspire(outfit(), filters={"gender": "men"}).parts[3].hits
    assert {hit.external_id for hit in feet} == {"3", "13"}


def test_of_a_wide_picture_the_middle_is_taken(engine: SearchEngine):
    with Image.open(io.BytesIO(outfit())) as narrow:
        wide = Image.new("RGB", (900, 400), "white")
        wide.paste(narrow, (300, 0))
    written = io.BytesIO()
    wide.save(written, "PNG")
    found = engine.inspire(written.getvalue())
    assert found.parts[0].box == (300, 0, 600, 400)
    assert found.parts[1].hits[0].product_id in {
        hit.product_id for hit in engine.inspire(outfit()).parts[1].hits
    }


def test_what_is_no_picture_of_an_outfit_is_refused(engine: SearchEngine):
    small = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(small, "PNG")
    for data, why in (
        (b"", "image empty"),
        (b"no picture", "not an image"),
        (small.getvalue(), "a part has"),
    ):
        with pytest.raises(SearchError, match=why):
            engine.inspire(data)
    with pytest.raises(FilterError):
        engine.inspire(outfit(), filters={"nothing": 1})
    with pytest.raises(SearchError, match="1 or more"):
        engine.inspire(outfit(), limit=0)


def test_an_engine_that_does_not_block_answers_the_same(live: Candidate, engine: SearchEngine):
    async def ask() -> tuple:
        async with AsyncSearchEngine.open(live.settings, size=1) as other:
            return await other.complete_look("10"), await other.inspire(outfit()), await other.styles()

    look, found, styles = asyncio.run(ask())
    assert look == engine.complete_look("10") and styles == engine.styles()
    assert [part.hits for part in found.parts] == [part.hits for part in engine.inspire(outfit()).parts]


def test_commands_print_looks_and_parts(live: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told = json.loads(CliRunner().invoke(app, ["look", "10", "--json"]).stdout)
    assert told["slot"] == "top" and {"bottom", "footwear"} < {piece["slot"] for piece in told["pieces"]}
    assert "footwear" in CliRunner().invoke(app, ["look", "10"]).stdout
    (tmp_path / "outfit.jpg").write_bytes(outfit())
    asked = ["inspire", str(tmp_path / "outfit.jpg"), "--limit", "1"]
    assert [
        part["part"] for part in json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["parts"]
    ] == [
        "whole",
        "upper",
        "lower",
        "feet",
    ]
    (tmp_path / "own.toml").write_text("version = 1\n[[slots]]\nname = 'top'\nnothing = 1\n")
    monkeypatch.setenv("FASHION_ASSETS_OUTFIT_RULES", str(tmp_path / "own.toml"))
    failed = CliRunner().invoke(app, ["look", "10"])
    assert failed.exit_code == 1 and "there is no key 'slots.1.nothing'" in " ".join(failed.stderr.split())
    (tmp_path / "own.toml").write_text("version = 1\n[[slots]]\nname = 'top'\narticle_type = ['shirts']\n")
    failed = CliRunner().invoke(app, asked)
    assert failed.exit_code == 1 and "name no parts" in " ".join(failed.stderr.split())
