"""Pictures whose bytes a program changed on their way that took them for text: FTP in ASCII mode, git's autocrlf, an editor.

What belongs here: telling that by the bytes. What does not: formats as they should be.

A line end is any byte or two of a picture. Where each LF has a CR before it, or no CR or no LF is left in what no decoder reads any more, line ends
were translated. Decoders often go on: a JPEG is a product of smears then.
"""

import numpy as np

_PNG = (b"\x89PNG\x1a", b"\tPNG\x1a")
"""How a PNG begins but for line ends, of which its first bytes have each kind to show such a translation; the second in seven bits."""

_LEAST = 20
"""Bytes without which nothing is said: the beginning may be cut."""

_SCAN = b"\xff\xda"
_AS_UTF8 = (b"\xc3\xbf\xc3\x98", b"\xef\xbf\xbd\xef\xbf\xbd", b"\xc2\x89PNG", b"\xef\xbf\xbdPNG")
"""First bytes in UTF-8: from Latin-1, and where they could not be read."""

CERTAIN_PAIRS, LIKELY_PAIRS = 4, 2
"""LFs that all have a CR before them: by chance once in 256 for each."""

LIKELY_TIMES = 4
"""How often half of all bytes occur at least, where a CR, or an LF, should as well. Encoders' bytes are not all alike frequent: what decodes
without complaint is no text for want of one. Of even surfaces a few bytes repeat, and tell nothing."""

CERTAIN_PAIRLESS = 1 << 21
"""Bytes without a CR and an LF behind each other, which one in 65,536 places has."""


def begins_as_text(data: bytes) -> bool:
    """Whether the first bytes are a PNG's with other line ends, or such a picture's in UTF-8."""
    first = data[:12].replace(b"\r", b"").replace(b"\n", b"")
    return len(data) >= _LEAST and (first.startswith(_PNG) or data.startswith(_AS_UTF8))


def went_as_text(data: bytes, *, failed: bool) -> bool:
    """Whether the line ends of a picture's bytes were translated. `failed`: no decoder reads it without complaint, so that less is proof enough."""
    scan = data[max(data.find(_SCAN), 0) :]
    feeds = scan.count(b"\n")
    if feeds >= (LIKELY_PAIRS if failed else CERTAIN_PAIRS) and scan.count(b"\r\n") == feeds:
        return True
    if not failed:
        return False
    lacking = (
        not feeds or not scan.count(b"\r") or (len(scan) >= CERTAIN_PAIRLESS and not scan.count(b"\r\n"))
    )
    return lacking and _usual_count(scan) >= LIKELY_TIMES


def _usual_count(data: bytes) -> float:
    """How often a byte occurs, in the median of all 256."""
    return float(np.median(np.bincount(np.frombuffer(data, np.uint8), minlength=256)))
