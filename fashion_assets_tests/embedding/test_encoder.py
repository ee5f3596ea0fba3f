"""Pictures and words to vectors: the same whatever stands beside them, made once for each content, in a named space."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

from fashion_assets.catalog.pictures import load_rgb
from fashion_assets.embedding.backends import TorchModel
from fashion_assets.embedding.embed import (
    combine,
    embed_images,
    embed_texts,
    vector_column,
    vector_matrix,
)
from fashion_assets.embedding.encoder import Encoder
from fashion_assets.embedding.spaces import SHIPPED_MODEL, ModelError, embedding_space
from fashion_assets.machine import usable_cores
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
    encoded = shipped.files(uris, [sha256(uri) for uri in uris])
    vectors = encoded.vectors
    assert encoded.failures == []
    assert vectors.shape == (len(uris), shipped.space.dimension) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, shipped.pictures([load_rgb(uri) for uri in uris]))
    assert np.array_equal(shipped.files(uris[::-1]).vectors[::-1], vectors)
    monkeypatch.setattr(shipped, "batch_size", 7)
    assert np.array_equal(shipped.files(uris).vectors, vectors)
    monkeypatch.setattr(shipped, "batch_size", 1)
    assert np.array_equal(shipped.files(uris[:5]).vectors, vectors[:5])
    assert shipped.files([]).vectors.shape == shipped.texts([]).shape == (0, shipped.space.dimension)


def test_a_broken_picture_fails_alone(shipped: Encoder, uris: list[str], tmp_path: Path):
    changed, gone, cut = tmp_path / "changed.jpg", tmp_path / "gone.jpg", tmp_path / "cut.jpg"
    draw_picture(changed, 7)
    before = sha256(str(changed))
    draw_picture(changed, 8)
    cut.write_bytes(Path(uris[0]).read_bytes()[:400])
    (tmp_path / "text.jpg").write_text("no picture")
    bad = [str(changed), str(gone), str(cut), str(tmp_path / "text.jpg"), str(tmp_path)]
    asked = [uris[0], *bad[:2], *uris[1:3], *bad[2:], uris[3]]
    encoded = shipped.files(asked, [before if uri == str(changed) else None for uri in asked])
    assert [failure.uri for failure in encoded.failures] == bad
    assert [failure.position for failure in encoded.failures] == [1, 2, 5, 6, 7]
    assert [failure.reason for failure in encoded.failures] == [
        "image_changed",
        "image_changed",
        "image_truncated",
        "image_not_an_image",
        "image_not_an_image",
    ]
    said = [failure.said for failure in encoded.failures]
    assert "changed.jpg changed since its listing was read" in said[0] and "gone.jpg is gone" in said[1]
    assert all("cannot be read" in reason for reason in said[2:])
    sound = [0, 3, 4, 8]
    assert np.array_equal(encoded.vectors[sound], shipped.files(uris[:4]).vectors)
    assert np.isnan(np.delete(encoded.vectors, sound, axis=0)).all()
    with pytest.raises(ValueError, match="shorter"):
        shipped.files(uris[:2], [sha256(uris[0])])


def test_large_pictures_give_the_vectors_sentence_transformers_gives(shipped: Encoder, tmp_path: Path):
    paths = [str(tmp_path / f"{number}.jpg") for number in range(4)]
    for number, path in enumerate(paths):
        draw_picture(Path(path), number)
        with Image.open(path) as small:
            small.resize((1800, 2400), Image.Resampling.BICUBIC).save(path, quality=85)
    expected = SentenceTransformer(str(SHIPPED_MODEL), device="cpu").encode(
        [Image.open(path) for path in paths], normalize_embeddings=True
    )
    # A JPEG of this size is decoded at an eighth.
    assert (shipped.files(paths).vectors * expected).sum(
        axis=1
    ).min() > 0.98  # flat drawings in bfloat16; photographs: 0.997


def test_the_model_in_torch_gives_the_vectors_sentence_transformers_gives(uris: list[str]):
    space = embedding_space(None)
    backend = TorchModel(space, "cpu", 1, 4)
    assert backend._clip is not None
    pictures = [load_rgb(uri) for uri in uris]
    model = SentenceTransformer(str(SHIPPED_MODEL), device="cpu")
    made = backend.images([backend.prepared(np.asarray(picture)) for picture in pictures])
    assert (made * model.encode(pictures, normalize_embeddings=True)).sum(
        axis=1
    ).min() > 0.98  # flat drawings in bfloat16; photographs: 0.997
    words = ["red shoes for women who run", "a", "blue jeans", "", "black leather wallet for men"]
    made = backend.texts(words)
    assert (made * model.encode(words, normalize_embeddings=True)).sum(axis=1).min() > 0.997


def test_where_memory_is_full_the_batch_halves_and_the_run_goes_on(uris: list[str]):
    backend = TorchModel(embedding_space(None), "cpu", 1, 16)
    expected = backend.images([backend.prepared(np.asarray(load_rgb(uri))) for uri in uris])
    seen, held, forward = [], 5, backend._forward

    def full_above(pixels: Sequence[np.ndarray]) -> np.ndarray:
        seen.append(len(pixels))
        if len(pixels) > held:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(pixels)

    backend._forward = full_above  # type: ignore[method-assign]
    made = backend.images([backend.prepared(np.asarray(load_rgb(uri))) for uri in uris])
    assert seen[:4] == [16, 8, 4, 4] and backend.batch_size == 4 and sum(seen[2:]) == len(uris)
    assert (made * expected).sum(axis=1).min() > 0.999
    held = 0
    with pytest.raises(ModelError, match="does not hold the model and one input"):
        backend.images([backend.prepared(np.asarray(load_rgb(uris[0])))])


def test_a_content_whose_first_file_is_gone_is_made_of_another(
    shipped: Encoder, uris: list[str], database: psycopg.Connection, tmp_path: Path
):
    store, space = EmbeddingStore(database), shipped.space
    gone = str(tmp_path / "gone.jpg")
    asked = [gone, uris[20], str(tmp_path / "other.jpg"), uris[21]]
    hashes = [sha256(uris[21]), sha256(uris[20]), "0" * 64, sha256(uris[21])]
    embedded = embed_images(lambda: shipped, space, store, asked, hashes)
    assert (
        embedded.made == 2
        and list(embedded.failures) == [2]
        and "other.jpg is gone" in embedded.failures[2].said
    )
    assert np.array_equal(embedded.vectors[[0, 1, 3]], shipped.files([uris[21], uris[20], uris[21]]).vectors)
    assert np.isnan(embedded.vectors[2]).all()
    again = embed_images(lambda: shipped, space, store, asked, hashes)
    assert (again.made, again.reused, list(again.failures)) == (0, 2, [2])


def test_cores_are_those_this_process_may_use(tmp_path: Path):
    limit, all_of_them = tmp_path / "cpu.max", usable_cores(tmp_path / "nowhere")
    assert all_of_them >= 1
    for text, cores in (("max 100000", all_of_them), ("100000 100000", 1), ("50000 100000", 1)):
        limit.write_text(text)
        assert usable_cores(limit) == cores


def test_each_content_is_embedded_once(
    shipped: Encoder, uris: list[str], database: psycopg.Connection, tmp_path: Path
):
    copy = tmp_path / "copy.jpg"
    shutil.copyfile(uris[0], copy)
    asked = [*uris[:4], str(copy), uris[2]]
    store, space, hashes = EmbeddingStore(database), shipped.space, [sha256(uri) for uri in asked]
    first = embed_images(lambda: shipped, space, store, asked, hashes)
    assert (first.made, first.reused) == (4, 0)
    assert np.array_equal(first.vectors, shipped.files(asked).vectors)
    again = embed_images(refuse, space, store, asked[::-1], hashes[::-1])
    assert (again.made, again.reused) == (0, 4)
    assert np.array_equal(again.vectors[::-1], first.vectors)
    more = [uris[9], uris[1], uris[8]]
    mixed = embed_images(lambda: shipped, space, store, more, [sha256(uri) for uri in more])
    assert (mixed.made, mixed.reused) == (2, 1)
    assert np.array_equal(mixed.vectors, shipped.files(more).vectors)
    assert embed_images(refuse, space, store, [], []).vectors.shape == (0, space.dimension)
    assert (store.count(space.name, "image"), store.count(space.name, "text")) == (6, 0)
    assert store.count("another", "image") == 0

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
    image, text = shipped.files(uris[:4]).vectors, shipped.texts(["a", "b", "c", "d"])
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
