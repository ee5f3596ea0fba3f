"""Files of pictures taken apart: damaged ones are judged as they load, hostile ones are known before they are decoded."""

import io
import random
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fashion_assets.catalog import formats
from fashion_assets.catalog.formats import avif, bmp, exif, jpeg, outlines, tiff
from fashion_assets.catalog.formats.outlines import Picture, PictureError
from fashion_assets.catalog.pictures import Limits, rgb_pixels
from fashion_assets_tests import hostile
from fashion_assets_tests.catalog.judged import probe_bytes
from fashion_assets_tests.hostile import saved

LIMITS = Limits(max_pixels=1_000_000)
TURNED = b"Exif\0\0" + hostile.turned_exif(6)


def _camera() -> bytes:
    """An EXIF that turns nothing."""
    made = Image.Exif()
    made[0x010F] = "a camera"
    made.endian = ">"
    return made.tobytes()


def _sound() -> dict[str, bytes]:
    """A file of every format, in every way it writes pixels."""
    picture = Image.effect_mandelbrot((24, 32), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    clear, painted = picture.convert("RGBA"), picture.quantize(16)
    grey16 = Image.fromarray(np.arange(24 * 32, dtype=np.uint16).reshape(32, 24) * 80)
    film = {"save_all": True, "append_images": [picture.transpose(Image.Transpose.ROTATE_180)]}
    return {
        "jpeg": saved(picture, "JPEG"),
        "jpeg progressive": saved(picture, "JPEG", progressive=True),
        "jpeg turned": saved(picture, "JPEG", exif=TURNED),
        "jpeg in ink": saved(picture.convert("CMYK"), "JPEG"),
        "jpeg with restarts": saved(picture, "JPEG", restart_marker_rows=1),
        "png": saved(picture, "PNG"),
        "png with palette": saved(painted, "PNG", transparency=1),
        "png of 16 bits": saved(grey16, "PNG"),
        "png turned": saved(clear, "PNG", exif=TURNED),
        "png in motion": saved(picture, "PNG", **film),
        "gif": saved(painted, "GIF", transparency=2),
        "gif in motion": saved(painted, "GIF", save_all=True, append_images=[painted.rotate(90)]),
        "webp": saved(picture, "WEBP"),
        "webp lossless turned": saved(clear, "WEBP", lossless=True, exif=TURNED),
        "webp transparent": saved(clear, "WEBP", quality=50),
        "webp in motion": saved(picture, "WEBP", **film),
        "bmp": saved(picture, "BMP"),
        "bmp with palette": saved(painted, "BMP"),
        "bmp in run lengths": hostile.run_length_bmp(32),
        "tiff": saved(picture, "TIFF", exif=TURNED),
        "tiff lzw": saved(picture, "TIFF", compression="tiff_lzw"),
        "tiff deflate": saved(clear, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": saved(picture, "TIFF", compression="jpeg"),
        "tiff float": saved(picture.convert("F"), "TIFF"),
        "tiff lab": saved(picture.convert("LAB"), "TIFF"),
        "tiff big": saved(picture, "TIFF", big_tiff=True),
        "avif": saved(picture, "AVIF"),
        "avif turned": saved(clear, "AVIF", exif=TURNED),
        "avif with a camera": saved(picture, "AVIF", exif=_camera()),
        "avif in motion": saved(picture, "AVIF", **film),
    }


SOUND = _sound()


def loaded(content: bytes, hint: int | None) -> tuple[int, ...] | str:
    """The shape of what is loaded, or the reason nothing is."""
    try:
        return rgb_pixels(content, hint, LIMITS).shape
    except PictureError as error:
        return error.reason


@pytest.mark.parametrize("name", SOUND)
def test_every_way_to_write_pixels_is_judged_and_loads(name: str):
    size = (32, 32) if "run lengths" in name else (24, 32)
    assert probe_bytes(SOUND[name], LIMITS) == size
    turned = "turned" in name or name == "tiff"
    assert loaded(SOUND[name], None) == ((24, 32, 3) if turned else (size[1], size[0], 3))


def _changed(content: bytes, place: float, change: int, by: bytes) -> bytes:
    at = int(place * len(content))
    match change:
        case 0:
            return content[:at] + by + content[at + len(by) :]
        case 1:
            return content[:at] + by + content[at:]
        case 2:
            return content[:at] + content[at + len(by) :]
        case 3:
            return content[:at] + content[: len(by)] + content[at:]
        case _:
            return content[:at]


CHANGE = st.tuples(
    # Most of a file's structure stands in its first bytes.
    st.floats(0, 1, exclude_max=True) | st.floats(0, 0.1),
    st.integers(0, 4),
    st.binary(min_size=1, max_size=8)
    | st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"]),
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.lists(CHANGE, min_size=1, max_size=4))
def test_what_is_judged_sound_is_what_loads(name: str, changes: list[tuple[float, int, bytes]]):
    content = SOUND[name]
    for change in changes:
        content = _changed(content, *change)
    kinds = [walk for is_one, walk in formats.FORMATS.values() if is_one(content)]
    for walk in kinds:
        with suppress(PictureError):  # and nothing else
            walk(content)
    judged = probe_bytes(content, LIMITS)
    for hint in (None, 8):
        found = loaded(content, hint)
        if isinstance(judged, str):
            assert found == judged
        elif hint is None:
            assert found in ((judged.height, judged.width, 3), (judged.width, judged.height, 3))
        else:
            assert not isinstance(found, str)
    # A reason says what is so.
    assert (judged in ("image_not_an_image", "image_sent_as_text")) >= (not kinds)
    assert judged != "image_not_an_image" or not kinds
    if judged == "image_too_large":
        size = kinds[0](content).size
        assert size.width * size.height > LIMITS.max_pixels or max(size) > outlines.MAX_EDGE


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1, exclude_max=True))
@example("avif", 0.0207)
def test_what_is_cut_off_is_said_to_end_early(name: str, share: float):
    content = SOUND[name][: int(share * len(SOUND[name]))]
    judged = probe_bytes(content, LIMITS)
    if judged == "image_not_an_image":
        assert len(content) < 20  # too little to tell
    elif isinstance(judged, str):
        assert judged == "image_truncated"
    else:  # what was lost comes after the picture
        assert not isinstance(loaded(content, None), str)


def test_a_copy_that_was_broken_off_and_filled_with_zeros_ends_early():
    whole = saved(Image.effect_noise((240, 320), 80).convert("RGB"), "JPEG", quality=90)
    filled = whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)
    assert probe_bytes(filled, LIMITS) == loaded(filled, None) == "image_truncated"
    assert probe_bytes(whole + bytes(4096), LIMITS) == (240, 320)


# What costs much: known before it is decoded


def test_scans_are_counted(monkeypatch: pytest.MonkeyPatch):
    assert probe_bytes(hostile.progressive(jpeg.MAX_SCANS, 64), LIMITS) == (64, 64)
    many = hostile.progressive(jpeg.MAX_SCANS + 1, 64)
    assert loaded(many, None) == probe_bytes(many, LIMITS) == "image_too_costly"
    # Where a segment only looks like scans, there are none.
    comment = b"\xff\xfe" + (2 + 400).to_bytes(2, "big") + b"\xff\xda" * 200
    assert probe_bytes(hostile.with_segments(SOUND["jpeg"], comment), LIMITS) == (24, 32)
    first = many.index(b"\xff\xda")
    within = many[:first] + comment + many[first:]
    assert probe_bytes(within, LIMITS) == "image_too_costly"
    between = hostile.progressive(3, 64)
    last = between.rindex(b"\xff\xda")
    assert probe_bytes(between[:last] + comment + between[last:], LIMITS) == (64, 64)


def test_hidden_frames_are_counted_and_measured():
    assert probe_bytes(hostile.hidden_frames(64, 1), LIMITS) == (64, 64)
    for content in (hostile.hidden_frames(64, avif.MAX_FRAMES + 1), hostile.larger_than_it_says(2_000)):
        assert loaded(content, None) == probe_bytes(content, LIMITS) == "image_too_costly"


@pytest.mark.parametrize(
    "content",
    [
        # A small file's are the C decoder's to skip.
        hostile.with_segments(SOUND["jpeg"], b"\xff\xe3\0\2" * 1_100_000),
        hostile.with_chunks(SOUND["png"], hostile.chunk(b"tEXt", b"a\0b") * (outlines.MAX_PARTS + 1)),
        hostile.gif_with_comments(SOUND["gif"], outlines.MAX_PARTS + 1),
        hostile.run_length_bmp(int(bmp.MAX_RUN_LENGTH_PIXELS**0.5) + 1),
        hostile.tiled_tiff(500, 16, outlines.MAX_PARTS + 1),
        hostile.tiled_tiff(64, 60_000, 1),
    ],
    ids=["segments", "chunks", "blocks", "run lengths", "tiles", "a tile"],
)
def test_parts_without_end_are_not_walked_to_their_end(content: bytes):
    assert loaded(content, None) == probe_bytes(content, Limits()) == "image_too_costly"


def test_an_edge_longer_than_any_jpeg_s_is_too_large():
    longest = outlines.MAX_EDGE
    least = outlines.MIN_EDGE
    assert probe_bytes(hostile.png(least, longest, colour=0), LIMITS) == (least, longest)
    assert probe_bytes(hostile.png(least, longest + 1, colour=0), LIMITS) == "image_too_large"
    assert probe_bytes(hostile.png(least - 1, longest, colour=0), LIMITS) == "image_too_small"
    assert probe_bytes(hostile.grey_tiff(longest + 1, 1, 1), LIMITS) == "image_too_large"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("jpeg", lambda content: hostile.with_segments(content, hostile.exif_segment(b"no EXIF at all"))),
        (
            "jpeg",
            lambda content: hostile.with_segments(
                content, hostile.exif_segment(hostile.overlapping_exif(5_000))
            ),
        ),
        ("jpeg", lambda content: hostile.with_segments(content, b"\xff" * 100_000)),
        (
            "png",
            lambda content: hostile.with_chunks(content, hostile.chunk(b"tEXt", b"XML\0" + b"x" * 1_500_000)),
        ),
        ("png", lambda content: hostile.with_chunks(content, hostile.text_chunk(100))),
        ("png", lambda content: hostile.with_chunks(content, hostile.profile_chunk(100))),
        (
            "png",
            lambda content: hostile.with_chunks(
                content, hostile.chunk(b"eXIf", hostile.overlapping_exif(60_000))
            ),
        ),
        (
            "png",
            lambda content: hostile.with_chunks(content, b"\0\0\0\4tEXtabcd1234"),
        ),  # the checksum is wrong
        ("gif", lambda content: hostile.gif_with_comments(content, 1_000)),
        ("webp", lambda content: hostile.with_riff_chunk(content, b"EXIF", b"no EXIF at all")),
        ("webp", lambda content: hostile.with_riff_chunk(content, b"XMP ", b"x" * 1_500_000)),
        ("avif with a camera", lambda content: content.replace(b"MM\0*\0\0\0\x08", b"no EXIF!")),
    ],
)
def test_what_lies_beside_the_picture_costs_nothing_and_changes_nothing(
    name: str, change: Callable[[bytes], bytes]
):
    content = change(SOUND[name])
    assert content != SOUND[name] and probe_bytes(content, LIMITS) == (24, 32)
    assert np.array_equal(rgb_pixels(content), rgb_pixels(SOUND[name]))
    # A decoder sees none of it.
    assert len(formats.outline(content).data) <= len(formats.outline(SOUND[name]).data) + 64


def test_of_animations_the_first_frame_counts():
    for kind in ("PNG", "GIF", "WEBP", "AVIF"):
        frames = [Image.new("RGB", (24, 32), colour) for colour in ("red", "blue")]
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        with Image.open(io.BytesIO(content)) as image:
            assert image.n_frames == 2  # pyright: ignore[reportAttributeAccessIssue]
        red, _, blue = rgb_pixels(content)[16, 12]
        assert red > 200 and blue < 60, kind
        assert b"fcTL" not in formats.outline(content).data


def test_a_tiff_keeps_what_pixels_need_and_one_directory():
    content = hostile.grey_tiff(30, 20, 3, {274: (3, (6,)), 700: (7, tuple(b"<xmp/>")), 34665: (4, (8,))})
    seen = formats.outline(content)
    assert (seen.size, seen.turn) == (Picture(30, 20), 6)
    with Image.open(io.BytesIO(seen.data)) as image:
        assert set(image.tag_v2) == {256, 257, 258, 259, 262, 273, 277, 278, 279}  # pyright: ignore[reportAttributeAccessIssue]
    assert probe_bytes(content, LIMITS) == (30, 20) and loaded(content, None) == (30, 20, 3)
    # Values that lie over each other, or beyond the file.
    assert (
        probe_bytes(hostile.grey_tiff(30, 20, 3, {320: (3, (0,) * 250_000)}), LIMITS) == "image_undecodable"
    )
    assert 34925 not in tiff._COMPRESSIONS  # takes as much memory as its own header says
    assert probe_bytes(hostile.grey_tiff(30, 20, 3, {259: (3, (34925,))}), LIMITS) == "image_undecodable"


def test_exif_says_which_way_up_or_nothing():
    for turn in range(1, 9):
        assert (
            exif.turn(hostile.turned_exif(turn)) == exif.turn(b"Exif\0\0" + hostile.turned_exif(turn)) == turn
        )
        made = Image.Exif()
        made[0x0112] = turn
        made[0x010F] = "a camera"
        for order in ("<", ">"):
            made.endian = order
            assert exif.turn(made.tobytes()) == turn
    whole = hostile.turned_exif(6)
    assert {exif.turn(whole[:length]) for length in range(len(whole) - 4)} == {1}
    assert (
        exif.turn(hostile.turned_exif(9))
        == exif.turn(hostile.overlapping_exif(60_000))
        == exif.turn(b"")
        == 1
    )


@given(st.binary(max_size=60))
def test_no_exif_breaks_its_reader(content: bytes):
    assert 1 <= exif.turn(content) <= 8
    assert 1 <= exif.turn(b"II*\0" + content) <= 8


def test_the_size_of_av1_frames_is_read_off_their_header():
    """Of every picture that Pillow's encoder makes, whatever its settings."""
    chance = random.Random(0)
    for _ in range(12):
        size = chance.randrange(1, 300), chance.randrange(1, 300)
        content = saved(
            Image.new("RGB", size), "AVIF", speed=10, subsampling=chance.choice(["4:2:0", "4:4:4"])
        )
        payload = content[content.index(b"mdat") + 4 :]
        assert avif._frames(payload) == size[0] * size[1]
    # A header that is not reduced, with timing, a decoder model and two operating points: 640 by 360.
    bits = "000001" + "0" * 64 + "11100001" + "0" * 32 + "0001000011100001"
    for _ in range(2):
        bits += "0000000000010100001" + "00000" + "10011"
    bits += "10011000" + format(639, "010b") + format(359, "09b")
    header = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    assert avif._frame_size(avif._Bits(header)) == (640, 360)
