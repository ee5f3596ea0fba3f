"""The server in use for SQLAlchemy: the URL that libraries make their engines of (Dagster, Great Expectations).

What belongs here: that URL, and that what is connected by it is a session like every other (`session`). What does not:
which server it is (`server`), and connections of our own (`connections`).
"""

from typing import Any

from sqlalchemy import URL, CreateEnginePlugin, Engine, event
from sqlalchemy.dialects import plugins

from fashion_assets.postgres import server, session
from fashion_assets.settings import Settings

PLUGIN = "fashion_assets_session"
_SEARCH_PATH = "fashion_assets_search_path"


def sqlalchemy_url(settings: Settings, driver: str = "psycopg", search_path: str | None = None) -> URL:
    """The server in use for SQLAlchemy, with `driver` named ("psycopg" or "psycopg2"): a bare `postgresql://`
    means something else in every SQLAlchemy version. For this process: it names a plugin that is known here."""
    rest = server.parameters(settings)
    user, password, database = (rest.pop(name, None) for name in ("user", "password", "dbname"))
    rest["plugin"] = PLUGIN
    if search_path is not None:
        rest[_SEARCH_PATH] = search_path
    return URL.create(f"postgresql+{driver}", username=user, password=password, database=database, query=rest)


class SessionPlugin(CreateEnginePlugin):
    """Settles the sessions of an engine. Libraries take a URL and nothing else; it names this."""

    def __init__(self, url: URL, kwargs: dict[str, Any]):
        super().__init__(url, kwargs)
        path = url.query.get(_SEARCH_PATH)
        self._statement = session.statement(path if isinstance(path, str) else None)

    def update_url(self, url: URL) -> URL:
        """The URL as the driver takes it. Text has no empty parameters: of a socket the address that is none is said again."""
        plain = url.difference_update_query([_SEARCH_PATH])
        on_socket = str(plain.query.get("host", "")).startswith("/")
        return plain.update_query_dict({"hostaddr": ""}) if on_socket else plain

    def engine_created(self, engine: Engine) -> None:
        """Called by SQLAlchemy."""
        event.listen(engine, "connect", self._settle)

    def _settle(self, connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(self._statement)
        connection.commit()


plugins.register(PLUGIN, __name__, SessionPlugin.__name__)
