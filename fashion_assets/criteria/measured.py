"""Criteria of a release judged by what was measured on it at length and kept (`benchmarks.results`).

What belongs here: pure functions over a release's stored benchmarks. What does not: measuring them, which takes minutes
and is asked for (`fashion-assets bench`), and what is asked anew each time (`searching`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fashion_assets.benchmarks.recall import SELECTIVITIES
from fashion_assets.benchmarks.results import Row
from fashion_assets.criteria.thresholds import (
    LOADS,
    LOADS_PRODUCTS,
    MAX_SLOWDOWN,
    MIN_PRODUCTS_FOR_TIMES,
    MIN_RECALL,
    PROMISED,
)
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable

_COMMAND = "fashion-assets bench {}"


@dataclass(frozen=True)
class Measured:
    """How many products a release has, and its stored benchmarks: rows by name."""

    products: int
    benchmarks: Mapping[str, Sequence[Row]]


def _stored(
    name: str, judge: Callable[[Measured, Sequence[Row]], Finding], timed: bool = True
) -> Callable[[Measured], Finding]:
    """The judgement of a benchmark's rows, where there are any and, if they are times, the release is large enough."""

    def measure(measured: Measured) -> Finding:
        rows = measured.benchmarks.get(name, ())
        if not rows:
            return not_applicable(f"not measured for this release: {_COMMAND.format(name)}")
        if timed and measured.products < MIN_PRODUCTS_FOR_TIMES:
            return not_applicable(
                f"{measured.products:,} products are too few for times to mean anything "
                f"(at least {MIN_PRODUCTS_FOR_TIMES:,})"
            )
        return judge(measured, rows)

    return measure


def _new_layout_is_not_slower(_: Measured, rows: Sequence[Row]) -> Finding:
    saved = {row["kind"]: round(1 - row["new_p50_ms"] / row["old_p50_ms"], 3) for row in rows}
    offenders = [
        f"{row['kind']}: {row['new_p50_ms']:.2f} ms, was {row['old_p50_ms']:.2f} ms"
        for row in rows
        if not row["new_p50_ms"] <= MAX_SLOWDOWN * row["old_p50_ms"]
    ]
    short = [kind for kind, (least, _) in PROMISED.items() if kind in saved and saved[kind] < least]
    return holds(
        not offenders,
        {
            kind: f"{share:.0%} faster" if share >= 0 else f"{-share:.0%} slower"
            for kind, share in saved.items()
        },
        offenders,
        f"less than was promised: {', '.join(short)}" if short else "",
    )


def _load_is_borne(kind: str, measured: Measured, rows: Sequence[Row]) -> Finding:
    wanted = LOADS[kind]
    # One caller waits for each answer, and says nothing of what many are given.
    own = [row for row in rows if row["kind"] == kind and row["concurrency"] > 1]
    if not own:
        return not_applicable(
            f"not measured with several callers for this release: {_COMMAND.format('latency')}"
        )
    reached = [
        f"{row['qps']:.0f}/s, p95 {row['p95_ms']:.1f} ms ({row['concurrency']} callers)" for row in own
    ]
    within = [row for row in own if row["p95_ms"] < wanted.p95_ms and not row["errors"]]
    most = max((row["qps"] for row in within), default=0.0)
    if most < wanted.qps and measured.products > LOADS_PRODUCTS:
        return not_applicable(
            f"promised for {LOADS_PRODUCTS:,} products, and there are {measured.products:,}: {'; '.join(reached)}"
        )
    return holds(most >= wanted.qps, f"{most:.0f}/s", reached if most < wanted.qps else [])


def _recall_is_kept(_: Measured, rows: Sequence[Row]) -> Finding:
    missing = sorted(set(SELECTIVITIES) - {row["selectivity"] for row in rows})
    if missing:
        # A few questions are asked of every candidate: in thirty neighbours one missed is 0.03.
        return not_applicable(
            f"not measured at {', '.join(f'{100 * share:g} %' for share in missing)} for this release: "
            f"{_COMMAND.format('recall')}"
        )
    offenders: list[Any] = [
        f"{row['recall']:.3f} at {100 * row['selectivity']:g} %, {'tied' if row['tied'] else 'unrelated'}"
        + (", asked in words" if row.get("asked") == "words" else "")
        for row in rows
        if not row["recall"] >= MIN_RECALL
    ]
    return holds(not offenders, round(min(row["recall"] for row in rows), 4), offenders)


_PROMISES = ", ".join(f"{kind} {least:.0%} to {most:.0%}" for kind, (least, most) in PROMISED.items())

MEASURED_CRITERIA: list[Criterion[Measured]] = [
    Criterion(
        "new_layout_is_not_slower",
        "A10",
        f"Listing and search are faster than in the old layout (promised: {_PROMISES})",
        f"median <= {MAX_SLOWDOWN} x the old one",
        "search_benchmarks",
        _stored("layouts", _new_layout_is_not_slower),
    ),
    *(
        Criterion(
            f"{kind}_search_bears_its_load",
            "B6",
            f"At {load.qps:.0f} {kind} searches a second 95 % are answered in {load.p95_ms:.0f} ms",
            f">= {load.qps:.0f}/s with p95 < {load.p95_ms:.0f} ms",
            "search_benchmarks",
            _stored("latency", partial(_load_is_borne, kind)),
        )
        for kind, load in LOADS.items()
    ),
    Criterion(
        "filtered_search_keeps_its_recall",
        "G3",
        "Under filters of every selectivity, what is nearest is found",
        f"recall@10 >= {MIN_RECALL} in every row",
        "search_benchmarks",
        _stored("recall", _recall_is_kept, timed=False),
    ),
]
