"""Pictures and words to vectors: the same whatever stands beside them, made once for each content, in a named space."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from PIL import Image

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.embedding import encoder as encoding
from fashion_assets.embedding.embed import (
    combine,
    embed_images,
    embed_texts,
    vector_column,
    vector_matrix,
)
from fashion_assets.embedding.encoder import Encoder, PictureChanged
from fashion_assets.embedding.spaces import SHIPPED_MODEL, ModelError, embedding_space
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets_tests.catalogue import draw_picture


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return Encoder(embedding_space(None), device="cpu")


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(30)]
    for number, path in enumerate(paths):
        draw_picture(path, number)
    # What a catalogue also holds: grey, palette with transparency, turned by EXIF.
    Image.new("L", (50, 70), 90).save(folder / "grey.png")
    Image.new("P", (50, 70), 3).save(folder / "palette.gif", transparency=3)
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(paths[0]) as upright:
        upright.save(folder / "turned.jpg", exif=turned)
    extra = [folder / name for name in ("grey.png", "palette.gif", "turned.jpg")]
    return [str(path) for path in [*paths, *extra]]


def sha256(uri: str) -> str:
    return hashlib.sha256(Path(uri).read_bytes()).hexdigest()


def refuse() -> Encoder:
    raise AssertionError("the model was asked for")


def test_files_give_the_vectors_of_the_pictures_in_them(
    shipped: Encoder, uris: list[str], monkeypatch: pytest.MonkeyPatch
):
    vectors = shipped.files(uris, [sha256(uri) for uri in uris])
    assert vectors.shape == (len(uris), shipped.space.dimension) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, shipped.pictures([load_rgb(uri) for uri in uris]))
    assert np.array_equal(shipped.files(uris[::-1])[::-1], vectors)
    monkeypatch.setattr(encoding, "CHUNK", 7)
    assert np.array_equal(shipped.files(uris), vectors)
    monkeypatch.setattr(encoding, "CHUNK", 1)
    assert np.array_equal(shipped.files(uris[:5]), vectors[:5])
    assert shipped.files([]).shape == shipped.texts([]).shape == (0, shipped.space.dimension)


def test_bytes_that_are_not_those_that_were_judged_are_refused(
    shipped: Encoder, uris: list[str], tmp_path: Path
):
    picture = tmp_path / "7.jpg"
    draw_picture(picture, 7)
    before = sha256(str(picture))
    draw_picture(picture, 8)
    with pytest.raises(PictureChanged, match=r"7\.jpg changed while the batch ran"):
        shipped.files([*uris[:3], str(picture)], [*map(sha256, uris[:3]), before])
    with pytest.raises(FileNotFoundError):
        shipped.files([str(tmp_path / "nowhere.jpg")])
    with pytest.raises(ValueError, match="shorter"):
        shipped.files(uris[:2], [sha256(uris[0])])


def test_each_content_is_embedded_once(
    shipped: Encoder, uris: list[str], database: psycopg.Connection, tmp_path: Path
):
    copy = tmp_path / "copy.jpg"
    shutil.copyfile(uris[0], copy)
    asked = [*uris[:4], str(copy), uris[2]]
    store, space, hashes = EmbeddingStore(database), shipped.space, [sha256(uri) for uri in asked]
    first = embed_images(lambda: shipped, space, store, asked, hashes)
    assert (first.made, first.reused) == (4, 0)
    assert np.array_equal(first.vectors, shipped.files(asked))
    again = embed_images(refuse, space, store, asked[::-1], hashes[::-1])
    assert (again.made, again.reused) == (0, 4)
    assert np.array_equal(again.vectors[::-1], first.vectors)
    more = [uris[9], uris[1], uris[8]]
    mixed = embed_images(lambda: shipped, space, store, more, [sha256(uri) for uri in more])
    assert (mixed.made, mixed.reused) == (2, 1)
    assert np.array_equal(mixed.vectors, shipped.files(more))
    assert embed_images(refuse, space, store, [], []).vectors.shape == (0, space.dimension)

    words = ["red shoes", "blue jeans", "red shoes", ""]
    texts = embed_texts(lambda: shipped, space, store, words)
    assert (texts.made, texts.reused) == (3, 0)
    assert np.array_equal(texts.vectors, shipped.texts(words))
    assert embed_texts(refuse, space, store, words).reused == 3
    kinds = database.execute(
        "SELECT kind, count(*) FROM fashion_ops.embeddings GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert kinds == [("image", 6), ("text", 3)]


def test_a_product_vector_is_the_weighted_mean_at_unit_length(shipped: Encoder, uris: list[str]):
    image, text = shipped.files(uris[:4]), shipped.texts(["a", "b", "c", "d"])
    mixed = combine(image, text)
    assert mixed.dtype == np.float32 and mixed.shape == image.shape
    np.testing.assert_allclose(np.linalg.norm(mixed, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(combine(image, text, 0), image, atol=1e-6)
    np.testing.assert_allclose(combine(image, text, 1), text, atol=1e-6)
    expected = 0.75 * image + 0.25 * text
    np.testing.assert_allclose(mixed, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert np.array_equal(vector_matrix(vector_column(mixed)), mixed)
    # Six numbers in two vectors, of two and of four: not two of three.
    with pytest.raises(ValueError, match="different dimensions"):
        vector_matrix(pa.array([[1.0, 2.0], [3.0, 4.0, 5.0, 6.0]], pa.list_(pa.float32())))


def test_a_space_is_named_after_every_byte_of_the_model(tmp_path: Path):
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED_MODEL, folder)
    shipped, same = embedding_space(None), embedding_space(str(folder))
    assert same.fingerprint == shipped.fingerprint and same.dimension == 512
    assert (shipped.name.split("@")[0], same.name.split("@")[0]) == ("fashion-clip", "mine")
    (folder / "metrics.json").write_text("{}")
    assert embedding_space(str(folder)).name == same.name

    def changed(name: str, change: Callable[[bytes], bytes]) -> str:
        path = folder / name
        content, times = path.read_bytes(), path.stat()
        path.write_bytes(change(content))
        space = embedding_space(str(folder)).name
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return space

    names = {
        changed("model.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        changed(
            "model.safetensors",
            lambda content: content[:-70_000] + bytes([content[-70_000] ^ 1]) + content[-69_999:],
        ),
        changed("preprocessor_config.json", lambda content: content + b"\n"),
        changed("tokenizer.json", lambda content: content + b"\n"),
    }
    assert len(names | {same.name}) == 5
    assert embedding_space(str(folder)).name == same.name


def test_what_is_no_model_is_refused_with_a_reason(tmp_path: Path):
    with pytest.raises(ModelError, match="no model folder at"):
        embedding_space(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="holds no CLIP"):
        embedding_space(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="projection_dim"):
        embedding_space(str(tmp_path))
    with pytest.raises(ModelError, match="neither a folder nor a hub name"):
        embedding_space("not a/hub/name")
