"""The optimizer of weight matrices.

What belongs here: Muon. What does not: which weights it moves (`loop`).
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


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
