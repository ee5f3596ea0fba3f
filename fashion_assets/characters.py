"""Characters that do something where they are shown, made such that are seen; and those that show nothing at all.

What belongs here: which those are, and what is shown instead; what anybody prints or draws goes through here. What does
not: terminals (`terminal`), pages (`html`), and what a listing may hold (`catalog.validation`).

A title may hold the sequences that clear a terminal, set its title or make a link; characters that are read from right to
left hide what a name ends in. Letters, marks and joiners of every script stay as they are.
"""

import json
import re
from typing import Any

# C0 without tab and line feed, DEL, C1; line and paragraph separators; embeddings, overrides and isolates of directions;
# interlinear annotations; halves of surrogate pairs, which no encoding has.
_ACTING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff"
UNSEEN = (
    "\u00ad\u034f\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\u2800\u3164\ufeff\uffa0"
)
"""Characters, as a set of a regular expression has them, that show nothing and say nothing: soft hyphens, blanks without width, byte order
marks, marks of direction, fillers. Joiners between letters are none of them: they change how words of several scripts are written."""

_UNSEEN = re.compile(f"[{UNSEEN}]")
_IN_TEXT = re.compile(f"[{_ACTING}]")
_IN_LINE = re.compile(f"[{_ACTING}\t\n]")


_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}


def narrow(text: str) -> str:
    """The text with the wide letters, digits and signs of Chinese and Japanese keyboards as the ones of ASCII that they are."""
    return text if text.isascii() else text.translate(_WIDE)


def undamaged(text: str) -> str:
    """The text with bytes that were no UTF-8 where a command's words are (`surrogateescape`) read as what they are, as UTF-8 or else as
    Windows' Latin; other halves of characters, which no encoding has, are left out."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        pass
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "ignore").decode()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return (
            data.decode("cp1252", "ignore")
            if not any(ord(letter) > 0xDCFF for letter in text)
            else data.decode("utf-8", "ignore")
        )


def seen(text: str) -> str:
    """The text without characters that show nothing."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def visible(text: str) -> str:
    """The text with such characters written out, `\\x1b` for one; lines and tabs stay."""
    return _IN_TEXT.sub(_written, text)


def visible_line(text: str) -> str:
    """As `visible`, and in one line: ends of lines and tabs are written out as well."""
    return _IN_LINE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def to_json(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON in which letters are themselves, and characters that do something are escapes."""
    return harmless_json(json.dumps(value, indent=indent, default=str, ensure_ascii=False))


def harmless_json(text: str) -> str:
    """JSON with escapes for characters that do something; they can only stand in its strings."""
    return _IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
