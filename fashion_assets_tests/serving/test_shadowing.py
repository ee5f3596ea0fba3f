"""A share of the searches asked of another release as well: what is counted, and that nobody waits for it."""

import asyncio
import random
import time
from dataclasses import replace

import httpx
import pytest

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import AsyncSearchEngine
from fashion_assets.search.query import Query
from fashion_assets.serving import metrics, shadowing
from fashion_assets.serving.api.application import application
from fashion_assets.serving.shadowing import Shadowing
from fashion_assets.settings import Settings
from fashion_assets_tests.release.copies import copy_of
from fashion_assets_tests.serving.web import running


def counted(release: str) -> dict[str, float]:
    """What was counted of a release, by the name and what tells it apart."""
    return {
        f"{sample.name.removeprefix('fashion_assets_shadow_')} {sample.labels.get('outcome', sample.labels.get('side', ''))}".strip(): sample.value
        for family in metrics.own.collect()
        for sample in family.samples
        if sample.labels.get("release") == release and "le" not in sample.labels
    }


def test_what_differs_is_counted_and_what_finds_no_room_is_dropped(live: Candidate):
    other = copy_of(live, "plain").release
    live.conn.commit()

    async def ask(settings: Settings, times: int, *queries: Query) -> dict[str, float]:
        before = counted(settings.shadow_release or "")
        async with (
            AsyncSearchEngine.open(settings, size=1) as engine,
            Shadowing(engine, settings, random.Random(0)) as beside,
        ):
            for query in queries:
                results = await engine.search(query)
                for _ in range(times):
                    beside.take(query, results, 0.01)
                await beside.settled()
        return {
            name: value - before.get(name, 0)
            for name, value in counted(settings.shadow_release or "").items()
        }

    def asked(times: int, *queries: Query, release: str = other, share: float = 1.0) -> dict[str, float]:
        settings = live.settings.model_copy(update={"shadow_release": release, "shadow_share": share})
        return asyncio.run(ask(settings, times, *queries))

    same = asked(1, Query(limit=5), Query("shirt", mode="vector", limit=5))
    assert same["searches_total compared"] == same["overlap_ratio_sum"] == same["overlap_ratio_count"] == 2
    assert same["seconds_count served"] == same["seconds_count shadow"] == 2
    # The other release's titles have none of these words.
    other_titles = asked(1, Query("shirt", mode="text", limit=5))
    assert other_titles["overlap_ratio_sum"] == 0 and other_titles["totals_differ_total"] == 1
    assert asked(shadowing.WAITING + 3, Query(limit=1))["searches_total dropped"] == 3
    too_large = replace(Query(limit=1), picture=b"x" * (shadowing.WAITING_BYTES + 1))
    assert asked_aside(live, other, too_large) == 1
    part = asked(shadowing.WAITING, Query(limit=1), share=0.25)
    assert 0 < part["searches_total compared"] < shadowing.WAITING
    assert asked(1, Query(limit=1), release="fashion_sota_r0099")["searches_total failed"] == 1
    assert not any(asked(1, Query(limit=1), share=0.0).values())
    assert not any(asked(1, Query(limit=1), release=live.release.release).values())


def asked_aside(live: Candidate, other: str, query: Query) -> float:
    """How often a search was dropped that was never made, for what it carries."""
    settings = live.settings.model_copy(update={"shadow_release": other, "shadow_share": 1.0})

    async def ask() -> float:
        before = counted(other).get("searches_total dropped", 0)
        async with AsyncSearchEngine.open(settings, size=1) as engine, Shadowing(engine, settings) as beside:
            beside.take(query, await engine.search(Query(limit=1)), 0.01)
        return counted(other)["searches_total dropped"] - before

    return asyncio.run(ask())


def test_searches_over_http_are_asked_again_behind_their_answers(
    live: Candidate, monkeypatch: pytest.MonkeyPatch
):
    other = copy_of(live, None).release
    live.conn.commit()
    monkeypatch.setenv("FASHION_ASSETS_SHADOW_RELEASE", other)
    monkeypatch.setenv("FASHION_ASSETS_SHADOW_SHARE", "1")
    with (
        running(application(Settings()), lifespan="on") as server,  # type: ignore[call-arg]
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        before = counted(other).get("searches_total compared", 0)
        answer = client.get("/api/v1/search?q=shirt&limit=5")
        assert answer.status_code == 200 and answer.json()["release"] == live.release.release
        told = rf'shadow_searches_total{{outcome="compared",release="{other}"}} {before + 1}'
        until = time.monotonic() + 30
        while told not in client.get("/metrics").text:
            assert time.monotonic() < until, "it is compared within half a minute"
            time.sleep(0.05)
