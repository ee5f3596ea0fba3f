"""Commands about what goes together: styles, looks, what a picture of an outfit finds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, existing_installation, fail, out, plain_table, print_json
from fashion_assets.cli.searching import (
    SearchedRelease,
    check_release,
    hit_as_json,
    hits_table,
    pictured,
    print_notes,
    results_as_json,
)
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from rich.table import Table

    from fashion_assets.search.query import Results
    from fashion_assets.search.styles import Style


@app.command()
def styles(
    style: Annotated[
        str | None,
        typer.Argument(help="A style, by its name or number: show its products.", show_default=False),
    ] = None,
    product: Annotated[
        str | None, typer.Option(metavar="ID", help="The styles this product is near to.", show_default=False)
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The styles this person is near to, by their favourites.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="So many products at the most.")
    ] = 10,
    release: SearchedRelease = None,
    show: Annotated[
        bool, typer.Option("--open", help="Write a page with the products' pictures and open it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The styles of the catalogue; or the products of one; or those a product or a person is near to."""
    if sum(each is not None for each in (style, product, user)) > 1:
        fail("ask for one thing: a style, --product or --user", 2)
    if show and style is None:
        fail("--open shows the products of a style: name it", 2)
    from fashion_assets.search.engine import SearchEngine

    settings = existing_installation()
    check_release(settings, release)
    with SearchEngine.open(settings, size=1) as engine:
        if style is not None:
            return _print_style(settings, engine.of_style(style, limit, release), style, show, as_json)
        of_all = product is None and user is None
        found = engine.styles(release) if of_all else engine.styles_of(product, user, release=release)
    if as_json:
        return print_json([vars(each) for each in found])
    out.print(_styles_table(found) if found else "none: no favourites are known, or nothing has a vector")
    return None


def _print_style(settings: Settings, results: "Results", style: str, show: bool, as_json: bool) -> None:
    written = pictured(settings, style, results.plan, {"": results.hits}) if show else None
    if as_json:
        return print_json(results_as_json(results, explain=False))
    out.print(hits_table(results.hits) if results.hits else "nothing found")
    return print_notes(results.plan, written)


def _styles_table(found: "Sequence[Style]") -> "Table":
    near = any(each.affinity is not None for each in found)
    figures = {"no.", "products", "affinity"}
    table = plain_table(
        "no.", "style", "products", *(("affinity",) if near else ()), "over-represented", figures=figures
    )
    for each in found:
        affinity = () if each.affinity is None else (f"{each.affinity:.3f}",)
        words = ", ".join(f"{word['value']} {word['lift']:.1f}x" for word in each.words[:4])
        table.add_row(str(each.number), shown(each.name), f"{each.products:,}", *affinity, shown(words))
    return table


@app.command()
def look(
    product: Annotated[str, typer.Argument(help="The product's id.", show_default=False)],
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=50, help="So many pieces at the most.")] = 8,
    alternatives: Annotated[
        int, typer.Option(metavar="N", min=1, max=10, help="So many for each place on a person.")
    ] = 1,
    release: SearchedRelease = None,
    show: Annotated[
        bool, typer.Option("--open", help="Write a page with the pieces' pictures and open it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What goes with a product: a look, by the rules of outfits, of the pieces nearest to it."""
    from fashion_assets.search.engine import SearchEngine

    settings = existing_installation()
    check_release(settings, release)
    with SearchEngine.open(settings, size=1) as engine:
        found = engine.complete_look(product, limit, alternatives, release)
    written = None
    if show:
        sections = {f"{found.slot}: what the look is for": [found.product]}
        for piece in found.pieces:
            sections.setdefault(piece.slot, []).append(piece.hit)
        written = pictured(settings, f"a look for {found.product.title}", found.plan, sections)
    if as_json:
        return print_json(
            {
                "product": hit_as_json(found.product),
                "slot": found.slot,
                "pieces": [{"slot": piece.slot, **hit_as_json(piece.hit)} for piece in found.pieces],
                "left_out": found.left_out,
                "plan": vars(found.plan),
            }
        )
    table = plain_table("worn as", "id", "title", "likeness", figures={"likeness"})
    table.add_row(found.slot, shown(found.product.external_id), shown(found.product.title or ""), "")
    for piece in found.pieces:
        hit = piece.hit
        table.add_row(piece.slot, shown(hit.external_id), shown(hit.title or ""), f"{hit.score:.3f}")
    out.print(table)
    print_notes(found.plan, written)
    return None


@app.command()
def inspire(
    picture: Annotated[Path, typer.Argument(help="A picture of a person in an outfit.", show_default=False)],
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Narrow down: gender=women, price=10..50; may be given again.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="So many products for each part at the most.")
    ] = 5,
    release: SearchedRelease = None,
    show: Annotated[
        bool, typer.Option("--open", help="Write a page with the products' pictures and open it.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find what resembles the parts of an outfit: whole, upper, lower, feet."""
    from fashion_assets.search.engine import SearchEngine
    from fashion_assets.search.filters import parse_filters
    from fashion_assets.search.meaning import picture_file

    data, narrowed = picture_file(picture, Settings().max_image_bytes), parse_filters(filters or [])
    settings = existing_installation()
    check_release(settings, release)
    with SearchEngine.open(settings, size=1) as engine:
        found = engine.inspire(data, limit, narrowed, release)
    written = None
    if show:
        written = pictured(
            settings, f"like {picture.name}", found.plan, {part.name: part.hits for part in found.parts}
        )
    if as_json:
        return print_json(
            {
                "parts": [
                    {"part": part.name, "box": part.box, "hits": [hit_as_json(hit) for hit in part.hits]}
                    for part in found.parts
                ],
                "plan": vars(found.plan),
            }
        )
    table = plain_table("part", "id", "title", "likeness", figures={"likeness"})
    for part in found.parts:
        for hit in part.hits:
            table.add_row(part.name, shown(hit.external_id), shown(hit.title or ""), f"{hit.score:.3f}")
    out.print(table if any(part.hits for part in found.parts) else "nothing found")
    print_notes(found.plan, written)
    return None
