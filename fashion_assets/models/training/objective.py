"""What a batch teaches: the contrast of captions and pictures, and the attributes' prototypes.

What belongs here: losses. What does not: whose gradients they are (`loop`).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fashion_assets.catalog.attributes import LABELS
from fashion_assets.models.training.labels import ATTRIBUTES


class Prototypes(nn.Module):
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

    def begin_at(self, embeddings: Tensor, codes: Tensor) -> None:
        """Put each value's direction at the mean of vectors [n, size] that have it; one that none has stays as it is.

        For a model that was trained before: directions drawn at random would first tear apart what it knows.
        """
        with torch.no_grad():
            for column, name in enumerate(ATTRIBUTES):
                known = codes[:, column] >= 0
                values, vectors = codes[known, column], embeddings[known]
                directions = self.directions[name]
                sums = torch.zeros_like(directions).index_add_(0, values, vectors)
                seen = torch.bincount(values, minlength=len(directions)) > 0
                directions[seen] = functional.normalize(sums[seen], dim=-1)

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
            total = total + LABELS[name].weight / known * functional.cross_entropy(
                logits, target, ignore_index=-1, reduction="sum"
            )
            if name == "article_type":
                accuracy = (logits.argmax(-1) == target).sum() / known
        return total / sum(label.weight for label in LABELS.values()), accuracy


def matches_of(codes: Tensor, told: Tensor, by_title: Tensor, titles: np.ndarray) -> Tensor:
    """Boolean [captions, pictures]: the caption is true of the picture."""
    title = torch.from_numpy(titles).to(codes.device)
    same_title = title[:, None] == title[None, :]
    fits = ((codes[:, None, :] == codes[None, :, :]) | ~told[:, None, :]).all(-1)
    own = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    return torch.where(by_title[:, None], same_title, fits) | own


def soft_cross_entropy(logits: Tensor, matches: Tensor) -> Tensor:
    targets = matches.float() / matches.sum(1, keepdim=True)
    return -(targets * functional.log_softmax(logits, dim=1)).sum(1).mean()
