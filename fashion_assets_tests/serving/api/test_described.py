"""What the API says of itself: whatever is asked of it as it describes itself, it answers as it describes.

`API_EXAMPLES` in the environment is how many requests are made up for each route; a few in every test run, and some hundreds before a
release: `API_EXAMPLES=500 pytest fashion_assets_tests/serving/api/test_described.py`.
"""

import os

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = int(os.environ.get("API_EXAMPLES", "4"))

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="session")
def described(api: httpx.Client) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{api.base_url}/api/v1/openapi.json")


def test_every_route_answers_what_it_says(described: schemathesis.schemas.BaseSchema):
    asked = 0
    for found in described.get_all_operations():
        operation = found.ok()
        asked += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()
    assert asked > 15
