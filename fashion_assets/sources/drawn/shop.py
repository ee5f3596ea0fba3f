"""The drawn shop: a catalogue of any size, with garments one can recognise and defects one knows of.

What belongs here: what the sample's listings say, which of them is spoiled and how, and writing all of it to a folder in
the public layout. What does not: how a garment looks (`pictures`), and reading the folder (`sources.mapped`).

Everything about listing *i* follows from the seed and *i* alone, so a catalogue of the same size, seed and
version has the same bytes wherever it is drawn (by the same version of Pillow).
"""

import csv
import io
import json
import math
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fashion_assets.sources.drawn.pictures import ARTICLES, COLOURS, PATTERNS, Garment, draw_garment
from fashion_assets.sources.source import SourceError

DRAWING_VERSION = "1"
"""Changes whenever the same size and seed would give other bytes."""

MANIFEST_FILE = "manifest.json"
FIRST_ID = 100_000

REJECTED_SHARES = {
    "image_missing": 0.012,
    "image_truncated": 0.008,
    "image_not_an_image": 0.006,
    "image_too_large": 0.004,
    "image_path_outside": 0.005,
    "null_external_id": 0.005,
    "null_title": 0.005,
    "null_gender": 0.005,
    "null_category": 0.005,
    "null_article_type": 0.005,
    "duplicate_id": 0.010,
    "price_absurd": 0.008,
    "unreadable_line": 0.006,
    "wrong_encoding": 0.006,
}
"""Share of the listings spoiled by each defect, 9 % together; at least one of each where the sample has
room."""

HARMLESS_SHARES = {"unquoted_comma": 0.010, "identical_picture": 0.010}
"""Share of the listings that look spoiled but are sound: they must become products."""

MAX_SPOILED = 0.25
"""Of a small sample at most this share is special, so that no batch of it stops the line."""

_NULLS = ("", "NA", "null", "N/A", "-", "None")
_ABSURD_PRICES = ("-5.00", "0", "99999999", "on request", "0.00", "1e12")
_OUTSIDE = (
    "../outside/{id}.jpg",
    "/etc/hostname",
    "images/../../{id}.jpg",
    "..\\outside\\{id}.jpg",
    "file:///etc/hostname",
)
_NO_IMAGES = (
    b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n",
    b"",
    b"placeholder\n",
)

HEADER = (
    "id",
    "gender",
    "masterCategory",
    "subCategory",
    "articleType",
    "baseColour",
    "season",
    "year",
    "usage",
    "productDisplayName",
    "brand",
    "price",
    "currency",
    "description",
    "image",
)

BRANDS = (
    "Northwind",
    "Alder & Finch",
    "Marlowe",
    "Saltbox",
    "Kestrel Row",
    "Ivy Lane",
    "Quillon",
    "Harbour Twelve",
    "Osprey Mills",
    "Tamsin Grey",
    "Brightwater",
    "Fennimore",
    "Casa Lindo",
    "Veldt",
    "Juniper Hall",
    "Pikestaff",
    "Oriel",
    "Sable & Thread",
    "Wrenfield",
    "Zephyrine",
)
"""Invented names; any likeness is chance."""


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@cache
def _bomb_body() -> bytes:
    """Compressed pixels of a black 20000 x 20000 picture, one bit each: 50 MB in 50 KB."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + 20_000 // 8)
    parts = [compressor.compress(row * 100) for _ in range(200)]
    return b"".join([*parts, compressor.flush()])


def _bomb(label: str) -> bytes:
    """A PNG that is small on the disk and declares 400 megapixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"Title\0" + label.encode())
        + chunk(b"IDAT", _bomb_body())
        + chunk(b"IEND", b"")
    )


@dataclass(frozen=True)
class Manifest:
    """What was drawn, and which listing is special: the contents of `manifest.json`.

    `defects` and `harmless` map each kind to `{"line": ..., "external_id": ...}` entries: the line in
    `styles.csv` (the header is line 1) and the id as a reader sees it, null where the line cannot be read or
    states none.
    """

    folder: Path
    size: int
    seed: int
    version: str
    shares: dict[str, float]
    defects: dict[str, list[dict]]
    harmless: dict[str, list[dict]]

    @property
    def rejected(self) -> int:
        """Listings that must be rejected; each has exactly one defect."""
        return sum(len(entries) for entries in self.defects.values())

    @property
    def products(self) -> int:
        """Listings that must become products."""
        return self.size - self.rejected

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read the manifest of a drawn catalogue. Raises SourceError if there is none or it cannot be
        read."""
        path = folder / MANIFEST_FILE
        try:
            data = json.loads(path.read_text("utf-8"))
            return cls(
                folder,
                data["size"],
                data["seed"],
                data["version"],
                data["shares"],
                data["defects"],
                data["harmless"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{path} is no manifest of a drawn catalogue ({error}). Draw it again."
            ) from error


def special_listings(size: int, seed: int) -> dict[int, str]:
    """Which listings are special, by position (0 is the first), and how; spread evenly over the file."""
    shares = REJECTED_SHARES | HARMLESS_SHARES
    room = int(size * MAX_SPOILED)
    # Round robin: where there is no room for all, every kind gets its first before any gets its second.
    wanted = sorted((n, kind) for kind, share in shares.items() for n in range(max(1, int(share * size))))
    order = {kind: position for position, kind in enumerate(shares)}
    counts: dict[str, int] = dict.fromkeys(shares, 0)
    for _, kind in sorted(wanted, key=lambda entry: (entry[0], order[entry[1]]))[:room]:
        counts[kind] += 1
    chance = random.Random(f"{seed}:special")
    queue = sorted(
        ((n + chance.random()) / count, kind) for kind, count in counts.items() for n in range(count)
    )
    return {int((n + 0.5) * size / len(queue)): kind for n, (_, kind) in enumerate(queue)}


def draw_catalogue(
    folder: Path, size: int, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Manifest:
    """Draw a catalogue of `size` listings into `folder`; a complete one of the same size, seed and version
    stays.

    It is drawn beside its place and moved there at the end, so `folder` is complete or not there. `progress`
    is told listings done and their total. Raises SourceError if `folder` holds something else, or cannot be
    written.
    """
    if size < 1:
        raise SourceError(f"A sample needs at least one listing, not {size}.")
    folder = Path(folder)
    if folder.exists():
        present = _present(folder)
        if present is not None and (present.size, present.seed, present.version) == (
            size,
            seed,
            DRAWING_VERSION,
        ):
            return present
        if present is None and any(folder.iterdir()):
            raise SourceError(
                f"{folder} holds something that was not drawn here. Give an empty or a new folder."
            )
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.drawing")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        (temporary / "images").mkdir(parents=True)
        _write_catalogue(temporary, size, seed, progress)
        if folder.exists():
            shutil.rmtree(folder)
        try:
            temporary.rename(folder)
        except OSError:
            if _present(folder) is None:  # else another process drew the same at the same time
                raise
    except OSError as error:
        raise SourceError(
            f"The sample cannot be drawn into {folder}: {error}. Give a folder that can be written."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Manifest.load(folder)


def _present(folder: Path) -> Manifest | None:
    try:
        return Manifest.load(folder)
    except SourceError:
        return None


class _Listing(NamedTuple):
    values: dict[str, str]  # by column
    garment: Garment


def _listing(position: int, seed: int) -> _Listing:
    """What the listing at a position would be if nothing were special about it."""
    chance = random.Random(f"{seed}:{position}")
    article = ARTICLES[chance.randrange(len(ARTICLES))]
    gender = chance.choice(article.genders)
    colour = chance.choice(list(COLOURS))
    plain = article.category != "Apparel" or article.article_type in ("Jeans", "Track Pants")
    pattern = "Solid" if chance.random() < (0.85 if plain else 0.4) else chance.choice(PATTERNS[1:])
    brand = chance.choice(BRANDS)
    usage = chance.choice(article.usages)
    season = chance.choice(("Summer", "Winter", "Fall", "Spring"))
    identity = str(FIRST_ID + position)
    price = math.exp(chance.gauss(math.log(article.price), 0.35))
    # Prices as shops write them: whole euros less a cent or five.
    stated = f"{max(2, round(price)) - chance.choice((0.01, 0.05, 0.10)):.2f}"
    title = f"{brand} {gender} {'' if pattern == 'Solid' else pattern + ' '}{colour} {article.word}"
    about = {
        "Solid": f"{article.word} in plain {colour.lower()}",
        "Striped": f"{colour} {article.word.lower()} with stripes",
        "Checked": f"{colour} {article.word.lower()} with a check pattern",
        "Dotted": f"{colour} {article.word.lower()} with dots",
    }[pattern]
    values = {
        "id": identity,
        "gender": gender,
        "masterCategory": article.category,
        "subCategory": article.sub_category,
        "articleType": article.article_type,
        "baseColour": colour,
        "season": season,
        "year": str(chance.randint(2015, 2024)),
        "usage": usage,
        "productDisplayName": title,
        "brand": brand,
        "price": stated,
        "currency": "EUR",
        "description": f"{about}, for {usage.lower()} wear. By {brand}, made for {season.lower()}.",
        "image": f"images/{identity}.jpg",
    }
    return _Listing(values, Garment(article, colour, pattern, chance))


def _row(values: Iterable[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue().encode("utf-8")


def _write_catalogue(folder: Path, size: int, seed: int, progress: Callable[[int, int], None] | None) -> None:
    special = special_listings(size, seed)
    entries: dict[str, list[dict]] = {kind: [] for kind in REJECTED_SHARES | HARMLESS_SHARES}
    sound = 0  # the last listing nothing is special about; the first one always is such a listing
    with (folder / "styles.csv").open("wb") as file:
        file.write(_row(HEADER))
        for position in range(size):
            kind = special.get(position)
            listing = _listing(position, seed)
            line, external_id, picture = _drawn(
                listing, kind, position, sound, seed, len(entries.get(kind or "", ()))
            )
            file.write(line)
            if picture is not None:
                (folder / "images" / f"{FIRST_ID + position}.jpg").write_bytes(picture)
            if kind is None:
                sound = position
            else:
                entries[kind].append({"line": position + 2, "external_id": external_id})
            if progress is not None and (position + 1) % 100 == 0:
                progress(position + 1, size)
    _write_people(folder, size, seed, special)
    manifest = {
        "size": size,
        "seed": seed,
        "version": DRAWING_VERSION,
        "shares": REJECTED_SHARES | HARMLESS_SHARES,
        "defects": {kind: entries[kind] for kind in REJECTED_SHARES},
        "harmless": {kind: entries[kind] for kind in HARMLESS_SHARES},
    }
    with (folder / MANIFEST_FILE).open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
    if progress is not None:
        progress(size, size)


def _drawn(
    listing: _Listing, kind: str | None, position: int, sound: int, seed: int, count: int
) -> tuple[bytes, str | None, bytes | None]:
    """A listing's line, the id a reader sees in it, and its picture; spoiled as `kind` says (the `count`-th
    time)."""
    values = listing.values
    external_id: str | None = values["id"]
    null = _NULLS[count % len(_NULLS)]
    picture: bytes | None
    if kind == "null_external_id":
        values["id"], external_id = null, None  # its picture is stated, so the id is all that is wrong
    elif kind == "null_title":
        values["productDisplayName"] = null
    elif kind == "null_gender":
        values["gender"] = null
    elif kind == "null_category":
        values["masterCategory"] = null
    elif kind == "null_article_type":
        values["articleType"] = null
    elif kind == "duplicate_id":
        values["id"] = external_id = str(FIRST_ID + sound)
    elif kind == "price_absurd":
        values["price"] = _ABSURD_PRICES[count % len(_ABSURD_PRICES)]
    elif kind == "image_path_outside":
        values["image"] = _OUTSIDE[count % len(_OUTSIDE)].format(id=values["id"])

    line = _row(values[column] for column in HEADER)
    if kind == "unreadable_line":
        line, external_id = line[: line.index(b",", line.index(values["season"].encode()))] + b"\n", None
    elif kind == "wrong_encoding":
        title = values["productDisplayName"].encode()
        line, external_id = (
            line.replace(title, title + " Caf\xe9\x81".encode("latin-1"), 1),
            None,
        )  # text in no encoding
    elif kind == "unquoted_comma":
        title = values["productDisplayName"].encode()
        surplus = (b", Limited Edition", b", Soft, Washed", b",Pack of 1")[count % 3]
        line = line.replace(title, title + surplus, 1)

    if kind in ("image_missing", "image_path_outside"):
        picture = None
    elif kind == "image_not_an_image":
        picture = _NO_IMAGES[count % len(_NO_IMAGES)]
    elif kind == "image_too_large":
        picture = _bomb(str(FIRST_ID + position))
    elif kind == "identical_picture":
        picture = _jpeg(draw_garment(_listing(sound, seed).garment))
    else:
        picture = _jpeg(draw_garment(listing.garment))
        if kind == "image_truncated":
            picture = picture[: int(len(picture) * (0.9, 0.5, 0.7)[count % 3])]
    return line, external_id, picture


def _write_people(folder: Path, size: int, seed: int, special: dict[int, str]) -> None:
    """A user for twenty listings, and up to eight favourites each, sound listings all of them."""
    users = max(3, size // 20)
    with (
        (folder / "users.csv").open("wb") as user_file,
        (folder / "favourites.csv").open("wb") as favourite_file,
    ):
        user_file.write(_row(("user_id", "name", "email")))
        favourite_file.write(_row(("user_id", "external_id")))
        for number in range(users):
            chance = random.Random(f"{seed}:user:{number}")
            name = f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}"
            user_file.write(_row((f"u{number + 1}", name, f"user{number + 1}@example.com")))
            for position in _favourites(chance, size, special):
                favourite_file.write(_row((f"u{number + 1}", str(FIRST_ID + position))))


def _favourites(chance: random.Random, size: int, special: dict[int, str]) -> Iterator[int]:
    liked: set[int] = set()
    for _ in range(chance.randint(1, 8)):
        position = chance.randrange(size)
        if position not in special and position not in liked:
            liked.add(position)
            yield position


_FIRST_NAMES = (
    "Ada",
    "Ben",
    "Chidi",
    "Dana",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaya",
    "Lina",
)
_LAST_NAMES = ("Adler", "Brook", "Castro", "Dimitrov", "Eze", "Falk", "Garcia", "Haas", "Ivanova", "Jansen")
