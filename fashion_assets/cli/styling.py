"""Commands about what goes together: styles, looks, what a picture of an outfit finds."""

from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, existing_installation, fail, out, plain_table, print_json
from fashion_assets.cli.searching import SearchedRelease, check_release, hits_table, pictured, results_as_json
from fashion_assets.terminal import shown


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
            results = engine.of_style(style, limit, release)
            written = pictured(settings, style, results.plan, {"": results.hits}) if show else None
            if as_json:
                return print_json(results_as_json(results, explain=False))
            out.print(hits_table(results.hits) if results.hits else "nothing found")
            for note in results.plan.notes:
                out.print(shown(note), highlight=False)
            if written is not None:
                out.print(str(written), soft_wrap=True)
            return None
        if product is None and user is None:
            found = engine.styles(release)
        else:
            found = engine.styles_of(product, user, release=release)
    if as_json:
        return print_json([vars(each) for each in found])
    near = any(each.affinity is not None for each in found)
    figures = {"no.", "products", "affinity"}
    table = plain_table(
        "no.", "style", "products", *(("affinity",) if near else ()), "over-represented", figures=figures
    )
    for each in found:
        affinity = () if each.affinity is None else (f"{each.affinity:.3f}",)
        words = ", ".join(f"{word['value']} {word['lift']:.1f}x" for word in each.words[:4])
        table.add_row(str(each.number), shown(each.name), f"{each.products:,}", *affinity, shown(words))
    out.print(table if found else "none: no favourites are known, or nothing has a vector")
    return None
