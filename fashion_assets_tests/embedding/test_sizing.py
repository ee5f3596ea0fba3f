"""Small pictures resized by the model's graph: Pillow's pixels, the same vectors, whatever stands beside them."""

import io

import numpy as np
import pytest
from PIL import Image

from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.sizing import Sizing
from fashion_assets.embedding.spaces import embedding_space

SIZES = [(60, 80), (33, 41), (96, 127), (1, 1), (95, 20), (60, 80), (2, 128)]


def photograph(size: tuple[int, int], number: int) -> Image.Image:
    random = np.random.default_rng(number)
    small = Image.fromarray(random.integers(0, 256, (9, 7, 3), np.uint8))
    pixels = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray((pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def by_matrices(sizing: Sizing, picture: Image.Image) -> np.ndarray:
    across, down = sizing.matrices(picture.size)
    pixels = np.asarray(picture, np.float32)
    passed = np.floor(np.einsum("hwc,wx->hxc", pixels, across) + 0.5).clip(0, 255)
    return np.floor(np.einsum("yh,hxc->yxc", down, passed) + 0.5).clip(0, 255)


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"size": {"width": 96, "height": 128}},
        {"size": {"width": 96, "height": 128}, "resample": Image.Resampling.LANCZOS},
        {"size": {"shortest_edge": 32}, "crop_size": {"width": 32, "height": 32}, "do_center_crop": True},
        {"size": {"shortest_edge": 32}, "crop_size": {"width": 40, "height": 50}, "do_center_crop": True},
        {"size": 24, "crop_size": 24, "do_center_crop": True, "resample": Image.Resampling.BILINEAR},
    ],
)
@pytest.mark.parametrize("size", [(60, 80), (31, 20), (200, 90), (5, 3)])
def test_the_matrices_do_what_pillow_does(preprocessing: dict, size: tuple[int, int]) -> None:
    sizing, picture = Sizing.of(preprocessing), photograph(size, 1)
    expected = np.asarray(sizing(picture), np.float32)
    made = by_matrices(sizing, picture)
    assert made.shape == expected.shape == (sizing.seen[1], sizing.seen[0], 3)
    # Coefficients of eight bits, where Pillow's have 22.
    assert np.abs(made - expected).max() <= 2 and np.abs(made - expected).mean() < 0.2


def test_coefficients_fit_bfloat16_and_white_stays_white() -> None:
    sizing = Sizing.of({"size": {"width": 96, "height": 128}})
    for size in SIZES:
        across, down = sizing.matrices(size)
        for matrix in (across, down.T):
            assert not (np.ascontiguousarray(matrix).view(np.uint32) & 0xFFFF).any()
            np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=2e-4)
        white = Image.new("RGB", size, "white")
        assert (by_matrices(sizing, white) == 255).all()


def test_a_matrix_is_made_once_and_not_written_to() -> None:
    sizing = Sizing.of({"size": {"width": 96, "height": 128}})
    first, second = sizing.matrices((60, 80)), sizing.matrices((60, 81))
    assert first[0] is second[0] and first[1].shape == (128, 80) and second[1].shape == (128, 81)
    with pytest.raises(ValueError, match="read-only"):
        first[0][0] = 0


def test_small_pictures_have_the_vectors_pillow_gives_them() -> None:
    encoder = Encoder(embedding_space(None), device="cpu")
    pictures = [photograph(size, number) for number, size in enumerate(SIZES * 6)]
    vectors = encoder.pictures(pictures)
    expected = encoder.pictures([picture.resize(encoder.size) for picture in pictures])
    assert (vectors * expected).sum(axis=1).min() > 0.999
    assert (vectors[:-1] * expected[1:]).sum(axis=1).max() < 0.999

    # Alone, among others of its size or of other sizes: the same to the last bit.
    alone = np.concatenate([encoder.pictures([picture]) for picture in pictures])
    assert np.array_equal(alone, vectors)
    assert np.array_equal(encoder.pictures(pictures[:14:7]), vectors[:14:7])
    assert np.array_equal(encoder.pictures(pictures[::-1])[::-1], vectors)


def test_pictures_of_any_size_go_together(tmp_path) -> None:
    encoder = Encoder(embedding_space(None), device="cpu")
    paths = []
    for number, size in enumerate([*SIZES, (96, 128), (97, 20), (400, 300), (20, 2000)]):
        stream = io.BytesIO()
        photograph(size, number).save(stream, "PNG")
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(stream.getvalue())
    uris = [str(path) for path in paths]
    encoded = encoder.files(uris)
    assert encoded.failures == []
    assert np.array_equal(encoded.vectors, np.concatenate([encoder.files([uri]).vectors for uri in uris]))


@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 1), (3, 60_000)])
def test_of_a_picture_far_longer_than_wide_only_the_middle_is_resized(size, monkeypatch) -> None:
    sizing = Sizing.of({"size": 32, "crop_size": {"width": 32, "height": 40}, "do_center_crop": True})
    picture = photograph((size[0], size[1]), 3)
    monkeypatch.setattr("fashion_assets.embedding.sizing.MOST_RESIZED", 10**9)
    whole = np.asarray(sizing(picture), np.int16)
    monkeypatch.undo()
    largest = []
    resize = Image.Image.resize

    def noted(self: Image.Image, to: tuple[int, int], *further):
        largest.append(to[0] * to[1])
        return resize(self, to, *further)

    monkeypatch.setattr(Image.Image, "resize", noted)
    middle = np.asarray(sizing(picture), np.int16)
    assert middle.shape == whole.shape == (40, 32, 3) and max(largest) < 100_000
    # Off by less than the pixel by which the middle of an even number lies off that of an odd one.
    assert np.abs(middle - whole).mean() < 12
