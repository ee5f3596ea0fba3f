"""Commands about keys to the search API."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

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
    from fashion_assets.warehouse.keys import Key

keys_app = group("keys", "Keys to the search API: who may ask it what.")


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it is good for, again for each; default: search.",
            show_default=False,
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME=VALUE",
            help="Nothing else is ever told by it: source=shop, price<=50; again for each.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=36_500,
            help="Days it is good for; default: until it is revoked.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key, and tell it, this once. Only its hash is kept. From the first key on nobody asks without one."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.serving.api.access import SCOPES
    from fashion_assets.serving.api.asked import read_filters
    from fashion_assets.warehouse import keys

    for scope in scopes or []:
        if scope not in SCOPES:
            said = "\n".join(f"  {name}: {meaning}" for name, meaning in SCOPES.items())
            fail(f"there is no scope {scope!r}; there are\n{said}", 2)
    read_filters(filters or [])
    settings = existing_installation()
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with connect(settings, vectors=False) as connection:
        secret, key = keys.create(
            connection, name, list(dict.fromkeys(scopes or ["search"])), filters or [], expires_at
        )
        connection.commit()
    if as_json:
        return print_json({"secret": secret, **_as_json(key)})
    print(secret)
    out.print(f"{key.key} for {shown(name)}: {', '.join(key.scopes)}. It is told this once.", soft_wrap=True)


@keys_app.command("list")
def list_keys(home: Home = None, as_json: Json = False) -> None:
    """The keys that were made, the newest first."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import keys

    with connect(existing_installation(), vectors=False) as connection:
        known = keys.keys(connection)
    if as_json:
        return print_json([_as_json(key) for key in known])
    table = plain_table("key", "name", "good for", "filters", "made", "until")
    now = datetime.now(UTC)
    for key in known:
        until = (
            "revoked"
            if key.revoked_at
            else "expired"
            if not key.holds(now)
            else f"{key.expires_at:%Y-%m-%d}"
            if key.expires_at
            else ""
        )
        table.add_row(
            key.key,
            shown(key.name),
            ", ".join(key.scopes),
            shown(", ".join(key.filters)),
            f"{key.created_at:%Y-%m-%d}",
            until,
        )
    out.print(table if known else "no key was ever made: whoever reaches this machine's own address may ask")


@keys_app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its number, as `keys list` has it.")], home: Home = None
) -> None:
    """Have a key be good for nothing from now on; servers that run know it within some seconds."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.warehouse import keys

    with connect(existing_installation(), vectors=False) as connection:
        gone = keys.revoke(connection, key)
        connection.commit()
    out.print(f"revoked: {gone.key} ({shown(gone.name)})")


def _as_json(key: "Key") -> dict[str, object]:
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in key._asdict().items()
    }
