"""Push and pull with a real registry, and what a hostile one gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oslet.archive.admit import admit
from oslet.archive.registry import Pulled, pull, push, read_reference
from oslet.build.oci import parcel
from oslet.errors import IntegrityError, NetworkError, OsletError
from oslet.store import Store
from tests.oci.world import NAME, PORT, World, registry, small

LOGIN = "user:$2b$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu\n"
"""bcrypt of "password", as htpasswd -B writes it."""


def send(world: World, reference: str) -> str:
    return push(reference, parcel(world.image, world.digest, world.tree, world.store, unbound=True))


def fetch(reference: str, store: Store, arch: str) -> Pulled:
    return pull(reference, store, architecture=arch)


def test_what_is_pulled_is_what_was_pushed(tmp_path: Path) -> None:
    world = small(tmp_path / "a", PORT, NAME, command=("/usr/bin/app", "{name}"))
    store = Store(tmp_path / "b")
    with registry(tmp_path) as host:
        sent = send(world, f"{host}/team/app:1")
        assert send(world, f"{host}/team/app:again") == sent
        for reference in (f"{host}/team/app:1", f"{host}/team/app@{sent}"):
            pulled = fetch(reference, store, world.image.arch)
            assert pulled.digest == sent
            assert admit(pulled, store, where=reference) == (world.digest, world.image)
        with pytest.raises(NetworkError, match="no such image"):
            fetch(f"{host}/team/app:none", store, world.image.arch)
    assert store.load(world.image.tree, type(world.tree)) == world.tree
    assert store.verify() == []


def test_rendered_files_are_no_part_of_what_is_pulled(tmp_path: Path) -> None:
    world = small(tmp_path / "a")
    store = Store(tmp_path / "b")
    made = parcel(world.image, world.digest, world.tree, world.store)
    with registry(tmp_path) as host:
        push(f"{host}/app", made)
        pulled = fetch(f"{host}/app", store, world.image.arch)
    assert pulled.config.history[-1].created_by == "oslet: rendered"
    assert admit(pulled, store, where="x") == (world.digest, world.image)


def test_an_altered_layer_is_refused(tmp_path: Path) -> None:
    world = small(tmp_path / "a")
    made = parcel(world.image, world.digest, world.tree, world.store)
    with registry(tmp_path) as host:
        push(f"{host}/app", made)
        sha256 = made.blobs[2].descriptor.sha256
        blob = tmp_path / f"registry/docker/registry/v2/blobs/sha256/{sha256[:2]}/{sha256}/data"
        blob.write_bytes(blob.read_bytes()[:-1] + b"x")
        store = Store(tmp_path / "b")
        with pytest.raises(IntegrityError):
            fetch(f"{host}/app", store, world.image.arch)
        assert store.blob(sha256) is None


def test_a_registry_with_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = small(tmp_path / "a")
    auth = tmp_path / "auth.json"
    monkeypatch.setenv("OSLET_REGISTRY_AUTH", str(auth))
    with registry(tmp_path, htpasswd=LOGIN) as host:
        auth.write_text("{}")
        with pytest.raises(NetworkError, match="doesn't let you") as refused:
            send(world, f"{host}/app")
        assert "login" in refused.value.hint
        auth.write_text(json.dumps({"auths": {host: {"auth": "dXNlcjp3cm9uZw=="}}}))
        with pytest.raises(NetworkError, match="doesn't let you") as refused:
            send(world, f"{host}/app")
        assert "wrong" not in str(refused.value)
        auth.write_text(json.dumps({"auths": {host: {"auth": "dXNlcjpwYXNzd29yZA=="}}}))
        send(world, f"{host}/app")
        assert fetch(f"{host}/app", Store(tmp_path / "b"), world.image.arch).manifest.layers


@pytest.mark.parametrize(
    "text",
    ["app", "library/app:1", "host.example/UPPER", "host.example/a:b:c", "ftp://h.example/a", "h.example/a@x"],
)
def test_bad_references(text: str) -> None:
    with pytest.raises(OsletError) as refused:
        read_reference(text)
    assert len(str(refused.value).splitlines()) <= 3


def test_references() -> None:
    assert read_reference("localhost:5000/a").scheme == "http"
    assert read_reference("[::1]:5000/a").scheme == "http"
    assert read_reference("host.example/a/b:1")[:4] == ("https", "host.example", "a/b", "1")


def test_other_hosts_are_never_spoken_to_in_plain() -> None:
    from oslet.archive.exchange import Exchange

    with pytest.raises(NetworkError, match="plain HTTP"):
        Exchange()("GET", "http://host.invalid/v2/", {})
