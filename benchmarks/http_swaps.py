"""The search API under load while a release swaps every second: no error, and no answer that mixes two releases.

Usage: python benchmarks/http_swaps.py WORK_FOLDER [--seconds N] [--callers N] [--workers N] [--listings N] [--pause N] [--seed N]

Two releases of a drawn catalogue, every title of one marked, one live and one to go back to. `fashion-assets serve` answers; so many callers ask
as its clients do, without a pause: words, filters with facets, pages to the last one, a picture, a product, what is
like it and what goes with it, images, the same again with the ETag of the answer before. Meanwhile the two releases
change places. An answer fails where its status is not 200 or 304, or where it does not come; it is of two releases where a title in it is not
as the release it names has titles, or a walk's page is of another release than the one before. Prints a table. Exit code 0 where
nothing failed and nothing was mixed.
"""

import argparse
import asyncio
import collections
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from around_swaps import MARK, WORDS
from own_server import free_port
from PIL import Image
from psycopg import sql
from swaps import command, prepared

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases

SECONDS = 20.0
"""An answer that takes longer does not come."""

PAGES = 12
"""Of one walk at the most."""

FILTERS = ("colour=black", "gender=women", "colour=red,blue", "gender=men,unisex", "year>=2012", "price<=50")


class Callers:
    """Clients of the API; what they were answered, and how long each answer took."""

    def __init__(self, address: str, catalogue: Path, marked: str, unmarked: set[str]):
        """`marked`: the release whose titles are; `unmarked`: titles that are as they were in both."""
        self._address, self._marked, self._unmarked = address, marked, unmarked
        self._pictures = [path for path in sorted((catalogue / "images").iterdir())[:80] if _is_sound(path)]
        self._seen: list[str] = []
        """Ids of products some answer had."""
        self.taken: dict[str, list[float]] = collections.defaultdict(list)
        self.failed: collections.Counter[str] = collections.Counter()
        self.mixed: collections.Counter[str] = collections.Counter()
        self.releases: collections.Counter[str] = collections.Counter()

    async def run(self, callers: int, until: Callable[[], bool], seed: int) -> None:
        limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
        async with httpx.AsyncClient(base_url=self._address, timeout=SECONDS, limits=limits) as client:
            await asyncio.gather(
                *(self._call(client, random.Random(seed + n), until) for n in range(callers))
            )

    async def _call(
        self, client: httpx.AsyncClient, chance: random.Random, until: Callable[[], bool]
    ) -> None:
        ways = (
            self._search,
            self._walk,
            self._product,
            self._around,
            self._picture,
            self._image,
        )
        while not until():
            await chance.choices(ways, (6, 2, 2, 2, 1, 1))[0](client, chance)

    async def _ask(
        self, kind: str, asked: Awaitable[httpx.Response], release: str | None = None
    ) -> dict[str, Any] | None:
        """The document that is answered, where there is one; `release`: that of the page before."""
        began = time.perf_counter()
        try:
            answer = await asked
        except httpx.HTTPError as error:
            self.failed[f"{kind}: {type(error).__name__}"] += 1
            return None
        self.taken[kind].append(time.perf_counter() - began)
        if answer.status_code not in (200, 304):
            self.failed[f"{kind}: {answer.status_code} {answer.text[:200]}"] += 1
            return None
        if answer.status_code == 304 or not answer.headers["content-type"].startswith("application/json"):
            return {}
        document = answer.json()
        self._look_at(kind, document, release)
        return {**document, "etag": answer.headers.get("etag")}

    def _look_at(self, kind: str, document: dict[str, Any], before: str | None) -> None:
        own = document["release"]
        self.releases[own] += 1
        marks = {title.endswith(MARK) for title in titles(document) if title not in self._unmarked}
        if not marks <= {own == self._marked} or own != (before or own):
            self.mixed[kind] += 1
        self._seen = [*self._seen[-200:], *(hit["id"] for hit in document.get("hits", ()))]

    def _question(self, chance: random.Random) -> dict[str, Any]:
        asked: dict[str, Any] = {"limit": chance.choice((5, 10, 24, 48))}
        if chance.random() < 0.8:
            asked["q"] = chance.choice(WORDS)
            asked["mode"] = chance.choice(("hybrid", "hybrid", "vector", "text"))
        if chance.random() < 0.6:
            asked["filter"] = chance.sample(FILTERS, chance.choice((1, 1, 2)))
        if chance.random() < 0.5:
            asked["facets"] = chance.choice(("usual", "colour", "brand"))
        return asked

    async def _search(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        asked = self._question(chance)
        found = await self._ask("search", client.get("/api/v1/search", params=asked))
        if found and found["etag"] and chance.random() < 0.3:
            headers = {"If-None-Match": found["etag"]}
            await self._ask("search again", client.get("/api/v1/search", params=asked, headers=headers))

    async def _walk(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        asked, release = self._question(chance), None
        for _ in range(PAGES):
            found = await self._ask("page", client.get("/api/v1/search", params=asked), release)
            if not found or found["next_page"] is None:
                return
            asked, release = {**asked, "page": found["next_page"]}, found["release"]
            await asyncio.sleep(chance.random() * 0.3)  # as people read: swaps come between

    async def _product(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if self._seen:
            await self._ask("product", client.get(f"/api/v1/products/{chance.choice(self._seen)}"))

    async def _around(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if self._seen:
            what = chance.choice(("similar", "look"))
            await self._ask(what, client.get(f"/api/v1/products/{chance.choice(self._seen)}/{what}"))

    async def _picture(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        picture = chance.choice(self._pictures).read_bytes()
        asked = {"q": chance.choice(("", "red", "for women")), "limit": "12"}
        await self._ask("picture", client.post("/api/v1/search", data=asked, files={"picture": picture}))

    async def _image(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if self._seen:
            size = chance.choice(("small", "medium", "large"))
            await self._ask(
                "image", client.get(f"/images/{chance.choice(self._seen)}", params={"size": size})
            )

    def table(self) -> Iterator[str]:
        yield f"{'asked':14} {'answers':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
        for kind, taken in sorted(self.taken.items()):
            ordered = sorted(1000 * each for each in taken)
            at = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
            yield f"{kind:14} {len(taken):>8,} " + " ".join(f"{each:>8.1f}" for each in at)
        for what, counted in (("failed", self.failed), ("of two releases", self.mixed)):
            yield f"{what}: {sum(counted.values())}"
            yield from (f"  {count} times: {said}" for said, count in counted.most_common(10))


def _is_sound(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def titles(document: dict[str, Any]) -> Iterator[str]:
    """Of all products in a document."""
    for each in (
        document,
        document.get("product") or {},
        *document.get("hits", ()),
        *(piece["product"] for piece in document.get("pieces", ())),
    ):
        if each.get("title"):
            yield each["title"]


def the_releases(settings: Settings) -> tuple[str, set[str]]:
    """The release whose titles are marked, and the titles in it that are not, of damaged lines."""
    with connect(settings) as conn:
        marked = max(releases.releases(conn), key=lambda each: each.number).release
        question = sql.SQL("SELECT title FROM {} WHERE title NOT LIKE %s").format(
            sql.Identifier(marked, "products")
        )
        return marked, {title for (title,) in conn.execute(question, (f"% {MARK}",))}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--listings", type=int, default=2000)
    parser.add_argument("--pause", type=float, default=1, help="seconds from one swap to the next")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    work = given.work.resolve()
    home, catalogue, port = work / "home", work / "catalogue", free_port()
    if not home.exists():
        prepared(home, catalogue, given.listings)
    settings = Settings(home=home, database_url=None)
    callers = Callers(f"http://127.0.0.1:{port}", catalogue, *the_releases(settings))
    serving = subprocess.Popen(
        [*command(home, "serve"), "--port", str(port), "--workers", str(given.workers)],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            if serving.poll() is not None or time.monotonic() > deadline:
                sys.exit("the API does not start")
            time.sleep(0.2)
        swaps = max(1, int(given.seconds / given.pause))
        swap = [sys.executable, str(Path(__file__).with_name("swaps.py")), "--swap", str(home)]
        swapping = subprocess.Popen([*swap, str(swaps), str(given.pause)], stdout=subprocess.DEVNULL)
        asyncio.run(callers.run(given.callers, lambda: swapping.poll() is not None, given.seed))
        if swapping.returncode:
            sys.exit("a swap failed")
    finally:
        serving.terminate()
        code = serving.wait(30)
    print(f"{swaps} swaps; answers of each release: {dict(callers.releases)}; the API ended with {code}")
    print("\n".join(callers.table()))
    return 1 if callers.failed or callers.mixed or len(callers.releases) < 2 else 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    sys.exit(main())
