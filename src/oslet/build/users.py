"""/etc/passwd and /etc/group: written last, when every account and every owner is known."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oslet.build.accounts import Account, Group, Users
from oslet.build.files import Files
from oslet.errors import BuildError

ORIGIN = "made:users"
_MASTER = "/usr/share/base-passwd"
_HAS = "{} has it"


def read_masters(files: Files, users: Users) -> None:
    """Take base-passwd's whole lists, when that package is in the image."""
    if not files.is_file(f"{_MASTER}/passwd.master") or not files.is_file(f"{_MASTER}/group.master"):
        return
    for cells, where in _rows(files, "passwd.master", 7):
        name, _, uid, gid, gecos, home, shell = cells
        users.users[name] = Account(name, _id(uid, where), _id(gid, where), gecos, home, shell, _HAS.format(where))
    for cells, where in _rows(files, "group.master", 4):
        name, _, gid, members = cells
        users.groups[name] = Group(
            name, _id(gid, where), tuple(members.split(",")) if members else (), _HAS.format(where)
        )


def _rows(files: Files, name: str, cells: int) -> Iterator[tuple[list[str], str]]:
    where = f"{_MASTER}/{name}"
    for number, line in enumerate(files.text(where).splitlines(), 1):
        row = line.split(":")
        if len(row) != cells:
            raise BuildError(f"not a line of {cells} fields (passwd(5), group(5))", where=f"{where}:{number}")
        yield row, where


def _id(text: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise BuildError(f"{text[:40]!r} is no id", where=where)
    return int(text)


def write_accounts(files: Files, users: Users, service: str) -> None:
    """Give accounts their ids and files their owners, and write both files; ``service`` is made when missing."""
    if users.user(service) is None and not service.isdigit():
        users.add_user(service, "the declaration's start.user", group=service, home="/")
    entries = list(files)
    static = {i for e in entries for i in (e.uid, e.gid) if i < 1 << 24}
    final = users.settle(static)
    for entry in entries:
        if entry.uid in final or entry.gid in final:
            files.own_exactly(entry.path, final.get(entry.uid, entry.uid), final.get(entry.gid, entry.gid))
    users.name_static({e.uid for e in files}, {e.gid for e in files})
    _write(files, "/etc/passwd", users.passwd(), [f"{u.name}: {u.reason}" for u in _made(users.users.values())])
    _write(files, "/etc/group", users.group_text(), [f"{g.name}: {g.reason}" for g in _made(users.groups.values())])


def _made(rows: object) -> list[Account | Group]:
    return sorted((r for r in rows if 100 <= r[1] <= 999), key=lambda r: r.name)  # type: ignore[attr-defined]


def _write(files: Files, path: str, text: str, reasons: list[str]) -> None:
    more = f" and {'; '.join(reasons)}" if reasons else ""
    files.put(
        path,
        text.encode(),
        origin=ORIGIN,
        reason=f"the accounts of the image: root, nobody, Debian's static ones in use{more}",
    )


def user_ids(files: Files, name: str) -> tuple[int, int]:
    """uid and primary gid of ``name`` (or a uid) in the tree's own /etc/passwd; of ``user:group`` that group's instead.

    Raises BuildError when unknown.
    """
    if ":" in name:
        user, _, group = name.partition(":")
        return user_ids(files, user)[0], _group_id(files, group)
    for line in files.text("/etc/passwd").splitlines() if files.is_file("/etc/passwd") else ():
        cells = line.split(":")
        if len(cells) >= 4 and name in (cells[0], cells[2]):
            return int(cells[2]), int(cells[3])
    if name.isdigit():
        return int(name), int(name)
    if name == "root":
        return 0, 0
    raise BuildError(f"no user {name} in the image", where="start.user")


def _group_id(files: Files, name: str) -> int:
    for line in files.text("/etc/group").splitlines() if files.is_file("/etc/group") else ():
        cells = line.split(":")
        if len(cells) >= 3 and name in (cells[0], cells[2]):
            return int(cells[2])
    if name.isdigit():
        return int(name)
    raise BuildError(f"no group {name} in the image", where="start.user")
