"""What the APIs say of themselves: whatever is asked of one as it describes itself, it answers as it describes; each request has an example.

`benchmarks/described.py` asks hundreds of times a route, with keys.
"""

import copy
from typing import Any

import httpx
import jsonschema
import pytest
from schemathesis import GenerationMode

from fashion_assets.serving.api import described
from fashion_assets.serving.api.described import JSON, answered, operations
from fashion_assets.serving.former import mounting
from fashion_assets_tests.serving.described import OURS, ask_as_described


def test_every_route_answers_what_it_says(api: httpx.Client):
    asked, wrong = ask_as_described(f"{api.base_url}{OURS}", examples=2)
    assert not wrong, "\n".join(wrong)
    assert asked > 15


# Two of the four; the command asks all.
@pytest.mark.parametrize("name", ["second-hand-v3", "prethrift"])
def test_former_calls_answer_what_they_say(api: httpx.Client, name: str):
    asked, wrong = ask_as_described(
        f"{api.base_url}/former/{name}/openapi.json", 1, modes=(GenerationMode.NEGATIVE,)
    )
    assert asked and not wrong, "\n".join(wrong)


def lacking(document: dict[str, Any]) -> list[str]:
    """What has no example, or one that is not as it is described."""
    found = []
    resolving = {"components": document["components"]}

    def judge(what: str, described: dict[str, Any], key: str = "schema") -> None:
        if "example" not in described:
            found.append(f"{what}: none")
            return
        try:
            jsonschema.validate(described["example"], {**described[key], **resolving})
        except jsonschema.ValidationError as error:
            found.append(f"{what}: {error.message[:200]}")

    for name, operation in operations(document):
        for each in operation.get("parameters", ()):
            if each["required"] or "example" in each:
                judge(f"{name} {each['name']}", each)
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            given = [each["value"] for each in content.get("examples", {}).values()]
            given += [content["example"]] if "example" in content else []
            found += [] if given else [f"{name} body: none"]
            for each in given:
                # A picture stands in no example.
                judge(f"{name} body", {**content, "example": each}) if media == JSON else None
        for media, content in answered(operation).get("content", {}).items():
            judge(f"{name} answer", content) if media == JSON else None
    return found


@pytest.mark.parametrize("name", [None, *mounting.APIS])
def test_every_route_has_an_example_of_its_request_and_its_answer(api: httpx.Client, name: str | None):
    document = api.get(OURS if name is None else f"{mounting.BELOW}/{name}/openapi.json").json()
    lacks = lacking(document)
    assert not lacks, (
        "serve the drawn sample and run `python docs/examples.py http://127.0.0.1:8000`:\n" + "\n".join(lacks)
    )
    names = {name for name, _ in operations(document)}
    file = described.EXAMPLES if name is None else mounting.EXAMPLES / f"{name}.json"
    assert set(described.examples(file)) == names, "there are examples of routes that are gone"


def test_a_lack_of_examples_is_seen(api: httpx.Client):
    damaged = copy.deepcopy(api.get(OURS).json())
    answers = damaged["paths"]["/api/v1/search"]["get"]["responses"]["200"]["content"][JSON]
    del answers["example"]["hits"]
    del damaged["paths"]["/api/v1/multi-search"]["post"]["requestBody"]["content"][JSON]["example"]
    damaged["paths"]["/api/v1/products/{id}"]["get"]["parameters"][0].pop("example")
    assert len(lacking(damaged)) == 3
