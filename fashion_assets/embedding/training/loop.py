"""A training run: its state, its steps, and its checkpoint.

What belongs here: the order of things, and what survives an interruption. What does not: what a step is made of
(`captions`, `pictures`, `objective`, `muon`) and what becomes of the model (`export`).
"""

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.embedding.holdout import held_out_mask
from fashion_assets.embedding.training.captions import captions_of, train_tokenizer, vocabulary_texts
from fashion_assets.embedding.training.configuration import TrainingConfig
from fashion_assets.embedding.training.figures import PART, evaluate, one_core_each, text_features, token_ids
from fashion_assets.embedding.training.labels import ATTRIBUTES, Labels, labels_of
from fashion_assets.embedding.training.muon import Muon
from fashion_assets.embedding.training.objective import Prototypes, matches_of, soft_cross_entropy
from fashion_assets.embedding.training.pictures import augment, decode_pictures
from fashion_assets.embedding.training.start import build_model, started_at
from fashion_assets.machine import has_bfloat16

_REQUIRED = ("external_id", "image_path", "title", *ATTRIBUTES)


_CHECKPOINT = "checkpoint.pt"


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

    labels = labels_of(pairs)
    if tokenizer is None:
        tokenizer = train_tokenizer(vocabulary_texts(pairs.iloc[rows], labels, rows), config)
    run = _new_run(tokenizer, labels, config, start)
    checkpoint = folder / _CHECKPOINT
    identity = _identity(pairs, config, start)
    if checkpoint.exists():
        run.load(checkpoint, identity)
    titles = pairs["title"].astype(str).tolist()
    with run.threads:
        while not run.finished:
            with one_core_each(), _flushed_denormals():
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
    prototypes: Prototypes
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
            features = text_features(self.model, [ids[row] for row in rows])
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
def _flushed_denormals() -> Iterator[None]:
    """Denormal floats of nearly dead units slow a processor down many times over. It is the whole process' setting, and
    would cost vectors their last bits elsewhere, so it ends with the training."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _new_run(tokenizer: CLIPTokenizer, labels: Labels, config: TrainingConfig, start: Path | None) -> _Run:
    model = build_model(tokenizer, config, start)
    model.to(config.device, memory_format=torch.channels_last)  # pyright: ignore[reportArgumentType,reportCallIssue]
    prototypes = Prototypes(labels.values, config.projection_size).to(config.device)
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
    labels: Labels,
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
    labels: Labels,
    tokenizer: CLIPTokenizer,
    config: TrainingConfig,
    random: np.random.Generator,
) -> dict[str, float]:
    captions, told, by_title = captions_of(batch, titles, labels, config, random)
    codes = torch.from_numpy(labels.codes[batch]).to(config.device)
    matches = matches_of(codes, told.to(config.device), by_title.to(config.device), labels.titles[batch])
    parts = run.forward(pixels, batch, token_ids(tokenizer, captions, config.max_tokens), config, random)
    images, texts = (torch.empty(len(batch), config.projection_size, device=config.device) for _ in range(2))
    for part in parts:
        (images if part.pictures else texts)[part.rows] = part.vectors.detach()
    images.requires_grad_()
    texts.requires_grad_()
    # The temperature is bounded as in CLIP, at 100.
    logits = run.model.logit_scale.clamp(max=math.log(100.0)).exp() * texts @ images.T
    contrast = (soft_cross_entropy(logits, matches) + soft_cross_entropy(logits.T, matches.T)) / 2
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
