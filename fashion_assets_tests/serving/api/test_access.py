"""Keys: who may ask what, within which filters, how often, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from typer.testing import CliRunner

from fashion_assets.cli import app
from fashion_assets.postgres.connections import connect
from fashion_assets.serving.api import access
from fashion_assets.serving.api.application import application
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keys
from fashion_assets_tests.serving.web import running


@pytest.fixture
def guarded(settings: Settings, shop: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """An API of an installation of its own, asked often."""
    monkeypatch.setattr(access, "FRESH_SECONDS", 0.0)
    monkeypatch.setenv("FASHION_ASSETS_API_REQUESTS_PER_MINUTE", "40")
    with (
        running(application(Settings()), lifespan="on") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        yield client


def made(
    settings: Settings, *scopes: str, filters: tuple[str, ...] = (), expires_at: datetime | None = None
) -> dict[str, str]:
    with connect(settings) as connection:
        secret, _ = keys.create(connection, "a test", scopes, filters, expires_at)
        connection.commit()
    return {"Authorization": f"Bearer {secret}"}


def test_keys_open_what_they_are_good_for_and_nothing_else(guarded: httpx.Client, settings: Settings):
    search, people, quarantine = "/api/v1/search?limit=1", "/api/v1/people", "/api/v1/merchant/quarantine"
    assert [guarded.get(path).status_code for path in (search, people, quarantine, "/reports")] == [
        200,
        200,
        200,
        307,
    ]
    assert (
        guarded.post(
            "/api/v1/multi-search", json={"searches": [{}]}, headers={"Origin": "https://elsewhere.example"}
        ).status_code
        == 403
    )
    assert guarded.get(search, headers={"Host": "rebound.example"}).status_code == 403

    own = made(settings, "search")
    assert guarded.get(search).status_code == 401  # from the first key on
    assert guarded.get("/fashion-assets/").headers["www-authenticate"].startswith("Basic")
    assert guarded.get(search, headers=own).status_code == 200
    assert (
        guarded.get(search, headers={"X-API-Key": own["Authorization"].removeprefix("Bearer ")}).status_code
        == 200
    )
    for path in (
        people,
        quarantine,
        "/api/v1/releases",
        "/api/v1/search?release=fashion_sota_r0001",
        "/fashion-assets/",
        "/former/prethrift/x",
    ):
        assert guarded.get(path, headers=own).status_code == 403, path
    for wrong in ("fa_" + "x" * 43, "x", "é", "fa_" + "é" * 43):
        assert (
            guarded.get(search, headers={"Authorization": b"Bearer " + wrong.encode("latin-1")}).status_code
            == 401
        )
    assert guarded.get("/healthz").status_code == 200 and guarded.get("/").status_code == 200
    late = made(settings, "search", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert guarded.get(search, headers=late).status_code == 401

    with connect(settings) as connection:
        stored = str(connection.execute("SELECT * FROM fashion_ops.api_keys").fetchall())
        number = keys.keys(connection)[-1].key
    assert own["Authorization"].removeprefix("Bearer ") not in stored
    assert CliRunner().invoke(app, ["keys", "revoke", number]).exit_code == 0
    assert guarded.get(search, headers=own).status_code == 401


def test_no_request_leaves_the_filters_of_its_key(guarded: httpx.Client, settings: Settings):
    everything = guarded.get("/api/v1/search?limit=100&facets=colour").json()
    colour = everything["hits"][0]["attributes"]["colour"]
    other = next(hit for hit in everything["hits"] if hit["attributes"]["colour"] != colour)
    own = made(settings, "search", "people", "releases", "merchant", "former", filters=(f"colour={colour}",))

    def colours(path: str) -> set[str]:
        answer = guarded.get(path, headers=own)
        assert answer.status_code == 200, answer.text
        return {hit["attributes"]["colour"] for hit in answer.json()["hits"]}

    assert colours("/api/v1/search?limit=100") == {colour}
    assert colours(f"/api/v1/search?limit=100&filter=colour={other['attributes']['colour']}") == set()
    assert colours("/api/v1/search?q=shirt&limit=100&release=fashion_sota_r0001") == {colour}
    assert colours(f"/api/v1/products/{everything['hits'][0]['id']}/similar?limit=50") <= {colour}
    counted = guarded.get("/api/v1/search?facets=colour,brand", headers=own).json()["facets"]
    assert "colour" not in counted and "brand" in counted
    for path in (
        "/api/v1/products/{}",
        "/api/v1/products/{}/similar",
        "/api/v1/products/{}/look",
        "/images/{}",
        "/api/v1/search?product={}",
    ):
        assert guarded.get(path.format(other["id"]), headers=own).status_code == 404, path
    for path in (
        "/api/v1/styles",
        "/api/v1/about",
        "/api/v1/releases",
        "/api/v1/people",
        "/api/v1/merchant/quarantine",
        "/fashion-assets/",
        "/former/prethrift/search",
    ):
        assert guarded.get(path, headers=own).status_code == 403, path


def test_who_asks_too_often_is_told_when_to_ask_again(guarded: httpx.Client, settings: Settings):
    own = made(settings, "search")
    answers = [guarded.get("/api/v1/search?limit=1", headers=own) for _ in range(41)]
    assert [each.status_code for each in answers] == [200] * 40 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_addresses_that_ask_no_more_are_let_go_of(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access, "CALLERS", 50)
    asked = access.Access(SimpleNamespace(settings=settings, host="0.0.0.0"))
    storage = asked._asked
    most = 0
    for number in range(400):
        asked._count(asked._limit, f"address 2001:db8::{number:x}")
        if number % 20 == 19:
            # A minute later; what has run out the storage lets go of by itself, but for the name.
            for times in list(storage.events.values()):
                for each in times:
                    each.expiry = 0.0
            storage._MemoryStorage__expire_events()  # type: ignore[attr-defined]
        most = max(most, len(storage.events))
    assert most <= 100
    # Who is within the minute is counted on.
    limit = access.RateLimitItemPerMinute(2)
    asked._count(limit, "key 1")
    for number in range(200):
        asked._count(asked._limit, f"address {number}")
    asked._count(limit, "key 1")
    with pytest.raises(access.Problem):
        asked._count(limit, "key 1")


def test_wrong_keys_are_looked_for_only_so_often(
    guarded: httpx.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "FRESH_SECONDS", 60.0)
    looked = []
    known = keys.known
    monkeypatch.setattr(keys, "known", lambda *asked: looked.append(asked) or known(*asked))
    good = made(settings, "search")
    search = "/api/v1/search?limit=1"
    assert guarded.get(search, headers=good).status_code == 200
    answers = [
        guarded.get(search, headers={"X-API-Key": f"fa_{number:043}"}).status_code
        for number in range(access.WRONG_PER_MINUTE + 5)
    ]
    assert answers == [401] * access.WRONG_PER_MINUTE + [429] * 5
    assert len(looked) == access.WRONG_PER_MINUTE + 1
    # Who was known before from the same address goes on.
    assert guarded.get(search, headers=good).status_code == 200


def test_keys_are_made_and_listed_by_a_command(settings: Settings):
    done = CliRunner().invoke(
        app, ["keys", "create", "the shop", "--scope", "search", "--filter", "price<=50", "--days", "3"]
    )
    assert done.exit_code == 0, done.output
    secret = done.stdout.splitlines()[0]
    assert len(secret) == keys.LENGTH
    listed = CliRunner().invoke(app, ["keys", "list"])
    assert "the shop" in listed.stdout and secret not in listed.stdout
    assert CliRunner().invoke(app, ["keys", "create", "x", "--scope", "all"]).exit_code == 2
    assert CliRunner().invoke(app, ["keys", "create", "x", "--filter", "nothing=1"]).exit_code == 1
    assert CliRunner().invoke(app, ["keys", "revoke", "no such"]).exit_code == 1
