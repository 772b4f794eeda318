"""Accounts: Debian's static ones, and those that packages ask for, with ids that don't depend on any order."""

from __future__ import annotations

from typing import NamedTuple

FIRST, LAST = 100, 999
"""Debian Policy 9.2.2: ids for system users and groups that packages make."""
_PROVISIONAL = 1 << 24
NOLOGIN = "/usr/sbin/nologin"
NOWHERE = "/nonexistent"

# Debian Policy 9.2.2: ids 0-99 (and 65534) are the same on every Debian system; name:uid:gid:gecos:home:shell.
_STATIC_USERS = """root:0:0:root:/root:/bin/bash
daemon:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:2:2:bin:/bin:/usr/sbin/nologin
sys:3:3:sys:/dev:/usr/sbin/nologin
sync:4:65534:sync:/bin:/bin/sync
games:5:60:games:/usr/games:/usr/sbin/nologin
man:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:8:8:mail:/var/mail:/usr/sbin/nologin
news:9:9:news:/var/spool/news:/usr/sbin/nologin
uucp:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin
proxy:13:13:proxy:/bin:/usr/sbin/nologin
www-data:33:33:www-data:/var/www:/usr/sbin/nologin
backup:34:34:backup:/var/backups:/usr/sbin/nologin
list:38:38:Mailing List Manager:/var/list:/usr/sbin/nologin
irc:39:39:ircd:/run/ircd:/usr/sbin/nologin
_apt:42:65534::/nonexistent:/usr/sbin/nologin
nobody:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"""
_STATIC_GROUPS = (
    "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 uucp:10 man:12 proxy:13 kmem:15 dialout:20 "
    "fax:21 voice:22 cdrom:24 floppy:25 tape:26 sudo:27 audio:29 dip:30 www-data:33 backup:34 operator:37 list:38 "
    "irc:39 src:40 shadow:42 utmp:43 video:44 sasl:45 plugdev:46 staff:50 games:60 users:100 nogroup:65534"
)


class Account(NamedTuple):
    """One line of passwd(5), and why it is there."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    reason: str


class Group(NamedTuple):
    """One line of group(5), and why it is there."""

    name: str
    gid: int
    members: tuple[str, ...]
    reason: str


def _static_users() -> dict[str, Account]:
    found = {}
    for line in _STATIC_USERS.splitlines():
        name, uid, gid, gecos, home, shell = line.split(":")
        found[name] = Account(name, int(uid), int(gid), gecos, home, shell, "Debian's static account (Policy 9.2.2)")
    return found


STATIC_USERS = _static_users()
STATIC_GROUPS = {
    name: Group(name, int(gid), (), "Debian's static group (Policy 9.2.2)")
    for name, gid in (pair.split(":") for pair in _STATIC_GROUPS.split())
}


class Users:
    """The accounts of an image. Static ones appear when asked for; new ones get provisional ids until ``settle``."""

    def __init__(self) -> None:
        self.users: dict[str, Account] = {}
        self.groups: dict[str, Group] = {}
        self._provisional: dict[str, int] = {}
        for name in ("root", "nobody"):
            self.user(name)

    def user(self, name: str) -> Account | None:
        """The account of that name; None when there is none."""
        if name not in self.users and name in STATIC_USERS:
            account = self.users[name] = STATIC_USERS[name]
            for group in STATIC_GROUPS.values():
                if group.gid == account.gid:
                    self.groups.setdefault(group.name, group)
        return self.users.get(name)

    def group(self, name: str) -> Group | None:
        if name not in self.groups and name in STATIC_GROUPS:
            self.groups[name] = STATIC_GROUPS[name]
        return self.groups.get(name)

    def uid(self, name: str) -> int | None:
        """The uid that ``name`` (or a number) means."""
        if name.isdigit():
            return int(name)
        account = self.user(name)
        return None if account is None else account.uid

    def gid(self, name: str) -> int | None:
        if name.isdigit():
            return int(name)
        group = self.group(name)
        return None if group is None else group.gid

    def add_group(self, name: str, reason: str, gid: int | None = None) -> Group:
        found = self.group(name)
        if found is None:
            found = self.groups[name] = Group(name, self._new(name) if gid is None else gid, (), reason)
        return found

    def add_user(
        self,
        name: str,
        reason: str,
        *,
        group: str = "",
        uid: int | None = None,
        gecos: str = "",
        home: str = NOWHERE,
        shell: str = NOLOGIN,
    ) -> Account:
        """A system user; ``group`` is its primary group, made when missing (default ``nogroup``)."""
        found = self.user(name)
        if found is None:
            gid = self.gid(group or "nogroup")
            if gid is None:
                gid = self.add_group(group, reason, uid if group == name else None).gid
            number = self._new(name) if uid is None else uid
            found = self.users[name] = Account(name, number, gid, gecos, home, shell, reason)
        return found

    def change_user(self, name: str, *, home: str = "", shell: str = "", gid: int | None = None) -> None:
        old = self.users[name]
        self.users[name] = old._replace(
            home=home or old.home, shell=shell or old.shell, gid=old.gid if gid is None else gid
        )

    def add_member(self, user: str, group: str) -> None:
        found = self.group(group)
        if found is not None and user not in found.members:
            self.groups[group] = found._replace(members=tuple(sorted((*found.members, user))))

    def _new(self, name: str) -> int:
        return self._provisional.setdefault(name, _PROVISIONAL + len(self._provisional))

    def settle(self, used: set[int]) -> dict[int, int]:
        """Give final ids to what has provisional ones: by name, from 100; a user and a group of one name share one.

        Returns provisional → final. ``used`` are ids to leave alone.
        """
        taken = used | {u.uid for u in self.users.values()} | {g.gid for g in self.groups.values()}
        taken |= {g.gid for g in STATIC_GROUPS.values()}
        free = (n for n in range(FIRST, LAST + 1) if n not in taken)
        final = {self._provisional[name]: next(free) for name in sorted(self._provisional)}
        self.users = {
            n: u._replace(uid=final.get(u.uid, u.uid), gid=final.get(u.gid, u.gid)) for n, u in self.users.items()
        }
        self.groups = {n: g._replace(gid=final.get(g.gid, g.gid)) for n, g in self.groups.items()}
        self._provisional.clear()
        return final

    def name_static(self, uids: set[int], gids: set[int]) -> None:
        """Let every static id that some file has get its name."""
        for user in STATIC_USERS.values():
            if user.uid in uids and all(u.uid != user.uid for u in self.users.values()):
                self.user(user.name)
        for group in STATIC_GROUPS.values():
            if group.gid in gids and all(g.gid != group.gid for g in self.groups.values()):
                self.group(group.name)

    def passwd(self) -> str:
        """The text of /etc/passwd; nobody has a password (``x``, and there is no shadow file)."""
        rows = sorted(self.users.values(), key=lambda u: (u.uid, u.name))
        return "".join(f"{u.name}:x:{u.uid}:{u.gid}:{u.gecos}:{u.home}:{u.shell}\n" for u in rows)

    def group_text(self) -> str:
        """The text of /etc/group."""
        rows = sorted(self.groups.values(), key=lambda g: (g.gid, g.name))
        return "".join(f"{g.name}:x:{g.gid}:{','.join(g.members)}\n" for g in rows)
