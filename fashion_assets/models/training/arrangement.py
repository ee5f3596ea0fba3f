"""The end of a training: pictures of like products come to lie together, by the image tower's projection alone.

What belongs here: that last part. What does not: the steps in which both towers learn (`loop`), and words among pictures
that stay (`refinement`).

What the towers learn by is captions, and a picture's neighbours are what comes of it, as is what a bare word finds. Asked
for directly both gain much and captions lose next to nothing, because there are directions enough for all of it;
and as only one matrix is learnt, of features computed once, it takes two minutes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fashion_assets.catalog.attributes import ALONE, LABELS
from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.labels import ATTRIBUTES
from fashion_assets.models.training.material import Material
from fashion_assets.models.training.objective import soft_cross_entropy
from fashion_assets.models.training.optimization import BETAS, set_rate

_BATCH = 2048
"""Pictures of a step: a value must be there several times, rare ones too."""

_RATE = 8e-4
"""Peak rate of AdamW, whatever the towers learnt at: it is one matrix, and near where it should be."""

_NEIGHBOURS_ALIKE_IN = {name: label.alike for name, label in LABELS.items() if label.alike is not None}
"""What a picture's neighbours should share with it, and how much that weighs."""

FOUND_BY_WORD = ALONE
"""Attributes whose values, as bare words, should find the pictures that have them."""


def arrange(
    model: FashionClip,
    features: Tensor,
    titles: Tensor,
    words: Mapping[str, Tensor],
    material: Material,
    config: TrainingConfig,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """Trains the projection of the image tower of `model` in place, `config.arranged_passes` times over the pictures.

    The loss of a picture is that of neighbourhood components analysis (Goldberger et al. 2004), by cosine: drawing another
    picture of the batch with a probability that grows with its nearness, minus the logarithm of the chance that it shares
    the value, added up over type, colour and gender. Beside it stand what holds pictures to words, which stay where they
    are: the symmetric contrast with the title, and that of attributes' bare words with the batch, each word as much as any
    other; and the cosine distance to where the picture was.

    Args:
        model: the model; all but the projection is left as it is.
        features: what the projection is given, float32 [len(material.rows), 1280], of the products learnt from.
        titles: unit vectors [len(material.rows), d] of their titles, by `model`.
        words: for each of `FOUND_BY_WORD`, unit vectors [values, d] of its values as bare words, by `model`.
        material: what is learnt from.
        config: see `TrainingConfig`.
        progress: called after each pass with plain numbers.
    """
    device, rows, labels = config.device, material.rows, material.labels
    size = min(_BATCH, len(rows))
    projection = model.visual_projection.weight
    before = projection.detach().clone()
    optimizer = torch.optim.AdamW([projection], lr=_RATE, betas=BETAS, weight_decay=config.weight_decay)
    codes, wordings = (torch.from_numpy(each[rows]) for each in (labels.codes, labels.titles))
    # The temperature is bounded as in CLIP, at 100.
    scale = model.logit_scale.detach().clamp(max=math.log(100.0)).exp()
    passes = config.arranged_passes
    steps, step = passes * (len(rows) // size), 0
    for number in range(passes):
        random = np.random.default_rng((config.seed, config.epochs, number))
        left_out = torch.Generator().manual_seed(int(random.integers(2**31)))
        order, sums = random.permutation(len(rows)), {"neighbour_loss": 0.0, "distance": 0.0}
        for start in range(0, len(order) - size + 1, size):
            set_rate([optimizer], step / steps, steps, config.warmup)
            places = torch.from_numpy(np.sort(order[start : start + size]))
            given = features[places].to(device)
            kept = torch.rand(given.shape, generator=left_out).to(device) >= config.feature_dropout
            vectors = functional.normalize(given * kept / (1 - config.feature_dropout) @ projection.T, dim=-1)
            values = codes[places].to(device)
            neighbours = neighbour_loss(vectors, values, config.arranged_temperature)
            same_title = (wordings[places][:, None] == wordings[places][None, :]).to(device)
            logits = scale * titles[places].to(device) @ vectors.T
            contrast = (soft_cross_entropy(logits, same_title) + soft_cross_entropy(logits.T, same_title)) / 2
            told = words_loss(scale * vectors, values, words)
            now, was = (functional.normalize(given @ matrix.T, dim=-1) for matrix in (projection, before))
            distance = (1 - (now * was).sum(1)).mean()
            held = (
                config.arranged_titles * contrast
                + config.arranged_words * told
                + config.arranged_distance * distance
            )
            optimizer.zero_grad(set_to_none=True)
            (neighbours + held).backward()
            optimizer.step()
            step += 1
            sums["neighbour_loss"] += neighbours.item()
            sums["distance"] += distance.item()
        figures = {name: round(value / (len(order) // size), 4) for name, value in sums.items()}
        progress({"event": "arranged", "pass": number + 1, **figures})


def neighbour_loss(vectors: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """How unlikely it is that a picture's neighbour shares its values, weighted and added up, see `arrange`.

    Args:
        vectors: unit vectors [n, d].
        codes: int64 [n, attributes], -1 is null: such a picture, or one whose value no other has, is not asked.
        temperature: what cosines are divided by; the lower, the fewer neighbours count.
    """
    own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    nearness = (vectors @ vectors.T / temperature).masked_fill(own, -torch.inf)
    all_others, total = torch.logsumexp(nearness, 1), vectors.new_zeros(())
    for name, weight in _NEIGHBOURS_ALIKE_IN.items():
        values = codes[:, ATTRIBUTES.index(name)]
        alike = (values[:, None] == values[None, :]) & ~own
        asked = (values >= 0) & alike.any(1)
        if asked.any():
            shared = torch.logsumexp(nearness[asked].masked_fill(~alike[asked], -torch.inf), 1)
            total = total + weight * (all_others[asked] - shared).mean()
    return total


def words_loss(vectors: Tensor, codes: Tensor, words: Mapping[str, Tensor]) -> Tensor:
    """Soft cross-entropy of an attribute's words over the pictures that bear them; the mean of words, then of attributes.

    Args:
        vectors: unit vectors times the scale of the logits [n, d].
        codes: int64 [n, attributes], -1 is null.
        words: see `arrange`; a word no picture bears is not asked.
    """
    losses = []
    for name, values in words.items():
        own = codes[:, ATTRIBUTES.index(name)]
        borne = torch.unique(own[own >= 0])
        if len(borne):
            losses.append(soft_cross_entropy(values[borne] @ vectors.T, own[None, :] == borne[:, None]))
    return torch.stack(losses).mean() if losses else vectors.new_zeros(())
