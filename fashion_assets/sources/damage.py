"""Texts that a system damaged on their way here, as they were before: encoded twice, escaped for a page, kept as a formula.

What belongs here: damage that shows by itself and can be undone without doubt. What does not: which encoding a file has
(`readers.encoding`), ids that lost digits (`notations`).
"""

import html
import re

_FURTHER = (
    "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
_TWO_BYTES = "[\u00c4\u00c5\u00ce-\u00d1\u00d7-\u00db]"
_ENCODED_TWICE = re.compile(
    f"[\u00c2\u00c3]{_FURTHER}|{_TWO_BYTES}{_FURTHER}.*{_TWO_BYTES}{_FURTHER}|[\u00e0-\u00f4]{_FURTHER}{{2}}",
    re.DOTALL,
)
"""What characters in UTF-8 look like to who takes their bytes for Windows' or ISO's Latin: `Ã¼`, `â€™`, and twice what one word may
hold by chance."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_OF_JSON = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_OF_BYTES = re.compile(r"(?:[%=][c-fC-F][0-9a-fA-F](?:[%=][89abAB][0-9a-fA-F])+)+")
"""Escapes of JSON, `Gr\\u00fcn`; and of characters beyond ASCII in addresses and mails, `Gr%C3%BCn`, `Gr=C3=BCn`."""

_MARKUP = re.compile(
    r"</?(?:(p|br|div|h[1-6]|ul|ol|li|td|tr|table)|b|i|u|em|strong|small|big|span|font|a|sup|sub|mark|center|nobr|wbr)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
"""Tags that shops put into texts to have them shown so; those that begin a line."""

_FORMULA = re.compile(r'="([^"]*)"')


def undamaged(text: str) -> str:
    """The text as it was: `GrÃ¼n`, `Gr\\u00fcn` and `Gr%C3%BCn` are Grün, `Levi&#39;s` Levi's."""
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if "\\u" in text and _OF_JSON.search(text):
        text = _OF_JSON.sub(_unescaped, text)
    if ("%" in text or "=" in text) and _OF_BYTES.search(text):
        text = _OF_BYTES.sub(_decoded, text)
    if text.isascii() or not _ENCODED_TWICE.search(text):
        return text
    try:
        return _as_bytes(text).decode("utf-8")
    except UnicodeError:  # it is what it looks like
        return text


def without_markup(text: str) -> str:
    """The text without tags that pages of shops have: `<b>Red</b> shirt<br>of wool` is `Red shirt of wool`."""
    if "<" not in text:
        return text
    return _MARKUP.sub(lambda found: " " if found[1] else "", text)


def out_of_formula(text: str) -> str:
    """What spreadsheets are made to keep as a text: `="0012"` is 0012."""
    found = _FORMULA.fullmatch(text) if text.startswith("=") else None
    return found[1] if found else text


def _unescaped(found: re.Match[str]) -> str:
    units = [int(unit, 16) for unit in found[0].split("\\u")[1:]]
    try:
        return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be")
    except UnicodeError:  # half of a pair
        return found[0]


def _decoded(found: re.Match[str]) -> str:
    try:
        return bytes.fromhex(re.sub("[%=]", "", found[0])).decode("utf-8")
    except UnicodeError:
        return found[0]


def _as_bytes(text: str) -> bytes:
    """The bytes that were taken for this text; of the five that mean nothing in Windows' Latin, ISO's is taken."""
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError:
        return b"".join(
            bytes((ord(letter),)) if "\x80" <= letter < "\xa0" else letter.encode("cp1252") for letter in text
        )
