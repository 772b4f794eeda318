"""The OpenAPI document (3.1) of the routes, of which the schemas are those that requests are read by."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from oslet.run.manage.answers import ROUTES, Nothing, Route


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, where, and what to do about it."""

    what: str
    where: str = ""
    hint: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Why something wasn't done."""

    errors: tuple[Fault, ...]


REFUSALS = {
    "400": "It can't be read.",
    "401": "The token is missing or wrong.",
    "403": "This door is read-only.",
    "404": "There is nothing of that name.",
    "409": "It can't be done now.",
    "413": "It is too large.",
    "422": "An argument is not what its param takes.",
    "503": "Too much is asked at once.",
}


def document(version: str) -> dict[str, Any]:
    """All of it, as JSON values."""
    shapes: list[Any] = [Refusal]
    for route in ROUTES:
        shapes += [route.gives, route.query, route.body]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    refusal, *rest = schemas
    paths: dict[str, dict[str, Any]] = {}
    for number, route in enumerate(ROUTES):
        gives, query, body = rest[3 * number : 3 * number + 3]
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, gives, query, body, components, refusal
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "oslet manage", "version": version},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(
    route: Route, gives: Any, query: Any, body: Any, components: dict[str, Any], refusal: Any
) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH[name]}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    shape = components[query["$ref"].rpartition("/")[2]]
    for name, schema in shape["properties"].items():
        parameters.append({"name": name, "in": "query", "required": name in shape["required"], "schema": schema})
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": gives}}},
            **{
                code: {"description": why, "content": {"application/json": {"schema": refusal}}}
                for code, why in REFUSALS.items()
            },
        },
    }
    if route.body is not Nothing:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


_PATH = {"instance": {"type": "string"}, "pid": {"type": "integer", "minimum": 1, "maximum": 4194304}}


def _name(route: Route) -> str:
    words = [part for part in route.path.split("/")[2:] if not part.startswith("{")]
    return "-".join([route.method.lower(), *words, *(["one"] if route.path.endswith("{instance}") else [])])
