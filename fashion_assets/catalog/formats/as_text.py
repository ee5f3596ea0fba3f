"""Pictures whose bytes a program changed on their way that took them for text: FTP in ASCII mode, git's autocrlf, an editor.

What belongs here: telling that by the bytes. What does not: formats as they should be.

A line end is any byte or two of a picture. Where each LF has a CR before it, or no CR or no LF is left of thousands of bytes, line ends were
translated. Decoders often go on: a JPEG is a product of smears then.
"""

_PNG = (b"\x89PNG\x1a", b"\tPNG\x1a")
"""How a PNG begins but for line ends, of which its first bytes have each kind to show such a translation; the second in seven bits."""

_SCAN = b"\xff\xda"
_AS_UTF8 = (b"\xc3\xbf\xc3\x98", b"\xef\xbf\xbd\xef\xbf\xbd", b"\xc2\x89PNG", b"\xef\xbf\xbdPNG")
"""First bytes in UTF-8: from Latin-1, and where they could not be read."""

CERTAIN_PAIRS, LIKELY_PAIRS = 4, 2
"""LFs that all have a CR before them: by chance once in 256 for each."""

CERTAIN_BYTES, LIKELY_BYTES = 6_000, 1_500
"""Bytes without a CR, or an LF: in one of 256 places each is expected, so by chance once in 10^10 and in some hundreds."""

CERTAIN_PAIRLESS = 1 << 21
"""Bytes without a CR and an LF behind each other, which one in 65,536 places has."""

_VARIED = 150
"""Different bytes: of blank pictures, whose bytes are few, nothing is said."""


def begins_as_text(data: bytes) -> bool:
    """Whether the first bytes are a PNG's with other line ends, or such a picture's in UTF-8."""
    first = data[:12].replace(b"\r", b"").replace(b"\n", b"")
    return first.startswith(_PNG) or data.startswith(_AS_UTF8)


def went_as_text(data: bytes, *, failed: bool) -> bool:
    """Whether the line ends of a picture's bytes were translated. `failed`: no decoder reads it without complaint, so that less is proof enough."""
    scan = data[max(data.find(_SCAN), 0) :]
    feeds = scan.count(b"\n")
    if feeds >= (LIKELY_PAIRS if failed else CERTAIN_PAIRS) and scan.count(b"\r\n") == feeds:
        return True
    if len(scan) < (LIKELY_BYTES if failed else CERTAIN_BYTES):
        return False
    returns = scan.count(b"\r")
    lacking = (
        not feeds or not returns or (failed and len(scan) >= CERTAIN_PAIRLESS and not scan.count(b"\r\n"))
    )
    return lacking and len(set(scan)) >= _VARIED
