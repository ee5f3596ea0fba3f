"""Answers of models, kept in the home: nothing is asked, and nothing paid, twice.

What belongs here: the file, its rows, what batches have of them. What does not: asking (`writing`), which story a product gets (`batches`).

One file of SQLite, written after each answer, so that a run may end anywhere. It is part of a backup.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fashion_assets.errors import FashionAssetsError
from fashion_assets.settings import Settings

FOLDER, FILE = "stories", "answers.sqlite"

WAIT = 60
"""Seconds to wait for another process that writes."""

ASKED = 500
"""Keys of one statement."""

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, story TEXT, refused TEXT, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS spent (model TEXT PRIMARY KEY, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL NOT NULL);
CREATE TABLE IF NOT EXISTS batches (batch TEXT NOT NULL, writer TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (batch, writer));
"""


class StoriesError(FashionAssetsError):
    """Stories cannot be written as things are; the message says why, and what to do."""


class Kept(NamedTuple):
    """What came of asking: a story as JSON, or why there is none that can be used."""

    story: str | None
    refused: str | None


class Answers:
    """The answers of one home. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises `StoriesError` where the file cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
            self._connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise StoriesError(
                f"{path}, which keeps stories that were written, cannot be opened: {error}. Mend its folder, or move the file away: "
                "then they are written, and paid for, again."
            ) from error

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def known(self, keys: Sequence[str]) -> dict[str, Kept]:
        """What was answered to these."""
        found: dict[str, Kept] = {}
        for begin in range(0, len(keys), ASKED):
            part = list(keys[begin : begin + ASKED])
            marks = ",".join("?" * len(part))
            rows = self._connection.execute(
                f"SELECT key, story, refused FROM answers WHERE key IN ({marks})", part
            )
            found |= {key: Kept(story, refused) for key, story, refused in rows}
        return found

    def keep(self, key: str, model: str, kept: Kept) -> None:
        """Keep an answer."""
        self._connection.execute(
            "INSERT OR REPLACE INTO answers (key, model, story, refused) VALUES (?, ?, ?, ?)",
            (key, model, *kept),
        )

    def spent(self, model: str) -> float:
        """What all requests to a model cost."""
        row = self._connection.execute("SELECT cost FROM spent WHERE model = ?", (model,)).fetchone()
        return row[0] if row else 0.0

    def spend(self, model: str, input_tokens: int, output_tokens: int, cost: float) -> None:
        """Count what a request cost."""
        self._connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT (model) DO UPDATE SET input_tokens = input_tokens + excluded.input_tokens, "
            "output_tokens = output_tokens + excluded.output_tokens, cost = cost + excluded.cost",
            (model, input_tokens, output_tokens, cost),
        )

    def note_batch(self, writer: str, batch: str) -> None:
        """That a batch's products have other stories of a writer's than before: their batch is to be made again."""
        self._connection.execute(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?)", (batch, writer, f"{time.time_ns():x}")
        )

    def of_batches(self, writer: str) -> Mapping[str, str]:
        """Of every batch that has any what says which; another one after `note_batch`."""
        return dict(
            self._connection.execute("SELECT batch, content FROM batches WHERE writer = ?", (writer,))
        )


def path_of(settings: Settings) -> Path:
    """Where a home keeps them."""
    return settings.home / FOLDER / FILE
