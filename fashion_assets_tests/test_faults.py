"""Short forms of the commands that break an installation on purpose; the whole ones are in `benchmarks/`."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fashion_assets import reserve
from fashion_assets.errors import DiskFull
from fashion_assets.file_locks import LockHeld, holder, lock, open_lock
from fashion_assets.places import CHECKOUT
from fashion_assets.postgres import server
from fashion_assets.settings import Settings


def harness(name: str, *arguments: object) -> None:
    assert CHECKOUT is not None
    command = [sys.executable, str(CHECKOUT / "benchmarks" / name), *map(str, arguments)]
    ours = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ran = subprocess.run(command, capture_output=True, text=True, env=ours, check=False)
    if ran.returncode == 2 and "can be mounted here" in ran.stdout:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "nothing broke" in ran.stdout


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an installation lies whose second run was killed, and which a further one has repaired."""
    work = tmp_path_factory.mktemp("faults")
    harness("kills.py", work, "--listings", 24, "--batches", 3, "--kills", 1, "--commands", "run")
    return work


def test_a_killed_run_is_repaired_by_the_next(repaired: Path):
    assert (repaired / "home" / "assets").is_dir()


def test_on_a_full_disk_one_can_look_and_go_back(repaired: Path):
    harness("full_disk.py", repaired, "--listings", 24, "--short", "--installed", repaired / "home")


def test_a_reserve_is_kept_used_and_kept_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = Settings(home=tmp_path)
    file = tmp_path / reserve.FILE
    reserve.require_room(settings)
    reserve.take(settings)
    assert file.stat().st_size == reserve.SIZE and file.stat().st_mode & 0o777 == 0o600
    inode = file.stat().st_ino
    reserve.let_go(settings)  # nobody needs it
    reserve.take(settings)
    assert file.stat().st_ino == inode
    # As it is where a disk is as full as can be.
    monkeypatch.setattr(reserve, "free_space", lambda path: 1_000_000)
    reserve.let_go(settings)
    assert not file.exists()
    reserve._take_again(file)
    assert file.stat().st_size == 1_000_000
    with pytest.raises(DiskFull, match=r"Free \d+ MB or more there"):
        reserve.require_room(settings)
    monkeypatch.undo()
    reserve.take(settings)
    assert file.stat().st_size == reserve.SIZE


def test_a_home_is_its_users_alone_and_so_are_its_locks(tmp_path: Path):
    before = os.umask(0o022)
    try:
        settings = Settings(home=tmp_path / "home", database_url=None)
        server.parameters(settings)
        server.stop_embedded(settings)
    finally:
        os.umask(before)
    # Root's server is another user's process, which passes through and sees nothing.
    allowed = 0o701 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(settings.home.stat().st_mode) == allowed
    for name in ("postgres.held", "postgres.starting"):
        path = settings.home / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o666)
        os.close(open_lock(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # What somebody made beforehand stays as it is.
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o770)
    shared.chmod(0o770)
    server._make_home(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o770


def test_a_lock_that_is_never_let_go_of_is_told_with_its_holder(tmp_path: Path):
    path = tmp_path / "lock"
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    code += "; time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        file = open_lock(path)
        if sys.platform == "linux":
            assert holder(path) is not None and f"process {other.pid} (" in (holder(path) or "")
            with pytest.raises(LockHeld, match=f"has been locked for 0 s by process {other.pid} "):
                lock(file, path, shared=True, seconds=0)
        threading.Timer(0.2, other.kill).start()
        lock(file, path, shared=True, seconds=60)
        os.close(file)
    finally:
        other.kill()
        other.wait()
    assert holder(path) is None
