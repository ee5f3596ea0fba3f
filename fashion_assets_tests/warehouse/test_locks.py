"""One run at a time, on one installation and on one database, and it is said whose."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fashion_assets.postgres.connections import Connection, connect
from fashion_assets.postgres.errors import ServerGone
from fashion_assets.settings import Settings
from fashion_assets.warehouse import locks
from fashion_assets.warehouse.locks import Busy, lock_changes, lock_swaps, run_lock


def test_a_second_run_is_told_who_is_at_it(settings: Settings):
    with (
        run_lock(settings, "the first"),
        pytest.raises(Busy, match=rf"the first, process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d"),
        run_lock(settings, "the second", wait=0),
    ):
        pass
    with run_lock(settings, "the third", wait=0):
        pass


def test_two_homes_on_one_database_run_one_after_the_other(settings: Settings, tmp_path):
    other = settings.model_copy(update={"home": tmp_path / "other"})
    with (
        run_lock(settings, "the first"),
        pytest.raises(Busy, match=rf"the first, process {os.getpid()} on .* \(server process \d+, role"),
        run_lock(other, "the second", wait=0),
    ):
        pass


def test_two_databases_in_one_home_run_one_after_the_other(settings: Settings, server_settings: Settings):
    other = settings.model_copy(update={"database_url": None, "home": settings.home})
    with (
        run_lock(settings, "the first"),
        pytest.raises(Busy, match="the first, process"),
        run_lock(other, "the second", wait=0),
    ):
        pass


def test_batches_run_beside_each_other_and_not_beside_a_release(settings: Settings):
    with (
        run_lock(settings, "one batch", shared=True),
        run_lock(settings, "another", shared=True, wait=0),
        pytest.raises(Busy, match=r"one batch|another"),
        run_lock(settings, "a release", wait=0),
    ):
        pass
    with (
        run_lock(settings, "a release", wait=0),
        pytest.raises(Busy, match="a release"),
        run_lock(settings, "a batch", shared=True, wait=0),
    ):
        pass


def test_who_waits_says_so_once_and_goes_on_when_the_other_ends(settings: Settings):
    told: list[str] = []
    may_end, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with run_lock(settings, "the first"):
            began.set()
            may_end.wait(30)

    began = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    began.wait(30)

    def tell(said: str) -> None:
        told.append(said)
        waiting.set()

    def end() -> None:
        waiting.wait(30)
        may_end.set()

    ending = threading.Thread(target=end)
    ending.start()
    with run_lock(settings, "the second", told=tell):
        pass
    thread.join()
    ending.join()
    assert len(told) == 1 and "another run is at it: the first, process" in told[0]


def test_a_killed_run_leaves_no_lock(settings: Settings):
    script = (
        "import sys, time\n"
        "from fashion_assets.settings import Settings\n"
        "from fashion_assets.warehouse.locks import run_lock\n"
        "with run_lock(Settings(), 'doomed'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    doomed = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert doomed.stdout is not None and doomed.stdout.readline() == "held\n"
    with pytest.raises(Busy, match="doomed"), run_lock(settings, "next", wait=0):
        pass
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    with run_lock(settings, "next", wait=30):
        pass


def test_a_run_notices_that_its_lock_was_lost(settings: Settings, database: Connection):
    with run_lock(settings, "cut off") as lock:
        lock.check()
        database.execute("SELECT pg_terminate_backend(%s)", (lock.conn.info.backend_pid,))
        with pytest.raises(ServerGone, match="kept other runs away"):
            lock.check()


def test_a_run_that_looks_after_its_lock_holds_no_snapshot(settings: Settings, database: Connection):
    with run_lock(settings, "run") as turn:
        for _ in range(10):  # psycopg prepares what is asked for the sixth time
            turn.check()
        held = database.execute(
            "SELECT backend_xmin FROM pg_stat_activity WHERE application_name LIKE 'fashion-assets run%'"
        ).fetchall()
    assert held == [(None,)]


def test_two_that_wait_for_each_other_are_told_so(settings: Settings):
    """Asked for again and again within one transaction, it would never be had: the other one waits for what that has."""
    with connect(settings) as one, connect(settings) as other, ThreadPoolExecutor(1) as pool:
        one.execute("LOCK TABLE fashion_ops.sources")
        one.execute("SET deadlock_timeout = '20ms'")
        lock_changes(other)
        waiting = pool.submit(other.execute, "LOCK TABLE fashion_ops.sources")
        with pytest.raises(Busy, match="is at it: fashion-assets"):
            lock_swaps(one)
        one.rollback()
        waiting.result()


def test_a_wait_is_as_long_as_before_behind_one_that_had_an_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    with connect(settings) as conn, connect(settings) as other:
        conn.execute("SET lock_timeout = '7s'")
        lock_changes(conn)
        assert conn.execute("SHOW lock_timeout").fetchone() == ("7s",)
        monkeypatch.setattr(locks, "STILL_WRITTEN_MS", 10)
        other.execute("SET lock_timeout = '8s'")
        with pytest.raises(Busy):
            lock_changes(other)
        assert other.execute("SHOW lock_timeout").fetchone() == ("8s",)
