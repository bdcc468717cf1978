"""src/nimakit/serving/openapi.json: the description agrees with the server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

import nimakit.serving
from clients import Client, form, noise
from nimakit.images.measures import MEASURES
from nimakit.serving.routes.api import _QUERY
from nimakit.serving.routes.kserve_tensors import OUTPUTS

DESCRIPTION: dict[str, Any] = json.loads(
    (Path(nimakit.serving.__file__).parent / "openapi.json").read_text("utf-8")
)


def test_it_is_valid_and_served(web: Client) -> None:
    """OpenAPI 3.1, and what the server gives is the file."""
    validate(DESCRIPTION)
    response = web.get("/openapi.json")
    assert response.content_type == "application/json"
    assert response.json == DESCRIPTION


def test_every_route_is_described_and_every_described_route_is_there(web: Client) -> None:
    """Paths and methods, both ways."""
    rules = web.application.url_map.iter_rules()
    served = {
        (re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods}
    assert served == described


def test_query_and_outputs_are_those_of_the_code() -> None:
    """Their names and values."""
    parameters = DESCRIPTION["paths"]["/predict"]["post"]["parameters"]
    assert {p["name"] for p in parameters if p.get("in") == "query"} == set(_QUERY)
    request = DESCRIPTION["components"]["schemas"]["InferRequest"]
    named = request["properties"]["outputs"]["items"]["properties"]["name"]["enum"]
    assert named == list(OUTPUTS)


def test_measures_are_those_of_the_code() -> None:
    """Their names, all of which every answer with measures has."""
    described = DESCRIPTION["components"]["schemas"]["Measures"]
    assert described["required"] == [*described["properties"]] == [*MEASURES]


def test_open_routes_are_said_to_be_open(web: Client) -> None:
    """Those that need no key, and only those, have no security."""
    from nimakit.serving.middleware import OPEN_ENDPOINTS

    for rule in web.application.url_map.iter_rules():
        for method, operation in DESCRIPTION["paths"][
            re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule)
        ].items():
            assert (operation.get("security") == [{}]) == (rule.endpoint in OPEN_ENDPOINTS), (rule, method)


@pytest.mark.parametrize(
    ("method", "path", "described"),
    [
        ("GET", "/models", "/models"),
        ("GET", "/models/tiny", "/models/{name}"),
        ("GET", "/models/other", "/models/{name}"),
        ("GET", "/v2", "/v2"),
        ("GET", "/v2/health/live", "/v2/health/live"),
        ("GET", "/v2/models/tiny", "/v2/models/{name}"),
        ("GET", "/v2/models/score/ready", "/v2/models/{name}/ready"),
        ("POST", "/v2/models/tiny/infer", "/v2/models/{name}/infer"),
        ("GET", "/v2/models/tiny/versions/1", "/v2/models/{name}/versions/{version}"),
        ("GET", "/v2/models/tiny/versions/2/ready", "/v2/models/{name}/versions/{version}/ready"),
        ("POST", "/v2/models/tiny/versions/1/infer", "/v2/models/{name}/versions/{version}/infer"),
        ("POST", "/predict", "/predict"),
        ("POST", "/predict?normalize=minmax", "/predict"),
        ("POST", "/predict?measures=true", "/predict"),
        ("POST", "/predict?measures=true&model=tiny&model=score", "/predict"),
        ("POST", "/predict?model=score", "/predict"),
        ("POST", "/predict?model=score&model=tiny", "/predict"),
        ("POST", "/predict?model=other", "/predict"),
    ],
)
def test_answers_are_as_described(web: Client, method: str, path: str, described: str) -> None:
    """Their bodies hold to the schema of their status."""
    data = form(("a.png", noise()), ("b.png", b"")) if path.startswith("/predict") else None
    response = web.open(path, method=method, data=data)
    responses = DESCRIPTION["paths"][described][method.lower()]["responses"]
    answer = responses.get(str(response.status_code)) or responses["default"]
    answer = (
        DESCRIPTION["components"]["responses"][answer["$ref"].split("/")[-1]] if "$ref" in answer else answer
    )
    schema = {**answer["content"][response.mimetype]["schema"], "components": DESCRIPTION["components"]}
    Draft202012Validator(schema).validate(response.json)
