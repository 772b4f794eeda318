"""The OCI runtime's configuration of one instance, as small as an instance needs.

The format is the OCI runtime specification's config.md. What is left out is left out on purpose: a cgroup mount costs
10 ms and nobody needs it, device rules cost an eBPF program where the user namespace already forbids mknod, and the
root needs no /tmp or /run of its own, since the overlay's upper layer already is the instance's own tmpfs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from oslet.run.ids import Mapping, has_gid

PLACE = "/sys/fs/cgroup"
"""Where the monitor's mount namespace has the instance's file system; see ``enter.sh``."""

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
)
"""What tells of the machine: its memory, keys, timers and devices."""

READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What would set something in the machine."""

OWN = -1
"""In a descriptor's place: a new network namespace that leads nowhere."""

SHARED = ("user", "pid", "network", "ipc", "uts")
"""What a visitor shares with an instance: all but the mounts."""

TTY_GROUP = 5
"""Debian's ``tty``, which owns terminals where the instance has such a group."""


class Process(NamedTuple):
    """What runs: ``capabilities`` by their kernel names (``CAP_CHOWN``)."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    workdir: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    terminal: bool = False


def process(wanted: Process) -> dict[str, Any]:
    """The ``process`` part: also what ``crun exec --process`` reads."""
    names = [c if c.startswith("CAP_") else f"CAP_{c}" for c in (c.upper() for c in wanted.capabilities)]
    return {
        "terminal": wanted.terminal,
        "user": {"uid": wanted.uid, "gid": wanted.gid, "additionalGids": list(wanted.groups)},
        "args": list(wanted.args),
        "env": [f"{name}={value}" for name, value in wanted.env],
        "cwd": wanted.workdir,
        "noNewPrivileges": True,
        # Ambient too, since a service user's exec would lose the others.
        "capabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), names),
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, _files()],
    }


def config(
    run: Process,
    *,
    hostname: str,
    mapping: Mapping,
    volumes: Sequence[tuple[str, str]],
    network: int | None = OWN,
    writable: bool = True,
    filters: dict[str, Any] | None = None,
    files: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The whole configuration. ``volumes`` are folders here and their paths inside, ``files`` what is only read there;
    ``network`` is the descriptor of a
    namespace to join, ``OWN`` for a new one, or None for the caller's; ``filters`` are ``seccomp()`` unless given."""
    namespaces = [{"type": name} for name in ("user", "mount", "pid", "ipc", "uts", "cgroup")]
    if network is not None:
        joined = {} if network == OWN else {"path": f"/proc/{os.getpid()}/fd/{network}"}
        namespaces.append({"type": "network", **joined})
    return {
        "ociVersion": "1.0.2",
        "process": process(run),
        "root": {"path": "root", "readonly": not writable},
        "hostname": hostname,
        "mounts": [
            *_mounts(mapping),
            *(_bind(source, path, "rw", "nodev") for source, path in volumes),
            *(_bind(source, path, *_LENT.get(path, ("ro", "nodev"))) for source, path in files),
        ],
        "linux": {
            "uidMappings": [_extent(e) for e in mapping.inner_uids],
            "gidMappings": [_extent(e) for e in mapping.inner_gids],
            "namespaces": namespaces,
            "seccomp": filters or seccomp(),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
        },
    }


def join(told: dict[str, Any], joined: dict[str, int]) -> None:
    """Have it share namespaces, given as open descriptors, with whom they are of: ids and host name are set there."""
    linux = told["linux"]
    paths = {kind: f"/proc/{os.getpid()}/fd/{fd}" for kind, fd in joined.items()}
    linux["namespaces"] = [{"type": "mount"}, *({"type": kind, "path": path} for kind, path in paths.items())]
    for part, key in ((linux, "uidMappings"), (linux, "gidMappings"), (told, "hostname")):
        del part[key]


@cache
def _files() -> dict[str, Any]:
    """Descriptors: 1024, which select(2) can take, unless the application asks for more."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return {"type": "RLIMIT_NOFILE", "soft": min(1024, hard), "hard": hard}


def _extent(extent: tuple[int, int, int]) -> dict[str, int]:
    inside, outside, count = extent
    return {"containerID": inside, "hostID": outside, "size": count}


def _mounts(mapping: Mapping) -> list[dict[str, Any]]:
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if has_gid(mapping, TTY_GROUP):
        terminals.append(f"gid={TTY_GROUP}")
    return [
        _mount("/proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        _mount("/dev/pts", "devpts", terminals),
        _mount("/dev/shm", "tmpfs", ["nosuid", "noexec", "nodev", "mode=1777", "size=256m"]),
    ]


def _mount(path: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": path, "type": kind, "source": kind, "options": options}


_LENT = {"/dev/kvm": ("rw",)}
"""Devices, which are written to."""


def _bind(source: str, path: str, *options: str) -> dict[str, Any]:
    return {"destination": path, "type": "bind", "source": source, "options": ["rbind", "nosuid", *options]}


@cache
def seccomp(beside: tuple[str, ...] = ()) -> dict[str, Any]:
    """The system calls an instance may make: ``seccomp.json``, which says of each group it leaves out why; and those
    named ``beside``."""
    table = json.loads(Path(__file__).with_name("seccomp.json").read_text("utf-8"))
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_AARCH64" if os.uname().machine == "aarch64" else "SCMP_ARCH_X86_64"],
        "syscalls": table["rules"] + [{"names": [*table["allow"], *beside], "action": "SCMP_ACT_ALLOW"}],
    }
