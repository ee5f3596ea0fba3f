"""Pictures of products, made as small as they are shown.

What belongs here: finding a product's picture, making it small, keeping what was made. What does not: decoding (`catalog.pictures`),
pictures that are sent to search by (`asked`).

What is given out is always made here: a file that only looks like a picture is never passed on, nor what cameras write beside the pixels.
"""

import asyncio
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from io import BytesIO
from pathlib import Path as File
from threading import Lock
from typing import Annotated, Any, Literal, get_args

import psycopg
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.routing import APIRoute
from PIL import Image

from fashion_assets.catalog.pictures import Limits, PictureError, opened
from fashion_assets.machine import usable_cores
from fashion_assets.release.roots import opened as source_of
from fashion_assets.search.kept import Cache
from fashion_assets.search.query import Hit
from fashion_assets.serving.api.access import Caller, Searcher, caller_of
from fashion_assets.serving.api.answers import has
from fashion_assets.serving.api.asked import PRODUCT_LENGTH
from fashion_assets.serving.api.problems import not_found
from fashion_assets.serving.api.products import known
from fashion_assets.serving.api.served import Served, ServedHere
from fashion_assets.settings import Settings
from fashion_assets.sources.source import SourceError
from fashion_assets.warehouse.sources import sources

router = APIRouter(tags=["pictures"])

Size = Literal["small", "medium", "large"]

EDGES: dict[str, int] = {"small": 240, "medium": 640, "large": 1600}
"""Pixels that neither edge is longer than. No picture is made larger than it is."""

QUALITY = 86

KEPT = 64 * 2**20
"""Bytes of pictures that a process keeps; a small one has some 10 KB."""

FRESH_SECONDS = 300
"""So long a browser need not ask again: a picture may change with the next sync."""

LOOKED_SECONDS = 30.0
"""So long neither the database nor the disk is asked again where a product's picture is: a page asks for two dozen of those it has just found."""

LOOKED = 4_096
"""Products of which that is known."""


class _Direct(APIRoute):
    """The route of pictures: what is asked as a page asks it is read without FastAPI, as searches are; anything else as every other route has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI has it."""
        described = super().get_route_handler()

        async def handle(request: Request) -> Response:
            id, asked = request.path_params["id"], request.query_params.multi_items()
            size = next((each for each in get_args(Size) if asked == [("size", each)]), None)
            if size is None or len(id) > PRODUCT_LENGTH:
                return await described(request)
            who = await caller_of(request, ["search"])
            return await image(request, id, who, request.app.state.served, size)

        return handle


async def image(
    request: Request,
    id: Annotated[str, Path(min_length=1, max_length=PRODUCT_LENGTH, description="The product's id.")],
    caller: Searcher,
    here: ServedHere,
    size: Annotated[Size, Query(description="How large, at the most: 240, 640 or 1600 pixels.")] = "medium",
) -> Response:
    """The picture of a product."""
    pictures = of(request)
    place, tags = await pictures.looked(id, caller)
    if place is None:
        raise not_found(f"the product {id[:80]!r} has no picture that can be shown")
    tag = tags[size]
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={FRESH_SECONDS}"}
    if has(request, tag):
        return Response(status_code=304, headers=headers)
    try:
        made = await pictures.made(place, size, tag)
    except PictureError as error:
        raise not_found(f"the picture of the product {id[:80]!r} cannot be shown: {error}") from None
    return Response(made, headers=headers, media_type="image/jpeg")


def of(request: Request) -> "Pictures":
    """The pictures of the application that was asked."""
    return request.app.state.pictures


router.add_api_route(
    "/images/{id}",
    image,
    methods=["GET"],
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The picture, as a JPEG."},
        304: {"description": "As it was."},
        404: {"description": "There is no such product, or it has no picture that can be shown."},
    },
    route_class_override=_Direct,
)


Looked = tuple[str | None, Mapping[str, str]]
"""Where a picture really lies, None where there is none that may be shown; and by size what tells it from what lies there another time."""


def tags_of(place: str) -> Mapping[str, str]:
    """By size, what tells a picture from what lies there another time."""
    try:
        status = os.stat(place)
    except OSError:
        return dict.fromkeys(EDGES, '""')

    def tag(size: str) -> str:
        about = f"{place}\0{status.st_size}\0{status.st_mtime_ns}\0{size}\0{QUALITY}"
        return f'"{hashlib.blake2b(about.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()}"'

    return {size: tag(size) for size in EDGES}


class Pictures:
    """The pictures of one process: in which folders they may lie, and those that were made of them."""

    def __init__(self, here: Served):
        self._here = here
        self._limits = Limits.from_settings(here.settings)
        self._kept = _Kept(KEPT)
        self._folders: tuple[str, ...] = ()
        self._found: Cache[tuple[float, str | None]] = Cache(LOOKED)
        self._looked: Cache[tuple[float, Looked]] = Cache(LOOKED)
        # As many as there are cores: searches go on meanwhile.
        self._at_once = asyncio.Semaphore(usable_cores())

    def note(self, hits: Iterable[Hit]) -> None:
        """Whoever found these, and may see every product of what is served, asks for their pictures next."""
        now = time.monotonic()
        for hit in hits:
            self._found.put(hit.product_id, (now, hit.image_path))

    async def looked(self, id: str, caller: Caller) -> Looked:
        """Where the picture of a product lies, `LOOKED_SECONDS` ago at most. Raises a `Problem` where the caller may see no such product."""
        since = time.monotonic() - LOOKED_SECONDS
        found = None if caller.within else self._found.peek(id)
        if found is None or found[0] < since:
            now, product = time.monotonic(), await known(self._here, caller, id)
            found = now, product.hit.image_path
            if not caller.within:
                self._found.put(id, found)
        path = found[1]
        if path is None:
            return None, {}
        looked = self._looked.peek(path)
        if looked is None or looked[0] < since:
            now, place = time.monotonic(), await self.place(path)
            tags = {} if place is None else await asyncio.to_thread(tags_of, place)
            looked = now, (place, tags)
            self._looked.put(path, looked)
        return looked[1]

    async def place(self, path: str | None) -> str | None:
        """Where a picture really lies; None where there is none, or it is in no folder of a source."""
        if path is None:
            return None
        real = await asyncio.to_thread(os.path.realpath, path)
        if not _is_in(real, self._folders):
            # Another source may have come, or one may be elsewhere by now.
            self._folders = await self._here.registered(lambda conn: folders(conn, self._here.settings))
        return real if _is_in(real, self._folders) else None

    async def made(self, place: str, size: str, tag: str) -> bytes:
        """A picture at a size, as a JPEG. Raises `PictureError`."""
        kept = self._kept.get(tag)
        if kept is None:
            async with self._at_once:
                kept = await asyncio.to_thread(smaller, place, EDGES[size], self._limits)
            self._kept.put(tag, kept)
        return kept


def smaller(place: str, edge: int, limits: Limits) -> bytes:
    """A picture's file as a JPEG of which neither edge is longer. Raises `PictureError`."""
    with opened(place, limits) as file:
        width, height = file.size
        # A JPEG is decoded at a half, a quarter or an eighth, as long as enough is left.
        hint = min(width, height) * edge // max(width, height, 1)
        with file.pixels(max(1, hint)) as pixels:
            picture = Image.fromarray(pixels)
            picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
            stream = BytesIO()
            picture.save(stream, "JPEG", quality=QUALITY)
            return stream.getvalue()


def folders(connection: psycopg.Connection, settings: Settings) -> tuple[str, ...]:
    """The folders that pictures may lie in: those of the registered sources, and that of fetched ones. Links are resolved."""
    found = [str(settings.picture_cache)]
    for record in sources(connection):
        try:
            found += filter(None, source_of(record, settings).picture_folders)
        except SourceError:
            continue  # of a kind there is no reader for: its pictures are not shown
    return tuple(dict.fromkeys(os.path.realpath(each) for each in found))


def _is_in(place: str, folders: Iterable[str]) -> bool:
    return any(File(place).is_relative_to(folder) for folder in folders)


class _Kept:
    """The pictures used last, up to so many bytes. May be used from several threads."""

    def __init__(self, most: int):
        self._most = most
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, tag: str) -> bytes | None:
        with self._lock:
            found = self._pictures.get(tag)
            if found is not None:
                self._pictures.move_to_end(tag)
            return found

    def put(self, tag: str, picture: bytes) -> None:
        if len(picture) > self._most // 8:
            return
        with self._lock:
            self._bytes += len(picture) - len(self._pictures.pop(tag, b""))
            self._pictures[tag] = picture
            while self._bytes > self._most:
                self._bytes -= len(self._pictures.popitem(last=False)[1])
