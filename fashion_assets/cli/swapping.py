"""Commands that put a release live, take it back, or let it go."""

from typing import Annotated

import typer

from fashion_assets.cli.app import (
    Home,
    agreed,
    app,
    err,
    existing_installation,
    fail,
    out,
)
from fashion_assets.cli.releases import AllowShrink
from fashion_assets.terminal import shown

Force = Annotated[
    bool,
    typer.Option("--force", help="End the sessions that keep the serving views from being changed."),
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def preview(
    release: Annotated[str, typer.Argument(help="A candidate, or another release that is kept.")],
    schema: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="SCHEMA", help="The schema; default: fashion_preview.", show_default=False
        ),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Let its previews go.")] = False,
    home: Home = None,
) -> None:
    """Show a release before it is live, as views in a schema of its own that the reader's role may read: lead an application there. It goes with the
    release."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import preview as previews

    if drop and schema is not None:
        fail("--drop lets all previews of the release go: leave --as out", 2)
    settings = existing_installation()
    with connect(settings) as conn:
        if drop:
            gone = previews.drop(conn, release)
            out.print(f"gone: {', '.join(gone)}" if gone else f"there is no preview of {release}")
            return
        schema = schema or previews.SCHEMA
        made = previews.preview(conn, settings, release, schema)
    out.print(f"{schema} shows {release}: {', '.join(made)}", soft_wrap=True)
    out.print(
        f"read it as {settings.reader_role}: SET search_path = {schema}; let it go with: fashion-assets preview {release} --drop",
        soft_wrap=True,
    )


@app.command()
def approve(
    release: Annotated[str, typer.Argument(help="The candidate.")],
    why: Annotated[str, typer.Option(help="Why it may go live; kept with it.")],
    by: Annotated[
        str | None,
        typer.Option(help="Who approves; default: the user of this machine.", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Say that a candidate may go live, where the setting approval_required asks for it. Who, when and why is kept with the release; promote puts it
    live."""
    from getpass import getuser

    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import approval
    from fashion_assets.reports.report import note

    settings = existing_installation()
    if by is None:
        try:
            by = getuser()
        except (KeyError, OSError):
            fail("the user of this machine has no name: say who approves, by --by NAME", 2)
    with connect(settings) as conn:
        approved = approval.approve(conn, release, by, why)
        conn.commit()
        note(settings, approved, approval=approved.approval)
    out.print(
        shown(f"{release} is approved by {approved.approved_by}: {approved.approved_why}"), soft_wrap=True
    )
    out.print(f"put it live with: fashion-assets promote {release}", soft_wrap=True)


@app.command()
def promote(
    release: Annotated[
        str | None,
        typer.Argument(
            help="A candidate, or a retired release to go forward to again; default: the only candidate.",
            show_default=False,
        ),
    ] = None,
    allow_shrink: AllowShrink = False,
    force: Force = False,
    yes: Yes = False,
    home: Home = None,
) -> None:
    """Put a release live, if every criterion holds now. Look at it before: report, search --release."""
    from fashion_assets.migration import Migration
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import releases

    settings = existing_installation()
    with connect(settings) as conn:
        chosen = releases.get(conn, release) if release else releases.only_candidate(conn)
        live = releases.live(conn)
    if release is None:
        instead = f" instead of {live.release} ({live.products or 0:,})" if live else ""
        agreed(
            f"Put {chosen.release} ({chosen.products or 0:,} products, built {chosen.created_at:%Y-%m-%d %H:%M}) "
            f"live{instead}?",
            yes,
            without_terminal=True,
        )
    result = Migration(settings, err).promote(chosen.release, force, allow_shrink)
    for line in result.summary():
        out.print(line, soft_wrap=True)
    raise typer.Exit(0 if result.succeeded else 1)


@app.command()
def rollback(
    to: Annotated[
        str | None,
        typer.Option(
            help="An earlier release that is kept; default: the one the live one replaced.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would change, and change nothing.")
    ] = False,
    force: Force = False,
    home: Home = None,
) -> None:
    """Put an earlier release back live, in one transaction. Never waits for a run; going forward again is promote."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import swap
    from fashion_assets.release.way_back import way_back
    from fashion_assets.warehouse import releases

    settings = existing_installation()
    with connect(settings) as conn:
        live = releases.live(conn)
        target = releases.get(conn, to) if to else swap.previous(conn)
        if live is not None and target.number > live.number:
            fail(
                f"{target.release} is later than {live.release}, which is live. To go forward: "
                f"fashion-assets promote {target.release}"
            )
        if dry_run:
            if target.state != "retired":
                fail(f"{target.release} is {target.state}; only a retired release can be gone back to")
            looked_at = live and way_back(conn, settings, live, target, compared=True)
            if looked_at is None:
                fail("nothing is live, so there is nothing to go back from")
            out.print(f"would go back to {target.release}, {looked_at.until}", soft_wrap=True)
            for line in looked_at.told():
                out.print(line, soft_wrap=True)
            return
        left = live.release if live else None
        carried: list[str] = []
        release = swap.rollback(
            conn,
            settings,
            target.release,
            away_from=left,
            force=force,
            told=lambda brought: carried.append(str(brought)) if brought else None,
        )
    out.print(f"{release.release} is live again: {release.products or 0:,} products", soft_wrap=True)
    for said in carried[-1:]:
        out.print(said, soft_wrap=True)
    if left is not None:
        out.print(f"{left} is kept; go forward to it with: fashion-assets promote {left}", soft_wrap=True)


@app.command()
def retire(
    release: Annotated[str, typer.Argument(help="The release to drop.")],
    yes: Yes = False,
    home: Home = None,
) -> None:
    """Drop a release that is no longer wanted, for good."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release import swap
    from fashion_assets.warehouse import releases

    settings = existing_installation()
    with connect(settings) as conn:
        chosen = releases.get(conn, release)
        if chosen.state in ("candidate", "retired"):
            agreed(
                f"Drop {release} ({chosen.state}, {chosen.products or 0:,} products) for good?",
                yes,
                without_terminal=False,
            )
        gone = swap.retire(conn, release)
    if gone:
        out.print(f"{release} is dropped")
    else:
        out.print(
            f"{release} is retired for good; somebody still reads its tables, so they are dropped by a later command"
        )
