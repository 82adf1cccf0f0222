"""The description of the API: OpenAPI 3.1, with every error as a problem."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from concordat.web.problems import MEDIA_TYPE, Problem

__all__ = ["describe"]

REF = {"$ref": "#/components/schemas/Problem"}
USUAL = {
    "401": "Nobody is signed in.",
    "403": "The role does not allow it.",
    "404": "There is no such thing, or not for you.",
    "409": "A write with the same `Idempotency-Key` runs at this moment.",
    "422": "The request does not fit; `faults` lists why.",
    "503": "Not to be had at this moment; `Retry-After` says when to ask again.",
}


def describe(app: FastAPI) -> None:
    """Give the application a description that tells the whole truth about its errors."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_described(app))
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    spec = get_openapi(
        title="Concordat",
        version=app.version,
        openapi_version="3.1.0",
        summary="Handoffs between a firm's systems, and where each of them stands.",
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(whole.pop("$defs", {}))
    schemas["Problem"] = whole
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    spec["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The firm's `.concordat/api.token`."},
        "session": {"type": "apiKey", "in": "cookie", "name": "concordat_session"},
    }
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            _tell_errors(path, method, operation)
    return spec


def _tell_errors(path: str, method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if path.startswith("/api/"):
        operation["security"] = [{"token": []}, {"session": []}]
        for status, says in USUAL.items():
            if status == "409" and method == "get":
                continue
            answers.setdefault(status, {"description": says})
    for status, answer in answers.items():
        if status >= "400" and not _own(answer):
            answer["content"] = {MEDIA_TYPE: {"schema": REF}}
            if answer["description"] == "Validation Error":
                answer["description"] = USUAL["422"]


def _own(answer: dict[str, Any]) -> bool:
    """Whether an error has a body of its own (`/readyz` says what does not hold)."""
    content = answer.get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).endswith("/Ready")
