"""The description of the API says what is true, of every route."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import Site

SPEC = "/api/v1/openapi.json"


@pytest.fixture
def spec(site: Site) -> dict[str, Any]:
    answer = httpx.get(site.url + SPEC)
    assert answer.headers["content-type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    return found


def operations(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method} {path}", said) for path, item in spec["paths"].items() for method, said in item.items()]


def test_it_is_openapi_31_of_the_api_alone(spec: dict[str, Any]):
    assert spec["openapi"] == "3.1.0"
    described = {name for name, _ in operations(spec)}
    assert {
        "post /hooks/{connection}",
        "get /api/v1/handoffs",
        "get /api/v1/handoffs/{id}",
        "post /api/v1/handoffs/{id}/replay",
        "get /api/v1/handoffs/{id}/undo-plan",
        "get /api/v1/handoffs/{id}/proposals",
        "post /api/v1/handoffs/{id}/cancel",
        "post /api/v1/handoffs/{id}/skip",
        "get /api/v1/proposals",
        "post /api/v1/proposals/{id}/approve",
        "post /api/v1/proposals/{id}/decline",
        "get /api/v1/contracts",
        "get /api/v1/contracts/{name}",
        "get /api/v1/cases",
        "get /api/v1/alerts",
        "get /api/v1/connections",
        "get /api/v1/deliveries",
        "get /healthz",
        "get /readyz",
        "get /metrics",
    } == described


def test_every_route_has_a_summary_and_its_answers(spec: dict[str, Any]):
    for name, said in operations(spec):
        assert said["summary"], name
        good = [status for status in said["responses"] if status < "300"]
        assert good, name
        assert all(answer["description"] for answer in said["responses"].values()), name
        if "/api/" in name:
            assert said["responses"][good[0]]["content"]["application/json"]["schema"], name
            assert said["security"] == [{"token": []}, {"session": []}], name


def test_every_error_is_a_problem(spec: dict[str, Any]):
    for name, said in operations(spec):
        for status, answer in said["responses"].items():
            if status >= "400" and not (name == "get /readyz" and status == "503"):
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_every_reference_leads_somewhere(spec: dict[str, Any]):
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found: Any = spec
                for part in node["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(spec)


def test_answers_are_as_described(site: Site, spec: dict[str, Any]):
    from jsonschema import Draft202012Validator

    site.deals.take(*site.deals.won(1), *site.deals.won(2, client={"tax_id": ""}))
    site.run()
    paths = {
        "/api/v1/handoffs": "/api/v1/handoffs",
        "/api/v1/handoffs/1": "/api/v1/handoffs/{id}",
        "/api/v1/contracts": "/api/v1/contracts",
        "/api/v1/contracts/opportunity-to-project": "/api/v1/contracts/{name}",
        "/api/v1/cases": "/api/v1/cases",
        "/api/v1/alerts": "/api/v1/alerts",
        "/api/v1/connections": "/api/v1/connections",
        "/api/v1/deliveries": "/api/v1/deliveries",
    }
    with site.client() as client:
        for path, name in paths.items():
            answer = client.get(path)
            assert answer.status_code == 200, path
            schema = spec["paths"][name]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": spec["components"]}).validate(answer.json())
        missing = client.get("/api/v1/handoffs/999")
        problem = {"$ref": "#/components/schemas/Problem", "components": spec["components"]}
        Draft202012Validator(problem).validate(missing.json())
