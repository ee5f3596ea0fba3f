"""How weights follow their gradients: optimizers, the rate over a training, and the running mean of the weights.

What belongs here: what every part of a training shares. What does not: Muon itself (`muon`), and gradients (`state`,
`refinement`).
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.muon import Muon

BETAS = (0.9, 0.98)
"""Decay of AdamW's running means of gradients and of their squares; the second is that of CLIP's transformers, 0.98."""


def optimizers_of(
    parameters: Iterable[tuple[str, nn.Parameter]], config: TrainingConfig
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the text tower's layers, AdamW for everything else that is to be learnt, by its name in
    the model."""
    matrices, decayed, plain, kernels, offsets = [], [], [], [], []
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        if name.startswith("vision_model."):
            (kernels if parameter.ndim >= 2 else offsets).append(parameter)
        elif parameter.ndim == 2 and ".layers." in name:
            matrices.append(parameter)
        else:
            (decayed if parameter.ndim >= 2 else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
        {"params": kernels, "weight_decay": config.weight_decay, "lr": config.image_learning_rate},
        {"params": offsets, "weight_decay": 0.0, "lr": config.image_learning_rate},
    ]
    return [
        Muon(matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay),
        torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=config.learning_rate, betas=BETAS
        ),
    ]


def set_rate(optimizers: Sequence[torch.optim.Optimizer], share: float, steps: int, warmup: float) -> float:
    """Sets every group's rate for the step that begins when `share` of `steps` is done, and returns it as a part of its
    peak: it rises over the `warmup` share of the training and falls as half a cosine."""
    risen = min(1.0, (share + 1 / steps) / max(warmup, 1 / steps))
    rate = risen * (1 + math.cos(math.pi * share)) / 2
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * rate
    return rate


@torch.no_grad()
def follow(means: Sequence[Tensor], parameters: Iterable[Tensor], step: int, decay: float) -> None:
    """Moves the running means on to the parameters after `step` earlier steps; early on the mean is short, so that it does
    not remember the untrained weights."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, parameter in zip(means, parameters, strict=True):
        mean.lerp_(parameter, 1 - decay)
