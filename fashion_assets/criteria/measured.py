"""Criteria of a release judged by what was measured on it and kept (`benchmarks.results`): briefly by itself, or at length
where somebody asked for it (`fashion-assets bench`), which then counts.

What belongs here: pure functions over a release's stored benchmarks. What does not: measuring them (`benchmarks`), and what is
asked anew each time (`searching`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fashion_assets.benchmarks.latency import NOTHING
from fashion_assets.benchmarks.recall import QUESTIONS, SELECTIVITIES
from fashion_assets.benchmarks.results import Row
from fashion_assets.criteria.chance import highest, lowest
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.settings.thresholds import Thresholds

PROMISED = {"listing": (0.30, 0.40), "vector": (0.20, 0.30)}
"""A10: share of the old layout's median time that the new one saves, by the benchmark's kind. A promise that is merely not
reached is told, and refuses nothing: going live still makes nothing worse."""

EMPTY_FOR_A_SEARCH = 10
"""Empty statements one caller must be answered for each search that was promised, else a load that is missed says something of
the machine and not of the release. A choice: with fewer, round trips alone take much of each search."""

_COMMAND = "fashion-assets bench {}"


@dataclass(frozen=True)
class Measured:
    """How many products a release has, its stored benchmarks (rows by name), and what they are held against."""

    products: int
    benchmarks: Mapping[str, Sequence[Row]]
    thresholds: Thresholds = field(default_factory=Thresholds)


def _stored(
    name: str, judge: Callable[[Measured, Sequence[Row]], Finding], timed: bool = True
) -> Callable[[Measured], Finding]:
    """The judgement of a benchmark's rows, where there are any and, if they are times, the release is large enough."""

    def measure(measured: Measured) -> Finding:
        rows = measured.benchmarks.get(name, ())
        if not rows:
            return not_applicable(f"not measured for this release: {_COMMAND.format(name)}")
        least = measured.thresholds.min_products_for_times
        if timed and measured.products < least:
            return not_applicable(
                f"{measured.products:,} products are too few for times to mean anything (at least {least:,})"
            )
        return judge(measured, rows)

    return measure


def _new_layout_is_not_slower(measured: Measured, rows: Sequence[Row]) -> Finding:
    saved = {row["kind"]: round(1 - row["new_p50_ms"] / row["old_p50_ms"], 3) for row in rows}
    offenders = [
        f"{row['kind']}: {row['new_p50_ms']:.2f} ms, was {row['old_p50_ms']:.2f} ms"
        for row in rows
        if not row["new_p50_ms"] <= measured.thresholds.max_slowdown * row["old_p50_ms"]
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


def _nothing_to_give(machine: Row, qps: float, limits: Thresholds) -> str:
    """Why a load that is missed says nothing of the release; empty where it does."""
    used = machine.get("used_by_others", 0.0)
    if used > limits.max_used_by_others:
        return f"other things used {used:.0%} of the machine when it was asked"
    if machine["qps"] < EMPTY_FOR_A_SEARCH * qps:
        return (
            f"the database answered {machine['qps']:,.0f} empty statements a second when it was asked: too slow, or too far away, "
            "to say"
        )
    return ""


def _load_is_borne(kind: str, measured: Measured, rows: Sequence[Row]) -> Finding:
    limits = measured.thresholds
    qps, p95_ms = (
        (limits.vector_load_qps, limits.vector_load_p95_ms)
        if kind == "vector"
        else (limits.hybrid_load_qps, limits.hybrid_load_p95_ms)
    )
    # One caller waits for each answer, and says nothing of what many are given.
    own = [row for row in rows if row["kind"] == kind and row["concurrency"] > 1]
    if not own:
        return not_applicable(
            f"not measured with several callers for this release: {_COMMAND.format('latency')}"
        )
    reached = [
        f"{row['qps']:.0f}/s, p95 {row['p95_ms']:.1f} ms ({row['concurrency']} callers)" for row in own
    ]
    within = [row for row in own if row["p95_ms"] < p95_ms and not row["errors"]]
    most = max((row["qps"] for row in within), default=0.0)
    machine = next((row for row in rows if row["kind"] == NOTHING), None)
    if most < qps and machine is not None and (said := _nothing_to_give(machine, qps, limits)):
        return not_applicable(
            f"{said}; reached: {'; '.join(reached)}. Measure anew: {_COMMAND.format('latency')}"
        )
    if most < qps and measured.products > limits.load_products:
        return not_applicable(
            f"promised for {limits.load_products:,} products, and there are {measured.products:,}: {'; '.join(reached)}"
        )
    return holds(most >= qps, f"{most:.0f}/s", reached if most < qps else [])


def _recall_is_kept(measured: Measured, rows: Sequence[Row]) -> Finding:
    missing = sorted(set(SELECTIVITIES) - {row["selectivity"] for row in rows})
    if missing:
        return not_applicable(
            f"not measured at {', '.join(f'{100 * share:g} %' for share in missing)} for this release: "
            f"{_COMMAND.format('recall')}"
        )
    least, sure = measured.thresholds.min_recall, measured.thresholds.criteria_confidence

    def possible(row: Row) -> float:
        """The highest recall the row leaves possible; that of many questions is taken as it is."""
        asked = row.get("questions", QUESTIONS)
        return row["recall"] if asked >= QUESTIONS else highest(row["recall"], asked, sure)

    offenders: list[Any] = [
        f"{row['recall']:.3f} at {100 * row['selectivity']:g} %, {'tied' if row['tied'] else 'unrelated'}"
        + (", asked in words" if row.get("asked") == "words" else "")
        for row in rows
        if not possible(row) >= least
    ]
    said = ""
    fewest = min(row.get("questions", QUESTIONS) for row in rows)
    if fewest < QUESTIONS:
        # A few questions under each filter say little of it, and together much of all.
        asked = sum(row.get("questions", QUESTIONS) for row in rows)
        mean = sum(row["recall"] * row.get("questions", QUESTIONS) for row in rows) / asked
        bound = highest(mean, asked, sure)
        said = (
            f"{fewest} questions under each filter, {asked:,} together; of all, {lowest(mean, asked, sure):.3f} to {bound:.3f} "
            f"({100 * sure:g} % sure of either); at length: {_COMMAND.format('recall')}"
        )
        if not bound >= least and not offenders:
            offenders = [f"{mean:.3f} over all filters"]
    return holds(not offenders, round(min(row["recall"] for row in rows), 4), offenders, said)


_PROMISES = ", ".join(f"{kind} {least:.0%} to {most:.0%}" for kind, (least, most) in PROMISED.items())

MEASURED_CRITERIA: list[Criterion[Measured]] = [
    Criterion(
        "new_layout_is_not_slower",
        "A10",
        f"Listing and search are faster than in the old layout (promised: {_PROMISES})",
        "median at most {max_slowdown:g} x the old one",
        "search_benchmarks",
        _stored("layouts", _new_layout_is_not_slower),
        "Measure again while the machine does nothing else: fashion-assets bench layouts.",
        beside_live=True,
    ),
    *(
        Criterion(
            f"{kind}_search_bears_its_load",
            "B6",
            f"As many {kind} searches a second as were promised are answered, and in time",
            f"at least {{{kind}_load_qps:g}}/s with p95 < {{{kind}_load_p95_ms:g}} ms",
            "search_benchmarks",
            _stored("latency", partial(_load_is_borne, kind)),
            "Measure again while the machine does nothing else: fashion-assets bench latency. Fewer cores bear less: give the "
            "server more, or promise less.",
            beside_live=True,
        )
        for kind in ("vector", "hybrid")
    ),
    Criterion(
        "filtered_search_keeps_its_recall",
        "G3",
        "Under filters of every selectivity, what is nearest is found",
        "recall@10 at least {min_recall:g} under every filter, or no further below than chance where few were asked",
        "search_benchmarks",
        _stored("recall", _recall_is_kept, timed=False),
        "Build the release's indexes again (materialise product_embeddings_index) and measure again: fashion-assets bench "
        "recall.",
        beside_live=True,
    ),
]
