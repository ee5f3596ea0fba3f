"""What a check found, and how it is told.

What belongs here: the shape. What does not: any check.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["well", "note", "mend"]
"""well: as it should be. note: not so, and it mends itself, or nothing needs it. mend: a person is needed."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, in a word or two; several findings may be of one check."""
    state: State
    said: str
    """What was found, in a line."""
    remedy: str = ""
    """What to do about it; empty where all is well."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def well(check: str, said: str) -> Finding:
    return Finding(check, "well", said)


def note(check: str, said: str, remedy: str) -> Finding:
    return Finding(check, "note", said, remedy)


def mend(check: str, said: str, remedy: str) -> Finding:
    return Finding(check, "mend", said, remedy)


def needs_a_person(findings: Sequence[Finding]) -> bool:
    return any(each.state == "mend" for each in findings)
