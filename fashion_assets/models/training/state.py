"""All that changes while training: what a checkpoint holds, and how a batch goes through the towers and back.

What belongs here: the model in training with its optimizers, prototypes and counts. What does not: in which order things
are learnt (`loop`), and from what (`material`).
"""

import copy
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.machine import has_bfloat16
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.figures import PART, text_vectors
from fashion_assets.models.training.labels import Labels
from fashion_assets.models.training.objective import Prototypes
from fashion_assets.models.training.optimization import optimizers_of
from fashion_assets.models.training.pictures import augment
from fashion_assets.models.training.start import build_model


@dataclass(frozen=True)
class Part:
    """Some of a batch's vectors, with the graph they came by."""

    pictures: bool
    """Of pictures; else of captions."""
    rows: Tensor
    """int64 [m]: places in the batch."""
    vectors: Tensor
    """[m, projection], unit length."""


@dataclass
class Run:
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
    ) -> list[Part]:
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
    ) -> Part:
        random = torch.Generator().manual_seed(seed)
        device, tower = config.device, self.model.vision_model
        pictures = augment(torch.from_numpy(np.array(pixels[batch[rows]])).to(device), random)
        with torch.no_grad(), torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.bfloat16):
            maps = tower.early(pictures.contiguous(memory_format=torch.channels_last))
        features = tower.late(maps.float())
        kept = torch.rand(features.shape, generator=random).to(device) >= config.feature_dropout
        features = features * kept / (1 - config.feature_dropout)
        vectors = functional.normalize(self.model.visual_projection(features), dim=-1)
        return Part(True, torch.from_numpy(rows), vectors)

    def _texts(self, ids: list[list[int]], rows: np.ndarray) -> Part:
        vectors = text_vectors(self.model, [ids[row] for row in rows], self.bfloat16)
        return Part(False, torch.from_numpy(rows), vectors)

    def backward(self, parts: list[Part], images: Tensor, texts: Tensor) -> None:
        """Sends the gradients of the vectors [n, projection] back through the towers, part by part in threads."""
        model = self.model
        learnt = {
            True: [*model.vision_model.parameters(), *model.visual_projection.parameters()],
            False: [*model.text_model.parameters(), *model.text_projection.parameters()],
        }
        learnt = {kind: [p for p in parameters if p.requires_grad] for kind, parameters in learnt.items()}

        def back(part: Part) -> tuple[Tensor | None, ...]:
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

    def take(self, model: FashionClip) -> None:
        """Makes the weights of `model` the mean ones."""
        with torch.no_grad():
            for mean, parameter in zip(self.mean_weights, model.parameters(), strict=True):
                mean.copy_(parameter)

    def mean_model(self) -> FashionClip:
        """A copy of the model with the mean weights, in evaluation mode."""
        model = copy.deepcopy(self.model)
        with torch.no_grad():
            for parameter, mean in zip(model.parameters(), self.mean_weights, strict=True):
                parameter.copy_(mean)
        return model.eval()


def new_run(tokenizer: CLIPTokenizer, labels: Labels, config: TrainingConfig, start: Path | None) -> Run:
    model = build_model(tokenizer, config, start)
    model.to(config.device, memory_format=torch.channels_last)  # pyright: ignore[reportArgumentType,reportCallIssue]
    prototypes = Prototypes(labels.values, config.projection_size).to(config.device)
    optimizers = optimizers_of([*model.named_parameters(), *prototypes.named_parameters()], config)
    means = [parameter.detach().clone() for parameter in model.parameters()]
    threads = ThreadPoolExecutor(
        config.threads, "train", initializer=torch.set_flush_denormal, initargs=(True,)
    )
    return Run(
        model,
        prototypes,
        optimizers,
        means,
        threads,
        has_bfloat16(config.device),
        finished=config.epochs == 0,
    )
