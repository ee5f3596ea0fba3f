"""A training run: its steps, what comes before them and after.

What belongs here: the order of things. What does not: what survives an interruption (`state`), what a step is made of
(`captions`, `pictures`, `objective`, `muon`) and what becomes of the model (`export`).
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.models.training.arrangement import FOUND_BY_WORD, arrange
from fashion_assets.models.training.captions import captions_of
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.figures import (
    embed_pictures,
    embed_texts,
    evaluate,
    one_core_each,
    picture_features,
    projected,
    token_ids,
)
from fashion_assets.models.training.labels import ATTRIBUTES
from fashion_assets.models.training.material import Material, material_of
from fashion_assets.models.training.objective import matches_of, soft_cross_entropy
from fashion_assets.models.training.optimization import follow, set_rate
from fashion_assets.models.training.refinement import refine
from fashion_assets.models.training.start import build_model, layers_of, started_at
from fashion_assets.models.training.state import Run, new_run

_CHECKPOINT = "checkpoint.pt"

_PICTURES_FOR_PROTOTYPES = 8192
"""Of a trained model's pictures, so many tell where it places an attribute's values."""


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
        pairs: columns `external_id, image_path, title` and those of `labels.ATTRIBUTES`, which may be null. One row per
            product.
        folder: the run's work folder: decoded pictures (`size^2 * 3` bytes each) and the checkpoint. It may
            be deleted once the result is exported.
        config: see `TrainingConfig`.
        start: the folder of a model that `export` wrote, to go on from; its tokenizer and the shape of its text tower
            are kept, the size of its pictures is not. Without it only ImageNet is known at the start.
        progress: called with plain numbers every 20 steps (`event` "step"), after each epoch's checkpoint ("epoch"), where
            all pictures are embedded ("beginning", "refining"), after each pass that refines words ("refined") and each that
            arranges pictures ("arranged"); what it raises ends the run.

    Raises:
        ValueError: a column is missing, an id or a critical value is null, an id is repeated, too few
            products are left to train on, or `folder` holds a checkpoint of another run.
        TrainingError: there is nothing to start at: `start` is no such model, or ImageNet's weights are missing.
    """
    config, tokenizer, before = config or TrainingConfig(), None, None
    if start is not None:
        config, tokenizer, before = started_at(start, config)
    material = material_of(pairs, folder, config, tokenizer)
    said = progress or (lambda facts: None)
    run = new_run(material.tokenizer, material.labels, config, start)
    checkpoint = folder / _CHECKPOINT
    identity = _identity(material.pairs, config, start)
    with run.threads:
        if checkpoint.exists():
            run.load(checkpoint, identity)
        elif start is not None:
            _begin_at(run, start, material, config, said)
        while not run.finished:
            with one_core_each(), _flushed_denormals():
                _epoch(run, material, config, said)
            if material.held_out.any():
                started = time.monotonic()
                figures = _evaluated(run.mean_model(), material, config, seen_too=False)["held_out_pictures"]
                for name in ("article_type_precision_at_10", "recall_at_10"):
                    run.history[-1][f"held_out_{name}"] = figures["titles"][name]
                run.seconds += time.monotonic() - started
            run.save(checkpoint, identity)
            said({"event": "epoch", **run.history[-1]})
        model = run.mean_model()
        if run.evaluation is None:
            started = time.monotonic()
            _end(model, material, config, said)
            run.take(model)
            run.seconds += time.monotonic() - started
            run.evaluation = _evaluated(model, material, config) if material.held_out.any() else {}
            run.save(checkpoint, identity)
    metrics = {
        "config": asdict(config),
        "data": {
            "products": len(material.pairs),
            "trained_on": len(material.rows),
            "held_out": int(material.held_out.sum()),
            "unreadable": len(material.unreadable_ids),
        },
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": run.step,
        "seconds": round(run.seconds),
        "curves": run.history,
        "evaluation": run.evaluation,
        **({} if before is None else {"started_at": before}),
    }
    held_out_ids = tuple(material.pairs["external_id"][material.held_out])
    model.to("cpu")  # pyright: ignore[reportArgumentType]
    return TrainingResult(model, material.tokenizer, metrics, held_out_ids, material.unreadable_ids)


def _begin_at(
    run: Run,
    start: Path,
    material: Material,
    config: TrainingConfig,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """What a run that goes on from a trained model must have before its first step: prototypes where that model places
    the attributes' values, and, where its text tower is to be a shallower one, the words."""
    is_shallower = layers_of(start) > config.text_layers
    if run.finished and not is_shallower:
        return
    rows = material.rows
    known = rows if is_shallower else rows[:: max(1, len(rows) // _PICTURES_FOR_PROTOTYPES)]
    progress({"event": "beginning", "pictures": len(known)})
    vectors = embed_pictures(run.model, material.pixels[known])
    run.prototypes.begin_at(
        vectors.to(config.device), torch.from_numpy(material.labels.codes[known]).to(config.device)
    )
    if is_shallower:
        before = build_model(material.tokenizer, replace(config, text_layers=layers_of(start)), start)
        model = run.mean_model()
        with _flushed_denormals():
            refine(model, before.to(config.device).eval(), vectors, material, config, progress)
        run.take(model)
        run.model.load_state_dict(model.state_dict())


def _end(
    model: FashionClip,
    material: Material,
    config: TrainingConfig,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """What is learnt from pictures that are computed once: words among all of them, then which of them lie together."""
    if not config.refined_passes and not config.arranged_passes:
        return
    progress({"event": "refining", "pictures": len(material.rows)})
    features = picture_features(model, material.pixels[material.rows])
    with _flushed_denormals():
        if config.refined_passes:
            refine(model, copy.deepcopy(model), projected(model, features), material, config, progress)
        if config.arranged_passes:

            def of(texts: list[str]) -> Tensor:
                return embed_texts(model, material.tokenizer, texts, config.max_tokens).to(config.device)

            titles = of([material.titles[row] for row in material.rows])
            words = {name: of(material.labels.values[name]) for name in FOUND_BY_WORD}
            arrange(model, features, titles, words, material, config, progress)


def _evaluated(
    model: FashionClip, material: Material, config: TrainingConfig, seen_too: bool = True
) -> dict[str, Any]:
    return evaluate(
        model,
        material.tokenizer,
        material.pairs,
        material.pixels,
        material.held_out,
        max_tokens=config.max_tokens,
        seen_too=seen_too,
    )


def _identity(pairs: pd.DataFrame, config: TrainingConfig, start: Path | None) -> str:
    content = pairs.astype(str).to_csv(index=False).encode()
    if start is not None:
        content += (start / "model.safetensors").read_bytes()
    # How it is computed may change between two calls; what is computed may not.
    kept = {name: value for name, value in asdict(config).items() if name not in ("threads", "device")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode() + content).hexdigest()


@contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Denormal floats of nearly dead units slow a processor down many times over. It is the whole process' setting, and
    would cost vectors their last bits elsewhere, so it ends with the training."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _epoch(
    run: Run, material: Material, config: TrainingConfig, progress: Callable[[dict[str, Any]], None]
) -> None:
    """One pass over the products in random order, as far as the wall clock allows; adds to the run's history."""
    # Seeded by the epoch, so that a resumed run draws what an uninterrupted one would.
    random = np.random.default_rng((config.seed, run.epoch))
    batches = batches_of(material.rows, material.labels.codes, config, random)
    steps_per_epoch = len(batches)
    steps = steps_per_epoch * config.epochs
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
        rate = set_rate(run.optimizers, share, steps, config.warmup)
        figures = _step(run, batches[number], material, config, random)
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
    run: Run, batch: np.ndarray, material: Material, config: TrainingConfig, random: np.random.Generator
) -> dict[str, float]:
    labels = material.labels
    captions, told, by_title = captions_of(batch, material.titles, labels, config, random)
    codes = torch.from_numpy(labels.codes[batch]).to(config.device)
    matches = matches_of(codes, told.to(config.device), by_title.to(config.device), labels.titles[batch])
    ids = token_ids(material.tokenizer, captions, config.max_tokens)
    parts = run.forward(material.pixels, batch, ids, config, random)
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
    follow(run.mean_weights, run.model.parameters(), run.step, config.ema_decay)
    return {
        "contrastive_loss": round(contrast.item(), 4),
        "prototype_loss": round(attributes.item(), 4),
        "article_type_accuracy": round(image_accuracy.item(), 4),
    }
