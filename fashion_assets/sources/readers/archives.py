"""Files that are zip archives: which of the many kinds one is, by the names in it.

What belongs here: telling that, and what would mend one that is not read. What does not: reading workbooks (`sheets`).
"""

import zipfile
from pathlib import Path
from typing import Literal

MAGIC = b"PK\x03\x04"

Kind = Literal["workbook", "binary workbook", "OpenDocument", "Numbers", "document", "archive", "damaged"]

_MEND: dict[Kind, str] = {
    "binary workbook": "it is a binary Excel workbook (.xlsb). Save it as .xlsx or as CSV (UTF-8)",
    "OpenDocument": "it is a spreadsheet of OpenDocument (.ods). Save it as .xlsx or as CSV (UTF-8)",
    "Numbers": "it is a spreadsheet of Apple Numbers. Export it as .xlsx or CSV",
    "document": "it is a document of a word processor or a presentation. Export the table as CSV",
    "archive": "it is a zip archive. Unpack it, and give the file or folder with the listings",
    "damaged": "it is a workbook or an archive that is damaged or not whole. Save or copy it anew",
    "workbook": "it is an Excel workbook that was packed once more. Unpack it",
}
_PACKED_IN_OLE = "EncryptedPackage".encode("utf-16-le")
_ENDS = 1 << 20  # of a file, which hold the names in it


def kind_of(path: str | Path) -> Kind:
    """The kind of a file that begins as zip archives do."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.replace("\\", "/").lower() for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "damaged"
    if "[content_types].xml" in names:
        if any(name.endswith("workbook.bin") for name in names):
            return "binary workbook"
        sheets = any("worksheets/" in name and name.endswith(".xml") for name in names)
        return "workbook" if sheets or any(name.endswith("workbook.xml") for name in names) else "document"
    if "content.xml" in names and "mimetype" in names:
        return "OpenDocument"
    return "Numbers" if any(name.endswith(".iwa") for name in names) else "archive"


def is_workbook(path: str | Path, head: bytes) -> bool:
    """Whether a file is a workbook that is read here; `head` are its first bytes."""
    return head.startswith(MAGIC) and kind_of(path) == "workbook"


def mended(path: str | Path) -> str:
    """Of a zip archive that is not read as it is, what it is and what would mend it."""
    return _MEND[kind_of(path)]


def is_encrypted(path: str | Path) -> bool:
    """Whether a file that begins as old Office documents do is a workbook of today under a password."""
    try:
        with open(path, "rb") as file:
            begin = file.read(_ENDS)
            file.seek(max(0, file.seek(0, 2) - _ENDS))
            return _PACKED_IN_OLE in begin or _PACKED_IN_OLE in file.read(_ENDS)
    except OSError:
        return False
