"""What judging gives: a verdict, and a criterion that knows how to reach one.

What belongs here: the two types and the threefold outcome. What does not: any particular criterion.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar

Subject = TypeVar("Subject")
Whole = TypeVar("Whole")

Outcome = Literal["pass", "fail", "not applicable"]

OFFENDERS_SHOWN = 10
"""Offenders a verdict names; enough to start looking, few enough to read."""


@dataclass(frozen=True)
class Finding:
    """What a criterion's function measured: the value, whether it holds, who offends, and why it was not judged."""

    value: Any
    outcome: Outcome
    offenders: list[Any] = field(default_factory=list)
    reason: str = ""


def holds(condition: bool, value: Any, offenders: list[Any] | None = None, reason: str = "") -> Finding:
    """A finding that passes where the condition is true."""
    return Finding(value, "pass" if condition else "fail", (offenders or [])[:OFFENDERS_SHOWN], reason)


def not_applicable(reason: str) -> Finding:
    """A finding where there is nothing to judge; the reason is shown, so that it is never a silent pass."""
    return Finding(None, "not applicable", reason=reason)


@dataclass(frozen=True)
class Verdict:
    """One criterion's outcome: JSON-friendly, kept with the release and shown in checks, report and command line."""

    name: str
    requirement: str
    claim: str
    threshold: str
    value: Any
    outcome: Outcome
    offenders: list[Any]
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it stands in nobody's way: it holds, or there is nothing to judge."""
        return self.outcome != "fail"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Criterion(Generic[Subject]):
    """One thing that must hold. `measure` looks at the subject (a batch's tables, a candidate) and nothing else."""

    name: str
    """A claim in snake case; the asset check is called so."""
    requirement: str
    """Id in the requirements: A2, B5 …"""
    claim: str
    threshold: str
    asset: str
    """The asset whose check it is."""
    measure: Callable[[Subject], Finding]

    def of(self, measure: "Callable[[Whole], Finding]") -> "Criterion[Whole]":
        """The same claim about something its subject is part of, measured so."""
        return Criterion(self.name, self.requirement, self.claim, self.threshold, self.asset, measure)

    def judge(self, subject: Subject) -> Verdict:
        """The verdict on the subject; a database error is raised, never turned into one."""
        finding = self.measure(subject)
        return Verdict(
            self.name,
            self.requirement,
            self.claim,
            self.threshold,
            finding.value,
            finding.outcome,
            finding.offenders,
            finding.reason,
        )
