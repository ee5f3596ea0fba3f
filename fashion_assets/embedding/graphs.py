"""A CLIP's towers as graphs: OpenVINO operations over the weights of a model folder.

What belongs here: a transformers `CLIPModel`'s layers, and those of an EfficientNet beside a CLIP's text tower. What does not:
compiling and running them (`towers`).
"""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np


class Graph(ABC):
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


class ConvolutionGraph(Graph):
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


class TransformerGraph(Graph):
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
