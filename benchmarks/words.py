"""What a person's words bring, by the model's vectors alone: a sheet of pictures to look at.

Usage: python benchmarks/words.py HOME SHEET.jpg [WORDS ...]

One row for each WORDS (quote several words), the nearest products of the home's live release from left to right. No full
text and no reading of the words as filters: what is seen is the model's doing.
"""

import sys
from pathlib import Path

from fashion_assets.models.words import ACROSS, WORDS, sheet
from fashion_assets.search.engine import SearchEngine
from fashion_assets.search.query import Query
from fashion_assets.settings import Settings
from fashion_assets.warehouse.database import prepare


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
