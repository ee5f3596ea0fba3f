import io
import os
import warnings
from random import Random

import numpy as np
import pytest
from PIL import Image

from fashion_assets.catalog import pictures
from fashion_assets.catalog.pictures import (
    IMAGE_TOO_LARGE,
    Picture,
    load_rgb,
    probe,
    probe_file,
    rgb_pixels,
    to_rgb,
)
from fashion_assets_tests.catalogue import draw_picture

MEGAPIXELS = 64_000_000


def save(path, image: Image.Image, **options):
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_sound_and_cut(tmp_path, kind):
    picture = Image.effect_mandelbrot((90, 120), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    path = tmp_path / "picture"
    uri = save(path, picture, format=kind)
    assert probe(uri, MEGAPIXELS) == Picture(90, 120)
    whole = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert probe(uri, MEGAPIXELS) == "image_truncated"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_is_read_to_its_end(tmp_path, progressive):
    path = tmp_path / "large.jpg"
    noise = Image.effect_noise((1600, 1200), 60).convert("RGB")
    uri = save(path, noise, quality=90, progressive=progressive)
    assert probe(uri, MEGAPIXELS) == Picture(1600, 1200)
    whole = path.read_bytes()
    for lost in (2, 40, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:-lost])
        assert probe(uri, MEGAPIXELS) == "image_truncated", lost


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.4 ...", b"<svg/>", b"\0" * 1000, b"%!PS-Adobe-3.0 EPSF"]
)
def test_what_is_no_picture(tmp_path, content):
    path = tmp_path / "1.jpg"
    path.write_bytes(content)
    assert probe(str(path), MEGAPIXELS) == "image_not_an_image"


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert probe(str(tmp_path), MEGAPIXELS) == "image_not_an_image"
    assert probe(str(tmp_path / "pipe"), MEGAPIXELS) == "image_not_an_image"
    assert probe(str(tmp_path / "missing"), MEGAPIXELS) == "image_missing"
    assert probe(str(tmp_path / "a\0b"), MEGAPIXELS) == "image_missing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    uri = save(tmp_path / "1.png", Image.new("RGB", (5, 5)))
    os.chmod(uri, 0)
    assert probe(uri, MEGAPIXELS) == "image_unreadable"


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000])
def test_a_bomb_is_not_decoded(tmp_path, side):
    uri = save(tmp_path / "bomb.png", Image.new("1", (side, side)), optimize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        assert probe(uri, MEGAPIXELS) == "image_too_large"
    limit = Image.MAX_IMAGE_PIXELS
    assert limit is not None and limit < 10**8  # Pillow's own guard is as it was


def test_the_limit_is_in_pixels(tmp_path):
    uri = save(tmp_path / "1.png", Image.new("RGB", (10, 10)))
    assert probe(uri, 100) == Picture(10, 10)
    assert probe(uri, 99) == "image_too_large"


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n\0\0", b"GIF89a"])
def test_a_picture_cut_in_its_header(tmp_path, start):
    path = tmp_path / "1"
    path.write_bytes(start)
    assert probe(str(path), MEGAPIXELS) == "image_truncated"


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (200, 10, 30), (200, 10, 30)),
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 0), (255, 255, 255)),
        ("I;16", 51400, (200, 200, 200)),
    ],
)
def test_everything_becomes_rgb(tmp_path, mode, colour, expected):
    uri = save(tmp_path / "1.png", Image.new(mode, (7, 5), colour))
    image = load_rgb(uri)
    assert image.mode == "RGB" and image.size == (7, 5)
    found = image.getpixel((3, 3))
    assert isinstance(found, tuple) and all(abs(a - b) <= 1 for a, b in zip(found, expected, strict=True))


def test_palette_with_transparency_and_cmyk(tmp_path):
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 1)
    image = load_rgb(save(tmp_path / "1.gif", palette, transparency=1))
    assert image.getpixel((0, 0)) == (255, 255, 255) and image.getpixel((2, 2)) == (10, 20, 30)
    ink = load_rgb(save(tmp_path / "1.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0))))
    red, green, blue = ink.getpixel((4, 4))  # pyright: ignore[reportGeneralTypeIssues]
    assert ink.mode == "RGB" and red > 200 and green < 40 and blue < 40


def test_the_exif_turn_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40)).save(buffer, "JPEG", exif=exif)
    (tmp_path / "1.jpg").write_bytes(buffer.getvalue())
    assert load_rgb(str(tmp_path / "1.jpg")).size == (40, 60)


def test_a_hint_makes_large_pictures_small_but_not_too_small(tmp_path):
    uri = save(tmp_path / "1.jpg", Image.new("RGB", (1800, 2400)))
    assert load_rgb(uri, 224).size == (225, 300)
    assert load_rgb(uri, 500).size == (900, 1200)
    assert load_rgb(uri).size == (1800, 2400)


def test_bytes_in_memory_are_judged_as_files_are(tmp_path):
    draw_picture(tmp_path / "7.jpg", 7)
    sound = (tmp_path / "7.jpg").read_bytes()
    for content in (sound, sound[:-400], sound[:30], b"", b"%PDF-1.7"):
        (tmp_path / "x.jpg").write_bytes(content)
        assert probe_file(io.BytesIO(content), 10_000) == probe(str(tmp_path / "x.jpg"), 10_000)
    assert probe_file(io.BytesIO(sound), 10_000) == (60, 80)
    assert probe_file(io.BytesIO(sound), 100) == IMAGE_TOO_LARGE


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(60, 80), (1, 1), (8, 9), (333, 517), (600, 799), (1800, 2400)])
def test_both_decoders_give_the_same_pixels(size):
    picture = Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 40).convert("RGB")
    red, green, blue = picture.split()
    picture = Image.merge("RGB", (red, green.transpose(Image.Transpose.FLIP_LEFT_RIGHT), blue))
    options = [{"subsampling": sampling} for sampling in (0, 1, 2)] + [{"progressive": True}]
    for content in [*(jpeg(picture, **each) for each in options), jpeg(picture.convert("L"))]:
        for hint in (None, 96, 128, 224, 10_000):
            expected = np.asarray(load_rgb(io.BytesIO(content), hint))
            size_stored = pictures._everyday_jpeg(content)
            assert size_stored == size
            decoded = pictures._decoded(content, size_stored, pictures._shrinking(size_stored, hint))
            assert np.array_equal(decoded, expected) and np.array_equal(rgb_pixels(content, hint), expected)


def test_what_the_fast_decoder_finds_odd_is_left_to_pillow(tmp_path):
    picture = Image.effect_mandelbrot((60, 80), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    assert rgb_pixels(jpeg(picture, exif=turned)).shape == (60, 80, 3)
    ink = jpeg(picture.convert("CMYK"))
    assert np.array_equal(rgb_pixels(ink), np.asarray(load_rgb(io.BytesIO(ink))))
    whole = jpeg(picture)
    # It would fill up what is missing: in strict mode it says so instead.
    for content in (whole[:-2], whole[:-40], whole[:400], whole[:30]):
        size = pictures._everyday_jpeg(content)
        assert size is None or pictures._decoded(content, size, 1) is None
        with pytest.raises(OSError):
            rgb_pixels(content)
    # Bytes between two markers are no fault to Pillow; the other warns of them.
    start = whole.index(b"\xff\xdb")
    loose = whole[:start] + b"loose" + whole[start:]
    assert pictures._decoded(loose, Picture(60, 80), 1) is None
    (tmp_path / "1.jpg").write_bytes(loose)
    assert probe(str(tmp_path / "1.jpg"), MEGAPIXELS) == probe_file(io.BytesIO(loose), MEGAPIXELS)


def test_a_jpeg_over_the_limit_is_not_decoded(tmp_path, monkeypatch):
    uri = save(tmp_path / "1.jpg", Image.new("RGB", (100, 100)))
    assert probe(uri, 10_000) == Picture(100, 100) and probe(uri, 9_999) == "image_too_large"
    # One that is large for a file is read by Pillow from its beginning.
    monkeypatch.setattr(pictures, "_EVERYDAY_BYTES", 50)
    assert probe(uri, 10_000) == Picture(100, 100)
    monkeypatch.setattr(pictures, "_EVERYDAY_PIXELS", 9_999)
    assert pictures._everyday_jpeg((tmp_path / "1.jpg").read_bytes()) is None


def test_a_damaged_jpeg_is_sound_to_both_decoders_or_to_neither():
    """Bytes changed, added, lost: where the fast one finds nothing odd, Pillow says the same and has the same pixels."""
    random = Random(0)
    picture = Image.effect_mandelbrot((60, 80), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    whole = [jpeg(picture, subsampling=0), jpeg(picture, subsampling=2), jpeg(picture, progressive=True)]
    agreed = {"sound": 0, "left to Pillow": 0}
    for _ in range(600):
        content = bytearray(random.choice(whole))
        place = random.randrange(len(content))
        match random.randrange(4):
            case 0:
                content[place] = random.randrange(256)
            case 1:
                content[place:place] = random.randbytes(random.choice((1, 3, 20)))
            case 2:
                del content[place : place + random.choice((1, 4, 50))]
            case _:
                del content[place:]
        damaged = bytes(content)
        size = pictures._everyday_jpeg(damaged)
        decoded = None if size is None else pictures._decoded(damaged, size, 1)
        if decoded is None:
            agreed["left to Pillow"] += 1
            continue
        agreed["sound"] += 1
        assert probe_file(io.BytesIO(damaged), MEGAPIXELS) == size
        assert np.array_equal(decoded, np.asarray(to_rgb(Image.open(io.BytesIO(damaged)))))
    assert min(agreed.values()) > 100, agreed
