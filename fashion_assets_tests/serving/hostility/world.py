"""What is attacked, and what an attack and an answer are.

What belongs here: the keys, products and cursors of one installation, and how they are made. What does not: attacks (`content`, `transport`,
`addresses`), and what must hold of answers (`answers`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
from psycopg import sql

from fashion_assets.criteria.subject import Candidate
from fashion_assets.postgres.connections import connect
from fashion_assets.serving.api.access import SCOPES
from fashion_assets.serving.former.mounting import APIS
from fashion_assets.settings import Settings
from fashion_assets.warehouse import keys, releases
from fashion_assets_tests.release.copies import copy_of

SECONDS = 30.0
"""An answer that takes longer does not come."""


MARK = "unreleased"
"""Behind every title of the candidate: where it is read, another release was told."""


@dataclass(frozen=True)
class World:
    """What is attacked."""

    keys: Mapping[str, str]
    """By what they are good for: `all`, `search`, `within`, `former`, `expired`, `revoked`, and `none` for none."""
    release: str
    candidate: str
    within: tuple[str, str]
    """The column and value that the key `within` is narrowed to."""
    ids: Sequence[str]
    """Of products, some within and some without."""
    cursors: Sequence[str]
    """Of other questions, other callers, the candidate."""
    secrets: Sequence[str]
    """What no answer may have in it."""
    most: int
    """Bytes of a request's body."""
    parameters: Mapping[tuple[str, str], Sequence[str]]
    """Of every route that is described: the names it knows."""


class Attack(NamedTuple):
    """One request."""

    kind: str
    head: bytes
    """The request line and the headers, with the empty line."""
    body: Sequence[bytes] = ()
    key: str = "none"
    pause: float = 0.0
    """Seconds between two parts of the body."""
    finished: bool = True
    """Whether what is sent is a whole request, so that an answer must come."""
    plain: bool = False
    """Whether the server below may refuse it as no HTTP, in words of its own."""


class Answer(NamedTuple):
    """What came back; status 0 where the connection was closed without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def world_of(settings: Settings, port: int) -> World:
    """Keys to an installation whose API answers at a port, and a candidate beside its live release, whose every title is `MARK`."""
    late = datetime.now(UTC) - timedelta(seconds=1)
    with connect(settings) as conn:
        live = releases.live(conn)
        assert live is not None
        row = conn.execute(
            sql.SQL(
                "SELECT colour FROM {} WHERE colour IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
            ).format(live.table("products"))
        ).fetchone()
        assert row is not None
        within = ("colour", row[0])
        made: dict[str, tuple[Sequence[str], Sequence[str], datetime | None]] = {
            "all": (tuple(SCOPES), (), None),
            "search": (("search",), (), None),
            "within": (tuple(each for each in SCOPES if each != "releases"), (f"colour={row[0]}",), None),
            "former": (("former",), (), None),
            "expired": (tuple(SCOPES), (), late),
            "revoked": (tuple(SCOPES), (), None),
        }
        secrets = {
            name: keys.create(conn, name, scopes, filters, until)
            for name, (scopes, filters, until) in made.items()
        }
        keys.revoke(conn, secrets["revoked"][1].key)
        waiting = releases.candidates(conn)
        candidate = waiting[0] if waiting else copy_of(Candidate(conn, live, settings), MARK)
        ids = [
            str(id)
            for (id,) in conn.execute(
                sql.SQL("SELECT product_id FROM {} ORDER BY 1 LIMIT 40").format(live.table("products"))
            )
        ]
        conn.commit()
    known = {name: secret for name, (secret, _) in secrets.items()}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": known["all"]}, timeout=SECONDS
    ) as client:
        cursors = [
            client.get("/api/v1/search", params={"limit": 2, **asked}).json()["next_page"]
            for asked in (
                {},
                {"q": "shirt"},
                {"q": "shirt", "mode": "vector"},
                {"sort": "newest"},
                {"filter": "colour=black"},
                {"release": candidate.release},
                {"q": "shirt", "release": candidate.release},
            )
        ]
        parameters = dict(_described(client.get("/api/v1/openapi.json").json()))
        for name in APIS:
            parameters |= dict(
                _described(client.get(f"/former/{name}/openapi.json").json(), f"/former/{name}")
            )
    digests = [keys.digest(secret).hex() for secret in known.values()]
    return World(
        keys=known,
        release=live.release,
        candidate=candidate.release,
        within=within,
        ids=ids,
        cursors=[each for each in cursors if each],
        secrets=[str(settings.home), *known.values(), *digests],
        most=settings.api_max_body,
        parameters=parameters,
    )


def _described(
    document: Mapping[str, Any], below: str = ""
) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield (
                (method.upper(), below + path),
                tuple(each["name"] for each in described.get("parameters", ())),
            )
