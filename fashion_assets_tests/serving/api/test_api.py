"""What the API answers, over HTTP, on a live release of forty products."""

import io
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from PIL import Image
from starlette.datastructures import QueryParams

from fashion_assets.search.query import Results
from fashion_assets.serving.api import documents, pictures
from fashion_assets.serving.api.asked import Asked, asked_in
from fashion_assets.settings import Settings

FIRST = "/api/v1/search?limit=5"


def first_hit(api: httpx.Client) -> dict:
    return api.get(FIRST).json()["hits"][0]


def picture_of(colour: str, edge: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (edge, edge), colour).save(stream, "PNG")
    return stream.getvalue()


def test_words_are_found_with_the_facets_and_the_filters_asked_for(api: httpx.Client):
    answer = api.get("/api/v1/search", params={"q": "shirt", "facets": "colour,brand", "limit": 3})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    said = documents.SearchAnswer.model_validate(answer.json())
    assert said.hits and set(said.facets) == {"colour", "brand"} and said.release == "fashion_sota_r0001"

    colour = said.facets["colour"][0].value
    narrowed = api.get(
        "/api/v1/search", params={"filter": f"colour={colour}", "facets": "colour", "limit": 100}
    ).json()
    assert {hit["attributes"]["colour"] for hit in narrowed["hits"]} == {colour}
    assert [count["value"] for count in narrowed["facets"]["colour"] if count["selected"]] == [colour]


def test_every_page_leads_to_the_next_and_no_hit_comes_twice(api: httpx.Client):
    seen, page = [], None
    while True:
        answer = api.get("/api/v1/products", params={"limit": 7, **({"page": page} if page else {})}).json()
        seen += [hit["id"] for hit in answer["hits"]]
        page = answer["next_page"]
        assert answer["total"]["value"] == 40 and answer["total"]["exact"]
        if page is None:
            break
    assert len(seen) == len(set(seen)) == 40


def test_what_is_typed_is_completed(api: httpx.Client):
    said = documents.Suggestions.model_validate(api.get("/api/v1/suggestions?q=sh").json())
    assert said.suggestions and all(each.products for each in said.suggestions)


def test_hits_are_ordered_as_asked(api: httpx.Client):
    hits = api.get("/api/v1/products?sort=newest&limit=5").json()["hits"]
    years = [api.get(f"/api/v1/products/{hit['id']}").json()["attributes"].get("year", 0) for hit in hits]
    assert years == sorted(years, reverse=True)
    assert api.get("/api/v1/products?sort=sideways").status_code == 422


def test_a_picture_with_words_beside_it_is_searched_by(api: httpx.Client):
    answer = api.post(
        "/api/v1/search",
        files={"picture": ("p.png", picture_of("red"), "image/png")},
        data={"q": "blue", "limit": "3", "filter": ["year>=1990"]},
    )
    assert answer.status_code == 200, answer.text
    assert len(documents.SearchAnswer.model_validate(answer.json()).hits) == 3
    no_picture = api.post("/api/v1/search", files={"picture": ("p.png", b"no picture", "image/png")})
    assert no_picture.status_code == 400 and "cannot search by this picture" in no_picture.json()["detail"]


def test_a_product_what_is_like_it_and_what_goes_with_it(api: httpx.Client):
    hit = first_hit(api)
    for key in (hit["id"], hit["external_id"]):
        product = documents.Product.model_validate(api.get(f"/api/v1/products/{key}").json())
        assert (product.id, product.title) == (hit["id"], hit["title"])
    similar = documents.Similar.model_validate(
        api.get(f"/api/v1/products/{hit['id']}/similar", params={"limit": 4}).json()
    )
    assert len(similar.hits) == 4 and hit["id"] not in {each.id for each in similar.hits}
    look = api.get(f"/api/v1/products/{hit['id']}/look")
    assert look.status_code in (200, 400)  # what is no part of a look says so
    if look.status_code == 200:
        documents.Look.model_validate(look.json())
    for path in ("", "/similar", "/look"):
        missing = api.get(f"/api/v1/products/00000000-0000-0000-0000-000000000000{path}")
        assert missing.status_code == 404 and missing.headers["content-type"] == "application/problem+json"


def test_what_was_not_changed_is_not_sent_again(api: httpx.Client):
    once = api.get(FIRST)
    again = api.get(FIRST, headers={"If-None-Match": once.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert (
        api.get("/api/v1/search?limit=4", headers={"If-None-Match": once.headers["etag"]}).status_code == 200
    )


def test_pictures_are_made_small_and_kept(api: httpx.Client):
    hit = first_hit(api)
    answer = api.get(hit["image"], params={"size": "small"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "JPEG" and max(picture.size) <= 240 and not picture.getexif()
    assert (
        api.get(
            hit["image"], params={"size": "small"}, headers={"If-None-Match": answer.headers["etag"]}
        ).status_code
        == 304
    )
    assert api.get(hit["image"], params={"size": "huge"}).status_code == 422


def test_where_a_picture_lies_is_known_for_a_while_once_it_was_found(
    api: httpx.Client, served_app: FastAPI, monkeypatch: pytest.MonkeyPatch
):
    one, other = api.get("/api/v1/search?limit=2").json()["hits"]

    def shown(hit: dict) -> bytes:
        answer = api.get(hit["image"], params={"size": "small"})
        assert answer.status_code == 200
        return answer.content

    own, others = shown(one), shown(other)
    assert own != others
    # It stands for what has another picture since.
    found = served_app.state.pictures._found
    found.put(one["id"], found.peek(other["id"]))
    assert shown(one) == others
    monkeypatch.setattr(pictures, "LOOKED_SECONDS", 0.0)
    assert shown(one) == own
    # A search says it anew.
    found.put(one["id"], found.peek(other["id"]))
    monkeypatch.undo()
    api.get("/api/v1/search?limit=2")
    assert shown(one) == own


def test_a_picture_outside_the_sources_folders_is_not_given_out(served_settings: Settings, tmp_path: Path):
    from fashion_assets.postgres.connections import connect
    from fashion_assets.serving.api.pictures import _is_in, folders

    with connect(served_settings) as connection:
        allowed = folders(connection, served_settings)
    assert (
        allowed and not _is_in("/etc/passwd", allowed) and not _is_in(f"{allowed[-1]}-beside/1.jpg", allowed)
    )
    assert _is_in(f"{allowed[-1]}/images/1.jpg", allowed)


def test_what_is_live_and_what_was_rejected_is_told(api: httpx.Client):
    about = documents.About.model_validate(api.get("/api/v1/about").json())
    assert about.live is not None and about.live.products == 40 and about.sources[0].products == 40
    releases = documents.Releases.model_validate(api.get("/api/v1/releases").json())
    assert [each.release for each in releases.releases] == ["fashion_sota_r0001"] and releases.releases[
        0
    ].served
    sides = documents.Comparison.model_validate(
        api.get(
            "/api/v1/compare", params={"q": "shirt", "a": "fashion_sota_r0001", "b": "fashion_sota_r0001"}
        ).json()
    )
    assert sides.common == [hit.id for hit in sides.a.hits] and sides.common
    assert (
        api.get(
            "/api/v1/compare", params={"q": "shirt", "a": "fashion_sota_r0001", "b": "fashion_sota_r0099"}
        ).status_code
        == 404
    )


def test_styles_and_people(api: httpx.Client):
    documents.Styles.model_validate(api.get("/api/v1/styles").json())
    people = documents.People.model_validate(api.get("/api/v1/people").json())
    for person in people.people[:1]:
        documents.Recommendations.model_validate(api.get(f"/api/v1/recommendations/{person.id}").json())
    assert api.get("/api/v1/recommendations/nobody").status_code == 404
    assert api.get("/api/v1/styles/none-such").status_code == 404


def test_it_says_whether_it_lives_and_can_answer(api: httpx.Client):
    assert api.get("/healthz").json() == {"status": "alive"}
    assert api.get("/readyz").json() == {"status": "ready", "release": "fashion_sota_r0001"}
    assert api.head("/healthz").status_code == 200


def test_what_is_asked_otherwise_than_in_a_form_is_not_passed_over(api: httpx.Client):
    for sent in (
        {"json": {"q": "red"}},
        {"content": b"q=red"},
        {"data": {"limit": "1"}, "params": {"q": "red"}},
    ):
        answer = api.post("/api/v1/search", **sent)
        assert answer.status_code == 400 and "form" in answer.json()["detail"]
    assert api.post("/api/v1/search", data={"q": "red"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/search?qq=x", 422, "qq"),
        ("/api/v1/search?limit=1000", 422, "limit"),
        ("/api/v1/search?filter=foo=1", 400, "there is no filter"),
        ("/api/v1/search?filter=colour%3C%3D5", 400, "no number"),
        ("/api/v1/search?facets=foo", 400, "there is no facet"),
        ("/api/v1/search?page=abc", 400, "page"),
        ("/api/v1/search?release=pg_catalog", 404, "no release"),
        ("/api/v1/search?mode=text", 400, "needs words"),
        ("/api/v1/nothing", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_that_says_why(
    api: httpx.Client, path: str, status: int, said: str
):
    answer = api.get(path)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and said in problem["detail"]


def test_parameters_are_read_as_fastapi_reads_them():
    alike = FastAPI()

    @alike.get("/")
    async def read(asked: Annotated[Asked, Query()]) -> Asked:
        return asked

    with TestClient(alike) as client:
        for said in (
            "",
            "q=a&q=b&limit=3",
            "filter=colour%3Dred&filter=price%3C%3D5&facets=colour,brand",
            "facets=usual&highlight=true&explain=0&diversity=.5",
            "q=",
            "page=&product=",
            "limit=many&nothing=1&nothing=2",
            "filter=",
        ):
            answer = client.get(f"/?{said}")
            try:
                ours = asked_in(QueryParams(said)).model_dump()
            except RequestValidationError as error:
                ours = [(list(each["loc"]), each["msg"]) for each in error.errors()]
                assert [(each["loc"], each["msg"]) for each in answer.json()["detail"]] == ours, said
            else:
                assert answer.json() == ours, said


def test_each_request_has_a_number_and_a_bound(api: httpx.Client, served_settings: Settings):
    assert api.get("/healthz", headers={"X-Request-ID": "my-1"}).headers["x-request-id"] == "my-1"
    made = api.get("/healthz", headers={"X-Request-ID": "not/\\one"}).headers["x-request-id"]
    assert len(made) == 16
    large = b"x" * (served_settings.api_max_body + 1)
    assert api.post("/api/v1/search", files={"picture": ("p", large)}).status_code == 413

    def streamed():
        for _ in range(20):
            yield large[: len(large) // 16]

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert api.post("/api/v1/search", content=streamed(), headers=form).status_code in (400, 413)


def test_the_page_and_the_reports_are_given_out_and_nothing_beside_them(api: httpx.Client):
    page = api.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    assert api.get("/reports", follow_redirects=True).status_code == 200
    for outside in ("/../served.py", "/%2e%2e/served.py", "/fashion-assets/reports/%2e%2e/settings.toml"):
        assert api.get(outside).status_code == 404


def test_large_answers_are_compressed(api: httpx.Client):
    assert api.get("/api/v1/search?limit=40").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.get("/healthz").headers


def test_several_searches_are_answered_each_for_itself(api: httpx.Client):
    asked = [{"q": "shirt", "limit": 2}, {"filter": ["nothing=1"]}, {"facets": ["colour"]}]
    answers = api.post("/api/v1/multi-search", json={"searches": asked}).json()["answers"]
    assert [len(each.get("hits", [])) for each in answers] == [2, 0, 24] and answers[1]["status"] == 400
    assert api.post("/api/v1/multi-search", json={"searches": asked * 9}).status_code == 422
    assert api.post("/api/v1/multi-search", content=b'{"searches": [{"q": "\\ud800"}]}').status_code == 422


def test_a_search_that_takes_too_long_answers_with_what_it_has(served_settings: Settings):
    import asyncio

    from fashion_assets.search.engine import within
    from fashion_assets.search.query import Query
    from fashion_assets.serving.api.searching import in_time
    from fashion_assets.serving.api.served import Served

    async def ask(seconds: float) -> Results:
        settings = served_settings.model_copy(update={"api_search_seconds": seconds})
        async with Served(settings, "127.0.0.1") as here:
            with within(30):
                await here.engine.search(Query(words="shirt"))
            return await in_time(here, Query(words="shirt", facets=("colour",)))

    late = asyncio.run(ask(1e-9))
    assert (
        any("longer than" in note for note in late.plan.notes) and not late.facets and late.next_page is None
    )
    assert not any("longer than" in note for note in asyncio.run(ask(30)).plan.notes)


def test_what_was_rejected_is_told_with_its_reasons(api: httpx.Client):
    said = documents.Quarantine.model_validate(api.get("/api/v1/merchant/quarantine").json())
    assert said.listings == [] and not said.more
    outside = {"source": "fashion_demo", "uri": "../../settings.toml"}
    assert api.get("/api/v1/merchant/quarantine/picture", params=outside).status_code == 404
