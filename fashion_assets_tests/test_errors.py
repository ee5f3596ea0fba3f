"""Errors end in one line: what, where, what to do; those nobody foresaw keep their traceback in a file."""

import errno
import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from fashion_assets import cli, errors, failure
from fashion_assets.errors import (
    DiskFull,
    FashionAssetsError,
    HomeUnusable,
    MemoryShort,
    PlaceUnusable,
    SystemFault,
    amount,
    disk_full,
    explain_system,
    explain_system_text,
)
from fashion_assets.failure import KEPT, Reason, told, told_of_texts, unforeseen
from fashion_assets.postgres.connections import connect
from fashion_assets.postgres.errors import ServerGone, explained
from fashion_assets.release import status
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError


def raised(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def write_to_a_full_device() -> None:
    with open("/dev/full", "w") as file:
        file.write("x")


def mkdir_under_a_file() -> None:
    Path("file").write_text("")
    Path("file/folder").mkdir()


@pytest.mark.parametrize(
    ("work", "kind", "said"),
    [
        (lambda: Path("gone").read_text(), PlaceUnusable, r"No such file or directory: gone\. It was moved or deleted"),
        (lambda: Path().read_text(), PlaceUnusable, r"Is a directory: \.\. This is a folder"),
        (mkdir_under_a_file, PlaceUnusable, r"Not a directory: file/folder\. Part of this path is a file"),
        (lambda: Path("x" * 300).touch(), PlaceUnusable, r"File name too long: x+\. Choose a shorter path"),
        (write_to_a_full_device, DiskFull, r"No space left on device\. Free some space there, then run the same"),
        (lambda: bytearray(1 << 62), MemoryShort, r"There is not enough memory\. .*FASHION_ASSETS_BATCH_SIZE"),
        (lambda: __import__("no_such_package"), SystemFault, r"A package is missing or broken: No module named 'no_such"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], object],
    kind: type[FashionAssetsError],
    said: str,
):
    monkeypatch.chdir(tmp_path)
    error = raised(work)
    explained = explain_system(error, tmp_path)
    assert type(explained) is kind and re.match(said, str(explained)), explained
    assert "\n" not in str(explained) and str(explained).endswith(".")
    # The same where only texts are left, as of an error in another process.
    by_text = explain_system_text(type(error).__name__, str(error), tmp_path)
    assert type(by_text) is kind
    reason = told(error, Settings(home=tmp_path))
    assert reason is not None and reason == str(explained) and reason.shared == kind.shared


def test_where_no_semaphore_can_be_made_the_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(errors, "SHARED_MEMORY", str(tmp_path / "shm"))
    assert str(tmp_path / "shm") in str(explain_system(refused)) and "tmpfs" in str(explain_system(refused))
    (tmp_path / "shm").mkdir()
    assert "tmpfs" not in str(explain_system(refused))


def test_a_folder_that_is_gone_from_below_a_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    below = tmp_path / "gone"
    below.mkdir()
    monkeypatch.chdir(below)
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert "started in" not in str(explain_system(missing))
    below.rmdir()
    assert "The folder this was started in is gone" in str(explain_system(missing))


def test_limits_of_the_process_are_told():
    code = """if True:
        import os, resource, threading
        from fashion_assets.errors import explain_system
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        try:
            while True: os.open("/dev/null", os.O_RDONLY)
        except OSError as error:
            os.closerange(10, 20)
            print(explain_system(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with open("large", "wb", buffering=0) as file:
                while True: file.write(b"x" * 8)
        except OSError as error:
            print(explain_system(error))
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        threading.stack_size(2**29)
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            print(explain_system(error))
    """
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False
    )
    (folder / "large").unlink(missing_ok=True)
    files, size, thread = ran.stdout.splitlines()
    assert files == (
        "Too many files are open: this process may open 20. Raise that (ulimit -n 4096), then run the same command again: "
        "finished work is kept."
    )
    assert size.startswith("File too large. Files may not be so large here: raise that limit (ulimit -f)")
    assert thread.startswith("No thread can be started. ") and "ulimit -u" in thread


def test_what_is_of_the_home_says_how_to_choose_another(tmp_path: Path):
    for number in (errno.EROFS, errno.EACCES):
        error = OSError(number, os.strerror(number), str(tmp_path / "assets/x"))
        explained = explain_system(error, tmp_path)
        assert isinstance(explained, HomeUnusable) and explained.shared
        assert str(explained) == (
            f"{tmp_path} cannot be written ({os.strerror(number)}: {tmp_path}/assets/x). Choose another with --home or "
            "FASHION_ASSETS_HOME."
        )
        elsewhere = explain_system(error, tmp_path / "other")
        assert isinstance(elsewhere, PlaceUnusable) and "Give " in str(elsewhere)


def test_amounts_are_readable(tmp_path: Path):
    assert [amount(size) for size in (0, 999, 1000, 34_567, 9_940_000, 12_000_000, 3.4e9, 5e15)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "35 kB", "9.9 MB", "12 MB", "3.4 GB", "5,000 TB")
    ]
    said = str(disk_full(tmp_path / "not/there/yet", missing=50_000_000))
    assert re.search(r"where .*yet is \([\d.,]+ \wB left\)\. Free 50 MB or more there", said), said


def test_the_first_reason_is_told_not_what_came_of_it(settings: Settings):
    def work() -> None:
        try:
            try:
                with connect(settings) as conn:
                    conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            except psycopg.Error as error:
                raise RuntimeError("the step failed") from error
        except RuntimeError as error:
            raise ValueError("the run failed") from error

    reason = told(raised(work), settings)
    assert reason is not None and reason.startswith("The database server went away (Postgres at ")
    assert reason.shared and "\n" not in reason and reason.endswith("finished work is kept.")

    def gone() -> None:
        with explained("there"):
            work()

    assert isinstance(raised(gone), ServerGone)

    def handled_and_then_another() -> None:
        try:
            Path("/nowhere/at/all").read_text()
        except OSError:
            raise KeyError("a fault of ours")  # noqa: B904

    # What was being handled is not the reason.
    assert told(raised(handled_and_then_another), settings) is None


def test_of_another_process_names_and_texts_are_enough(tmp_path: Path):
    settings = Settings(home=tmp_path)
    full = "OSError: [Errno 28] No space left on device: '/nowhere/x'"
    reason = told_of_texts(["dagster.DagsterExecutionStepExecutionError: Error occurred", full], settings)
    assert (
        reason is not None
        and reason.shared
        and reason.startswith("No space left on device where /nowhere/x is")
    )
    known = told_of_texts(
        ["RuntimeError: x", "fashion_assets.sources.source.SourceError: the folder is gone", full], settings
    )
    assert known == "the folder is gone"
    own = told_of_texts(["fashion_assets.postgres.copy.UncopyableValue: column title, row 3"], settings)
    assert own == "column title, row 3" and not own.shared
    gone = told_of_texts(["psycopg2.OperationalError: server closed the connection unexpectedly"], settings)
    assert (
        gone is not None
        and gone.shared
        and gone.startswith("The database server went away (embedded Postgres in ")
    )
    disk = told_of_texts(
        ['psycopg2.errors.DiskFull: could not extend file "x": No space left on device\nHINT: …'], settings
    )
    assert (
        disk is not None and disk.shared and disk.startswith(f"No space left on device where {tmp_path} is")
    )
    assert told_of_texts(["KeyError: 'x'"], settings) is None


def test_an_error_nobody_foresaw_is_a_line_and_a_file(tmp_path: Path):
    settings = Settings(home=tmp_path)
    error = raised(lambda: {}["postgresql://shop:s3cr3t@db/shop\nand more"])
    said = unforeseen(error, settings)
    (file,) = (tmp_path / failure.FOLDER).iterdir()
    assert said.startswith("An error that nobody foresaw: KeyError: ") and said.endswith(
        f"its traceback is in {file}"
    )
    assert "\n" not in said and "Traceback" in file.read_text() and "test_errors.py" in file.read_text()
    assert "s3cr3t" not in said + file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    for number in range(KEPT + 5):
        (file.parent / f"2001-01-01T00-00-{number:02}-1.txt").touch()
    unforeseen(error, settings)
    assert len(list(file.parent.iterdir())) == KEPT and file.exists()
    # Nothing is made where nothing is.
    assert "fashion-assets --debug" in unforeseen(error, Settings(home=tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_reason_travels_between_processes():
    import pickle

    reason = pickle.loads(pickle.dumps(Reason("the disk is full", shared=True)))
    assert reason == "the disk is full" and reason.shared


def test_every_command_ends_in_a_line(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    def fails(error: Exception) -> str:
        def gather(*_: object) -> None:
            raise error

        monkeypatch.setattr(status, "status", gather)
        result = CliRunner().invoke(cli.app, ["status"])
        assert result.exit_code == 1 and result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("error ")
        return line.removeprefix("error ")

    monkeypatch.setenv("COLUMNS", "1000")
    assert fails(SourceError("the folder is gone")) == "the folder is gone"
    assert fails(OSError(errno.ENOSPC, "No space left on device", str(settings.home))).startswith(
        "No space left"
    )
    assert "An error that nobody foresaw: ZeroDivisionError" in fails(ZeroDivisionError("division by zero"))
    monkeypatch.setenv("FASHION_ASSETS_DEBUG", "1")
    shown = io.StringIO()
    monkeypatch.setattr(traceback, "print_exception", lambda error: shown.write(repr(error)))
    assert "An error" in fails(ZeroDivisionError()) and "ZeroDivisionError" in shown.getvalue()


def test_a_mistyped_option_and_a_reader_that_has_enough_are_no_errors():
    assert CliRunner().invoke(cli.app, ["status", "--nothing"]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["--debug", "--version"]).stdout.startswith("fashion-assets ")
