"""What stories cost, and that it never is more than it may be.

What belongs here: arithmetic on tokens and money. What does not: who counts tokens (the endpoint says how many it charged).

Before a request the most it can cost is set aside: no token is shorter than a byte, and an answer has no more tokens than were allowed.
Where that is more than is left, nothing is asked. So what is spent stays within the limit, whatever the endpoint charges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fashion_assets.stories.asking import ANSWER_TOKENS, Message

MILLION = 1_000_000

_PER_MESSAGE = 16
"""Tokens, at most, that say whose a message is."""


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in one currency."""

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / MILLION

    def at_most(self, messages: Sequence[Message]) -> float:
        """The most that a request can cost."""
        asked = sum(len(each["content"].encode("utf-8", "replace")) + _PER_MESSAGE for each in messages)
        return self.of(asked, ANSWER_TOKENS)


class Purse:
    """Money for stories: what was spent, and what requests on their way may cost."""

    def __init__(self, prices: Prices, limit: float | None, spent: float = 0.0) -> None:
        """`limit`: the most that may be spent, with what was spent before; None: there is none."""
        self.prices = prices
        self.limit = limit
        self.spent = spent
        self.set_aside = 0.0
        self.pending = 0
        """Requests that money is set aside for."""

    def take(self, messages: Sequence[Message]) -> float | None:
        """Set aside the most that a request can cost, and say how much; None where there is not enough left."""
        most = self.prices.at_most(messages)
        if self.limit is not None and self.spent + self.set_aside + most > self.limit:
            return None
        self.set_aside += most
        self.pending += 1
        return most

    def settle(self, taken: float, cost: float) -> None:
        """A request is over: what was set aside for it is free again, and this is what it cost."""
        self.pending -= 1
        self.set_aside = self.set_aside - taken if self.pending else 0.0
        self.spent += cost
