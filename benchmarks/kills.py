"""SIGKILL at random instants of a run, a promotion, a rollback and a retirement; and what is there afterwards.

Usage: python benchmarks/kills.py WORK_FOLDER [--listings N] [--batches N] [--kills N] [--seed N]

So many kills for each command: of the command, all it started and, every second time, the Postgres in its home. After each the
live release answers: a search finds something, and readers see what the register says is live. The run after a killed run
repairs everything: in = out + quarantined, each release with its tables, nothing left behind. `kill_and_resume.py` compares
what such a run ends with, row for row. Prints a table. Exit code 0 where nothing broke.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
from faults import Trials, call, catalogues, command, environment, unsound
from kill_and_resume import kill_tree
from processes import tree


def killed(home: Path, *arguments: object, after: float, server_too: bool, batch: int) -> str:
    """A command that is killed after so many seconds; what became of it."""
    process = subprocess.Popen(
        command(home, *arguments),
        env=environment(batch_size=batch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    ended = process.poll()
    if server_too:
        kill_tree(process, home)
    else:
        kill_command(process)
    return (
        f"killed after {after:.1f} s"
        + (" with its server" if server_too else "")
        + ("" if ended is None else f", it had ended with {ended}")
    )


def kill_command(process: subprocess.Popen) -> None:
    """SIGKILL to a command and all it started but the server, which is nobody's child."""
    if process.poll() is None:
        for victim in tree(psutil.Process(process.pid), Path("/no home")):
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
    process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--listings", type=int, default=600)
    parser.add_argument("--batches", type=int, default=6, help="of each catalogue")
    parser.add_argument("--kills", type=int, default=5, help="of each command")
    parser.add_argument(
        "--commands", default="run,promote,rollback,retire", help="those of these that are killed"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work, chance, trials = given.work.resolve(), random.Random(given.seed), Trials()
    work.mkdir(parents=True, exist_ok=True)
    first, second = catalogues(work, given.listings)
    home, batch = work / "home", max(1, given.listings // given.batches)
    whole = call(home, "run", "--catalog", first, batch_size=batch)
    trials.ended("a run", whole, succeeds=True, wrong=unsound(home))

    def alive(what: str, how: str) -> None:
        found = call(home, "search", "shirt")
        trials.tell(
            what,
            how,
            "" if found.code == 0 and "nothing" not in found.out else f"a search fails: {found.said}",
        )

    chosen = set(given.commands.split(","))
    for number in range(given.kills if "run" in chosen else 0):
        catalogue = (second, first)[number % 2]
        again, after = ("run", "--catalog", catalogue), chance.uniform(0.3, whole.seconds)
        alive(f"run {number + 1}", killed(home, *again, after=after, server_too=number % 2 == 0, batch=batch))
        ended = call(home, *again, batch_size=batch)
        trials.ended("  the next run", ended, succeeds=True, wrong=unsound(home))
    for number in range(given.kills if chosen - {"run"} else 0):
        # Two and a candidate: one to go back to, one to drop, one to go forward to.
        for catalogue, how in ((first, "--promote"), (second, "--promote"), (first, "--no-promote")):
            call(home, "run", "--catalog", catalogue, how, batch_size=batch)
        for what, longest in (("promote", 6), ("rollback", 1.5), ("retire", 1.5)):
            if what not in chosen:
                continue
            more = {"promote": ["--yes"], "rollback": [], "retire": [_retired(home), "--yes"]}[what]
            after = chance.uniform(0.2, longest)
            how = killed(home, what, *more, after=after, server_too=number % 2 == 0, batch=batch)
            alive(f"{what} {number + 1}", how)
            ended = call(home, "status")
            trials.ended("  status", ended, succeeds=True, wrong=unsound(home))
        ended = call(home, "run", "--catalog", second, batch_size=batch)
        trials.ended("  the next run", ended, succeeds=True, wrong=unsound(home))
    return trials.finish()


def _retired(home: Path) -> str:
    told = json.loads(call(home, "status", "--json").out)
    names = [each["release"] for each in told["releases"] if each["state"] == "retired"]
    return names[-1] if names else "fashion_sota_r0000"


if __name__ == "__main__":
    sys.exit(main())
