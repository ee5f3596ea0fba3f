"""The way back: `normalized` out of every document that has ours, and what stood there before back into its place.

What belongs here: what is undone. What does not: going through the documents (`walk`).
"""

from collections.abc import Sequence

from fashion_assets.backfill import register
from fashion_assets.backfill.register import Progress
from fashion_assets.backfill.table import Key, Row
from fashion_assets.backfill.walk import Page, Walk
from fashion_assets.catalog import wardrobe


class Rollback(Walk):
    """Takes away what runs wrote, in whichever version. Documents without it are left as they are, others' `normalized`, too."""

    way = "rollback"

    def may_begin(self, found: Progress | None) -> None:
        """At any time: a run that stopped half way is undone as far as it came."""
        if found is None or found.way == "run" or found.state == "done":
            register.unpark_all(self.conn, self.table.target)

    def judged(self, rows: Sequence[Row]) -> Page:
        page = Page(list(rows))
        page.write = [row.key for row in rows if has_ours(row)]
        if others := len(rows) - len(page.write):
            page.counts["unchanged"] = others
        return page

    def written(self, write: Sequence[Key]) -> set[Key]:
        return self.table.unwrite(write)

    def key_of(self, write: Key) -> Key:
        return write

    def left(self) -> int:
        return self.table.ours()

    def finished(self) -> None:
        register.forget_before(self.conn, self.table.target)


def has_ours(row: Row) -> bool:
    """Whether a run wrote what is at the root of the document."""
    return isinstance(row.normalized, dict) and wardrobe.is_ours(
        _text(row.normalized.get("normalized_version"))
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
