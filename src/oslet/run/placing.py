"""Placing: what an instance's own layer holds before it starts.

The tree on disk belongs to one owner, so that instances can share it; what belongs to another user inside, or has a
mode that a shared tree can't, is made in the instance's upper layer, which is its own tmpfs. So are the files that
exist only in instances: rendered templates, secrets, names and addresses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.model.instance import Arguments
from oslet.model.oslet import File
from oslet.model.param import Param
from oslet.model.tree import Entry
from oslet.run import ids

_HOPS = 40
"""How many links a path may lead through, the kernel's own bound."""


class Node(NamedTuple):
    """A path of the upper layer: a folder, or a file with ``data`` or with the content of the tree's own file."""

    path: str
    mode: int
    uid: int = 0
    gid: int = 0
    folder: bool = False
    data: bytes | None = None


class Index(NamedTuple):
    """A tree by path."""

    entries: Mapping[str, Entry]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Index:
        return cls({entry.path: entry for entry in entries})

    def resolve(self, path: str) -> str:
        """Where ``path`` really is, its parents' links and its own followed within the tree. RunError on a loop."""
        done, left, hops = "", [part for part in path.split("/") if part], 0
        while left:
            part = left.pop(0)
            if part in (".", ".."):
                done = done.rpartition("/")[0] if part == ".." else done
                continue
            entry = self.entries.get(f"{done}/{part}")
            if entry is None or entry.kind != "link":
                done = f"{done}/{part}"
                continue
            hops += 1
            if hops > _HOPS:
                raise RunError("the path leads through a loop of links", where=path)
            done = "" if entry.target.startswith("/") else done
            left = [p for p in entry.target.split("/") if p] + left
        return done or "/"


def owned(index: Index) -> tuple[Node, ...]:
    """What a shared tree on disk can't express: other owners than root, and folders with a mode of their own."""
    return tuple(
        Node(e.path, e.mode, e.uid, e.gid, folder=e.kind == "dir")
        for e in index.entries.values()
        if (e.kind != "link" and (e.uid or e.gid)) or (e.kind == "dir" and (e.mode & 0o7000 or e.mode & 0o755 != 0o755))
    )


def rendered(
    files: Iterable[File], params: Sequence[Param], arguments: Arguments, uid: int, gid: int
) -> tuple[Node, ...]:
    """Templates, filled in, and secrets, as files of the service user; what holds a secret is that user's alone."""
    from oslet.bind import contents, mode_of

    return tuple(
        Node(f.path, mode_of(f.content, params), uid, gid, data=contents(f.content, arguments).encode()) for f in files
    )


def names(network: str, resolver: str = "") -> tuple[Node, ...]:
    """``resolv.conf(5)``, and ``hosts(5)`` and ``hostname(5)`` that wait for the instance's name."""
    text = _host_file("/etc/resolv.conf") if network == "host" else resolver.encode()
    return (
        Node("/etc/hosts", 0o644, data=b""),
        Node("/etc/hostname", 0o644, data=b""),
        Node("/etc/resolv.conf", 0o644, data=text),
    )


def hosts(hostname: str, network: str) -> bytes:
    """``hosts(5)`` of one instance."""
    if network == "host":
        return _host_file("/etc/hosts")
    return f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {hostname}\n".encode()


def _host_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()[: 1 << 20]
    except OSError:
        return b""


_ALWAYS = (
    Node("/proc", 0o555, folder=True),
    Node("/dev", 0o755, folder=True),
    Node("/tmp", 0o1777, folder=True),
    Node("/run", 0o755, folder=True),
)


def place(upper: Path, nodes: Iterable[Node], index: Index, root: Path, mapping: ids.Mapping) -> None:
    """Make ``nodes`` in ``upper``, an empty folder that nobody else writes to, with the tree's own parents above.

    Links are followed in the tree's value, never on disk, so no path leads out of ``upper``.
    """
    laid: dict[str, Node] = {}
    for node in (*_ALWAYS, *nodes):
        path = index.resolve(node.path) if node.data is not None else node.path
        for parent in _parents(path):
            laid.setdefault(parent, _as_in_tree(parent, index))
        laid[path] = node._replace(path=path)
    upper.chmod(0o755)
    own(upper, 0, 0, mapping)
    for path in sorted(laid):
        _lay(upper, laid[path], root, mapping)


def add(root: Path, nodes: Iterable[Node], index: Index, mapping: ids.Mapping) -> None:
    """Write files into a root that is furnished already, and that nobody else writes to yet."""
    for node in nodes:
        path = index.resolve(node.path)
        missing = [p for p in _parents(path) if p not in index.entries and not (root / p[1:]).is_dir()]
        for each in (*(Node(p, 0o755, folder=True) for p in missing), node._replace(path=path)):
            _lay(root, each, root, mapping)


def _lay(upper: Path, node: Node, root: Path, mapping: ids.Mapping) -> None:
    target = upper / node.path[1:]
    if node.folder:
        target.mkdir(exist_ok=True)
    elif node.data is not None:
        _write(target, node.data)
    else:
        shutil.copyfile(root / node.path[1:], target, follow_symlinks=False)
    own(target, node.uid, node.gid, mapping)
    target.chmod(node.mode)


def _write(target: Path, data: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def own(target: Path | int, uid: int, gid: int, mapping: ids.Mapping) -> None:
    """Give a path, or what a descriptor means, to a user of the instance, as the namespace around it calls that one.
    An id that doesn't exist there leaves it as it is."""
    outer = ids.through(mapping.inner_uids, uid), ids.through(mapping.inner_gids, gid)
    if outer[0] is None or outer[1] is None:
        return
    if isinstance(target, int):
        os.fchown(target, outer[0], outer[1])
    else:
        os.chown(target, outer[0], outer[1], follow_symlinks=False)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: i + 1]) for i in range(len(parts))]


def _as_in_tree(path: str, index: Index) -> Node:
    entry = index.entries.get(path)
    if entry is None:
        return Node(path, 0o755, folder=True)
    if entry.kind != "dir":
        raise RunError(f"{path} is a {entry.kind} in the image, so nothing can stand below it", where=path)
    return Node(path, entry.mode, entry.uid, entry.gid, folder=True)
