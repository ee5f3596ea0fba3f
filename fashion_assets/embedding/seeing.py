"""What pictures show of a product: attributes told by the vectors of pictures beside those of words, without looking at a picture again.

What belongs here: the words that are held beside a picture, which of their nearness is sure enough, "cannot tell" for everything else.
What does not: which products are asked about (`catalog.properties`), measuring how often it is right (`benchmarks/seeing.py`).

`seeing.toml` has the words, and for one model how sure it is: a softmax over cosines / `TEMPERATURE`, its share of the nearest word, and from
which share on so many were right among products kept out of the training. A model nobody measured tells nothing.
"""

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from fashion_assets.catalog.properties import Filled

FILE = resources.files("fashion_assets.embedding").joinpath("seeing.toml")

TEMPERATURE = 0.03
"""Of the softmax; any near it orders pictures alike, and the steps are measured with it."""

LEAST = 0.9
"""What is right less often is not told."""

KIND = "article_type"
"""The attribute that other prompts name: a red shirt is nearer to "red shirts" than to "red"."""


class Question(NamedTuple):
    """An attribute, and the words of its values that are held beside a picture."""

    prompt: str
    """With `{value}`, and `{kind}` where it says what kind of thing it is."""
    values: tuple[str, ...]
    steps: tuple[tuple[float, float], ...]
    """From which share of the nearest word on how many are right, the lowest first; none where a picture cannot tell."""

    def sure(self, share: float) -> float | None:
        """How often what was told with this share is right; None where that is not often enough."""
        return next((right for least, right in reversed(self.steps) if share >= least), None)


@cache
def questions(space: str) -> dict[str, Question]:
    """What pictures in this space are asked, by attribute; nothing of a model that was not measured."""
    said = tomllib.loads(FILE.read_text("utf-8"))
    if said["space"] != space:
        return {}
    return {
        name: Question(
            each["prompt"], tuple(each["values"]), tuple((least, right) for least, right in each["steps"])
        )
        for name, each in said["questions"].items()
    }


@cache
def version() -> str:
    """Another one whenever the words or the steps change: 8 hex digits."""
    said = FILE.read_bytes() + repr((TEMPERATURE, LEAST)).encode()
    return hashlib.blake2b(said, digest_size=4).hexdigest()


def nearest(
    question: Question,
    vectors: np.ndarray,
    kinds: Sequence[str | None],
    words: Callable[[Sequence[str]], np.ndarray],
) -> list[tuple[str, float] | None]:
    """For each picture's vector (float32 [n, d], unit length) the value whose words are nearest, and its share.

    `kinds`: what kind of thing each shows; None where that is unknown, and then a prompt that names it says nothing. `words`: unit vectors
    of texts, [m, d].
    """
    told: list[tuple[str, float] | None] = [None] * len(vectors)
    by_kind: dict[str | None, list[int]] = {}
    if "{kind}" in question.prompt:
        for row, kind in enumerate(kinds):
            if kind is not None:
                by_kind.setdefault(kind, []).append(row)
    else:
        by_kind[None] = list(range(len(vectors)))
    if not by_kind:
        return told
    prompts = {
        kind: [question.prompt.format(value=v, kind=kind) for v in question.values] for kind in by_kind
    }
    of_words = words([prompt for every in prompts.values() for prompt in every])
    for position, (_, rows) in enumerate(by_kind.items()):
        own = of_words[position * len(question.values) : (position + 1) * len(question.values)]
        cosines = vectors[rows] @ own.T
        shares = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / TEMPERATURE)
        shares /= shares.sum(axis=1, keepdims=True)
        best = shares.argmax(axis=1)
        for row, value, share in zip(rows, best.tolist(), shares.max(axis=1).tolist(), strict=True):
            told[row] = question.values[value], share
    return told


def seen(
    asked: Mapping[str, Question],
    name: str,
    vectors: np.ndarray,
    kinds: Sequence[str | None],
    words: Callable[[Sequence[str]], np.ndarray],
) -> list[Filled | None]:
    """What pictures tell of an attribute, sure enough to be told. Where a product's kind is not known, the picture's own is taken, and is
    to be as sure."""
    question = asked.get(name)
    if question is None or not question.steps:
        return [None] * len(vectors)
    certain: list[float] = [1.0] * len(vectors)
    if "{kind}" in question.prompt and KIND in asked and None in kinds:
        own = seen(asked, KIND, vectors, kinds, words)
        known: list[str | None] = list(kinds)
        for row, told in enumerate(own):
            if known[row] is None and told is not None:
                known[row], certain[row] = told.value, told.origin["confidence"]
        kinds = known
    filled: list[Filled | None] = []
    for found, sure_of_kind in zip(nearest(question, vectors, kinds, words), certain, strict=True):
        right = None if found is None else question.sure(found[1])
        sure = None if right is None else right * sure_of_kind
        filled.append(
            None
            if found is None or sure is None or sure < LEAST
            else Filled(found[0], (), {"origin": "picture", "confidence": round(sure, 2)})
        )
    return filled
