"""What a story is, and reading stories as other systems wrote them.

What belongs here: the shape, and the names other systems have for its parts. What does not: writing one (`writing`).
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

MOODS = (
    "neutral",
    "appreciative",
    "excited",
    "nostalgic",
    "joyful",
    "confident",
    "romantic",
    "adventurous",
    "peaceful",
    "empowered",
    "melancholic",
    "celebratory",
    "bittersweet",
)
"""Moods a story may have."""


class Story(NamedTuple):
    """A product's story."""

    narrative: str
    mood: str = "neutral"
    memories: tuple[str, ...] = ()
    writer: str = "unknown"
    """Which writer made it."""
    version: str = ""
    """Of the writer: another one writes other stories of the same records."""

    def as_json(self) -> str:
        """As it is kept, keys in this order."""
        said = {
            "narrative": self.narrative,
            "mood": self.mood,
            "memories": list(self.memories),
            "writer": self.writer,
            "version": self.version,
        }
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def read_story(kept: Any) -> Story | None:
    """A story from JSON, as text or taken apart: its words under `narrative` or `text`, memories as texts or as objects with a
    `description`. None where there are no words."""
    if isinstance(kept, str | bytes):
        try:
            kept = json.loads(kept)
        except (ValueError, RecursionError):
            return None
    if not isinstance(kept, Mapping):
        return None
    words = next(
        (said for key in ("narrative", "text") if isinstance(said := kept.get(key), str) and said.strip()),
        None,
    )
    if words is None:
        return None
    mood = str(kept.get("mood") or "neutral").strip().lower()
    listed = kept.get("memories")
    memories = [_memory(each) for each in listed] if isinstance(listed, list) else []
    return Story(
        words.strip(),
        mood if mood in MOODS else "neutral",
        tuple(memory for memory in memories if memory),
        str(kept.get("writer") or "unknown"),
        str(kept.get("version") or ""),
    )


def _memory(kept: Any) -> str:
    said = kept.get("description") if isinstance(kept, Mapping) else kept
    return said.strip() if isinstance(said, str) else ""
