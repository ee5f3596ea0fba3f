"""Which way of running a model is fastest on this machine, found out in seconds.

What belongs here: trying the ways there are on real files, and choosing. What does not: which ways there are (`backends`),
and keeping the choice (`tuning`).

One part of the choice after the other is tried, each value in turns with the others, so that something else on the machine
slows all of them alike; of each the fastest turn counts. Noise must not choose: the first value, which stands where nothing
was measured, gives way only to one that is faster by `WORTH`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from fashion_assets.embedding.encoder import Encoder, resolved
from fashion_assets.embedding.spaces import EmbeddingSpace, ModelError, embedding_space
from fashion_assets.embedding.tuning import Tuning, keep_tuning
from fashion_assets.machine import usable_cores
from fashion_assets.settings import Settings

TURNS = 3
"""Of each value, after one that compiles."""

SECONDS, LONGEST = 0.2, 0.5
"""About how long one turn takes, and how long it may where calls of many pictures are tried."""

LOOKING, _AT_A_LOOK = 2.0, 32
"""Seconds spent on finding pictures that can be encoded, and how many are tried at once."""

PICTURES = 256
"""Of the catalogue, to try with: enough to be of its usual sizes."""

WORTH = 1.03
"""How many times faster another way must be to be chosen."""


def calibrate(
    space: EmbeddingSpace,
    files: Sequence[str],
    *,
    device: str = "auto",
    threads: int | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> tuple[Tuning, list[dict[str, Any]]]:
    """The fastest way found, and what was measured: `part` of the choice, `value`, pictures `per_second`, `chosen`.

    `files` are pictures as the catalogue has them, which are encoded again and again. Raises `ModelError` where the model
    cannot be loaded or none of them can be encoded.
    """
    threads = threads or usable_cores()
    choices = Encoder.choices(space, device, threads)
    best = Tuning(**{part: values[0] for part, values in choices.items()})
    encoders = {best: Encoder(space, device=device, threads=threads, tuning=best)}
    sound = _sound(encoders[best], files)
    rate = _warm_rate(encoders[best], sound)
    rows: list[dict[str, Any]] = []
    for part, values in choices.items():
        tried = [replace(best, **{part: value}) for value in values]
        least = 2 * threads
        if part == "batch":
            # A call that takes long gains nothing by being longer; of the others there must be several in a turn.
            calls = 2 * encoders[best].calls
            tried = [way for way in tried if way == best or calls * way.batch <= rate * LONGEST]
            least = calls * min(max(way.batch for way in tried), round(rate * LONGEST))
        if len(tried) < 2:
            continue
        asked = list(islice(cycle(sound), max(least, round(rate * SECONDS))))
        made = {
            way: encoders.get(way) or _running(space, device, threads, way, encoders[best]) for way in tried
        }
        rates = dict.fromkeys(tried, 0.0)
        for turn in range(TURNS + 1):
            for way, encoder in made.items():
                progress(f"{part} {getattr(way, part)}")
                encoder.batch_size = max(1, min(way.batch, len(asked) // (2 * encoder.calls)))
                spent = _seconds(encoder, asked)
                if turn:  # the first compiles
                    rates[way] = max(rates[way], len(asked) / spent)
        fastest = max(rates, key=rates.__getitem__)
        if rates[fastest] >= WORTH * rates[best]:
            best = fastest
        encoders = {best: made[best]}
        rate = rates[best]
        rows += [
            {"part": part, "value": getattr(way, part), "per_second": round(found, 1), "chosen": way == best}
            for way, found in rates.items()
        ]
    return best, rows


def calibrated(
    settings: Settings, files: Sequence[str], progress: Callable[[str], None] = lambda step: None
) -> tuple[Tuning, list[dict[str, Any]], Path]:
    """`calibrate` the installation's model and keep what was found, also where it was kept; encoders made from now on obey
    it."""
    space, device = embedding_space(settings.model, settings.model_revision), resolved(settings.device)
    tuning, measured = calibrate(space, files, device=device, progress=progress)
    return tuning, measured, keep_tuning(settings.home, space, device, tuning, measured)


def _running(space: EmbeddingSpace, device: str, threads: int, way: Tuning, present: Encoder) -> Encoder:
    """An encoder that runs so; the present one where only the number of pictures differs, which it is told each time."""
    if present.tuning is not None and replace(present.tuning, batch=way.batch) == way:
        return present
    return Encoder(space, device=device, threads=threads, tuning=way)


def _sound(encoder: Encoder, files: Sequence[str]) -> list[str]:
    """Those of the files that can be encoded; of a slow model's only as many as it encodes in `LOOKING` seconds."""
    sound: list[str] = []
    why, started = "there are none", time.perf_counter()
    for first in range(0, len(files), _AT_A_LOOK):
        looked_at = list(files[first : first + _AT_A_LOOK])
        failures = encoder.files(looked_at).failures
        failed = {failure.position for failure in failures}
        sound += [file for position, file in enumerate(looked_at) if position not in failed]
        why = failures[0].said if failures else why
        if sound and time.perf_counter() - started > LOOKING:
            break
    if not sound:
        raise ModelError(
            f"of {len(files)} pictures none can be encoded, so there is nothing to calibrate on: {why}"
        )
    return sound


def _warm_rate(encoder: Encoder, files: Sequence[str]) -> float:
    asked = list(islice(cycle(files), 2 * encoder.threads))
    batch, encoder.batch_size = encoder.batch_size, 1
    rate = len(asked) / min(_seconds(encoder, asked) for _ in range(2))
    encoder.batch_size = batch
    return rate


def _seconds(encoder: Encoder, files: list[str]) -> float:
    started = time.perf_counter()
    encoder.files(files)
    return time.perf_counter() - started
