"""Requests as the fashion shop's app sends them, to a live release of forty T-shirts."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets_tests.serving.former import former, picture_of

API = "/former/fashion-ecom/api/v1"

PRODUCT = {
    *("product_id", "gender", "master_category", "sub_category", "article_type", "base_color", "season"),
    *("year", "usage", "product_display_name", "price", "image_path", "ingested_at", "image_url"),
    *("similarity_score", "personalization_reason", "similar_product_ids", "complete_the_set_ids"),
    "recommendations_updated_at",
}
LIST = {"products", "total", "page", "page_size", "has_more"}


@pytest.fixture
def app(live: Candidate) -> Iterator[TestClient]:
    settings = live.settings.model_copy(update={"former_hosts": "api.old-shop.example=fashion-ecom"})
    with former(settings) as client:
        yield client


def test_the_app_lists_filters_and_sorts(app: TestClient):
    answer = app.get(f"{API}/products")
    assert answer.status_code == 200 and set(answer.json()) == LIST
    first = answer.json()
    assert (first["total"], first["page"], first["page_size"], first["has_more"]) == (40, 1, 24, True)
    assert len(first["products"]) == 24 and {frozenset(each) for each in first["products"]} == {
        frozenset(PRODUCT)
    }
    one = first["products"][0]
    assert isinstance(one["product_id"], str) and one["gender"] == "Men" and one["article_type"] == "Tshirts"
    second = app.get(f"{API}/products", params={"page": 2}).json()
    ids = [each["product_id"] for page in (first, second) for each in page["products"]]
    assert len(set(ids)) == 40 and second["has_more"] is False
    # Whatever case the menu sends; the total takes the season into account.
    red = app.get(f"{API}/products", params={"base_color": "Red", "gender": "Men", "season": "Summer"}).json()
    assert red["total"] == 5 and {each["base_color"] for each in red["products"]} == {"Red"}
    assert app.get(f"{API}/products", params={"base_color": "Red", "season": "Winter"}).json()["total"] == 0
    down = app.get(f"{API}/products", params={"sort_by": "product_display_name", "sort_order": "DESC"}).json()
    titles = [each["product_display_name"] for each in down["products"]]
    assert titles == sorted(titles, reverse=True)
    # What went raw into SQL is a list of names here.
    answer = app.get(f"{API}/products", params={"sort_by": "price; DROP TABLE products"})
    assert answer.status_code == 400 and "sort_by" in answer.json()["detail"]
    assert app.get(f"{API}/products", params={"page_size": 101}).status_code == 422


def test_a_product_is_known_by_its_number(app: TestClient):
    assert app.get(f"{API}/products/7").json() == app.get(f"{API}/products/7.0").json()
    assert app.get(f"{API}/products/7").json()["product_id"] == "7"
    assert app.get(f"{API}/products/seven").status_code == 400
    answer = app.get(f"{API}/products/4711")
    assert (answer.status_code, set(answer.json())) == (404, {"detail"})
    options = app.get(f"{API}/products/filters/options").json()
    assert options["genders"] == ["Men"] and options["article_types"] == ["Tshirts"]
    assert options["colors"] == sorted(options["colors"]) and "Red" in options["colors"]
    assert options["price_range"] == {"min": 0.0, "max": 0.0}


def test_lists_of_the_first_page_are_answered(app: TestClient):
    similar = app.get(f"{API}/products/7/similar").json()
    assert set(similar) == LIST and len(similar["products"]) == 4
    assert "7" not in {each["product_id"] for each in similar["products"]}
    assert all(0 <= each["similarity_score"] <= 1 for each in similar["products"])
    # Among shirts alone nothing completes a look: an empty list, and no error.
    look = app.get(f"{API}/products/7/complete-the-look")
    assert look.status_code == 200 and set(look.json()) == LIST
    for path in ("new-arrivals", "trending", "seasonal"):
        found = app.get(f"{API}/products/{path}", params={"limit": 5}).json()
        assert set(found) == LIST and len(found["products"]) == 5, path
        assert found == app.get(f"{API}/products/{path}", params={"limit": 5}).json(), path
    assert app.get(f"{API}/products/new-arrivals", params={"min_year": 2017}).json()["products"] == []


def test_words_and_pictures_find(app: TestClient, live: Candidate):
    found = app.post(f"{API}/search/text", json={"query": "red t-shirt", "user_id": None, "limit": 3}).json()
    assert set(found) == {"products", "query", "search_type", "user_id"}
    assert (found["search_type"], found["query"]) == ("text", "red t-shirt")
    assert [each["base_color"] for each in found["products"]] == ["Red"] * 3
    narrowed = {"query": "t-shirt", "filters": {"base_color": "Blue", "unknown": 1}}
    blue = app.post(f"{API}/search/text", json=narrowed).json()["products"]
    assert {each["base_color"] for each in blue} == {"Blue"}
    assert app.post(f"{API}/search/text", json={"query": " "}).status_code == 400
    picture = picture_of(live, "9")
    by_picture = app.post(
        f"{API}/search/image", files={"image": ("9.jpg", picture, "image/jpeg")}, data={"limit": "2"}
    ).json()
    assert by_picture["search_type"] == "image" and by_picture["products"][0]["product_id"] == "9"
    across = app.post(f"{API}/search/cross-modal", data={"query": "green"}).json()
    assert across["query"] == "Products that look like: green" and len(across["products"]) == 20
    assert app.post(f"{API}/search/cross-modal", data={"limit": "3"}).status_code == 400
    broken = app.post(f"{API}/search/image", files={"image": ("x.jpg", b"no picture", "image/jpeg")})
    assert broken.status_code == 400 and "picture" in broken.json()["detail"]


def test_people_get_recommendations(app: TestClient, live: Candidate):
    live.conn.execute(
        sql.SQL(
            "INSERT INTO {} (user_id, source, record, style, made) VALUES ('user_000007', 'fashion_demo', '{{}}', "
            """'{{"colour": ["red"]}}', false)"""
        ).format(live.release.table("users"))
    )
    live.conn.commit()
    answer = app.get(f"{API}/search/recommendations/user_000007", params={"restrict_color": "true"}).json()
    assert (answer["search_type"], answer["user_id"], len(answer["products"])) == (
        "personalized",
        "user_000007",
        20,
    )
    assert [each["similarity_score"] for each in answer["products"][:3]] == [1.0, 0.99, 0.98]
    assert "red" in answer["products"][0]["personalization_reason"]
    unknown = app.get(f"{API}/search/recommendations/nobody", params={"limit": 3}).json()
    assert [each["personalization_reason"] for each in unknown["products"]] == ["Popular"] * 3
    ((person),) = app.get(f"{API}/users", params={"curated": "true"}).json()
    assert person["user_id"] == "user_000007" and person["color_prefs"] == ["Red"]
    assert app.get(f"{API}/users/user_000007").json() == person
    profile = app.get(f"{API}/users/user_000007/profile").json()
    assert set(profile["price_range"]) == {"min", "max", "avg"} and profile["purchase_history"] == []
    assert app.get(f"{API}/users/nobody").status_code == 404


def test_an_old_host_name_leads_here(app: TestClient):
    # A client that cannot be told another base URL.
    old = {"host": "api.old-shop.example"}
    product = app.get("/api/v1/products/7", headers=old).json()
    assert product["image_url"].startswith("http://api.old-shop.example/images/")
    assert app.get("/api/v1/products/7").status_code == 404
    shown = app.get("/api/v1/images/Volumes/main/images/7.jpg", headers=old, follow_redirects=False)
    assert shown.status_code == 302 and shown.headers["location"] == product["image_url"]
    assert app.get("/health", headers=old).json() == {"status": "healthy"}
