"""What computes: the embedding model, the cluster it may run on, the model that writes stories; and the rules of looks.

What belongs here: parts of `Settings`, each field with its limits and what it means. What does not: their checks (`settings`).
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from fashion_assets.settings.part import Part


class Model(Part):
    """The model."""

    model: str | None = Field(
        default=None,
        description="The embedding model: a folder or a hub name sentence-transformers can load. Unset: the shipped one.",
    )
    model_revision: str | None = Field(default=None, description="Revision of a hub model.")
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="Where the model runs."
    )
    encode_batch_size: int | None = Field(
        default=None, ge=1, description="Pictures of one forward pass. Unset: by device."
    )
    encode_threads: int | None = Field(
        default=None, ge=1, description="Threads that decode and compute in one process. Unset: one a core."
    )


class Cluster(Part):
    """A cluster."""

    compute: Literal["local", "ray"] = Field(
        default="local",
        description="Where batches are read, judged, normalized and embedded: in the processes that run them (local), or on a Ray "
        "cluster (ray; extra `ray`).",
    )
    ray_address: str | None = Field(
        default=None,
        pattern=r"^(auto|[^\s/:@]+:[0-9]{1,5})$",
        description="The cluster's head, HOST:PORT, or auto for the cluster that this machine is part of. Unset: RAY_ADDRESS, or a "
        "cluster of this machine alone, for as long as the command lasts.",
    )
    ray_batches: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Batches a command has on the cluster at one time; each is a process where the command runs.",
    )
    ray_encoders: int = Field(
        default=1, ge=1, le=1024, description="Processes of the cluster that hold the model."
    )
    ray_encoder_cpus: int = Field(
        default=1, ge=1, description="Processors the cluster keeps for each of them; so many threads compute."
    )
    ray_encoder_gpus: float = Field(
        default=0,
        ge=0,
        description="GPUs the cluster keeps for each of them; 0.5 lets two share one. 0: they compute on processors, unless `device` says "
        "otherwise.",
    )
    ray_wait_seconds: float = Field(
        default=60,
        gt=0,
        description="Seconds to wait for the cluster: until it answers, and until an encoder does. Not below 60: Ray takes up to a "
        "minute to notice that a node is gone. Longer where an autoscaler has to start machines.",
    )
    ray_idle_seconds: float = Field(
        default=30,
        gt=0,
        description="Seconds after which an encoder that nobody asks gives back its processors and GPUs.",
    )


class Stories(Part):
    """Stories by a model."""

    story_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$",
        description="An OpenAI-compatible endpoint that writes products' stories, up to the part before /chat/completions: "
        "https://api.openai.com/v1. Unset, or without a model: the built-in writer's stories, and nobody is asked.",
    )
    story_model: str | None = Field(default=None, min_length=1, description="The model there.")
    story_key: SecretStr | None = Field(
        default=None, description="Its key, where it wants one. Best in the environment: it is shown nowhere."
    )
    story_input_price: float = Field(
        default=0, ge=0, description="What a million tokens cost that it is told, in any one currency."
    )
    story_output_price: float = Field(default=0, ge=0, description="What a million tokens cost that it says.")
    story_budget: float | None = Field(
        default=None,
        ge=0,
        description="The most that all stories of a model may cost, over all runs, in the currency of the prices. It is never "
        "exceeded: before that nothing more is asked. Unset: no limit.",
    )
    story_requests_per_minute: float = Field(
        default=120, gt=0, description="Requests for stories in a minute, at the most."
    )
    story_at_once: int = Field(
        default=4, ge=1, le=64, description="Requests for stories on their way at once."
    )
    story_seconds: float = Field(default=60, gt=0, description="Seconds in which a story must have come.")


class Looks(Part):
    """What goes together."""

    outfit_rules: Path | None = Field(
        default=None,
        description="File of rules which pieces go together in a look, in the shape of the shipped one (catalog/outfits.toml). "
        "Unset: the shipped one.",
    )
