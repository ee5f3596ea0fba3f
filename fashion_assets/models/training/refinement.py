"""The end of a training: words learn to tell a picture from thousands of others, while pictures stay where they are.

What belongs here: that last part. What does not: the steps before it, in which both towers learn (`loop`).

Within a batch of a few hundred a caption meets few pictures it could be mistaken for; in a search it meets the catalogue.
Vectors of pictures that no longer change are computed once, and a caption is then told from as many as wanted for hardly
more than the text tower's own work. Left to that alone the tower would learn the trained titles by heart, so each caption
is also held to the vector it had.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fashion_assets.embedding.fashion_clip import FashionClip
from fashion_assets.machine import has_bfloat16
from fashion_assets.models.training.captions import captions_of
from fashion_assets.models.training.configuration import TrainingConfig
from fashion_assets.models.training.figures import PART, text_vectors, token_ids
from fashion_assets.models.training.material import Material
from fashion_assets.models.training.optimization import follow, optimizers_of, set_rate

_BATCH = 512
"""Captions of a step."""


def refine(
    model: FashionClip,
    teacher: FashionClip,
    pictures: Tensor,
    material: Material,
    config: TrainingConfig,
    progress: Callable[[dict[str, Any]], None],
) -> None:
    """Trains the text tower of `model` in place, `config.refined_passes` times over the captions.

    The loss of a title is its softmax contrast with its picture and `config.refined_among` others, where pictures of the
    same title count as right; of every caption, its cosine distance to what `teacher` makes of it.

    Args:
        model: the model; its image tower is left as it is.
        teacher: a model with the same tokenizer whose words are kept near: a copy of `model`, or one with a larger text
            tower, whose words a smaller one then learns.
        pictures: unit vectors [len(material.rows), d] of the products learnt from, by `model`.
        material: what is learnt from.
        config: see `TrainingConfig`.
        progress: called after each pass with plain numbers.
    """
    device, passes, rows, labels = model.device, config.refined_passes, material.rows, material.labels
    size = min(_BATCH, len(rows))
    learnt = [
        (name, parameter)
        for name, parameter in model.named_parameters()
        if name.startswith(("text_model.", "text_projection.", "logit_scale"))
    ]
    optimizers, bfloat16 = optimizers_of(learnt, config), has_bfloat16(config.device)
    means = [parameter.detach().clone() for parameter in model.parameters()]
    own_titles = torch.from_numpy(labels.titles[rows]).to(device)
    pictures = pictures.to(device)
    steps, step = passes * (len(rows) // size), 0
    for number in range(passes):
        random = np.random.default_rng((config.seed, config.epochs, number))
        order, sums = random.permutation(len(rows)), {"contrastive_loss": 0.0, "distance": 0.0}
        model.train()
        for start in range(0, len(order) - size + 1, size):
            set_rate(optimizers, step / steps, steps, config.warmup)
            places = np.sort(order[start : start + size])
            captions, _, by_title = captions_of(rows[places], material.titles, labels, config, random)
            others = random.choice(len(rows), min(config.refined_among, len(rows)), replace=False)
            among = torch.from_numpy(np.union1d(places, others)).to(device)
            ids = token_ids(material.tokenizer, captions, config.max_tokens)
            vectors = _vectors(model, ids, bfloat16)
            with torch.no_grad():
                kept = _vectors(teacher, ids, bfloat16)
            distance = (1 - (vectors * kept).sum(1)).mean()
            by_title = by_title.to(device)
            right = own_titles[torch.from_numpy(places).to(device)][by_title, None] == own_titles[among]
            # The temperature is bounded as in CLIP, at 100.
            scale = model.logit_scale.clamp(max=math.log(100.0)).exp()
            logits = scale * vectors[by_title] @ pictures[among].T
            told = (logits * right).sum(1) / right.sum(1)
            contrast = (torch.logsumexp(logits, 1) - told).sum() / by_title.sum().clamp(min=1)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            (config.refined_contrast * contrast + config.refined_distance * distance).backward()
            for optimizer in optimizers:
                optimizer.step()
            follow(means, model.parameters(), step, config.ema_decay)
            step += 1
            sums["contrastive_loss"] += contrast.item()
            sums["distance"] += distance.item()
        figures = {name: round(value / (len(order) // size), 4) for name, value in sums.items()}
        progress({"event": "refined", "pass": number + 1, **figures})
    with torch.no_grad():
        for parameter, mean in zip(model.parameters(), means, strict=True):
            parameter.copy_(mean)
    model.eval()


def _vectors(model: FashionClip, ids: list[list[int]], bfloat16: bool) -> Tensor:
    """Unit vectors [n, d] of tokenized captions, those of like length together."""
    by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    parts = [by_length[start : start + 4 * PART] for start in range(0, len(by_length), 4 * PART)]
    vectors = torch.cat([text_vectors(model, [ids[row] for row in part], bfloat16) for part in parts])
    back = torch.empty(len(ids), dtype=torch.int64)
    back[torch.tensor(by_length)] = torch.arange(len(ids))
    return vectors[back.to(vectors.device)]
