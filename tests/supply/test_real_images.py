"""Real images: the bill is valid, a real scanner sees the same packages, and the verbs do as they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Oslet
from .validate import faults

pytestmark = [pytest.mark.slow, pytest.mark.network]

SYFT = shutil.which("syft", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def syft(*words: str, folder: Path) -> Any:
    """What syft prints as JSON; it asks no network for its own updates."""
    assert SYFT is not None
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": str(folder)}
    done = subprocess.run(
        [SYFT, "-q", *words, "-o", "syft-json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=300,
        check=True,
    )
    return json.loads(done.stdout)


def urls(found: Any) -> set[str]:
    return {a["purl"] for a in found["artifacts"]}


def test_flask(oslet: Oslet) -> None:
    flask = str(oslet.example("flask"))
    document = oslet.json("sbom", flask)
    assert not faults(document)
    assert document == oslet.json("sbom", flask)
    newest = oslet.json("sbom", flask, "--format", "cyclonedx")
    assert not faults(newest)
    mine = {c["purl"] for c in newest["components"]}
    assert mine == {p["externalRefs"][0]["referenceLocator"] for p in document["packages"] if "externalRefs" in p}
    licences = {row["name"]: row["expression"] for row in oslet.json("licenses", flask)}
    assert licences["zlib1g"] == "Zlib"
    assert licences["libssl3t64"].startswith("Apache-2.0")
    assert licences["flask"] == "BSD-3-Clause"
    assert all(licences.values())
    assert len(licences) == len(mine)
    shown = oslet("licenses", flask).stdout
    assert "zlib1g" in shown and "METADATA: License-Expression" in shown

    if SYFT is None:
        pytest.skip("no syft for this machine")
    oslet("export", flask, "--rootfs", "root")
    root = oslet.folder / "root"
    seen = syft("scan", "dir:root", folder=oslet.folder)
    assert urls(seen) == {c["purl"] for c in newest["components"] if c["scope"] == "required"}
    (oslet.folder / "flask.spdx.json").write_text(json.dumps(document))
    assert urls(syft("convert", "flask.spdx.json", folder=oslet.folder)) == mine
    shutil.rmtree(root / "var/lib/dpkg")
    assert not any(url.startswith("pkg:deb/debian/") for url in urls(syft("scan", "dir:root", folder=oslet.folder)))


def test_redis(oslet: Oslet) -> None:
    redis = oslet.example("redis")
    built = oslet.json("build", str(redis))
    document = oslet.json("sbom", built["digest"], "--files")
    assert not faults(document)
    made = {f["fileName"]: f["comment"] for f in document["files"]}
    assert len(made) == built["files"]
    oslet("export", built["digest"], "--rootfs", "root")
    records = [path for path in made if path.startswith("./var/lib/dpkg/")]
    assert 0 < sum((oslet.folder / "root" / path).stat().st_size for path in records) < 60 << 10
    assert made["./var/lib/dpkg/status.d/zlib1g"].startswith("made:packages: scanners look here for packages")

    assert oslet("diff", str(redis), built["digest"]).stdout == ""
    other = redis.with_name("other.toml")
    other.write_text(redis.read_text().replace('packages = ["redis-server"]', 'packages = ["redis-server", "tini"]'))
    told = oslet("diff", str(redis), str(other), code=1).stdout
    assert "/usr/bin/tini-static" in told and "(none) →" in told
    found = json.loads(oslet("diff", str(redis), str(other), "--json", code=1).stdout)
    assert [p["name"] for p in found["packages"]] == ["tini"]
    assert {p["path"] for p in found["paths"] if p["after"]["origin"] == "tini"} > {"/usr/bin/tini"}
    locks = json.loads(oslet("diff", "redis/redis.lock", "redis/other.lock", "--json", code=1).stdout)
    assert (locks["packages"], locks["paths"]) == (found["packages"], [])
    assert "no such file" in oslet("diff", "redis/redis.lock", "none.lock", code=2).stderr


def test_provenance(oslet: Oslet) -> None:
    redis = str(oslet.example("redis"))
    keys = [
        "from cryptography.hazmat.primitives import serialization as s",
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K",
        "import os; from pathlib import Path; os.umask(0o077); k = K.generate()",
        "Path('key').write_bytes(k.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))",
        "p = k.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)",
        "Path('public').write_bytes(p)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(keys)], cwd=oslet.folder, check=True)
    signed = oslet("provenance", redis, "--key", "key")
    (oslet.folder / "redis.dsse").write_text(signed.stdout)
    assert "read this key" not in signed.stderr
    assert (oslet.folder / "key").read_text().splitlines()[1] not in signed.stdout + signed.stderr
    stated = json.loads(oslet("provenance", "redis", "--verify", "redis.dsse", "--key", "public").stdout)
    assert stated == oslet.json("provenance", redis)
    with_manifest = oslet.json("provenance", redis, "--oci")
    oslet("export", redis, "--oci", "layout")
    index = json.loads((oslet.folder / "layout/index.json").read_text())
    assert with_manifest["subject"][1]["digest"]["sha256"] == index["manifests"][0]["digest"].removeprefix("sha256:")
    (oslet.folder / "redis.dsse").write_text(signed.stdout.replace('"sig":"', '"sig":"AAAA'))
    assert "not signed by this key" in oslet("provenance", "--verify", "redis.dsse", "--key", "public", code=4).stderr
    (oslet.folder / "key").chmod(0o644)
    assert "other users can read this key" in oslet("provenance", redis, "--key", "key").stderr
