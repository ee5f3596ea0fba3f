"""What was measured at length is judged where it means something, and told to be missing where it is not there."""

import pytest

from fashion_assets.benchmarks.recall import SELECTIVITIES
from fashion_assets.criteria.measured import MEASURED_CRITERIA, Measured
from fashion_assets.criteria.verdict import Verdict


def verdict_of(name: str, products: int = 10_000, **benchmarks: list[dict]) -> Verdict:
    criterion = next(criterion for criterion in MEASURED_CRITERIA if criterion.name == name)
    return criterion.judge(Measured(products, benchmarks))


def layout(kind: str, old: float, new: float) -> dict:
    return {"kind": kind, "old_p50_ms": old, "new_p50_ms": new, "ratio": new / old}


def load(kind: str, qps: float, p95_ms: float, concurrency: int = 16, errors: int = 0) -> dict:
    return {"kind": kind, "concurrency": concurrency, "qps": qps, "p95_ms": p95_ms, "errors": errors}


def recalls(lowest: float = 1.0, others: float = 1.0, questions: int = 50) -> list[dict]:
    return [
        {
            "selectivity": share,
            "tied": tied,
            "recall": lowest if tied and share == 0.05 else others,
            "questions": questions,
        }
        for share in SELECTIVITIES
        for tied in (False, True)
    ]


@pytest.mark.parametrize("criterion", MEASURED_CRITERIA, ids=lambda criterion: criterion.name)
def test_what_was_not_measured_is_not_judged_and_the_command_is_named(criterion):
    verdict = criterion.judge(Measured(10_000, {}))
    assert verdict.outcome == "not applicable"
    assert "not measured for this release: fashion-assets bench" in verdict.reason


@pytest.mark.parametrize(
    ("name", "benchmarks"),
    [
        ("new_layout_is_not_slower", {"layouts": [layout("listing", 1, 5)]}),
        ("vector_search_bears_its_load", {"latency": [load("vector", 1, 900)]}),
        ("hybrid_search_bears_its_load", {"latency": [load("hybrid", 1, 900)]}),
    ],
)
def test_times_of_a_small_catalogue_mean_nothing(name: str, benchmarks: dict):
    verdict = verdict_of(name, 4_999, **benchmarks)
    assert verdict.outcome == "not applicable" and "4,999 products are too few" in verdict.reason
    assert verdict_of(name, 5_000, **benchmarks).outcome == "fail"


def test_a_layout_that_became_slower_fails_and_is_named():
    verdict = verdict_of(
        "new_layout_is_not_slower", layouts=[layout("listing", 2.0, 1.3), layout("vector", 1.0, 1.2)]
    )
    assert verdict.outcome == "fail"
    assert verdict.offenders == ["vector: 1.20 ms, was 1.00 ms"]
    assert verdict.value == {"listing": "35% faster", "vector": "20% slower"}


def test_a_promise_not_reached_is_told_and_refuses_nothing():
    kept = verdict_of(
        "new_layout_is_not_slower", layouts=[layout("listing", 2.0, 1.3), layout("vector", 1.0, 0.75)]
    )
    assert (kept.outcome, kept.reason) == ("pass", "")
    short = verdict_of(
        "new_layout_is_not_slower", layouts=[layout("listing", 2.0, 1.3), layout("vector", 1.0, 1.05)]
    )
    assert (short.outcome, short.reason) == ("pass", "less than was promised: vector")


def test_a_load_is_borne_if_it_is_with_any_number_of_callers():
    rows = [load("vector", 300, 4, 4), load("vector", 520, 49, 16), load("vector", 600, 80, 64)]
    assert verdict_of("vector_search_bears_its_load", latency=rows).outcome == "pass"
    too_slow = verdict_of("vector_search_bears_its_load", latency=[rows[0], rows[2]])
    assert too_slow.outcome == "fail" and too_slow.value == "300/s"
    assert "600/s, p95 80.0 ms (64 callers)" in too_slow.offenders
    failing = verdict_of("vector_search_bears_its_load", latency=[load("vector", 520, 4, errors=1)])
    assert failing.outcome == "fail"


def test_a_load_is_not_judged_by_one_caller_or_by_another_kind():
    for rows in ([load("vector", 300, 3, concurrency=1)], [load("text", 900, 3)]):
        verdict = verdict_of("vector_search_bears_its_load", latency=rows)
        assert verdict.outcome == "not applicable" and "several callers" in verdict.reason


def test_a_load_promised_for_ten_thousand_is_no_fault_of_a_larger_catalogue():
    missed = verdict_of("hybrid_search_bears_its_load", 40_000, latency=[load("hybrid", 150, 90)])
    assert missed.outcome == "not applicable" and "40,000: 150/s" in missed.reason
    reached = verdict_of("hybrid_search_bears_its_load", 40_000, latency=[load("hybrid", 250, 90)])
    assert reached.outcome == "pass"


def test_recall_must_be_kept_in_every_row():
    assert verdict_of("filtered_search_keeps_its_recall", 40, recall=recalls(0.99)).outcome == "pass"
    verdict = verdict_of("filtered_search_keeps_its_recall", recall=recalls(0.98))
    assert (verdict.outcome, verdict.value, verdict.offenders) == ("fail", 0.98, ["0.980 at 5 %, tied"])
    assert verdict_of("filtered_search_keeps_its_recall", recall=recalls(float("nan"))).outcome == "fail"


def test_recall_at_a_few_selectivities_is_not_the_promised_one():
    rows = [row for row in recalls(0.5) if row["selectivity"] >= 0.05]
    verdict = verdict_of("filtered_search_keeps_its_recall", recall=rows)
    assert verdict.outcome == "not applicable" and "0.1 %, 1 %" in verdict.reason


def test_of_a_few_questions_a_miss_by_chance_refuses_nothing_and_a_fault_does():
    one_missed = verdict_of("filtered_search_keeps_its_recall", recall=recalls(0.9, questions=4))
    assert (one_missed.outcome, one_missed.value) == ("pass", 0.9)
    assert "4 questions under each filter, 48 together" in one_missed.reason
    assert "fashion-assets bench recall" in one_missed.reason
    # As from an index that returns too few where a filter leaves little.
    blind = verdict_of("filtered_search_keeps_its_recall", recall=recalls(0.0, questions=4))
    assert (blind.outcome, blind.offenders) == ("fail", ["0.000 at 5 %, tied"])
    # Under no one filter beyond chance, but under all of them.
    everywhere = verdict_of("filtered_search_keeps_its_recall", recall=recalls(0.8, others=0.8, questions=4))
    assert (everywhere.outcome, everywhere.offenders) == ("fail", ["0.800 over all filters"])


def test_a_machine_that_has_nothing_to_give_says_nothing_of_the_release():
    nothing = load("nothing", 4_999, 0.5, concurrency=1)
    busy = verdict_of("vector_search_bears_its_load", latency=[load("vector", 300, 20, 4), nothing])
    assert busy.outcome == "not applicable" and "4,999 empty statements a second" in busy.reason
    elsewhere = nothing | {"qps": 9_000, "used_by_others": 0.21}
    busy = verdict_of("vector_search_bears_its_load", latency=[load("vector", 300, 20, 4), elsewhere])
    assert busy.outcome == "not applicable" and "other things used 21% of the machine" in busy.reason
    quiet = nothing | {"qps": 5_000, "used_by_others": 0.2}
    missed = verdict_of("vector_search_bears_its_load", latency=[load("vector", 300, 20, 4), quiet])
    assert missed.outcome == "fail"
    borne = verdict_of("vector_search_bears_its_load", latency=[load("vector", 500, 20, 4), nothing])
    assert borne.outcome == "pass"
