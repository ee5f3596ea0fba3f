"""What people call a source and where they say it is, as the register has it.

What belongs here: names that may be given, and from a typed location to a kind and a location without secrets. What does not:
finding a file in a folder, opening it (`open_source`).
"""

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from fashion_assets.folders import in_full
from fashion_assets.origins import shown
from fashion_assets.sources.buckets import in_bucket, placed_in_bucket
from fashion_assets.sources.source import SourceError

CATALOGUE = "catalogue"
"""The kind of a location that states none: a file, a folder or a database, read by a mapping."""

CATALOGUES = (CATALOGUE, "folder")
"""Kinds that a mapping reads."""

LONGEST_NAME = 63
"""Characters of a name: with a batch's number it is the name of files and partitions."""

FROM_ENVIRONMENT = "env:"
"""Begins a location that stands in an environment variable, since it holds a password."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(?:-[a-z0-9_]+)*")
_BATCH = re.compile(r".*-[0-9]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERS_PASSWORD = re.compile(r"(?<=://)([^/?#:]*):[^/?#]*@")
_STATED_PASSWORD = re.compile(r"(?i)((?<=[?&])(?:password|passwd|pwd|sslpassword)=)[^&#]*")
_KIND = re.compile(r"([a-z][a-z0-9_-]*):(?!//)(.*)", re.DOTALL)


class Place(NamedTuple):
    """Where a source is: what opens it (`open_source`), and what that is pointed at."""

    kind: str
    location: str


def named(name: str) -> str:
    """A source's name, if it can be one. Raises SourceError."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise SourceError(
            f"{name!r} cannot name a source: lower-case letters, digits and underscores, a letter first, hyphens only "
            f"between them, {LONGEST_NAME} characters at the most."
        )
    if _BATCH.fullmatch(name):
        raise SourceError(
            f"{name!r} cannot name a source: batches are called so, the source with a hyphen and a number behind it. "
            f"{name.replace('-', '_')} would do."
        )
    return name


def placed(text: str) -> Place:
    """Where somebody says a source is: a path, a URL, `env:NAME` for a URL that stands in an environment variable, `sample:N`,
    or `KIND:LOCATION` for a reader that another package brings. Nothing is opened.

    Raises SourceError for what is none of these, and for a URL with a password: what is registered is kept and shown.
    """
    if not text.strip():
        raise SourceError("The location is empty. Give a file, a folder, a URL, or . for this folder.")
    if text.startswith(FROM_ENVIRONMENT):
        return Place(CATALOGUE, text)
    if local := _local(text):
        text = local
    elif text.startswith("jdbc:"):
        raise SourceError(
            "A location that begins with jdbc: is for Java's drivers. Name the database as postgresql://USER@HOST:PORT/DATABASE, and so for others."
        )
    elif _URL.match(text):
        if (clean := without_password(text)) != text:
            raise SourceError(
                f"The location {clean} holds a password, which would be kept and shown in the clear. Put the whole URL into an "
                f"environment variable of any name, and give that name: {FROM_ENVIRONMENT}SHOP_DATABASE_URL."
            )
        return Place(CATALOGUE, text)
    stated = _KIND.fullmatch(text)
    if stated and not os.path.exists(text):
        kind, text = stated.groups()
        if not text:
            raise SourceError(f"{kind}: names no source. Say where it is, behind the colon.")
        if kind not in CATALOGUES:
            return Place(kind, text)
    try:
        return Place(CATALOGUE, str(in_full(Path(text))))
    except ValueError as error:
        raise SourceError(str(error)) from None


def _local(text: str) -> str | None:
    """The path that a URL of this machine's files leads to, as browsers and file managers copy it; None of anything else."""
    found = re.match(r"file://(?:localhost)?(/[^?#]*)", text)
    return None if found is None else unquote(found[1])


def placed_pictures(said: str | os.PathLike[str]) -> str:
    """Where somebody says a source's pictures are: a folder, in full, or a place in a bucket. Nothing is opened. Raises SourceError."""
    text = os.fspath(said)
    text = _local(text) or text
    if in_bucket(text.strip()):
        return placed_in_bucket(text)
    try:
        return str(in_full(Path(text)))
    except ValueError as error:
        raise SourceError(str(error)) from None


def without_password(location: str) -> str:
    """A location as it may be printed: a URL with asterisks for its password, a path whatever its bytes."""
    if not _URL.match(location):
        return shown(location)
    return _STATED_PASSWORD.sub(r"\1***", _USERS_PASSWORD.sub(r"\1:***@", location))
