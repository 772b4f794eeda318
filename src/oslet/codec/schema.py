"""The JSON Schema of a declaration, so that editors complete and check the TOML."""

from __future__ import annotations

from typing import Any

import msgspec

from oslet.codec.shape import PARAMS, Declaration
from oslet.codec.texts import PARAM_NAME

_ONE_OF = {"FileTable": ("template", "secret", "text"), "HealthTable": ("http", "tcp", "exec")}


def declaration_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the TOML spelling, from the table that the reader reads by."""
    schema = msgspec.json.schema(Declaration)
    _tighten(schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "oslet declaration",
        **schema,
    }


def stack_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of stacks; a declaration in place is one whose name may be absent."""
    from typing import get_args

    from oslet.codec.stackshape import NAME, StackTable
    from oslet.model.stack import Until

    schema = msgspec.json.schema(StackTable)
    definitions: dict[str, Any] = schema["$defs"]
    _tighten(definitions)
    definitions["Declaration"].pop("required", None)
    member = definitions["MemberTable"]
    member["oneOf"] = [{"required": ["target"]}, {"required": ["declare"]}]
    for form in member["properties"]["after"]["anyOf"]:
        if form.get("type") == "object":
            form["additionalProperties"] = {"enum": list(get_args(Until))}
    definitions["StackTable"]["properties"]["members"]["propertyNames"] = {"pattern": NAME}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "oslet stack", **schema}


def _tighten(definitions: dict[str, Any]) -> None:
    """What the reader checks beyond types."""
    for table, keys in _ONE_OF.items():
        definitions[table]["oneOf"] = [{"required": [key]} for key in keys]
    for param in PARAMS.values():
        definitions[param.__name__]["required"] = ["type", *definitions[param.__name__].get("required", [])]
        definitions[param.__name__]["required"] = list(dict.fromkeys(definitions[param.__name__]["required"]))
    declaration = definitions["Declaration"]
    declaration["properties"]["params"]["propertyNames"] = {"pattern": f"^{PARAM_NAME}$"}
    declaration["properties"]["files"]["propertyNames"] = {"pattern": "^/."}
    declaration["properties"]["env"]["propertyNames"] = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
    scripts = declaration["properties"]["scripts"]["additionalProperties"]["anyOf"]
    for each in scripts:
        if each.get("type") == "string":
            each["enum"] = ["ignore", "run"]
