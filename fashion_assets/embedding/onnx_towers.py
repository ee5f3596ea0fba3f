"""The shipped CLIP's two towers in onnxruntime: pixels and words to vectors, without torch or transformers.

What belongs here: sessions over the folder's graphs with the folder's weights, tokenizing, and batching such
that a vector depends on its own input alone. What does not: decoding and resizing pictures, and choosing a
backend (`encoder`); writing the graphs (`training.export`).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BATCH = 8
"""Inputs of every call to a tower. The runtime's kernels may round differently for other numbers of rows, so
short batches are filled up. Larger ones are no faster, and one picture alone costs as much as this many."""

LENGTHS = (8, 12, 16, 24, 32, 48, 64, 77)
"""Numbers of tokens that texts are padded to: a text's own length chooses, never its neighbours'."""


class OnnxTowers:
    """Both towers of a model folder as `training.export` writes it; safe to use from several threads.

    Args:
        folder: the model folder.
    Raises:
        FileNotFoundError: the folder lacks one of the files.
        ImportError: onnxruntime, safetensors or tokenizers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        # Imported here: code that only asks whether towers are there should not pay for the runtime.
        import onnxruntime
        import safetensors.numpy
        import tokenizers

        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}")
        self._runtime: Any = onnxruntime
        self._load_weights = safetensors.numpy.load_file
        self._folder = folder
        self._lock = Lock()
        self._sessions: dict[str, InferenceSession] = {}
        configuration = json.loads((folder / "config.json").read_text())
        self._dimension = int(configuration["projection_dim"])
        self._pad = int(configuration["text_config"]["pad_token_id"])
        longest = int(configuration["text_config"]["max_position_embeddings"])
        self._lengths = sorted({min(length, longest) for length in (*LENGTHS, longest)})
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)

    @staticmethod
    def available(folder: Path) -> bool:
        """Whether the folder has graphs, weights and tokenizer; opens none of them."""
        return all((folder / name).is_file() for name in _FILES)

    def images(self, pixels: np.ndarray) -> np.ndarray:
        """Unit-length float32 [n, d] of preprocessed pictures, float32 [n, 3, s, s]; n may be 0."""
        session = self._session("image")
        vectors = np.empty((len(pixels), self._dimension), np.float32)
        batch = np.zeros((BATCH, *pixels.shape[1:]), np.float32)
        for start in range(0, len(pixels), BATCH):
            rows = pixels[start : start + BATCH]
            batch[: len(rows)] = rows
            (out,) = session.run(None, {"pixel_values": batch})
            vectors[start : start + len(rows)] = np.asarray(out)[: len(rows)]
        return vectors

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit-length float32 [n, d] of texts, in their order; what is longer than the model reads is cut."""
        session = self._session("text")
        vectors = np.empty((len(words), self._dimension), np.float32)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(words))]
        by_length: dict[int, list[int]] = {}
        for row, tokens in enumerate(ids):
            length = next(length for length in self._lengths if length >= len(tokens))
            by_length.setdefault(length, []).append(row)
        for length, members in by_length.items():
            for start in range(0, len(members), BATCH):
                rows = members[start : start + BATCH]
                # Rows that fill up the batch repeat its first text: an all-masked row would have nothing to
                # attend to.
                filled = [ids[row] for row in rows] + [ids[rows[0]]] * (BATCH - len(rows))
                input_ids = np.full((BATCH, length), self._pad, np.int64)
                mask = np.zeros((BATCH, length), np.int64)
                for place, tokens in enumerate(filled):
                    input_ids[place, : len(tokens)] = tokens
                    mask[place, : len(tokens)] = 1
                (out,) = session.run(None, {"input_ids": input_ids, "attention_mask": mask})
                vectors[rows] = np.asarray(out)[: len(rows)]
        return vectors

    def _session(self, tower: str) -> "InferenceSession":
        with self._lock:
            if tower not in self._sessions:
                self._sessions[tower] = self._open(tower)
            return self._sessions[tower]

    def _open(self, tower: str) -> "InferenceSession":
        prefixes = _PREFIXES[tower]
        weights = {
            name: np.ascontiguousarray(tensor, np.float32)
            for name, tensor in self._load_weights(self._folder / "model.safetensors").items()
            if name.startswith(prefixes)
        }
        options = self._runtime.SessionOptions()
        # A call computes on its caller's thread alone: callers that run side by side keep all cores busy without
        # waiting for each other at every layer (on two cores 850 pictures/s; one call on two threads, 700).
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        values = [self._runtime.OrtValue.ortvalue_from_numpy(tensor) for tensor in weights.values()]
        options.add_external_initializers(list(weights), values)
        return self._runtime.InferenceSession(
            str(self._folder / "onnx" / f"{tower}.onnx"), options, providers=["CPUExecutionProvider"]
        )


_FILES = ("onnx/image.onnx", "onnx/text.onnx", "model.safetensors", "tokenizer.json", "config.json")
_PREFIXES = {"image": ("vision_model.", "visual_projection."), "text": ("text_model.", "text_projection.")}
