"""What the commands share that break an installation on purpose: commands as people start them, and whether all is well after.

What belongs here: starting a command, judging what it said, and looking whether an installation is sound. What does not: the
faults themselves (`full_disk`, `kills`).
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import sql

from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.postgres import server
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn.shop import draw_catalogue
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.database import prepare

LINE = 1_000
"""Characters an error may have. A traceback has more lines than one, and more characters."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    seconds: float
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its last word."""
        lines = (self.err if self.code and self.err.strip() else self.out).strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def is_told(self) -> bool:
        """Whether it succeeded, or said what is wrong as a person can read it."""
        text = self.out + self.err
        if any(words in text for words in ("Traceback", "nobody foresaw", "sqlalche.me", "DETAIL:")):
            return False
        return self.code == 0 or any(
            line.startswith(("error ", "failed ", "refused ")) and len(line) < LINE
            for line in text.splitlines()
        )


def environment(**settings: object) -> dict[str, str]:
    """That of a command: nobody's settings but these."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((ENVIRONMENT_PREFIX, "DAGSTER_"))
    }
    settings = {"benchmark_seconds": 0, **settings}  # how fast a release is does not matter here
    given = {ENVIRONMENT_PREFIX + name.upper(): str(value) for name, value in settings.items()}
    return {**ours, "COLUMNS": "200", "NO_COLOR": "1", **given}


def command(home: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "fashion_assets", *map(str, arguments), "--home", str(home)]


def call(home: Path, *arguments: object, seconds: float = 600, **settings: object) -> Ended:
    """A command, to its end. One that hangs is killed, and has said nothing."""
    began = time.monotonic()
    try:
        ran = subprocess.run(
            command(home, *arguments),
            env=environment(**settings),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(-1, time.monotonic() - began, "", f"it hung for {seconds:.0f} s")
    return Ended(ran.returncode, time.monotonic() - began, ran.stdout, ran.stderr)


def catalogues(folder: Path, listings: int, count: int = 2) -> list[Path]:
    """So many drawn catalogues of the same pictures; their titles differ."""
    first = folder / "catalogue-1"
    if not first.exists():
        draw_catalogue(first, listings, 0, None)
    made = [first]
    for number in range(2, count + 1):
        other = folder / f"catalogue-{number}"
        if not other.exists():
            shutil.copytree(first, other, copy_function=os.link)
            lines = (other / "styles.csv").read_text("utf-8", errors="surrogateescape")
            (other / "styles.csv").unlink()
            changed = lines.replace(" Men ", f" Men No{number} ").replace(" Women ", f" Women No{number} ")
            (other / "styles.csv").write_text(changed, "utf-8", errors="surrogateescape")
        made.append(other)
    return made


def unsound(home: Path) -> str:
    """What is wrong with an installation; empty where all is well: the live release is the one readers see, in = out +
    quarantined, and every release has its tables and no other is there."""
    settings = Settings(home=home, database_url=None)
    wrong = []
    try:
        prepare(settings)
        with connect(settings) as conn:
            known = [
                each for each in releases.releases(conn) if each.state in ("live", "candidate", "retired")
            ]
            live = [each for each in known if each.state == "live"]
            if len(live) != 1:
                return f"{len(live)} releases are live"
            (products,) = conn.execute("SELECT count(*) FROM fashion_sota.products").fetchone() or (None,)
            (own,) = conn.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(live[0].release, "products"))
            ).fetchone() or (None,)
            (seen,) = conn.execute(
                "SELECT array_agg(DISTINCT table_schema::text) FROM information_schema.view_table_usage "
                "WHERE view_schema = 'fashion_sota' AND view_name = 'products'"
            ).fetchone() or (None,)
            schemas = {
                name
                for (name,) in conn.execute(
                    "SELECT nspname FROM pg_namespace WHERE nspname ~ '^fashion_sota_r'"
                )
            }
        if seen != [live[0].release]:
            wrong.append(f"{live[0].release} is live, and readers see {seen}")
        if not products or products != own or products != live[0].products:
            wrong.append(f"{products} products are seen, {own} are there, {live[0].products} are known")
        if live[0].listings != (live[0].products or 0) + (live[0].quarantined or 0):
            wrong.append(f"{live[0].listings} came in, {live[0].products} and {live[0].quarantined} came out")
        if missing := {each.release for each in known} - schemas:
            wrong.append(f"without tables: {', '.join(sorted(missing))}")
    finally:
        server.stop_embedded(settings)
    left = [path for pattern in ("*.tmp", "*.new-*") for path in home.rglob(pattern)]
    if left:
        wrong.append(f"left behind: {', '.join(str(path.relative_to(home)) for path in left[:3])}")
    return "; ".join(wrong)


@dataclass
class Trials:
    """Rows of what was tried, printed as they come, and how many broke."""

    broken: list[str] = field(default_factory=list)

    def tell(self, what: str, outcome: str, wrong: str = "") -> None:
        """One row; `wrong` says what is not as it should be."""
        if wrong:
            self.broken.append(what)
        print(
            f"{'BROKEN' if wrong else 'ok':7}{what:44} {outcome[:150]}{f'  << {wrong}' if wrong else ''}",
            flush=True,
        )

    def ended(self, what: str, ended: Ended, *, succeeds: bool | None, wrong: str = "") -> None:
        """A row of a command that must succeed, must fail, or (None) may do either; whatever it does, it tells."""
        if succeeds is not None and (ended.code == 0) != succeeds:
            wrong = f"it {'failed' if succeeds else 'succeeded'}; {wrong}".removesuffix("; ")
        if not ended.is_told:
            wrong = f"no line says what is wrong: {(ended.out + ended.err)[-2000:]}; {wrong}".removesuffix(
                "; "
            )
        self.tell(what, f"exit {ended.code}, {ended.seconds:.1f} s: {ended.said}", wrong)

    def finish(self) -> int:
        """The exit code."""
        print(f"{len(self.broken)} broken: {', '.join(self.broken)}" if self.broken else "nothing broke")
        return 1 if self.broken else 0
