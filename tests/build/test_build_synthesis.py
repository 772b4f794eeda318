"""Merging and synthesis: packages' own declarations become a configured system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from oslet.build.debian import linker_cache, merge, synthesise
from oslet.build.files import Files
from oslet.build.sandbox import Captured
from oslet.build.users import user_ids
from oslet.errors import BuildError
from oslet.model.lock import Lock, Package
from oslet.model.oslet import Policy, Rule, Start
from oslet.model.tree import Contents, Entry, Tree
from oslet.store import Store
from oslet.testing.makers import Made, make_tar


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def package(store: Store, name: str, files: Mapping[str, str | tuple[str, int]], **control: str) -> Contents:
    """Paths and texts; ``-> x`` is a link, a path that ends in ``/`` a folder; a pair gives the mode."""
    entries = []
    for path, value in files.items():
        text, mode = value if isinstance(value, tuple) else (value, 0o644)
        if path.endswith("/"):
            entries.append(Entry(path[:-1], "dir", mode if isinstance(value, tuple) else 0o755, origin=name))
        elif text.startswith("-> "):
            entries.append(Entry(path, "link", 0o777, target=text[3:], origin=name))
        else:
            entries.append(
                Entry(path, "file", mode, size=len(text), digest=store.put(text.encode(), mode), origin=name)
            )
    head = f"Package: {name}\nVersion: 1.0\n" + control.pop("fields", "")
    return Contents(name, "0" * 64, tuple(entries), {"control": head, **control})


def script(text: str) -> str:
    return f"#!/bin/sh\nset -e\n{text}\n"


def lock_of(contents: Sequence[Contents]) -> Lock:
    packages = tuple(Package(c.origin, "1.0", "amd64", "", "", 1, "0" * 64, "", c.origin) for c in contents)
    return Lock("", "trixie", "amd64", packages=packages)


def built(
    store: Store, contents: Sequence[Contents], policy: Policy | None = None, user: str = "root", sandbox: object = None
) -> Files:
    lock = lock_of(contents)
    files = Files(store, merge(contents, lock))
    synthesise(
        files,
        list(zip(lock.packages, contents)),
        policy or Policy(),
        Start(user=user),
        sandbox=sandbox,  # type: ignore[arg-type]
        name="app",
        suite="trixie",
    )
    return files


def entry(files: Files, path: str) -> Entry:
    found = files.get(path)
    assert found is not None, path
    return found


# — merge —


def test_top_level_folders_move_into_usr(store: Store) -> None:
    a = package(store, "a", {"/bin/": "", "/bin/a": "1", "/usr/bin/a2": "-> /bin/a2", "/lib/x/y": "2"})
    paths = {e.path: e for e in merge([a], lock_of([a]))}
    assert paths["/bin"].target == "usr/bin" and paths["/lib64"].kind == "link" and "/lib32" not in paths
    assert paths["/usr/bin/a"].origin == "a" and "/usr/bin/a2" not in paths and "/usr/lib/x/y" in paths


def test_two_packages_with_one_path(store: Store) -> None:
    a, b = package(store, "a", {"/usr/x": "1"}), package(store, "b", {"/usr/x": "2"})
    with pytest.raises(BuildError, match="a and b both bring /usr/x"):
        merge([a, b], lock_of([a, b]))
    newer = package(store, "b", {"/usr/x": "2"}, fields="Replaces: a (<< 2)\n")
    older = package(store, "b", {"/usr/x": "2"}, fields="Replaces: a (<< 1)\n")
    assert [e.origin for e in merge([a, newer], lock_of([a, b])) if e.path == "/usr/x"] == ["b"]
    with pytest.raises(BuildError):
        merge([a, older], lock_of([a, b]))
    same = package(store, "b", {"/usr/x": "1"})
    assert [e.origin for e in merge([same, a], lock_of([a, b])) if e.path == "/usr/x"] == ["a"]


def test_a_diversion_moves_the_other_file(store: Store) -> None:
    a = package(store, "a", {"/usr/bin/x": "theirs"})
    divert = "dpkg-divert --package b --rename --divert /usr/bin/x.orig --add /usr/bin/x"
    b = package(store, "b", {"/usr/bin/x": "ours"}, preinst=script(divert))
    paths = {e.path: e.origin for e in merge([a, b], lock_of([a, b]))}
    assert paths["/usr/bin/x"] == "b" and paths["/usr/bin/x.orig"] == "a"
    files = built(store, [a, b])
    assert files.text("/usr/bin/x") == "ours" and files.text("/usr/bin/x.orig") == "theirs"


def test_a_folder_goes_through_the_link_that_stands_there(store: Store) -> None:
    a = package(store, "a", {"/usr/share/new/": "", "/usr/share/old": "-> new"})
    b = package(store, "b", {"/usr/share/old/": "", "/usr/share/old/x": "1"})
    assert "/usr/share/new/x" in {e.path for e in merge([a, b], lock_of([a, b]))}
    c = package(store, "c", {"/usr/share/old": "-> nowhere"})
    with pytest.raises(BuildError, match="b has a folder where c has a link"):
        merge([b, c], lock_of([b, c]))


def test_the_order_of_packages_is_no_matter(store: Store) -> None:
    a = package(
        store, "a", {"/usr/bin/a": "1", "/var/lib/a/": ("", 0o700)}, postinst=script("adduser --system --group zoe")
    )
    b = package(
        store,
        "b",
        {"/usr/bin/b": "1", "/var/lib/a/": ""},
        postinst=script("adduser --system amy\nchown amy /var/lib/a"),
    )
    c = package(store, "c", {"/usr/lib/sysusers.d/c.conf": 'u bob - "Bob" /srv\n'})
    trees = {built(store, order).tree() for order in permutations([a, b, c])}
    assert len(trees) == 1


# — synthesis —


def test_layout_accounts_and_their_reasons(store: Store) -> None:
    a = package(
        store,
        "a",
        {
            "/var/run/a/": "",
            "/var/run/a/x": "1",
            "/usr/lib/sysusers.d/a.conf": 'u app - "App" /srv /bin/sh\nm app adm\n',
            "/usr/lib/tmpfiles.d/a.conf": "d /run/app 0750 app adm - -\nL /etc/app.conf - - - - /usr/share/app\n",
        },
    )
    files = built(store, [a], user="svc")
    assert entry(files, "/tmp").mode == 0o1777 and entry(files, "/var/run").target == "/run"
    assert files.text("/run/a/x") == "1"
    assert "app:x:101:101:App:/srv:/bin/sh\n" in files.text("/etc/passwd") and "adm:x:4:app\n" in files.text(
        "/etc/group"
    )
    assert user_ids(files, "svc") == (102, 102) and user_ids(files, "root") == (0, 0)
    run = entry(files, "/run/app")
    assert (run.mode, run.uid, run.gid) == (0o750, 101, 4) and "a.conf, line 1" in run.reason
    assert entry(files, "/etc/app.conf").target == "/usr/share/app"
    assert 'VERSION_ID="13"' in files.text("/etc/os-release")
    assert files.get("/etc/shadow") is None
    assert all(e.reason for e in files.tree().entries if e.origin.startswith("made:"))


def test_the_best_alternative_wins_with_its_slaves(store: Store) -> None:
    def vi(name: str, priority: int) -> Contents:
        line = f"update-alternatives --install /usr/bin/vi vi /usr/bin/{name} {priority}"
        line += f" --slave /usr/bin/view view /usr/bin/{name}-view"
        return package(store, name, {f"/usr/bin/{name}": "1", f"/usr/bin/{name}-view": "2"}, postinst=script(line))

    files = built(store, [vi("nano", 10), vi("vim", 30)])
    assert files.resolve("/usr/bin/vi") == "/usr/bin/vim" and files.resolve("/usr/bin/view") == "/usr/bin/vim-view"
    assert entry(files, "/etc/alternatives/vi").origin == "made:alternatives"


def test_set_id_bits_are_taken_unless_declared(store: Store) -> None:
    a = package(
        store,
        "a",
        {"/usr/bin/su": ("1", 0o4755), "/usr/bin/ping": ("2", 0o4755)},
        postinst=script("setcap cap_net_raw+ep /usr/bin/ping"),
    )
    files = built(store, [a], Policy(setuid=("/usr/bin/su",)))
    assert entry(files, "/usr/bin/su").mode == 0o4755
    assert entry(files, "/usr/bin/ping").mode == 0o755 and "set-id" in entry(files, "/usr/bin/ping").reason


def test_the_bundle_of_authorities(store: Store) -> None:
    shared = {f"/usr/share/ca-certificates/mozilla/{n}.crt": f"{n}\n" for n in ("B", "A")}
    files = built(store, [package(store, "ca-certificates", shared)])
    assert files.text("/etc/ssl/certs/ca-certificates.crt") == "A\nB\n"
    assert files.text("/usr/lib/ssl/cert.pem") == "A\nB\n" and files.text("/etc/ssl/certs/A.pem") == "A\n"


def test_a_script_is_answered_by_the_declaration(store: Store) -> None:
    a = package(store, "a", {"/usr/bin/a": "1"}, postinst=script("frobnicate"))
    with pytest.raises(BuildError, match=r"a\.postinst"):
        built(store, [a])
    assert built(store, [a], Policy(scripts=(("a", "ignore"),))).get("/srv/a") is None
    rule = Rule(
        users=("app::/srv/a",), directories=("/srv/a:0750:app:adm",), links={"/srv/l": "a"}, files={"/srv/f": "x"}
    )
    files = built(store, [a], Policy(scripts=(("a", rule),)))
    made = entry(files, "/srv/a")
    assert (made.mode, made.uid, made.gid) == (0o750, 101, 4) and "rule for a" in made.reason
    assert files.text("/srv/f") == "x" and entry(files, "/srv/l").target == "a"


def test_a_script_that_is_run_leaves_its_difference(store: Store) -> None:
    """What the sandbox hands back is a layer; what the tree on disk doesn't show of an entry stays as it was."""
    brought: dict[str, str | tuple[str, int]] = {"/bin/sh": "", "/etc/gone": "1", "/etc/old/x": "1", "/etc/kept": "1"}
    a = package(store, "a", brought, postinst=script("frobnicate"))
    seen: list[list[str]] = []

    def sandbox(
        rootfs: Path, command: Sequence[str], *, stdin: bytes = b"", changes: Path, timeout: float = 0
    ) -> Captured:
        seen.append(list(command))
        assert (rootfs / "var/lib/dpkg/info/a.postinst").exists()
        made = {
            "/srv/a": Made("made", 0o600, 33, 34),
            "/srv/l": Made(link="a"),
            "/etc/.wh.gone": Made(),
            "/etc/old/.wh..wh..opq": Made(),
            "/root": Made(kind="dir", mode=0o755),
            "/var/lib/dpkg/status": Made("x"),
            "/tmp/x": Made("x"),
        }
        changes.write_bytes(make_tar(made))
        return Captured(0, b"", b"")

    files = built(store, [a], Policy(scripts=(("a", "run"),)), sandbox=sandbox)
    one = entry(files, "/srv/a")
    assert (files.text("/srv/a"), one.mode, one.uid, one.gid) == ("made", 0o600, 33, 34)
    assert entry(files, "/srv/l").target == "a" and entry(files, "/root").mode == 0o700
    assert [p for p in ("/etc/gone", "/etc/old/x", "/var/lib/dpkg", "/tmp/x") if files.get(p)] == []
    assert files.get("/etc/old") and files.get("/etc/kept")
    assert seen[0][-3:] == ["/var/lib/dpkg/info/a.postinst", "configure", ""]


def test_a_conffile_says_so(store: Store) -> None:
    files = built(store, [package(store, "a", {"/etc/a": "1"}, conffiles="/etc/a\n")])
    assert "conffile" in entry(files, "/etc/a").reason


def test_no_loader_no_cache(store: Store) -> None:
    files = Files(store, [])
    linker_cache(files)
    assert files.tree() == Tree()
