"""What a training keeps out can be told again later, and a record that says nothing is refused."""

import json
from pathlib import Path

import pytest

from fashion_assets.embedding.spaces import ModelError
from fashion_assets.models.holdout import TrainingRecord, held_out_mask, training_record


def test_a_share_is_kept_out():
    ids = [f"shop:{number}" for number in range(500)]
    digests = [(number // 3).to_bytes(4) for number in range(500)]
    assert 0.1 < held_out_mask(ids, digests, 0.2).mean() < 0.3
    assert not held_out_mask(ids, digests, 0).any() and held_out_mask(ids, digests, 1).all()


def test_a_model_says_what_it_was_trained_on(tmp_path: Path):
    assert training_record(tmp_path) is None
    said = {"config": {"held_out_share": 0.05}, "data": {"products": 100, "held_out": 4}}
    (tmp_path / "metrics.json").write_text(json.dumps(said))
    assert training_record(tmp_path) == TrainingRecord(0.05, 100, 4)
    (tmp_path / "metrics.json").write_text(json.dumps({"config": {"held_out_share": 0}}))
    assert training_record(tmp_path) == TrainingRecord(0.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"held_out_share": "some"}}', '{"config": 3}'])
def test_a_record_that_does_not_say_it_is_refused(tmp_path: Path, text: str):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ModelError, match="--held-out"):
        training_record(tmp_path)
    (tmp_path / "metrics.json").write_text('{"config": {"held_out_share": 2}}')
    with pytest.raises(ModelError, match="0 to 1"):
        training_record(tmp_path)
