"""What other people's tools say of an exported image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from oslet.build.oci import parcel, write_archive, write_layout
from oslet.errors import DeclarationError
from tests.oci.world import NAME, PORT, TOKEN, docker, registry, runnable, said, small, tool


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_skopeo_reads_and_copies_the_layout(tmp_path: Path, compression: str) -> None:
    skopeo = tool("skopeo")
    world = small(tmp_path / "s")
    made = parcel(world.image, world.digest, world.tree, world.store, compression=compression)  # type: ignore[arg-type]
    write_layout(made, tmp_path / "oci", tag="1")
    write_archive(made, tmp_path / "app.tar", tag="1", name="app")
    found = json.loads(said(skopeo, "inspect", f"oci:{tmp_path}/oci:1"))
    assert found["Labels"]["dev.oslet.image"] == world.digest
    assert len(found["Layers"]) == 5
    config = json.loads(said(skopeo, "inspect", "--config", f"oci:{tmp_path}/oci"))["config"]
    assert config["Entrypoint"] == ["/usr/bin/app", "8080"]
    assert config["Env"][1] == "MODE=on 8080"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    policy = ("--insecure-policy", "--override-arch", world.image.arch)
    said(skopeo, *policy, "copy", f"oci:{tmp_path}/oci:1", f"dir:{tmp_path}/one")
    said(skopeo, *policy, "copy", f"oci-archive:{tmp_path}/app.tar:app:1", f"dir:{tmp_path}/two")
    if compression != "zstd":  # its docker-archive reader knows no zstd (measured with 1.9.3)
        said(skopeo, *policy, "copy", f"docker-archive:{tmp_path}/app.tar:app:1", f"dir:{tmp_path}/three")


def test_skopeo_copies_what_was_pushed(tmp_path: Path) -> None:
    from oslet.archive.registry import push

    skopeo = tool("skopeo")
    world = small(tmp_path / "s")
    with registry(tmp_path) as host:
        sent = push(f"{host}/a/app:1", parcel(world.image, world.digest, world.tree, world.store))
        found = json.loads(said(skopeo, "inspect", "--tls-verify=false", f"docker://{host}/a/app:1"))
        assert found["Digest"] == sent


def test_a_layout_takes_a_second_image_and_replaces_a_tag(tmp_path: Path) -> None:
    world = small(tmp_path / "s")
    made = parcel(world.image, world.digest, world.tree, world.store)
    for tag in ("a", "b", "a"):
        write_layout(made, tmp_path / "oci", tag=tag)
    index = json.loads((tmp_path / "oci/index.json").read_text())
    assert [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]] == ["b", "a"]
    assert len(list((tmp_path / "oci/blobs/sha256").iterdir())) == 7


def test_umoci_unpacks_the_tree(tmp_path: Path) -> None:
    umoci = tool("umoci")
    world = small(tmp_path / "s")
    write_layout(parcel(world.image, world.digest, world.tree, world.store), tmp_path / "oci", tag="1")
    rootless = () if os.geteuid() == 0 else ("--rootless",)
    said(umoci, "unpack", *rootless, "--image", f"{tmp_path}/oci:1", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    for entry in world.tree.entries:
        path = root / entry.path.lstrip("/")
        assert path.is_symlink() == (entry.kind == "link"), entry
        assert entry.kind == "link" or path.stat().st_mode & 0o7777 == entry.mode, entry
    assert (root / "etc/app/app.ini").read_text() == "port = 8080\n"
    assert (root / "usr/lib/same").read_bytes() == (root / "usr/lib/one").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gzip", "none"])  # zstd from docker 23; Debian 12 has 20.10
def test_docker_loads_and_runs_it(tmp_path: Path, compression: str) -> None:
    world = runnable(tmp_path / "s", tmp_path)
    made = parcel(world.image, world.digest, world.tree, world.store, compression=compression)  # type: ignore[arg-type]
    write_archive(made, tmp_path / "app.tar", tag="1", name="app")
    with docker() as client:
        assert "app:1" in said(*client, "load", "-i", tmp_path / "app.tar")
        limits = ("--ulimit", "nofile=1024:1024", "--network=none", "--read-only")
        assert said(*client, "run", "--rm", *limits, "app:1") == "port = 8080\n"


@pytest.mark.slow
def test_podman_loads_and_runs_it(tmp_path: Path) -> None:
    podman = tool("podman")
    world = runnable(tmp_path / "s", tmp_path)
    made = parcel(world.image, world.digest, world.tree, world.store)
    write_archive(made, tmp_path / "app.tar", tag="1", name="app")
    short = Path(tempfile.mkdtemp(prefix="p-"))  # podman takes no run root of over 50 bytes
    words = [podman, "--root", f"{short}/p", "--runroot", f"{short}/r", "--storage-driver=vfs"]
    words += ["--cgroup-manager=cgroupfs", "--events-backend=none"]
    try:
        info = subprocess.run([*words, "info"], capture_output=True, check=False, timeout=60, text=True)
        if info.returncode:
            pytest.skip(f"podman doesn't start here: {info.stderr[-200:]}")
        assert "app:1" in said(*words, "load", "-i", tmp_path / "app.tar")
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        command = (*words, "--runtime=runc", "run", "--rm", *limits, "--network=none", "localhost/app:1")
        assert said(*command) == "port = 8080\n"
    finally:
        subprocess.run([*words, "system", "reset", "--force"], capture_output=True, check=False, timeout=120)
        shutil.rmtree(short, ignore_errors=True)


def test_params_without_values_and_secrets_are_named(tmp_path: Path) -> None:
    world = small(tmp_path, NAME, TOKEN, command=("/usr/bin/app", "{name}", "{token}"))
    with pytest.raises(DeclarationError) as refused:
        parcel(world.image, world.digest, world.tree, world.store)
    text = str(refused.value)
    assert "'name' has no default" in text
    assert "--set name=VALUE" in text
    assert "secret 'token'" in text


def test_given_values_are_in_the_exported_image(tmp_path: Path) -> None:
    from oslet.build.bound import export_arguments
    from oslet.formats import oci

    world = small(tmp_path, PORT, NAME, command=("/usr/bin/app", "{name}"))
    given = export_arguments(world.image, {"name": "x", "port": "9"})
    made = parcel(world.image, world.digest, world.tree, world.store, arguments=given)
    config = oci.read_config(
        made.blobs[0].path.read_bytes(), oci.read_manifest(made.manifest, where="made"), where="made"
    )
    assert config.config is not None
    assert config.config.entrypoint == ["/usr/bin/app", "x"]
    assert list(config.config.exposed_ports) == ["9/tcp"]
