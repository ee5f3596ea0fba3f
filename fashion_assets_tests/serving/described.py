"""An API asked as it describes itself, and its answers held against what it says of them (Schemathesis).

What belongs here: one run over one description, for a test of a few requests a route and `benchmarks/described.py` of hundreds. What does not:
requests nobody meant well (`hostility`).
"""

from collections.abc import Mapping

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

OURS = "/api/v1/openapi.json"


def descriptions(formers: Mapping[str, object]) -> list[str]:
    """Where the descriptions are: our own, and that of each former API."""
    return [OURS, *(f"/former/{name}/openapi.json" for name in formers)]


def ask_as_described(
    address: str,
    examples: int,
    number: int = 0,
    headers: Mapping[str, str] | None = None,
    modes: tuple[GenerationMode, ...] = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE),
) -> tuple[int, list[str]]:
    """How many routes were asked so many times in each mode, and what does not hold of their answers; `number` is the seed."""
    described = schemathesis.openapi.from_url(address, headers=dict(headers or {}))
    described.config.update(base_url=address.removesuffix("/openapi.json").removesuffix("/api/v1"))
    asked, wrong = 0, []
    for found in described.get_all_operations():
        operation = found.ok()
        asked += 1
        for mode in modes:

            @seed(number)
            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=CHECKS, headers=dict(headers or {}))

            try:
                ask()
            except Unsatisfiable:
                continue  # whatever is sent to this route fits it
            except (Exception, FailureGroup) as error:
                wrong.append(f"{operation.label} ({mode.value}): {type(error).__name__}: {error}")
    return asked, wrong
