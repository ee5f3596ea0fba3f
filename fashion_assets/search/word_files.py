"""The files of words beside the search's modules.

What belongs here: reading one. What does not: what its words are for (`everyday`, `languages`, `purposes`, `spoken`).
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def read(name: str) -> Mapping[str, Mapping[str, str]]:
    """The tables of `NAME.toml`, as they stand there."""
    return tomllib.loads(resources.files("fashion_assets.search").joinpath(f"{name}.toml").read_text("utf-8"))
