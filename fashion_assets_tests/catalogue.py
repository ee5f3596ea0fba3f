"""Small catalogues for tests: real folders, real JPEGs, each picture different."""

from pathlib import Path

from PIL import Image, ImageDraw

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
COLOURS = ("Red", "Blue", "Green", "Black", "White", "Yellow", "Pink", "Grey")


def draw_picture(path: Path, number: int) -> None:
    """A garment-like shape whose colour and place depend on the number: no two are alike."""
    image = Image.new("RGB", (60, 80), "white")
    colour = COLOURS[number % len(COLOURS)].lower()
    ImageDraw.Draw(image).rectangle(
        (10 + number % 7, 15, 45 + number % 5, 60 + number % 11), fill=colour, outline="black"
    )
    image.putpixel((number % 60, (number // 60) % 80), (number % 256, 7, 9))
    image.save(path, "JPEG", quality=95)


def line(number: int, title: str | None = None) -> str:
    colour = COLOURS[number % len(COLOURS)]
    title = title or f"Puma Men {colour} T-shirt {number}"
    return f"{number},Men,Apparel,Topwear,Tshirts,{colour},Summer,2012,Casual,{title}"


def write_catalogue(folder: Path, size: int, first: int = 1) -> Path:
    """`size` sound listings with ids from `first` on."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + size)
    write_lines(folder, [line(number) for number in numbers])
    for number in numbers:
        draw_picture(folder / "images" / f"{number}.jpg", number)
    return folder


def write_lines(folder: Path, lines: list[str]) -> None:
    (folder / "styles.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")


def replace_line(folder: Path, number: int, new: str) -> None:
    """Put another line in place of listing `number`'s."""
    path = folder / "styles.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    index = next(i for i, text in enumerate(lines) if text.startswith(f"{number},"))
    lines[index] = new
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
