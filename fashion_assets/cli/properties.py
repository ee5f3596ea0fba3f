"""The command that reads properties from the text of listings."""

import gzip
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO

import typer

from fashion_assets.characters import to_json, visible_line
from fashion_assets.cli.app import app, err, fail

LONGEST_LINE = 64 << 20
"""Bytes of a line; a longer one is told as a bad line, and never held."""


@app.command("properties")
def properties(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.jsonl",
            help="JSON lines, one listing each: title, description, anything else; may be compressed. - for standard input.",
            show_default=False,
        ),
    ],
) -> None:
    """What listings say of themselves: colour, material, condition, size and more, each with confidence and evidence; a JSON line each.

    A field that states a property wins over what the text says. A line that cannot be read gives a line with its error, is told with its
    number, and stops nothing; the exit code is 1 then.
    """
    from fashion_assets.catalog.ontology.reading import read
    from fashion_assets.sources.statements import statements

    bad = number = 0
    with _opened(file) as stream:
        for number, raw in _lines(stream):
            record = _record(raw, number)
            if isinstance(record, str):
                bad += 1
                err.print(f"[yellow]{visible_line(record)}[/]", soft_wrap=True, highlight=False)
                print(to_json({"line": number, "error": record}))
                continue
            told = statements(record)
            said = read(told.title, told.description, told.stated).to_dict()
            print(to_json({"id": told.id, **said} if told.id is not None else said))
    sys.stdout.flush()
    if bad:
        fail(
            f"{bad:,} of {number:,} lines could not be read; the others are printed. Mend them, and read those again."
        )


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file != "-":
        from fashion_assets.sources.readers.files import SourceFile

        with SourceFile(file).opened() as stream:
            yield stream
        return
    stream = io.BufferedReader(sys.stdin.buffer)  # type: ignore[type-var]
    if stream.peek(2)[:2] == b"\x1f\x8b":
        with gzip.open(stream) as unpacked:
            yield unpacked  # type: ignore[misc]
        return
    yield stream


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers; None for one that is too long."""
    number = 0
    while raw := stream.readline(LONGEST_LINE):
        number += 1
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif raw.strip() not in (b"", b"\xef\xbb\xbf"):
            yield number, raw


def _record(raw: bytes | None, number: int) -> dict[str, Any] | str:
    """The record of a line, or what is wrong with it."""
    import json

    if raw is None:
        return f"line {number} is longer than {LONGEST_LINE >> 20} MB"
    try:
        found = json.loads(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"line {number} is not UTF-8: {error.reason} at byte {error.start}"
    except json.JSONDecodeError as error:
        return f"line {number} is not JSON: {error.msg} at column {error.colno}"
    except (RecursionError, ValueError) as error:
        return f"line {number} cannot be read: {error}"
    if not isinstance(found, dict):
        return f'line {number} is no JSON object, as {{"title": …}}, but {type(found).__name__}'
    return found


def records_of(file: str) -> Iterator[dict[str, Any]]:
    """The records of a file that can be read; the others are left out."""
    with _opened(file) as stream:
        for number, raw in _lines(stream):
            if isinstance(record := _record(raw, number), dict):
                yield record
