"""Attacks drawn from a seed."""

import random
from collections.abc import Callable, Sequence

from fashion_assets_tests.serving.hostility.addresses import by_key, by_method, by_parameter, by_path
from fashion_assets_tests.serving.hostility.content import by_cursor, by_filter, by_picture, by_words
from fashion_assets_tests.serving.hostility.transport import by_body, by_header, by_line, by_size
from fashion_assets_tests.serving.hostility.world import Attack, World

KINDS: Sequence[tuple[Callable[[random.Random, World], Attack], int]] = (
    (by_picture, 18),
    (by_words, 12),
    (by_filter, 10),
    (by_cursor, 10),
    (by_header, 12),
    (by_line, 4),
    (by_body, 10),
    (by_size, 2),
    (by_path, 10),
    (by_key, 10),
    (by_method, 4),
    (by_parameter, 14),
)
"""Of some hundred, so many of each kind."""


def drawn(world: World, seed: int, number: int) -> Attack:
    """The attack of a number."""
    chance = random.Random(f"{seed}:{number}")
    (make,) = chance.choices([each for each, _ in KINDS], [often for _, often in KINDS])
    return make(chance, world)
