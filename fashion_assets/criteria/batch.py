"""Criteria of one batch: what must hold before the next stage may use a stage's tables.

What belongs here: the list of them. What does not: each one (`listings`, `canonical`, `vectors`), anything about a whole release
(`candidate`).
"""

from fashion_assets.criteria.canonical import NORMALIZED, PROPERTIES
from fashion_assets.criteria.listings import (
    QUARANTINED,
    QUARANTINED_ROWS,
    RAW,
    RAW_ROWS,
    VALIDATED,
    VALIDATED_ROWS,
)
from fashion_assets.criteria.vectors import IMAGE_EMBEDDINGS, PRODUCT_EMBEDDINGS, TEXT_EMBEDDINGS
from fashion_assets.criteria.verdict import Criterion

BATCH_CRITERIA: list[Criterion] = [
    *RAW,
    *VALIDATED,
    *QUARANTINED,
    *NORMALIZED,
    *PROPERTIES,
    *IMAGE_EMBEDDINGS,
    *TEXT_EMBEDDINGS,
    *PRODUCT_EMBEDDINGS,
    *RAW_ROWS,
    *VALIDATED_ROWS,
    *QUARANTINED_ROWS,
]
