"""Debian's own programs: dpkg's, debconf's, ucf, alternatives, and those that have nothing to do in an image."""

from __future__ import annotations

import re

from oslet.build.alternatives import Choice, Slave
from oslet.build.scripts.install import Debconf, Diversion
from oslet.build.scripts.shell import Command, Shell
from oslet.build.scripts.trees import mode_of, owner_of
from oslet.build.scripts.words import matches

_DEBCONF = """
db_version db_capb db_title db_settitle db_go db_reset db_subst db_fset db_stop db_purge db_register
db_unregister db_beginblock db_endblock db_progress db_metaget db_x_loadtemplatefile db_info
"""
_MACHINES = """
update-mime update-desktop-database update-mime-database update-menus gtk-update-icon-cache mandb catman
update-info-dir install-info install-docs update-icon-caches fc-cache update-fonts-dir update-fonts-alias
update-fonts-scale update-xmlcatalog update-catalog install-sgmlcatalog aa-enabled apparmor_parser aa-status
update-initramfs update-grub update-binfmts dpkg-reconfigure restorecon setsebool semodule apt-cache apt-
config apt-get apt-mark savelog logrotate update-motd sysctl modprobe depmod mount umount kill killall pkill
logger wall clear stty tty dbus-send emacs-package-install emacs-package-remove install-menu ispell-
autobuildhash ischroot-helper
"""
_SERVICES = """
deb-systemd-helper deb-systemd-invoke systemctl update-rc.d service start-stop-daemon telinit initctl systemd-
notify udevadm loginctl runlevel policy-rc.d insserv
"""
NOTHING = {
    # no service manager runs in an image: the start contract says what runs
    **dict.fromkeys(
        _SERVICES.split(),
        "there is no service manager in an image",
    ),
    # done once for the whole image, by a step of its own
    **dict.fromkeys(["ldconfig"], "the step ldconfig writes the linker's cache"),
    **dict.fromkeys(["systemd-tmpfiles"], "the step tmpfiles makes what tmpfiles.d declares"),
    **dict.fromkeys(
        ["py3compile", "py3clean", "pycompile", "pyclean", "py3versions", "pypy3compile", "pypy3clean"],
        "the byte-code step compiles all modules",
    ),
    **dict.fromkeys(["update-ca-certificates"], "the step certificates writes the bundle"),
    # caches of desktops and manuals, which an image of one application doesn't have
    **dict.fromkeys(
        _MACHINES.split(),
        "it concerns the running machine, manuals or desktops",
    ),
}  # fmt: skip


def _nothing(shell: Shell, args: list[str]) -> int:
    return 0


def _invoke(shell: Shell, args: list[str]) -> int:
    return 3 if "status" in args else 0


def _no(shell: Shell, args: list[str]) -> int:
    return 1


def _dpkg(shell: Shell, args: list[str]) -> int:
    if args[:1] == ["--compare-versions"]:
        left, relation, right = args[1], args[2], args[3] if len(args) > 3 else ""
        return 0 if compare(left, relation, right) else 1
    if args[:1] == ["--print-architecture"] or args[:1] == ["--print-foreign-architectures"]:
        shell.write(f"{shell.install.arch}\n" if args[0] == "--print-architecture" else "")
        return 0
    if args[:1] in (["--validate-version"], ["--assert-support-predepends"], ["--assert-multi-arch"]):
        return 0
    if args[:1] in (["-s"], ["--status"]):
        version = shell.install.version(args[-1])
        if version is None:
            return 1
        shell.write(f"Package: {args[-1]}\nStatus: install ok installed\nVersion: {version}\n")
        return 0
    if args[:1] in (["-L"], ["--listfiles"]):
        own = [p for p, e in sorted(shell.install.shipped.items()) if e.origin == args[-1]]
        shell.write("".join(f"{p}\n" for p in own))
        return 0 if own else 1
    if args[:1] in (["-S"], ["--search"]):
        found = [(e.origin, p) for p, e in sorted(shell.install.shipped.items()) if matches(p, args[-1])]
        shell.write("".join(f"{origin}: {p}\n" for origin, p in found))
        return 0 if found else 1
    raise shell.unreadable(None, "this use of dpkg isn't understood")


def compare(left: str, relation: str, right: str) -> bool:
    """dpkg's comparison (dpkg(1)): an empty version is before any, or after any for the ``-nl`` relations."""
    later = relation.endswith("-nl")
    relation = relation.removesuffix("-nl")
    if not left or not right:
        sign = ((left != "") - (right != "")) * (-1 if later else 1)
    else:
        a, b = _version_key(left), _version_key(right)
        sign = (a > b) - (a < b)
    return {
        "lt": sign < 0, "le": sign <= 0, "eq": sign == 0, "ne": sign != 0, "ge": sign >= 0, "gt": sign > 0,
        "<": sign <= 0, "<<": sign < 0, "<=": sign <= 0, "=": sign == 0, ">=": sign >= 0, ">>": sign > 0,
        ">": sign >= 0,
    }[relation]  # fmt: skip


def _version_key(
    version: str,
) -> tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    return int(epoch) if epoch.isdigit() else 0, _part_key(upstream), _part_key(revision)


def _part_key(part: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    def weight(char: str) -> int:
        return -1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256

    found = [((*(weight(c) for c in text), 0), int(digits or "0")) for text, digits in re.findall(r"(\D*)(\d*)", part)]
    return tuple(found)


def _query(shell: Shell, args: list[str]) -> int:
    names = [a for a in args if not a.startswith("-")]
    form = next(
        (a.partition("=")[2] or "" for a in args if a.startswith(("-f=", "--showformat="))), "${Package}\t${Version}\n"
    )
    if "-f" in args:
        form = args[args.index("-f") + 1]
        names.remove(form)
    if any(a in ("-L", "--listfiles", "-s", "--status") for a in args):
        return _dpkg(shell, ["-L" if {"-L", "--listfiles"} & set(args) else "-s", names[-1]])
    status = 0
    for name in names:
        version = shell.install.version(name.partition(":")[0])
        if version is None:
            status = 1
            continue
        values = {"Package": name, "binary:Package": name, "Version": version, "Status": "install ok installed",
                  "Architecture": shell.install.arch, "db:Status-Abbrev": "ii ", "db:Status-Status": "installed",
                  "db:Status-Want": "install", "source:Version": version}  # fmt: skip
        text = form.replace("\\n", "\n").replace("\\t", "\t")
        shell.write(re.sub(r"\$\{([^};]+)(?:;\d+)?\}", lambda m: values.get(m[1], ""), text))  # noqa: B023
    return status


def _divert(shell: Shell, args: list[str]) -> int:
    values = {"--divert": "", "--package": shell.install.package}
    rest, paths, verb = list(args), [], "add"
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in values or name in ("--instdir", "--admindir", "--root"):
            values[name] = value if equals else rest.pop(0)
        elif word in ("--add", "--remove", "--list", "--listpackage", "--truename"):
            verb = word[2:]
        elif not word.startswith("--"):
            paths.append(word)
    if verb == "add" and paths:
        path = shell.path(paths[0])
        package = "" if "--local" in args else values["--package"]
        to = values["--divert"] or f"{path}.distrib"
        if not any(d.path == path for d in shell.install.diversions):
            shell.install.diversions.append(Diversion(path, to, package))
            divert(shell, path, to, package)
    elif verb in ("listpackage", "truename", "list"):
        for diversion in shell.install.diversions:
            if paths and diversion.path == shell.path(paths[0].replace("*", "")):
                shell.write(
                    {"listpackage": diversion.package, "truename": diversion.to}.get(verb, diversion.path) + "\n"
                )
                return 0
        if verb == "truename":
            shell.write(paths[0] + "\n")
    return 0


def divert(shell: Shell, path: str, to: str, package: str) -> None:
    """Move what another package brought at ``path`` out of the way."""
    entry = shell.install.files.at(path)
    if entry is None or (package and entry.origin == package):
        return
    files = shell.install.files
    if entry.kind == "file":
        reason = f"{entry.reason}; {shell.evidence()}" if entry.reason else shell.evidence()
        files.remove(entry.path, f"diverted to {to}: {shell.evidence()}")
        files.place(
            type(entry)(
                to, "file", entry.mode, entry.uid, entry.gid, entry.size, entry.digest, "", entry.origin, reason
            )
        )


def _statoverride(shell: Shell, args: list[str]) -> int:
    rest = [a for a in args if a not in ("--update", "--force", "--quiet", "--force-all", "--force-statoverride-add")]
    if rest[:1] == ["--list"]:
        return 0 if len(rest) > 1 and rest[1] in shell.install.overrides else 1
    if rest[:1] == ["--add"] and len(rest) == 5:
        shell.install.overrides.add(rest[4])
        if "--update" in args and (entry := shell.install.files.at(shell.path(rest[4]))):
            uid, gid = owner_of(shell, f"{rest[1].lstrip('#')}:{rest[2].lstrip('#')}")
            mode = mode_of(shell, rest[3], entry.mode)
            shell.install.own(entry.path, shell.evidence(), uid=uid, gid=gid, mode=mode)
        return 0
    if rest[:1] == ["--remove"]:
        return 0
    raise shell.unreadable(None, "this use of dpkg-statoverride isn't understood")


def _maintscript(shell: Shell, args: list[str]) -> int:
    """dpkg-maintscript-helper(1): all its verbs but ``supports`` move what an older version left behind."""
    return 0


def _alternatives(shell: Shell, args: list[str]) -> int:
    rest = [a for a in args if a not in ("--quiet", "--force", "--verbose", "--skip-auto")]
    while rest[:1] and rest[0] in ("--altdir", "--admindir", "--log", "--instdir", "--root"):
        rest = rest[2:]
    if rest[:1] == ["--install"]:
        link, name, path, priority = rest[1:5]
        slaves, at = [], 5
        while at < len(rest):
            if rest[at] != "--slave" or at + 3 >= len(rest):
                raise shell.unreadable(None, "this use of update-alternatives isn't understood")
            slaves.append(Slave(*rest[at + 1 : at + 4]))
            at += 4
        shell.install.alternatives.add(Choice(link, name, path, int(priority), tuple(slaves), shell.evidence()))
        best = shell.install.alternatives.best(name)
        return 0 if best is not None else 2
    if rest[:1] in (["--list"], ["--query"], ["--display"]):
        known = shell.install.alternatives.choices.get(rest[1], {})
        shell.write("".join(f"{p}\n" for p in sorted(known)))
        return 0 if known else 2
    if rest[:1] in (["--remove"], ["--remove-all"], ["--auto"]):
        return 0
    raise shell.unreadable(None, "this use of update-alternatives isn't understood")


def _ucf(shell: Shell, args: list[str]) -> int:
    valued = {"--src-dir", "-S", "--debconf-template", "--sum-file", "--state-dir"}
    paths, rest = [], list(args)
    while rest:
        word = rest.pop(0)
        if word in valued:
            rest.pop(0)
        elif word in ("--purge", "-p"):
            return 0
        elif not word.startswith("-"):
            paths.append(shell.path(word))
    source, target = paths[:2]
    if not shell.install.is_file(source):
        return 2
    if shell.install.is_dir(target):
        target = f"{target}/{source.rpartition('/')[2]}"
    if shell.install.look(target) is None:
        entry = shell.install.look(source)
        mode = entry.mode if entry is not None and not source.startswith("/tmp/") else 0o644
        shell.install.put(target, shell.install.data(source), mode, shell.evidence())
    return 0


def _apache(kind: str) -> Command:
    """a2enmod(8) and its kin: links from ``KIND-available`` to ``KIND-enabled``, dependencies of modules first."""

    def enable(shell: Shell, args: list[str]) -> int:
        for name in (a.removesuffix(".conf") for a in args if not a.startswith("-")):
            base = f"/etc/apache2/{kind}-available/{name}"
            if kind == "mods" and shell.install.is_file(f"{base}.load"):
                needed = re.findall(r"^# Depends: (.*)$", shell.install.text(f"{base}.load"), re.MULTILINE)
                missing = [n for line in needed for n in line.split()
                           if shell.install.look(f"/etc/apache2/mods-enabled/{n}.load") is None]  # fmt: skip
                if missing and enable(shell, missing):
                    return 1
            if not any(shell.install.is_file(f"{base}.{end}") for end in ("load", "conf")):
                return 1
            for end in ("load", "conf"):
                if shell.install.is_file(f"{base}.{end}"):
                    path = f"/etc/apache2/{kind}-enabled/{name}.{end}"
                    shell.install.link(path, f"../{kind}-available/{name}.{end}", shell.evidence())
        return 0

    return enable


def _add_shell(shell: Shell, args: list[str]) -> int:
    path = "/etc/shells"
    text = shell.install.text(path) if shell.install.is_file(path) else "# /etc/shells: valid login shells\n"
    new = [a for a in args if a.startswith("/") and a not in text.splitlines()]
    shell.install.put(path, (text + "".join(f"{n}\n" for n in new)).encode(), 0o644, shell.evidence())
    return 0


def _update_shells(shell: Shell, args: list[str]) -> int:
    """update-shells(8): the shells that packages declare in shells.d, with their other name on a merged /usr."""
    declared = []
    for path in shell.install.glob("/usr/share/debianutils/shells.d/*"):
        for line in shell.install.text(path).splitlines():
            if line.startswith("/"):
                declared += [line, line.removeprefix("/usr") if line.startswith("/usr/bin/") else f"/usr{line}"]
    return _add_shell(shell, declared)


def _setcap(shell: Shell, args: list[str]) -> int:
    operands = [a for a in args if not a.startswith("-")]
    if len(operands) == 2:
        shell.install.capabilities[shell.path(operands[1])] = shell.evidence()
    return 0


def _uname(shell: Shell, args: list[str]) -> int:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(shell.install.arch, shell.install.arch)
    values = {
        "s": "Linux",
        "m": machine,
        "r": "6.12.0",
        "v": "#1 SMP",
        "n": "localhost",
        "o": "GNU/Linux",
        "p": "unknown",
    }
    letters = "".join(a[1:] for a in args if a.startswith("-") and not a.startswith("--")) or "s"
    shell.write(" ".join(values.get(c, "Linux") for c in letters) + "\n")
    return 0


def _db_get(shell: Shell, args: list[str]) -> int:
    question = shell.install.templates.get(args[0], Debconf("", ""))
    shell.assign("RET", shell.install.questions.get(args[0], question.default))
    return 0 if args[0] in shell.install.templates or args[0] in shell.install.questions else 10


def _db_set(shell: Shell, args: list[str]) -> int:
    shell.install.questions[args[0]] = args[1] if len(args) > 1 else ""
    shell.assign("RET", "value set")
    return 0


def _db_fget(shell: Shell, args: list[str]) -> int:
    shell.assign("RET", "false")
    return 0


def _db(shell: Shell, args: list[str]) -> int:
    shell.assign("RET", "")
    return 0


def _db_input(shell: Shell, args: list[str]) -> int:
    return 30


def _mountpoint(shell: Shell, args: list[str]) -> int:
    """What every instance has mounted (run/config.py) is taken to be there already."""
    return 0 if args and args[-1].rstrip("/") in ("/proc", "/sys", "/dev") else 32


TABLE: dict[str, Command] = {
    **dict.fromkeys(NOTHING, _nothing),
    **dict.fromkeys(_DEBCONF.split(), _db),
    "db_get": _db_get, "db_set": _db_set, "db_fget": _db_fget, "db_input": _db_input, "invoke-rc.d": _invoke,
    "dpkg": _dpkg, "dpkg-query": _query, "dpkg-divert": _divert, "dpkg-statoverride": _statoverride,
    "dpkg-maintscript-helper": _maintscript, "dpkg-trigger": _nothing, "update-alternatives": _alternatives,
    "ucf": _ucf, "ucfr": _nothing, "add-shell": _add_shell, "remove-shell": _nothing, "update-shells": _update_shells,
    "a2enmod": _apache("mods"), "a2ensite": _apache("sites"), "a2enconf": _apache("conf"), "a2query": _no,
    "setcap": _setcap, "uname": _uname, "arch": _uname, "ischroot": _nothing, "pidof": _no, "pgrep": _no,
    "ps": _nothing, "ss": _nothing, "netstat": _nothing, "who": _nothing, "systemd-detect-virt": _no,
    "mountpoint": _mountpoint,
    "selinuxenabled": _no, "lsb_release": _no, "hostname": _nothing, "df": _no,
}  # fmt: skip
