"""What is done and what goes wrong meanwhile, drawn from a seed: the same seed gives the same schedule, on every machine.

What belongs here: drawing. What does not: doing any of it (`replay`).
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Action = Literal[
    "run",
    "build",
    "sync",
    "watch",
    "promote",
    "rollback",
    "retire",
    "reindex",
    "count",
    "vacuum",
    "backfill",
    "unfill",
    "search",
]
"""run: a changed catalogue becomes a release that goes live; build: one that waits; sync: it is brought into the live one; watch: and the next one, too, as
its files change. count: values are counted anew; vacuum: replaced rows are freed, as upkeep does. unfill: a backfill undone."""

Kind = Literal[
    "none",
    "kill",
    "cut",
    "lost",
    "server",
    "recovering",
    "full",
    "stall",
    "timeout",
    "clock",
    "twice",
    "beside",
    "elsewhere",
    "away",
    "restart",
]
"""kill: SIGKILL of the step's processes. cut: its connection ends. lost: a commit is carried out, and its answer never comes. server:
SIGKILL of the server. recovering: and once more while it recovers. full: its disk, and the home's, is full. stall: the server stands still for a moment, as on a disk that hangs.
timeout: the statement is cancelled. clock: the server's jumps. twice: the step is done twice at once on one home. beside: another
one at once. elsewhere: from another home at once on the same database. Of a source that is a table: away: the connection to it ends. restart: its server
is killed, and starts again."""

Origin = Literal["folder", "table"]
"""What the source is: files that are replaced, or a table of another PostgreSQL server, which people write to while it is watched."""

OF_TABLES: tuple[Kind, ...] = ("away", "restart")
"""Faults of a source that is a table: they strike at a statement sent to it."""

KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in OF_TABLES)
"""Faults whatever the source is."""

TOGETHER: tuple[Kind, ...] = ("twice", "beside", "elsewhere")
"""Faults that are two steps at once, and strike at no statement."""

WEIGHTS: dict[Action, int] = {
    "run": 5,
    "build": 2,
    "sync": 5,
    "watch": 2,
    "promote": 2,
    "rollback": 3,
    "retire": 1,
    "reindex": 1,
    "count": 1,
    "vacuum": 1,
    "backfill": 1,
    "unfill": 1,
    "search": 1,
}

WATCHED_MORE = 6
"""So much more often is a table watched."""

READING = ("run", "build", "sync", "watch")
"""Actions that read a catalogue."""

CATALOGUES = 6
"""Catalogues that steps choose from; `replay` has one more, which repairs."""

STATEMENTS: dict[Action, int] = {
    "run": 330,
    "build": 230,
    "sync": 200,
    "watch": 850,
    "promote": 120,
    "rollback": 22,
    "retire": 12,
    "reindex": 30,
    "count": 68,
    "vacuum": 32,
    "backfill": 60,
    "unfill": 50,
    "search": 40,
}
"""Statements a step sends, about, if nothing goes wrong: a fault strikes before any of them."""

COMMITS: dict[Action, int] = {
    "run": 40,
    "build": 30,
    "sync": 10,
    "watch": 20,
    "promote": 5,
    "rollback": 3,
    "retire": 3,
}
"""Transactions a step ends, about."""

ASKED: dict[Action, int] = {"run": 12, "build": 12, "sync": 8, "watch": 60}
"""Statements a step sends to a table that is its source, about."""

JUMPS = (-86_400, -600, 600, 30 * 86_400)
"""Seconds by which a clock jumps."""


class Fault(NamedTuple):
    """What goes wrong in a step, and when."""

    kind: Kind
    at: int = 0
    """Before which of the step's statements, from 1; of `lost`: at which of its commits."""
    seconds: int = 0
    """By which a clock jumps."""
    other: Action | None = None
    """What is done beside the step, of the same catalogue."""

    def __str__(self) -> str:
        if self.kind == "none":
            return "no fault"
        beside = {"twice": "", "elsewhere": "", "beside": f" {self.other}"}
        where = {**beside, "lost": f" at commit {self.at}"}.get(self.kind, f" before statement {self.at}")
        return f"{self.kind}{where}" + (f", {self.seconds:+} s" if self.seconds else "")


class Step(NamedTuple):
    """One thing that is done."""

    action: Action
    catalogue: int
    """Which catalogue it reads, if any."""
    fault: Fault

    def __str__(self) -> str:
        what = f"{self.action} of catalogue {self.catalogue}" if self.action in READING else self.action
        return f"{what}, {self.fault}"


@dataclass(frozen=True)
class Schedule:
    """Steps, one after another."""

    seed: int
    steps: Sequence[Step]
    notifies: bool = False
    """Whether a table tells of its changes."""


def draw(seed: int, kinds: Collection[Kind] = KINDS, length: int = 0, origin: Origin = "folder") -> Schedule:
    """The schedule of a seed, another one for each origin: two to five steps, or `length`. `kinds`: the faults that can be had here; another
    one is left out of the schedule, which is otherwise the same."""
    weights: dict[Action, int]
    if origin == "folder":
        chance, weights, all_kinds, notifies = random.Random(seed), WEIGHTS, KINDS, False
    else:
        chance = random.Random(f"{origin}:{seed}")
        weights, all_kinds = WEIGHTS.copy(), (*KINDS, *OF_TABLES)
        weights["watch"] *= WATCHED_MORE
        notifies = chance.random() < 0.5
    drawn = chance.randint(2, 5)
    steps = []
    for _ in range(length or drawn):
        action = chance.choices(list(weights), list(weights.values()))[0]
        catalogue = chance.randrange(CATALOGUES)
        fault = _fault(chance, action, all_kinds)
        steps.append(Step(action, catalogue, fault if fault.kind in kinds else Fault("none")))
    return Schedule(seed, tuple(steps), notifies)


def _fault(chance: random.Random, action: Action, kinds: Sequence[Kind]) -> Fault:
    kind = chance.choice(kinds)
    where, jump = chance.random(), chance.choice(JUMPS)
    other = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    most = COMMITS.get(action, 2) if kind == "lost" else STATEMENTS[action]
    most = ASKED.get(action, 1) if kind in OF_TABLES else most
    at = 1 + int(where * most)
    at = 0 if kind in ("none", *TOGETHER) else at
    return Fault(kind, at, jump if kind == "clock" else 0, other if kind == "beside" else None)
