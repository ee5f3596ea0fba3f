"""Values of declared tables that are no text: JSON as it stands, and vectors of unit length.

What belongs here: from a row to such a value, as JSON. What does not: values that are text (`sources.expressions`), where they go.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fashion_assets.sources.columns import Columns
from fashion_assets.sources.mapping_tables import TableColumn
from fashion_assets.sources.records import encoded

JsonOf = Callable[[Mapping[str, Any]], str | None]
"""From a row's values to JSON; None where nothing is stated."""


def json_of(column: TableColumn, columns: Columns) -> JsonOf | None:
    """What gives a column that is JSON, where it is one of the table's as it stands; None for any other column."""
    if column.type not in ("json", "jsonb") or column.column is None:
        return None
    name = columns.find(column.column)
    if name is None:
        return None
    said = _unit if column.unit else _json
    return lambda values: said(values.get(name))


def _json(value: Any) -> str | None:
    """JSON as it is, also where it stands in a text; what is no JSON as the text it is, which is refused later."""
    if value is None or isinstance(value, str):
        return value
    return encoded(value)


def _unit(value: Any) -> str | None:
    """A vector scaled to length 1 (in float64); nothing where it is none, or all zeros."""
    try:
        vector = np.array(json.loads(value) if isinstance(value, str) else value, np.float64)
    except (TypeError, ValueError, RecursionError):
        return None
    length = np.linalg.norm(vector) if vector.ndim == 1 else 0.0
    return json.dumps((vector / length).tolist()) if length > 0 and np.isfinite(length) else None
