"""Rows of delimited text: commas, semicolons, tabs, pipes.

What belongs here: taking the file apart into rows without losing any, and finding them again. What does not: what a column means.

The file is read as bytes. A record ends with its line, unless a quoted field goes on. What cannot be read becomes a row too, with a
defect, its line number and its text, so that it can be told from one that never was.
"""

import hashlib
import json
import os
import re
import stat
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

from fashion_assets.sources.readers.reader import Row, RowReader
from fashion_assets.sources.source import SourceError

Quoting = Literal["doubled", "backslash", "none"]
"""How a quote inside a quoted field is written: twice, behind a backslash; or quotes are characters like any other."""

MAX_RECORD_LINES = 200
MAX_LINE_BYTES = 1 << 24
_BOM = b"\xef\xbb\xbf"
_ID = re.compile(rb"(?=[\w-]*\d)[\w-]{1,64}")
_OPEN, _BARE = -1, -2


class Delimited(RowReader):
    """A file of delimited text with a header."""

    format: ClassVar[str] = "delimited"

    def __init__(
        self,
        path: Path,
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        quoting: Quoting | None = None,
        how: Mapping[str, str] | None = None,
    ) -> None:
        """What is null is found out. `how`: that of an earlier opening of the same file, so that nothing needs to be found out
        again. Raises SourceError where there is no such file, it may not be read, is empty, or is no text."""
        self.path = Path(path)
        self.prose: Collection[str] | None = None
        """Columns whose text may hold an unquoted delimiter; who knows what the columns mean sets it before reading rows. A
        surplus of fields is put back into the only such column; where there are several, the row is unreadable."""
        self._file = _opened(self.path)
        try:
            first = self._file.read(len(_BOM))
            self._begin = len(_BOM) if first == _BOM else 0
            self._file.seek(self._begin)
            header = next(_records(self._file, offset=self._begin), None)
            if header is None:
                raise SourceError(
                    f"{self.path} is empty. Its first line must be a header with the columns' names."
                )
            raw, offset, _ = header
            self.columns: Sequence[str] = _unique(_split(raw.decode("utf-8", "backslashreplace")))
            self._file.seek(offset + len(raw))
            rest = self._file.readline(MAX_LINE_BYTES)
            self._begin, self._line = offset + len(raw) + len(rest), 2 + raw.count(b"\n")
        except BaseException:
            self._file.close()
            raise
        names = json.dumps(self.columns, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self._key = hashlib.blake2b(names, digest_size=16).digest()
        self.how: Mapping[str, str] = {"encoding": "utf-8", "delimiter": "comma", "quotes": "doubled"}

    def rows(self) -> Iterator[Row]:
        self._file.seek(self._begin)
        for raw, offset, line in _records(self._file, len(self.columns), offset=self._begin, line=self._line):
            yield self._row(raw, offset, line)

    def again(self, locators: Sequence[str]) -> Iterator[Row]:
        descriptor = self._file.fileno()
        for locator in locators:
            offset, length, line = map(int, locator.split(":"))
            yield self._row(os.pread(descriptor, length, offset), offset, line)

    def close(self) -> None:
        self._file.close()

    def _row(self, raw: bytes, offset: int, line: int) -> Row:
        digest = hashlib.blake2b(raw, digest_size=12, key=self._key).hexdigest()
        locator = f"{offset}:{len(raw)}:{line}"
        defect, fields = None, []
        try:
            text = raw.decode("utf-8")
            if "\0" in text:
                defect = "wrong_encoding"
        except UnicodeDecodeError:
            defect, text = "wrong_encoding", ""
        if defect is None:
            fields = _split(text)
            surplus = len(fields) - len(self.columns)
            if surplus:
                into = [i for i, name in enumerate(self.columns) if name in (self.prose or ())]
                if surplus < 0 or len(into) != 1:
                    defect = "unreadable_line"
                else:
                    fields = _put_back(fields, surplus, into[0])
        if defect is not None:
            shown = raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
            return Row(locator, digest, {}, defect, shown, line)
        return Row(locator, digest, dict(zip(self.columns, fields, strict=True)), None, None, line)


def _opened(path: Path) -> BinaryIO:
    try:
        # What is no file is not waited for: a pipe would never end.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise SourceError(f"There is no {path}. Give the folder that holds {path.name}.") from None
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}. Make it readable for the user this runs as."
        ) from error
    if stat.S_ISDIR(mode := os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{path} is a folder, not a file. Give the folder that holds the file {path.name}.")
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise SourceError(f"{path} is no file but a pipe, a socket or a device. Give a file.")
    return os.fdopen(descriptor, "rb")


def _unique(names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    for position, stated in enumerate(names):
        name = stated or f"column_{position + 1}"
        unique = name
        while unique in found:
            counts[name] = counts.get(name, 1) + 1
            unique = f"{name} ({counts[name]})"
        found[unique] = None
    return list(found)


def _closing_quote(text: str, start: int) -> int:
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


def _split(text: str) -> list[str]:
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
    position = 0
    while True:
        end = _closing_quote(text, position) if text.startswith('"', position) else _BARE
        if end == _OPEN:
            return True
        end = end + 1 if end >= 0 else text.find(",", position)
        if end < 0 or end >= len(text):
            return False
        position = end + 1


def _put_back(fields: list[str], surplus: int, into: int) -> list[str]:
    return [*fields[:into], ",".join(fields[into : into + surplus + 1]), *fields[into + surplus + 1 :]]


def _records(
    file: BinaryIO, columns: int | None = None, *, offset: int = 0, line: int = 1
) -> Iterator[tuple[bytes, int, int]]:
    waiting: deque[bytes] = deque()
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
            yield stripped, offset, line
        offset += len(joined)
        line += lines


def _joined(raw: bytes, file: BinaryIO, waiting: deque[bytes], columns: int | None) -> tuple[bytes, int]:
    joined, used, closed = raw, 0, False
    if not _goes_on(_tolerant(joined)):
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
    return raw.rstrip(b"\r\n").decode("latin-1")


def _is_record(raw: bytes, columns: int) -> bool:
    first, comma, _ = raw.partition(b",")
    return (
        bool(comma) and columns >= 5 and raw.count(b",") >= columns - 1 and _ID.fullmatch(first) is not None
    )
