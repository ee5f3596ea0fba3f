"""What a run finds out about its candidate, once for all of its steps.

What belongs here: the resource that checks, report and swap share. What does not: measuring (`criteria`). The swap judges every
criterion itself; what it takes from here is the engine's answers, where nobody could write to the release since they were given.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from fashion_assets.benchmarks.brief import Beside
from fashion_assets.criteria.answers import HeldAnswers
from fashion_assets.criteria.candidate import CANDIDATE_CRITERIA, judge
from fashion_assets.criteria.expectations import ExpectationResult, validate_products
from fashion_assets.criteria.subject import Candidate
from fashion_assets.criteria.verdict import Criterion, Verdict
from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse.locks import Busy
from fashion_assets.warehouse.releases import Release

INDEX = "product_embeddings_index"
"""The asset whose criteria search the release."""


class Judgement(dg.ConfigurableResource):
    """The verdicts and expectations of one run's candidate. Each run has its own, and where every step is a process of its
    own, each step: then what another measured is measured again."""

    _verdicts: dict[tuple[str, str], Verdict] = PrivateAttr(default_factory=dict)
    _begun: dict[str, Future[tuple[list[ExpectationResult], Path]]] = PrivateAttr(default_factory=dict)
    _judged: dict[str, Future[list[Verdict]]] = PrivateAttr(default_factory=dict)
    _answers: dict[str, HeldAnswers] = PrivateAttr(default_factory=dict)
    _measuring: dict[str, Beside] = PrivateAttr(default_factory=dict)

    def of(
        self, candidate: Candidate, criteria: Sequence[Criterion[Candidate]] = tuple(CANDIDATE_CRITERIA)
    ) -> list[Verdict]:
        """The verdicts on a candidate whose tables no longer change, in the criteria's order; measured where none of this
        run's steps has yet."""
        release = candidate.release.release
        if (judged := self._judged.pop(release, None)) is not None:
            self._verdicts |= {(release, verdict.name): verdict for verdict in judged.result()}
        missing = [criterion for criterion in criteria if (release, criterion.name) not in self._verdicts]
        if any(criterion.asset == INDEX for criterion in missing):
            self._hold(candidate)
            self._begin_measuring(candidate)
        candidate = replace(candidate, answers=self.answers(candidate.release))
        if missing:
            self._verdicts |= {(release, verdict.name): verdict for verdict in judge(candidate, missing)}
        return [self._verdicts[release, criterion.name] for criterion in criteria]

    def answers(self, release: Release) -> HeldAnswers | None:
        """What the engine answered on a release that this run built, and holds still."""
        return self._answers.get(release.release)

    def _hold(self, candidate: Candidate) -> None:
        """Hold the release still, from before it is searched until it is live or the run ends, if it is of this very run."""
        release = candidate.release.release
        if release in self._begun and release not in self._answers:
            with suppress(Busy):  # then the swap asks anew, and says who it is
                self._answers[release] = HeldAnswers(candidate.settings, candidate.release)

    def _begin_measuring(self, candidate: Candidate) -> None:
        """Begin what of the measurements wants no quiet, beside the questions to the index, whose answers count and not their
        milliseconds: if the release is of this very run."""
        release = candidate.release.release
        if release in self._begun and release not in self._measuring:
            self._measuring[release] = Beside(candidate.settings, candidate.release)

    def measuring(self, release: Release) -> Beside | None:
        """What was begun of a release's measurements, for whoever finishes it."""
        return self._measuring.get(release.release)

    def begin(self, settings: Settings, release: Release) -> None:
        """Begin to judge the loaded products, by the suite and by their criteria, in a thread: while their indexes are
        built, they no longer change."""
        # Great Expectations imports it in that thread. Half imported, it answers SQLAlchemy's own questions all the same,
        # and fails whoever builds a statement meanwhile.
        import sqlalchemy.orm  # noqa: F401

        pool = ThreadPoolExecutor(1, "judgement")
        self._begun[release.release] = pool.submit(validate_products, settings, release)
        self._judged[release.release] = pool.submit(_judge_products, settings, release)
        pool.shutdown(wait=False)

    def expectations(self, settings: Settings, release: Release) -> tuple[list[ExpectationResult], Path]:
        """Results and Data Docs of the suite, begun before or not. Raises what the validation raised."""
        begun = self._begun.get(release.release)
        return begun.result() if begun is not None else validate_products(settings, release)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """A run does not end before what it began, and holds nothing after."""
        for measuring in self._measuring.values():
            measuring.close()
        for answers in self._answers.values():
            answers.close()
        for begun in (*self._begun.values(), *self._judged.values()):
            begun.exception()


def _judge_products(settings: Settings, release: Release) -> list[Verdict]:
    criteria = [criterion for criterion in CANDIDATE_CRITERIA if criterion.asset == "products"]
    with connect(settings) as conn:
        return judge(Candidate(conn, release, settings), criteria)


@dg.definitions
def judgement() -> dg.Definitions:
    return dg.Definitions(resources={"judgement": Judgement()})
