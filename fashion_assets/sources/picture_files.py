"""Finding pictures by what records say of them, without ever leaving the source's folder.

What belongs here: from a stated path to a file inside the folder, whatever an export made of the name, and its bytes' hash. What
does not: whether the file is a picture (`catalog.pictures`), pictures elsewhere (a URL is fetched before).

The stated path itself is tried first. Only where nothing lies there a folder's names are compared without what systems change:
case, suffix, Unicode form, escapes of URLs, folders before the name, and the case of a folder. A folder that holds folders alone, as exports
that split a great many pictures make it, is looked through one level down; a name that several of those have is none's, and neither is one
that is said to be in another folder.
"""

import hashlib
import os
import re
import stat
import time
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from fashion_assets.catalog.listing import own_place
from fashion_assets.origins import shown

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".jfif",
    ".heic",
    ".heif",
)
"""Of pictures, read or not; the likelier first."""

MOST_NAMES = 500_000
"""Names of one folder that are compared loosely, about 100 MB. In a larger folder only a few spellings are tried."""

MOST_FOLDERS = 64
"""Folders whose names are known at once; a folder with more in it is not looked through."""

RECENT_NS = 2_000_000_000
"""A folder that changed so lately may change once more at what is the same time to the file system."""

URL = re.compile(r"(?i)(?:https?|s3)://")

_BETWEEN = re.compile(r"\s*[;|,]\s*|(?<=\.\w{3})\s+|(?<=\.\w{4})\s+")
_OF_PATHS = str.maketrans({sign: quote(sign, safe="") for sign in "/\\?#%"})
_DRIVE = re.compile(r"[A-Za-z]:")
_ATTACHED = re.compile(r"\s*([^()\n]+?)\s*\((https?://[^\s()]+)\)\s*(?:,|$)")
_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]+://")


class Found(NamedTuple):
    """Where a picture lies; `path` and `status` are null where there is none."""

    path: str | None
    status: os.stat_result | None
    outside: bool


NOT_THERE = Found(None, None, False)
OUTSIDE = Found(None, None, True)


def is_url(stated: str) -> bool:
    """Whether a picture is stated as an address to fetch it from."""
    return URL.match(stated) is not None


def stated_in(text: str) -> tuple[str, ...]:
    """The pictures a text states: one, or several as exports write them, `a.jpg;b.jpg`, `a.jpg, b.jpg`, `["a.jpg", "b.jpg"]`, `{a.jpg,b.jpg}`; of
    files with their addresses, `a.jpg (https://…)`, both."""
    inside = text.strip()
    if "(http" in inside and not _ATTACHED.sub("", inside):
        return tuple(each for name, address in _ATTACHED.findall(inside) for each in (address, name))
    listed = inside[:1] + inside[-1:] in ("[]", "{}", "()")
    if not listed and not _BETWEEN.search(inside):
        return (text,)
    if listed:
        inside = inside[1:-1].replace("\\/", "/")
    parts = tuple(part.strip(" \t\r\n\"'") for part in _BETWEEN.split(inside))
    if (listed or len(parts) > 1) and (
        all(part.partition("?")[0].lower().endswith(SUFFIXES) for part in parts) or all(map(is_url, parts))
    ):
        return parts
    return (text,)


class PictureFiles:
    """The pictures of one source. `root` is the folder none may leave, links resolved, or empty where there is none; `folders` are
    those in it, or in which, names without a folder are looked for."""

    def __init__(self, root: str, folders: Sequence[str] = ("images",)) -> None:
        self.root = root
        self.folders = tuple(dict.fromkeys([*(folder.strip("/") for folder in folders), ""]))
        self._usual = {folder.rpartition("/")[2].casefold() for folder in self.folders}
        self._inside: dict[str, bool] = {}  # folders, by path
        self._names: dict[str, dict[str, list[str]] | None] = {}  # by folder: names by their loose form
        self._written: dict[str, str] = {}  # folders, by how they are stated
        self._known: dict[str, bool] = {}  # whether a folder is there
        self._below: dict[str, tuple[str, ...]] = {}  # by folder without pictures: those in it

    def find(self, stated: str) -> Found:
        """The file that is meant by a stated path, which may be a URL that ends in one."""
        if "\0" in stated:
            return OUTSIDE
        relative = stated.replace("\\", "/")  # exports made on Windows
        if ".." in relative and ".." in relative.split("/"):
            return OUTSIDE
        while relative.startswith("./"):
            relative = relative[2:]
        if not relative:
            return NOT_THERE
        if is_url(relative):
            plain = relative.partition("?")[0].partition("#")[0]
            return self._loosely(plain.partition("://")[2].partition("/")[2])
        if _SCHEME.match(relative):
            return OUTSIDE
        whole_path = relative.startswith("/") or _DRIVE.match(relative) is not None
        if not whole_path:
            found = self.exactly(relative)
            if found is not NOT_THERE:
                return found
        else:
            relative = _DRIVE.sub("", relative, count=1).lstrip("/")
        found = self._loosely(relative)
        if found is NOT_THERE and "%" in relative.rpartition("/")[0]:  # a folder's name as in an address
            folder, _, name = relative.rpartition("/")
            if ".." in (plain := unquote(folder)).split("/") or "\0" in plain:
                return OUTSIDE
            found = self._loosely(f"{plain}/{name}")
        if found is NOT_THERE and "?" in relative:  # `1.jpg?v=3`: what a shop puts behind to get past caches
            found = self._loosely(relative.partition("?")[0])
        # A path from a system's own root that leads to nothing here points elsewhere: it is never followed.
        return OUTSIDE if found is NOT_THERE and whole_path else found

    def of_id(self, stated: str, identity: str) -> Found:
        """The file of a path that was made of an id, whose signs are no path's but where the very path is there: `a/2` is not 2."""
        plain = identity.translate(_OF_PATHS)
        if plain == identity:
            return self.find(stated)
        found = self.exactly(stated)
        return found if found is not NOT_THERE else self.find(stated.replace(identity, plain))

    def uri(self, found: Found) -> str | None:
        """What a listing's `image_uri` says of a file that was found; None of none."""
        return None if found.path is None else own_place(found.path[len(self.root.rstrip("/")) + 1 :])

    def in_words(self, stated: str) -> str:
        """What is where a picture was looked for: `images/ has 0012.jpg and 0013.jpg, …`."""
        folder = stated.replace("\\", "/").rpartition("/")[0].strip("/")
        for place in dict.fromkeys((self._as_written(folder), *map(self._as_written, self.folders))):
            names = [name for spellings in (self._in(place) or {}).values() for name in spellings]
            if names:
                told = ", ".join(shown(name) for name in sorted(names)[:2])
                return f"{shown(f'{place}/' if place else self.root)} has {told}" + (
                    ", …" if len(names) > 2 else ""
                )
            if place and (below := self._folders(place)):
                return f"{shown(place)}/ has no picture but folders, {shown(min(below))}/ for one"
        return f"there is no picture in {shown(self.root)}"

    def exactly(self, relative: str) -> Found:
        """The file of this very name, from the root on; never one outside of it."""
        if not self.root:
            return NOT_THERE
        if "\0" in relative or (".." in relative and ".." in relative.split("/")):
            return OUTSIDE
        path = f"{self.root}/{relative}"
        try:
            if not self._is_inside(path[: path.rindex("/")]):
                return OUTSIDE
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                target = os.path.realpath(path)
                if not self._contains(target):
                    return OUTSIDE
                path, status = target, os.stat(target)
        except PermissionError:
            return Found(path, None, False)  # it is there; who opens it will say why it cannot be read
        except (OSError, ValueError):  # not there, not a folder on the way, name too long
            return NOT_THERE
        return Found(path, status, False)

    def _loosely(self, relative: str) -> Found:
        folder, _, name = relative.rpartition("/")
        if not name:
            return NOT_THERE
        steps = [step for step in folder.split("/") if step not in ("", ".")]
        # `a/b/images/1.jpg` may be here `b/images/1.jpg`, `images/1.jpg` or `1.jpg`.
        stated = ["/".join(steps[start:]) for start in range(len(steps))]
        own = bool(steps) and steps[-1].casefold() not in self._usual
        if own:
            stated += [f"{above}/{place}" for above in self.folders if above for place in stated]
        written = [self._as_written(place) for place in stated]
        places = list(dict.fromkeys((*written, *map(self._as_written, self.folders))))
        if own and (there := list(filter(self._is_there, dict.fromkeys(written)))):
            places = (
                there  # what is not in the folder it is said to be in is not what lies in others by its name
            )
        for place in places:
            found = self._in_place(place, name)
            if found is not NOT_THERE:
                return found
        # Of the whole catalogue's folders only where it has none called as those of pictures are.
        usual = any(self._is_there(self._as_written(folder)) for folder in self.folders if folder)
        for place in () if own else [place for place in places if place or not usual]:
            several = [
                self._in_place(f"{place}/{below}".lstrip("/"), name) for below in self._folders_below(place)
            ]
            there = [found for found in several if found is not NOT_THERE]
            if len(there) == 1:
                return there[0]
        return NOT_THERE

    def _in_place(self, place: str, name: str) -> Found:
        for spelling in self._spellings(place, name):
            found = self.exactly(f"{place}/{spelling}" if place else spelling)
            if found is not NOT_THERE and not found.outside:
                return found
        return NOT_THERE

    def _as_written(self, folder: str) -> str:
        """A stated folder as it is written here, where another case is all that differs; else as it is stated."""
        known = self._written.get(folder)
        if known is None:
            if len(self._written) > 10_000:
                self._written.clear()
            above = ""
            for step in folder.split("/") if folder else ():
                if not os.path.isdir(f"{self.root}/{above}{step}"):
                    alike = [each for each in self._folders(above) if each.casefold() == step.casefold()]
                    step = min(alike, default=step)
                above += f"{step}/"
            known = self._written[folder] = above.rstrip("/")
        return known

    def _is_there(self, folder: str) -> bool:
        if len(self._known) > 10_000:
            self._known.clear()
        if folder not in self._known:
            self._known[folder] = os.path.isdir(f"{self.root}/{folder}")
        return self._known[folder]

    def _folders_below(self, folder: str) -> tuple[str, ...]:
        """The folders in one that has no picture of its own, without those that systems keep for themselves; none where there are too many."""
        known = self._below.get(folder)
        if known is None:
            if len(self._below) > 10_000:
                self._below.clear()
            there = self._folders(folder) if self._in(folder) == {} else []
            own = sorted(each for each in there if not each.startswith((".", "@", "__MACOSX")))
            known = self._below[folder] = tuple(own) if len(own) < MOST_FOLDERS else ()
        return known

    def _folders(self, above: str) -> list[str]:
        """The names of a folder's folders; none of a folder outside."""
        path = f"{self.root}/{above}".rstrip("/")
        try:
            if not self.root or not self._is_inside(path):
                return []
            changed = os.stat(path).st_mtime_ns
            look = _folders_in if time.time_ns() - changed > RECENT_NS else _folders_in.__wrapped__
            return list(look(path, changed))
        except (OSError, ValueError):
            return []

    def _spellings(self, folder: str, name: str) -> Iterator[str]:
        """How a name may be written in a folder, the likeliest first. As it stands, it is tried before the folder's other names are read: who asks
        for some pictures of a large folder mostly need not know them."""
        if folder not in self._names and os.path.splitext(name)[1].lower() in SUFFIXES:
            yield name
        names = self._in(folder)
        if names is None:
            yield name
            plain = unquote(name)
            for form in ("NFC", "NFD"):
                written = unicodedata.normalize(form, plain)
                yield written
                stem, suffix = os.path.splitext(written)
                yield from (stem + other for other in SUFFIXES[:4] if other != suffix)
            return
        stem, suffix = _loose(name)
        if alike := names.get(stem):
            # Two that differ in case: one of them is meant, and only the same case says which.
            stems = {_stem(each) for each in alike}
            if len(stems) > 1:
                alike = [each for each in alike if _stem(each) == _stem(name)]
            yield from sorted(alike, key=lambda each: (each != name, *_rank(each, suffix)))

    def _in(self, folder: str) -> dict[str, list[str]] | None:
        """The pictures' names of a folder by their loose form; None where there are too many to hold."""
        if folder in self._names:
            return self._names[folder]
        if len(self._names) >= MOST_FOLDERS:
            self._names.pop(next(iter(self._names)))
        names: dict[str, list[str]] | None = {}
        path = f"{self.root}/{folder}" if folder else self.root
        try:
            if self.root and self._is_inside(path):
                with os.scandir(path) as entries:
                    for count, entry in enumerate(entries):
                        if count == MOST_NAMES:
                            names = None
                            break
                        stem, suffix = _loose(entry.name)
                        if suffix in SUFFIXES:
                            names.setdefault(stem, []).append(entry.name)
        except (OSError, ValueError):
            names = {}
        self._names[folder] = names
        return names

    def _contains(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root.rstrip('/')}/")

    def _is_inside(self, folder: str) -> bool:
        known = self._inside.get(folder)
        if known is None:
            if len(self._inside) > 10_000:  # a folder for each picture: do not grow with the catalogue
                self._inside.clear()
            known = self._inside[folder] = self._contains(os.path.realpath(folder))
        return known


@lru_cache(maxsize=16)
def _folders_in(path: str, changed: int) -> tuple[str, ...]:
    """The names of a folder's folders, as of the time (ns) it changed last. Kept, as a folder of pictures may have a million other names, and a
    sync asks for each few hundred listings."""
    with os.scandir(path) as entries:
        return tuple(entry.name for entry in entries if entry.is_dir())


def _loose(name: str) -> tuple[str, str]:
    """A file's name without what systems change, and its suffix, both folded; the stem alone of a name that has no picture's."""
    plain = unicodedata.normalize("NFC", unquote(name).strip()).casefold()
    stem, suffix = os.path.splitext(plain)
    return (stem, suffix) if suffix in SUFFIXES else (plain, "")


def _stem(name: str) -> str:
    """A file's name without escapes and suffix, in its own case."""
    plain = unicodedata.normalize("NFC", unquote(name).strip())
    stem, suffix = os.path.splitext(plain)
    return stem if suffix.casefold() in SUFFIXES else plain


def _rank(name: str, suffix: str) -> tuple[bool, int, str]:
    """Among names alike: that with the stated suffix, then by the likelier suffix."""
    own = _loose(name)[1]
    return own != suffix, SUFFIXES.index(own) if own in SUFFIXES else len(SUFFIXES), name


def sha256_of(path: str, most: int) -> str | None:
    """Hash of a picture's bytes, or null where they cannot be read or are more than so many by now."""
    digest = hashlib.sha256()
    left = most
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            while block := os.read(descriptor, 1 << 20):
                digest.update(block)
                left -= len(block)
                if left < 0:
                    return None
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return digest.hexdigest()
