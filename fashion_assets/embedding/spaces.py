"""Embedding spaces: which model made a vector, told apart by what the model *is*, not by its dimension.

What belongs here: finding a model's folder, its fingerprint and the space's name; without importing torch, so that a
run with nothing to do can compare spaces. What does not: running the model (`encoder`) or keeping vectors (`warehouse.embedding_store`).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fashion_assets.errors import FashionAssetsError

SHIPPED_MODEL = Path(__file__).parent / "model"
"""The CLIP that comes with the package."""

FINGERPRINTED = (".safetensors", ".bin", ".json", ".txt", ".model")
"""Files that decide what a model computes: weights, configuration, preprocessing, vocabulary."""

NOT_FINGERPRINTED = ("metrics.json",)


class ModelError(FashionAssetsError):
    """The embedding model cannot be found or used; the message says which and what to do."""


@dataclass(frozen=True)
class EmbeddingSpace:
    """The model that made a vector. Equal dimension is not equal space."""

    name: str
    """Model name and the start of the fingerprint: `fashion-clip@1a2b3c4d5e6f`."""
    model: str
    revision: str
    dimension: int
    preprocessing: dict
    fingerprint: str
    folder: Path
    weights: Path
    """The folder, or the module's folder in it, that holds the model itself."""


def model_folder(model: str | None, revision: str | None = None) -> Path:
    """The folder of a model: the shipped one, a folder as given, or a hub model's snapshot (downloaded once).

    Raises `ModelError` when there is no such folder and the hub does not have it or cannot be reached.
    """
    if model is None:
        return SHIPPED_MODEL
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if model.startswith((".", "/", "~")):
        raise ModelError(f"no model folder at {model}. Give a folder that sentence-transformers can load.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise ModelError(f"{model!r} is neither a folder nor a hub name: {error}") from error
    try:
        return Path(snapshot_download(model, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"model {model!r} (revision {revision or 'default'}) is not on this machine and could not be fetched "
            f"from the hub: {error}. Give a folder, or unset FASHION_ASSETS_MODEL to use the shipped model."
        ) from error


def _fingerprint(folder: Path) -> str:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in FINGERPRINTED and path.name not in NOT_FINGERPRINTED
    )
    stats = ((path, path.stat()) for path in files)
    return _digest(folder, tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats))


@lru_cache(maxsize=8)
def _digest(folder: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """SHA-256 over the files' names and contents; read again only when a size or time changes."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        digest.update(str(path.relative_to(folder)).encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _find(folder: Path, name: str) -> Path | None:
    """The file in the model's folder, or in a module's subfolder (sentence-transformers keeps CLIP in `0_CLIPModel`)."""
    return next(iter(sorted(folder.glob(name)) + sorted(folder.glob(f"*/{name}"))), None)


def embedding_space(model: str | None, revision: str | None = None) -> EmbeddingSpace:
    """The space of a model; reads its files, does not load it.

    Raises `ModelError` when the folder lacks a CLIP configuration.
    """
    folder = model_folder(model, revision)
    path = _find(folder, "config.json")
    configuration = json.loads(path.read_text()) if path else {}
    if "projection_dim" not in configuration:
        raise ModelError(f"{folder} holds no CLIP (no config.json with a projection_dim).")
    preprocessor = _find(folder, "preprocessor_config.json") or _find(folder, "processor_config.json")
    fingerprint = _fingerprint(folder)
    name = "fashion-clip" if model is None else Path(model).name.lower()
    return EmbeddingSpace(
        name=f"{name}@{fingerprint[:12]}",
        model=model or "shipped",
        revision=revision or fingerprint[:12],
        dimension=int(configuration["projection_dim"]),
        preprocessing=json.loads(preprocessor.read_text()) if preprocessor else {},
        fingerprint=fingerprint,
        folder=folder,
        weights=path.parent if path else folder,
    )
