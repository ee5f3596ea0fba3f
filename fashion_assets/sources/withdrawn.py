"""What records say of being offered no longer, or not yet: drafts, what was archived or deleted.

What belongs here: telling such records by their columns, for people to be told. What does not: leaving any out, which whoever exports
them decides; what a column means for a product (`sources.mapping`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fashion_assets.sources.columns import folded
from fashion_assets.sources.expressions import as_text, states

_STATED = ("deleted_at", "deleted_on", "date_deleted", "archived_at", "removed_at")
_TRUE = ("deleted", "is_deleted", "archived", "is_archived", "hidden", "is_hidden", "draft", "is_draft")
_FALSE = ("active", "is_active", "published", "is_published", "published_on_online_store", "visible", "is_visible", "enabled", "is_enabled")  # fmt: skip
_STATUS = ("status", "product_status", "post_status", "publication_status")
_YES = frozenset(("1", "true", "t", "yes", "y"))
_NO = frozenset(("0", "-1", "false", "f", "no", "n"))
_OUT = frozenset(
    ("draft", "archived", "deleted", "inactive", "disabled", "unpublished", "hidden", "trash", "unlisted")
)
_SAYS = {
    **{folded(name): None for name in _STATED},
    **{folded(name): _YES for name in _TRUE},
    **{folded(name): _NO for name in _FALSE},
    **{folded(name): _OUT for name in _STATUS},
}
"""By folded name, the values that say so; None: any that states anything."""


class Withdrawn:
    """Counts such records as they go by."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = [(name, _SAYS[folded(name)]) for name in columns if folded(name) in _SAYS]
        self._looked = self._met = 0
        self._example = ""

    @property
    def watches(self) -> bool:
        """Whether any column says it."""
        return bool(self._columns)

    def learn(self, values: Mapping[str, Any]) -> None:
        """Look at a record's values."""
        self._looked += 1
        for name, says in self._columns:
            value = values.get(name)
            if value is None:
                continue
            text = as_text(value).strip()
            if states(text) if says is None else text.casefold() in says:
                self._met += 1
                self._example = self._example or f"{name} is {text[:40]}"
                return

    @property
    def notes(self) -> list[str]:
        """What people should know, a clause."""
        if not self._met:
            return []
        return [
            f"{self._met:,} of {self._looked:,} listings are said to be offered no longer or not yet ({self._example} of the first): they become "
            "products as others do. Where that is not meant, leave them out of the export, or by where in the mapping"
        ]
