"""The folders every program expects (FHS 3.0, hier(7)), and the few files of /etc that no package ships."""

from __future__ import annotations

from oslet.build.files import Files

ORIGIN = "made:layout"
FOLDERS = (
    ("/dev", 0o755), ("/etc", 0o755), ("/home", 0o755), ("/proc", 0o555), ("/root", 0o700),
    ("/run", 0o755), ("/run/lock", 0o1777), ("/sys", 0o555), ("/tmp", 0o1777), ("/usr/local", 0o755), ("/var", 0o755),
    ("/var/cache", 0o755), ("/var/lib", 0o755), ("/var/log", 0o755), ("/var/tmp", 0o1777),
)  # fmt: skip
LINKS = (("/var/run", "/run"), ("/var/lock", "/run/lock"))
_NSSWITCH = """# Accounts come from files; names from /etc/hosts and then the resolver (glibc has both built in).
passwd:         files
group:          files
shadow:         files
gshadow:        files
hosts:          files dns
networks:       files
protocols:      files
services:       files
ethers:         files
rpc:            files
"""

_RELEASES = {"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}


def layout(files: Files) -> None:
    """Make the folders that programs expect, with their modes, and the two links into /run."""
    for path, target in LINKS:
        entry = files.get(path)
        if entry is not None and entry.kind == "dir":
            for name in files.names(path):  # a package that ships /var/run/x means /run/x
                _move(files, f"{path}/{name}", f"{target}/{name}")
            files.remove(path, f"{path} is a link to {target}")
    for path, mode in FOLDERS:
        if files.get(path) is None:
            files.mkdir(path, mode=mode, origin=ORIGIN, reason="every program may expect it (FHS 3.0)")
        elif mode != 0o755:
            files.own(path, mode=mode)
    for path, target in LINKS:
        files.link(path, target, origin=ORIGIN, reason=f"older programs say {path} for {target} (FHS 3.0)")


def _move(files: Files, source: str, target: str) -> None:
    for entry in sorted(files, key=lambda e: e.path):
        if entry.path == source or entry.path.startswith(f"{source}/"):
            path = target + entry.path[len(source) :]
            files.place(type(entry)(path, *(getattr(entry, f) for f in entry.__struct_fields__[1:])))


def names(files: Files, suite: str) -> None:
    """Write nsswitch.conf and os-release where no package ships them; /etc/hosts is each instance's own."""
    if files.at("/etc/nsswitch.conf") is None:
        files.put(
            "/etc/nsswitch.conf",
            _NSSWITCH.encode(),
            origin=ORIGIN,
            reason="glibc looks up names by it (nsswitch.conf(5))",
        )
    if files.at("/etc/os-release") is None:
        if files.at("/usr/lib/os-release") is None:
            number = _RELEASES.get(suite, "")
            pretty = f"Debian GNU/Linux {number} ({suite})" if number else "Debian GNU/Linux"
            text = f'PRETTY_NAME="{pretty}"\nNAME="Debian GNU/Linux"\nID=debian\n'
            text += f'VERSION_ID="{number}"\n' if number else ""
            text += f"VERSION_CODENAME={suite}\n" if suite else ""
            files.put(
                "/usr/lib/os-release",
                text.encode(),
                origin=ORIGIN,
                reason="programs ask it what system this is (os-release(5))",
            )
        files.link(
            "/etc/os-release", "../usr/lib/os-release", origin=ORIGIN, reason="where os-release(5) says it stands"
        )
