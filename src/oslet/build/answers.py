"""The declaration's answers to maintainer scripts: rules, and scripts that are to be run."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oslet.build.accounts import Users
from oslet.build.files import Files
from oslet.build.sandbox import Sandbox
from oslet.errors import BuildError
from oslet.model.oslet import Rule

_SHELL = (
    'export DPKG_MAINTSCRIPT_PACKAGE="$1" DPKG_MAINTSCRIPT_NAME="$2" DPKG_ROOT="" DEBIAN_FRONTEND=noninteractive; '
    'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8; shift 2; exec "$@"'
)
_FOLDER = "/.oslet"


def apply_rule(files: Files, users: Users, package: str, rule: Rule) -> None:
    """Make what a rule says, in a script's stead. Raises BuildError for a user or mode that isn't one."""
    reason = f"the declaration's rule for {package}'s scripts"
    origin = "made:scripts"
    for text in rule.users:
        name, group, home = (*text.split(":"), "", "")[:3]
        users.add_user(name, reason, group=group or name, home=home or "/nonexistent")
    for text in rule.directories:
        path, mode, user, group = (*text.split(":"), "", "", "")[:4]
        uid, gid = users.uid(user or "root"), users.gid(group or user or "root")
        if uid is None or gid is None:
            raise BuildError(f"no such user or group: {user}:{group}", where=f"[scripts] {package}: {text}")
        files.mkdir(path, mode=_bits(mode or "755", f"[scripts] {package}: {text}"), uid=uid, gid=gid,
                    origin=origin, reason=reason)  # fmt: skip
    for path, target in sorted(rule.links.items()):
        files.link(path, target, origin=origin, reason=reason)
    for path, content in sorted(rule.files.items()):
        files.put(path, content.encode(), origin=origin, reason=reason)


def _bits(text: str, where: str) -> int:
    if not text.isdigit() or set(text) - set("01234567") or len(text) > 4:
        raise BuildError(f"{text} isn't a mode", where=where, hint="four octal digits, like 0750")
    return int(text, 8)


def run_script(files: Files, sandbox: Sandbox | None, package: str, script: str, text: str) -> None:
    """Run one script in an isolated instance of the tree so far, and merge what it changed.

    Ownership that the script gives is lost but for root's (the sandbox has one uid); say it in a rule.
    """
    if sandbox is None:
        raise BuildError(f"{package}'s {script} can't be run here: there is no sandbox", where=f"[scripts] {package}")
    path = f"{_FOLDER}/{script}"
    args = ["install"] if script == "preinst" else ["configure", ""]
    trial = Files(files.store, files)
    trial.put(path, text.encode(), mode=0o755, origin="made:scripts", reason="runs while building")
    rootfs = files.store.lay_down(trial.tree())
    changes = Path(tempfile.mkdtemp(prefix="oslet-script-"))
    try:
        ended = sandbox(rootfs, ["/bin/sh", "-c", _SHELL, "sh", package, script, path, *args], changes=changes)
        if ended.code:
            tail = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
            raise BuildError(
                f"{package}'s {script} ended with status {ended.code}"
                + "".join(f"\n    {line[:110]}" for line in tail),
                where=f"[scripts] {package}",
                hint="it ran without network, as root of its own user namespace",
            )
        _merge(files, changes, f"{package}'s {script} made it, run in isolation as the declaration asks")
    finally:
        shutil.rmtree(changes, ignore_errors=True)


def _merge(files: Files, changes: Path, reason: str) -> None:
    """An overlay's upper folder into the tree (kernel, filesystems/overlayfs: whiteouts are 0:0 devices)."""
    for path, place, info in _walk(changes, ""):
        if path.startswith((f"{_FOLDER}/", "/tmp/", "/run/", "/proc/", "/sys/", "/dev/")) or path in (_FOLDER, "/tmp"):
            continue
        old = files.get(path)
        uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
        if stat.S_ISDIR(info.st_mode):
            if _opaque(place):
                files.remove(path, reason)
            if old is None or old.kind != "dir" or old.mode != stat.S_IMODE(info.st_mode):
                files.mkdir(
                    path, mode=stat.S_IMODE(info.st_mode), uid=uid, gid=gid, origin="made:scripts", reason=reason
                )
        elif stat.S_ISLNK(info.st_mode):
            files.link(path, str(place.readlink()), origin="made:scripts", reason=reason)
        elif stat.S_ISREG(info.st_mode):
            files.put(path, place.read_bytes(), mode=stat.S_IMODE(info.st_mode), uid=uid, gid=gid,
                      origin="made:scripts", reason=reason)  # fmt: skip
        elif stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            files.remove(path, reason)


def _walk(folder: Path, at: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 (names, not paths)
        place = folder / name
        info = place.lstat()
        yield f"{at}/{name}", place, info
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(place, f"{at}/{name}")


def _opaque(place: Path) -> bool:
    for name in ("user.overlay.opaque", "trusted.overlay.opaque"):
        try:
            if os.getxattr(place, name) == b"y":
                return True
        except OSError:
            continue
    return False
