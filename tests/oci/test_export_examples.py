"""The examples as other people's tools and registries have them, by way of the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Oslet
from .world import registry, said, tool

pytestmark = [pytest.mark.slow, pytest.mark.network]


def inspected(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(tool("skopeo"), "inspect", image))
    return found


def digest_at(reference: str) -> str:
    found = json.loads(said(tool("skopeo"), "inspect", "--tls-verify=false", f"docker://{reference}"))
    return str(found["Digest"])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_reads_what_is_exported(oslet: Oslet, tmp_path: Path, compression: str) -> None:
    file = str(oslet.example("hello"))
    digest = oslet("build", file).stdout.strip()
    words = ("--oci", "oci", "--tar", "hello.tar", "--compression", compression, "--set", "who=there")
    assert oslet("export", file, *words).stdout.split() == ["oci", "hello.tar"]
    layout, archive = (
        inspected(f"{kind}:{tmp_path}/{name}") for kind, name in (("oci", "oci:hello"), ("oci-archive", "hello.tar"))
    )
    for found in (layout, archive):
        assert found["Labels"]["dev.oslet.image"] == digest
        assert found["Layers"] == layout["Layers"]
    config = json.loads(said(tool("skopeo"), "inspect", "--config", f"oci:{tmp_path}/oci:hello"))["config"]
    assert config["Entrypoint"][-1] == "Hello, there!"
    if compression == "gzip":
        assert inspected(f"docker-archive:{tmp_path}/hello.tar")["Labels"] == layout["Labels"]


def test_images_on_one_suite_share_layers(oslet: Oslet, tmp_path: Path) -> None:
    layers: dict[str, set[str]] = {}
    for name in ("flask", "web"):
        oslet("export", str(oslet.example(name)), "--oci", "oci")
        layers[name] = set(inspected(f"oci:{tmp_path}/oci:{name}")["Layers"])
    shared = layers["flask"] & layers["web"]
    assert 2 * len(shared) > max(map(len, layers.values())), {n: len(v) for n, v in layers.items()} | {
        "shared": len(shared)
    }
    blobs = {path.name: path.stat().st_size for path in (tmp_path / "oci/blobs/sha256").iterdir()}
    size = {name: sum(blobs[d.removeprefix("sha256:")] for d in found) for name, found in layers.items()}
    common = sum(blobs[d.removeprefix("sha256:")] for d in shared)
    # A package's layer holds what is reached of it, so packages of which two images reach different parts are apart.
    assert 5 * common > 2 * max(size.values()), f"shared bytes {common} of {size}"


def test_pushed_here_and_pulled_there_it_runs(oslet: Oslet, tmp_path: Path) -> None:
    file = str(oslet.example("hello"))
    built = oslet.json("build", file)
    there = Oslet(tmp_path / "there", tmp_path)
    with registry(tmp_path) as host:
        sent = oslet.json("push", file, f"{host}/team/hello:1")
        assert digest_at(f"{host}/team/hello:1") == sent["digest"]
        pulled = there.json("pull", f"{host}/team/hello:1")
        assert there("pull", f"{host}/team/hello@{sent['digest']}").stdout == f"{built['digest']}\n"
        assert "no such image" in there("pull", f"{host}/team/hello:2", code=7).stderr
    assert (pulled["digest"], pulled["name"], pulled["size"]) == (built["digest"], "hello", built["size"])
    assert there("run", "hello", "--who", "you").stdout == "Hello, you!\n"
    assert there("why", "hello", "/usr/bin/busybox").stdout == oslet("why", file, "/usr/bin/busybox").stdout
    assert there.json("verify") == []
