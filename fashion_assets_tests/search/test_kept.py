"""What is kept of what callers ask: so many values, and so many bytes."""

import numpy as np

from fashion_assets.search.filters import AnyOf
from fashion_assets.search.kept import Cache, bytes_of, remembered


def test_what_callers_send_is_kept_up_to_so_many_bytes():
    kept: Cache[str] = Cache(1_000, most=200_000)
    for number in range(500):
        kept.put(("release", f"{number}" + "x" * 1_990), "y" * 2_000)
    assert 40 < kept.figures().size < 50, "of some 4 KB each"
    assert kept.peek(("release", "499" + "x" * 1_990)) is not None
    assert kept.peek(("release", "0" + "x" * 1_990)) is None
    # What takes its own place, or is let go of, is not counted twice.
    for _ in range(100):
        kept.put("same", "y" * 10_000)
        kept.drop("same")
    assert kept.figures().size > 40
    # What alone is too large pushes nothing out.
    kept.put("large", "y" * 300_000)
    assert kept.peek("large") is None and kept.figures().size > 40
    unbounded: Cache[str] = Cache(1_000)
    for number in range(500):
        unbounded.put(number, "y" * 2_000)
    assert unbounded.figures().size == 500


def test_bytes_of_what_is_kept_are_those_of_all_that_is_in_it():
    assert bytes_of("x" * 5_000) > 5_000
    assert bytes_of(("release", AnyOf("colour", ("x" * 5_000,)))) > 5_000
    assert bytes_of({"x" * 5_000: "y" * 5_000}) > 10_000
    together = np.ones((4, 1_000), np.float32)
    assert 4_000 < bytes_of(together[0]) < 5_000 and bytes_of(together) > 16_000


def test_what_a_function_made_is_remembered_up_to_so_many_bytes():
    made: list[str] = []

    @remembered(1_000, most=100_000)
    def text(of: str) -> str:
        made.append(of)
        return of + "y" * 2_000

    asked = [f"{number}" + "x" * 2_000 for number in range(100)]
    for each in (*asked, asked[-1]):
        assert text(each) == each + "y" * 2_000
    assert made == asked
    text(asked[0])
    assert made == [*asked, asked[0]], "it was let go of"
    assert text.figures().size < 25  # type: ignore[attr-defined]
