"""The encoder's benchmark measures every part and states what bounds the ratio."""

from fashion_assets.benchmarks import encoder as measuring
from fashion_assets.embedding.backends import BATCH
from fashion_assets.machine import usable_cores
from fashion_assets.settings import Settings


def test_every_part_is_measured(monkeypatch) -> None:
    monkeypatch.setattr(measuring, "ROUNDS", 2)
    monkeypatch.setattr(measuring, "_CHUNKS", 1)
    monkeypatch.setattr(measuring, "_DISTINCT", {measuring.SMALL: 8, measuring.LARGE: 2})
    monkeypatch.setattr(measuring, "_MOST", {measuring.SMALL: 8, measuring.LARGE: 2})
    rows = {row["what"]: row for row in measuring.measure_encoder(Settings(device="cpu"), seconds=0)}
    assert set(rows) == {
        "bare model",
        "small files",
        "small files, decoding alone",
        "large files",
        "large files, decoding alone",
        "SentenceTransformer.encode",
    }
    assert rows["bare model"]["of_bare_model"] == 1
    assert rows["SentenceTransformer.encode"]["of_sentence_transformers"] == 1
    assert all(row["per_second"] > 0 for row in rows.values())
    # Every thread has as much to do as the others.
    assert all(row["pictures"] % (BATCH * usable_cores()) == 0 for row in rows.values())
    assert 0 < rows["large files"]["bound"] < rows["small files"]["bound"] < 1
