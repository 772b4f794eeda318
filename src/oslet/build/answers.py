"""The declaration's answers to maintainer scripts: rules, and scripts that are to be run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from oslet.build.accounts import Users
from oslet.build.files import Files
from oslet.build.sandbox import Sandbox
from oslet.errors import BuildError
from oslet.formats.tar import Limits, Member, read
from oslet.model.oslet import Rule
from oslet.model.tree import Entry
from oslet.store.contents import permissions
from oslet.store.trees import folder_mode

_SHELL = (
    'export DPKG_MAINTSCRIPT_PACKAGE="$1" DPKG_MAINTSCRIPT_NAME="$2" DPKG_ROOT="" DEBIAN_FRONTEND=noninteractive; '
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PERL_BADLANG=0; shift 2; exec "$@"'
)
_INFO = "/var/lib/dpkg/info"
"""Where dpkg has scripts and what comes with them; debconf looks for a package's questions beside its script."""
_INSTANCE = ("/var/lib/dpkg", "/var/cache/debconf", "/tmp", "/run", "/proc", "/sys", "/dev")
"""What is no part of an image: the state of package managers, and what is the instance's own while it runs."""
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_ORIGIN = "made:scripts"
_ESSENTIAL = (
    'add what it uses to packages: Debian\'s Essential ones ("dash", "coreutils", "sed", "perl-base", …),\n'
    "  which every script counts on, are in an image only when they are named or needed"
)
_NO_PROGRAM = (126, 127)
"""A shell's statuses for a program that isn't there, or can't be run (POSIX, 2.8.2)."""
_LIMITS = Limits(members=100_000, size=1 << 30)


def apply_rule(files: Files, users: Users, package: str, rule: Rule) -> None:
    """Make what a rule says, in a script's stead. Raises BuildError for a user or mode that isn't one."""
    reason = f"the declaration's rule for {package}'s scripts"
    for text in rule.users:
        name, group, home = (*text.split(":"), "", "")[:3]
        users.add_user(name, reason, group=group or name, home=home or "/nonexistent")
    for text in rule.directories:
        path, mode, user, group = (*text.split(":"), "", "", "")[:4]
        uid, gid = users.uid(user or "root"), users.gid(group or user or "root")
        if uid is None or gid is None:
            raise BuildError(f"no such user or group: {user}:{group}", where=f"[scripts] {package}: {text}")
        files.mkdir(path, mode=_bits(mode or "755", f"[scripts] {package}: {text}"), uid=uid, gid=gid,
                    origin=_ORIGIN, reason=reason)  # fmt: skip
    for path, target in sorted(rule.links.items()):
        files.link(path, target, origin=_ORIGIN, reason=reason)
    for path, content in sorted(rule.files.items()):
        files.put(path, content.encode(), origin=_ORIGIN, reason=reason)


def _bits(text: str, where: str) -> int:
    if not text.isdigit() or set(text) - set("01234567") or len(text) > 4:
        raise BuildError(f"{text} isn't a mode", where=where, hint="four octal digits, like 0750")
    return int(text, 8)


def run_script(files: Files, sandbox: Sandbox | None, package: str, script: str, control: Mapping[str, str]) -> None:
    """Run one script in an isolated instance of the tree so far, and merge what it changed. ``control`` has the text of
    the package's script, and whatever else came with it.

    A tree on disk belongs to root throughout, so a script that gives another's file to root changes nothing; say
    that in a rule.
    """
    where = f"[scripts] {package}"
    if sandbox is None:
        raise BuildError(f"{package}'s {script} can't be run here: there is no sandbox", where=where)
    if not files.is_file("/bin/sh"):
        raise BuildError(f"{package}'s {script} needs a shell, and the image has none", where=where, hint=_ESSENTIAL)
    args = ["install"] if script == "preinst" else ["configure", ""]
    trial = Files(files.store, files)
    for name, text in control.items():
        trial.put(f"{_INFO}/{package}.{name}", text.encode(), mode=0o755, origin=_ORIGIN, reason="runs while building")
    path = f"{_INFO}/{package}.{script}"
    rootfs = files.store.lay_down(trial.tree())
    with tempfile.TemporaryDirectory(prefix="oslet-script-") as folder:
        changes = Path(folder) / "changes.tar"
        try:
            ended = sandbox(rootfs, ["/bin/sh", "-c", _SHELL, "sh", package, script, path, *args], changes=changes)
        except BuildError as error:
            raise BuildError(f"{package}'s {script} can't be run: {error.what}", where=where, hint=error.hint) from None
        if ended.code:
            tail = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
            raise BuildError(
                f"{package}'s {script} ended with status {ended.code}"
                + "".join(f"\n    {line[:110]}" for line in tail),
                where=where,
                hint=_ESSENTIAL
                if ended.code in _NO_PROGRAM
                else "it ran without network, as root of its own user namespace",
            )
        with changes.open("rb") as layer:
            _merge(files, layer, f"{package}'s {script} made it, run in isolation as the declaration asks", where)


def _merge(files: Files, layer: IO[bytes], reason: str, where: str) -> None:
    """A layer's tar into the tree (OCI image-spec, layer.md: ``.wh.NAME`` removes, ``.wh..wh..opq`` empties)."""
    for member, chunks in read(layer, where=where, limits=_LIMITS):
        folder, _, name = member.path.rpartition("/")
        if _passing(member.path):
            continue
        if name == _OPAQUE:
            for child in files.names(folder):
                files.remove(f"{folder}/{child}", reason)
            continue
        if name.startswith(_WHITEOUT):
            files.remove(f"{folder}/{name.removeprefix(_WHITEOUT)}", reason)
            continue
        old = files.get(member.path)
        if old is not None and old.kind == "dir" and member.kind != "dir":
            files.remove(member.path, reason)
        mode, uid, gid = _facts(member, old)
        if member.kind == "dir":
            if old is None or (old.kind, old.mode, old.uid, old.gid) != ("dir", mode, uid, gid):
                files.mkdir(member.path, mode=mode, uid=uid, gid=gid, origin=_ORIGIN, reason=reason)
        elif member.kind == "link":
            files.link(member.path, member.target, origin=_ORIGIN, reason=reason)
        else:
            data = b"".join(chunks)
            files.put(member.path, data, mode=mode, uid=uid, gid=gid, origin=_ORIGIN, reason=reason)


def _facts(member: Member, old: Entry | None) -> tuple[int, int, int]:
    """Mode, uid and gid: the member's, but for what the tree on disk didn't show of the old entry's, and so can't
    have been changed."""
    if old is None or old.kind != member.kind:
        return member.mode, member.uid, member.gid
    shown = folder_mode(old.mode) if old.kind == "dir" else permissions(old.mode)
    mode = old.mode if member.mode == shown else member.mode
    uid, gid = (old.uid, old.gid) if (member.uid, member.gid) == (0, 0) else (member.uid, member.gid)
    return mode, uid, gid


def _passing(path: str) -> bool:
    return path.startswith(tuple(f"{folder}/" for folder in _INSTANCE)) or path in _INSTANCE
