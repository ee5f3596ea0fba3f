"""What a person's words bring, by the model's vectors alone: a sheet of pictures to look at.

Usage: python benchmarks/words.py HOME SHEET.jpg [WORDS ...]

One row for each WORDS (quote several words), the nearest products of the home's live release from left to right. No full
text and no reading of the words as filters: what is seen is the model's doing.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare

WORDS = (
    "red summer dress for women",
    "black leather wallet",
    "kids blue t-shirt",
    "striped shirt for men",
    "white running shoes",
    "gold earrings",
    "brown handbag",
    "sunglasses",
)
ACROSS, WIDE, HIGH, HEADING = 8, 84, 96, 24


def sheet(rows: list[tuple[str, list[str]]]) -> Image.Image:
    """Words above the pictures they bring, a row each."""
    made = Image.new("RGB", (ACROSS * WIDE, len(rows) * (HIGH + HEADING)), "white")
    draw = ImageDraw.Draw(made)
    for number, (words, paths) in enumerate(rows):
        top = number * (HIGH + HEADING)
        draw.text((6, top + 4), words, fill="black", font=ImageFont.load_default(15))
        for place, path in enumerate(paths):
            picture = load_rgb(path, HIGH)
            picture.thumbnail((WIDE - 8, HIGH - 8))
            made.paste(picture, (place * WIDE + 4, top + HEADING))
    return made


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    settings = Settings(home=Path(sys.argv[1]))
    prepare(settings)
    with SearchEngine.open(settings, size=1) as engine:
        rows = [
            (
                words,
                [
                    hit.image_path
                    for hit in engine.search(Query(words=words, mode="vector", limit=ACROSS)).hits
                ],
            )
            for words in sys.argv[3:] or WORDS
        ]
    sheet(rows).save(sys.argv[2], quality=85)


if __name__ == "__main__":
    main()
