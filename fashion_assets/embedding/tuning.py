"""How a model runs fastest on a machine, as measured there and kept in the installation's home.

What belongs here: the choice, the file it is kept in, and for which machine it holds. What does not: measuring it
(`calibration`), obeying it (`backends`).
"""

import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.machine import processor, usable_cores

FILE = "tuning.json"

DTYPES = ("bfloat16", "float32")


@dataclass(frozen=True)
class Tuning:
    """How a model is run. A vector does not depend on it, but for the last bits of `dtype`."""

    dtype: str
    """Numbers it multiplies: "bfloat16" or "float32"."""

    decoders: int
    """Threads that decode beside one call of the model, which has the other cores; 0: each thread decodes and computes in
    turn, calls side by side."""

    batch: int
    """Pictures of one call."""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or self.decoders < 0 or self.batch < 1:
            raise ValueError(f"no model can be run as {self}")


def kept_tuning(home: Path, space: EmbeddingSpace, device: str) -> Tuning | None:
    """What was measured for a model on this machine and device. None where nothing was, or the file cannot be read: it only
    saves time."""
    try:
        kept = _read(home / FILE).get(_key(space, device))
        return None if kept is None else Tuning(**kept["tuning"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def measured_speed(home: Path, space: EmbeddingSpace, device: str) -> float | None:
    """Pictures a second of the way that is kept for a model on this machine and device; None where nothing was measured."""
    try:
        measured = _read(home / FILE)[_key(space, device)]["measured"]
        return max(float(each["per_second"]) for each in measured if each["chosen"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep_tuning(
    home: Path, space: EmbeddingSpace, device: str, tuning: Tuning, measured: list[dict[str, Any]]
) -> Path:
    """Keep a choice and what it was measured by, beside those for other models and machines; the file it is in."""
    file = home / FILE
    try:
        kept = dict(_read(file))
    except (OSError, ValueError, TypeError):
        kept = {}
    kept[_key(space, device)] = {"model": space.name, "tuning": asdict(tuning), "measured": measured}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{FILE}.{os.getpid()}")
    temporary.write_text(json.dumps(kept, indent=2) + "\n")
    os.replace(temporary, file)
    return file


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def _key(space: EmbeddingSpace, device: str) -> str:
    """Model, device and machine; a home may be shared by several machines, and libraries bring other kernels."""
    parts = (space.fingerprint[:12], device, processor(), f"{usable_cores()} cores")
    libraries = (f"{name} {version(name)}" for name in ("openvino", "torch"))
    return ", ".join((*parts, *libraries))
