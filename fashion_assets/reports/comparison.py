"""Models' figures side by side as one HTML page that needs nothing beside it.

What belongs here: which of the figures are drawn, and writing the page. What does not: measuring them
(`models.evaluation`), how a chart is drawn (`charts`) and how the page looks (`templates`).
"""

from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from fashion_assets.models.evaluation.comparison import Comparison
from fashion_assets.models.evaluation.published import PROTOCOL, PUBLISHED, PUBLISHED_PROTOCOL
from fashion_assets.models.evaluation.tasks import Evaluation
from fashion_assets.reports.charts import bars
from fashion_assets.reports.html import environment

CHARTS = {
    "Captions find their pictures": [
        ("caption to picture", "recall@1"),
        ("caption to picture", "recall@10"),
        ("caption to picture", "MRR"),
    ],
    "Captions find pictures of their kind: precision@10": [
        ("caption to picture", "article type precision@10"),
        ("caption to picture", "colour precision@10"),
        ("caption to picture", "gender precision@10"),
    ],
    "Words find products: precision@10": [
        ("category to product", "precision@10"),
        ("sub-category to product", "precision@10"),
        ("article type to product", "precision@10"),
        ("colour to product", "precision@10"),
    ],
    "Disturbed pictures find their originals: recall@10": [
        ("picture after crop", "recall@10"),
        ("picture after flip", "recall@10"),
        ("picture after blur", "recall@10"),
        ("picture after brightness", "recall@10"),
    ],
    "Pictures have neighbours of their kind: precision@10": [
        ("neighbours", "article type precision@10"),
        ("neighbours", "colour precision@10"),
        ("neighbours", "gender precision@10"),
    ],
}
"""What is drawn: the figures of each chart, by task and measure."""

DRAWN_BESIDE = "Marqo-FashionSigLIP"
"""The one of the published models that is drawn, the best of them; the table has all. A chart has three colours."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page; its folder is made. A page that is there is replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(render(comparison), encoding="utf-8")
    partial.replace(path)


def render(comparison: Comparison) -> str:
    """The page as HTML."""
    gaps = {(row["task"], row["measure"]): row for row in comparison.differences()}
    rows = comparison.rows()
    return (
        environment("fashion_assets.reports")
        .get_template("comparison.html")
        .render(
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
            comparison=comparison,
            asked_with=int(comparison.asked.rows.sum()),
            charts=[chart for title in CHARTS if (chart := _chart(title, comparison)) is not None],
            tasks=[
                (
                    task,
                    [
                        row | {"gap": gaps.get((row["task"], row["measure"]))}
                        for row in rows
                        if row["task"] == task
                    ],
                )
                for task in dict.fromkeys(row["task"] for row in rows)
            ],
            gaps=list(gaps.values()),
            published=list(PUBLISHED),
            drawn_beside=DRAWN_BESIDE,
            beside=_beside(comparison.vectors),
            protocol=PROTOCOL,
            published_protocol=PUBLISHED_PROTOCOL,
        )
    )


def _chart(title: str, comparison: Comparison) -> Markup | None:
    """One chart: a bar of each model at each figure, and of `DRAWN_BESIDE` where it has one; None where no model has any
    of the figures."""
    keys = [key for key in CHARTS[title] if any(model.figure(*key) for model in comparison.models)]
    if not keys:
        return None
    tasks = {task for task, _ in keys}
    labels = [
        measure.removesuffix(" precision@10") if len(tasks) == 1 else _short(task) for task, measure in keys
    ]
    names = _short_names([model.name for model in comparison.models])
    series: dict[str, list[float | None]] = {
        name: [None if (own := model.figure(*key)) is None else own.mean for key in keys]
        for name, model in zip(names, comparison.models, strict=True)
    }
    known = PUBLISHED[DRAWN_BESIDE]
    if any(key in known for key in keys):
        series[DRAWN_BESIDE] = [known.get(key) for key in keys]
    return bars(title, labels, series)


def _short_names(names: list[str]) -> list[str]:
    """Without the weights' fingerprints, where that tells them apart."""
    short = [name.split("@", 1)[0] for name in names]
    return short if len(set(short)) == len(names) else names


def _short(task: str) -> str:
    return task.removesuffix(" to product").removeprefix("picture after ")


def _beside(evaluations: tuple[Evaluation, ...]) -> list[dict]:
    if not evaluations:
        return []
    return [
        {
            "figure": figure,
            "values": [
                None if (own := each.figure(*figure.key)) is None else own.mean for each in evaluations
            ],
        }
        for figure in evaluations[0].figures
    ]
