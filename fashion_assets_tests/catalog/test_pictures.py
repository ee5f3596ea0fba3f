import io
import os
import warnings
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageOps

from fashion_assets.catalog import formats, pictures, validation
from fashion_assets.catalog.formats.outlines import Picture, PictureError
from fashion_assets.catalog.listing import PictureFolders
from fashion_assets.catalog.pictures import Limits, PictureFile, load_rgb, probe, rgb_pixels
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import embedding_space
from fashion_assets_tests import hostile
from fashion_assets_tests.catalog.judged import probe_bytes
from fashion_assets_tests.catalogue import draw_picture
from fashion_assets_tests.test_memory import Counted

LIMITS = Limits()


def save(path, image: Image.Image, **options):
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_sound_and_cut(tmp_path, kind):
    picture = Image.effect_mandelbrot((90, 120), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    path = tmp_path / "picture"
    uri = save(path, picture, format=kind)
    assert probe(uri, LIMITS) == Picture(90, 120)
    whole = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert probe(uri, LIMITS) == "image_truncated"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_jpeg_is_read_to_its_end(tmp_path, progressive):
    path = tmp_path / "large.jpg"
    noise = Image.effect_noise((1600, 1200), 60).convert("RGB")
    uri = save(path, noise, quality=90, progressive=progressive)
    assert probe(uri, LIMITS) == Picture(1600, 1200)
    whole = path.read_bytes()
    for lost in (2, 40, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:-lost])
        assert probe(uri, LIMITS) == "image_truncated", lost


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.4 ...", b"<svg/>", b"\0" * 1000, b"%!PS-Adobe-3.0 EPSF"]
)
def test_what_is_no_picture(tmp_path, content):
    path = tmp_path / "1.jpg"
    path.write_bytes(content)
    assert probe(str(path), LIMITS) == "image_not_an_image"


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert probe(str(tmp_path), LIMITS) == "image_not_an_image"
    assert probe(str(tmp_path / "pipe"), LIMITS) == "image_not_an_image"
    assert probe(str(tmp_path / "missing"), LIMITS) == "image_missing"
    assert probe(str(tmp_path / "a\0b"), LIMITS) == "image_missing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    uri = save(tmp_path / "1.png", Image.new("RGB", (5, 5)))
    os.chmod(uri, 0)
    assert probe(uri, LIMITS) == "image_unreadable"


@pytest.mark.parametrize("side", [9_000, 12_000, 20_000])
def test_a_bomb_is_not_decoded(tmp_path, side):
    uri = save(tmp_path / "bomb.png", Image.new("1", (side, side)), optimize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        assert probe(uri, LIMITS) == "image_too_large"
    limit = Image.MAX_IMAGE_PIXELS
    assert limit is not None and limit < 10**8  # Pillow's own guard is as it was


def test_the_limits_are_in_pixels_and_bytes(tmp_path):
    uri = save(tmp_path / "1.png", Image.new("RGB", (10, 10)))
    assert probe(uri, Limits(max_pixels=100)) == Picture(10, 10)
    assert probe(uri, Limits(max_pixels=99)) == "image_too_large"
    size = os.path.getsize(uri)
    assert probe(uri, Limits(max_bytes=size)) == Picture(10, 10)
    assert probe(uri, Limits(max_bytes=size - 1)) == "image_file_too_large"


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n\0\0", b"GIF89a"])
def test_a_picture_cut_in_its_header(tmp_path, start):
    path = tmp_path / "1"
    path.write_bytes(start)
    assert probe(str(path), LIMITS) == "image_truncated"


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
        assert probe_bytes(content, LIMITS) == probe(str(tmp_path / "x.jpg"), LIMITS)
    assert probe_bytes(sound, LIMITS) == (60, 80)
    assert probe_bytes(sound, Limits(max_pixels=100)) == "image_too_large"
    assert probe_bytes(sound, Limits(max_bytes=100)) == "image_file_too_large"


def mandelbrot(size: tuple[int, int]) -> Image.Image:
    """A picture of which no part is like another, in any channel."""
    picture = Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 40).convert("RGB")
    red, green, blue = picture.split()
    return Image.merge("RGB", (red, green.transpose(Image.Transpose.FLIP_LEFT_RIGHT), blue))


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(content: bytes, hint: int | None = None) -> np.ndarray:
    """What Pillow alone makes of a sound JPEG."""
    image = Image.open(io.BytesIO(content))
    if hint is not None:
        image.draft(None, (hint, hint))
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("size", [(60, 80), (1, 1), (8, 9), (333, 517), (600, 799), (1800, 2400)])
def test_both_decoders_give_the_same_pixels(size):
    picture = mandelbrot(size)
    options = [{"subsampling": sampling} for sampling in (0, 1, 2)] + [{"progressive": True}]
    for content in [*(jpeg(picture, **each) for each in options), jpeg(picture.convert("L"))]:
        for hint in (None, 96, 128, 224, 10_000):
            expected = by_pillow(content, hint)
            decoded = pictures._decoded_jpeg(
                content, Picture(*size), pictures._shrinking(Picture(*size), hint)
            )
            assert decoded is not None and np.array_equal(decoded, expected)
            assert np.array_equal(rgb_pixels(content, hint), expected)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "CMYK", "PNG", "WEBP", "TIFF"])
def test_every_turn_is_what_pillow_makes_of_it(turn, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = mandelbrot((60, 40)).convert("CMYK" if kind == "CMYK" else "RGB")
    picture.save(stream, "JPEG" if kind == "CMYK" else kind, exif=exif, **lossless)
    content = stream.getvalue()
    assert probe_bytes(content, LIMITS) == (60, 40)
    assert np.array_equal(rgb_pixels(content), by_pillow(content))


def test_what_the_fast_decoder_finds_odd_is_left_to_pillow():
    picture = mandelbrot((60, 80))
    ink = jpeg(picture.convert("CMYK"))
    assert np.array_equal(rgb_pixels(ink), by_pillow(ink))
    whole = jpeg(picture)
    # It would fill up what is missing: in strict mode it says so instead.
    for content in (whole[:-2], whole[:-40], whole[:400], whole[:30]):
        assert pictures._decoded_jpeg(content, Picture(60, 80), 1) is None
        with pytest.raises(PictureError, match="truncated"):
            rgb_pixels(content)
    # Bytes between two markers are no fault to Pillow; the other warns of them.
    start = whole.index(b"\xff\xdb")
    loose = whole[:start] + b"loose" + whole[start:]
    assert pictures._decoded_jpeg(loose, Picture(60, 80), 1) is None
    assert probe_bytes(loose, LIMITS) == (60, 80)
    assert np.array_equal(rgb_pixels(loose), by_pillow(whole))


def test_a_jpeg_over_the_limit_is_not_decoded(monkeypatch):
    content = jpeg(Image.new("RGB", (100, 100)))
    for everyday in (True, False):
        assert (PictureFile(content, LIMITS)._everyday() is not None) == everyday
        assert probe_bytes(content, Limits(max_pixels=10_000)) == Picture(100, 100)
        assert probe_bytes(content, Limits(max_pixels=9_999)) == "image_too_large"
        # One that is large for a file, or has EXIF, is taken apart first.
        monkeypatch.setattr(pictures, "UNCOUNTED", 200)


def test_a_damaged_jpeg_is_sound_to_both_decoders_or_to_neither():
    """Bytes changed, added, lost: where the fast one finds nothing odd, Pillow says the same and has the same pixels."""
    random = Random(0)
    picture = mandelbrot((60, 80))
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
        size = pictures._usual_size(damaged)
        decoded = None if size is None else pictures._decoded_jpeg(damaged, size, 1)
        if decoded is None:
            agreed["left to Pillow"] += 1
            continue
        agreed["sound"] += 1
        assert probe_bytes(damaged, LIMITS) == size
        assert np.array_equal(decoded, by_pillow(damaged))
    assert min(agreed.values()) > 100, agreed


@pytest.mark.parametrize(("megabytes", "together"), [(220, 2), (60, 1)])
def test_pictures_are_decoded_side_by_side_as_far_as_memory_goes(tmp_path, monkeypatch, megabytes, together):
    """In threads of validation and of the encoder alike; what is too large for that waits until it is alone."""
    picture = hostile.png(3_000, 3_000)
    paths = [str(tmp_path / f"{number}.png") for number in range(8)]
    for path in paths:
        Path(path).write_bytes(picture)
    monkeypatch.setattr(validation, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(validation, "_CHUNK", 1)
    budget = Counted(megabytes * 2**20)
    limits = Limits(memory=budget)
    probing = validation.Probing(PictureFolders(""), limits, 4, {})
    assert probing.verdicts(paths, [None] * 8) == [(3_000, 3_000)] * 8
    assert 4 * 9_000_000 <= budget.most <= budget.size and budget.now == 0
    encoder = Encoder(embedding_space(None), device="cpu", threads=4, batch_size=1, limits=limits)
    budget.most = 0
    assert encoder.files(paths).failures == []
    loaded = 11 * 9_000_000
    assert loaded <= budget.most < (together + 0.1) * loaded


def test_every_format_has_a_plugin_of_its_name():
    for name in formats.FORMATS:
        assert pictures._plugin(name).__name__.endswith("ImagePlugin")


_TRANSLATIONS = {
    "CRLF for LF": lambda data: data.replace(b"\n", b"\r\n"),
    "no CR": lambda data: data.replace(b"\r", b""),
    "LF for CR": lambda data: data.replace(b"\r", b"\n"),
    "UTF-8": lambda data: data.decode("latin-1").encode(),
    "UTF-8 of what was none": lambda data: data.decode("utf-8", "replace").encode(),
}


@pytest.mark.parametrize("translation", _TRANSLATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "CMYK", "PNG"])
def test_a_picture_that_was_sent_as_text_says_so(translation: str, kind: str):
    if (kind, translation) == ("CMYK", "LF for CR"):
        pytest.skip("the decoder that is left for it complains of nothing")
    mode, format = ("CMYK", "JPEG") if kind == "CMYK" else ("RGB", kind)
    noise = np.random.default_rng(7).integers(0, 256, (96, 96, len(mode)), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise, mode).save(file, format)
    assert probe_bytes(file.getvalue(), LIMITS) == Picture(96, 96)
    assert probe_bytes(_TRANSLATIONS[translation](file.getvalue()), LIMITS) == "image_sent_as_text"


def test_blank_pictures_whose_bytes_are_few_were_not_sent_as_text():
    file = io.BytesIO()
    Image.new("RGB", (1200, 1200), "white").save(file, "JPEG")
    assert probe_bytes(file.getvalue(), LIMITS) == Picture(1200, 1200)
    assert probe_bytes(file.getvalue()[:-400], LIMITS) == "image_truncated"
