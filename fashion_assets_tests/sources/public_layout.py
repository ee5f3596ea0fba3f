"""Catalogues of the public layout for tests, with a picture for each listing."""

from pathlib import Path

from PIL import Image

from fashion_assets.sources.known_mappings import PUBLIC, load_mapping
from fashion_assets.sources.mapped import Mapped
from fashion_assets.sources.mapping import Held
from fashion_assets_tests.catalog.keyed import read_all

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
SHIRT = "1,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt"

LENIENT = load_mapping(PUBLIC).model_copy(update={"profile": Held(critical=())})
"""The public catalogue's mapping for files with few columns."""


def write(folder: Path, content: str | bytes, pictures: tuple[str, ...] = ("1",)) -> Mapped:
    (folder / "images").mkdir(exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    (folder / "styles.csv").write_bytes(raw)
    for number, name in enumerate(pictures):
        Image.new("RGB", (6, 8), (number, 90, 30)).save(folder / "images" / f"{name}.jpg")
    return Mapped("shop", folder, LENIENT)


def rows(source: Mapped) -> list[dict]:
    return read_all(source).to_pylist()
