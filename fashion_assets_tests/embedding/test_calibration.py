"""What is fastest is chosen by what was measured, kept for this machine alone, and obeyed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fashion_assets.embedding import calibration, tuning
from fashion_assets.embedding.backends import BATCH, CompiledTowers, TorchModel
from fashion_assets.embedding.calibration import calibrate
from fashion_assets.embedding.encoder import Encoder, encoder
from fashion_assets.embedding.spaces import ModelError, embedding_space
from fashion_assets.embedding.tuning import FILE, Tuning, keep_tuning, kept_tuning
from fashion_assets.machine import usable_cores
from fashion_assets_tests.catalogue import draw_picture

SPACE = embedding_space(None)
OWN = Tuning("float32", 0, BATCH)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(40)]
    for number, path in enumerate(paths):
        draw_picture(path, number)
    return [str(path) for path in paths]


def test_every_way_gives_the_same_vectors(files: list[str]):
    asked = [*files[:20], "/nowhere.jpg", *files[20:]]
    expected = Encoder(SPACE, device="cpu", threads=2, tuning=OWN).files(asked)
    for way in (Tuning("float32", 1, 7), Tuning("float32", 5, 64), Tuning("bfloat16", 0, 16)):
        made = Encoder(SPACE, device="cpu", threads=3, tuning=way)
        encoded = made.files(asked)
        assert [failure.position for failure in encoded.failures] == [20]
        sound = np.delete(np.arange(len(asked)), 20)
        likeness = (encoded.vectors[sound] * expected.vectors[sound]).sum(axis=1)
        assert likeness.min() > (0.9999 if way.dtype == "float32" else 0.98)  # flat drawings in bfloat16


def test_a_tuning_is_obeyed_and_a_users_choice_goes_before_it():
    apart = Encoder(SPACE, device="cpu", threads=4, tuning=Tuning("float32", 1, 7))
    assert isinstance(apart._backend, CompiledTowers)
    assert (apart._backend.concurrent, apart._backend.decoders, apart.batch_size) == (False, 1, 7)
    assert Encoder(SPACE, device="cpu", batch_size=5, tuning=Tuning("float32", 0, 7)).batch_size == 5
    # With one core there is none to spare.
    assert Encoder(SPACE, device="cpu", threads=1, tuning=Tuning("float32", 1, 7))._backend.concurrent
    torch = TorchModel(SPACE, "cpu", 2, tuning=Tuning("float32", 1, 9))
    assert (torch.decoders, torch.batch_size) == (1, 9)
    assert TorchModel.choices("cuda", 4)["batch"][0] == 256


def test_a_model_stays_loaded_whatever_the_threads(files: list[str], tmp_path: Path):
    keep_tuning(tmp_path, SPACE, "cpu", Tuning("float32", 1, 7), [])
    alone = encoder(None, None, "cpu", None, 1, tmp_path)
    assert (alone.threads, alone.calls, alone._backend.concurrent) == (1, 1, True)
    expected = alone.files(files).vectors
    shared = encoder(None, None, "cpu", None, 4, tmp_path)
    assert shared is alone
    assert (shared.threads, shared.calls, shared._backend.decoders) == (4, 1, 1)
    assert (shared.files(files).vectors * expected).sum(axis=1).min() > 0.9999
    torch = TorchModel(SPACE, "cpu", 4, tuning=Tuning("float32", 1, 9))
    assert (torch._torch.get_num_threads(), torch.decoders) == (3, 1)
    torch.compute_on(1)
    assert (torch._torch.get_num_threads(), torch.decoders) == (1, 1)
    torch.compute_on(usable_cores())  # torch's threads are the process's


@pytest.mark.parametrize(("faster", "expected"), [(1.5, Tuning("float32", 1, 8)), (1.02, OWN), (0.5, OWN)])
def test_another_way_is_chosen_only_where_it_is_worth_it(
    files: list[str], monkeypatch: pytest.MonkeyPatch, faster: float, expected: Tuning
):
    """Encoders are real, their speed is not: a machine that likes one decoding thread and batches of eight."""

    def seconds(encoder: Encoder, asked: list[str]) -> float:
        assert encoder.tuning is not None
        gain = (faster if encoder.tuning.decoders == 1 else 1) * (faster if encoder.batch_size == 8 else 1)
        return len(asked) / (4000 * gain)

    monkeypatch.setattr(calibration, "_seconds", seconds)
    monkeypatch.setattr("fashion_assets.embedding.backends.native_dtypes", lambda: ["float32"])
    way, measured = calibrate(SPACE, files, device="cpu", threads=2)
    assert way == expected
    assert {row["part"] for row in measured} == {"decoders", "batch"}  # there is but one dtype
    chosen = {row["part"]: row["value"] for row in measured if row["chosen"]}
    assert chosen == {"decoders": expected.decoders, "batch": expected.batch}


def test_it_is_measured_for_real(files: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "SECONDS", 0.02)
    way, measured = calibrate(SPACE, ["/nowhere.jpg", *files], device="cpu", threads=2)
    assert all(row["per_second"] > 0 for row in measured) and way.batch in {8, 16, 32, 64, 128}
    with pytest.raises(ModelError, match=r"none can be encoded.* is gone"):
        calibrate(SPACE, ["/nowhere.jpg"], device="cpu")
    with pytest.raises(ModelError, match="there are none"):
        calibrate(SPACE, [], device="cpu")


def test_it_is_kept_for_this_model_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert kept_tuning(tmp_path, SPACE, "cpu") is None
    way, other = Tuning("float32", 1, 16), Tuning("float32", 0, 8)
    keep_tuning(tmp_path / "new", SPACE, "cpu", way, [])
    assert kept_tuning(tmp_path / "new", SPACE, "cpu") == way
    assert kept_tuning(tmp_path / "new", SPACE, "cuda") is None
    assert kept_tuning(tmp_path / "new", replace(SPACE, fingerprint="f" * 64), "cpu") is None
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(tuning, "processor", lambda: "another one")
        assert kept_tuning(tmp_path / "new", SPACE, "cpu") is None
        keep_tuning(tmp_path / "new", SPACE, "cpu", other, [])
        assert kept_tuning(tmp_path / "new", SPACE, "cpu") == other
    assert kept_tuning(tmp_path / "new", SPACE, "cpu") == way
    assert len(json.loads((tmp_path / "new" / FILE).read_text())) == 2
    assert encoder(None, None, "cpu", None, 2, tmp_path / "new").tuning == way
    assert encoder(None, None, "cpu", None, 2).tuning is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"half',
        '{"KEY": {"tuning": {"size": 3}}}',
        '{"KEY": 3}',
        '{"KEY": {"tuning": {"dtype": "int8", "decoders": 0, "batch": 8}}}',
        '{"KEY": {"tuning": {"dtype": "float32", "decoders": 0, "batch": 0}}}',
        '{"KEY": {"tuning": {"dtype": "float32", "decoders": "1", "batch": 8}}}',
    ],
)
def test_a_file_that_says_nothing_costs_nothing(tmp_path: Path, text: str):
    (tmp_path / FILE).write_text(text.replace("KEY", tuning._key(SPACE, "cpu")))
    assert kept_tuning(tmp_path, SPACE, "cpu") is None
    keep_tuning(tmp_path, SPACE, "cpu", OWN, [])
    assert kept_tuning(tmp_path, SPACE, "cpu") == OWN
