"""What tests of searching share beside what all may use."""

from collections.abc import Iterator

import pytest

from fashion_assets.criteria.subject import Candidate
from fashion_assets.search.engine import SearchEngine
from fashion_assets.settings import Settings
from fashion_assets_tests.conftest import Template, changed_once
from fashion_assets_tests.search.large import Large, fill


@pytest.fixture(scope="session")
def filled(server_settings: Settings, candidate_template: Template) -> Iterator[tuple[Template, Large]]:
    """A release of thousands of drawn products, to be copied, and what was drawn."""
    drawn: list[Large] = []
    with changed_once(
        server_settings, candidate_template, lambda candidate: drawn.append(fill(candidate))
    ) as template:
        yield template, drawn[0]


@pytest.fixture
def engine(live: Candidate) -> Iterator[SearchEngine]:
    """An engine on the live release's forty T-shirts, or what a module makes of `live`."""
    with SearchEngine.open(live.settings, size=2) as engine:
        yield engine
