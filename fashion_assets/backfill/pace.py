"""How many documents a batch has, how fast it goes, and when it will be done.

What belongs here: arithmetic on counts and seconds. What does not: clocks and databases.
"""

from dataclasses import dataclass

SMALLEST, LARGEST = 1, 20_000
"""Documents of a batch. The largest keeps some megabytes of what four fields say."""

STEP = 2.0
"""A batch is at most so much larger or smaller than the one before: one slow batch decides little."""

RECENT = 0.2
"""How much the last batch says of the rate."""


@dataclass
class Pace:
    """The size that lets a batch take `target` seconds, and the rate of those behind it."""

    target: float
    size: int
    rate: float | None = None
    """Documents a second, pauses included; of the latest batches most."""

    def took(self, documents: int, seconds: float, whole: float | None = None) -> None:
        """A batch is through. `seconds`: that the server worked on it, which decides the size; `whole`: with all pauses."""
        wanted = documents * self.target / max(seconds, 1e-6)
        # One that was smaller than it may be, at the end, says nothing of how many there might be.
        if documents >= self.size or wanted < self.size:
            self.size = round(min(max(wanted, self.size / STEP), self.size * STEP))
        self.size = min(max(self.size, SMALLEST), LARGEST)
        rate = documents / max(whole or seconds, 1e-6)
        self.rate = rate if self.rate is None else (1 - RECENT) * self.rate + RECENT * rate

    def failed(self) -> None:
        """A batch was too much for its time-out."""
        self.size = max(self.size // 2, SMALLEST)

    def seconds_left(self, documents: int) -> float | None:
        """Until so many documents are through; None while nobody knows."""
        return None if not self.rate else documents / self.rate
