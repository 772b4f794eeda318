"""What is decided before anything starts: ids, ports, paths, limits, the runtime's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import RunError
from oslet.model.tree import Entry, Tree
from oslet.run import config, ids, limits, network, placing, volumes
from oslet.run.ids import Extent, Mapping
from oslet.run.limits import Limits
from oslet.run.records import Published

SINGLE = Mapping((Extent(0, 1000, 1),), (Extent(0, 1000, 1),), (Extent(999, 0, 1),), (Extent(999, 0, 1),))
RANGE = (Extent(0, 1000, 1), Extent(1, 100_000, 65_535))


@given(st.integers(0, 65_535))
def test_ids_go_through_and_come_back(number: int) -> None:
    outside = ids.through(RANGE, number)
    assert outside is not None and ids.back(RANGE, outside) == number


def test_ids_that_stand_for_nobody() -> None:
    assert ids.through(RANGE, 65_536) is None
    assert (SINGLE.single, SINGLE.rootless, ids.has_uid(SINGLE, 0), ids.has_uid(SINGLE, 999)) == (
        True,
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    "text, port",
    [
        ("9000:8080", Published(8080, 9000, "127.0.0.1")),
        ("0.0.0.0:9000:8080", Published(8080, 9000, "0.0.0.0")),
        ("[::1]:9000:8080", Published(8080, 9000, "::1")),
    ],
)
def test_ports_are_written_as_dockers(text: str, port: Published) -> None:
    assert network.published(["8080", "81"], [text]) == (port, Published(81, 81, "127.0.0.1"))


@pytest.mark.parametrize("text", ["", "8080", "a:1", "1:b", "1:65536", "1:", ":1", "٣:1", "localhost:1:1", "1:1/sctp"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(RunError, match="not a port"):
        network.published([], [text])


names = st.sampled_from(["a", "b", "..", ".", "c"])
paths = st.lists(names, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
plain = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
targets = st.one_of(paths, paths.map(lambda p: p[1:]))


@given(st.dictionaries(plain, targets, max_size=6), paths)
def test_no_path_leads_out_of_the_tree(links: dict[str, str], path: str) -> None:
    index = placing.Index.of(Entry(p, "link", 0o777, target=t) for p, t in links.items())
    try:
        found = index.resolve(path)
    except RunError as error:
        assert "loop" in str(error)
    else:
        assert found.startswith("/") and ".." not in found.split("/") and found not in links


def test_placing_makes_owners_modes_and_parents(tmp_path: Path) -> None:
    tree = Tree(
        (Entry("/etc", "dir", 0o755), Entry("/run", "dir", 0o755), Entry("/var/run", "link", 0o777, target="/run"))
    )
    node = placing.Node("/var/run/s/token", 0o400, 5, 5, data=b"x")
    placing.place(tmp_path, [node], placing.Index.of(tree.entries), tmp_path, SINGLE)
    assert (tmp_path / "run/s/token").stat().st_mode & 0o7777 == 0o400
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_nothing_stands_below_a_file(tmp_path: Path) -> None:
    index = placing.Index.of([Entry("/etc", "file", 0o644)])
    with pytest.raises(RunError, match="nothing can stand below"):
        placing.place(tmp_path, [placing.Node("/etc/x", 0o644, data=b"")], index, tmp_path, SINGLE)


@pytest.mark.parametrize("path", ["relative", "/", "/a/../b", "/a//b", "/a/"])
def test_volumes_paths_are_plain(path: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="absolute and plain"):
        volumes.chosen([path], {}, tmp_path, "n")


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_volumes_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="neither"):
        volumes.chosen([], {"/x": name}, tmp_path, "n")


def test_limits_on_both_kinds_of_cgroup(tmp_path: Path) -> None:
    wanted = Limits(memory=1 << 20, cpus=0.5, pids=9)
    assert limits.settings(wanted, "cpu", 2) == (("cpu.max", "50000 100000"),)
    assert limits.settings(wanted, "memory", 1) == (("memory.limit_in_bytes", "1048576"),)
    assert limits.make(Limits(), "x", root=tmp_path) == ()
    with pytest.raises(RunError, match="memory and cpu and pids limit can't be kept"):
        limits.make(wanted, "x", root=tmp_path)


def test_the_configuration_is_tight() -> None:
    run = config.Process(("/x",), (("A", "b"),), "/", 999, 999, capabilities=("net_bind_service",))
    whole = config.config(run, hostname="h", mapping=SINGLE, volumes=[("/w", "/v")])
    assert whole["process"]["noNewPrivileges"] is True
    assert set(whole["process"]["capabilities"]["bounding"]) == {"CAP_NET_BIND_SERVICE"}
    kinds = {"user", "mount", "pid", "ipc", "uts", "cgroup", "network"}
    assert {n["type"] for n in whole["linux"]["namespaces"]} == kinds
    assert [m["destination"] for m in whole["mounts"]] == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/v"]
    assert not any("gid=5" in m["options"] for m in whole["mounts"])
    assert json.loads(json.dumps(whole)) == whole


def test_the_filter_allows_a_list_and_nothing_it_says_it_leaves_out() -> None:
    table = json.loads((Path(config.__file__).parent / "seccomp.json").read_text())
    left = {name for group in table["left_out"].values() for name in group}
    assert not left & set(table["allow"])
    assert {"mount", "unshare", "bpf", "ptrace", "keyctl", "io_uring_setup", "kexec_load"} <= left
    assert {"read", "execve", "futex", "openat", "rseq"} <= set(table["allow"])
    assert config.seccomp()["defaultAction"] == "SCMP_ACT_ERRNO"
