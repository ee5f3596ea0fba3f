"""Commands that ask a release: searches, recommendations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fashion_assets.cli.app import (
    Home,
    Json,
    app,
    existing_installation,
    fail,
    out,
    plain_table,
    print_json,
)
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from rich.table import Table

    from fashion_assets.search.query import Hit, Plan, Query, Results

SearchedRelease = Annotated[
    str | None,
    typer.Option(
        "--release",
        metavar="RELEASE",
        help="Another release than the live one, as a candidate that is to be looked at first.",
        show_default=False,
    ),
]


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to look for.", show_default=False)] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A product to look for the like of.", show_default=False),
    ] = None,
    avoid: Annotated[
        list[str] | None,
        typer.Option(help="A word hits should not have; may be given again.", show_default=False),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Narrow down: colour=red,blue, colour!=red, price=10..50, goes_with.style=casual; may be given again.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[str, typer.Option(help="hybrid, vector or text.")] = "hybrid",
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every product; no index.")] = False,
    facets: Annotated[bool, typer.Option("--facets", help="Count what could be narrowed down by.")] = False,
    sort: Annotated[str, typer.Option(help="relevance, price, -price or newest.")] = "relevance",
    group: Annotated[
        str | None,
        typer.Option(
            help="variants: one hit for an article in several colours and sizes.", show_default=False
        ),
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=1, help="How unlike each other the best hits are to be."),
    ] = 0.0,
    highlight: Annotated[
        bool, typer.Option("--highlight", help="Say which words of the question each hit has.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what brought each hit.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="So many hits at the most.")] = 10,
    page: Annotated[
        str | None,
        typer.Option(help="The next page, as the one before names it.", show_default=False),
    ] = None,
    release: SearchedRelease = None,
    show: Annotated[
        bool, typer.Option("--open", help="Write a page with the hits' pictures and open it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Search the live release, or the one named, by words, by a picture, by a product, or by a mix of them."""
    text = " ".join(words or [])
    if not text.strip() and image is None and like is None and not filters:
        fail("give words or --image FILE, --like ID, or a --filter", 2)
    from fashion_assets.search.engine import SearchEngine
    from fashion_assets.search.filters import parse_filters
    from fashion_assets.search.meaning import picture_file
    from fashion_assets.search.query import COUNTED, Query

    query = Query(
        words=text,
        avoid=" ".join(avoid or []),
        picture=None if image is None else picture_file(image, Settings().max_image_bytes),
        product=like,
        filters=parse_filters(filters or []),
        mode=mode,  # pyright: ignore[reportArgumentType]
        exact=exact,
        limit=limit,
        page=page,
        facets=COUNTED if facets else (),
        sort=sort,  # pyright: ignore[reportArgumentType]
        group=group,  # pyright: ignore[reportArgumentType]
        diversity=diversity,
        highlight=highlight,
        release=release,
    )
    settings = existing_installation()
    check_release(settings, release)
    with SearchEngine.open(settings, size=1) as engine:
        results = engine.search(query)
    written = None
    if show:
        title = query.words or query.product or ("a picture" if query.picture else "everything")
        written = pictured(settings, title, results.plan, {"": results.hits}, results.facets)
    if as_json:
        return print_json(results_as_json(results, explain))
    _print_found(results, query, explain)
    if written is not None:
        out.print(str(written), soft_wrap=True)
    return None


def _print_found(results: "Results", query: "Query", explain: bool) -> None:
    plan = results.plan
    if plan.understood not in ("", " ".join(query.words.split())):
        out.print(f"read as: {shown(plan.understood)}")
    if plan.synonyms:
        out.print(f"looked for as well: {shown(', '.join(plan.synonyms))}")
    table = _found_table(results.hits, grouped=bool(query.group), highlight=query.highlight, explain=explain)
    out.print(table if results.hits else "nothing found")
    _print_counts(results, explain)
    if explain:
        paths = ", ".join(f"{leg} by {path}" for leg, path in plan.legs.items())
        kept = "" if plan.selectivity is None else f", filters leave about {plan.selectivity:.1%}"
        out.print(f"searched {plan.release}: {shown(paths)}{kept}", highlight=False)
    for lacked in plan.lacking:
        if lacked.by != "spelling":
            out.print(shown(str(lacked)), highlight=False)
    print_notes(plan)
    if results.next_page:
        out.print(f"more: --page {results.next_page}", soft_wrap=True)


def print_notes(plan: "Plan", written: Path | None = None) -> None:
    """What there is to say of an answer below its hits, and where the page with their pictures is."""
    for note in plan.notes:
        out.print(shown(note), highlight=False)
    if written is not None:
        out.print(str(written), soft_wrap=True)


def _found_table(hits: "Sequence[Hit]", *, grouped: bool, highlight: bool, explain: bool) -> "Table":
    """Hits, and of each what was asked to be told."""
    # Heading, whether it is told, and what it tells of a hit.
    told = [
        ("rules", any(hit.rules for hit in hits), _rules),
        ("variants", grouped, lambda hit: f"{hit.variants.count:,} more" if hit.variants else ""),
        ("has", highlight, lambda hit: ", ".join(hit.highlights.words) if hit.highlights else ""),
    ]
    columns = [(heading, of) for heading, is_told, of in told if is_told]
    headings = ["score", "id", "title", "picture", *(heading for heading, _ in columns)]
    table = plain_table(*headings, *(["brought by"] if explain else []))
    for hit in hits:
        cells = [f"{hit.score:.3f}", hit.external_id, hit.title or "", hit.image_path or "none"]
        cells += [of(hit) for _, of in columns]
        table.add_row(*map(shown, cells), *([_brought_by(hit)] if explain else []))
    return table


def _rules(hit: "Hit") -> str:
    return "\n".join(
        f"{each.rule}: pinned at {each.place}"
        if each.action == "pin"
        else f"{each.rule}: boosted by {each.factor:g}"
        for each in hit.rules
    )


def _brought_by(hit: "Hit") -> str:
    return "\n".join(
        f"{found.leg} #{found.rank}"
        + (f", distance {found.distance:.3f}" if found.distance is not None else "")
        + (f", has {found.coverage:.0%} of the words" if found.coverage is not None else "")
        for found in hit.explanation
    )


def _print_counts(results: "Results", explain: bool) -> None:
    """How many are found, and how their values are shared out."""
    if results.total is not None:
        more = "" if results.total.exact else " or more"
        why = f": {results.total.rule}" if explain else ""
        out.print(shown(f"{results.total.value:,}{more} found{why}"), highlight=False)
    for column, values in results.facets.items():
        if values:
            counted = ", ".join(f"{value} {count:,}" for value, count in values[:8])
            out.print(f"{column}: {shown(counted)}", highlight=False)
    for column, numbers in results.ranges.items():
        stretches = ", ".join(
            f"{each.low}{'+' if each.high is None else f'..{each.high}'} {each.count:,}"
            for each in numbers.buckets
        )
        out.print(f"{column}: {numbers.low} to {numbers.high} ({stretches})", highlight=False)


def pictured(
    settings: Settings,
    title: str,
    plan: "Plan",
    sections: "Mapping[str, Sequence[Hit]]",
    facets: "Mapping[str, Any] | None" = None,
) -> Path:
    """A page with the pictures of hits, by the headings they stand under, written and opened in the browser."""
    import webbrowser

    from fashion_assets.catalog.pictures import Limits
    from fashion_assets.reports.gallery import write_page

    limits = Limits.from_settings(settings)
    written = write_page(title, plan, sections, settings.home / "searches", limits, facets)
    webbrowser.open(written.as_uri())
    return written


def hits_table(hits: "Sequence[Hit]") -> "Table":
    """Hits as a person reads them."""
    table = plain_table("id", "title", "picture")
    for hit in hits:
        table.add_row(shown(hit.external_id), shown(hit.title or ""), shown(hit.image_path or "none"))
    return table


def check_release(settings: Settings, release: str | None) -> None:
    """Raise `ReleaseError`, which names those there are, where a release that was asked for never was."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import releases

    if release is not None:
        with connect(settings) as conn:
            releases.get(conn, release)


def hit_as_json(hit: "Hit") -> dict[str, Any]:
    """A hit with all its attributes, and with what the question asked to be told of it."""
    told = {name: getattr(hit, name) for name in ("product_id", "external_id", "source", "image_path")}
    asked = {name: getattr(hit, name) for name in ("highlights", "variants")}
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in {**told, **hit.attributes}.items()
    } | {
        **{name: asdict(value) for name, value in asked.items() if value is not None},
        "score": round(hit.score, 6),
    }


def results_as_json(results: "Results", explain: bool) -> dict[str, Any]:
    """An answer as JSON has it: hits with all their attributes and where their pictures are, and what belongs to them."""
    plan = results.plan
    return {
        "hits": [
            hit_as_json(hit)
            | ({"explanation": [vars(found) for found in hit.explanation]} if explain else {})
            | ({"rules": [vars(each) for each in hit.rules]} if hit.rules else {})
            for hit in results.hits
        ],
        "facets": {
            column: [
                {"value": float(value) if isinstance(value, Decimal) else value, "count": count}
                for value, count in values
            ]
            for column, values in results.facets.items()
        },
        "total": None if results.total is None else vars(results.total),
        "ranges": {
            column: {
                "low": float(numbers.low),
                "high": float(numbers.high),
                "buckets": [
                    {
                        "low": float(each.low),
                        "high": None if each.high is None else float(each.high),
                        "count": each.count,
                    }
                    for each in numbers.buckets
                ],
            }
            for column, numbers in results.ranges.items()
        },
        "next_page": results.next_page,
        "plan": vars(plan) | {"legs": dict(plan.legs), "lacking": [asdict(each) for each in plan.lacking]},
    }


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="The person's id.", show_default=False)],
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="So many products at the most.")
    ] = 10,
    release: SearchedRelease = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Products for a person: by favourites, by stated style, or what is popular."""
    from fashion_assets.search.engine import SearchEngine

    settings = existing_installation()
    check_release(settings, release)
    with SearchEngine.open(settings, size=1) as engine:
        results = engine.recommend(user, limit=limit, release=release)
    if as_json:
        return print_json(results_as_json(results, explain=False))
    out.print(hits_table(results.hits) if results.hits else "nothing found")
    print_notes(results.plan)
    return None
