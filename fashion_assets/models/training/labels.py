"""The attributes of products as numbers.

What belongs here: the codes of the attributes that are learnt. What does not: their words (`captions`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fashion_assets.catalog.attributes import LABELS

ATTRIBUTES = tuple(LABELS)
"""The columns of `pairs` whose values the captions name and the prototypes stand for."""


@dataclass(frozen=True)
class Labels:
    """Attributes of the products as numbers, and their titles as numbers of equal wording."""

    codes: np.ndarray
    """int64 [n, attributes]; -1 is null."""
    values: dict[str, list[str]]
    """For each attribute the values that its codes stand for."""
    titles: np.ndarray
    """int64 [n]; equal for titles equal but for case and spaces."""
    words: list[dict[str, str]]
    """For each product its non-null attributes, lower-case."""


def labels_of(pairs: pd.DataFrame) -> Labels:
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
    return Labels(matrix, values, titles.astype(np.int64), words)


def _normal_titles(pairs: pd.DataFrame) -> pd.Series:
    return pairs["title"].astype(str).str.lower().str.split().str.join(" ")
