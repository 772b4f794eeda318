"""Whose each path of a foreign image is: dpkg's records, distributions' RECORDs, and the image itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from oslet.build.files import Files
from oslet.build.foreign import dpkg
from oslet.build.foreign.divide import ORIGIN, divide, made
from oslet.build.foreign.tree import lay, settle
from oslet.errors import OsletError
from oslet.model.oslet import Policy
from oslet.model.tree import Contents
from oslet.store import Store
from tests.oci.foreign import Part, file, flat, folder, layer, link

VENV = "/opt/venv/lib/python3.12/site-packages"
SOURCE = b"x = 1\n"
CHANGED = 1_700_000_000


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def code(flags: int = 0, changed: int = CHANGED) -> bytes:
    numbers = (flags, changed, len(SOURCE))
    return b"\xcb\r\r\n" + b"".join(n.to_bytes(4, "little") for n in numbers) + b"marshalled"


STATUS = f"""\
Package: tool
Status: install ok installed
Version: 1.0-1
Architecture: amd64
Pre-Depends: libone (>= 1)
Conffiles:
 /etc/tool.conf {md5("shipped")}
 /etc/tool.d/kept {md5("kept")}

Package: libone
Status: install ok installed
Version: 2:1.5
Architecture: amd64
Multi-Arch: same

Package: other
Status: install ok installed
Version: 3
Architecture: all

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: all
"""
INFO = "/var/lib/dpkg/info"
DPKG = [
    file("/var/lib/dpkg/status", STATUS),
    file(
        f"{INFO}/tool.list",
        "/.\n/bin\n/bin/tool\n/etc\n/etc/tool.conf\n/etc/tool.d/kept\n/usr/bin/shared\n/usr/lib/m.py\n",
    ),
    file(f"{INFO}/tool.md5sums", f"{md5('program')}  bin/tool\n{md5('x = 1' + chr(10))}  usr/lib/m.py\n"),
    file(f"{INFO}/libone:amd64.list", "/.\n/lib\n/lib/libone.so.1\n/lib/gone.so\n"),
    file(f"{INFO}/libone:amd64.md5sums", f"{md5('as shipped')}  lib/libone.so.1\n"),
    file(f"{INFO}/other.list", "/usr/bin/shared\n/usr/bin/alt.other\n"),
    file("/var/lib/dpkg/diversions", "/usr/bin/shared\n/usr/bin/shared.real\ntool\n"),
]
FILES = [
    link("/bin", "usr/bin"), link("/lib", "usr/lib"), file("/usr/bin/tool", "program", 0o755),
    file("/etc/tool.conf", "the author's"), file("/etc/tool.d/kept", "kept"),
    file("/usr/lib/libone.so.1", "as shipped"), file("/usr/bin/shared", "tool's"),
    file("/usr/bin/shared.real", "other's"), file("/usr/bin/alt.other", "program", 0o755),
    link("/usr/bin/alt", "/etc/alternatives/alt"),
    link("/etc/alternatives/alt", "/usr/bin/alt.other"),
    file("/usr/lib/m.py", SOURCE, mtime=CHANGED), file("/usr/lib/__pycache__/m.cpython-312.pyc", code()),
    file("/srv/site/index.html", "hello", uid=33), folder("/srv/empty", 0o2775),
]  # fmt: skip
DIST = [
    file(f"{VENV}/flask/__init__.py", SOURCE, mtime=CHANGED),
    file(f"{VENV}/flask/__pycache__/__init__.cpython-312.pyc", code(changed=CHANGED + 1)),
    file(f"{VENV}/Flask-3.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: Flask\nVersion: 3.1\n\nbody Name: no\n"),
    file(
        f"{VENV}/Flask-3.1.dist-info/RECORD",
        "flask/__init__.py,sha256=x,6\n../../../bin/flask,,\n../../../../../etc/passwd,,\n/no/such,,\nFlask-3.1.dist-info/METADATA,,\n",
    ),
    file("/opt/venv/bin/flask", "#!/opt/venv/bin/python", 0o755),
    file("/etc/passwd", "root:x:0:0::/:/bin/sh\n"),
]


def read(store: Store, *parts: Part) -> dict[str, Contents]:
    found = flat(store, layer(*parts))
    return {c.origin: c for c in divide(found, Files(store, found.entries), "sha256:" + "0" * 64)}


def origins(contents: dict[str, Contents]) -> dict[str, str]:
    whole = [entry for each in contents.values() for entry in each.entries]
    assert len({entry.path for entry in whole}) == len(whole), "a path belongs to one"
    return {entry.path: entry.origin for entry in whole}


def test_whose_each_path_is(tmp_path: Path) -> None:
    contents = read(Store(tmp_path), *DPKG, *FILES, *DIST)
    found = origins(contents)
    wanted = {
        "/usr/bin/tool": "tool",  # dpkg says /bin/tool, and /bin is a link
        "/usr/lib/libone.so.1": "libone",
        "/etc/tool.d/kept": "tool",
        "/etc/tool.conf": ORIGIN,  # somebody put another there
        "/usr/bin/shared": "tool",  # a diversion: the other's stands beside
        "/usr/bin/shared.real": "other",
        "/usr/bin/alt": "other",  # update-alternatives made both links, for the program that they lead to
        "/etc/alternatives/alt": "other",
        "/usr/lib/__pycache__/m.cpython-312.pyc": "tool",
        "/usr/lib/__pycache__": "tool",
        "/srv/site/index.html": ORIGIN,
        "/srv/empty": ORIGIN,
        f"{VENV}/flask/__init__.py": "wheel:flask",
        f"{VENV}/flask": "wheel:flask",
        "/opt/venv/bin/flask": "wheel:flask",
        "/var/lib/dpkg/status": ORIGIN,  # dpkg itself isn't in this image
    }
    assert {path: found[path] for path in wanted} == wanted
    assert [*contents] == ["libone", "other", "tool", "wheel:flask", ORIGIN]
    own = {e.path: e for e in contents[ORIGIN].entries}
    assert own["/etc/tool.conf"].reason == "the image's own: it isn't what tool brought to this path"
    assert (own["/srv/site/index.html"].uid, own["/srv/empty"].mode) == (33, 0o2775)
    assert "Pre-Depends: libone (>= 1)\n" in contents["tool"].control["control"]


def test_byte_code_outlives_its_time_stamp_only_if_it_was_true(tmp_path: Path) -> None:
    store = Store(tmp_path)
    contents = read(store, *DPKG, *FILES, *DIST)
    fresh = next(e for e in contents["tool"].entries if e.path.endswith(".pyc"))
    assert store.read(fresh.digest) == b"\xcb\r\r\n" + b"\1\0\0\0" + bytes(8) + b"marshalled"
    files = Files(store, lay(tuple(contents.values())))
    assert not [e for e in files if e.path.endswith(".pyc")]
    files.remove(f"{VENV}/flask/__init__.py", "for the test")
    settle(files, tuple(contents.values()), Policy())
    tree = files.tree()
    kept = {e.path: e for e in tree.entries}
    assert kept["/usr/lib/__pycache__/m.cpython-312.pyc"].origin == "made:bytecode"
    dropped = {e.path: e.reason for e in tree.dropped}
    assert "another by now" in dropped[f"{VENV}/flask/__pycache__/__init__.cpython-312.pyc"]


def test_what_an_instance_needs_is_made_and_rights_are_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ping = file("/ping", "p", 0o4755, xattrs=(("security.capability", b"x"),))
    sudo, cache = file("/sudo", "s", 0o4755), file("/etc/ld.so.cache", "old")
    contents = tuple(read(store, ping, sudo, cache, folder("/tmp", 0o700)).values())
    files = Files(store, lay(contents))
    settle(files, contents, Policy(setuid=("/sudo",)))
    found = {e.path: e for e in files.tree().entries}
    assert {"/proc", "/sys", "/dev", "/tmp", "/run", "/etc"} <= found.keys()
    assert found["/tmp"].mode == 0o700, "as the image has it"
    assert (found["/sudo"].mode, found["/ping"].mode) == (0o4755, 0o755)
    assert "its set-id bits" in found["/ping"].reason
    assert "no file capabilities" in found["/ping"].reason
    assert [e.path for e in files.tree().dropped] == ["/etc/ld.so.cache"]


def test_a_distroless_image_has_its_packages_in_status_d(tmp_path: Path) -> None:
    contents = read(
        Store(tmp_path),
        file("/var/lib/dpkg/status.d/libc6", "Package: libc6\nVersion: 2.41-12\nArchitecture: amd64\n"),
        file("/var/lib/dpkg/status.d/libc6.md5sums", f"{md5('c')}  usr/lib/libc.so.6\n{'0' * 32}  usr/lib/none\n"),
        file("/usr/lib/libc.so.6", "c"),
        file("/app", "x", 0o755),
    )
    found = origins(contents)
    assert (found["/usr/lib/libc.so.6"], found["/app"]) == ("libc6", ORIGIN)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([file("/var/lib/dpkg/status", "Package: ../x\nVersion: 1\nArchitecture: all\n")], "is no package"),
        ([file("/var/lib/dpkg/status", "no field\n")], "is no field"),
        ([file("/var/lib/dpkg/status", "Package: a\nVersion: 1 2\nArchitecture: all\n")], "is no package"),
        ([link("/var/lib/dpkg/status.d", "status.d")], "circles"),
        (
            [*DPKG, file(f"{INFO}/libone.list", "/a\n" * 40), file(f"{INFO}/other.md5sums", "x  a\n" * 40)],
            "more than 20",
        ),
    ],
)
def test_records_that_are_none(tmp_path: Path, parts: list[Part], what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpkg, "MAX_LISTED", 20)
    with pytest.raises(OsletError, match=what):
        read(Store(tmp_path), *parts)


def test_records_that_lead_astray_are_nobodys(tmp_path: Path) -> None:
    """Lists and RECORDs are claims about this tree: what isn't there, or goes in circles, says nothing."""
    contents = read(
        Store(tmp_path),
        file("/var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"),
        file(f"{INFO}/a.list", "/../../etc/shadow\n/loop/x\n//etc//passwd\n/etc/passwd/x\n\n\0\n"),
        file("/var/lib/dpkg/diversions", "/etc/passwd\n/loop/y\n"),
        link("/loop", "loop"),
        link("/etc/os-release", "os-release"),
        file("/etc/passwd", "root"),
        file(f"{VENV}/x.dist-info/METADATA", "Name: x\nVersion: 1\n"),
        file(f"{VENV}/x.dist-info/RECORD", '"unclosed\n\0'),
        file(f"{VENV}/__pycache__/loop.cpython-312.pyc", "short"),
        link(f"{VENV}/loop.py", "loop.py"),
    )
    found = origins(contents)
    assert found["/etc/passwd"] == "a"
    assert contents["wheel:x"].entries == ()


def test_every_row_of_what_scripts_make_says_why() -> None:
    for row in made():
        assert row.why and row.paths.pattern
