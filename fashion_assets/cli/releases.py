"""Commands that make a release, and look at it."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from fashion_assets.characters import harmless_json, to_json
from fashion_assets.cli.app import (
    ChosenMapping,
    ChosenRelease,
    Home,
    Json,
    PicturesFolder,
    app,
    chosen_release,
    err,
    existing_installation,
    fail,
    location,
    out,
    plain_table,
    print_json,
)
from fashion_assets.cli.sources import source_table
from fashion_assets.criteria.requirements import REQUIREMENTS, in_words
from fashion_assets.failure import some, together
from fashion_assets.origins import choose
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.criteria.verdict import Verdict


AllowShrink = Annotated[
    bool,
    typer.Option("--allow-shrink", help="Let it go live although much of what is live is gone: it is meant."),
]


def _moved(source: dict, usual: str) -> str:
    """How to say where a source is now; the one called `usual` needs no name."""
    if source["kind"] == "sample":
        return "run"  # which draws it again
    of_a_kind = "" if source["kind"] in ("folder", "catalogue") else f"{source['kind']}:"
    if source["name"] != usual:
        return f"sources add {source['name']} {of_a_kind}NEW_LOCATION --moved"
    return f"run --source {of_a_kind}NEW_LOCATION" if of_a_kind else "run --catalog NEW_FOLDER"


def _verdict_table(verdicts: "list[Verdict]", title: str) -> Group:
    """Every criterion in a row, and below, at full width, what to do about those that fail."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False, expand=True)
    table.add_column("")
    for column, ratio in (("what must hold", 5), ("measured", 4), ("must be", 3)):
        table.add_column(column, overflow="fold", ratio=ratio)
    marks = {
        "pass": "[green]✓[/]",
        "fail": "[bold red]✗[/]",
        "accepted": "[yellow]![/]",
        "not applicable": "[dim]-[/]",
    }
    for verdict in verdicts:
        value = "" if verdict.value is None else str(verdict.value)
        accepted = verdict.outcome == "accepted"
        live = "" if verdict.live is None else f"live: {verdict.live}"
        measured = [
            shown(value),
            shown(live),
            f"[dim]{shown(verdict.reason)}[/]" if verdict.reason else "",
            *(
                ["[yellow]accepted by a person[/]", *map(escape, map(str, verdict.offenders[:5]))]
                if accepted
                else []
            ),
        ]
        table.add_row(
            marks[verdict.outcome],
            f"{shown(verdict.claim)} [dim]{verdict.requirement}[/]",
            "\n".join(filter(None, measured)),
            shown(verdict.threshold),
        )
    return Group(table, *(_remedy(verdict) for verdict in verdicts if not verdict.passed))


def _requirements(verdicts: "list[Verdict]") -> Padding:
    """What the ids in a table of verdicts mean."""
    met = {verdict.requirement for verdict in verdicts}
    return Padding(
        "\n".join(f"[dim]{in_words(known)}[/]" for known in REQUIREMENTS if known in met), (1, 0, 0, 2)
    )


def _remedy(verdict: "Verdict") -> Padding:
    lines = [
        f"[bold red]✗[/] {shown(verdict.claim)} [dim]({verdict.name})[/]",
        f"[dim]{shown(in_words(verdict.requirement))}[/]",
    ]
    lines += [f"[dim]{shown(str(offender))}[/]" for offender in verdict.offenders[:5]]
    lines += filter(None, [escape(verdict.remedy)])
    lines += [f"[dim]must be {shown(verdict.must_be)}[/]"] if verdict.set_by else []
    return Padding("\n".join(lines), (1, 0, 0, 2))


@app.command()
def run(
    catalog: Annotated[
        str | None,
        typer.Option(
            parser=location,
            metavar="LOCATION",
            help="The catalogue: a folder, a file, or a database's URL (env:NAME where it holds a password).",
            show_default=False,
        ),
    ] = None,
    mapping: ChosenMapping = None,
    pictures: PicturesFolder = None,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Draw a shop of so many listings, and nothing beside it.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:LOCATION",
            help="Where listings are, for a reader of your own; KIND is the name it is registered by.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Listings of one new batch.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")
    ] = False,
    promote: Annotated[
        bool | None,
        typer.Option(
            "--promote/--no-promote",
            help="Put the release live if every criterion holds; default: the setting promote_automatically.",
            show_default=False,
        ),
    ] = None,
    fetch_pictures: Annotated[
        bool | None,
        typer.Option(
            "--fetch-pictures/--no-fetch-pictures",
            help="Fetch pictures that are stated as URLs; default: the setting fetch_pictures.",
            show_default=False,
        ),
    ] = None,
    allow_shrink: AllowShrink = False,
    accept_rejections: Annotated[
        bool,
        typer.Option(
            "--accept-rejections", help="Let batches through although many of their listings are rejected."
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for another run that is at it, or leave.")
    ] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Migrate what is new or changed, build a release and put it live."""
    if sum(given is not None for given in (catalog, sample, source)) > 1:
        fail("give one of --catalog, --sample and --source", 2)
    if catalog is None and (mapping is not None or pictures is not None):
        fail("--mapping and --pictures say how a catalogue is read: say which one, by --catalog", 2)
    if batch_size is not None:
        choose("batch_size", str(batch_size), "--batch-size")
    if fetch_pictures is not None:
        choose("fetch_pictures", str(fetch_pictures), "--fetch-pictures")
    from fashion_assets.runs import prepare_workers

    settings = Settings()
    if settings.is_new and not dry_run:
        # A first migration surely has work for them: they import while this process does.
        prepare_workers()
    from fashion_assets.choice import chosen
    from fashion_assets.migration import Allowed, Migration
    from fashion_assets.outcome import telling

    if promote is None:
        promote = settings.promote_automatically
    allowed = Allowed(promote, allow_shrink, accept_rejections)
    with telling(settings, dry_run) as done:
        migration = Migration(settings, err, lines=not as_json)
        choice = chosen(settings, catalog, sample, source, mapping, pictures)
        result = migration.dry_run(choice) if dry_run else migration.run(choice, allowed, wait=wait)
        done(result)
    if as_json:
        print_json(result.to_dict())
    elif result.verdicts:
        out.print(_verdict_table(result.verdicts, f"\nCriteria of {result.release}"))
    if not as_json:
        for line in result.summary():
            out.print(line, soft_wrap=True)
    raise typer.Exit(0 if result.succeeded else 1)


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """What is live, what stands ready, which batches are through."""
    from fashion_assets.failed_runs import last_reasons
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.status import status as gather

    settings = existing_installation()
    with connect(settings) as conn:
        state = gather(conn, settings)
        batches = state["batches"]
        for job, those in (("migrate_batch", batches), ("migrate_rows", state["tables"])):
            those["failed"] = last_reasons(conn, settings, job, those["stale"])
    if as_json:
        return print_json(state)
    _print_live(state, settings)
    _print_batches(state)
    _print_approvals(state["releases"])
    for reason, names in together({**batches["failed"], **state["tables"]["failed"]}).items():
        out.print(f"[bold red]failed[/]    {some(names)}: {shown(reason)}", soft_wrap=True)
    out.print(f"database  {shown(state['database'])}", soft_wrap=True)
    if note := state["reader"]["note"]:
        out.print(f"reader    {shown(note)}", soft_wrap=True)
    out.print(f"home      {shown(state['home'])}", soft_wrap=True)
    if state["sources"]:
        out.print(source_table(state["sources"]))
        out.print()
    _print_releases(state["releases"])


def _print_live(state: Mapping[str, Any], settings: Settings) -> None:
    """What is live, how far behind its sources it is, and whether its pictures are where they were."""
    live = state["live"]
    out.print(
        f"live      {live['release']}: {live['products']:,} products, {live['quarantined']:,} quarantined"
        if live
        else "live      nothing yet"
    )
    if fresh := state["freshness"]:
        looked_at = fresh["sources_looked_at"]
        as_of = f"as of {_minute(looked_at)}" if looked_at else "before they were ever looked at"
        if fresh["in_step"]:
            out.print(f"fresh     in step with its sources {as_of}, revision {fresh['revision']:,}")
        for why in fresh["why"]:
            out.print(f"[yellow]stale[/]     {shown(why)}", soft_wrap=True)
    if (index := state["index"]) and (index["replaced"] or index["leftovers"]):
        out.print(f"index     {shown(index['said'])}", soft_wrap=True)
    if back := state["back"]:
        products = "" if back["products"] is None else f": {back['products']:,} products"
        out.print(f"back      {back['release']}{products}, {back['until']}", soft_wrap=True)
    for source in state["sources"]:
        if source["missing_at"]:
            out.print(
                f"[bold red]missing[/]   {shown(source['missing_at'])} is not there: the pictures of the live release are "
                f"not where they were. Moved? fashion-assets {_moved(source, settings.source_name)}",
                soft_wrap=True,
            )


def _print_batches(state: Mapping[str, Any]) -> None:
    batches = state["batches"]
    out.print(
        f"batches   {batches['through']} of {batches['total']} through, {batches['listings']:,} listings"
    )
    for what, those in (("batches", batches), ("batches of tables", state["tables"])):
        if those["why"]:
            out.print(f"[yellow]stale[/]     {what}: {shown(those['why'])}")


def _print_approvals(releases: Sequence[Mapping[str, Any]]) -> None:
    """Which release somebody approved, and which waits for it."""
    for release in releases:
        if said := release["approval"]:
            out.print(
                shown(
                    f"approved  {release['release']} by {said['by']}, {_minute(said['at'])}: {said['why']}"
                ),
                soft_wrap=True,
            )
        elif release["approval_is_lacking"]:
            out.print(
                f"waits     {release['release']} for approval: fashion-assets approve {release['release']} --why TEXT",
                soft_wrap=True,
            )


def _print_releases(releases: Sequence[Mapping[str, Any]]) -> None:
    figures = "products", "rejected"
    table = plain_table("release", "state", "built", "promoted", *figures, figures=figures)
    table.columns[0].no_wrap = True
    for release in releases:
        table.add_row(
            release["release"],
            release["state"],
            *("" if release[key] is None else _minute(release[key]) for key in ("created_at", "promoted_at")),
            *("" if release[key] is None else f"{release[key]:,}" for key in ("products", "quarantined")),
        )
    out.print(table)


def _minute(moment: str) -> str:
    """A moment in ISO 8601 to the minute, as many of which fit beside each other."""
    return moment[:16].replace("T", " ")


@app.command()
def criteria(
    release: ChosenRelease = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure every criterion of a release now. Exit code 1 where one fails."""
    from fashion_assets.criteria.candidate import judge
    from fashion_assets.criteria.subject import Candidate
    from fashion_assets.postgres.connections import connect

    settings = existing_installation()
    with connect(settings) as conn:
        chosen = chosen_release(conn, release)
        verdicts = judge(Candidate(conn, chosen, settings))
    if as_json:
        print_json({"release": chosen.release, "criteria": [verdict.to_dict() for verdict in verdicts]})
    else:
        out.print(_verdict_table(verdicts, f"Criteria of {chosen.release} ({chosen.state})"))
        out.print(_requirements(verdicts))
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)


@app.command()
def report(
    release: ChosenRelease = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Where a release's report is: a page, and the same as JSON. A report that is gone is written anew."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.reports.report import page_of

    settings = existing_installation()
    with connect(settings) as conn:
        page = page_of(conn, settings, chosen_release(conn, release))
    print(harmless_json(page.with_suffix(".json").read_text("utf-8")) if as_json else page)
    if open_page:
        import webbrowser

        if not webbrowser.open(page.as_uri()):
            fail("there is no browser to open it with")


@app.command()
def quarantine(
    reason: Annotated[
        str | None, typer.Option(help="Only listings rejected for this reason.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="So many at the most.", show_default=False)
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Rejected listings, each with every reason and its original record."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.release.roots import picture_folders, picture_of
    from fashion_assets.warehouse.quarantine import quarantined, reasons

    settings = existing_installation()
    with connect(settings) as conn:
        at = picture_folders(conn, settings)
        if as_json:
            # Streamed: a quarantine may be larger than memory.
            print("[", end="")
            for number, held in enumerate(quarantined(conn, reason=reason, limit=limit, tables=True)):
                item = {
                    "external_id": held.external_id,
                    "reasons": held.reasons,
                    "record": held.record,
                    "source": held.source,
                    "batch": held.batch,
                    "image": picture_of(held, at),
                }
                print(("," if number else "") + "\n" + to_json(item), end="")
            print("\n]")
            return
        counts = plain_table("reason", "listings", figures=["listings"])
        for name, count in reasons(conn):
            counts.add_row(name, f"{count:,}")
        out.print(counts)
        table = plain_table("listing", "batch", "reasons", "record")
        for held in quarantined(conn, reason=reason, limit=limit or 20, tables=True):
            table.add_row(
                shown(held.external_id or "—"),
                held.batch,
                ", ".join(held.reasons),
                shown(json.dumps(held.record, ensure_ascii=False)[:160]),
            )
        out.print(table)
