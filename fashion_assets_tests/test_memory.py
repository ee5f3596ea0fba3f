"""Memory shared by count: never more than there is, whoever holds it, and nothing lost with who is killed."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from fashion_assets.machine import memory
from fashion_assets.memory import LEAST, PARTS, SHARE, UNCOUNTED, MemoryBudget
from fashion_assets.settings import Settings

SIZE = PARTS * UNCOUNTED

HOLDER = """
import sys
from pathlib import Path
from fashion_assets.memory import MemoryBudget
with MemoryBudget(int(sys.argv[1]), Path(sys.argv[2])).holding(int(sys.argv[3])):
    print("held", flush=True)
    sys.stdin.read()
"""


class Counted(MemoryBudget):
    """Counts what is held at one time."""

    now = most = 0
    counting = threading.Lock()

    @contextmanager
    def holding(self, needed: int):
        with super().holding(needed):
            with self.counting:
                self.now += needed
                self.most = max(self.most, self.now)
            yield
            with self.counting:
                self.now -= needed


@pytest.fixture(params=["own", "shared"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "locks" if request.param == "shared" else None


def test_no_more_is_held_than_there_is(folder: Path | None):
    budget = Counted(SIZE, folder)
    everyone = threading.Barrier(8)

    def hold(number: int) -> None:
        everyone.wait()
        for round in range(20):
            with budget.holding(SIZE // (2 + (number + round) % 5)):
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(8)))
    assert SIZE // 6 < budget.most <= SIZE and budget.now == 0


def test_who_needs_more_than_there_is_is_alone(folder: Path | None):
    budget = MemoryBudget(SIZE, folder)
    inside, leave, done = threading.Event(), threading.Event(), threading.Event()

    def large() -> None:
        with budget.holding(5 * SIZE):
            inside.set()
            leave.wait()

    def small() -> None:
        with budget.holding(UNCOUNTED):
            done.set()

    threads = [threading.Thread(target=large), threading.Thread(target=small)]
    threads[0].start()
    assert inside.wait(10)
    with budget.holding(UNCOUNTED - 1):  # of so little nobody asks
        threads[1].start()
        assert not done.wait(0.2)
    leave.set()
    assert done.wait(10)
    for thread in threads:
        thread.join()


def test_a_thread_that_has_room_does_not_wait_for_itself(folder: Path | None):
    budget = MemoryBudget(SIZE, folder)
    with budget.holding(SIZE), budget.holding(SIZE):
        pass
    with budget.holding(SIZE):
        pass


def test_processes_share_it_and_a_killed_one_leaves_nothing_taken(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(SIZE), str(tmp_path / "locks"), str(SIZE)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        budget, done = MemoryBudget(SIZE, tmp_path / "locks"), threading.Event()

        def hold() -> None:
            with budget.holding(UNCOUNTED):
                done.set()

        thread = threading.Thread(target=hold)
        thread.start()
        assert not done.wait(0.2)
        holder.kill()
        assert done.wait(10)
        thread.join()


def test_where_no_file_can_be_locked_a_process_counts_for_itself(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    budget = Counted(SIZE, tmp_path / "file" / "locks")

    def hold(_: int) -> None:
        with budget.holding(SIZE // 2 + 1):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(20)))
    assert budget.most == SIZE // 2 + 1


def test_an_installation_has_what_the_settings_say_or_a_share_of_the_machine(tmp_path: Path):
    said = Settings(home=tmp_path, decoding_memory=100 * 2**20)
    assert MemoryBudget.of(said).size == 100 * 2**20
    assert MemoryBudget.of(said) is MemoryBudget.of(said)
    assert MemoryBudget.of(Settings(home=tmp_path)).size == max(LEAST, memory() // SHARE)
    with MemoryBudget.of(said).holding(UNCOUNTED):
        assert (tmp_path / "decoding").stat().st_mode & 0o077 == 0


def test_a_container_s_limit_is_the_memory_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    limits = (tmp_path / "memory.max", tmp_path / "nowhere")
    monkeypatch.setattr("fashion_assets.machine.MEMORY_LIMITS", limits)
    whole = memory()
    limits[0].write_text("max\n")
    assert memory() == whole
    limits[0].write_text("1000000\n")
    assert memory() == 1_000_000
