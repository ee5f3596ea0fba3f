"""The folder reader: `styles.csv` and `images/`, as the public Fashion Product Images catalogue lays them
out.

What belongs here: taking the file apart into records without losing any, and finding each record's picture
without ever leaving the folder. What does not: judging the records (`catalog.validation`).

The file is read as bytes. A record ends with its line, unless a quoted field goes on. What cannot be read
becomes a listing too, with a defect, its line number and its text, so that it can be told from one that never
was.
"""

import hashlib
import json
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.formats.outlines import IMAGE_FILE_TOO_LARGE
from fashion_assets.catalog.listing import ATTRIBUTES, LISTING_SCHEMA, REFERENCE_SCHEMA, content_hash
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.validation import NULL_WORDS
from fashion_assets.sources.source import (
    FAVOURITE_SCHEMA,
    SCAN_CHUNK_ROWS,
    USER_SCHEMA,
    Source,
    SourceError,
)

LISTINGS_FILE = "styles.csv"
USERS_FILE = "users.csv"
FAVOURITES_FILE = "favourites.csv"

COLUMNS = {
    "id": "external_id",
    "gender": "gender",
    "mastercategory": "category",
    "subcategory": "sub_category",
    "articletype": "article_type",
    "basecolour": "colour",
    "season": "season",
    "year": "year",
    "usage": "usage",
    "productdisplayname": "title",
    "brand": "brand",
    "price": "price",
    "currency": "currency",
    "description": "description",
    "image": "image",
}
"""Columns of `styles.csv` (in lower case) and what a listing calls them; others are kept in the record
only."""

MAX_RECORD_LINES = 200
"""Lines a quoted field may span. Without a limit one stray quote would swallow the rest of the file."""

MAX_LINE_BYTES = 1 << 24
"""A longer line is cut into pieces (which then are unreadable lines), so that memory stays bounded."""

_BOM = b"\xef\xbb\xbf"
_ID = re.compile(rb"(?=[\w-]*\d)[\w-]{1,64}")
_DRIVE = re.compile(r"[A-Za-z]:")
_OPEN, _BARE = -1, -2
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Record(NamedTuple):
    """The bytes of one record, without its line end, and where they lie."""

    raw: bytes
    offset: int  # bytes from the beginning of the file
    line: int  # of its first line; the header is line 1


class Layout(NamedTuple):
    """What the header says about the columns."""

    names: list[str]  # as they stand, made unique
    positions: dict[str, int]  # by the name a listing gives them
    digest: bytes  # of the header; part of every signature


class Parsed(NamedTuple):
    """A record taken apart: its fields (as many as the header has), or the defect that kept it whole."""

    fields: list[str]
    defect: str | None


def _closing_quote(text: str, start: int) -> int:
    """Where the field that begins with the quote at `start` ends; `_OPEN` if it does not; `_BARE` if a quote
    stands in the middle of it, so that it is no quoted field."""
    position = start + 1
    while True:
        position = text.find('"', position)
        if position < 0:
            return _OPEN
        following = text[position + 1 : position + 2]
        if following == '"':
            position += 2
        elif following in ("", ","):
            return position
        else:
            return _BARE


def split_fields(text: str) -> list[str]:
    """The fields of one record.

    A field that begins with a quote and ends with one is unquoted, doubled quotes in it are halved, commas
    and line ends in it are its own. Any other quote is a character like any other, as in `Tempo 3.5" Pink`.
    """
    if '"' not in text:
        return text.split(",")
    fields: list[str] = []
    position = 0
    while True:
        end = _closing_quote(text, position) if text.startswith('"', position) else _BARE
        if end >= 0:
            fields.append(text[position + 1 : end].replace('""', '"'))
            end += 1
        else:
            end = text.find(",", position)
            if end < 0:
                end = len(text)
            fields.append(text[position:end])
        if end >= len(text):
            return fields
        position = end + 1


def _goes_on(text: str) -> bool:
    """Whether the record's last field is quoted and still open, so that the next line belongs to it."""
    position = 0
    while True:
        end = _closing_quote(text, position) if text.startswith('"', position) else _BARE
        if end == _OPEN:
            return True
        end = end + 1 if end >= 0 else text.find(",", position)
        if end < 0 or end >= len(text):
            return False
        position = end + 1


def put_back(fields: list[str], expected: int, title: int) -> list[str]:
    """Fields with the surplus commas put back into the title: columns before it count from the left, columns
    after it from the right."""
    surplus = len(fields) - expected
    if surplus <= 0:
        return fields
    return [*fields[:title], ",".join(fields[title : title + surplus + 1]), *fields[title + surplus + 1 :]]


def records(
    file: BinaryIO, columns: int | None = None, *, offset: int = 0, line: int = 1
) -> Iterator[Record]:
    """The records of an open file from where it stands (byte `offset`, line number `line`); blank lines are
    none.

    `columns` is the header's number of columns. A line inside a quoted field that has as many fields of its
    own, the first of which looks like an id, is a record: then the quote before it was a stray one and opened
    nothing.
    """
    waiting: deque[bytes] = deque()  # lines looked at while a quoted field was open
    while True:
        raw = waiting.popleft() if waiting else file.readline(MAX_LINE_BYTES)
        if not raw:
            return
        lines = 1
        if b'"' in raw:
            joined, lines = _joined(raw, file, waiting, columns)
            for _ in range(lines - 1):
                waiting.popleft()
        else:
            joined = raw
        stripped = joined.rstrip(b"\r\n")
        if stripped and not stripped.isspace():
            yield Record(stripped, offset, line)
        offset += len(joined)
        line += lines


def _joined(raw: bytes, file: BinaryIO, waiting: deque[bytes], columns: int | None) -> tuple[bytes, int]:
    """The record that begins with the line `raw`, and its number of lines; lines read ahead are left in
    `waiting`."""
    joined, used, closed = raw, 0, False
    text = _tolerant(joined)
    if not _goes_on(text):
        return raw, 1
    while used < MAX_RECORD_LINES and len(joined) <= MAX_LINE_BYTES:
        if used == len(waiting):
            following = file.readline(MAX_LINE_BYTES)
            if not following:
                break
            waiting.append(following)
        following = waiting[used]
        if columns is not None and _is_record(following, columns):
            break
        used += 1
        joined += following
        if b'"' in following and not _goes_on(_tolerant(joined)):
            closed = True
            break
    return (joined, used + 1) if closed else (raw, 1)


def _tolerant(raw: bytes) -> str:
    """Text in which quotes and commas stand where they stand in the bytes, whatever the encoding."""
    return raw.rstrip(b"\r\n").decode("latin-1")


def _is_record(raw: bytes, columns: int) -> bool:
    first, comma, _ = raw.partition(b",")
    return (
        bool(comma) and columns >= 5 and raw.count(b",") >= columns - 1 and _ID.fullmatch(first) is not None
    )


def is_null_word(value: str) -> bool:
    """Whether the value states nothing (`catalog.validation.NULL_WORDS`)."""
    return value.strip().lower() in NULL_WORDS


class _Found(NamedTuple):
    """Where a picture lies; `path` and `status` are null where there is none."""

    path: str | None
    status: os.stat_result | None
    outside: bool


class _Pictures:
    """Finds pictures by their stated paths and never leaves the folder, by whatever trick a path tries."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._inside: dict[str, bool] = {}  # folders, by path

    def find(self, stated: str) -> _Found:
        relative = stated.replace("\\", "/")  # exports made on Windows
        if (
            "\0" in relative
            or relative.startswith("/")
            or "://" in relative
            or _DRIVE.match(relative)
            or (".." in relative and ".." in relative.split("/"))
        ):
            return _Found(None, None, True)
        path = f"{self.root}/{relative}"
        try:
            if not self._is_inside(path[: path.rindex("/")]):
                return _Found(None, None, True)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                target = os.path.realpath(path)
                if not self._contains(target):
                    return _Found(None, None, True)
                path, status = target, os.stat(target)
        except PermissionError:
            return _Found(path, None, False)  # it is there; who opens it will say why it cannot be read
        except (OSError, ValueError):  # not there, not a folder on the way, name too long
            return _Found(None, None, False)
        return _Found(path, status, False)

    def _contains(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root.rstrip('/')}/")

    def _is_inside(self, folder: str) -> bool:
        known = self._inside.get(folder)
        if known is None:
            if len(self._inside) > 10_000:  # a folder for each picture: do not grow with the catalogue
                self._inside.clear()
            known = self._inside[folder] = self._contains(os.path.realpath(folder))
        return known


def _sha256(path: str, most: int) -> str | None:
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


class _Seen(NamedTuple):
    """A record and its picture, as far as a scan needs them."""

    parsed: Parsed
    external_id: str | None
    image: str | None  # as stated, or where the layout puts it
    found: _Found


class Folder(Source):
    """A catalogue in a folder: `styles.csv`, `images/`, and `users.csv` and `favourites.csv` where there are
    any."""

    kind: ClassVar[str] = "folder"

    def __init__(self, name: str, folder: Path, max_image_bytes: int = Limits.max_bytes) -> None:
        """`max_image_bytes`: of a larger picture nothing is read, not even for its hash, which then is null."""
        self.name = name
        self.folder = Path(folder)
        self.max_image_bytes = max_image_bytes

    @property
    def listings_file(self) -> Path:
        """The file with the records."""
        return self.folder / LISTINGS_FILE

    @property
    def root(self) -> str:
        return os.path.realpath(self.folder)

    def scan(self) -> Iterator[pa.Table]:
        with self._opened() as (file, layout, start):
            pictures = _Pictures(self.root)
            ids: list[str | None] = []
            locators: list[str] = []
            signatures: list[str] = []
            for record in records(file, len(layout.names), offset=start.offset, line=start.line):
                seen = self._look_at(record.raw, layout, pictures)
                ids.append(seen.external_id)
                locators.append(f"{record.offset}:{len(record.raw)}:{record.line}")
                status = seen.found.status
                picture = f"{status.st_size:x}.{status.st_mtime_ns:x}" if status else "-"
                signatures.append(f"{_line_digest(record.raw, layout)}.{picture}")
                if len(ids) == SCAN_CHUNK_ROWS:
                    yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)
                    ids, locators, signatures = [], [], []
            if ids:
                yield pa.table([ids, locators, signatures], schema=REFERENCE_SCHEMA)

    def fingerprints(self, references: pa.Table) -> list[str]:
        return [content for _, _, _, _, content in self._read_each(references)]

    def read(self, references: pa.Table) -> pa.Table:
        columns: dict[str, list[Any]] = {name: [] for name in LISTING_SCHEMA.names}
        keys = references["listing_key"].to_pylist()
        occurrences = references["occurrence"].to_pylist()
        attributes: list[tuple[str, int | None]] | None = None
        inside = len(self.root.rstrip("/")) + 1
        for row, (seen, layout, text, sha256, content) in enumerate(self._read_each(references)):
            if attributes is None:
                attributes = [(name, layout.positions.get(name)) for name in ATTRIBUTES]
            columns["listing_key"].append(keys[row])
            columns["occurrence"].append(occurrences[row])
            columns["external_id"].append(seen.external_id)
            columns["content_hash"].append(content)
            columns["record"].append(text)
            fields = seen.parsed.fields
            for name, position in attributes:
                columns[name].append(None if position is None or seen.parsed.defect else fields[position])
            columns["image"].append(seen.image)
            columns["image_uri"].append(seen.found.path and seen.found.path[inside:])
            columns["image_sha256"].append(sha256)
            defects = [seen.parsed.defect] if seen.parsed.defect else []
            if seen.found.outside:
                defects.append("image_path_outside")
            columns["defects"].append(defects)
        rows = references.num_rows
        columns["source"] = [self.name] * rows
        columns["vectors"] = [None] * rows
        return pa.table([pa.array(columns[f.name], f.type) for f in LISTING_SCHEMA], schema=LISTING_SCHEMA)

    def people_version(self) -> str:
        """A hash over the bytes of `users.csv` and `favourites.csv`."""
        digest = hashlib.blake2b(digest_size=16)
        for name in (USERS_FILE, FAVOURITES_FILE):
            try:
                # What is no file is none of it: a pipe would never end.
                with open(self.folder / name, "rb", opener=_at_once) as file:
                    regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                    said = hashlib.file_digest(file, "sha256").digest() if regular else b"no file"
            except FileNotFoundError:
                said = b"none"
            except OSError as error:
                said = f"not read: {error.errno}".encode()
            digest.update(said + b"\0")
        return digest.hexdigest()

    def users(self) -> Iterator[pa.Table]:
        """`users.csv`: `user_id`, and `name` and `email` where it has them; other columns stay in the
        record."""
        return self._people(USERS_FILE, USER_SCHEMA, ("user_id",))

    def favourites(self) -> Iterator[pa.Table]:
        """`favourites.csv`: `user_id`, `external_id`; other columns stay in the record."""
        return self._people(FAVOURITES_FILE, FAVOURITE_SCHEMA, ("user_id", "external_id"))

    def _look_at(self, raw: bytes, layout: Layout, pictures: _Pictures) -> _Seen:
        parsed = _parse(raw, layout)
        if parsed.defect:
            return _Seen(parsed, None, None, _Found(None, None, False))
        identity = parsed.fields[layout.positions["external_id"]].strip()
        external_id = None if is_null_word(identity) else identity
        image = None
        position = layout.positions.get("image")
        if position is not None and not is_null_word(parsed.fields[position]):
            image = parsed.fields[position].strip()
        elif external_id is not None:
            image = f"images/{external_id}.jpg"
        found = pictures.find(image) if image is not None else _Found(None, None, False)
        return _Seen(parsed, external_id, image, found)

    def _read_each(self, references: pa.Table) -> Iterator[tuple[_Seen, Layout, str, str | None, str]]:
        """For each reference: what it refers to, the header, the record as JSON, the picture's hash, the listing's."""
        with self._opened() as (file, layout, _):
            pictures = _Pictures(self.root)
            descriptor = file.fileno()
            locators = references["locator"].to_pylist()
            signatures = references["signature"].to_pylist()
            for locator, signature in zip(locators, signatures, strict=True):
                offset, length, line = map(int, locator.split(":"))
                raw = os.pread(descriptor, length, offset)
                if signature.partition(".")[0] != _line_digest(raw, layout):
                    raise SourceError(
                        f"{self.listings_file} has changed since it was scanned: line {line} is elsewhere "
                        "now. Scan the source again."
                    )
                seen = self._look_at(raw, layout, pictures)
                if seen.parsed.defect:
                    text = _encode({"line_number": line, "text": _escaped(raw)})
                else:
                    text = _encode(dict(zip(layout.names, seen.parsed.fields, strict=True)))
                sha256, shown = None, None
                status = seen.found.status
                if status is not None and stat.S_ISREG(status.st_mode) and seen.found.path:
                    if status.st_size > self.max_image_bytes:
                        # Unread, but neither missing nor unreadable: a verdict on the one must not stand for another.
                        shown = IMAGE_FILE_TOO_LARGE
                    else:
                        sha256 = shown = _sha256(seen.found.path, self.max_image_bytes)
                yield seen, layout, text, sha256, content_hash(text, shown)

    def _people(self, name: str, schema: pa.Schema, required: tuple[str, ...]) -> Iterator[pa.Table]:
        path = self.folder / name
        if not path.exists():
            self._require_folder()
            return
        with _open(path) as (file, header, start):
            lowered = [column.strip().lower() for column in header]
            for column in required:
                if column not in lowered:
                    raise SourceError(
                        f"{path} has no column {column!r}, only {', '.join(header)}. Name the column in the "
                        "first line, or take the file away."
                    )
            layout = Layout(header, {column: i for i, column in enumerate(lowered)}, b"")
            rows: list[dict[str, str | None]] = []
            for record in records(file, offset=start.offset, line=start.line):
                rows.append(_person(record, layout, schema, required))
                if len(rows) == SCAN_CHUNK_ROWS:
                    yield pa.Table.from_pylist(rows, schema)
                    rows = []
            if rows:
                yield pa.Table.from_pylist(rows, schema)

    def _require_folder(self) -> None:
        if not self.folder.is_dir():
            raise SourceError(
                f"There is no folder {self.folder}. Give the folder that holds {LISTINGS_FILE} and images/."
            )

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, Layout, Record]]:
        """The open file, its layout, and where its records begin."""
        self._require_folder()
        with _open(self.listings_file) as (file, header, start):
            positions: dict[str, int] = {}
            for position, column in enumerate(header):
                known = COLUMNS.get(column.strip().lower())
                if known is not None:
                    positions.setdefault(known, position)
            if "external_id" not in positions:
                shown = ", ".join(header)[:200]
                raise SourceError(
                    f"The first line of {self.listings_file} names no column 'id', only: {shown}. It must be "
                    "a header with the columns' names, separated by commas, in UTF-8."
                )
            digest = hashlib.blake2b(
                _encode(header).encode("utf-8", "surrogatepass"), digest_size=16
            ).digest()
            yield file, Layout(header, positions, digest), start


def _at_once(path: str, flags: int) -> int:
    """As `os.open`, without waiting for whoever writes into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _line_digest(raw: bytes, layout: Layout) -> str:
    return hashlib.blake2b(raw, digest_size=12, key=layout.digest).hexdigest()


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, list[str], Record]]:
    """A text file with a header: the open file, the columns' names (made unique), and where its records
    begin.

    Raises SourceError if it is not there, may not be read, or is empty.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise SourceError(f"There is no {path}. Give the folder that holds {path.name}.") from None
    except IsADirectoryError:
        raise SourceError(
            f"{path} is a folder, not a file. Give the folder that holds the file {path.name}."
        ) from None
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}. Make it readable for the user this runs as."
        ) from error
    with file:
        first = file.read(len(_BOM))
        offset = len(_BOM) if first == _BOM else 0
        file.seek(offset)
        header = next(records(file, offset=offset), None)
        if header is None:
            raise SourceError(f"{path} is empty. Its first line must be a header with the columns' names.")
        names: list[str] = []
        for position, name in enumerate(split_fields(header.raw.decode("utf-8", "backslashreplace"))):
            name = name or f"column_{position + 1}"
            unique, count = name, 1
            while unique in names:
                count += 1
                unique = f"{name} ({count})"
            names.append(unique)
        # The record has lost its line end, and the header may span lines: ask where the next begins.
        file.seek(header.offset + len(header.raw))
        rest = file.readline(MAX_LINE_BYTES)
        begin = header.offset + len(header.raw) + len(rest)
        line = header.line + header.raw.count(b"\n") + 1
        file.seek(begin)
        yield file, names, Record(b"", begin, line)


def _parse(raw: bytes, layout: Layout) -> Parsed:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Parsed([], "wrong_encoding")
    if (
        "\0" in text
    ):  # valid UTF-8, but no text: neither JSON objects nor text columns in Postgres can hold it
        return Parsed([], "wrong_encoding")
    fields = split_fields(text)
    expected = len(layout.names)
    if len(fields) != expected:
        title = layout.positions.get("title")
        if len(fields) < expected or title is None:
            return Parsed([], "unreadable_line")
        fields = put_back(fields, expected, title)
    return Parsed(fields, None)


def _escaped(raw: bytes) -> str:
    """The text of a record that cannot be read, bytes that are no UTF-8 (and NUL) as backslash escapes."""
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _person(
    record: Record, layout: Layout, schema: pa.Schema, required: tuple[str, ...]
) -> dict[str, str | None]:
    """A row of `users.csv` or `favourites.csv`; one that cannot be used says why."""
    row: dict[str, str | None] = dict.fromkeys(schema.names)
    parsed = _parse(record.raw, layout)
    if parsed.defect:
        row["record"] = _encode({"line_number": record.line, "text": _escaped(record.raw)})
        row["problem"] = parsed.defect
        return row
    row["record"] = _encode(dict(zip(layout.names, parsed.fields, strict=True)))
    for name in schema.names:
        position = layout.positions.get(name)
        if position is not None and name not in ("record", "problem"):
            value = parsed.fields[position].strip()
            row[name] = None if is_null_word(value) else value
    missing = [name for name in required if row[name] is None]
    row["problem"] = f"null_{missing[0]}" if missing else None
    return row
