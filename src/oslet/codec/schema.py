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
    definitions: dict[str, Any] = schema["$defs"]
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
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "oslet declaration",
        **schema,
    }
