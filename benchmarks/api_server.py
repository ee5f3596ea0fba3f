"""The search API of a home of its own in processes of its own, to be asked over HTTP.

What belongs here: the home, starting and ending the API, what it uses of the machine. What does not: what it is asked.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
from own_server import free_port
from swaps import command

from fashion_assets.settings import Settings

MANY = "1000000"
"""Requests a minute: how often a key may ask is another test's."""


class Server:
    """The API of an installation, in processes of its own."""

    def __init__(self, home: Path, workers: int = 1):
        self.port = free_port()
        environment = {**os.environ, "FASHION_ASSETS_API_REQUESTS_PER_MINUTE": MANY}
        asked = [*command(home, "serve"), "--port", str(self.port), "--workers", str(workers)]
        self.log = home.parent / "serve.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(asked, stdout=log, stderr=log, env=environment)
        self.wait_for("/readyz", 200)

    def wait_for(self, path: str, status: int) -> None:
        """Until a path is answered so. Ends the program where it is not."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10).status_code == status:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        self.end()
        sys.exit(f"{path} is not answered by {status}; see {self.log}")

    def used(self) -> tuple[int, int]:
        """Bytes of memory and open files of all its processes."""
        own = psutil.Process(self.process.pid)
        all_of_them = [own, *own.children(recursive=True)]
        served = [each for each in all_of_them if "postgres" not in each.name()]
        return sum(each.memory_info().rss for each in served), sum(each.num_fds() for each in served)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def prepared(work: Path) -> Settings:
    """Of a home below a folder, in which three drawn old systems are migrated if they were not before."""
    home = work / "home"
    if not home.exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(command(home, "run"), check=True, stdout=subprocess.DEVNULL)
    return Settings(home=home, database_url=None)
