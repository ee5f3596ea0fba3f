"""A CLIP's two towers, compiled for the processor at hand: pixels and words to vectors without torch or transformers.

What belongs here: the graphs of a transformers `CLIPModel`, or of an EfficientNet beside a CLIP's text tower, as OpenVINO
operations over the folder's own weights, tokenizing, and batching such that a vector depends on its own input alone. What
does not: decoding and resizing pictures, and choosing a backend (`encoder`).

OpenVINO picks the kernels: AVX2, AVX-512, or bfloat16 on AMX where the processor has it, which is three times as fast
there (cosine to the float32 vector: words 0.999, photographs 0.9996 in the mean and 0.997 at the least, flat drawings
0.99). Building and compiling a tower takes a quarter of a second; importing torch and transformers takes five.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from fashion_assets.embedding.spaces import ModelError

BATCH = 32
"""Texts of one call to their tower; more are no faster on a CPU."""

LENGTHS = (6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 77)
"""Numbers of tokens that texts are padded to: a text's own length chooses, never its neighbours'."""

_FILES = ("model.safetensors", "tokenizer.json", "config.json")
_ACTIVATIONS = ("gelu", "quick_gelu")
_VISION_ACTIVATIONS = {"clip_vision_model": _ACTIVATIONS, "efficientnet": ("relu6", "swish")}
_LEGACY_END = 2
"""`eos_token_id` of the first published CLIPs, whose last token is not that but the highest one."""


class Towers:
    """Both towers of a `CLIPModel` folder; safe to use from several threads.

    Args:
        folder: the model folder in transformers' layout, see `available`.
        mean, deviation: of the red, green and blue channel, for pixels in 0..1, as the preprocessor states them.
        calls: how many may compute side by side, each on one core; further ones wait.
        cores: of a call, where `calls` is one.
        dtype: numbers to multiply, "float32" or "bfloat16"; None: what OpenVINO holds for fastest.
    Raises:
        FileNotFoundError: the folder lacks one of the files.
    """

    def __init__(
        self,
        folder: Path,
        mean: Sequence[float],
        deviation: Sequence[float],
        *,
        calls: int = 1,
        cores: int = 1,
        dtype: str | None = None,
    ) -> None:
        # Imported here: code that only asks whether towers are there should not pay for the libraries.
        import tokenizers

        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}")
        self._folder = folder
        self._mean, self._deviation = np.asarray(mean, np.float32), np.asarray(deviation, np.float32)
        self._calls, self._cores, self._dtype = calls, cores, dtype
        self._lock = Lock()
        self._towers: dict[str, _Tower] = {}
        self._configuration = json.loads((folder / "config.json").read_text())
        self.dimension = int(self._configuration["projection_dim"])
        """Of the vectors."""
        text = self._configuration.get("text_config", {})
        self._pad = int(text.get("pad_token_id") or 0)
        self._end = int(text.get("eos_token_id", _LEGACY_END))
        longest = int(text.get("max_position_embeddings", 77))
        self._lengths = sorted({min(length, longest) for length in (*LENGTHS, longest)})
        with _whole(folder):
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)

    @staticmethod
    def available(folder: Path) -> bool:
        """Whether the folder holds a CLIP these graphs can be built of; reads its configuration alone."""
        if not all((folder / name).is_file() for name in _FILES):
            return False
        configuration = json.loads((folder / "config.json").read_text())
        text, vision = (configuration.get(part, {}) for part in ("text_config", "vision_config"))
        if configuration.get("model_type") == "clip":
            towers = ("clip_text_model", "clip_vision_model")
        elif configuration.get("model_type") == "vision-text-dual-encoder":
            towers = (text.get("model_type"), vision.get("model_type"))
        else:
            return False
        return (
            towers[0] == "clip_text_model"
            and text.get("hidden_act", "quick_gelu") in _ACTIVATIONS
            and vision.get("hidden_act", "quick_gelu") in _VISION_ACTIVATIONS.get(str(towers[1]), ())
        )

    def images(self, lines: np.ndarray) -> np.ndarray:
        """Unit-length float32 [n, d] of RGB pictures, uint8 [n, H, 3, W] at the model's size; n may be 0.

        Each line holds its reds, then its greens, then its blues: a graph need not part them pixel by pixel, which took a
        ninth of its time.
        """
        if not len(lines):
            return np.empty((0, self.dimension), np.float32)
        return _unit(self._tower("vision").run(lines))

    def small_images(
        self, lines: Sequence[np.ndarray], matrices: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> np.ndarray:
        """As `images`, of pictures uint8 [h, 3, w] of any sizes, no edge longer than the model's, which the graph itself
        brings to the model's size by each one's matrices, float32 [w, W] and [H, h] (`sizing`)."""
        return _unit(self._tower("small_vision").run(*_together(lines, matrices)))

    def compute_on(self, calls: int, cores: int) -> None:
        """From now on so many calls side by side, each on so many cores; what is compiled for another number is made anew
        when it is next needed."""
        with self._lock:
            if (calls, cores) != (self._calls, self._cores):
                self._calls, self._cores = calls, cores
                self._towers.clear()

    def texts(self, words: Sequence[str]) -> np.ndarray:
        """Unit-length float32 [n, d] of texts, in their order; what is longer than the model reads is cut."""
        vectors = np.empty((len(words), self.dimension), np.float32)
        tower = self._tower("text")
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(words))]
        by_length: dict[int, list[int]] = {}
        for row, tokens in enumerate(ids):
            length = next(length for length in self._lengths if length >= len(tokens))
            by_length.setdefault(length, []).append(row)
        for length, members in by_length.items():
            for start in range(0, len(members), BATCH):
                rows = members[start : start + BATCH]
                tokens = np.full((len(rows), length), self._pad, np.int32)
                for place, row in enumerate(rows):
                    tokens[place, : len(ids[row])] = ids[row]
                vectors[rows] = tower.run(tokens, self._ends(tokens))
        return _unit(vectors)

    def _ends(self, tokens: np.ndarray) -> np.ndarray:
        """Where each text ends: its vector is taken there, and as attention looks back only, padding has no say."""
        ends = tokens if self._end == _LEGACY_END else tokens == self._end
        return ends.argmax(axis=1).astype(np.int32)

    def _tower(self, kind: str) -> "_Tower":
        with self._lock:
            if kind not in self._towers:
                with _whole(self._folder):
                    self._towers[kind] = _Tower(self._graph(kind), self._calls, self._cores, self._dtype)
            return self._towers[kind]

    def _graph(self, kind: str) -> Any:
        if kind == "text":
            return _TransformerGraph(self._folder, "text", self._configuration.get("text_config", {})).text()
        configuration = self._configuration.get("vision_config", {})
        convolutional = configuration.get("model_type") == "efficientnet"
        graph = (_ConvolutionGraph if convolutional else _TransformerGraph)(
            self._folder, "vision", configuration
        )
        return graph.vision(self._mean, self._deviation, resizing=kind == "small_vision")


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """While a model's files are read: raises `ModelError` where they cannot be what they should."""
    try:
        yield
    except (ModelError, OSError, MemoryError):
        raise
    except Exception as error:  # libraries raise anything at all for files that are damaged
        raise ModelError(
            f"the model in {folder} cannot be loaded ({type(error).__name__}: {error}). Its files are damaged or not whole: "
            "fetch it again, or unset FASHION_ASSETS_MODEL to use the shipped model."
        ) from error


def native_dtypes() -> list[str]:
    """What this CPU multiplies in hardware, the one OpenVINO uses of itself first."""
    from fashion_assets.embedding.runtime import openvino

    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["bfloat16", "float32"] if "BF16" in known else ["float32"]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _together(
    lines: Sequence[np.ndarray], matrices: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures of different sizes as one input: what the smaller ones lack is multiplied by zero."""
    if all(picture.shape == lines[0].shape for picture in lines):
        return np.stack(lines), matrices[0][0][None], matrices[0][1][None]
    height, width = (max(picture.shape[axis] for picture in lines) for axis in (0, 2))
    (seen_width, seen_height) = matrices[0][0].shape[1], matrices[0][1].shape[0]
    pixels = np.zeros((len(lines), height, 3, width), np.uint8)
    across = np.zeros((len(lines), width, seen_width), np.float32)
    down = np.zeros((len(lines), seen_height, height), np.float32)
    for place, (picture, (columns, rows)) in enumerate(zip(lines, matrices, strict=True)):
        pixels[place, : picture.shape[0], :, : picture.shape[2]] = picture
        across[place, : len(columns)] = columns
        down[place, :, : rows.shape[1]] = rows
    return pixels, across, down


class _Tower:
    """A compiled graph and as many requests to it as may run side by side."""

    def __init__(self, model: Any, calls: int, cores: int, dtype: str | None) -> None:
        from fashion_assets.embedding.runtime import openvino

        # Not pinned, because worker processes would be pinned to the same cores.
        how = {"NUM_STREAMS": calls, "INFERENCE_NUM_THREADS": calls * cores, "ENABLE_CPU_PINNING": False}
        if dtype is not None:
            how["INFERENCE_PRECISION_HINT"] = {"float32": "f32", "bfloat16": "bf16"}[dtype]
        compiled = openvino.Core().compile_model(model, "CPU", how)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(calls):
            self._requests.put(compiled.create_infer_request())

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        with self._request() as request:
            request.infer([np.ascontiguousarray(value) for value in inputs])
            return np.array(request.get_output_tensor(0).data, np.float32)

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._requests.get()
        try:
            yield request
        finally:
            self._requests.put(request)


class _Graph(ABC):
    """One tower as operations over the tensors of `model.safetensors`."""

    def __init__(self, folder: Path, kind: str, configuration: dict[str, Any]) -> None:
        import safetensors.numpy

        from fashion_assets.embedding.runtime import opset13

        self._op: Any = opset13
        self._kind = kind
        self._configuration = configuration
        prefixes = (f"{kind}_model.", "visual_projection." if kind == "vision" else "text_projection.")
        self._weights = {
            name: np.ascontiguousarray(tensor, np.float32)
            for name, tensor in safetensors.numpy.load_file(folder / "model.safetensors").items()
            if name.startswith(prefixes)
        }

    def vision(self, mean: np.ndarray, deviation: np.ndarray, *, resizing: bool) -> Any:
        """uint8 [n, H, 3, W] to [n, d]; with `resizing`, uint8 [n, h, 3, w], [n or 1, w, W] and [n or 1, H, h] to [n, d]."""
        from fashion_assets.embedding.runtime import openvino

        op, (height, width) = self._op, self._size()
        if resizing:
            lines = op.parameter([-1, -1, 3, -1], np.uint8)
            across, down = (
                op.parameter([-1, -1, width], np.float32),
                op.parameter([-1, height, -1], np.float32),
            )
            given = [lines, across, down]
            x = self._resized(lines, across, down, height, width)
        else:
            given = [op.parameter([-1, height, 3, width], np.uint8)]
            x = op.convert(given[0], "f32")
        by_colour = (
            op.constant(values.reshape(1, 1, 3, 1)) for values in (mean * 255, 1 / (deviation * 255))
        )
        x = op.multiply(op.subtract(x, next(by_colour)), next(by_colour))
        x = self._vector(self._transposed(x, 0, 2, 1, 3))
        return openvino.Model([x], given, "vision")  # pyright: ignore[reportGeneralTypeIssues]

    def _resized(self, lines: Any, across: Any, down: Any, height: int, width: int) -> Any:
        """[n, height, 3, width] of `lines`; after each of the two products values are whole numbers from 0 to 255, as
        Pillow keeps them. It is the order and the rounding of Pillow, in whose pixels bfloat16 then errs by two at most."""
        op, shape = self._op, self._op.shape_of(lines)
        h, w = (op.gather(shape, _integers(axis), op.constant(np.int64(0))) for axis in (1, 3))
        x = op.reshape(op.convert(lines, "f32"), op.concat([_integers(0, -1), w], 0), True)
        x = self._byte(op.matmul(x, across, False, False))
        x = op.reshape(x, op.concat([_integers(0), h, _integers(3 * width)], 0), True)
        x = self._byte(op.matmul(down, x, False, False))
        return self._shaped(x, 0, height, 3, width)

    def _byte(self, x: Any) -> Any:
        return self._op.clamp(self._op.round(x, "half_to_even"), 0.0, 255.0)

    @abstractmethod
    def _size(self) -> tuple[int, int]:
        """Height and width of what the image tower sees."""

    @abstractmethod
    def _vector(self, pixels: Any) -> Any:
        """Standardised [n, 3, h, w] to [n, d]."""

    def _linear(self, x: Any, name: str) -> Any:
        made = self._op.matmul(x, self._op.constant(self._weights[f"{name}.weight"]), False, True)
        bias = self._weights.get(f"{name}.bias")
        return made if bias is None else self._op.add(made, self._op.constant(bias))

    def _shaped(self, x: Any, *shape: int) -> Any:
        return self._op.reshape(x, _integers(*shape), True)

    def _transposed(self, x: Any, *order: int) -> Any:
        return self._op.transpose(x, _integers(*order))


class _ConvolutionGraph(_Graph):
    """The image tower of an EfficientNet (Tan and Le 2019), batch norms folded into the convolutions."""

    def _size(self) -> tuple[int, int]:
        size = self._configuration["image_size"]
        height, width = size if isinstance(size, list) else (size, size)
        return height, width

    def _vector(self, pixels: Any) -> Any:
        op, configuration = self._op, self._configuration
        tower = "vision_model"
        x = self._convolved(
            pixels, f"{tower}.embeddings.convolution", f"{tower}.embeddings.batchnorm", stride=2
        )
        x = self._activated(x)
        number, square = 0, set(configuration.get("depthwise_padding", ()))
        for stage, repeats in enumerate(configuration["num_block_repeats"]):
            for repeat in range(math.ceil(configuration["depth_coefficient"] * repeats)):
                stride = configuration["strides"][stage] if repeat == 0 else 1
                made = self._block(x, f"{tower}.encoder.blocks.{number}", stride, number not in square)
                x = made if repeat == 0 else op.add(x, made)
                number += 1
        x = self._activated(self._convolved(x, f"{tower}.encoder.top_conv", f"{tower}.encoder.top_bn"))
        x = op.reduce_mean(x, _integers(2, 3), False)
        return self._linear(x, "visual_projection")

    def _block(self, x: Any, name: str, stride: int, late_padding: bool) -> Any:
        if f"{name}.expansion.expand_conv.weight" in self._weights:
            x = self._convolved(x, f"{name}.expansion.expand_conv", f"{name}.expansion.expand_bn")
            x = self._activated(x)
        depthwise = f"{name}.depthwise_conv"
        x = self._convolved(
            x,
            f"{depthwise}.depthwise_conv",
            f"{depthwise}.depthwise_norm",
            stride,
            late_padding,
            grouped=True,
        )
        x = self._gated(self._activated(x), f"{name}.squeeze_excite")
        return self._convolved(x, f"{name}.projection.project_conv", f"{name}.projection.project_bn")

    def _convolved(
        self, x: Any, name: str, norm: str, stride: int = 1, late_padding: bool = True, grouped: bool = False
    ) -> Any:
        op, weights = self._op, self._weights
        scale = weights[f"{norm}.weight"] / np.sqrt(
            weights[f"{norm}.running_var"] + np.float32(self._configuration["batch_norm_eps"])
        )
        kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
        offset = (weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale).reshape(1, -1, 1, 1)
        half = kernel.shape[2] // 2
        # Where it halves the picture, transformers pads less at the start, as TensorFlow does for even sizes.
        start = half - 1 if stride == 2 and late_padding else half
        geometry = ([stride, stride], [start, start], [half, half], [1, 1])
        if grouped:
            x = op.group_convolution(x, op.constant(kernel[:, None]), *geometry)
        else:
            x = op.convolution(x, op.constant(kernel), *geometry)
        return op.add(x, op.constant(offset))

    def _gated(self, x: Any, name: str) -> Any:
        """Squeeze-excitation."""
        op = self._op
        reduce, expand = (
            [self._weights[f"{name}.{part}.{of}"] for of in ("weight", "bias")]
            for part in ("reduce", "expand")
        )
        with np.errstate(over="ignore"):
            gate = 1 / (1 + np.exp(-expand[1]))
        if not expand[0].any() and (gate == 1).all():
            return x  # always open, as in a Lite network
        seen = op.reduce_mean(x, _integers(2, 3), True)
        for (kernel, offset), act in ((reduce, self._activated), (expand, op.sigmoid)):
            seen = op.convolution(seen, op.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
            seen = act(op.add(seen, op.constant(offset.reshape(1, -1, 1, 1))))
        return op.multiply(x, seen)

    def _activated(self, x: Any) -> Any:
        if self._configuration["hidden_act"] == "relu6":
            return self._op.clamp(x, 0.0, 6.0)
        return self._op.swish(x)


class _TransformerGraph(_Graph):
    """One tower of a CLIP (Radford et al. 2021)."""

    def __init__(self, folder: Path, kind: str, configuration: dict[str, Any]) -> None:
        super().__init__(folder, kind, configuration)
        # transformers' defaults, which configurations leave out.
        self._heads = int(configuration.get("num_attention_heads", 12 if kind == "vision" else 8))
        self._epsilon = float(configuration.get("layer_norm_eps", 1e-5))
        self._activation = configuration.get("hidden_act", "quick_gelu")

    def _size(self) -> tuple[int, int]:
        patch = self._weights["vision_model.embeddings.patch_embedding.weight"].shape[2]
        patches = len(self._weights["vision_model.embeddings.position_embedding.weight"]) - 1
        return (patch * round(patches**0.5),) * 2

    def _vector(self, pixels: Any) -> Any:
        op, weights = self._op, self._weights
        kernel = weights["vision_model.embeddings.patch_embedding.weight"]
        places = weights["vision_model.embeddings.position_embedding.weight"]
        width, patch = kernel.shape[0], kernel.shape[2]
        patches = len(places) - 1
        x = op.convolution(pixels, op.constant(kernel), [patch, patch], [0, 0], [0, 0], [1, 1])
        x = self._transposed(self._shaped(x, 0, width, patches), 0, 2, 1)
        pictures = op.gather(op.shape_of(pixels), _integers(0), op.constant(np.int64(0)))
        summary = op.constant(weights["vision_model.embeddings.class_embedding"].reshape(1, 1, width))
        summary = op.broadcast(summary, op.concat([pictures, _integers(1, width)], 0))
        x = op.add(op.concat([summary, x], 1), op.constant(places[None]))
        # transformers spells it so.
        first = op.broadcast(op.constant(np.int32(0)), op.concat([pictures, _integers(1)], 0))
        x = self._layers(self._normed(x, "vision_model.pre_layrnorm"), first, causal=False)
        return self._linear(self._normed(x, "vision_model.post_layernorm"), "visual_projection")

    def text(self) -> Any:
        """Tokens int32 [n, length] and each text's last one int32 [n] to [n, d]."""
        from fashion_assets.embedding.runtime import openvino

        op, weights = self._op, self._weights
        tokens, ends = op.parameter([-1, -1], np.int32), op.parameter([-1], np.int32)
        table = op.constant(weights["text_model.embeddings.token_embedding.weight"])
        places = op.constant(weights["text_model.embeddings.position_embedding.weight"])
        length = op.gather(op.shape_of(tokens), _integers(1), op.constant(np.int64(0)))
        x = op.add(
            op.gather(table, tokens, op.constant(np.int64(0))),
            op.slice(places, _integers(0), length, _integers(1), _integers(0)),
        )
        x = self._layers(x, op.unsqueeze(ends, _integers(1)), causal=True)
        x = self._linear(self._normed(x, "text_model.final_layer_norm"), "text_projection")
        return openvino.Model([x], [tokens, ends], "text")  # pyright: ignore[reportGeneralTypeIssues]

    def _layers(self, x: Any, read: Any, *, causal: bool) -> Any:
        """All layers, [n, length, width] to [n, width] at the one place of each sequence, `read`, int32 [n, 1], that its
        vector is made of: the last layer computes no other."""
        op, prefix = self._op, f"{self._kind}_model.encoder.layers"
        layers = len({name.split(".")[3] for name in self._weights if name.startswith(f"{prefix}.")})
        for number in range(layers):
            layer, is_last = f"{prefix}.{number}", number == layers - 1
            normed = self._normed(x, f"{layer}.layer_norm1")
            asking = normed
            if is_last:
                asking, x = (op.gather(each, read, _integers(1), 1) for each in (normed, x))
            attention = f"{layer}.self_attn"
            x = op.add(x, self._attention(asking, normed, attention, causal, read if is_last else None))
            hidden = self._linear(self._normed(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
            x = op.add(x, self._linear(self._activated(hidden), f"{layer}.mlp.fc2"))
        return op.squeeze(x, _integers(1))

    def _attention(self, asking: Any, asked: Any, name: str, causal: bool, read: Any | None) -> Any:
        """`asking` is `asked`, or its one place `read`, which sees what is before it where attention is causal."""
        op, width = self._op, len(self._weights[f"{name}.q_proj.weight"])

        def heads(x: Any, part: str) -> Any:
            made = self._shaped(
                self._linear(x, f"{name}.{part}_proj"), 0, 0, self._heads, width // self._heads
            )
            return self._transposed(made, 0, 2, 1, 3)

        query, key, value = heads(asking, "q"), heads(asked, "k"), heads(asked, "v")
        if causal and read is not None:
            length = op.gather(op.shape_of(asked), op.constant(np.int64(1)), op.constant(np.int64(0)))
            zero, one = op.constant(np.int32(0)), op.constant(np.int32(1))
            places = op.range(zero, op.convert(length, "i32"), one, "i32")
            before = op.unsqueeze(op.less_equal(places, read), _integers(1, 2))
            seen = op.scaled_dot_product_attention(query, key, value, before)
        else:
            seen = op.scaled_dot_product_attention(query, key, value, causal=causal)
        return self._linear(self._shaped(self._transposed(seen, 0, 2, 1, 3), 0, 0, width), f"{name}.out_proj")

    def _activated(self, x: Any) -> Any:
        op = self._op
        if self._activation == "gelu":
            return op.gelu(x, "erf")
        return op.multiply(x, op.sigmoid(op.multiply(x, op.constant(np.float32(1.702)))))

    def _normed(self, x: Any, name: str) -> Any:
        op = self._op
        made = op.mvn(x, _integers(-1), True, self._epsilon, "inside_sqrt")
        weight, bias = (op.constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return op.add(op.multiply(made, weight), bias)


def _integers(*values: int) -> Any:
    from fashion_assets.embedding.runtime import opset13

    return opset13.constant(np.array(values, np.int64))
