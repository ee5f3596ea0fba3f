"""The command that looks an installation over."""

from typing import Annotated

import typer

from fashion_assets.cli.app import Home, Json, app, out, print_json
from fashion_assets.settings import Settings
from fashion_assets.terminal import shown

_WORDS = {"well": "ok", "note": "note", "mend": "mend"}
_STYLES = {"well": "green", "note": "yellow", "mend": "bold red"}


@app.command()
def doctor(
    tell: Annotated[
        bool,
        typer.Option("--tell", help="Also tell whoever the settings name (notify_…) of what needs a person."),
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Look the installation over: versions, rights, disk, indexes, leftovers, locks, clock, files; say what to do.

    Exit code 1 where something needs a person. Changes nothing.
    """
    from fashion_assets import reserve
    from fashion_assets.doctor.examination import event_of, examine
    from fashion_assets.doctor.finding import needs_a_person
    from fashion_assets.notifications import notify

    settings = Settings()
    reserve.let_go(settings)
    found = []
    for each in examine(settings):
        found.append(each)
        if as_json:
            continue
        word = f"[{_STYLES[each.state]}]{_WORDS[each.state]:5}[/]"
        out.print(f"{word} {each.check:15} {shown(each.said)}", soft_wrap=True, highlight=False)
        if each.remedy:
            out.print(f"{'':22}{shown(each.remedy)}", soft_wrap=True, highlight=False)
    if tell and (event := event_of(found)):
        notify(settings, event)
    if as_json:
        print_json({"well": not needs_a_person(found), "findings": [each.to_dict() for each in found]})
    elif wanting := sum(each.state == "mend" for each in found):
        out.print(f"{wanting} of these need a person: see the lines that begin with mend", soft_wrap=True)
    else:
        out.print("nothing needs a person", soft_wrap=True)
    raise typer.Exit(1 if needs_a_person(found) else 0)
