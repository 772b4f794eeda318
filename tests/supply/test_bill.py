"""Bills of materials: valid by the formats' own validators, and true."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from oslet.build.supply.bill import Told, purl
from oslet.build.supply.cyclonedx import cyclonedx
from oslet.build.supply.spdx import spdx
from oslet.codec import canonical
from oslet.errors import DeclarationError
from oslet.model.lock import Package, Wheel
from oslet.workspace.supply import created

from .validate import faults
from .world import World, world


def sha1(made: World) -> dict[str, str]:
    digests = {e.digest for e in made.tree.entries if e.kind == "file"}
    return {d: hashlib.sha1(made.store.read(d), usedforsecurity=False).hexdigest() for d in digests}


def documents(made: World) -> dict[str, Any]:
    return {
        "spdx": spdx(made.bill()),
        "spdx with files": spdx(made.bill(), sha1(made)),
        "cyclonedx": cyclonedx(made.bill()),
        "cyclonedx with files": cyclonedx(made.bill(), files=True),
        "cyclonedx 1.6": cyclonedx(made.bill(), files=True, edition="1.6"),
    }


def test_every_document_is_valid(made: World) -> None:
    assert not {name: found for name, document in documents(made).items() if (found := faults(document))}


def test_the_validators_see_faults(made: World) -> None:
    """Else the test above proves nothing."""
    assert faults({**spdx(made.bill()), "documentNamespace": "no URI"})
    broken = spdx(made.bill())
    broken["hasExtractedLicensingInfos"] = []
    assert faults(broken)
    assert faults({**cyclonedx(made.bill()), "serialNumber": "7"})


def test_equal_images_give_equal_documents(made: World, tmp_path: Path) -> None:
    again = documents(world(tmp_path))
    assert {name: canonical(d) for name, d in documents(made).items()} == {n: canonical(d) for n, d in again.items()}
    identities = {d.get("documentNamespace") or d["serialNumber"] for d in again.values()}
    assert len(identities) == len(again)


def test_what_spdx_says(made: World) -> None:
    document = spdx(made.bill(), sha1(made))
    packages = {p["name"]: p for p in document["packages"]}
    assert set(packages) == {"world", "web", "libg++1", "only-docs", "app"}
    library = packages["libg++1"]
    assert library["SPDXID"] == "SPDXRef-deb-libg.2B.2B1"
    assert library["externalRefs"][0]["referenceLocator"] == (
        "pkg:deb/debian/libg%2B%2B1@1:1.0%2Bb1?arch=amd64&distro=debian-13&upstream=gpp%401.0"
    )
    assert library["sourceInfo"] == "built from the source package gpp 1.0"
    assert library["homepage"] == "https://example.org/"
    assert library["comment"] == "partial: 4 of 5 files, 54 bytes; 1 left out (8 bytes)"
    assert library["licenseComments"] == "copyright file, free text; it mentions BSD"
    assert packages["web"]["licenseDeclared"].startswith("MIT OR LicenseRef-Odd-")
    assert packages["only-docs"]["filesAnalyzed"] is False
    related = {(r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"]) for r in document["relationships"]}
    assert ("SPDXRef-deb-web", "DEPENDS_ON", "SPDXRef-deb-libg.2B.2B1") in related
    assert ("SPDXRef-Image", "CONTAINS", "SPDXRef-deb-only-docs") not in related
    assert len(document["files"]) == made.tree.files


def test_what_cyclonedx_says(made: World) -> None:
    document = cyclonedx(made.bill(), files=True)
    components = {c["name"]: c for c in document["components"]}
    facts = {p["name"]: p["value"] for p in components["web"]["properties"]}
    assert (facts["oslet:extent"], facts["oslet:files.kept"], facts["oslet:files.dropped"]) == ("partial", "4", "1")
    assert components["only-docs"]["scope"] == "excluded"
    assert [e["name"] for e in components["libg++1"]["components"]] == [
        "/usr/lib/libg++.so.1.0",
        "/usr/share/doc/web-common/copyright",
    ]
    assert {"ref": "deb:web", "dependsOn": ["deb:libg++1", "deb:only-docs"]} in document["dependencies"]
    assert {"ref": "image", "dependsOn": ["deb:web", "wheel:app"]} in document["dependencies"]
    whole = {c["name"]: {p["name"]: p["value"] for p in c["properties"]}["oslet:extent"] for c in components.values()}
    assert whole["app"] == "whole"


names = st.from_regex(r"[a-z0-9][a-z0-9+.-]+", fullmatch=True)
versions = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~-]*", fullmatch=True)


@given(names, versions, names, versions)
def test_package_urls_are_as_the_specifications_library_reads_them(
    name: str, version: str, source: str, source_version: str
) -> None:
    deb = Package(name, version, "amd64", "", "", 1, "0" * 64, "", "")
    made = purl(deb, Told(source=source, source_version=source_version), ("debian", "13"))
    read = PackageURL.from_string(made)
    assert (read.type, read.namespace, read.name, read.version) == ("deb", "debian", name, version)
    assert isinstance(read.qualifiers, dict)
    if (source, source_version) != (name, version):
        assert read.qualifiers["upstream"].split("@")[0] == source
    assert read.to_string() == made
    wheel = purl(Wheel("a-b", version, "", 1, "", "", ""), Told(), ("debian", "13"))
    assert PackageURL.from_string(wheel).version == version


def test_the_moment_is_source_date_epoch() -> None:
    assert created("") == "1970-01-01T00:00:00Z"
    assert created("1700000000") == "2023-11-14T22:13:20Z"
    for odd in ("yesterday", "9" * 30, "-" + "9" * 30):
        with pytest.raises(DeclarationError, match="isn't a count of seconds"):
            created(odd)
