"""What a merchant decides, over HTTP and by the command, on the live release of forty products."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.postgres.connections import connect
from fashion_assets.search import merchandising
from fashion_assets.serving.api.merchandising import KnownRule, KnownSynonym, Rules, Searched
from fashion_assets.settings import Settings
from fashion_assets.warehouse import searches

BASE = "/api/v1/merchant"


@pytest.fixture
def undecided(served_settings: Settings, api: httpx.Client) -> Iterator[httpx.Client]:
    """Nothing is decided, before and after."""

    def clear() -> None:
        with connect(served_settings, vectors=False) as connection:
            merchandising.take_over(connection, [], alone=True)
        # Whoever asks for it knows it at once.
        assert api.put(f"{BASE}/synonyms/x", json={"words": ["xx", "yy"]}).is_success
        assert api.delete(f"{BASE}/synonyms/x").status_code == 204

    clear()
    yield api
    clear()


def found(api: httpx.Client, q: str) -> list[str]:
    hits = api.get("/api/v1/search", params={"q": q, "limit": 5}).json()["hits"]
    return [hit["id"] for hit in hits]


def test_a_synonym_is_followed_as_soon_as_it_is_put(undecided: httpx.Client):
    api = undecided
    put = api.put(
        f"{BASE}/synonyms/teal", json={"words": ["Zzteal"], "becomes": ["blue"], "note": "asked for"}
    )
    known = KnownSynonym.model_validate(put.json())
    assert (known.words, known.becomes, known.by) == (["zzteal"], ["blue"], "this machine")
    said = api.get("/api/v1/search", params={"q": "zzteal", "mode": "text"}).json()
    assert said["synonyms"] == ["zzteal → blue"] and said["hits"]
    assert {hit["attributes"]["colour"] for hit in said["hits"]} == {"blue"}
    # By its vector as well, of which the model knows nothing.
    near = api.get("/api/v1/search", params={"q": "zzteal", "mode": "vector", "limit": 5}).json()
    assert near["synonyms"] == said["synonyms"]
    assert {hit["attributes"]["colour"] for hit in near["hits"]} == {"blue"}
    circle = api.put(f"{BASE}/synonyms/back", json={"words": ["blue"], "becomes": ["zzteal"]})
    assert circle.status_code == 400 and "goes round in a circle" in circle.json()["detail"]
    assert api.delete(f"{BASE}/synonyms/teal").status_code == 204
    assert api.delete(f"{BASE}/synonyms/teal").status_code == 404
    near = api.get("/api/v1/search", params={"q": "zzteal", "mode": "vector", "limit": 5}).json()
    assert near["synonyms"] == [] and {hit["attributes"]["colour"] for hit in near["hits"]} != {"blue"}


def test_products_are_pinned_and_hidden_and_hits_say_so(undecided: httpx.Client):
    api = undecided
    first, *_, last = found(api, "shirt")
    external_id = api.get(f"/api/v1/products/{last}").json()["external_id"]
    for _ in range(2):  # sent twice it is one
        put = api.put(
            f"{BASE}/rules/p", json={"action": "pin", "words": "Shirt", "product": external_id, "place": 1}
        )
        assert KnownRule.model_validate(put.json()).product == last
    assert api.put(f"{BASE}/rules/h", json={"action": "hide", "product": first}).is_success
    for style in api.get("/api/v1/styles").json()["styles"]:
        of_it = api.get(f"/api/v1/styles/{style['number']}?limit=100").json()["hits"]
        assert first not in [hit["id"] for hit in of_it]
    shown = api.get("/api/v1/search", params={"q": "shirt", "limit": 5}).json()["hits"]
    assert shown[0]["id"] == last and first not in [hit["id"] for hit in shown]
    assert shown[0]["rules"] == [{"rule": "p", "action": "pin", "place": 1}] and "rules" not in shown[1]
    lost = {"action": "hide", "product": "14bc355a-c0b2-51f5-8d81-88d10110e9c3", "words": "red"}
    assert api.put(f"{BASE}/rules/lost", json=lost).json()["lacking"]
    rules = Rules.model_validate(api.get(f"{BASE}/rules").json()).rules
    assert [(each.id, each.lacking) for each in rules] == [("p", False), ("h", False), ("lost", True)]
    assert [each["id"] for each in api.get(f"{BASE}/rules?words=SHIRT").json()["rules"]] == ["p"]
    refused = api.put(
        f"{BASE}/rules/x", json={"action": "pin", "words": "x", "product": "nobody/1", "place": 1}
    )
    assert refused.status_code == 400 and "no release ever had a product" in refused.json()["detail"]


def test_what_people_looked_for_is_told(served_settings: Settings, api: httpx.Client):
    with connect(served_settings, vectors=False) as connection:
        key = searches.Key(searches.date.today(), "fashion_sota_r0001", "words", "zz carpet")
        searches.add(connection, {key: searches.Counts(3, 2)})
    said = Searched.model_validate(api.get(f"{BASE}/searches?without_hits=true&limit=1000").json())
    assert ("zz carpet", 2) in [(each.words, each.without_hits) for each in said.searches]


def test_decisions_are_made_by_the_command_and_kept_as_a_file(
    undecided: httpx.Client, served_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    api, invoke = undecided, CliRunner().invoke
    assert served_settings.database_url is not None
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(served_settings.home))
    monkeypatch.setenv("FASHION_ASSETS_DATABASE_URL", served_settings.database_url.get_secret_value())

    def run(*arguments: str) -> str:
        done = invoke(app, ["merchandising", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    product = found(api, "shirt")[-1]
    run("synonym", "sneakers", "trainers", "--id", "sneakers", "--note", 'so "they" say')
    run("pin", product, "--words", "shirt", "--place", "2", "--id", "pin", "--until", "2040-01-01")
    run("boost", "colour=red", "--when", "gender=men", "--factor", "0.5", "--id", "bury")
    file = tmp_path / "decided.toml"
    run("export", str(file))
    listed = json.loads(run("list", "--json"))
    assert [each["id"] for each in (*listed["synonyms"], *listed["rules"])] == ["sneakers", "pin", "bury"]
    run("remove", "sneakers", "pin", "bury")
    assert "3 in the file: 3 new, 0 changed, 0 removed" in run("import", str(file))
    again = json.loads(run("list", "--json"))
    assert [{**each, "changed_at": ""} for each in again["rules"]] == [
        {**each, "changed_at": ""} for each in sorted(listed["rules"], key=lambda each: each["id"])
    ]
    file.write_text(file.read_text().replace("trainers", "kicks").replace("place = 2", 'place = "2"'))
    failed = invoke(app, ["merchandising", "import", str(file)])
    assert failed.exit_code == 1 and "number 2: place is to be a whole number" in " ".join(
        failed.stderr.split()
    )
    file.write_text('[[synonyms]]\nid = "sneakers"\nwords = ["sneakers", "kicks"]\n')
    assert "1 in the file: 0 new, 1 changed, 2 removed" in run("import", str(file), "--replace")
    assert "sneakers, kicks" in run("list")
    assert "nothing was looked for" in run("searches", "--days", "1") or "zz carpet" in run("searches")
