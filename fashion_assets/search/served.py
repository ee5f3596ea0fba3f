"""Which release a search reads: the one that was live as it began, whatever goes live meanwhile.

What belongs here: whether a release is there and may be read, keeping its facts, noticing that another one went live. What does not: reading facts
(`release_facts`), what is read for a question (`answering`, `people`), what facts say about a path (`path`).
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import psycopg

from fashion_assets.search import statements
from fashion_assets.search.kept import Cache
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Aside, Results
from fashion_assets.search.reading import Meanwhile, Statement, nothing
from fashion_assets.search.release_facts import completed, facts_of, first, no_longer_there
from fashion_assets.search.work import Answer, Beside, Once, Read, Work
from fashion_assets.settings import Settings
from fashion_assets.warehouse.reader import MISSING_GRANT, searches_as_owner
from fashion_assets.warehouse.releases import SERVING_SCHEMA, ReleaseError

TRIES = 5
"""Times a search starts over because the release it reads was dropped: each time others were live meanwhile."""

FRESH_SECONDS = 30.0
"""So long the facts of a release that is changed meanwhile are good enough: they decide how it is searched and which facets there are, not
what is found in it."""

WAIT_SECONDS = 0.05
"""So long a search that finds another release live, or the same one changed, waits for what it is like to be read; then it goes on with what was
live, or known, before. Reading takes 36 to 77 ms of a core of 39,976 products, and ten times as long where every core is wanted by ten."""

_RELEASE = re.compile(rf"{SERVING_SCHEMA}_r\d+")

_GONE = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""What the server says of a release that was dropped."""


class _Revised(Exception):
    """The release was changed since its facts were read."""


class _OtherIsLive(Exception):
    """Another release is live than the one the question was prepared for."""

    def __init__(self, live: str | None):
        self.live = live


class ServedReleases:
    """The live release, and others that still stand, as searches read them. Facts of each are read once and kept.

    A search reads the release that was live as it began by that release's own name, so that a swap does not disturb it.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._facts: Cache[Facts] = Cache(8)
        self._renewing: set[str] = set()
        """Releases whose facts are read anew, while searches go on by what was known before."""
        self._live: str | None = None
        self._reader: str | None = None
        self._reader_known = False
        self._untold: tuple[str, ...] = ()

    def told(self, results: Results) -> Results:
        """The results. The first ones of an engine carry a note of what holds for all of its searches."""
        if not self._untold:
            return results
        notes, self._untold = tuple(map(Aside, self._untold)), ()
        return replace(results, plan=replace(results.plan, notes=results.plan.notes + notes))

    def on(self, release: str | None, work: Callable[[Facts], Work[Answer]]) -> Work[Answer]:
        """The work on a release, or on the one that is live. Raises `ReleaseError` where it is not there."""
        if release is None:
            return (yield from self._on_the_live_one(work))
        if not _RELEASE.fullmatch(release):
            raise ReleaseError(f"there is no release {release!r}")
        certain = False
        while True:
            facts = yield from self._known(release)
            try:
                return (yield from self._reading(facts, work, certain, live=False))
            except _Revised:
                certain = True
                yield from self._renewed(release)
            except _GONE as error:
                self._facts.drop(release)
                raise no_longer_there(release) from error

    def _on_the_live_one(self, work: Callable[[Facts], Work[Answer]]) -> Work[Answer]:
        certain, tries = False, 0
        anew: str | None = None
        while tries < TRIES:
            tries += 1
            live = self._live
            if live is None:
                (rows,) = yield Read([Statement(statements.SERVED, {})], {})
                live, certain = first(rows), True
                if live is None:
                    raise ReleaseError("nothing is live yet: fashion-assets run")
                self._live = live
            try:
                if anew is not None:
                    live, anew = anew, None
                    if (yield from self._renewed(live)):
                        self._live = live
                    live = self._live or live
                facts = yield from self._known(live)
                return (yield from self._reading(facts, work, certain, live=True))
            except _Revised:
                anew, certain = live, True
                tries -= 1  # what is read anew is not looked at again at once
            except _OtherIsLive as other:
                # Live while this search goes on, so that it need not look again.
                certain = other.live is not None
                if other.live is None or self._facts.peek(other.live) is not None:
                    self._live = other.live
                else:
                    anew = other.live
            except (ReleaseError, *_GONE):
                # Dropped, or about to be: what is live now is another one, or the error stands.
                self._facts.drop(live)
                (rows,) = yield Read([Statement(statements.SERVED, {})], {})
                if (now := first(rows)) in (live, None):
                    raise
                self._live, certain = now, True
        raise ReleaseError("the releases to search were dropped one after another: search again")

    def _reading(
        self, facts: Facts, work: Callable[[Facts], Work[Answer]], certain: bool, live: bool
    ) -> Work[Answer]:
        """The work. It looks whether the facts still hold, unless that is `certain`, or another search is reading them anew."""
        return (
            yield from (work(facts) if certain or self._renewing else _looking(facts, work(facts), live=live))
        )

    def _renewed(self, release: str) -> Work[bool]:
        """Have a release's facts read anew, unless they are being read; returns whether they are there.

        No search waits for long: the former facts, and the former live release, answer as well.
        """
        if release in self._renewing:
            return False
        self._renewing.add(release)
        return (yield Beside(lambda: self._renew(release), WAIT_SECONDS))

    def _renew(self, release: str) -> Work[None]:
        try:
            yield from self._gather(release)
        finally:
            self._renewing.discard(release)

    def _known(self, release: str) -> Work[Facts]:
        known = self._facts.peek(release)
        if known is None:
            known = yield Once(
                ("facts", release), lambda: self._facts.peek(release), lambda: self._gather(release)
            )
        return known

    def _gather(self, release: str) -> Work[Facts]:
        if not self._reader_known:
            role = self._settings.reader_role
            (((grant,),),) = yield Read([Statement(MISSING_GRANT.encode(), {"role": role})], {})
            self._reader = role if grant is None else None
            self._reader_known = True
            if grant is not None:
                self._untold = (searches_as_owner(role, grant),)
        facts = yield from facts_of(release, self._reader, self._settings)
        self._facts.put(release, facts)
        return facts

    def read(
        self,
        facts: Facts,
        asked: Sequence[Statement],
        settings: Mapping[str, str] | None = None,
        meanwhile: Meanwhile = nothing,
    ) -> Work[list[list[tuple]]]:
        """Rows of each statement, read from the release of `facts` with a reader's rights."""
        role = {} if facts.reader is None else {"role": facts.reader}
        asked = [completed(statement, facts.release, facts.columns) for statement in asked]
        return (yield Read(asked, {**(settings or {}), **role}, meanwhile))


def _looking(facts: Facts, work: Work[Answer], *, live: bool = True) -> Work[Answer]:
    """The work. Its first read also looks which release is live, and in which revision, in the same round trip. Raises `_OtherIsLive`,
    or `_Revised` where the facts are older than the release's last change."""
    looked, answer, error = False, None, None
    looks = [Statement(statements.SERVED, {})] if live else []
    if facts.revision is not None and time.monotonic() - facts.at > FRESH_SECONDS:
        looks.append(Statement(statements.revision(facts.release), {}))
    while True:
        try:
            step = work.throw(error) if error is not None else work.send(answer)
        except StopIteration as end:
            return end.value
        answer = error = None
        try:
            if isinstance(step, Read) and not looked:
                looked = True
                found = yield Read([*looks, *step.statements], step.settings, step.meanwhile)
                seen, answer = found[: len(looks)], found[len(looks) :]
                if live and (now := first(seen[0])) != facts.release:
                    work.close()
                    raise _OtherIsLive(now)
                if len(looks) > live and first(seen[-1]) != facts.revision:
                    work.close()
                    raise _Revised
            else:
                answer = yield step
        except (_OtherIsLive, _Revised):
            raise
        except Exception as raised:
            error = raised
