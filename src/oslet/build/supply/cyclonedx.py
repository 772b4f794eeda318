"""Bill → CycloneDX as JSON (https://cyclonedx.org/specification/overview/). Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from oslet.build.supply.bill import Bill, Component, document_id
from oslet.build.supply.licences import Licence
from oslet.model.tree import Entry

Edition: TypeAlias = Literal["1.6", "1.7"]

NEWEST: Edition = "1.7"
ROOT = "image"


def cyclonedx(bill: Bill, *, files: bool = False, edition: Edition = NEWEST) -> dict[str, Any]:
    """The document; with ``files`` every regular file stands in the component that brought it."""
    needs: dict[str, list[str]] = defaultdict(list)
    for component in bill.components:
        needs[component.by or ROOT].append(component.key)
    refs = (ROOT, *(c.key for c in bill.components))
    root: dict[str, Any] = {
        "type": "container",
        "bom-ref": ROOT,
        "name": bill.name,
        "version": bill.digest[:12],
        "hashes": [_hash(bill.digest)],
        "properties": [_property("arch", bill.arch)],
    }
    if files and bill.own:
        root["components"] = _files(bill.own)
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{edition}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": edition,
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {"components": [{"type": "application", "name": "oslet", "version": bill.maker}]},
            "component": root,
        },
        "components": [_component(c, edition, files=files) for c in bill.components],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs[ref])} for ref in refs],
    }
    return {**document, "serialNumber": document_id(document)}


def _component(component: Component, edition: Edition, *, files: bool) -> dict[str, Any]:
    told = component.told
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": component.key,
        "name": component.name,
        "version": component.version,
        "scope": "required" if component.kept else "excluded",
        "hashes": [_hash(component.sha256)],
        "purl": component.purl,
        "properties": [
            _property("file", component.file),
            _property("extent", "whole" if component.whole else "partial" if component.kept else "none"),
            _property("files.kept", str(len(component.kept))),
            _property("files.dropped", str(component.dropped)),
            _property("bytes.kept", str(component.kept_size)),
            _property("bytes.dropped", str(component.dropped_size)),
            _property("request", component.request),
            _property("licence.source", told.licence.source),
        ],
    }
    if told.summary:
        found["description"] = told.summary
    if told.supplier:
        found["supplier"] = _supplier(told.supplier)
    if told.source:
        found["properties"].append(_property("source", f"{told.source} {told.source_version}"))
    if told.licence.expression:
        found["licenses"] = [_licence(told.licence, edition)]
    if re.fullmatch(r"https?://[^\s\"<>\\^`{|}\[\]]+", told.homepage):
        found["externalReferences"] = [{"type": "website", "url": told.homepage}]
    if files and (inside := _files(component.kept)):
        found["components"] = inside
    return found


def _licence(licence: Licence, edition: Edition) -> dict[str, Any]:
    """Until 1.7 an expression has no room for texts: a licence that is one text is written as that."""
    texts = dict(licence.texts)
    if text := texts.get(licence.expression):
        return {"license": {"name": licence.expression, "text": {"content": text}, "acknowledgement": "declared"}}
    found: dict[str, Any] = {"expression": licence.expression, "acknowledgement": "declared"}
    if texts and edition == "1.7":
        found["expressionDetails"] = [
            {"licenseIdentifier": ref, "text": {"content": text}} for ref, text in sorted(texts.items())
        ]
    return found


def _supplier(written: str) -> dict[str, Any]:
    match = re.fullmatch(r"\s*\"?([^<>\"]*?)\"?\s*<([^<>\s]+@[^<>\s]+)>\s*", written)
    if match is None:
        return {"name": written}
    return {"name": match[1] or match[2], "contact": [{"email": match[2]}]}


def _files(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "bom-ref": f"file:{entry.path}",
            "name": entry.path,
            "hashes": [_hash(entry.digest)],
            "properties": [_property("origin", entry.origin), _property("reason", entry.reason)],
        }
        for entry in entries
        if entry.kind == "file"
    ]


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"oslet:{name}", "value": value}
