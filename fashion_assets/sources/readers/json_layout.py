"""How a JSON file is laid out: one object a line, an array of them, an array within an object, or objects behind each other.

What belongs here: telling that from the beginning of a file. What does not: where each object ends (`json_pieces`), reading them (`json_records`).
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from fashion_assets.sources.readers.files import Place
from fashion_assets.sources.readers.json_pieces import STRING, item_end, row_of
from fashion_assets.sources.readers.pieces import Looked, Piece
from fashion_assets.sources.source import SourceError

SAMPLE_BYTES = 1 << 20
"""Looked at to find out how a file is laid out."""

BOM = b"\xef\xbb\xbf"
OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
"""How UTF-16 and UTF-32 begin."""

_DUMP = re.compile(rb'\[\s*+\{\s*+"type"\s*+:\s*+"header"')
_TABLE = re.compile(rb'\{\s*+"type"\s*+:\s*+"table"\s*+,\s*+"name"\s*+:\s*+("[^"\\]*+")')
_OBJECT = re.compile(rb"\s*+\{")
_LIST, _LIST_OF_LISTS = re.compile(rb"\s*+\[(?!\s*+\{)"), re.compile(rb'\[\s*+\[\s*+"')
_KEY_OR_BRACKET = re.compile(rb"(?P<key>" + STRING + rb")\s*+:|" + STRING + rb"|[\[\]{},]", re.S)
_LINES = (".jsonl", ".ndjson", ".jsonlines")
_USUAL = ("products", "items", "listings", "records", "data", "results", "rows")


class Layout(NamedTuple):
    """How a file is laid out, and where its first object begins."""

    kind: str
    """`lines`, `array`, or `objects` behind each other."""
    offset: int
    line: int
    items: str | None = None
    """Dotted path of the array in the object that holds it."""
    within: int = 0
    """How many objects hold the array."""


def find_out(location: Path, sample: bytes, kind: str | None = None, items: str | None = None) -> Layout:
    """How the file is laid out that begins with the sample (of SAMPLE_BYTES, or less where it is all there is), as far as `kind` and `items` do not say it.

    Raises SourceError where that is none, or something else than they say.
    """
    if sample.startswith(OTHER_UNICODE):
        raise SourceError(f"{location} is in UTF-16 or UTF-32. JSON is UTF-8: save it as that.")
    start = len(BOM) if sample.startswith(BOM) else 0
    first = len(sample) - len(sample[start:].lstrip())
    begins = sample[first : first + 1]
    if kind is None and not items:
        kind = _kind_of(location.name.lower(), sample[start:], begins)
    if not items and (tables := _TABLE.findall(sample)) and _DUMP.match(sample, first):
        names = list(dict.fromkeys(map(_name, tables)))
        raise SourceError(
            f"{location} is phpMyAdmin's export of tables ({', '.join(names[:5])}), and a catalogue is one. Export that one as CSV, with its "
            f"columns' names; or take it out: jq '.[] | select(.name == {json.dumps(names[-1])} and .data) | .data'."
        )
    if kind != "array" and not items and len(keys := by_key(sample, first)) > 1:
        raise SourceError(
            f"{location} is one object that holds {len(keys):,} others by their keys ({', '.join(keys[:3])} …), and no array "
            "of them. Write it as an array, each with its key as a member: "
            f"jq '[.. | objects | select(.[\"{keys[0]}\"]?) | to_entries[] | .value + {{id: .key}}]'."
        )
    if not items and (columns := _columns(sample, first)):
        raise SourceError(
            f"{location} is made of lists of values ({columns} …), and a listing is an object: which value belongs to which is not said "
            'for sure. Write it as an array of objects (pandas: to_json(orient="records")).'
        )
    if kind == "lines":
        return Layout("lines", start, 1)
    if kind == "array" and begins == b"[" and not items:
        return _from(sample, first + 1, "array")
    held = {} if _ends_before_another(sample, first) else _arrays(sample, first)
    usual = next((path for path in held if path.rpartition(".")[2] in _USUAL), next(iter(held), None))
    path = items or usual
    if path in held and kind != "objects":
        offset, within = held[path]
        return _from(sample, offset, "array")._replace(items=path, within=within)
    if items or kind == "array":
        wanted = f"array of objects called {items}" if items else "array of objects"
        raise SourceError(
            f"{location} holds no {wanted} in its first {SAMPLE_BYTES:,} bytes, but "
            f"{', '.join(held) or 'none'}. Name its path in the mapping (items)."
        )
    if begins != b"{":
        raise SourceError(
            f"{location} is no JSON of objects: it begins with {sample[first : first + 20]!r}. Name a file of one object "
            "a line, or of an array of objects."
        )
    return _from(sample, first, "objects")


def _from(sample: bytes, offset: int, kind: str) -> Layout:
    return Layout(kind, offset, 1 + sample.count(b"\n", 0, offset))


def _kind_of(name: str, text: bytes, begins: bytes) -> str | None:
    """What a file's name and its text, behind a byte order mark, say of how it is laid out."""
    if not begins:
        return "lines"  # of which there are none
    if begins == b"[":
        return "array"
    for compressed in (".gz", ".zst", ".bz2"):
        name = name.removesuffix(compressed)
    if name.endswith(_LINES) or _is_lines(text, len(text) < SAMPLE_BYTES - len(BOM)):
        return "lines"
    return None


def _is_lines(sample: bytes, whole: bool) -> bool:
    """Whether most of the first lines are an object each; one object that fills a line and the file holds an array, or is the
    only one."""
    lines = [line for line in sample.splitlines()[:51] if line.strip()]
    if not whole and len(lines) > 1 and len(lines) < 51:
        lines.pop()  # it may go on
    sound = sum(
        1
        for line in lines
        if line.lstrip().startswith(b"{") and row_of(Piece(line, Place(0, len(line)), 1)).defect is None
    )
    if len(lines) == 1:
        return bool(sound) and not _arrays(sample, 0)
    return sound * 2 > len(lines)


def _ends_before_another(sample: bytes, start: int) -> bool:
    """Whether the object that begins there ends in the sample, and another follows."""
    end = item_end(sample, Looked(start))
    return end is not None and _OBJECT.match(sample, end) is not None


def _arrays(sample: bytes, start: int) -> dict[str, tuple[int, int]]:
    """The arrays of objects that stand in objects only, by dotted path: where each one's first item begins, in how many objects."""
    found: dict[str, tuple[int, int]] = {}
    path: list[str] = []  # the keys of the objects that are open, and of what stands behind them
    brackets: list[bytes] = []
    arrays = 0
    previous: tuple[bytes, int] = (b"", 0)
    for match in _KEY_OR_BRACKET.finditer(sample, start):
        token = match[0]
        if match["key"] is not None:
            if not arrays and brackets:
                path[len(brackets) - 1 :] = [_name(match["key"])]
        elif token in (b"{", b"["):
            if token == b"{" and previous[0] == b"[" and arrays == 1 and path:
                found.setdefault(".".join(path), (previous[1], len(brackets) - 1))
            brackets.append(token)
            arrays += token == b"["
        elif token in (b"}", b"]") and brackets:
            arrays -= brackets.pop() == b"["
            if not arrays:
                del path[len(brackets) :]
        previous = (token, match.end())
    return found


def by_key(sample: bytes, start: int) -> list[str]:
    """The keys of an object that holds nothing but objects, or of one that is all it holds; none where another object follows."""
    level = 1
    while not _ends_before_another(sample, start):
        keys: list[str] = []
        depth = 0
        for match in _KEY_OR_BRACKET.finditer(sample, start):
            token = match[0]
            if match["key"] is not None:
                if depth == level:
                    follows = sample[match.end() : match.end() + 100].lstrip()[:1]
                    if follows != b"{":
                        return []
                    keys.append(_name(match["key"]))
            elif token in (b"{", b"["):
                depth += 1
            elif token in (b"}", b"]"):
                depth -= 1
                if not depth:
                    break
        if len(keys) != 1 or level == 3:
            return keys
        level += 1
    return []


def _columns(sample: bytes, start: int) -> str | None:
    """What an object of nothing but lists of values begins with, or an array of lists: a table by its columns, or by rows without names; None
    of anything else."""
    if _LIST_OF_LISTS.match(sample, start):
        return "[["
    if not sample.startswith(b"{", start) or _ends_before_another(sample, start):
        return None
    keys: list[str] = []
    depth = 0
    for match in _KEY_OR_BRACKET.finditer(sample, start):
        token = match[0]
        if match["key"] is not None:
            if depth == 1:
                if not _LIST.match(sample, match.end()):
                    return None
                keys.append(_name(match["key"]))
        elif token == b"{":
            if depth:
                return None
            depth += 1
        elif token == b"[":
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if not depth:
                break
    return ", ".join(keys[:3]) if len(keys) > 1 else None


def _name(key: bytes) -> str:
    try:
        return str(json.loads(key))
    except ValueError:
        return key.decode("utf-8", "replace").strip('"')
