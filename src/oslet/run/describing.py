"""Describing: all that is known of one instance, in one value; and what its processes are told."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from msgspec import Struct

from oslet.errors import RunError
from oslet.model.instance import Instance
from oslet.model.stack import Membership
from oslet.run import living, records
from oslet.run.records import Published, Record
from oslet.run.within import Interface, Memory, Process, System, interfaces, processes, system, within


class Network(Struct, frozen=True):
    """Which one, its address there, the addresses that it may reach (None is all), and its ends while it runs."""

    name: str
    address: str
    allow: tuple[str, ...] | None
    interfaces: tuple[Interface, ...] = ()


class Running(Struct, frozen=True):
    """What is known of one while it runs."""

    system: System
    memory: Memory
    cpu: float
    counted: dict[str, int]
    processes: tuple[Process, ...]


class Description(Struct, frozen=True):
    """An instance. ``arguments`` are all but the secrets; ``env`` is what its application was started with; ``user``
    are uid and gid; ``volumes`` are this machine's folders."""

    instance: Instance
    arguments: dict[str, Any]
    env: dict[str, str]
    workdir: str
    user: tuple[int, int]
    capabilities: tuple[str, ...]
    stop_signal: str
    restart: str
    ports: tuple[Published, ...]
    network: Network
    volumes: tuple[str, ...]
    stack: Membership | None
    running: Running | None


def describe(state: Path, ref: str) -> Description:
    """RunError if there is no such instance; of one that has ended, what is left."""
    folder, record = records.find(state, ref)
    running, ends = _running(state, record)
    return Description(
        instance=records.observe(folder, record),
        arguments=record.arguments,
        env=dict(record.env),
        workdir=record.workdir,
        user=(record.uid, record.gid),
        capabilities=record.capabilities,
        stop_signal=record.stop_signal,
        restart=record.restart,
        ports=record.published,
        network=Network(record.network, record.plug.address if record.plug else "", record.allow, ends),
        volumes=record.volumes,
        stack=record.membership,
        running=running,
    )


def _running(state: Path, record: Record) -> tuple[Running | None, tuple[Interface, ...]]:
    try:
        way, used = within(state, record), living.used(record)
        now = Running(
            system=system(way, hostname(record)),
            memory=way.memory(),
            cpu=used.cpu,
            counted=used.counted,
            processes=processes(way),
        )
        return now, interfaces(way)
    except (RunError, OSError):
        return None, ()  # it has ended meanwhile


def hostname(record: Record) -> str:
    from oslet.run.supervisor.deciding import hostname

    return hostname(record.name)


def environment(state: Path, ref: str) -> dict[str, str]:
    """What its application was started with."""
    return dict(records.find(state, ref)[1].env)


def signal_process(state: Path, ref: str, pid: int, name: str) -> None:
    """Send a signal, by its name or number, to a process of an instance, by its number in there; 1 is the application.
    RunError if there is none of that number."""
    record = records.find(state, ref)[1]
    number = living.signal_number(name)
    if pid == 1:
        return living.send(state, record.id, name)
    if record.vmm:
        raise RunError("in a guest only the application, process 1 to us, can be sent a signal")
    way = within(state, record)
    outer = next((outer for outer, inner in way.pids().items() if inner == pid), 0)
    if not outer:
        raise RunError(f"{record.name} has no process {pid}", hint=f"oslet inspect {record.name} lists them")
    try:
        target = os.pidfd_open(outer)
    except OSError:
        return None  # it has ended meanwhile
    try:
        if way.pids().get(outer) == pid:  # so that the descriptor is of that one, and not of the number's next
            signal.pidfd_send_signal(target, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise RunError(f"process {pid} of {record.name} is another user's here") from None
    finally:
        os.close(target)
    return None
