"""tmpfiles.d and sysusers.d: what packages declare instead of scripting it (tmpfiles.d(5), sysusers.d(5))."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator

from oslet.build.accounts import NOLOGIN, Users
from oslet.build.files import Files
from oslet.errors import BuildError

ORIGIN = "made:tmpfiles"
_SKIPPED = ("/proc", "/sys", "/dev", "/run/credentials", "/tmp", "/var/tmp")
# systemd's own rules arrange a machine that systemd runs; an image has no systemd.
_OF_SYSTEMD = re.compile(
    r"(systemd.*|x11|legacy|home|journal-nocow|portables|provision|credstore|static-nodes.*|etc|var|20-systemd.*|README)\.conf"
)


def _lines(files: Files, folder: str) -> Iterator[tuple[str, int, list[str]]]:
    """The rows of all files of FOLDER in /etc, /run and /usr/lib; a name in an earlier one hides a later's."""
    names: dict[str, str] = {}
    for base in (f"/etc/{folder}", f"/run/{folder}", f"/usr/local/lib/{folder}", f"/usr/lib/{folder}"):
        for name in files.names(base):
            if name.endswith(".conf"):
                names.setdefault(name, f"{base}/{name}")
    for name in sorted(names):
        if not files.is_file(names[name]):
            continue
        for number, line in enumerate(files.text(names[name]).splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                yield names[name], number, shlex.split(line)
            except ValueError as error:
                raise BuildError(f"not a line of {folder}: {error}", where=f"{names[name]}:{number}") from None


def declared_users(files: Files, users: Users) -> None:
    """Make the users and groups of sysusers.d."""
    members: list[tuple[str, str]] = []
    for path, number, row in _lines(files, "sysusers.d"):
        verb, name, number_text, gecos, home, shell = (*row, *["-"] * 6)[:6]
        reason = f"{path}, line {number}, declares it"
        verb = verb.rstrip("!")
        uid_text, _, gid_text = number_text.partition(":")
        uid = int(uid_text) if uid_text.isdigit() else None
        if verb == "g":
            users.add_group(name, reason, uid)
        elif verb == "u":
            group = gid_text if gid_text and gid_text != "-" else name
            users.add_user(
                name,
                reason,
                group=group,
                uid=uid,
                gecos="" if gecos == "-" else gecos.replace(":", ""),
                home="/" if home == "-" else home,
                shell=NOLOGIN if shell == "-" else shell,
            )
        elif verb == "m":
            members.append((name, number_text))
    for user, group in members:
        users.add_group(group, "sysusers.d names it")
        users.add_member(user, group)


def declared_paths(files: Files, users: Users) -> None:
    """Make the folders, files and links of tmpfiles.d that an image needs; rows about a running machine are skipped."""
    for path, number, row in _lines(files, "tmpfiles.d"):
        if _OF_SYSTEMD.fullmatch(posixpath.basename(path)):
            continue
        verb, target, mode, user, group, _, argument = (*row[:6], *["-"] * (6 - len(row[:6])), " ".join(row[6:]))
        kind = verb.rstrip("!-=~^+")
        if len(row) < 2 or "!" in verb or kind not in ("d", "D", "v", "q", "Q", "f", "F", "L", "C", "w", "z", "Z", "e"):
            continue
        target = _plain(target)
        if not target or any(target == s or target.startswith(f"{s}/") for s in _SKIPPED):
            continue
        _make(files, users, f"{path}, line {number}, declares it", kind, target, (mode, user, group), _plain(argument))


def _plain(text: str) -> str:
    return "" if re.search(r"%[^%]", text) else text.replace("%%", "%")


def _make(
    files: Files, users: Users, reason: str, kind: str, path: str, rights: tuple[str, str, str], argument: str
) -> None:
    bits, uid, gid = _rights(users, rights)
    if kind in ("z", "Z", "e"):
        for found in files.glob(path):
            files.own(found, uid, gid, bits, reason=reason)
        return
    if any(c in path for c in "*?["):
        return
    if kind in ("d", "D", "v", "q", "Q"):
        files.mkdir(
            path, mode=0o755 if bits is None else bits, uid=uid or 0, gid=gid or 0, origin=ORIGIN, reason=reason
        )
    elif kind in ("f", "F", "w") and files.at(path) is None and kind != "w":
        data = argument.encode().decode("unicode_escape").encode() if argument else b""
        files.put(
            path, data, mode=0o644 if bits is None else bits, uid=uid or 0, gid=gid or 0, origin=ORIGIN, reason=reason
        )
    elif kind == "L" and files.get(path) is None and argument:
        files.link(path, argument, origin=ORIGIN, reason=reason)
    elif kind == "C" and files.at(path) is None and files.is_file(argument or f"/usr/share/factory{path}"):
        source = argument or f"/usr/share/factory{path}"
        files.put(path, files.data(source), mode=0o644 if bits is None else bits, origin=ORIGIN, reason=reason)


def _rights(users: Users, rights: tuple[str, str, str]) -> tuple[int | None, int | None, int | None]:
    mode, user, group = (r.lstrip(":~") for r in rights)
    bits = int(mode, 8) if re.fullmatch("[0-7]+", mode) else None
    uid = users.uid(user) if user not in ("-", "") else None
    gid = users.gid(group) if group not in ("-", "") else None
    return bits, uid, gid
