"""Environments: databases that have a name.

What belongs here: which database a name means, and that no two names mean the same one unawares. What does not: asking a person before
anything is done to production (`cli.backfill`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from fashion_assets.backfill.errors import NotConfigured
from fashion_assets.origins import variable
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare

DEVELOPMENT, STAGING, PRODUCTION = ENVIRONMENTS = ("development", "staging", "production")


def setting(environment: str) -> str:
    """The field of the settings that holds an environment's URL."""
    return f"{environment}_database_url"


def settings_of(environment: str, settings: Settings) -> Settings:
    """The settings with the environment's database. Development is the installation's own unless it has a URL. Raises `NotConfigured`."""
    if environment not in ENVIRONMENTS:
        raise NotConfigured(f"There is no environment {environment!r}: it is {', '.join(ENVIRONMENTS)}.")
    url = getattr(settings, setting(environment))
    if url is None and environment != DEVELOPMENT:
        raise NotConfigured(
            f"The environment {environment} has no database. Put its postgresql:// URL into {variable(setting(environment))}."
        )
    return settings if url is None else settings.model_copy(update={"database_url": url})


@contextmanager
def connected(environment: str, settings: Settings) -> Iterator[Connection]:
    """A connection of its own to an environment's database, in autocommit. Errors of the server name the variable that led to it.

    Raises `NotConfigured`, also where development or staging is the database of production; a `WarehouseError`.
    """
    chosen = settings_of(environment, settings)
    given: SecretStr | None = getattr(settings, setting(environment))
    if given is None:
        prepare(chosen, anew=False)
    elif environment != PRODUCTION and _place(chosen) == _place_of_production(settings):
        raise NotConfigured(
            f"{variable(setting(environment))} and {variable(setting(PRODUCTION))} lead to the same database "
            f"({server.describe(chosen)}): what is done to {environment} would be done to production. Mend one of them, or say "
            "--environment production."
        )
    try:
        connection = connect(
            chosen, autocommit=True, vectors=False, application_name="fashion-assets backfill"
        )
    except WarehouseError as error:
        if given is None:
            raise
        raise type(error)(
            str(error).replace(variable("database_url"), variable(setting(environment)))
        ) from error
    with connection:
        yield connection


def _place(settings: Settings) -> tuple[str, ...] | None:
    try:
        found = server.parameters(settings)
    except WarehouseError:
        return None  # whoever connects tells it
    return tuple(found.get(name, "") for name in ("host", "hostaddr", "port", "dbname"))


def _place_of_production(settings: Settings) -> tuple[str, ...] | None:
    return None if settings.production_database_url is None else _place(settings_of(PRODUCTION, settings))
