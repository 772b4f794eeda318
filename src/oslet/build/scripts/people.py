"""Programs that make and ask for accounts: adduser(8), useradd(8), groupadd(8), getent(1), id(1) and their kin."""

from __future__ import annotations

from oslet.build.accounts import NOLOGIN, NOWHERE
from oslet.build.scripts.shell import Command, Shell

_FLAGS = frozenset(
    [
        "--system",
        "--quiet",
        "--no-create-home",
        "--disabled-password",
        "--disabled-login",
        "--force-badname",
        "--group",
        "--debug",
        "--verbose",
        "--allow-bad-names",
        "--allow-badname",
        "--allow-all-names",
        "--create-home",
        "--no-log-init",
        "--no-user-group",
        "--user-group",
        "-r",
        "-M",
        "-m",
        "-N",
        "-U",
        "-f",
        "-o",
        "--comment-only",
        "--add_extra_groups",
        "--add-extra-groups",
        "--badname",
        "--badnames",
        "-q",
        "-l",
        "--lock",
        "-L",
    ]
)
_VALUED = {
    "--home": "home", "--home-dir": "home", "-d": "home", "--shell": "shell", "-s": "shell", "--gecos": "gecos",
    "--comment": "gecos", "-c": "gecos", "--uid": "uid", "-u": "uid", "--gid": "gid", "-g": "gid",
    "--ingroup": "ingroup", "--groups": "groups", "-G": "groups", "--firstuid": "", "--lastuid": "",
    "--firstgid": "", "--lastgid": "",
    "--conf": "", "-K": "", "--key": "", "-b": "", "-e": "", "-p": "", "--password": "", "--expiredate": "",
}  # fmt: skip


def _parse(
    shell: Shell, args: list[str], more: dict[str, str] | None = None
) -> tuple[dict[str, str], set[str], list[str]]:
    valued = {**_VALUED, **(more or {})}
    values: dict[str, str] = {}
    flags: set[str] = set()
    names: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in valued:
            value = value if equals else (rest.pop(0) if rest else "")
            values[valued[name]] = value
        elif word in _FLAGS:
            flags.add(word)
        elif word.startswith("-") and word != "--":
            raise shell.unreadable(None, f"{word} isn't understood")
        elif word != "--":
            names.append(word)
    return values, flags, names


def _adduser(shell: Shell, args: list[str]) -> int:
    values, flags, names = _parse(shell, args)
    users = shell.install.users
    if "--group" in flags and "--system" not in flags:
        return _addgroup(shell, args)
    if not names:
        raise shell.unreadable(None, "an adduser without a name")
    if len(names) == 2:
        if users.user(names[0]) is None or users.group(names[1]) is None:
            return 1
        users.add_member(*names)
        return 0
    if "--system" not in flags:
        raise shell.unreadable(None, "an ordinary account")
    if users.user(names[0]) is not None:
        return 0
    group = values.get("ingroup") or values.get("gid") or (names[0] if "--group" in flags else "")
    _make(shell, names[0], group, values)
    home = values.get("home", NOWHERE)
    if "--no-create-home" not in flags and home != NOWHERE and shell.install.look(home) is None:
        account = users.user(names[0])
        assert account is not None
        shell.install.mkdir(home, 0o755, shell.evidence())
        shell.install.own(home, shell.evidence(), uid=account.uid, gid=account.gid)
    return 0


def _make(shell: Shell, name: str, group: str, values: dict[str, str]) -> None:
    number = values.get("uid", "")
    shell.install.users.add_user(
        name,
        shell.evidence(),
        group=group,
        uid=int(number) if number.isdigit() else None,
        gecos=values.get("gecos", "").replace(":", ""),
        home=values.get("home", NOWHERE),
        shell=values.get("shell", NOLOGIN),
    )
    for extra in values.get("groups", "").split(","):
        if extra:
            shell.install.users.add_member(name, extra)


def _addgroup(shell: Shell, args: list[str]) -> int:
    values, _, names = _parse(shell, args)
    if len(names) == 2:
        return _adduser(shell, args)
    gid = values.get("gid", "")
    shell.install.users.add_group(names[0], shell.evidence(), int(gid) if gid.isdigit() else None)
    return 0


def _useradd(shell: Shell, args: list[str]) -> int:
    values, flags, names = _parse(shell, args)
    if shell.install.users.user(names[-1]) is not None:
        return 9
    own = "" if {"-N", "--no-user-group"} & flags else names[-1]
    _make(shell, names[-1], values.get("gid") or own, values)
    return 0


def _groupadd(shell: Shell, args: list[str]) -> int:
    _, flags, names = _parse(shell, args)
    if shell.install.users.group(names[-1]) is not None:
        return 0 if "-f" in flags else 9
    return _addgroup(shell, args)


def _usermod(shell: Shell, args: list[str]) -> int:
    args = ["-G" if a == "-aG" else a for a in args if a not in ("-a", "--append")]
    values, _, names = _parse(shell, args)
    users = shell.install.users
    if users.user(names[-1]) is None:
        return 6
    gid = users.gid(values["gid"]) if "gid" in values else None
    users.change_user(names[-1], home=values.get("home", ""), shell=values.get("shell", ""), gid=gid)
    for extra in values.get("groups", "").split(","):
        if extra:
            users.add_member(names[-1], extra)
    return 0


def _gpasswd(shell: Shell, args: list[str]) -> int:
    if len(args) == 3 and args[0] in ("-a", "--add"):
        shell.install.users.add_member(args[1], args[2])
        return 0
    raise shell.unreadable(None, "this use of gpasswd isn't understood")


def _getent(shell: Shell, args: list[str]) -> int:
    if len(args) < 2:
        raise shell.unreadable(None, "getent of a whole database")
    users = shell.install.users
    if args[0] == "passwd" and (account := users.user(args[1])):
        shell.write(":".join(map(str, (account.name, "x", *account[1:6]))) + "\n")
        return 0
    if args[0] == "group" and (group := users.group(args[1])):
        shell.write(f"{group.name}:x:{group.gid}:{','.join(group.members)}\n")
        return 0
    if args[0] not in ("passwd", "group", "shadow", "gshadow"):
        raise shell.unreadable(None, f"getent {args[0]} isn't understood")
    return 2


def _id(shell: Shell, args: list[str]) -> int:
    letters = "".join(a[1:] for a in args if a.startswith("-") and not a.startswith("--"))
    names = [a for a in args if not a.startswith("-")]
    users = shell.install.users
    account = users.user(names[0] if names else "root")
    if account is None:
        return 1
    primary = next((g.name for g in users.groups.values() if g.gid == account.gid), str(account.gid))
    if "u" in letters:
        shell.write((account.name if "n" in letters else str(account.uid)) + "\n")
    elif "G" in letters:
        extra = sorted(g.name for g in users.groups.values() if account.name in g.members)
        shell.write(" ".join([primary, *extra]) + "\n")
    elif "g" in letters:
        shell.write((primary if "n" in letters else str(account.gid)) + "\n")
    else:
        shell.write(f"uid={account.uid}({account.name}) gid={account.gid}({primary})\n")
    return 0


def _su(shell: Shell, args: list[str]) -> int:
    """``su USER -c COMMAND``: the command is read as any other, seen with that user's eyes."""
    rest, command, user = list(args), "", "root"
    while rest:
        word = rest.pop(0)
        if word in ("-c", "--command"):
            command = rest.pop(0)
        elif word in ("-s", "--shell"):
            rest.pop(0)
        elif not word.startswith("-"):
            user = word
    tree = shell.parse(command)
    if not command or tree.has_error or shell.install.users.uid(user) is None:
        raise shell.unreadable(None, "this use of su isn't understood")
    before, shell.uid = shell.uid, shell.install.users.uid(user) or 0
    gid, shell.gid = shell.gid, getattr(shell.install.users.user(user), "gid", 0)
    try:
        return shell.apart(lambda: shell.run(tree))
    finally:
        shell.uid, shell.gid = before, gid


def _nothing(shell: Shell, args: list[str]) -> int:
    return 0


TABLE: dict[str, Command] = {
    "adduser": _adduser, "addgroup": _addgroup, "useradd": _useradd, "groupadd": _groupadd, "usermod": _usermod,
    "gpasswd": _gpasswd, "getent": _getent, "id": _id, "su": _su, "passwd": _nothing, "chage": _nothing,
    "deluser": _nothing, "delgroup": _nothing, "userdel": _nothing, "groupdel": _nothing, "shadowconfig": _nothing,
    "pwck": _nothing, "grpck": _nothing, "pwconv": _nothing, "systemd-sysusers": _nothing,
}  # fmt: skip
