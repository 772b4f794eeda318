"""Bill → SPDX 2.3 as JSON (https://spdx.github.io/spdx-spec/v2.3/). Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from oslet.build.supply.bill import Bill, Component, document_id
from oslet.model.tree import Entry

NONE = "NOASSERTION"
ROOT = "SPDXRef-Image"


def spdx(bill: Bill, sha1: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The document. With ``sha1`` (by sha256, of every kept file) it lists files, which the format wants by SHA-1."""
    files: list[dict[str, Any]] = []
    packages = [_image(bill, files, sha1)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)]
    texts: dict[str, tuple[str, str]] = {}
    for component in bill.components:
        own = _spdx_id(component.key)
        packages.append(_package(component, bill.arch, files, sha1))
        if component.kept:
            relations.append((ROOT, "CONTAINS", own))
        relations.append((_spdx_id(component.by) if component.by else ROOT, "DEPENDS_ON", own))
        for ref, text in component.told.licence.texts:
            texts.setdefault(ref, (component.name, text))
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "creationInfo": {"created": bill.created, "creators": [f"Tool: oslet-{bill.maker}"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations
        ],
    }
    if files:
        document["files"] = files
    if texts:
        document["hasExtractedLicensingInfos"] = [
            {
                "licenseId": ref,
                "extractedText": text,
                "name": ref.removeprefix("LicenseRef-"),
                "comment": f"from {name}",
            }
            for ref, (name, text) in sorted(texts.items())
        ]
    return {**document, "documentNamespace": document_id(document)}


def _spdx_id(key: str) -> str:
    """``deb:libstdc++6`` → ``SPDXRef-deb-libstdc.2B.2B6``: letters, digits, dots and dashes only, each key its own."""
    kind, _, name = key.partition(":")
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", lambda m: f".{ord(m[0]):02X}", name)


def _image(bill: Bill, files: list[dict[str, Any]], sha1: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "SPDXID": ROOT,
        "name": bill.name,
        "versionInfo": bill.digest[:12],
        "downloadLocation": NONE,
        "supplier": NONE,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": bill.digest}],
        "licenseConcluded": NONE,
        "licenseDeclared": NONE,
        "copyrightText": NONE,
        "comment": f"for {bill.arch}; the checksum is the digest of oslet's image",
        **_contents(bill.own, "own", files, sha1),
    }


def _package(
    component: Component, arch: str, files: list[dict[str, Any]], sha1: Mapping[str, str] | None
) -> dict[str, Any]:
    told = component.told
    found: dict[str, Any] = {
        "SPDXID": _spdx_id(component.key),
        "name": component.name,
        "versionInfo": component.version,
        "packageFileName": component.file,
        "downloadLocation": NONE,
        "supplier": _person(told.supplier, "Organization" if component.kind == "deb" else "Person"),
        "checksums": [{"algorithm": "SHA256", "checksumValue": component.sha256}],
        "licenseConcluded": NONE,
        "licenseDeclared": told.licence.expression or NONE,
        "copyrightText": NONE,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component.purl}
        ],
        "primaryPackagePurpose": "LIBRARY" if component.kind == "wheel" else "INSTALL",
        "comment": component.extent,
        **_contents(component.kept, component.key, files, sha1),
    }
    if told.source:
        found["sourceInfo"] = f"built from the source package {told.source} {told.source_version}"
    if told.summary:
        found["summary"] = told.summary
    if re.fullmatch(r"https?://[^\s\"<>\\^`{|}\[\]]+", told.homepage):
        found["homepage"] = told.homepage
    mentions = ", ".join(told.licence.mentions)
    found["licenseComments"] = told.licence.source + (f"; it mentions {mentions}" if mentions else "")
    return found


def _person(supplier: str, kind: str) -> str:
    """``Name <mail>`` as SPDX writes it; a wheel's authors may be several, of whom the first counts."""
    match = re.match(r"\s*\"?([^<>\"(),\n]+)\"?\s*(?:<([^<>\s]+@[^<>\s]+)>)?", supplier)
    if match is None or not match[1].strip():
        return NONE
    return f"{kind}: {match[1].strip()}" + (f" ({match[2]})" if match[2] else "")


def _contents(
    entries: Sequence[Entry], key: str, files: list[dict[str, Any]], sha1: Mapping[str, str] | None
) -> dict[str, Any]:
    """The part of a package that says which files it has; the files themselves go to ``files``."""
    mine = [e for e in entries if e.kind == "file"]
    if sha1 is None or not mine:
        return {"filesAnalyzed": False}
    ids = []
    for entry in mine:
        ids.append(f"SPDXRef-file-{hashlib.sha256(entry.path.encode()).hexdigest()[:32]}")
        files.append(
            {
                "SPDXID": ids[-1],
                "fileName": f".{entry.path}",
                "checksums": [
                    {"algorithm": "SHA1", "checksumValue": sha1[entry.digest]},
                    {"algorithm": "SHA256", "checksumValue": entry.digest},
                ],
                "licenseConcluded": NONE,
                "licenseInfoInFiles": [NONE],
                "copyrightText": NONE,
                "comment": f"{entry.origin}: {entry.reason}",
            }
        )
    whole = hashlib.sha1("".join(sorted(sha1[e.digest] for e in mine)).encode(), usedforsecurity=False).hexdigest()
    return {
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": whole},
        "licenseInfoFromFiles": [NONE],
        "hasFiles": ids,
    }
