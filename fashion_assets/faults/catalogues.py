"""Small catalogues that differ: some listings changed, some gone, some new, some spoiled, a favourite that leads nowhere.

What belongs here: making number N of them from a drawn one, always the same. What does not: drawing (`sources.drawn`).
"""

import os
import random
import shutil
from pathlib import Path

from fashion_assets.sources.drawn.shop import draw_catalogue

LISTINGS = 36
TABLES = ("styles.csv", "users.csv", "favourites.csv")
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}


def draw(folder: Path, count: int) -> list[Path]:
    """So many folders with a catalogue's tables each; the pictures lie in the first."""
    made = []
    whole = folder / "whole"
    if not (whole / "styles.csv").exists():
        draw_catalogue(whole, LISTINGS)
    for number in range(count):
        own = folder / f"catalogue-{number}"
        own.mkdir(exist_ok=True)
        for name in TABLES:
            lines = (whole / name).read_text(**_ENCODING).splitlines(keepends=True)
            (own / name).write_text("".join(_changed(name, lines, number)), **_ENCODING)
        made.append(own)
    return made


def _changed(table: str, lines: list[str], number: int) -> list[str]:
    chance = random.Random(f"{table}:{number}")
    head, rows = lines[0], lines[1:]
    if table == "users.csv":
        return lines
    if table == "favourites.csv":
        return [head, *(row for row in rows if chance.random() > 0.1), f"u1,nothing-{number}\n"]
    kept = [row for row in rows if chance.random() > 0.06]
    return [head, *(_other(row, number) if chance.random() < 0.25 else row for row in kept)]


def _other(row: str, number: int) -> str:
    for word in (" Men ", " Women ", " Boys ", " Girls ", " Unisex "):
        if word in row:
            return row.replace(word, f"{word}No{number} ", 1)
    return row


def place(catalogue: Path, whole: Path, folder: Path) -> None:
    """Have this catalogue lie in `folder`: its tables there, each replaced at once, the pictures linked."""
    pictures = folder / "images"
    if not pictures.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(whole / "images", pictures, copy_function=os.link)
    for name in TABLES:
        aside = folder / f".{name}.{os.getpid()}"  # two watches' catalogues change at once
        shutil.copy(catalogue / name, aside)
        aside.replace(folder / name)
