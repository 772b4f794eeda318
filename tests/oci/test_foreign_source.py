"""An existing image as a declaration's source: said, locked, built, slimmed, run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oslet import Oci
from oslet import Oslet as Declaration
from oslet.codec.locks import read_lock, write_lock
from oslet.declare import lower
from oslet.errors import DeclarationError, IntegrityError, OsletError, ResolveError
from oslet.model.lock import IMAGE, Foreign, Layer, Lock
from oslet.model.oslet import Exec, Start
from oslet.plan import furnish
from oslet.workspace import Declared, Workspace
from tests.conftest import Oslet
from tests.oci.foreign import Part, file, folder, layer, layout, link, saved
from tests.oci.test_foreign_reading import DIST, DPKG, FILES
from tests.oci.world import registry, said, tool

EXECUTION: dict[str, Any] = {
    "Entrypoint": ["/srv/start"],
    "Cmd": ["--json", '{"a": 1}'],
    "Env": ["PATH=/opt/venv/bin:/usr/bin", "MODE={x}", "=bad", "bad name=1"],
    "WorkingDir": "/srv",
    "User": "33:44",
    "ExposedPorts": {"8080/tcp": {}, "53/udp": {}, "443": {}, "99999/tcp": {}},
    "Volumes": {"/var/lib/app": {}},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "/srv/start", "{health}"]},
}
OWN = [file("/srv/start", "#!/bin/tool\n", 0o755)]


def declared(where: Path, text: str) -> Declared:
    (where / "web.toml").write_text(f'name = "web"\n{text}')
    return Declared.read(where / "web.toml")


def image(where: Path, *more: Part, execution: dict[str, Any] | None = None) -> None:
    layout(where / "image", layer(*DPKG, *FILES, *DIST), layer(*OWN, *more), execution=execution or EXECUTION)


def test_both_spellings_mean_one_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path)
    text = 'packages = ["tool"]\nuser = "root"\n[source]\noci = "./image"\n'

    class Web(Declaration):
        packages = ("tool",)
        user = "root"
        source = Oci("./image")

    monkeypatch.setattr("oslet.declare.folder", lambda _: tmp_path)
    value = declared(tmp_path, text).oslet
    assert lower(Web) == value
    assert (value.source, value.start.user, value.start.workdir) == (Oci("./image"), "root", "")


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("./web.tar", ("./web.tar", "")),
        ("web.tar#web:1", ("web.tar", "web:1")),
        ("images/web", ("images/web", "")),
        ("/abs/web", ("/abs/web", "")),
        ("../a.b/web", ("../a.b/web", "")),
        ("host.example/web:1", None),
        ("localhost:5000/web@sha256:" + "0" * 64, None),
        ("localhost/web", None),
        ("http://127.0.0.1/web", None),
    ],
)
def test_paths_and_references_are_told_apart(source: str, local: tuple[str, str] | None) -> None:
    assert Oci(source).path == local


def test_what_the_declaration_leaves_unsaid_the_image_says(tmp_path: Path) -> None:
    image(tmp_path)
    workspace = Workspace(tmp_path / "home")
    plain = declared(tmp_path, '[source]\noci = "./image"\n')
    lock = workspace.lock(plain)
    start = furnish(plain.oslet, lock).start
    assert start == Start(
        command=("/srv/start", "--json", '{{"a": 1}}'),
        env=(("MODE", "{{x}}"), ("PATH", "/opt/venv/bin:/usr/bin")),
        workdir="/srv",
        user="33:44",
        ports=("443", "8080"),
        volumes=("/var/lib/app",),
        health=Exec(("/srv/start", "{{health}}")),
        stop_signal="SIGINT",
    )
    own = 'command = ["/bin/tool"]\nworkdir = "/"\nuser = "root"\n[env]\nMODE = "mine"\n[source]\noci = "./image"\n'
    start = furnish(declared(tmp_path, own).oslet, lock).start
    assert (start.command, start.workdir, start.user) == (("/bin/tool",), "/", "root")
    assert dict(start.env) == {"MODE": "mine", "PATH": "/opt/venv/bin:/usr/bin"}


def test_the_lock_pins_the_image_and_names_what_it_has(tmp_path: Path) -> None:
    image(tmp_path, file("/etc/os-release", 'ID=debian\nVERSION_CODENAME="trixie"\n'))
    workspace = Workspace(tmp_path / "home")
    lock = workspace.lock(declared(tmp_path, 'packages = ["tool"]\nwheels = ["Flask>=3"]\n[source]\noci = "image"\n'))
    assert read_lock(write_lock(lock), "web.lock") == lock
    assert lock.image is not None
    index = json.loads((tmp_path / "image/index.json").read_text())
    assert lock.image.manifest == index["manifests"][0]["digest"]
    assert (lock.suite, len(lock.image.layers), lock.size) == ("trixie", 2, lock.image.size)
    assert {p.name: (p.version, p.by, p.request) for p in lock.packages} == {
        "tool": ("1.0-1", "", "tool"),
        "libone": ("2:1.5", "tool", "libone (>= 1)"),
        "other": ("3", IMAGE, lock.image.manifest),
    }
    assert [(w.name, w.version, w.by, w.file) for w in lock.wheels] == [("flask", "3.1", "", "Flask-3.1.dist-info")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('packages = ["tol"]', "did you mean 'tool'"),
        ('packages = ["tool=9"]', "the image has tool 1.0-1"),
        ('wheels = ["flsk"]', "did you mean 'flask'"),
        ('wheels = ["flask>=4"]', "the image has flask 3.1"),
    ],
)
def test_what_the_image_lacks_is_named(tmp_path: Path, text: str, what: str) -> None:
    image(tmp_path)
    with pytest.raises(ResolveError) as refused:
        Workspace(tmp_path / "home").lock(declared(tmp_path, f'{text}\n[source]\noci = "./image"\n'))
    assert what in str(refused.value)


def test_locks_of_images_that_are_refused() -> None:
    good = write_lock(Lock("w", "", "amd64", image=Foreign("sha256:" + "0" * 64, (Layer("sha256:" + "1" * 64, 5),))))
    for old, new in (("sha256:0", "sha256:x"), ("sha256:1", "md5:1"), ("size = 5", "size = -1"), ("[image]", "[imag]")):
        with pytest.raises(DeclarationError, match=r"web\.lock"):
            read_lock(good.replace(old, new), "web.lock")


def test_a_locked_image_is_built_and_another_refused(tmp_path: Path) -> None:
    image(tmp_path)
    workspace = Workspace(tmp_path / "home")
    text = 'trim = "packages"\n[source]\noci = "./image"\n'
    built = workspace.build(declared(tmp_path, text))
    tree = {e.path: e for e in workspace.tree(built.image).entries}
    assert (built.image.uid, built.image.gid) == (33, 44)
    assert {"/srv/start", "/srv/empty", "/usr/bin/tool", "/proc"} <= tree.keys()
    assert "/var/lib/dpkg/status" not in tree
    assert workspace.build(declared(tmp_path, text)) == built
    # another store has nothing but the layout: the same image, to the byte
    assert Workspace(tmp_path / "other").build(declared(tmp_path, text)) == built
    (tmp_path / "image/index.json").unlink()
    image(tmp_path, file("/srv/new", "x"))
    assert workspace.build(declared(tmp_path, text)) == built, "the lock says which, and the store has it"
    with pytest.raises(IntegrityError, match="as it was locked") as refused:
        Workspace(tmp_path / "third").build(declared(tmp_path, text))
    assert "--upgrade" in refused.value.hint


def test_an_image_of_another_system_is_refused(tmp_path: Path) -> None:
    layout(tmp_path / "image", layer(file("/x", "x")), architecture="s390x")
    with pytest.raises(IntegrityError, match="for linux/s390x"):
        Workspace(tmp_path / "home").lock(declared(tmp_path, '[source]\noci = "./image"\n'))


def test_a_tag_of_a_registry_is_pinned(tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    image(tmp_path)
    copy = (skopeo, "--insecure-policy", "copy", "--dest-tls-verify=false")
    with registry(tmp_path) as host:
        said(*copy, f"oci:{tmp_path}/image", f"docker://{host}/team/web:1")
        plain = declared(tmp_path, f'[source]\noci = "{host}/team/web:1"\n')
        first = Workspace(tmp_path / "a").build(plain)
        layout(tmp_path / "other", layer(file("/new", "x")), execution=EXECUTION)
        said(*copy, f"oci:{tmp_path}/other", f"docker://{host}/team/web:1")
        assert Workspace(tmp_path / "b").build(plain) == first
        with pytest.raises(OsletError):
            Workspace(tmp_path / "b").lock(declared(tmp_path, f'[source]\noci = "{host}/team/none:1"\n'))


def box(busybox: Path) -> list[Part]:
    """A busybox image as a Dockerfile would make it: a shell, a server, a page, and what nobody needs."""
    links = [link(f"/bin/{name}", "busybox") for name in ("sh", "httpd", "echo", "cat", "vi")]
    status = "Package: notes\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
    return [
        file("/bin/busybox", busybox.read_bytes(), 0o755),
        *links,
        file("/www/index.html", "slim\n"),
        folder("/tmp", 0o1777),
        file("/etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:700:700::/:/bin/sh\n"),
        file("/etc/group", "root:x:0:\nweb:x:700:\n"),
        file("/var/lib/dpkg/status", status),
        file("/var/lib/dpkg/info/notes.list", "/usr/share/notes/big\n"),
        file("/usr/share/notes/big", "x" * 100_000),
    ]


@pytest.mark.slow
def test_slim_is_one_line(oslet: Oslet, tmp_path: Path, busybox: Path, free_port: Callable[[], int]) -> None:
    execution = {
        "Cmd": ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"],
        "User": "web",
        "ExposedPorts": {"8080/tcp": {}},
    }
    archive = saved(tmp_path / "server.tar", layer(*box(busybox)), execution=execution)
    done = oslet("slim", "server.tar", "--output", "small.tar", "--write", "server.toml", "--tag", "again")
    facts = oslet.json("slim", "server.tar", "--name", "server")
    assert done.stdout.strip() == facts["digest"]
    assert facts["size"] < facts["before"]["size"] - 100_000
    assert "bytes" in done.stderr and "programs" in done.stderr
    assert oslet("build", "server.toml").stdout.strip() == facts["digest"], "the written declaration says the same"
    assert "nothing that stays needs it" in oslet("why", "server", "/usr/share/notes/big").stdout
    port = free_port()
    name = oslet.start("again", "-p", f"{port}:8080")
    assert oslet("exec", name, "/bin/cat", "/www/index.html").stdout == "slim\n"
    said(tool("skopeo"), "inspect", f"docker-archive:{tmp_path}/small.tar")
    assert "something stands there" in oslet("slim", str(archive), "--write", "server.toml", code=2).stderr
    assert "docker:server" in oslet("slim", "server", code=2).stderr
    assert "no registry" in oslet("slim", "server", code=2).stderr
