"""HTML pages: how their templates are filled.

What belongs here: the environment all templates share, and what a page that is opened from a file may do. What does not:
the pages themselves (`templates`).
"""

from types import CodeType
from typing import Any

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from fashion_assets.characters import visible

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""What a page may load and do, as its `Content-Security-Policy`: nothing but show its own pictures. Pages quote listings."""


class _Compiled(BytecodeCache):
    """Templates are compiled once in a process, in a tenth of a second and more each."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def environment(package: str) -> Environment:
    """Templates of a package: what is put into them is text, not markup, and none of its characters does anything."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_COMPILED,
    )
    made.globals["policy"] = POLICY
    return made


def _finalized(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
