"""`sources inspect` says what would become of a catalogue, and `run --catalog` finds the same mapping out."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from fashion_assets.choice import Choice, found_out
from fashion_assets.cli import app
from fashion_assets.settings import Settings
from fashion_assets.sources.known_mappings import load_mapping
from fashion_assets.warehouse.sources import sources
from fashion_assets_tests.catalogue import draw_picture, replace_line, write_catalogue
from fashion_assets_tests.sources.test_recognition import write_german

CATEGORY = "Warengruppe", "Apparel"


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout + result.stderr


def answer(*words: object) -> dict:
    code, said = call("sources", "inspect", *words, "--json")
    assert code == 0, said
    return json.loads(said)


def test_a_catalogue_is_looked_at_without_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(home))
    file = write_german(tmp_path / "laden")
    file.write_text(
        file.read_text("utf-8") + "A0;Noch einmal;Boss;Herren;Jeans;Blau;ab 49 €;heute\n", "utf-8"
    )
    found = answer(file)
    assert not home.exists()  # nothing is made
    assert found["mapping"]["proposed"] and found["how"]["delimiter"] == "semicolon"
    assert found["looked_at"] == {"listings": 13, "all": True}
    assert (found["products"], found["quarantined"]) == (12, 1)
    becomes = {column["column"]: column["becomes"] for column in found["columns"]}
    assert becomes["Artikelnummer"] == ["id"] and becomes["Preis"] == ["price"]
    assert found["left_over"] == ["Lieferzeit"]
    assert found["coverage"] | {"title": 12, "gender": 12, "price": 12, "brand": 12} == found["coverage"]
    assert found["coverage"]["category"] == found["coverage"]["picture"] == 0
    assert found["price"]["notation"] == "decimal comma, point between thousands, EUR"
    read = {
        each["text"]: (each["amount"], each["currency"], each["problem"])
        for each in found["price"]["examples"]
    }
    assert read["1.199,00 €"] == ("1199.00", "EUR", None)
    assert read["ab 49 €"][2] == "price_unreadable"
    assert len(found["examples"]) == 10
    first = found["examples"][0]
    assert (first["external_id"], first["gender"], first["price"]) == ("A0", "men", "1199.00")
    assert {each["reason"]: each["listings"] for each in found["rejected"]} == {
        "duplicate_id": 1,
        "price_unreadable": 1,
    }
    assert found["rejected"][0]["example"]["external_id"] == "A0" and found["rejected"][0]["meaning"]
    assert answer(file, "--limit", 5)["looked_at"] == {"listings": 5, "all": False}


def test_pictures_are_judged_and_a_person_can_read_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = write_catalogue(tmp_path / "shop", 5)
    (folder / "images" / "3.jpg").unlink()
    (folder / "images" / "4.jpg").write_bytes(b"no picture")
    replace_line(folder, 5, "5,,Apparel,Topwear,Tshirts,Red,Summer,2012,Casual,A shirt")
    found = answer(folder)
    reasons = {each["reason"]: each["listings"] for each in found["rejected"]}
    assert reasons == {"image_missing": 1, "image_not_an_image": 1, "null_gender": 1}
    assert found["coverage"]["picture"] == found["products"] == 2
    assert found["profile"] == {
        "critical": ["title", "gender", "category", "article_type"],
        "picture": "required",
    }
    code, said = call("sources", "inspect", folder)
    assert code == 0
    assert max(map(len, said.splitlines())) <= 80
    plain = " ".join(said.split())
    for words in (
        "fashion-product-images",
        "all 5 listings",
        "masterCategory",
        "image_missing",
        "What products have",
    ):
        assert words in plain


def test_a_written_mapping_gives_the_same(tmp_path: Path) -> None:
    file = write_german(tmp_path / "laden")
    mapping = tmp_path / "laden.toml"
    before = answer(file, "--write", mapping)
    assert "Lieferzeit" in mapping.read_text("utf-8") and load_mapping(mapping).name == "laden"
    after = answer(file, "--mapping", mapping)
    for same in ("products", "columns", "coverage", "price", "examples", "rejected", "profile"):
        assert after[same] == before[same]
    code, said = call("sources", "inspect", file, "--write", mapping)
    assert code == 1 and "is there already" in said
    assert call("sources", "inspect", tmp_path / "nowhere")[0] == 1
    code, said = call("sources", "inspect", "sample:10")
    assert code == 2 and "reader of its own" in said


def test_a_run_says_what_a_proposal_is_not_sure_of(tmp_path: Path) -> None:
    file = tmp_path / "laden" / "artikel.csv"
    file.parent.mkdir()
    file.write_text(
        "Kod;Nazwa;Gewicht;Rok\n" + "".join(f"A{n};Hemd rot {n};{n},50;{2011 + n}\n" for n in range(9))
    )
    choice = found_out(Settings(home=tmp_path / "home"), Choice("shop", "catalogue", str(file.parent)))
    assert "Not sure of it: " in choice.said and "no column states the price for sure" in choice.said
    assert choice.said.endswith(f"Look at it: fashion-assets sources inspect {file}")


def test_a_run_finds_the_mapping_out_and_keeps_it(
    settings: Settings, database: psycopg.Connection, tmp_path: Path
) -> None:
    file = write_german(tmp_path / "laden", 12, CATEGORY)
    (file.parent / "images").mkdir()
    for number in range(16):
        draw_picture(file.parent / "images" / f"A{number}.jpg", number)
    code, said = call("run", "--catalog", file.parent, "--no-promote")
    assert code == 0, said
    plain = " ".join(said.split())
    assert "is read by the mapping proposed: no mapping fits" in plain
    (kept,) = sources(database)
    database.commit()
    assert (kept.kind, kept.location) == ("catalogue", str(file))
    assert kept.options["mapping"]["attributes"]["title"] == {"column": "Bezeichnung"}
    assert kept.options["found"]["price"]["decimal"] == ","

    # More of it changes neither what reads it nor what was read.
    write_german(tmp_path / "laden", 16, CATEGORY)
    code, said = call("run", "--catalog", file, "--dry-run")
    assert code == 0 and "4 new, 0 changed" in " ".join(said.split()), said
    (again,) = sources(database)
    assert again.said == kept.said
    code, said = call("run", "--mapping", "thredup")
    assert code == 2 and "say which one, by --catalog" in " ".join(said.split())
