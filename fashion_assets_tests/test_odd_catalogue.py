"""What no catalogue should hold and some do: each such listing is a product or in quarantine, alone; the batch and the
release go on."""

import json
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st
from PIL import Image
from psycopg import sql

from fashion_assets.catalog import attributes
from fashion_assets.catalog.listing import ATTRIBUTES, LISTING_SCHEMA, PictureFolders, content_hash
from fashion_assets.catalog.normalization import normalize
from fashion_assets.catalog.properties import read_properties
from fashion_assets.catalog.rules import RULES, Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.outcome import MigrationResult
from fashion_assets.postgres.copy import copy_encoded
from fashion_assets.release.build import create_tables
from fashion_assets.release.rows import serving_rows
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.quarantine import quarantined, replace_quarantine
from fashion_assets_tests import hostile
from fashion_assets_tests.catalogue import draw_picture

INDEXED = tuple(each.name for each in attributes.ATTRIBUTES if each.indexed)
(SEARCHED,) = (each.searched for each in attributes.ATTRIBUTES if each.searched is not None)
"""Characters of a description that are searched."""

HEADER = (
    "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName,brand,price,"
    "currency,description,image"
)
SOUND = 60


def words(count: int, seed: int = 0) -> str:
    """Words no two of which are alike, so that no index can make anything of their repetition."""
    chance = random.Random(seed)
    return " ".join(
        "".join(chance.choices(string.ascii_lowercase + string.digits, k=8)) for _ in range(count)
    )


def line(key: str, **changes: str) -> bytes:
    values = {
        "id": key,
        "gender": "Men",
        "masterCategory": "Apparel",
        "subCategory": "Topwear",
        "articleType": "Tshirts",
        "baseColour": "Blue",
        "season": "Summer",
        "year": "2016",
        "usage": "Casual",
        "productDisplayName": f"Puma Men Blue T-shirt {key[:9]}",
        "brand": "Puma",
        "price": "19.90",
        "currency": "EUR",
        "description": "soft",
        "image": f"images/{key}.jpg",
    } | changes
    assert list(values) == HEADER.split(",")
    return ",".join(values.values()).encode("utf-8", "surrogatepass") + b"\n"


ODD: dict[str, tuple[dict[str, str], list[str]]] = {
    "long-brand": ({"brand": words(400)}, ["brand_too_long"]),
    "long-title": ({"productDisplayName": words(400)}, ["title_too_long"]),
    "long-type": ({"articleType": "ä" * 5_000}, ["article_type_too_long"]),
    "long-everything": (
        {"gender": words(90), "season": words(90), "currency": words(90)},
        ["gender_too_long", "season_too_long", "currency_too_long"],
    ),
    "huge-description": ({"description": words(200_000)}, []),
    "wide-description": (
        {"description": "".join(chr(0x20000 + n % 40_000) + " -"[n % 2] for n in range(150_000))},
        [],
    ),
    "nul": ({"productDisplayName": "Shirt\0Blue"}, ["wrong_encoding"]),
    "surrogate": ({"productDisplayName": "Shirt \ud83d"}, ["wrong_encoding"]),
    "controls": ({"productDisplayName": "Shirt \x1b[31m \x85 \u202e %s {x} ' \\ <b>"}, []),
    "year": ({"year": "99999"}, []),
    "price": ({"price": "9" * 30}, ["price_unreadable"]),
    "broken-exif": ({}, []),
    "long-metadata": ({}, []),
    "scans": ({}, ["image_too_costly"]),
    "sparse": ({}, ["image_file_too_large"]),
    "endless-path": ({"image": "images/" + "x" * 5_000}, ["image_missing"]),
}
"""What is changed of a sound listing, and the reasons it is in quarantine for; none where it is a product."""


def odd_catalogue(folder: Path) -> dict[str, list[str]]:
    """A catalogue with all of them among sound ones; the reasons by id."""
    images = folder / "images"
    images.mkdir(parents=True)
    endless = "id-" + words(1_200).replace(" ", "")
    expected = {key: reasons for key, (_, reasons) in ODD.items()}
    expected |= {endless: ["external_id_too_long"]}
    with (folder / "styles.csv").open("wb") as file:
        file.write(HEADER.encode() + b"\n")
        for number in range(SOUND):
            draw_picture(images / f"{number}.jpg", number)
            file.write(line(str(number)))
        for number, (key, (changes, _)) in enumerate(ODD.items()):
            draw_picture(images / f"{key}.jpg", SOUND + number)
            file.write(line(key, **changes))
        for _ in range(2):
            file.write(line(endless, productDisplayName="Shirt", image="images/1.jpg"))
    sound = (images / "broken-exif.jpg").read_bytes()
    (images / "broken-exif.jpg").write_bytes(
        hostile.with_segments(sound, hostile.exif_segment(b"this is no TIFF"))
    )
    picture = Image.open(images / "long-metadata.jpg")
    text = hostile.chunk(b"tEXt", b"XML:com.adobe.xmp\0" + b"<x/>" * 400_000)
    (images / "long-metadata.jpg").write_bytes(hostile.with_chunks(hostile.saved(picture, "PNG"), text))
    (images / "scans.jpg").write_bytes(hostile.progressive(200, 64))
    hostile.write_sparse(str(images / "sparse.jpg"), 1 << 32)
    (folder / "users.csv").write_text(f"user_id,name\nu1,Ada\n{words(400).replace(' ', '')},Endless\n")
    (folder / "favourites.csv").write_text(
        f"user_id,external_id\nu1,1\n{words(400).replace(' ', '')},2\nu1,{endless}\n"
    )
    return expected


def test_odd_listings_are_products_or_in_quarantine_and_the_release_goes_live(
    migrate: Callable[..., MigrationResult], database: psycopg.Connection, settings: Settings, tmp_path: Path
):
    expected = odd_catalogue(tmp_path / "catalogue")
    result = migrate(tmp_path / "catalogue")
    assert result.live, (result.failed_batches, result.refusal)
    assert result.listings == SOUND + len(ODD) + 2
    held = list(quarantined(database))
    database.commit()
    assert result.products is not None and result.products + len(held) == result.listings
    # What could not be read has no id; what came of it is kept.
    reasons = {entry.external_id or entry.record["text"].split(",")[0]: entry.reasons for entry in held}
    twice = next(key for key in expected if len(key) > 1_000)
    assert sorted(entry.reasons for entry in held if entry.external_id == twice) == [
        ["external_id_too_long"],
        ["external_id_too_long", "duplicate_id"],
    ]
    for key, why in expected.items():
        if key != twice:
            assert reasons.get(key, []) == why, key
    whole = {entry.external_id: entry.record["brand"] for entry in held if entry.external_id == "long-brand"}
    assert whole == {"long-brand": words(400)}

    found = dict(
        database.execute(
            "SELECT external_id, description FROM fashion_sota.products WHERE length(description) > 10"
        ).fetchall()
    )
    assert found == {key: ODD[key][0]["description"] for key in ("huge-description", "wide-description")}
    assert database.execute(
        "SELECT year FROM fashion_sota.products WHERE external_id = 'year'"
    ).fetchall() == [(None,)]
    people = database.execute(
        "SELECT user_id, problem FROM fashion_sota.users UNION ALL SELECT user_id, problem FROM fashion_sota.favourites "
        "ORDER BY 1, 2"
    ).fetchall()
    database.commit()
    assert people == [("u1", None)] * 2
    held_rows = database.execute(
        "SELECT source, reasons FROM fashion_ops.quarantine WHERE source LIKE 'fashion_demo.%' ORDER BY 1, 2"
    ).fetchall()
    database.commit()
    assert held_rows == [
        ("fashion_demo.favourites", ["external_id_too_long"]),
        ("fashion_demo.favourites", ["user_id_too_long"]),
        ("fashion_demo.users", ["user_id_too_long"]),
    ]

    # As much of a text is searched as fits.
    text = ODD["huge-description"][0]["description"]
    early, late = text.split()[7], text.split()[-7]
    assert text.index(late) > SEARCHED
    with SearchEngine.open(settings, size=1) as engine:
        assert [hit.external_id for hit in engine.search(Query(early, mode="text", limit=1)).hits] == [
            "huge-description"
        ]
        assert "huge-description" not in [
            hit.external_id for hit in engine.search(Query(late, mode="text", limit=9)).hits
        ]

    again = migrate(tmp_path / "catalogue")
    assert again.lines[-1] == "nothing changed" and again.release == result.release


# Any values at all, as far as the tables


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "1.jpg"
    draw_picture(path, 1)
    return str(path)


VALUES = (
    st.none()
    | st.text(max_size=300)
    | st.sampled_from(
        [
            words(40, 1),
            words(400, 2),
            "\U00020000" * 255,
            "\U00020000" * 1_000,
            "a\0b",
            "-".join(words(9_000, 3)),
        ]
    )
)


@tries(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({name: VALUES for name in (*ATTRIBUTES, "external_id")}), min_size=1, max_size=6
    )
)
def test_whatever_is_accepted_the_tables_of_a_release_can_hold_and_quarantine_the_rest(
    rows: list[dict[str, str | None]], picture: str, database: psycopg.Connection
):
    listings = pa.Table.from_pylist(
        [
            {"gender": "Men", "category": "Apparel", "article_type": "Shirts", "title": "Shirt"}
            | {name: value for name, value in row.items() if value is not None}
            | {
                "source": "shop",
                "listing_key": str(key),
                "external_id": row["external_id"] or f"id {key}",
                "occurrence": 0,
                "content_hash": content_hash(str(key), "picture"),
                "record": json.dumps(row),
                "image": "images/1.jpg",
                "image_uri": picture,
                "image_sha256": "ab" * 32,
                "defects": [],
            }
            for key, row in enumerate(rows)
        ],
        LISTING_SCHEMA,
    )
    # The register gives the second of equal ids another number.
    listings = listings.set_column(
        listings.schema.get_field_index("occurrence"),
        LISTING_SCHEMA.field("occurrence"),
        pa.array(_occurrences(listings["external_id"].to_pylist()), pa.int32()),
    )
    products, rejections = validate(listings, Rules())
    normalized = normalize(products, at=datetime.now(UTC))
    vectors = pa.table(
        {
            "product_id": normalized["product_id"],
            "space": pa.array(["s@1"] * normalized.num_rows, pa.string()),
            "kind": pa.array(["product"] * normalized.num_rows, pa.string()),
            "vector": pa.array([[1.0, 0.0]] * normalized.num_rows, pa.list_(pa.float32())),
            "served": pa.array([True] * normalized.num_rows, pa.bool_()),
        }
    )
    with database.transaction(force_rollback=True):
        release = releases.begin(database, "version", None, None)
        replace_quarantine(database, "shop-00001", rejections)
        create_tables(database, release)
        copied = 0
        properties = read_properties(normalized, "1")
        for rows_of_a_space in serving_rows(
            normalized, properties, vectors, "shop-00001", PictureFolders("")
        ).products:
            copied += copy_encoded(database, release.table("products"), rows_of_a_space)
        for columns in (*((column,) for column in INDEXED), ("source", "external_id")):
            database.execute(
                sql.SQL("CREATE INDEX ON {} ({})").format(
                    release.table("products"), sql.SQL(", ").join(map(sql.Identifier, columns))
                )
            )
        (held,) = database.execute("SELECT count(*) FROM fashion_ops.quarantine").fetchone() or (0,)
        assert copied + held == len(rows)


def _occurrences(ids: list[str]) -> list[int]:
    return [ids[:place].count(value) for place, value in enumerate(ids)]


def test_quarantine_holds_what_nothing_else_can(database: psycopg.Connection):
    deep = "[" * 100_000
    records = [
        '{"a": NaN}',
        "no JSON",
        "\0",
        '{"half": "\\ud83d", "zero": "\\u0000"}',
        f'{{"a": {deep}',
        "{}",
    ]
    rejections = pa.table(
        {
            "source": ["shop"] * len(records),
            "listing_key": [str(key) for key in range(len(records))],
            "external_id": ["x" * 100_000, "a\0b", None, "", "\U00020000" * 9_000, "é"],
            "content_hash": ["h"] * len(records),
            "record": records,
            "image_uri": ["/a\0b", "/" + "x" * 100_000, None, "", "/é", "/1.jpg"],
            "reasons": [[RULES[0].name]] * len(records),
        }
    )
    replace_quarantine(database, "shop-00001", rejections)
    rows = database.execute(
        "SELECT external_id, record, image_uri FROM fashion_ops.quarantine ORDER BY listing_key"
    ).fetchall()
    assert [row[0] for row in rows] == ["x" * 100_000, "a\\x00b", None, "", "\U00020000" * 9_000, "é"]
    assert [row[1] for row in rows] == [
        {"text": '{"a": NaN}'},
        {"text": "no JSON"},
        {"text": "\\x00"},
        {"half": "\ud83d", "zero": "\0"},
        {"text": f'{{"a": {deep}'},
        {},
    ]
    assert rows[0][2] == "/a\\x00b"
