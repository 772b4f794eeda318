"""Programs that change files: what each would make of the tree (coreutils, findutils)."""

from __future__ import annotations

import posixpath
import re

from oslet.build.scripts.install import ORIGIN
from oslet.build.scripts.shell import Command, Shell
from oslet.build.scripts.texts import options


def mode_of(shell: Shell, text: str, old: int) -> int:
    """A mode as chmod(1) takes it: octal or symbols, applied to ``old``."""
    if re.fullmatch(r"[0-7]{1,5}", text):
        return int(text, 8) & 0o7777
    for clause in text.split(","):
        match = re.fullmatch(r"([ugoa]*)([-+=])([rwxXst]*)", clause)
        if match is None:
            raise shell.unreadable(None, f"the mode {text} isn't understood")
        who = set(match[1] or "a")
        who = set("ugo") if "a" in who else who
        bits = 0
        for letter in match[3]:
            if letter == "X":
                letter = "x" if old & 0o111 else ""
            for person, shift in (("u", 6), ("g", 3), ("o", 0)):
                if person in who and letter and letter in "rwx":
                    bits |= {"r": 4, "w": 2, "x": 1}[letter] << shift
            if letter == "s":
                bits |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
            bits |= 0o1000 if letter == "t" else 0
        if match[2] == "=":
            mask = sum({"u": 0o700, "g": 0o070, "o": 0o007}[p] for p in who)
            old = (old & ~mask) | bits
        else:
            old = old | bits if match[2] == "+" else old & ~bits
    return old


def owner_of(shell: Shell, text: str) -> tuple[int | None, int | None]:
    """``user:group`` as uid and gid. Raises Unreadable for a name that no account has."""
    user, _, group = text.replace(".", ":", 1).partition(":") if ":" not in text else text.partition(":")
    uid = shell.install.users.uid(user) if user else None
    gid = shell.install.users.gid(group) if group else None
    if user and uid is None:
        raise shell.unreadable(None, f"no package makes the user {user}")
    if group and gid is None:
        raise shell.unreadable(None, f"no package makes the group {group}")
    if user and text.endswith(":") and (account := shell.install.users.user(user)):
        gid = account.gid
    return uid, gid


def _below(shell: Shell, path: str) -> list[str]:
    files = shell.install.files
    real = files.resolve(path)
    return [e.path for e in files if e.path.startswith(f"{real}/") and e.kind != "link"]


def _targets(shell: Shell, paths: list[str], *, recursive: bool, force: bool) -> tuple[list[str], int]:
    targets, status = [], 0
    for path in (shell.path(p) for p in paths):
        if shell.install.look(path, follow=False) is None:
            status = 0 if force else 1
        targets.append(path)
        targets.extend(_below(shell, path) if recursive else ())
    return targets, status


def _chown(shell: Shell, args: list[str], *, group_only: bool = False) -> int:
    found, operands = options(shell, args, "RfvchHLP")
    owner = operands.pop(0)
    uid, gid = owner_of(shell, f":{owner}" if group_only else owner)
    targets, status = _targets(shell, operands, recursive="R" in found, force=False)
    for path in targets:
        shell.install.own(path, shell.evidence(), uid=uid, gid=gid)
    return status


def _chgrp(shell: Shell, args: list[str]) -> int:
    return _chown(shell, args, group_only=True)


def _chmod(shell: Shell, args: list[str]) -> int:
    symbolic = [a for a in args if re.fullmatch(r"-[rwxXst]+", a)]
    found, operands = options(shell, [a for a in args if a not in symbolic], "Rfvc")
    mode = symbolic[0] if symbolic else operands.pop(0)
    targets, status = _targets(shell, operands, recursive="R" in found, force=False)
    for path in targets:
        entry = shell.install.files.at(path)
        if entry is not None and entry.kind != "link":
            shell.install.own(path, shell.evidence(), mode=mode_of(shell, mode, entry.mode))
    return status


def _mkdir(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "pvZ", "m")
    for path in (shell.path(p) for p in operands):
        if shell.install.look(path, follow=False) is not None:
            if "p" not in found:
                return 1
            continue
        mode = 0o777 & ~shell.umask
        shell.install.mkdir(path, mode_of(shell, found["m"][0], mode) if "m" in found else mode, shell.evidence())
    return 0


def _install(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "dDpvcbT", "mogt")
    mode = mode_of(shell, (found.get("m") or ["755"])[0], 0)
    uid, gid = owner_of(shell, f"{(found.get('o') or ['0'])[0]}:{(found.get('g') or ['0'])[0]}")
    made = []
    if "d" in found:
        made = [shell.path(p) for p in operands]
        for path in made:
            shell.install.mkdir(path, mode, shell.evidence())
    else:
        folder = found.get("t")
        target = shell.path(folder[0] if folder else operands.pop())
        for source in operands:
            into = folder or shell.install.is_dir(target)
            path = posixpath.join(target, posixpath.basename(source)) if into else target
            if not _copy_one(shell, shell.path(source), path):
                return 1
            made.append(path)
    for path in made:
        shell.install.own(path, shell.evidence(), uid=uid, gid=gid, mode=mode)
    return 0


def _copy_one(shell: Shell, source: str, target: str) -> bool:
    if source == "/dev/null":
        shell.install.put(target, b"", 0o666 & ~shell.umask, shell.evidence())
        return True
    entry = shell.install.look(source)
    if entry is None or entry.kind != "file":
        return False
    shell.install.put(target, shell.install.data(source), entry.mode & ~shell.umask & 0o777, shell.evidence())
    return True


def _cp(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "apfvRrnuLdPxTZ", "tS")
    target = shell.path(found["t"][0] if "t" in found else operands.pop())
    keep = "a" in found or "p" in found
    for source in (shell.path(s) for s in operands):
        entry = shell.install.look(source)
        path = posixpath.join(target, posixpath.basename(source)) if shell.install.is_dir(target) else target
        if "n" in found and shell.install.look(path) is not None:
            continue
        if entry is not None and entry.kind == "dir":
            if not {"a", "R", "r"} & set(found):
                return 1
            _copy_tree(shell, source, path, keep=keep)
        elif not _copy_one(shell, source, path):
            return 1
        elif keep and entry is not None:
            shell.install.own(path, shell.evidence(), uid=entry.uid, gid=entry.gid, mode=entry.mode)
    return 0


def _copy_tree(shell: Shell, source: str, target: str, *, keep: bool) -> None:
    shell.install.mkdir(target, 0o777 & ~shell.umask, shell.evidence())
    real = shell.install.files.resolve(source)
    for entry in sorted(shell.install.files, key=lambda e: e.path):
        if not entry.path.startswith(f"{real}/"):
            continue
        path = target + entry.path[len(real) :]
        if entry.kind == "dir":
            shell.install.mkdir(path, entry.mode, shell.evidence())
        elif entry.kind == "link":
            shell.install.link(path, entry.target, shell.evidence())
        else:
            _copy_one(shell, entry.path, path)
        if keep and entry.kind != "link":
            shell.install.own(path, shell.evidence(), uid=entry.uid, gid=entry.gid, mode=entry.mode)


def _mv(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "fvTn", "t")
    target = shell.path(operands.pop())
    for source in (shell.path(s) for s in operands):
        entry = shell.install.look(source, follow=False)
        if entry is None:
            return 1
        inside = shell.install.is_dir(target) and "T" not in found
        path = posixpath.join(target, posixpath.basename(source)) if inside else target
        if entry.kind == "link":
            shell.install.link(path, entry.target, shell.evidence())
        elif entry.kind == "dir":
            _copy_tree(shell, source, path, keep=True)
        else:
            _copy_one(shell, source, path)
            shell.install.own(path, shell.evidence(), uid=entry.uid, gid=entry.gid, mode=entry.mode)
        shell.install.remove(source, shell.evidence())
    return 0


def _rm(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "rRfvd")
    for path in (shell.path(p) for p in operands if p):
        entry = shell.install.look(path, follow=False)
        if entry is None:
            if "f" not in found:
                return 1
        elif entry.kind == "dir" and not {"r", "R", "d"} & set(found):
            return 1
        elif path != "/":
            shell.install.remove(path, shell.evidence())
    return 0


def _rmdir(shell: Shell, args: list[str]) -> int:
    ignore = "--ignore-fail-on-non-empty" in args
    _, operands = options(shell, [a for a in args if a != "--ignore-fail-on-non-empty"], "pv")
    status = 0
    for path in (shell.path(p) for p in operands):
        if not shell.install.is_dir(path):
            status = 1
        elif shell.install.files.names(path):
            status = 0 if ignore else 1
        else:
            shell.install.remove(path, shell.evidence())
    return status


def _ln(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "sfnvrT")
    target = operands[0]
    path = shell.path(operands[1]) if len(operands) > 1 else shell.path(posixpath.basename(target))
    entry = shell.install.look(path, follow="n" not in found and "T" not in found)
    if entry is not None and entry.kind == "dir":
        path = posixpath.join(path, posixpath.basename(target))
    if shell.install.look(path, follow=False) is not None and "f" not in found:
        return 1
    if "s" not in found:
        return 0 if _copy_one(shell, shell.path(target), path) else 1
    if "r" in found:
        target = posixpath.relpath(shell.path(target), posixpath.dirname(path))
    shell.install.link(path, target, shell.evidence())
    return 0


def _touch(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "acmh", "drt")
    for path in (shell.path(p) for p in operands):
        if shell.install.look(path) is None and "c" not in found:
            shell.install.put(path, b"", 0o666 & ~shell.umask, shell.evidence())
    return 0


def _truncate(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "c", "s")
    if found.get("s") != ["0"]:
        raise shell.unreadable(None, "a size that isn't 0")
    for path in (shell.path(p) for p in operands):
        shell.install.put(path, b"", 0o666 & ~shell.umask, shell.evidence())
    return 0


def _mktemp(shell: Shell, args: list[str]) -> int:
    folder = next((a for a in args if a in ("-d", "--directory")), "")
    rest = [a for a in args if not a.startswith("-")]
    shell.install.temporary += 1
    name = re.sub(r"X{3,}", f"{shell.install.temporary:06d}", rest[-1] if rest else "tmp.XXXXXX")
    path = name if name.startswith("/") else f"/tmp/{name}"
    if folder:
        shell.install.files.mkdir(path, mode=0o700, origin=ORIGIN, reason=shell.evidence())
    else:
        shell.install.files.put(path, b"", mode=0o600, origin=ORIGIN, reason=shell.evidence())
    shell.write(path + "\n")
    return 0


def _readlink(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "efmnqs")
    path = shell.path(operands[0])
    if {"e", "f", "m"} & set(found):
        real = shell.install.files.resolve(path)
        if "e" in found and shell.install.look(real) is None:
            return 1
        shell.write(real + "\n")
        return 0
    entry = shell.install.look(path, follow=False)
    if entry is None or entry.kind != "link":
        return 1
    shell.write(entry.target + "\n")
    return 0


def _realpath(shell: Shell, args: list[str]) -> int:
    return _readlink(shell, ["-f", *[a for a in args if not a.startswith("-")]])


def _stat(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "L", "c")
    entry = shell.install.look(shell.path(operands[0]), follow="L" in found)
    if entry is None or "c" not in found:
        return 1
    names = {u.uid: u.name for u in shell.install.users.users.values()}
    groups = {g.gid: g.name for g in shell.install.users.groups.values()}
    values = {"a": f"{entry.mode:o}", "u": str(entry.uid), "g": str(entry.gid), "U": names.get(entry.uid, "UNKNOWN"),
              "G": groups.get(entry.gid, "UNKNOWN"), "s": str(entry.size), "n": operands[0]}  # fmt: skip
    if unknown := set(re.findall(r"%(.)", found["c"][0])) - set(values):
        raise shell.unreadable(None, f"stat's %{min(unknown)} isn't understood")
    shell.write(re.sub(r"%(.)", lambda m: values[m[1]], found["c"][0]) + "\n")
    return 0


def _ls(shell: Shell, args: list[str]) -> int:
    operands = [a for a in args if not a.startswith("-")] or ["."]
    for path in operands:
        entry = shell.install.look(shell.path(path))
        if entry is None:
            return 2
        names = shell.install.files.names(shell.path(path)) if entry.kind == "dir" and "-d" not in args else [path]
        shell.write("".join(f"{n}\n" for n in names if not n.startswith(".") or "-A" in args or "-a" in args))
    return 0


def _cmp(shell: Shell, args: list[str]) -> int:
    a, b = (shell.path(x) for x in [x for x in args if not x.startswith("-")][:2])
    if not shell.install.is_file(a) or not shell.install.is_file(b):
        return 2
    return 0 if shell.install.data(a) == shell.install.data(b) else 1


def _tempfile(shell: Shell, args: list[str]) -> int:
    return _mktemp(shell, [])


TABLE: dict[str, Command] = {
    "chown": _chown, "chgrp": _chgrp, "chmod": _chmod, "mkdir": _mkdir, "install": _install, "cp": _cp, "mv": _mv,
    "rm": _rm, "rmdir": _rmdir, "ln": _ln, "touch": _touch, "truncate": _truncate, "mktemp": _mktemp,
    "tempfile": _tempfile, "readlink": _readlink, "realpath": _realpath,
    "dpkg-realpath": _realpath, "stat": _stat, "ls": _ls,
    "cmp": _cmp, "diff": _cmp, "unlink": _rm,
}  # fmt: skip
