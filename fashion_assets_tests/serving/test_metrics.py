"""What `/metrics` tells of a live release, and when each rule tells somebody: rules are held against real scrapes, sound and faulted."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.places import CHECKOUT
from fashion_assets.serving import figures, metrics
from fashion_assets.serving.api.application import application
from fashion_assets.serving.figures import Figure
from fashion_assets.warehouse import searches

pytestmark = pytest.mark.skipif(CHECKOUT is None, reason="there are no rules beside a wheel")
DEPLOY = (CHECKOUT or Path()) / "deploy"

NOT_OURS = {"up", "fashion_assets_gpu_memory_used_bytes", "fashion_assets_gpu_memory_bytes"}
"""What Prometheus says by itself, and what is told where there is a GPU."""

Scrape = dict[tuple[str, frozenset], float]


def rules() -> list[dict[str, Any]]:
    said = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in said["groups"] for rule in group["rules"]]


def scraped(text: str) -> Scrape:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# As much of PromQL as the rules need. `rate` is what came between two scrapes.

_NAMED = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})?(?P<range>\[5m\])?")


class Vector(NamedTuple):
    values: dict[frozenset, float]


def fires(rule: dict[str, Any], now: Scrape, before: Scrape | None = None) -> bool:
    return all(_holds(part, now, before or {}) for part in rule["expr"].split(" and "))


def _holds(condition: str, now: Scrape, before: Scrape) -> bool:
    found = re.fullmatch(r"(.+) (==|>|<) ([0-9.]+)", condition)
    assert found, condition
    left, operator, bound = found[1], found[2], float(found[3])
    compare: Callable[[float], bool] = {
        "==": lambda value: value == bound,
        ">": lambda value: value > bound,
        "<": lambda value: value < bound,
    }[operator]
    return any(compare(value) for value in _values(left, now, before).values())


def _values(text: str, now: Scrape, before: Scrape) -> dict[frozenset, float]:
    if " / " in text:
        over, under = (_values(part, now, before) for part in text.split(" / "))
        return {key: value / under[key] for key, value in over.items() if under.get(key)}
    if text.startswith("time() - "):
        return {key: time.time() - value for key, value in _values(text[9:], now, before).items()}
    if quantile := re.fullmatch(r"histogram_quantile\(([0-9.]+), sum by \(le\) \((.+)\)\)", text):
        buckets: dict[float, float] = {}
        for key, value in _values(quantile[2], now, before).items():
            edge = float(dict(key)["le"])
            buckets[edge] = buckets.get(edge, 0.0) + value
        whole = max(buckets.values(), default=0.0)
        wanted = float(quantile[1]) * whole
        # The bucket's upper edge, where Prometheus reckons within it.
        return {frozenset(): min(edge for edge, n in buckets.items() if n >= wanted)} if whole else {}
    if summed := re.fullmatch(r"sum\((.+)\)", text):
        return {frozenset(): sum(_values(summed[1], now, before).values())}
    if rated := re.fullmatch(r"rate\((.+)\)", text):
        earlier = _values(rated[1], before, {})
        return {key: value - earlier.get(key, 0.0) for key, value in _values(rated[1], now, {}).items()}
    named = _NAMED.fullmatch(text)
    assert named, text
    wanted_labels = dict(re.findall(r'(\w+)="([^"]*)"', named["labels"] or ""))
    return {
        labels: value
        for (name, labels), value in now.items()
        if name == named["name"] and wanted_labels.items() <= dict(labels).items()
    }


def names_of(expression: str) -> set[str]:
    return {name for name in re.findall(r"\b(up|fashion_assets_[a-z_]+)\b", expression)}


@pytest.fixture
def api(live: Candidate) -> Iterator[TestClient]:
    with TestClient(application(live.settings), base_url="http://127.0.0.1") as client:
        yield client


def test_a_scrape_tells_all_that_rules_and_the_dashboard_ask_for(api: TestClient, live: Candidate):
    for path in (
        "/api/v1/search?q=red+tee",
        "/api/v1/search?q=red+tee",
        "/former/fashion-ecom/api/v1/products",
    ):
        assert api.get(path).status_code == 200
    assert api.get("/api/v1/search?limit=nonsense").status_code == 422
    _beside(1.0, 0.01, 0.01)
    answer = api.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    said = scraped(answer.text)
    values = {name: value for (name, _), value in said.items()}
    labelled = {(name, *sorted(dict(labels).values())): value for (name, labels), value in said.items()}
    assert values["fashion_assets_database_up"] == values["fashion_assets_release_live"] == 1
    assert values["fashion_assets_release_products"] == 40
    assert values["fashion_assets_canary_found_ratio"] > 0.9
    assert values["fashion_assets_embedding_consistent_ratio"] == 1
    assert labelled["fashion_assets_release_info", live.release.release] == 1
    assert labelled["fashion_assets_request_seconds_count", "search"] >= 3
    assert labelled["fashion_assets_answers_total", "4xx", "search"] >= 1
    assert labelled["fashion_assets_request_seconds_count", "former_fashion_ecom"] >= 1
    assert labelled["fashion_assets_vector_cache_total", "hit"] >= 1
    assert labelled["fashion_assets_pool_connections", "most"] == live.settings.api_connections
    assert any(name == "fashion_assets_index_bytes" for name, _ in said)
    # Where every searched person's words end: nowhere here.
    assert "tee" not in answer.text
    dashboard = json.loads((DEPLOY / "grafana" / "fashion-assets.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    known = {name for name, _ in said} | NOT_OURS
    # These have values only where something is in quarantine, or was read from pictures.
    known |= {"fashion_assets_quarantine", "fashion_assets_extraction_confidence"}
    for expression in [*asked, *(rule["expr"] for rule in rules())]:
        assert names_of(expression) and names_of(expression) <= known, expression
    assert not [rule["alert"] for rule in rules() if fires(rule, said, said)]
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "runbook"} and rule["labels"]["severity"], rule


FAULTS: dict[str, str] = {
    "FashionAssetsNothingLive": "UPDATE fashion_ops.releases SET state = 'retired' WHERE state = 'live'",
    "FashionAssetsVectorsInconsistent": "UPDATE {products} SET embedding_space = 'another'",
    "FashionAssetsVectorsMissing": "UPDATE fashion_ops.release_batches SET without_vector = 5",
    "FashionAssetsQuarantineLarge": "UPDATE fashion_ops.releases SET quarantined = 10, listings = 50",
    "FashionAssetsConfidenceLow": """UPDATE {products} SET origins = '{{"colour": {{"confidence": 0.3}}}}'""",
    "FashionAssetsReleaseOld": "UPDATE fashion_ops.releases SET promoted_at = now() - interval '8 days'",
    "FashionAssetsSourceNotScanned": "UPDATE fashion_ops.sources SET scanned_at = now() - interval '3 days'",
    "FashionAssetsRunsFail": "UPDATE dagster.runs SET status = 'FAILURE', update_timestamp = now() AT TIME ZONE 'UTC'",
    "FashionAssetsNothingFound": "INSERT INTO fashion_ops.searches SELECT (now() AT TIME ZONE 'UTC')::date, release, 'words', 'x', 200, 90 "
    "FROM fashion_ops.releases",
}
"""What is done to the database."""


def _requests(seconds: float, kind: str = "search", status: str = "2xx", times: int = 100) -> None:
    for _ in range(times):
        metrics.REQUESTS.labels(kind).observe(seconds)
        metrics.ANSWERS.labels(kind, status).inc()


def _beside(overlap: float, served: float, shadow: float, failed: float = 0) -> None:
    """A search that another release was asked as well, and others at which it failed."""
    metrics.SHADOWED.labels("beside", "compared").inc()
    metrics.SHADOWED.labels("beside", "failed").inc(failed)
    metrics.SHADOW_OVERLAP.labels("beside").observe(overlap)
    metrics.SHADOW_SECONDS.labels("beside", "served").observe(served)
    metrics.SHADOW_SECONDS.labels("beside", "shadow").observe(shadow)
    metrics.SHADOW_TOTALS.labels("beside").inc()


def _fed(*told: Figure) -> Scrape:
    return scraped(metrics.of_installation(told).decode())


def _counted() -> Scrape:
    registry = metrics.CollectorRegistry()
    registry.register(metrics._Own())
    return scraped(metrics.generate_latest(registry).decode())


def test_every_rule_on_the_database_fires_by_its_fault(live: Candidate):
    known = {rule["alert"]: rule for rule in rules()}
    sound = _fed(*figures.read(live.conn))
    for name, fault in FAULTS.items():
        assert not fires(known[name], sound), name
        live.conn.execute(sql.SQL(fault).format(products=live.release.table("products")))  # type: ignore[arg-type]
        faulted = _fed(*figures.read(live.conn))
        live.conn.rollback()
        assert fires(known[name], faulted), name


def test_every_other_rule_fires_by_its_values():
    known = {rule["alert"]: rule for rule in rules()}
    before = _counted()
    _requests(0.01)
    quick = _counted()
    assert not fires(known["FashionAssetsSearchSlow"], quick, before)
    assert not fires(known["FashionAssetsErrors"], quick, before)
    _requests(0.7)
    slow = _counted()
    assert fires(known["FashionAssetsSearchSlow"], slow, quick)
    _requests(0.01, status="5xx", times=5)
    assert fires(known["FashionAssetsErrors"], _counted(), slow)
    metrics.WAITING.set(9)
    assert fires(known["FashionAssetsPoolWaits"], _counted())
    metrics.WAITING.set(0)
    assert not fires(known["FashionAssetsPoolWaits"], _counted())
    for name, low, high in (
        ("FashionAssetsDatabaseUnreadable", Figure("database_up", {}, 0), Figure("database_up", {}, 1)),
        (
            "FashionAssetsCanaryLost",
            Figure("canary_found_ratio", {}, 0.5),
            Figure("canary_found_ratio", {}, 1),
        ),
    ):
        assert fires(known[name], _fed(low)) and not fires(known[name], _fed(high)), name
    gpu = {"gpu": "0"}
    full = _fed(Figure("gpu_memory_used_bytes", gpu, 79e9), Figure("gpu_memory_bytes", gpu, 80e9))
    free = _fed(Figure("gpu_memory_used_bytes", gpu, 9e9), Figure("gpu_memory_bytes", gpu, 80e9))
    assert fires(known["FashionAssetsGpuFull"], full) and not fires(known["FashionAssetsGpuFull"], free)
    beside = {"FashionAssetsShadowFails", "FashionAssetsShadowDiffers", "FashionAssetsShadowSlow"}
    for which, told in (
        (set(), (0.9, 0.02, 0.03)),
        ({"FashionAssetsShadowFails"}, (0.9, 0.02, 0.03, 1)),
        ({"FashionAssetsShadowDiffers"}, (0.3, 0.02, 0.03)),
        ({"FashionAssetsShadowSlow"}, (0.9, 0.02, 0.05)),
    ):
        earlier = _counted()
        _beside(*told)
        later = _counted()
        assert {name for name in beside if fires(known[name], later, earlier)} == which
    down = {("up", frozenset({("job", "fashion-assets")})): 0.0}
    assert fires(known["FashionAssetsDown"], down)
    held = {*FAULTS, *beside, "FashionAssetsSearchSlow", "FashionAssetsErrors", "FashionAssetsPoolWaits"}
    held |= {
        "FashionAssetsDatabaseUnreadable",
        "FashionAssetsCanaryLost",
        "FashionAssetsGpuFull",
        "FashionAssetsDown",
    }
    assert held == set(known)


def test_what_has_none_of_the_words_is_no_hit(api: TestClient, live: Candidate):
    for words in ("red tee", "qqzwvx"):
        # Vectors are near to something, whatever is asked.
        assert api.get("/api/v1/search", params={"q": words}).json()["hits"]
    assert api.get("/api/v1/search", params={"q": "re"}, headers={"Purpose": "prefetch"}).status_code == 200
    api.app.state.analytics.write()  # type: ignore[attr-defined]
    noted = {each.words: (each.searches, each.without_hits) for each in searches.asked(live.conn)}
    assert noted == {"red tee": (1, 0), "qqzwvx": (1, 1)}


def test_a_database_that_is_gone_is_told(api: TestClient, monkeypatch: pytest.MonkeyPatch):
    async def gone(_: object) -> list[Figure]:
        raise metrics.psycopg.OperationalError("gone")

    monkeypatch.setattr(api.app.state.metrics, "_registered", gone)  # type: ignore[attr-defined]
    said = scraped(api.get("/metrics").text)
    assert said["fashion_assets_database_up", frozenset()] == 0
    assert ("fashion_assets_release_live", frozenset()) not in said


_WORKER = """
from fashion_assets.serving import metrics
metrics.REQUESTS.labels("search").observe(0.02)
metrics.UNDER_WAY.inc()
"""


def test_what_several_processes_counted_is_summed_and_what_the_dead_said_of_the_moment_goes(tmp_path: Path):
    environment = {**os.environ, metrics.SHARED: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", _WORKER], check=True, env=environment)
    asked = (
        "import os; from pathlib import Path; from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
        "from fashion_assets.serving import metrics\n"
        "metrics._without_the_dead(Path(os.environ[metrics.SHARED])); registry = CollectorRegistry()\n"
        "multiprocess.MultiProcessCollector(registry); print(generate_latest(registry).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], check=True, env=environment, capture_output=True, text=True
    )
    said = scraped(done.stdout)
    assert said["fashion_assets_request_seconds_count", frozenset({("kind", "search")})] == 2
    assert said.get(("fashion_assets_requests_under_way", frozenset()), 0) == 0
