"""The ledger: one held call, and which paths of the whole tree it uses."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.model.tree import Entry
from oslet.run import config, syscalls
from oslet.run.ledger import Ledger, Who
from oslet.run.syscalls import CALLS, EMPTY_PATH, NOFOLLOW

WHO = Who("app", 7)
OPEN = os.O_RDONLY
TREE = {
    e.path: e
    for e in (
        Entry("/", "dir", 0o755),
        Entry("/bin", "link", 0o777, target="usr/bin"),
        Entry("/usr", "dir", 0o755),
        Entry("/usr/bin", "dir", 0o755),
        Entry("/usr/bin/sh", "link", 0o777, target="dash"),
        Entry("/usr/bin/dash", "file", 0o755),
        Entry("/usr/bin/tool", "file", 0o755),
        Entry("/usr/lib", "dir", 0o755),
        Entry("/usr/lib/ld.so", "file", 0o755),
        Entry("/usr/lib/round", "link", 0o777, target="round"),
        Entry("/var", "dir", 0o755),
        Entry("/var/data", "file", 0o644),
    )
}


def elf(interpreter: str) -> bytes:
    """A file of nothing but an ELF header and PT_INTERP: elf(5)."""
    text = interpreter.encode() + b"\0"
    header = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(text), len(text), 1) + text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/tool").write_text("#! /bin/sh -e\n")
    (tmp_path / "usr/bin/dash").write_bytes(elf("/usr/lib/ld.so"))
    return tmp_path


def uses(root: Path, *calls: tuple[str, int, str]) -> dict[str, set[str]]:
    ledger = Ledger(TREE, str(root))
    for name, flags, path in calls:
        for call in (c for c in CALLS if c.name == name):
            ledger.note(call, flags, path, WHO)
    return {use.path: set(use.how) for use in ledger.uses()}


def test_links_on_the_way_count(root: Path) -> None:
    assert uses(root, ("openat", OPEN, "/bin/sh")) == {
        "/bin": {"linked"}, "/usr/bin/sh": {"linked"}, "/usr/bin/dash": {"opened"},
    }  # fmt: skip
    assert uses(root, ("openat", OPEN, "/bin/../lib")) == {"/bin": {"linked"}, "/usr/lib": {"listed"}}


def test_a_link_itself_may_be_what_is_asked_for(root: Path) -> None:
    for call in (("lstat", 0, "/usr/bin/sh"), ("newfstatat", NOFOLLOW, "/usr/bin/sh"), ("readlink", 0, "/usr/bin/sh")):
        assert uses(root, call) == {"/usr/bin/sh": {"looked"}}


def test_an_execution_runs_the_interpreters_too(root: Path) -> None:
    found = uses(root, ("execve", 0, "/usr/bin/tool"))
    assert found.pop("/bin") == found.pop("/usr/bin/sh") == {"linked"}
    assert found == {path: {"run"} for path in ("/usr/bin/tool", "/usr/bin/dash", "/usr/lib/ld.so")}


def test_what_is_not_there_anyway_is_no_use(root: Path) -> None:
    assert uses(root, ("openat", OPEN, "/usr/bin/none"), ("stat", 0, "/usr/lib/round"), ("stat", 0, "/proc/self")) == {}


def test_something_new_uses_its_folder(root: Path) -> None:
    assert uses(root, ("openat", os.O_CREAT | os.O_WRONLY, "/var/new")) == {"/var": {"filled"}}
    assert uses(root, ("mkdir", 0, "/var/new/")) == {"/var": {"filled"}}
    assert uses(root, ("mkdir", 0, "/no/new")) == {}
    assert uses(root, ("openat", os.O_CREAT | os.O_WRONLY, "/var/data")) == {"/var/data": {"opened"}}


def test_what_an_instance_wrote_itself_is_its_own(root: Path) -> None:
    wrote = ("openat", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, "/var/data")
    assert uses(root, wrote, ("openat", OPEN, "/var/data")) == {"/var": {"filled"}}
    ledger = Ledger(TREE, str(root))
    for call in (c for c in CALLS if c.name == "rename"):
        ledger.note(call, 0, "/var/data" if call.how == "filled" else "/tmp/data.new", WHO)
    ledger.note(next(c for c in CALLS if c.name == "open"), OPEN, "/var/data", WHO)
    assert {u.path: u.how for u in ledger.uses()} == {"/var": ("filled",)}


@given(st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 1 << 22), st.text("/.binushvardt\0é", max_size=30))))
def test_only_paths_of_the_tree_are_written_down(asked: list[tuple[syscalls.Call, int, str]]) -> None:
    ledger = Ledger(TREE, "/nowhere")
    for call, flags, path in asked:
        ledger.note(call, flags, f"/{path}", WHO)
    assert {use.path for use in ledger.uses()} <= TREE.keys()
    assert all(use.count > 0 and use.how for use in ledger.uses())


def test_a_notified_filter_still_forbids_what_it_forbade() -> None:
    before, after = config.seccomp(), syscalls.notified(config.seccomp())
    calls = {c.name for found in syscalls.by_number(os.uname().machine).values() for c in found}

    def names(filter_: dict[str, Any], *actions: str) -> set[str]:
        return {n for r in filter_["syscalls"] if r["action"] in actions for n in r["names"]}

    told = names(after, "SCMP_ACT_NOTIFY")
    assert told == calls & names(before, "SCMP_ACT_ALLOW")
    assert names(after, "SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY") == names(before, "SCMP_ACT_ALLOW")
    assert told & names(after, "SCMP_ACT_ALLOW") == {"newfstatat", "statx"}, "but for those that name no path"
    assert EMPTY_PATH == 0x1000
