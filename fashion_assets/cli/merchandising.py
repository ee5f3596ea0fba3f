"""Commands about what a merchant decides: synonyms, products pinned, hidden and boosted, what people look for."""

import getpass
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from fashion_assets.cli.app import (
    Home,
    Json,
    existing_installation,
    fail,
    group,
    out,
    plain_table,
    print_json,
)
from fashion_assets.terminal import shown

if TYPE_CHECKING:
    from fashion_assets.warehouse.merchandising import Rule, Synonym

merchandising_app = group(
    "merchandising", "What a merchant decides about search: synonyms, products pinned, hidden and boosted."
)

Id = Annotated[
    str | None,
    typer.Option("--id", help="Its id; what has it is replaced. Default: a new one.", show_default=False),
]
Note = Annotated[str, typer.Option(help="Why.", show_default=False)]
By = Annotated[str | None, typer.Option(help="Who decides it; default: this user.", show_default=False)]
ForWords = Annotated[
    str | None, typer.Option("--words", help="For a search for just these words.", show_default=False)
]
ForFilters = Annotated[
    list[str] | None,
    typer.Option(
        "--when",
        metavar="NAME=VALUE",
        help="For a search that has this filter; again for each.",
        show_default=False,
    ),
]
From = Annotated[
    datetime | None, typer.Option("--from", help="From when it holds (UTC).", show_default=False)
]
Until = Annotated[datetime | None, typer.Option("--until", help="Until when (UTC).", show_default=False)]
Product = Annotated[
    str, typer.Argument(help="The product: its id, its id in its source, or source/id.", show_default=False)
]


@merchandising_app.command("list")
def list_decisions(home: Home = None, as_json: Json = False) -> None:
    """What was decided, the oldest first, and which products the live release lacks."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.search.merchandising import holds
    from fashion_assets.warehouse import merchandising

    settings = existing_installation()
    with connect(settings, vectors=False) as connection:
        known = merchandising.decided(connection)
        ids = [each.product for each in known.rules if each.product is not None]
        names = merchandising.external_ids(connection, ids)
        lacking = _lacking(connection, ids)
    now = datetime.now(UTC)
    if as_json:
        return print_json(
            {
                "synonyms": [_as_json(each) for each in known.synonyms],
                "rules": [
                    {**_as_json(each), "holds": holds(each, now), "lacking": each.product in lacking}
                    for each in known.rules
                ],
            }
        )
    if not known.synonyms and not known.rules:
        return out.print("nothing was decided: fashion-assets merchandising synonym sneakers trainers")
    if known.synonyms:
        table = plain_table("synonym", "words", "", "become", "note", "by")
        for each in known.synonyms:
            signs = ("→", ", ".join(each.becomes)) if each.becomes else ("=", "each other")
            table.add_row(each.id, shown(", ".join(each.words)), *map(shown, (*signs, each.note, each.by)))
        out.print(table)
    if known.rules:
        table = plain_table("rule", "does", "for", "holds", "note", "by")
        for each in known.rules:
            what = {
                "pin": f"pins {_name(each.product, names)} at {each.place}",
                "hide": f"hides {_name(each.product, names)}",
                "boost": f"boosts {', '.join(each.products)} by {each.factor or 1:g}",
            }[each.action]
            if each.product in lacking:
                what += " (the live release lacks it)"
            where = each.words or ", ".join(each.filters) or "every search"
            table.add_row(
                each.id, *map(shown, (what, where)), _time(each, now), *map(shown, (each.note, each.by))
            )
        out.print(table)


@merchandising_app.command()
def synonym(
    words: Annotated[list[str], typer.Argument(help="Words that stand for each other.", show_default=False)],
    becomes: Annotated[
        list[str] | None,
        typer.Option(help="One way: the words stand for this, too; again for each.", show_default=False),
    ] = None,
    id: Id = None,
    note: Note = "",
    by: By = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have words stand for each other: what has any of them is found by all of them. `teal --becomes turquoise`: one way."""
    from fashion_assets.warehouse.merchandising import Synonym

    _put([Synonym(id or _new("s"), words, becomes or [], note, _who(by))], as_json)


@merchandising_app.command()
def pin(
    product: Product,
    place: Annotated[int, typer.Option(metavar="N", help="Where it stands, from 1.")] = 1,
    words: ForWords = None,
    when: ForFilters = None,
    start: From = None,
    until: Until = None,
    id: Id = None,
    note: Note = "",
    by: By = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have a product stand at a place of what is found for words, or of a list by filters."""
    rule = _rule("pin", id, words, when, by, place=place, starts_at=start, ends_at=until, note=note)
    _put([rule], as_json, product)


@merchandising_app.command()
def hide(
    product: Product,
    words: ForWords = None,
    start: From = None,
    until: Until = None,
    id: Id = None,
    note: Note = "",
    by: By = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have a product not be found, for words or at all; who has its address sees it still."""
    rule = _rule("hide", id, words, None, by, starts_at=start, ends_at=until, note=note)
    _put([rule], as_json, product)


@merchandising_app.command()
def boost(
    filters: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", help="Which products: all that meet these.", show_default=False
        ),
    ],
    factor: Annotated[
        float, typer.Option(metavar="F", help="By how much: above 1 lifts, below 1 buries; 0.1 to 10.")
    ] = 2.0,
    words: ForWords = None,
    when: ForFilters = None,
    start: From = None,
    until: Until = None,
    id: Id = None,
    note: Note = "",
    by: By = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Have products come sooner, or later, among what is found; nothing else is found by it."""
    values = {"products": filters, "factor": factor, "starts_at": start, "ends_at": until, "note": note}
    _put([_rule("boost", id, words, when, by, **values)], as_json)


@merchandising_app.command()
def remove(
    ids: Annotated[
        list[str], typer.Argument(help="Ids, as `merchandising list` has them.", show_default=False)
    ],
    home: Home = None,
) -> None:
    """Follow decisions no more; all of those named, or none."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.search import merchandising

    with connect(existing_installation(), vectors=False) as connection:
        gone = merchandising.remove(connection, ids)
    out.print(f"removed: {', '.join(each.id for each in gone)}")


@merchandising_app.command("export")
def export_file(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; default: standard output.", show_default=False)
    ] = None,
    home: Home = None,
) -> None:
    """Write all decisions as a TOML file, to be reviewed, kept, and brought in elsewhere."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.search.merchandising_files import written
    from fashion_assets.warehouse import merchandising

    with connect(existing_installation(), vectors=False) as connection:
        known = merchandising.decided(connection)
        names = merchandising.external_ids(connection, [each.product for each in known.rules if each.product])
    text = written(known.synonyms, known.rules, names)
    if file is None:
        return print(text, end="")
    file.write_text(text, "utf-8")
    out.print(
        f"{len(known.synonyms):,} synonyms and {len(known.rules):,} rules: {shown(str(file))}", soft_wrap=True
    )


@merchandising_app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A file of `merchandising export`.")
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Remove what is not in the file.")] = False,
    by: By = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Follow the decisions of a file, each in place of what has its id; all of them, or none where one cannot be followed."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.search import merchandising
    from fashion_assets.search.merchandising_files import read

    with connect(existing_installation(), vectors=False) as connection:
        found = read(file.read_bytes(), lambda key: merchandising.product(connection, key))
        who = _who(by)
        new, other, gone = merchandising.take_over(
            connection, [each._replace(by=who) for each in found], alone=replace
        )
    if as_json:
        return print_json({"new": new, "changed": other, "removed": gone, "in_the_file": len(found)})
    out.print(f"{len(found):,} in the file: {new:,} new, {other:,} changed, {gone:,} removed")


@merchandising_app.command()
def searches(
    without_hits: Annotated[
        bool, typer.Option("--without-hits", help="Those that found nothing: what a synonym may mend.")
    ] = False,
    days: Annotated[int, typer.Option(metavar="N", min=1, help="Of so many days.")] = 30,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="So many at the most.")] = 30,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What people looked for over the API and the page, the most frequent first."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse.searches import asked

    with connect(existing_installation(), vectors=False) as connection:
        found = asked(connection, without_hits=without_hits, days=days, limit=limit)
    if as_json:
        return print_json([{**each._asdict(), "last_day": each.last_day.isoformat()} for each in found])
    table = plain_table("words", "searches", "without hits", "last", figures=("searches", "without hits"))
    for each in found:
        table.add_row(
            shown(each.words), f"{each.searches:,}", f"{each.without_hits:,}", each.last_day.isoformat()
        )
    out.print(table if found else f"nothing was looked for in {days} days that is counted")


def _rule(
    action: Any, id: str | None, words: str | None, when: list[str] | None, by: str | None, **values: Any
) -> "Rule":
    """A rule as its command has it; what is not said is made: its id, and who decides it."""
    from fashion_assets.warehouse.merchandising import Rule

    return Rule(id or _new("r"), action, words, when or [], by=_who(by), **values)


def _put(decisions: Sequence["Synonym | Rule"], as_json: bool, product: str | None = None) -> None:
    from fashion_assets.postgres.connections import connect
    from fashion_assets.search import merchandising
    from fashion_assets.search.curated import FRESH_SECONDS

    with connect(existing_installation(), vectors=False) as connection:
        if product is not None:
            known = merchandising.product(connection, product)
            decisions = [each._replace(product=known) for each in decisions]  # type: ignore[call-arg]
            lacks = bool(_lacking(connection, [known]))
        else:
            lacks = False
        kept = merchandising.put(connection, *decisions)
    if as_json:
        return print_json(_as_json(kept[0]))
    out.print(f"{kept[0].id}: searches follow it within {FRESH_SECONDS:g} seconds")
    if lacks:
        out.print(
            "[yellow]note[/] the live release lacks the product: the rule does nothing until one has it"
        )


def _lacking(connection: Any, ids: Sequence[UUID]) -> set[UUID]:
    """Those of some products that the live release does not have."""
    from fashion_assets.warehouse.schemas import SERVING

    if not ids:
        return set()
    there = connection.execute("SELECT to_regclass(%s)", (f"{SERVING}.products",)).fetchone()
    if there == (None,):
        return set(ids)
    rows = connection.execute(
        "SELECT product_id FROM fashion_sota.products WHERE product_id = ANY(%s)", (list(ids),)
    )
    return set(ids) - {row[0] for row in rows}


def _as_json(decision: "Synonym | Rule") -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds")
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in decision._asdict().items()
    }


def _name(product: UUID | None, names: dict[UUID, str]) -> str:
    return "" if product is None else names.get(product, str(product))


def _time(rule: "Rule", now: datetime) -> str:
    if rule.ends_at is not None and rule.ends_at <= now:
        return f"over since {rule.ends_at:%Y-%m-%d %H:%M}"
    if rule.starts_at is not None and rule.starts_at > now:
        return f"from {rule.starts_at:%Y-%m-%d %H:%M}"
    return "always" if rule.ends_at is None else f"until {rule.ends_at:%Y-%m-%d %H:%M}"


def _new(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(4)}"


def _who(by: str | None) -> str:
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        fail("this user has no name: say who decides, by --by", 2)
