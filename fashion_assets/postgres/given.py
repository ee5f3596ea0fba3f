"""How a server of a user's own is named: everything libpq takes for a connection, and what people copy from elsewhere.

What belongs here: reading that, and saying what of it is wrong. What does not: whether there is one (`server`), connecting.
"""

import re
from urllib.parse import unquote

from fashion_assets.origins import unquoted
from fashion_assets.postgres.errors import LoginRefused

ENCODED = {"client_encoding": "UTF8"}
"""Of every connection, whatever role, database or environment say: drivers learn it as they connect, and only then."""

_WANTED = "postgresql://user:password@host:port/database"

_SECONDS = "connect_timeout"

_UNNOTICED = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
"""A server that vanished without a word is noticed in a minute, not in the two hours TCP would take."""


def parameters(url: str) -> dict[str, str]:
    """libpq's parameters of a given server. Raises `LoginRefused`, which repeats no value: libpq's own message has the password.

    Quotes around it, and line ends behind it, are those of the file it came from.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    url = unquoted(url)
    scheme, separator, rest = url.partition("://")
    if separator and not re.search(r"[\s=]", scheme):
        # SQLAlchemy writes the driver into the scheme; libpq does not know that, nor capital letters.
        plain = re.fullmatch(r"(postgres(?:ql)?)(\+\w+)?", scheme, re.IGNORECASE)
        if plain is None:
            raise LoginRefused(
                f"FASHION_ASSETS_DATABASE_URL begins with {scheme[:40]}://, and must be like {_WANTED}."
            )
        url = f"{plain[1].lower()}://{rest}"
        _require_known(rest)
        # A second "@", or one behind a "/", is of the password: parts of that would be taken for host, port or database, and be shown as
        # such.
        authority, _, path = rest.partition("?")[0].partition("/")
        if authority.count("@") > 1 or "@" in path:
            raise _unreadable()
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except ProgrammingError:
        raise _unreadable() from None
    if not re.fullmatch(r"-?\d+", found.setdefault(_SECONDS, "10").strip()):
        raise LoginRefused(f"FASHION_ASSETS_DATABASE_URL: {_SECONDS} must be a number of seconds.")
    return (
        found
        | ENCODED
        | {
            name: value
            for name, value in _UNNOTICED.items()
            if name not in found and not found.get("host", "").startswith("/")
        }
    )


def _require_known(rest: str) -> None:
    """Refuse what other programs write into a URL's query (Prisma's `schema`, JDBC's `ssl`), by name."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    given = [unquote(part.partition("=")[0]) for part in rest.partition("?")[2].split("&") if "=" in part]
    strange = [name[:40] for name in given if name not in known]
    if strange:
        raise LoginRefused(
            f"FASHION_ASSETS_DATABASE_URL says {', '.join(strange)}, which Postgres's own library does not know; another program's is meant. Leave "
            f"{'it' if len(strange) == 1 else 'them'} out. (A schema or a search path is not needed: the product has schemas of its own.)"
        )


def _unreadable() -> LoginRefused:
    return LoginRefused(
        f"FASHION_ASSETS_DATABASE_URL cannot be read as {_WANTED}; special characters in user, password and database must be percent-encoded (@ is %40, / is %2F)."
    )
