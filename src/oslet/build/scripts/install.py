"""A fresh install in progress, as a maintainer script sees it, and what it may change."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from oslet.build.accounts import Users
from oslet.build.alternatives import Alternatives
from oslet.build.files import Files
from oslet.errors import BuildError
from oslet.model.tree import Contents, Entry

ORIGIN = "made:scripts"
PATH = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin")
ESSENTIAL = frozenset(
    [
        "awk",
        "base64",
        "basename",
        "cat",
        "chgrp",
        "chmod",
        "chown",
        "cksum",
        "cmp",
        "cp",
        "cut",
        "date",
        "deb-systemd-helper",
        "deb-systemd-invoke",
        "df",
        "diff",
        "dirname",
        "dpkg",
        "dpkg-divert",
        "dpkg-maintscript-helper",
        "dpkg-query",
        "dpkg-statoverride",
        "dpkg-trigger",
        "du",
        "echo",
        "egrep",
        "env",
        "expand",
        "expr",
        "false",
        "fgrep",
        "find",
        "getent",
        "grep",
        "gzip",
        "head",
        "hostname",
        "id",
        "install",
        "invoke-rc.d",
        "ischroot",
        "ldconfig",
        "ln",
        "ls",
        "md5sum",
        "mkdir",
        "mktemp",
        "mount",
        "mv",
        "perl",
        "printf",
        "pwd",
        "readlink",
        "realpath",
        "rm",
        "rmdir",
        "sed",
        "seq",
        "service",
        "sha256sum",
        "sh",
        "sleep",
        "sort",
        "stat",
        "su",
        "tail",
        "tar",
        "tempfile",
        "test",
        "touch",
        "tr",
        "true",
        "truncate",
        "tty",
        "umount",
        "uname",
        "uniq",
        "update-alternatives",
        "update-passwd",
        "update-rc.d",
        "wc",
        "which",
        "who",
        "xargs",
    ]
)
"""Programs of Essential packages, which every maintainer script may use (Debian Policy 3.8)."""
MAX_TEXT = 4 << 20
"""Bytes of a file that a script reads as a text."""
_SCRATCH = ("/tmp", "/var/tmp", "/proc", "/sys", "/dev")
_STATE = "/var/lib/dpkg"


class Debconf(NamedTuple):
    """One debconf question: its default and type, from the package's templates (debconf-devel(7))."""

    default: str
    kind: str


class Diversion(NamedTuple):
    """``path`` of any package but ``package`` stands at ``to`` instead (dpkg-divert(1))."""

    path: str
    to: str
    package: str


class Install:
    """The tree, the accounts, the alternatives and the questions of an install; ``shipped`` is what packages brought.

    Changes of paths that were trimmed away are silently nothing: what isn't in the image needs no owner.
    """

    def __init__(
        self,
        files: Files,
        users: Users,
        alternatives: Alternatives,
        packages: Sequence[Contents],
        *,
        arch: str,
        versions: Mapping[str, str],
    ) -> None:
        self.files, self.users, self.alternatives = files, users, alternatives
        self.arch, self.versions = arch, versions
        self.shipped: dict[str, Entry] = {e.path: e for c in packages for e in c.entries}
        self.questions: dict[str, str] = {}
        self.conffiles = {p for c in packages for p in c.control.get("conffiles", "").split() if p.startswith("/")}
        self.diversions: list[Diversion] = []
        self.overrides: set[str] = set()
        self.capabilities: dict[str, str] = {}
        self.temporary = 0
        self.package = ""
        self.hidden = ""
        self.templates: dict[str, Debconf] = {}
        for contents in packages:
            self.templates.update(templates(contents.control.get("templates", "")))

    # — looking —

    def normal(self, path: str, cwd: str = "/") -> str:
        return "/" + posixpath.normpath(posixpath.join(cwd, path)).lstrip("/") if path else ""

    def look(self, path: str, *, follow: bool = True) -> Entry | None:
        """What a script would find at ``path``: in the tree, or shipped and since trimmed."""
        if not path:
            return None
        if path == "/":
            return Entry("/", "dir", 0o755)
        entry = self.files.at(path) if follow else self.files.get(self._in_folder(path))
        if entry is None:
            known = self.shipped.get(self.files.resolve(path) if follow else self._in_folder(path))
            entry = known or self.shipped.get(path)
            if entry is not None and entry.kind == "link" and follow:
                target = self.normal(entry.target, posixpath.dirname(entry.path))
                return self.look(target) if target != path else None
        return None if entry is not None and self.hidden and entry.origin == self.hidden else entry

    def _in_folder(self, path: str) -> str:
        head, tail = posixpath.split(path)
        return posixpath.join(self.files.resolve(head), tail)

    def is_file(self, path: str) -> bool:
        entry = self.look(path)
        return entry is not None and entry.kind == "file"

    def is_dir(self, path: str) -> bool:
        entry = self.look(path)
        return entry is not None and entry.kind == "dir"

    def executable(self, path: str) -> bool:
        entry = self.look(path)
        return entry is not None and (entry.kind == "dir" or bool(entry.mode & 0o111))

    def find_program(self, name: str) -> str | None:
        """The path of a command, or None."""
        if "/" in name:
            return name if self.executable(self.normal(name)) else None
        return next((f"{d}/{name}" for d in PATH if self.is_file(f"{d}/{name}")), None)

    def script(self, path: str) -> str | None:
        """The text of a POSIX shell script of the image; None for any other program."""
        entry = self.look(path)
        if entry is None or entry.size > 1 << 18:
            return None
        data = self.data(path)
        first = data.partition(b"\n")[0]
        is_shell = first.startswith(b"#!") and first[2:].strip().split(b" ")[0].rpartition(b"/")[2] in (
            b"sh",
            b"dash",
            b"bash",
        )
        return data.decode("utf-8", "replace") if is_shell else None

    def data(self, path: str) -> bytes:
        entry = self.look(path)
        if entry is None or entry.kind != "file":
            raise BuildError("no such file in the image", where=path)
        return self.files.store.read(entry.digest)

    def text(self, path: str) -> str:
        entry = self.look(path)
        if entry is not None and entry.size > MAX_TEXT:
            raise BuildError(f"a script reads it, and it is over {MAX_TEXT >> 20} MiB", where=path)
        return self.data(path).decode("utf-8", "replace")

    def glob(self, pattern: str) -> list[str]:
        found = self.files.glob(pattern)
        return [p for p in found if self.look(p, follow=False) is not None] if self.hidden else found

    # — changing —

    def unwanted(self, path: str) -> bool:
        """Whether ``path`` is no part of an image: scratch, the package manager's state, or trimmed away."""
        real = self._in_folder(path)
        if real == _STATE or real.startswith((f"{_STATE}/", "/var/lib/ucf/")):
            return True
        if real in self.files or any(real == s or real.startswith(f"{s}/") for s in _SCRATCH[2:]):
            return real not in self.files
        head = posixpath.dirname(real)
        return real in self.shipped or (head in self.shipped and not self.files.is_dir(head))

    def put(self, path: str, data: bytes, mode: int, reason: str) -> None:
        """Write a file; one that is there keeps its owner and mode, as an open(2) for writing would."""
        if self.unwanted(path):
            self._ghost(Entry(path, "file", mode, size=len(data), digest=self.files.store.put(data)))
            return
        real = self.files.resolve(path)
        old = self.files.get(real)
        uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
        if old is not None and old.kind == "file":
            mode = old.mode
        self.files.put(real, data, mode=mode, uid=uid, gid=gid, origin=ORIGIN, reason=reason)

    def mkdir(self, path: str, mode: int, reason: str) -> None:
        if self.unwanted(path):
            self._ghost(Entry(path, "dir", mode))
        else:
            self.files.mkdir(path, mode=mode, origin=ORIGIN, reason=reason, keep=True)

    def link(self, path: str, target: str, reason: str) -> None:
        if self.unwanted(path):
            self._ghost(Entry(path, "link", 0o777, target=target))
        else:
            self.files.link(path, target, origin=ORIGIN, reason=reason)

    def _ghost(self, entry: Entry) -> None:
        """A script may go on with what it made, though it is no part of the image."""
        path = self._in_folder(entry.path)
        self.shipped[path] = replace(entry, path=path)

    def own(
        self, path: str, reason: str, *, uid: int | None = None, gid: int | None = None, mode: int | None = None
    ) -> None:
        entry = self.files.at(path)
        if entry is None or not (
            (uid is not None and uid != entry.uid)
            or (gid is not None and gid != entry.gid)
            or (mode is not None and mode != entry.mode)
        ):
            return
        self.files.own(path, uid, gid, mode, reason=reason)

    def remove(self, path: str, reason: str) -> None:
        self.files.remove(path, reason)
        real = self._in_folder(path)
        for gone in [p for p in self.shipped if p == real or p.startswith(f"{real}/")]:
            del self.shipped[gone]

    def version(self, package: str) -> str | None:
        """The version of an installed package, None when it isn't."""
        return self.versions.get(package)


def templates(text: str) -> dict[str, Debconf]:
    """The questions of a debconf templates file, by name."""
    found: dict[str, Debconf] = {}
    for stanza in text.split("\n\n"):
        values = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if "Template" in values:
            found[values["Template"].strip()] = Debconf(
                values.get("Default", "").strip(), values.get("Type", "").strip()
            )
    return found
