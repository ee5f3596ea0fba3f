"""What judging gives: a verdict, and a criterion that knows how to reach one.

What belongs here: the two types and what may come out. What does not: any particular criterion.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from string import Formatter
from typing import Any, Generic, Literal, Self, TypeVar

from fashion_assets.origins import variable
from fashion_assets.settings import Settings
from fashion_assets.settings.thresholds import Thresholds

Subject = TypeVar("Subject")
Whole = TypeVar("Whole")

Outcome = Literal["pass", "fail", "accepted", "not applicable"]
"""An accepted one fails, and a person said that it may."""

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
    """What it was held against, as it was in force."""
    value: Any
    outcome: Outcome
    offenders: list[Any]
    reason: str
    set_by: list[str] = field(default_factory=list)
    """Environment variables that set the threshold."""
    remedy: str = ""
    """What to do, where it fails."""
    live: Any = None
    """The value the live release had when it was judged last, where that is worth a look beside this one."""

    @property
    def passed(self) -> bool:
        """Whether it stands in nobody's way: it holds, a person accepts that it does not, or there is nothing to judge."""
        return self.outcome != "fail"

    @property
    def must_be(self) -> str:
        """The threshold, and how to set it."""
        return must_be(self.threshold, self.set_by)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """A verdict that was kept, maybe by another version of the product, with more or fewer fields."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in kept.items() if name in known})


def _settings_in(text: str) -> list[str]:
    names = (name for _, name, _, _ in Formatter().parse(text) if name)
    return list(dict.fromkeys(names))


def in_force(text: str, settings: Thresholds) -> str:
    """A text with settings in it by their names (`at most {max_price_shift:g}`), as these settings have them."""
    return text.format(**{name: getattr(settings, name) for name in _settings_in(text)})


def must_be(threshold: str, set_by: list[str]) -> str:
    """A threshold, and how to set it, as people read it: `at most 0.05 (set by FASHION_ASSETS_MAX_PRICE_SHIFT)`."""
    return f"{threshold} (set by {', '.join(set_by)})" if set_by else threshold


@dataclass(frozen=True)
class Criterion(Generic[Subject]):
    """One thing that must hold. `measure` looks at the subject (a batch's tables, a candidate) and nothing else."""

    name: str
    """A claim in snake case; the asset check is called so."""
    requirement: str
    """Id of a requirement: A2, B5 … (`requirements.REQUIREMENTS`)"""
    claim: str
    """What holds, in words."""
    threshold: str
    """What the value must be; settings stand in it as `{min_brand_share:g}`, by their names."""
    asset: str
    """The asset whose check it is."""
    measure: Callable[[Subject], Finding]
    remedy: str = ""
    """What to do where it fails, for a person who has only read the claim."""
    beside_live: bool = False
    """Whether the live release's value is worth showing beside its own."""
    acceptable: bool = False
    """Whether a person may accept, by its name, that it does not hold: what it holds back may be meant."""

    @property
    def set_by(self) -> list[str]:
        """The environment variables of the settings in its threshold."""
        return [variable(name) for name in _settings_in(self.threshold)]

    def threshold_in(self, settings: Thresholds) -> str:
        """The threshold as these settings have it."""
        return in_force(self.threshold, settings)

    def must_be_in(self, settings: Thresholds) -> str:
        """The threshold as these settings have it, and how to set it."""
        return must_be(self.threshold_in(settings), self.set_by)

    def of(self, measure: "Callable[[Whole], Finding]") -> "Criterion[Whole]":
        """The same claim about something its subject is part of, measured so."""
        return replace(self, measure=measure)  # pyright: ignore[reportReturnType, reportArgumentType]

    def judge(
        self, subject: Subject, settings: Thresholds | None = None, accepted: Collection[str] = ()
    ) -> Verdict:
        """The verdict on the subject; a database error is raised, never turned into one. `settings` are those in force where
        the subject was measured, without them the environment's. `accepted`: names of criteria that a person lets fail; only
        an `acceptable` one heeds them."""
        finding = self.measure(subject)
        if finding.outcome == "fail" and self.acceptable and self.name in accepted:
            finding = replace(finding, outcome="accepted")
        return Verdict(
            self.name,
            self.requirement,
            self.claim,
            self.threshold_in(settings or Settings()),
            finding.value,
            finding.outcome,
            finding.offenders,
            finding.reason,
            self.set_by,
            self.remedy if finding.outcome == "fail" else "",
        )
