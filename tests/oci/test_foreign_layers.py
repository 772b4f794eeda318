"""Layers of foreign images: what they make together, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.archive.layout import load
from oslet.errors import IntegrityError, OsletError, ResolveError
from oslet.formats import layer as compression
from oslet.formats.tar import Member
from oslet.store import Store, flatten
from oslet.workspace import machine_arch
from tests.oci.foreign import file, flat, folder, hard, layer, layout, link, saved, sha, shown
from tests.oci.world import said, tool

BASE = layer(folder("/etc"), file("/etc/a", "a"), file("/etc/b", "b"), folder("/usr/lib"), link("/lib", "usr/lib"))


@pytest.mark.parametrize(
    ("above", "there", "gone"),
    [
        ([file("/etc/a", "new")], {"/etc/a": "new", "/etc/b": "b"}, []),
        ([file("/etc/.wh.a")], {"/etc/b": "b"}, ["/etc/a", "/etc/.wh.a"]),
        ([file("/.wh.etc")], {}, ["/etc", "/etc/a"]),
        ([file("/etc/.wh..wh..opq"), file("/etc/c", "c")], {"/etc": "dir", "/etc/c": "c"}, ["/etc/a", "/etc/b"]),
        # a whiteout takes only what lower layers have, wherever in its layer it stands
        ([file("/etc/c", "c"), file("/etc/.wh..wh..opq")], {"/etc/c": "c"}, ["/etc/a"]),
        ([file("/etc/a", "mine"), file("/etc/.wh.a")], {"/etc/a": "mine"}, []),
        ([folder("/etc", 0o700), file("/etc/c", "c"), file("/.wh.etc")], {"/etc/c": "c"}, ["/etc/a"]),
        ([file("/etc", "now a file")], {"/etc": "now a file"}, ["/etc/a"]),
        ([folder("/etc/a"), file("/etc/a/x", "x")], {"/etc/a": "dir", "/etc/a/x": "x"}, []),
        ([hard("/etc/h", "/etc/a")], {"/etc/h": "a", "/etc/a": "a"}, []),
        ([hard("/etc/h", "/etc/a"), file("/etc/.wh.a")], {"/etc/h": "a"}, ["/etc/a"]),
        ([file("/lib/x.so", "x")], {"/usr/lib/x.so": "x", "/lib": "→ usr/lib"}, ["/lib/x.so"]),
        ([file("/usr/lib/x", "x"), file("/lib/.wh.x")], {"/usr/lib/x": "x"}, []),
        ([folder("/lib"), file("/lib/x", "x")], {"/lib": "dir", "/lib/x": "x"}, ["/usr/lib/x"]),
        ([file("/.wh..wh.plnk/1.2", "aufs"), file("/.wh..wh.aufs")], {"/etc/a": "a"}, ["/.wh..wh.aufs"]),
        ([file("/deep/er/x", "x")], {"/deep": "dir", "/deep/er": "dir"}, []),
    ],
)
def test_what_layers_make(
    tmp_path: Path, above: list[tuple[Member, bytes]], there: dict[str, str], gone: list[str]
) -> None:
    store = Store(tmp_path)
    found = shown(flat(store, BASE, layer(*above)), store)
    assert {path: found.get(path) for path in there} == there
    assert not found.keys() & set(gone)


def test_devices_are_passed_over_and_capabilities_are_told(tmp_path: Path) -> None:
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, type_ in (
            ("dev/null", tarfile.CHRTYPE),
            ("dev/pipe", tarfile.FIFOTYPE),
            ("dev/sda", tarfile.BLKTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type = type_
            tar.addfile(info)
    ping = file("/usr/bin/ping", "p", 0o755, xattrs=(("security.capability", b"x"),))
    found = flat(Store(tmp_path), stream.getvalue(), layer(ping, file("/m.py", "m", mtime=7)))
    assert [e.path for e in found.entries] == ["/m.py", "/usr", "/usr/bin", "/usr/bin/ping"]
    assert (found.capabilities, found.changed) == (("/usr/bin/ping",), {"/m.py": 7})


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([file("/etc/.wh.")], "a whiteout of nothing"),
        ([file("/etc/.wh..")], "a whiteout of nothing"),
        ([file("/etc/.wh...")], "a whiteout of nothing"),
        ([file("/.wh.etc/x")], "a whiteout that holds something"),
        ([hard("/h", "/nowhere")], "which is no file"),
        ([hard("/h", "/etc")], "which is no file"),
        ([file("/etc/a/below", "x")], "which is no folder"),
        ([link("/a", "b"), link("/b", "a"), file("/a/x", "x")], "circles"),
        ([file("/x", "x", uid=1 << 33)], "an owner"),
    ],
)
def test_layers_that_are_refused(tmp_path: Path, parts: list[tuple[Member, bytes]], what: str) -> None:
    with pytest.raises(IntegrityError, match=what) as refused:
        flat(Store(tmp_path), BASE, layer(*parts))
    assert "layer 2" in refused.value.where


def test_no_link_leads_out(tmp_path: Path) -> None:
    """A link to the machine's own files, and one that climbs, are paths of the tree like any other."""
    store = Store(tmp_path / "store")
    tricks = layer(
        link("/out", "../../../../tmp"), link("/host", "/etc"), file("/host/passwd", "evil"), file("/out/x", "x")
    )
    found = shown(flat(store, BASE, tricks), store)
    assert (found["/etc/passwd"], found["/tmp/x"]) == ("evil", "x")
    assert "evil" not in Path("/etc/passwd").read_text()
    with pytest.raises(IntegrityError, match="leaves the archive"):
        flat(store, layer(file("/../escape", "x")))


def test_counts_and_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    many = layer(*(file(f"/f{n}", "x") for n in range(50)))
    for name, most in (("MAX_MEMBERS", 60), ("MAX_SIZE", 60), ("MAX_TEXT", 200)):
        with monkeypatch.context() as patched:
            patched.setattr(flatten, name, most)
            flat(store, many)
            with pytest.raises(IntegrityError, match=r"more|over"):
                flat(store, many, many)
    with monkeypatch.context() as patched:
        patched.setattr(flatten, "MAX_STEPS", 40)
        with pytest.raises(IntegrityError, match="whiteouts"):
            flat(store, many, layer(file("/.wh..wh..opq")))


def test_a_bomb_is_stopped_by_what_it_unpacks_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_FREE", 1 << 16)
    made = layout(tmp_path / "l", layer(file("/zeros", bytes(8 << 20))))
    store = Store(tmp_path / "s")
    pulled = load(made.path, "", store, architecture=machine_arch())
    blob, diff = pulled.layers[0], pulled.config.rootfs.diff_ids[0].removeprefix("sha256:")
    with pytest.raises(IntegrityError, match="unpacks to more"):
        flatten.flatten(store, [flatten.Stacked(blob.path, "gzip", diff)], where="x")


def test_every_digest_counts(tmp_path: Path) -> None:
    made = layout(tmp_path / "l", BASE, layer(file("/x", "x")))
    for number, blob in enumerate(sorted((made.path / "blobs/sha256").iterdir())):
        whole = blob.read_bytes()
        blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(IntegrityError):
            load(made.path, "", Store(tmp_path / f"s{number}"), architecture=machine_arch())
        blob.write_bytes(whole)
    wrong = layout(tmp_path / "w", BASE, rootfs={"type": "layers", "diff_ids": [sha(b"another")]})
    store = Store(tmp_path / "s")
    pulled = load(wrong.path, "", store, architecture=machine_arch())
    with pytest.raises(IntegrityError, match="not what the image's config says"):
        flatten.flatten(store, [flatten.Stacked(pulled.layers[0].path, "gzip", "0" * 64)], where="x")


def test_layouts_that_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")

    def refused(path: Path, name: str = "") -> str:
        with pytest.raises(OsletError) as error:
            load(path, name, store, architecture=machine_arch())
        return str(error.value)

    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    assert "unknown media type" in refused(layout(tmp_path / "a", BASE, media_type=foreign).path)
    assert "at most 512" in refused(layout(tmp_path / "b", *[layer()] * 513).path)
    assert "neither" in refused(tmp_path)
    empty = tmp_path / "empty.tar"
    empty.write_bytes(b"")
    assert "neither" in refused(empty)
    two = layout(tmp_path / "two", BASE, tag="one")
    layout(tmp_path / "two", layer(), tag="two")
    assert "there are: one, two" in refused(two.path)
    assert "there are: one, two" in refused(two.path, "three")
    blob = tmp_path / "two/blobs/sha256" / sha(gzip.compress(BASE, mtime=0)).removeprefix("sha256:")
    blob.unlink()
    os.mkfifo(blob)  # would never end
    assert "not a regular file" in refused(two.path, "one")
    (tmp_path / "two/index.json").unlink()
    (tmp_path / "two/index.json").symlink_to("/etc/passwd")
    assert "can't be read" in refused(two.path)


def test_one_image_is_found_in_every_packing(tmp_path: Path) -> None:
    """The same layers as layout, tar of a layout, docker's old archive, and that zipped; what docker saved has one
    digest however it is packed."""
    import tarfile

    top = layer(file("/etc/.wh.a"), file("/app", "x"))
    made = layout(tmp_path / "l", BASE, top)
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        tar.add(made.path, ".")
    archive = saved(tmp_path / "d.tar", BASE, top, BASE)
    (tmp_path / "d.tgz").write_bytes(gzip.compress(archive.read_bytes()))
    found = {}
    for name in ("l", "l.tar", "d.tar", "d.tgz"):
        store = Store(tmp_path / f"store-{name}")
        found[name] = load(tmp_path / name, "", store, architecture=machine_arch())
    assert found["l"].digest == found["l.tar"].digest == made.manifest
    assert found["d.tar"].digest == found["d.tgz"].digest
    assert found["d.tar"].config.rootfs.diff_ids == [sha(BASE), sha(top), sha(BASE)]
    assert load(archive, "web", Store(tmp_path / "n"), architecture=machine_arch()).digest == found["d.tar"].digest
    with pytest.raises(ResolveError, match="'other'"):
        load(archive, "other", Store(tmp_path / "n"), architecture=machine_arch())


def test_an_index_is_asked_for_this_machine(tmp_path: Path) -> None:
    made = layout(tmp_path / "l", BASE)
    index = json.loads((made.path / "index.json").read_text())
    entry = {k: v for k, v in index["manifests"][0].items() if k != "annotations"}
    other = {**entry, "digest": sha(b"other"), "platform": {"architecture": "s390x", "os": "linux"}}
    attestation = {
        **other,
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    mine = {**entry, "platform": {"architecture": machine_arch(), "os": "linux"}}
    inner = json.dumps({"schemaVersion": 2, "manifests": [other, attestation, mine]}).encode()
    (made.path / "blobs/sha256" / sha(inner).removeprefix("sha256:")).write_bytes(inner)
    nested = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": sha(inner), "size": len(inner)}
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [nested]}))
    assert load(made.path, "", Store(tmp_path / "s"), architecture=machine_arch()).digest == made.manifest


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
PARTS = st.one_of(
    st.tuples(st.just("file"), PATHS),
    st.tuples(st.just("dir"), PATHS),
    st.tuples(st.just("gone"), PATHS),
    st.tuples(st.just("opaque"), PATHS),
)


def _layer(parts: list[tuple[str, str]], number: int) -> bytes:
    """A sound layer: each path once, folders before what they hold, nothing below a file."""
    wanted: dict[str, str] = {}
    for kind, path in parts:
        above = [path[:at] for at in range(1, len(path)) if path[at] == "/"]
        if path in wanted or any(wanted.get(each, "dir") != "dir" for each in above):
            continue
        if kind != "dir" and any(other.startswith(f"{path}/") for other in wanted):
            continue
        wanted |= dict.fromkeys((each for each in above if each not in wanted), "dir")
        wanted[path] = kind
    made = []
    for path in sorted(wanted):
        head, _, name = path.rpartition("/")
        match wanted[path]:
            case "file":
                made.append(file(path, f"{number}{path}"))
            case "dir":
                made.append(folder(path))
            case "gone":
                made.append(file(f"{head}/.wh.{name}"))
            case "opaque":
                made += [folder(path), file(f"{path}/.wh..wh..opq")]
    return layer(*made)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(PARTS, max_size=6), min_size=1, max_size=3))
def test_umoci_makes_the_same_of_any_layers(layers: list[list[tuple[str, str]]]) -> None:
    umoci = tool("umoci")
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        tars = [_layer(parts, number) for number, parts in enumerate(layers)]
        layout(where / "l", *tars, zipped=False)
        rootless = () if os.geteuid() == 0 else ("--rootless",)
        try:
            said(umoci, "unpack", *rootless, "--image", f"{where}/l:web", where / "bundle")
        except AssertionError:
            return  # a whiteout of what isn't there: umoci won't, engines do
        root = where / "bundle/rootfs"
        theirs = {
            f"/{path.relative_to(root)}": path.read_text() if path.is_file() else "dir" for path in root.rglob("*")
        }
        store = Store(where / "s")
        assert shown(flat(store, *tars), store) == theirs
