"""Commands about what readers may rely on: which contracts are served, the next one, and letting one go."""

from typing import Annotated

import typer

from fashion_assets.cli.app import (
    Home,
    Json,
    agreed,
    existing_installation,
    group,
    out,
    plain_table,
    print_json,
)
from fashion_assets.terminal import shown

contract_app = group("contract", "What readers of the serving schemas may rely on: views, columns, types.")


@contract_app.command("show")
def show(home: Home = None, as_json: Json = False) -> None:
    """Which contracts are served, what of the live release is in none of their views, and what of others hangs on them."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.contracts import contracts_in_use

    settings = existing_installation()
    with connect(settings) as conn:
        found = contracts_in_use(conn)
    if as_json:
        return print_json([each._asdict() for each in found])
    table = plain_table("contract", "state", "views", "columns", figures={"views", "columns"})
    for each in found:
        columns = sum(map(len, each.views.values()))
        table.add_row(each.schema, each.state, f"{len(each.views)}", f"{columns}")
    out.print(table)
    for each in found:
        for view, columns in each.not_served.items():
            said = ", ".join(columns)
            out.print(
                f"{each.schema}.{view} does not serve {shown(said)} of the live release", soft_wrap=True
            )
        if each.depending:
            out.print(f"on {each.schema}: {shown('; '.join(each.depending))}", soft_wrap=True)


@contract_app.command("next")
def following() -> None:
    """The next contract as its file: all of the newest one, and behind it the columns that none promises yet."""
    from fashion_assets.warehouse import contract

    newest = contract.contracts()[-1]
    proposed = contract.following(newest)
    if proposed.views == newest.views:
        out.print(f"# Nothing is new: {newest.schema} promises every column of a release.", soft_wrap=True)
        raise typer.Exit(1)
    print(
        f"# What readers of the schema {proposed.schema} may rely on: {newest.schema}, and behind it what is new.\n"
    )
    print(contract.written(proposed), end="")


@contract_app.command("renew")
def renew(
    view: Annotated[str, typer.Argument(help="The table a source declares.", show_default=False)],
    home: Home = None,
) -> None:
    """Serve the columns of a declared table that came to it since its view was made. Sessions that prepared SELECT * on it, and they alone,
    must prepare it anew."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import contracts

    settings = existing_installation()
    with connect(settings) as conn:
        new = contracts.renew(conn, settings, view)
    for schema, columns in new.items():
        what = f"serves {', '.join(columns)}, too" if columns else "serves every column already"
        out.print(f"{schema}.{view} {shown(what)}", soft_wrap=True)


@contract_app.command("retire")
def retire(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SCHEMA[.VIEW]",
            help="A contract, or the view onto a declared table, which the next swap makes anew if its release has the table.",
            show_default=False,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Serve a contract no longer: its views go, and what reads them fails from then on."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import contracts

    settings = existing_installation()
    agreed(f"Drop {name} for good? Whatever reads it fails from then on.", yes, without_terminal=False)
    with connect(settings) as conn:
        contracts.retire(conn, name)
    out.print(f"{shown(name)} is retired")
