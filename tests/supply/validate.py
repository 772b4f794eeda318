"""The formats' own validators: cyclonedx-python-lib carries the official JSON schemas, spdx-tools the SPDX rules."""

from __future__ import annotations

import json
from functools import cache
from typing import Any


def faults(document: Any) -> list[str]:
    """What a validator has to say against a document; nothing when it is valid."""
    return _spdx(document) if "spdxVersion" in document else _cyclonedx(document)


def _spdx(document: Any) -> list[str]:
    from spdx_tools.spdx.parser.error import SPDXParsingError
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    try:
        read = JsonLikeDictParser().parse(json.loads(json.dumps(document)))  # type: ignore[no-untyped-call]
    except SPDXParsingError as error:
        return list(error.get_messages())  # type: ignore[no-untyped-call]
    return [fault.validation_message for fault in validate_full_spdx_document(read)]


def _cyclonedx(document: Any) -> list[str]:
    fault = _validator(document["specVersion"]).validate_str(json.dumps(document))
    return [str(fault)] if fault else []


@cache
def _validator(version: str) -> Any:
    """It takes a second to read the schemas."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.from_version(version))
