"""Visiting: a sandbox with tools of its own beside an instance, whose processes and network it sees, but whose files it
does not change: it shares all of its namespaces but that of mounts, and has the instance's root at ``/instance``."""

from __future__ import annotations

import copy
import os
import secrets
from pathlib import Path

from msgspec.structs import replace

from oslet.errors import RunError
from oslet.run import config, ids, placing, records
from oslet.run.limits import Limits
from oslet.run.records import Record
from oslet.run.supervisor import slots
from oslet.run.supervisor.deciding import Asked, hostname
from oslet.run.supervisor.facts import Facts
from oslet.run.supervisor.launch import Launch
from oslet.run.supervisor.slots import Slot

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "KILL", "NET_RAW", "SYS_PTRACE")
"""What looking needs. They hold in the instance's own user namespace, so not for anything of the machine's."""
CALLS = ("ptrace", "process_vm_readv")
"""System calls that looking needs, beside an instance's."""
PLACE = "instance"


def visit(record: Record, asked: Asked, runtime: Path, crun: Path, outer: ids.Outer) -> tuple[Slot, Launch]:
    """A slot beside an instance, and what it is to become. RunError if it can't be made.

    It is in none of the instance's cgroups: what it uses is not the instance's.
    """
    facts = _facts(asked.facts, record, outer)
    layout = asked.layout._replace(limits=Limits(), attached=(), network="none", capabilities=CAPABILITIES, warm=())
    spaces = _namespaces(record)
    number = f"visit-{secrets.token_hex(6)}"
    try:
        slot = slots.fill(number, facts, layout, runtime, crun, filters=config.seccomp(CALLS), joined=spaces)
    except RunError as error:
        if not records.alive(record):
            raise RunError(f"{record.name} has ended") from None
        raise error
    finally:
        for fd in spaces.values():
            os.close(fd)
    name = hostname(record.name)
    for fd, text in zip(slot.names, (placing.hosts(name, record.network), f"{name}\n".encode()), strict=True):
        os.pwrite(fd, text, 0)
    (slot.folder / PLACE).symlink_to("/proc/1/root")
    env = dict(facts.environment((*asked.contract.env, *asked.start.wish.env)))
    return slot, Launch(asked.command, tuple(env.items()), "/")


def _facts(facts: Facts, record: Record, outer: ids.Outer) -> Facts:
    """The tools' facts with the instance's ids: as its root, or as its one user where it has no other."""
    made = copy.copy(facts)
    made.mapping = ids.mapping(record.uid, record.gid, outer)
    user, group = (0, 0) if ids.has_uid(made.mapping, 0) else (record.uid, record.gid)
    made.image = replace(facts.image, uid=user, gid=group)
    return made


def _namespaces(record: Record) -> dict[str, int]:
    """The instance's namespaces by the runtime's names, open, so that none is another process's."""
    opened: dict[str, int] = {}
    try:
        for kind in config.SHARED:
            file = {"network": "net"}.get(kind, kind)
            opened[kind] = os.open(f"/proc/{record.pid}/ns/{file}", os.O_RDONLY | os.O_CLOEXEC)
        if not records.alive(record):
            raise RunError(f"{record.name} doesn't run")
    except BaseException as error:
        for fd in opened.values():
            os.close(fd)
        if isinstance(error, OSError):
            raise RunError(f"{record.name} has ended") from None
        raise
    return opened
