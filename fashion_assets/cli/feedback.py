"""Commands about what people like and look at."""

from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, existing_installation, group, out, plain_table, print_json
from fashion_assets.terminal import shown

feedback_app = group(
    "feedback", "What people like, dislike and look at: how much is kept; forgetting somebody."
)


@feedback_app.command("counts")
def counts_kept(home: Home = None, as_json: Json = False) -> None:
    """How much is kept, by kind; of how many people and products."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import feedback

    settings = existing_installation()
    with connect(settings, vectors=False) as connection:
        kept = feedback.counts(connection)
    if as_json:
        return print_json({**kept._asdict(), "kept_days": settings.feedback_kept_days})
    table = plain_table("kind", "times")
    for kind, times in kept.kinds.items():
        table.add_row(kind, f"{times:,}")
    out.print(table if kept.people else "nobody told anything yet")
    days = settings.feedback_kept_days
    for_how_long = f"kept for {days:,} days" if days else "nothing more is taken (feedback_kept_days is 0)"
    out.print(f"of {kept.people:,} people and {kept.products:,} products; {for_how_long}", soft_wrap=True)


@feedback_app.command()
def forget(
    person: Annotated[str, typer.Argument(help="The person's id, as it was sent.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Forget all that one person told, for good. Favourites that came with the catalogue are its source's to delete."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import feedback

    with connect(existing_installation(), vectors=False) as connection:
        gone = feedback.forget(connection, person)
        connection.commit()
    if as_json:
        return print_json({"forgotten": gone})
    out.print(f"forgotten: what {shown(person)} told of {gone:,} product{'' if gone == 1 else 's'}")
