"""A Ray cluster: connecting to it, and what it has.

What belongs here: the connection, the functions a cluster runs, what is told of one that cannot be used. What does not: sharing work out
(`on_cluster`), how many parts are on their way (`parts`), the processes that hold the model (`encoders`). Only imported where the settings name a
cluster.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from fashion_assets.errors import FashionAssetsError
from fashion_assets.origins import variable
from fashion_assets.settings import Settings

NAMESPACE = "fashion_assets"
"""Where the cluster keeps the names of our actors."""

STORE = 512 * 2**20
"""Bytes of shared memory of a cluster that a command starts on its own machine; what is on its way is bounded below it (`parts`)."""

ADDRESS = variable("ray_address")


class ClusterError(FashionAssetsError):
    """The cluster cannot be used, or not as the settings say."""


def address(settings: Settings) -> str | None:
    """The cluster the settings, or Ray's own variable, name; None: one is to be started."""
    return settings.ray_address or os.environ.get("RAY_ADDRESS") or None


def connect(settings: Settings) -> None:
    """Connect this process, once; without an address start a cluster of this machine, which ends with this process.

    Raises `ClusterError` where Ray is not installed, nothing answers, or versions differ.
    """
    ray = imported()
    if ray.is_initialized():
        return
    where = address(settings)
    if where is not None:
        _answers(where, settings.ray_wait_seconds)
    how: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    if where is None:
        # Of this machine alone: nobody else is to reach it.
        how |= {"include_dashboard": False, "object_store_memory": STORE, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address=where or "local", **how)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"The Ray cluster {_named(where)} cannot be used: {_brief(error)}. Every machine needs the same versions of Python, Ray and "
            f"this package; {ADDRESS} says where the cluster is."
        ) from error


@contextmanager
def for_a_command(settings: Settings) -> Iterator[None]:
    """Connected, and the processes this one starts find the same cluster. Raises `ClusterError`."""
    ray = imported()
    connect(settings)
    before = os.environ.get(ADDRESS)
    if address(settings) is None:
        os.environ[ADDRESS] = ray.get_runtime_context().gcs_address
    try:
        yield
    finally:
        ray.shutdown()
        if before is None:
            os.environ.pop(ADDRESS, None)


def _answers(where: str, seconds: float) -> None:
    """Ray itself asks an address that nobody listens on for ever."""
    host, _, port = where.rpartition(":")
    if not port.isdigit():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except OSError as error:
        raise ClusterError(
            f"No Ray cluster answers at {where}: {error.strerror or error}. Start it (ray start --head), or say with {ADDRESS} where it is; "
            f"unset, the command starts one on this machine."
        ) from error


def lacking(settings: Settings) -> str | None:
    """What the cluster as it stands does not have of what the settings ask for; None where it has all."""
    ray = imported()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = settings.ray_encoder_cpus, settings.ray_encoder_gpus
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    has = f"The cluster {_named(address(settings))} has {total['CPU']:g} CPU and {total['GPU']:g} GPU on {len(nodes)} nodes"
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= min(gpus, 1e9) for node in nodes):
        return (
            f"{has}, and none with what one encoder needs: {cpus} CPU ({variable('ray_encoder_cpus')}) and {gpus:g} GPU "
            f"({variable('ray_encoder_gpus')}). Add such a node, or ask for less."
        )
    held = settings.ray_encoders * cpus
    if total["CPU"] < held + 1:
        return (
            f"{has}; {settings.ray_encoders} encoders ({variable('ray_encoders')}) of {cpus} CPU leave none for reading and decoding. Add "
            "nodes, or ask for fewer encoders."
        )
    return None


def _named(where: str | None) -> str:
    return "on this machine" if where is None else f"at {where}"


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def imported() -> Any:
    """Ray. Raises `ClusterError` where it is not installed."""
    # Read when it is first imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            f"{variable('compute')} is ray, and Ray is not installed: pip install 'fashion-assets[ray]', on every machine of the cluster."
        ) from error
    return ray


class Tasks(NamedTuple):
    """The functions that the cluster runs."""

    rows: Any
    decode: Any


@lru_cache(maxsize=1)
def tasks() -> Tasks:
    from fashion_assets.compute import remote  # here: a command that only connects needs none of it

    ray = imported()
    # One that took its worker along is tried three times more, on whatever node.
    task = ray.remote(num_cpus=1, max_retries=3)
    return Tasks(task(remote.on_rows), task(remote.on_pictures))
