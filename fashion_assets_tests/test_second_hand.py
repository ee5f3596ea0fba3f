"""An old second-hand database, migrated as a person does it: one migration, whose release every test looks at."""

import base64
import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import SecretStr

from fashion_assets.catalog.listing import product_id, uuid_of
from fashion_assets.catalog.stories.checking import unsupported
from fashion_assets.catalog.stories.story import read_story
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn import second_hand
from fashion_assets.sources.drawn.second_hand import ODD, drawn_items, drawn_vector, known_as
from fashion_assets_tests.conftest import (
    TEMPLATE,
    _own_database,
    create_database,
    database_url,
    run_migration,
)
from fashion_assets_tests.serving.former import former

ITEMS = [*ODD, *drawn_items(40, later=6)]
SOURCE = "modaics"
SPACE = "clip-vit-b-32-padded-768"


@pytest.fixture(scope="module")
def installation(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An installation with a release of the old database, which is in another database."""
    home = tmp_path_factory.mktemp("second_hand")
    create_database(server_settings, "old_second_hand", "template0")
    old = database_url(server_settings, dbname="old_second_hand")
    with connect(
        server_settings.model_copy(update={"database_url": SecretStr(old)}), vectors=False
    ) as connection:
        second_hand.build(connection, ITEMS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OLD_SHOP", old)
        with _own_database(server_settings, home, TEMPLATE, environment) as settings:
            result = run_migration("env:OLD_SHOP")  # type: ignore[arg-type]
            assert result.live, result.to_dict()
            yield settings


@pytest.fixture(scope="module")
def migrated(installation: Settings) -> Iterator[Connection]:
    """A connection to its database."""
    with connect(installation) as connection:
        yield connection


@pytest.fixture(scope="module")
def app(installation: Settings) -> Iterator[TestClient]:
    """A client of the shop's former APIs over it."""
    with former(installation) as client:
        yield client


def source_of(connection: Connection) -> str:
    ((name,),) = connection.execute("SELECT name FROM fashion_ops.sources WHERE active").fetchall()
    return name


def verdicts(connection: Connection) -> dict[str, dict]:
    ((criteria,),) = connection.execute(
        "SELECT criteria FROM fashion_ops.releases WHERE state = 'live'"
    ).fetchall()
    return {each["name"]: each for each in criteria}


def test_every_item_is_a_garment(migrated):
    found = migrated.execute("SELECT external_id FROM fashion_sota.products").fetchall()
    assert {name for (name,) in found} == {known_as(item, n) for n, item in enumerate(ITEMS, 1)}
    rows = migrated.execute(
        "SELECT id, old_id, source, external_id, currency, embedding IS NULL FROM fashion_sota.garments"
    ).fetchall()
    assert len(rows) == len(ITEMS)
    source = source_of(migrated)
    for identity, old_id, platform, native, currency, bare in rows:
        item = ITEMS[old_id - 1]
        assert str(identity) == product_id(source, known_as(item, old_id))
        assert platform == item.platform and currency is None
        assert bare == item.later
        assert (
            native == (known_as(item, old_id).partition(":")[2] if item.url else str(old_id)) or not item.url
        )


def test_vectors_are_bit_for_bit_and_the_digests_say_so(migrated):
    found = migrated.execute(
        "SELECT old_id, embedding, embedding_space FROM fashion_sota.garments WHERE embedding IS NOT NULL"
    )
    kept = {old_id: (vector.to_numpy().astype(np.float32), space) for old_id, vector, space in found}
    assert len(kept) == sum(not item.later for item in ITEMS)
    for old_id, (vector, space) in kept.items():
        assert vector.tobytes() == drawn_vector(old_id - 1).tobytes() and space == SPACE
    verdict = verdicts(migrated)["preserved_vectors_are_bit_for_bit"]
    assert verdict["outcome"] == "pass"
    assert (
        f"{len(kept)} vectors" in verdict["reason"]
        and f"{verdict['value']} as they were read" in verdict["reason"]
    )
    assert (
        f"{sum(item.later for item in ITEMS)} listings of the same sources came without one"
        in verdict["reason"]
    )


def test_each_item_has_its_own_story_which_says_nothing_else(migrated):
    rows = migrated.execute(
        "SELECT story, external_id, record, facts, normalized, title, brand, price::text FROM fashion_sota.products"
    ).fetchall()
    stories = [told for story, *_ in rows if (told := read_story(story)) is not None]
    assert len(stories) == len({story.narrative for story in stories}) == len(ITEMS)
    assert [unsupported(story, known) for story, (_, *known) in zip(stories, rows, strict=True)] == [
        []
    ] * len(ITEMS)
    ((words,),) = migrated.execute(
        "SELECT count(*) FROM fashion_sota.garments WHERE story ->> 'text' = story ->> 'narrative'"
    ).fetchall()
    assert words == len(ITEMS)


def test_owners_are_people_or_are_made(migrated):
    source = source_of(migrated)
    people = migrated.execute("SELECT user_id, id::text, made FROM fashion_sota.users").fetchall()
    assert {user for user, _, made in people if not made} == set(second_hand.PEOPLE)
    assert all(identity == uuid_of(source, "users", user) for user, identity, _ in people)
    owners = migrated.execute(
        "SELECT u.user_id, u.name, count(*) FROM fashion_sota.garments g JOIN fashion_sota.users u ON u.id = g.owner_id "
        "GROUP BY 1, 2"
    ).fetchall()
    assert sum(count for *_, count in owners) == len(ITEMS)
    assert ("uid-anna", "User 0", 1) in owners and ("seller:grailed:driesfan", "driesfan", 2) in owners


def test_every_reference_is_followed_or_named(migrated):
    assert verdicts(migrated)["table_rows_are_accounted_for"]["outcome"] == "pass"
    dangling = dict(
        migrated.execute(
            "SELECT name, dangling FROM fashion_ops.release_tables WHERE dangling <> '{}'"
        ).fetchall()
    )
    assert dangling == {
        "exchanges": {"dangling_product": 1},
        "favourites": {"dangling_product": 1, "dangling_user": 1},
        "follows": {"dangling_user": 1},
        "sketchbook_memberships": {"dangling_user": 1},
        "sketchbook_reactions": {"dangling_sketchbook_posts": 1},
        "sketchbook_votes": {"dangling_poll_options": 2},  # one on what is no poll
        "wardrobe_garments": {"dangling_user": 1},
        "wardrobe_likes": {"dangling_wardrobe_garments": 1, "unknown_item_type": 1},
        "wardrobes": {"dangling_user": 1},
    }
    held = migrated.execute(
        "SELECT count(*) FROM fashion_ops.quarantine WHERE release IS NOT NULL"
    ).fetchone()
    assert held == (sum(sum(each.values()) for each in dangling.values()),)
    # A number alone is ambiguous: by its kind it is a product here, a thing of a wardrobe there.
    said = migrated.execute(
        "SELECT e.item_type, e.item_id, g.old_id, e.status FROM fashion_sota.exchanges e "
        "LEFT JOIN fashion_sota.garments g ON g.id = e.product_id ORDER BY e.id"
    ).fetchall()
    assert said == [("marketplace", "1", 1, "completed"), ("wardrobe", "2", None, "refunded")]
    loved = migrated.execute(
        "SELECT old_id, save_count FROM fashion_sota.garments WHERE save_count > 0 ORDER BY 1"
    ).fetchall()
    assert loved == [(1, 2), (2, 1)]
    favourites = migrated.execute("SELECT DISTINCT external_id FROM fashion_sota.favourites").fetchall()
    assert {name for (name,) in favourites} == {known_as(ITEMS[0], 1), known_as(ITEMS[1], 2)}


def test_counters_are_counted_anew(migrated):
    books = migrated.execute(
        "SELECT members_count, (record ->> 'members_count')::int, posts_count FROM fashion_sota.sketchbooks"
    ).fetchall()
    assert books == [(1, 12, 2)]  # one is active, one revoked, one nobody
    posts = migrated.execute(
        "SELECT id, reactions_count, comments_count FROM fashion_sota.sketchbook_posts ORDER BY 1"
    ).fetchall()
    assert posts == [("1", 2, 1), ("2", 0, 1)]
    (polls,) = migrated.execute(
        "SELECT array_agg(poll_options ORDER BY id) FROM fashion_sota.sketchbook_posts"
    ).fetchone()
    assert polls == [
        [{"id": "a", "label": "Red", "votes": 1}, {"id": "b", "label": "Blue", "votes": 0}],
        None,
    ]
    people = migrated.execute(
        "SELECT user_id, following_count, followers_count FROM fashion_sota.user_profiles ORDER BY user_id"
    ).fetchall()
    assert people == [
        ("001234.abcdef.0567", 0, 0),
        ("uid-anna", 1, 0),
        ("uid-ben", 1, 0),
        ("uid-studio", 0, 2),
    ]
    wardrobes = migrated.execute(
        "SELECT owner_id, garments FROM fashion_sota.wardrobes ORDER BY 1"
    ).fetchall()
    assert wardrobes == [("uid-anna", 2), ("uid-ben", 1)]


def test_a_space_says_that_its_vectors_are_filled_up(migrated):
    ((said,),) = migrated.execute(
        "SELECT preprocessing FROM fashion_ops.spaces WHERE space = %s", (SPACE,)
    ).fetchall()
    assert json.loads(json.dumps(said)) == {"numbers": 512}


# Requests as the shop's apps send them

V2, V3 = "/former/second-hand-v2", "/former/second-hand-v3"

ITEM_KEYS = {
    *("id", "external_id", "title", "description", "price", "url", "image_url", "distance", "redirect_url"),
    "source",
}


def test_the_app_finds_by_words_and_by_a_picture(app, migrated):
    answer = app.post(f"{V2}/search_by_text", json={"query": "rick owens", "limit": 3})
    items = answer.json()["items"]
    assert answer.status_code == 200 and set(answer.json()) == {"items"} and 2 < len(items) <= 20
    assert {frozenset(each) for each in items} == {frozenset(ITEM_KEYS)}
    # The app decodes a whole number, and takes what is nearest to be first.
    assert {type(each["id"]) for each in items} == {int}
    assert [each["distance"] for each in items] == sorted(each["distance"] for each in items)
    assert {type(each["price"]) for each in items} <= {float, type(None)}
    found = {each["id"]: each for each in items}
    assert found[2]["title"] == "Rick Owens Ramones" and found[2]["source"] == "grailed"
    assert found[2]["redirect_url"] == "https://www.grailed.com/listings/12345678"
    everything = {item["id"]: item for query in ("depop heel", "zara robe") for item in _items(app, query)}
    assert everything[1]["redirect_url"] == "depop://product/no-boundaries-black-y2k-heel-0e75"
    assert everything[4]["redirect_url"] == "https://www.vinted.com/items/12345678"
    photo = io.BytesIO()
    Image.new("RGB", (64, 64), "black").save(photo, "JPEG")
    sent = base64.b64encode(photo.getvalue()).decode()
    by_picture = app.post(f"{V2}/search_by_image", json={"image_base64": sent})
    assert by_picture.status_code == 200 and set(by_picture.json()["items"][0]) == ITEM_KEYS
    # A prefix that the former decoder turned into a picture nobody could read.
    with_prefix = app.post(f"{V2}/search_by_image", json={"image_base64": f"data:image/jpeg;base64,{sent}"})
    assert with_prefix.json() == by_picture.json()
    both = app.post(f"{V2}/search_combined", json={"query": "boots", "image_base64": sent})
    assert both.status_code == 200 and set(both.json()["items"][0]) == ITEM_KEYS


def _items(app: TestClient, query: str) -> list[dict]:
    return app.post(f"{V2}/search_by_text", json={"query": query}).json()["items"]


def test_the_app_is_told_what_was_wrong(app):
    assert app.post(f"{V2}/search_by_image", json={}).status_code == 422
    answer = app.post(f"{V2}/search_by_image", json={"image_base64": "abc"})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid base64 image data"})
    junk = app.post(f"{V2}/search_by_image", json={"image_base64": base64.b64encode(b"no picture").decode()})
    assert junk.status_code == 400 and junk.json()["detail"].startswith("Embedding error: ")
    answer = app.post(f"{V2}/search_by_text", json={"query": ""})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Query text is required")
    assert app.post(f"{V2}/search_combined", json={}).status_code == 400
    for method, path in (
        ("POST", "/add_item"),
        ("POST", "/payments/item-purchase"),
        ("GET", "/transactions"),
    ):
        refused = app.request(method, f"{V2}{path}", json={})
        assert refused.status_code == 501 and refused.json()["detail"], path
    assert app.get(f"{V2}/health").json()["status"] == "ok"


def test_sketchbooks_are_read_as_far_as_they_are_everybodys(app, migrated):
    ((brand,),) = migrated.execute("SELECT brand_id FROM fashion_sota.sketchbooks").fetchall()
    book = app.get(f"{V2}/sketchbook/brand/{brand}").json()
    # Counted anew: the old row says twelve members.
    assert (book["id"], book["title"], book["members_count"]) == (1, "Studio Updates", 1)
    posts = app.get(f"{V2}/sketchbook/1/posts").json()["posts"]
    assert [(each["id"], each["title"], each["visibility"]) for each in posts] == [
        (1, "Which colour?", "public")
    ]
    assert json.loads(posts[0]["media"]) == ["https://img.example/p.jpg"] and posts[0]["tags"] == [
        "drop",
        "ss26",
    ]
    assert app.get(f"{V2}/community/sketchbook-feed", params={"user_id": "uid-anna"}).json()["posts"] == posts
    poll = app.get(f"{V2}/sketchbook/1/posts/1/poll").json()
    assert (poll["question"], poll["is_closed"]) == ("Which?", True)
    assert [(each["id"], each["votes"]) for each in poll["options"]] == [("a", 1), ("b", 0)]
    # A post for members has no poll for others; no book is made of a question.
    assert app.get(f"{V2}/sketchbook/1/posts/2/poll").status_code == 404
    assert app.get(f"{V2}/sketchbook/brand/nobody").status_code == 404
    assert app.get(f"{V2}/sketchbook/1/membership/uid-anna").status_code == 501


def test_garments_are_listed_as_in_the_third_version(app):
    page = app.get(f"{V3}/garments", params={"page_size": 50}).json()
    assert set(page) == {"items", "total", "page", "page_size", "pages"}
    assert (page["total"], page["pages"], len(page["items"])) == (len(ITEMS), 1, len(ITEMS))
    one = next(each for each in page["items"] if each["title"] == "Rick Owens Ramones")
    assert one["price"] == "410.00" and set(one["story"]) >= {"text", "mood", "memories"}
    assert one["owner"]["display_name"] == "driesfan" and one["owner"]["email"] is None
    dear = app.get(f"{V3}/garments", params={"min_price": 400, "max_price": 500}).json()
    assert one["id"] in {each["id"] for each in dear["items"]} and dear["total"] < len(ITEMS)
    assert app.get(f"{V3}/garments", params={"exchange_type": "rent"}).status_code == 422
    assert app.get(f"{V3}/garments/search", params={"q": "rick%"}).json()["total"] == 0
    named = app.get(f"{V3}/garments/search", params={"q": "rick"}).json()
    assert named["total"] >= 1 and one in named["items"]
    again = app.get(f"{V3}/garments/{one['id']}").json()
    assert again["title"] == one["title"] and len(again["embedding"]) == 768
    assert one["id"] not in {each["id"] for each in again["similar_garments"]}
    missing = app.get(f"{V3}/garments/00000000-0000-0000-0000-000000000000")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Garment not found"})
    assert app.post(f"{V3}/garments", json={}).status_code == 501


def test_discovery_scores_and_says_why(app):
    found = app.get(f"{V3}/discovery", params={"q": "black dress", "page_size": 5}).json()
    assert set(found) == {"results", "query_embedding", "total", "page", "page_size", "pages"}
    assert {frozenset(each) for each in found["results"]} == {
        frozenset({"garment", "similarity_score", "match_reasons"})
    }
    assert all(0.1 <= each["similarity_score"] <= 1 for each in found["results"])
    assert any("black colorway" in each["match_reasons"] for each in found["results"])
    dresses = app.get(f"{V3}/discovery", params={"q": "black", "category": "dress"}).json()["results"]
    assert dresses and all(each["match_reasons"][0].startswith("Matches category") for each in dresses)
    assert all("dress" in each["garment"]["title"].lower() for each in dresses)
    recent = app.get(f"{V3}/discovery").json()["results"]
    assert {(each["similarity_score"], *each["match_reasons"]) for each in recent} == {
        (0.5, "Recently listed")
    }
    by_body = app.post(f"{V3}/discovery", json={"text": "dress", "style_tags": ["vintage"]})
    assert by_body.status_code == 200
    one = found["results"][0]["garment"]["id"]
    alike = app.get(f"{V3}/discovery/similar/{one}").json()["results"]
    assert one not in {each["garment"]["id"] for each in alike}
