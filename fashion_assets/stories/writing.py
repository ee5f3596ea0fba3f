"""Having stories written: going through products, asking for those that nobody asked for, checking what is answered, keeping it.

What belongs here: the order of things for one product and for many at once, the figures. What does not: which products there are
(`batches.written`), one request (`endpoint`).

An answer that claims what its record lacks goes back, twice at the most, with what is wrong about it. What is not right then is refused,
and kept as refused: the product has the built-in story, and is asked for again only when its record, the model or the instructions change.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from fashion_assets.catalog.stories.checking import unsupported
from fashion_assets.catalog.stories.story import Story
from fashion_assets.catalog.stories.writing import Told
from fashion_assets.file_locks import lock, open_lock
from fashion_assets.origins import variable
from fashion_assets.settings import Settings
from fashion_assets.stories import asking
from fashion_assets.stories.answers import Answers, Kept, StoriesError, path_of
from fashion_assets.stories.asking import Message, Unusable
from fashion_assets.stories.endpoint import Answered, Endpoint, NotAnswered
from fashion_assets.stories.spending import Prices, Purse

CORRECTIONS = 2
"""How often an answer goes back."""

PAGE = 200
"""Products whose answers are looked up together."""

GIVEN_UP_AFTER = 10
"""Products in a row that came to nothing, after which an endpoint is left alone: it is down, and each costs its attempts."""


def writer_of(model: str) -> str:
    """A model and the version of what it is asked: by this name answers are of one writer."""
    return f"{model} {asking.version()}"


class Wanted(NamedTuple):
    """A product whose story is wanted."""

    key: str
    told: Told
    record: Any
    """All that is known of it, as the check takes it."""
    batch: str


@dataclass
class Figures:
    """What became of the products."""

    products: int = 0
    known: int = 0
    """Answered before: nothing was asked."""
    written: int = 0
    refused: int = 0
    """Of which the answers could not be used: they have the built-in story."""
    corrected: int = 0
    """Answers that went back."""
    failed: Counter[str] = field(default_factory=Counter)
    """Products without an answer this time, by why."""
    left: int = 0
    """Products that were not asked for, since the money or the number was up, or the endpoint was given up."""
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    spent: float = 0.0
    """By all runs."""
    stopped: str = ""
    """Why it ended before all products were through."""

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {**self.__dict__, "failed": dict(self.failed.most_common())}


def purse_of(settings: Settings, spent: float) -> Purse:
    """The money for stories. Raises `StoriesError` for a limit nobody can hold: one without prices."""
    prices = Prices(settings.story_input_price, settings.story_output_price)
    if settings.story_budget is not None and not (prices.input or prices.output):
        raise StoriesError(
            f"There is a limit on what stories may cost ({variable('story_budget')}), and no price: say what a million tokens cost in "
            f"{variable('story_input_price')} and {variable('story_output_price')}."
        )
    return Purse(prices, settings.story_budget, spent)


def foreseen(settings: Settings, wanted: Iterable[Wanted], answers: Answers) -> dict[str, Any]:
    """What `write` would do, and what it would cost at the most if no answer went back. Asks nobody."""
    model, prices = (
        settings.story_model or "",
        Prices(settings.story_input_price, settings.story_output_price),
    )
    products = to_ask = 0
    cost, pages = 0.0, iter(wanted)
    while page := list(islice(pages, PAGE)):
        known = answers.known([each.key for each in page])
        new = {each.key: each for each in page if each.key not in known}
        products += len(page)
        to_ask += len(new)
        cost += sum(prices.at_most(asking.request(each.told)) for each in new.values())
    return {
        "model": model,
        "products": products,
        "to_ask": to_ask,
        "cost_at_most": cost,
        "spent": answers.spent(model),
    }


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Be the only one who has stories written for a home: two would ask, and pay, for the same. Raises `LockHeld`."""
    path = path_of(settings).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open_lock(path)
    try:
        lock(file, path, shared=False, seconds=0)
        yield
    finally:
        os.close(file)


def write(
    settings: Settings,
    wanted: Iterable[Wanted],
    answers: Answers,
    *,
    limit: int | None = None,
    progress: Callable[[Figures], None] = lambda figures: None,
    first_pause: float | None = None,
) -> Figures:
    """Have the stories of these products written that were not before; `limit`: so many at the most.

    Answers are kept one by one: killed anywhere, the next call goes on. Raises `StoriesError`; what was answered until then is kept.
    """
    endpoint = Endpoint(settings) if first_pause is None else Endpoint(settings, first_pause)
    purse = purse_of(settings, answers.spent(endpoint.model))
    return asyncio.run(_Run(settings, endpoint, purse, answers, limit, progress).all(iter(wanted)))


class _Run:
    """One call of `write`."""

    def __init__(
        self,
        settings: Settings,
        endpoint: Endpoint,
        purse: Purse,
        answers: Answers,
        limit: int | None,
        progress: Callable[[Figures], None],
    ) -> None:
        self._at_once = settings.story_at_once
        self._endpoint, self._purse, self._answers = endpoint, purse, answers
        self._limit, self._progress = limit, progress
        self._begun = 0
        self._missed = 0
        self._money = asyncio.Condition()
        self._underway: set[str] = set()
        self._batches: set[str] = set()
        self.figures = Figures(spent=purse.spent)

    async def all(self, wanted: Iterator[Wanted]) -> Figures:
        asked = self._unknown(wanted)
        async with self._endpoint:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self._at_once):
                        tasks.create_task(self._some(asked))
            except* StoriesError as group:
                raise _first(group) from None
            finally:
                for batch in self._batches:
                    self._answers.note_batch(writer_of(self._endpoint.model), batch)
        return self.figures

    def _unknown(self, wanted: Iterator[Wanted]) -> Iterator[Wanted]:
        """Those that nobody asked for before, page by page; the others are counted."""
        while page := list(islice(wanted, PAGE)):
            known = self._answers.known([each.key for each in page])
            for each in page:
                self.figures.products += 1
                if each.key in known or each.key in self._underway:
                    self.figures.known += 1
                elif self.figures.stopped:
                    self.figures.left += 1
                elif self._limit is not None and self._begun >= self._limit:
                    self.figures.left += 1
                    self.figures.stopped = f"{self._limit:,} were asked for, as many as were to be"
                else:
                    self._begun += 1
                    self._underway.add(each.key)
                    yield each
            self._underway &= {each.key for each in page}
            self._progress(self.figures)

    async def _some(self, wanted: Iterator[Wanted]) -> None:
        for each in wanted:
            await self._one(each)

    async def _one(self, wanted: Wanted) -> None:
        try:
            kept = await self._story(wanted)
        except NotAnswered as missed:
            self.figures.failed[str(missed)] += 1
            self._missed += 1
            if self._missed >= GIVEN_UP_AFTER and not self.figures.stopped:
                self.figures.stopped = (
                    f"{self._endpoint.place} was given up after {self._missed} products in a row: {missed}"
                )
            return
        if kept is None:
            self.figures.left += 1
            return
        self._missed = 0
        self._answers.keep(wanted.key, self._endpoint.model, kept)
        if kept.story is None:
            self.figures.refused += 1
        else:
            self.figures.written += 1
            if wanted.batch not in self._batches:
                # And once more at the end. Of a run that is killed at least the batch is known.
                self._batches.add(wanted.batch)
                self._answers.note_batch(writer_of(self._endpoint.model), wanted.batch)

    async def _story(self, wanted: Wanted) -> Kept | None:
        """What came of asking for a product's story; None where there is not money enough to ask."""
        messages = asking.request(wanted.told)
        fault = ""
        for attempt in range(CORRECTIONS + 1):
            answered = await self._paid(messages)
            if answered is None:
                return None if attempt == 0 else Kept(None, f"{fault}; there was no money to send it back")
            story, fault = self._judged(answered.text, wanted)
            if story is not None:
                return Kept(story.as_json(), None)
            if attempt < CORRECTIONS:
                self.figures.corrected += 1
                messages = asking.correction(asking.request(wanted.told), answered.text, fault)
        return Kept(None, fault)

    def _judged(self, text: str, wanted: Wanted) -> tuple[Story | None, str]:
        try:
            story = asking.read(text, self._endpoint.model)
        except Unusable as unusable:
            return None, str(unusable)
        claimed = unsupported(story, wanted.record)
        return (None, asking.fault_of(claimed)) if claimed else (story, "")

    async def _paid(self, messages: Sequence[Message]) -> Answered | None:
        """An answer, each attempt paid for; None where one might cost more than is left."""
        async for attempt in self._endpoint.attempts():
            with attempt:
                return await self._attempt(messages)
        raise AssertionError("an attempt returns or raises")

    async def _attempt(self, messages: Sequence[Message]) -> Answered | None:
        """What it may cost is counted before it is asked, so that a run that is killed has not spent more than it says."""
        if self.figures.stopped:
            return None
        async with self._money:
            # What others on their way do not need after all is free again.
            while (taken := self._purse.take(messages)) is None and self._purse.pending:
                await self._money.wait()
        if taken is None:
            self.figures.stopped = self.figures.stopped or (
                f"{self._purse.spent:.4f} of {self._purse.limit:g} is spent, and the next request might cost more than what is left "
                f"({variable('story_budget')})"
            )
            return None
        self._answers.spend(self._endpoint.model, 0, 0, taken)
        used_in = used_out = 0
        cost = taken  # until somebody says what it was
        try:
            answered = await self._endpoint.ask(messages)
            if answered.input_tokens is not None and answered.output_tokens is not None:
                used_in, used_out = answered.input_tokens, answered.output_tokens
                cost = self._purse.prices.of(used_in, used_out)
            return answered
        except NotAnswered as missed:
            cost = taken if missed.is_charged else 0.0
            raise
        except StoriesError:
            cost = 0.0
            raise
        finally:
            self._purse.settle(taken, cost)
            async with self._money:
                self._money.notify_all()
            self._answers.spend(self._endpoint.model, used_in, used_out, cost - taken)
            self.figures.requests += 1
            self.figures.input_tokens += used_in
            self.figures.output_tokens += used_out
            self.figures.cost += cost
            self.figures.spent = self._purse.spent


def _first(group: BaseExceptionGroup) -> StoriesError:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        if isinstance(error, StoriesError):
            return error
    raise AssertionError("the group was of such errors")
