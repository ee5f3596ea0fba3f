"""Commands that prove: what differs between a source and a release, or between two releases; what is there twice."""

from typing import Annotated, Any

import typer

from fashion_assets.cli.app import (
    ChosenRelease,
    Home,
    Json,
    app,
    chosen_release,
    existing_installation,
    fail,
    out,
    plain_table,
    print_json,
)
from fashion_assets.terminal import shown


@app.command()
def diff(
    first: Annotated[
        str,
        typer.Argument(metavar="FIRST", help="A source, or the earlier of two releases.", show_default=False),
    ],
    second: Annotated[
        str | None, typer.Argument(metavar="SECOND", help="The other release.", show_default=False)
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            help="Which release a source is compared with; default: the live one, else the candidate.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What differs between a source, read anew, and a release, and why; or between two releases. Exit code 1 where a difference of a
    source is explained by nothing."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import releases

    settings = existing_installation()
    with connect(settings) as conn:
        if second is not None:
            from fashion_assets.proof.releases import changes

            found = changes(conn, releases.get(conn, first), releases.get(conn, second)).to_dict()
            return print_json(found) if as_json else _print_changes(found)
        from fashion_assets.proof.difference import difference
        from fashion_assets.warehouse.sources import sources

        if first not in {known.name for known in sources(conn)} and first in {
            known.release for known in releases.releases(conn)
        }:
            fail(f"{first} is a release: give the one to compare it with, too, or a source", 2)
        chosen = (
            chosen_release(conn, release) if release else releases.live(conn) or chosen_release(conn, None)
        )
        compared = difference(conn, settings, first, chosen)
    if as_json:
        print_json(compared.to_dict())
    else:
        _print_difference(compared.to_dict())
    raise typer.Exit(1 if compared.unexplained else 0)


_WORDS = {
    "rejected": "in quarantine, with their reasons",
    "changed_since": "changed since the release was built",
    "new_since": "new since the release was built",
    "gone_since": "gone since the release was built",
    "lost": "neither a product nor in quarantine",
    "altered": "a product that says something else",
}


def _print_difference(found: dict[str, Any]) -> None:
    table = plain_table(f"{found['source']} beside {found['release']}", "listings", figures=["listings"])
    table.add_row("equal, once canonical", f"{found['equal']:,}")
    for name, count in found["explained"].items():
        if count:
            table.add_row(f"explained: {_WORDS[name]}", f"{count:,}")
    for name, count in found["unexplained"].items():
        mark = "[bold red]unexplained[/]" if count else "unexplained"
        table.add_row(f"{mark}: {_WORDS[name]}", f"{count:,}")
    out.print(table)
    if found["normalized"]:
        values = plain_table(
            "column", "values made canonical", "for example", figures=["values made canonical"]
        )
        for name, each in found["normalized"].items():
            said = ", ".join(
                f"{_quoted(one['source'])} → {_quoted(one['release'])}" for one in each["examples"][:3]
            )
            values.add_row(name, f"{each['values']:,}", shown(said))
        out.print()
        out.print(values)
    if found["reasons"]:
        reasons = plain_table("reason for quarantine", "listings", figures=["listings"])
        for name, count in found["reasons"].items():
            reasons.add_row(shown(name), f"{count:,}")
        out.print()
        out.print(reasons)
    if found["columns"]:
        out.print(
            "\ndifferent without a reason: "
            + ", ".join(f"{name} {count:,}" for name, count in found["columns"].items()),
            soft_wrap=True,
        )
    for example in found["examples"]:
        what = (
            f"{example['column']}: {_quoted(example['source'])} in the source, {_quoted(example['release'])} in the release"
            if "column" in example
            else _WORDS[example["what"]]
        )
        out.print(f"[bold red]✗[/] {shown(str(example['listing']))}: {shown(what)}", soft_wrap=True)


def _print_changes(found: dict[str, Any]) -> None:
    table = plain_table(f"{found['other']} beside {found['former']}", "products", figures=["products"])
    for name in ("equal", "added", "gone", "changed"):
        table.add_row(name, f"{found[name]:,}")
    out.print(table)
    if found["columns"]:
        columns = plain_table("column", "products", figures=["products"])
        for name, count in found["columns"].items():
            columns.add_row(name, f"{count:,}")
        out.print()
        out.print(columns)
    for example in found["examples"]:
        said = "; ".join(
            f"{name}: {_quoted(a)} → {_quoted(b)}" for name, (a, b) in example.get("columns", {}).items()
        )
        out.print(
            shown(f"{example['what']} {example['source']} {example['external_id']} {said}".rstrip()),
            soft_wrap=True,
        )


def _quoted(value: str | None) -> str:
    return "nothing" if value is None else repr(value)


@app.command()
def duplicates(
    release: ChosenRelease = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Products of different sources that are likely the same: by their picture, or by vector and title. Nothing is merged."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.proof.duplicates import duplicates as find

    settings = existing_installation()
    with connect(settings) as conn:
        found = find(conn, chosen_release(conn, release))
    if as_json:
        return print_json(found.to_dict())
    if len(found.sources) < 2:
        return out.print(f"{found.release} has products of one source: there is nothing to compare")
    table = plain_table(
        "sources", "the same picture", "near and alike", figures=["the same picture", "near and alike"]
    )
    for pair in found.between:
        table.add_row(shown(f"{pair.one}, {pair.other}"), f"{pair.pictures:,}", f"{pair.alike:,}")
    if found.between:
        out.print(table)
    out.print(
        f"{found.same_picture:,} pictures are in more than one source, with {found.products:,} products",
        soft_wrap=True,
    )
    for twins in found.pictures:
        out.print(f"  {shown(', '.join(map(str, twins)))}", soft_wrap=True)
    out.print(
        f"{found.alike:,} of {found.probed:,} products compared (of {found.of:,}) have a likely twin in another source: cosine at "
        f"least {found.near:g}, titles alike by at least {found.like:g} of 100",
        soft_wrap=True,
    )
    for pair in found.pairs:
        one, other = pair["one"], pair["other"]
        out.print(
            f"  {shown(str(one))} ({shown(one.title)}) and {shown(str(other))} ({shown(other.title)}): cosine {pair['cosine']:g}, "
            f"titles {pair['alike']:g}",
            soft_wrap=True,
        )
