"""Deciding: what a start is to become, before anything is made for it."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.model.instance import Arguments, Secret
from oslet.model.oslet import File
from oslet.model.oslet import Start as Contract
from oslet.run import config, ids, limits, network, records, snapshots, volumes, wire
from oslet.run.net import allowing, plug
from oslet.run.records import Record
from oslet.run.supervisor import machines
from oslet.run.supervisor.facts import Facts, Layout
from oslet.run.supervisor.machines import MachineFacts
from oslet.run.supervisor.slots import Slot
from oslet.store import Store

_KNOWN = 8
"""How many images' facts are remembered."""


class Asked(NamedTuple):
    """A start, as far as it is decided before a sandbox is chosen."""

    start: wire.Start
    facts: Facts
    arguments: Arguments
    contract: Contract
    command: tuple[str, ...]
    network: str
    published: tuple[records.Published, ...]
    name: str
    layout: Layout
    rendered: tuple[File, ...]


class Decisions:
    """What is decided from a request and an image alone. ``outer`` are the ids around this supervisor."""

    def __init__(self, outer: ids.Outer) -> None:
        self._outer = outer
        self._facts: OrderedDict[tuple[str, str, str], Facts] = OrderedDict()
        self._lock = threading.Lock()

    def decide(self, start: wire.Start) -> Asked:
        """A start with its arguments bound. DeclarationError or RunError for what can't be."""
        from oslet.bind import bind, start_with

        facts = self.facts(start)
        image, wish = facts.image, start.wish
        arguments = bind([p for p in image.params if p.at == "start"], start.arguments)
        contract = start_with(image.start, arguments)
        command = wish.command or contract.command
        if not command:
            raise RunError(f"{image.name} has no command", hint="give one after the image, or declare command = […]")
        mode = wish.network or contract.network
        if wish.network:
            plug.check(wish.network)
        if wish.allow:
            allowing.allowed(wish.allow)
        declared = contract.ports if mode in (plug.PRIVATE, "host") else ()  # others reach it by its name
        ports = network.published(declared, wish.publish) if mode != "none" else ()
        if mode == "host" and any(p.container != p.host for p in ports):
            raise RunError(
                "with --network host a port can't be published under another number",
                hint="leave -p out, and set the application's own port by its parameter",
            )
        if wish.hardware:
            machines.check(wish, mode)
        name = wish.name or image.name
        layout = self._layout(start, contract, mode, name)
        return Asked(start, facts, arguments, contract, tuple(command), mode, ports, name, layout, image.rendered)

    def facts(self, start: wire.Start) -> Facts:
        hardware = start.wish.hardware
        key = (start.image, start.tree, hardware.tree if hardware else "")
        with self._lock:
            if found := self._facts.get(key):
                self._facts.move_to_end(key)
                return found
        store = Store(Path(start.store))
        found = Facts(store, start.image, start.tree, Path(start.root), self._outer)
        if hardware:
            found = MachineFacts(store, start.image, hardware, found, self._outer)
        with self._lock:
            self._facts[key] = found
            while len(self._facts) > _KNOWN:
                self._facts.popitem(last=False)
        return found

    def layout(self, asked: Asked, name: str) -> Layout:
        return self._layout(asked.start, asked.contract, asked.network, name)

    def _layout(self, start: wire.Start, contract: Contract, mode: str, name: str) -> Layout:
        data = Path(start.data)
        snapshot = snapshots.place(data, start.image, contract)
        return Layout(
            image=start.image,
            tree=start.tree,
            root=start.root,
            limits=machines.limits(start.wish.limits, start.wish.hardware),
            attached=volumes.chosen(
                contract.volumes,
                start.wish.volumes,
                data,
                name,
                snapshots={contract.warm.snapshot: snapshot} if snapshot else {},
                fresh=start.wish.fresh,
            ),
            data=start.data,
            network=mode,
            capabilities=contract.capabilities,
            workdir=contract.workdir,
            warm=_interpreter(contract.command) if contract.warm.modules and not start.wish.tty else (),
            seccomp=start.wish.seccomp,
            calls=start.wish.calls if start.wish.seccomp != "default" else None,
            read_only=start.wish.read_only,
            hardware=start.wish.hardware,
        )


def record(asked: Asked, slot: Slot, name: str) -> Record:
    image, contract, wish = asked.facts.image, asked.contract, asked.start.wish
    terminal = (("TERM", "xterm"),) if wish.tty else ()
    return Record(
        id=slot.id,
        name=name,
        image=asked.start.image,
        image_name=image.name,
        created=time.time(),
        boot=records.boot(),
        pid=slot.pid,
        pid_began=slot.began,
        slot=slot.id,
        uid=image.uid,
        gid=image.gid,
        env=asked.facts.environment((*terminal, *contract.env, *wish.env)),
        workdir=contract.workdir,
        capabilities=contract.capabilities,
        stop_signal=contract.stop_signal,
        ports=tuple(int(port) for port in contract.ports),
        published=asked.published,
        network=asked.network,
        cgroups=tuple(str(limits.CGROUPS / g.relative_to(Path(config.PLACE, "cgroup"))) for g in slot.groups),
        health=contract.health,
        remove=wish.remove,
        restart=wish.restart,
        membership=wish.membership,
        plug=slot.plug,
        volumes=slot.volumes,
        allow=wish.allow,
        token=asked.start.token,
        arguments={name: value for name, value in asked.arguments.values.items() if not isinstance(value, Secret)},
        attached=asked.start.attached,
        vmm=wish.hardware.vmm if wish.hardware else "",
        watcher=slot.watcher,
        watcher_began=(records.began(slot.watcher) or 0) if slot.watcher else 0,
    )


def _interpreter(command: tuple[str, ...]) -> tuple[str, ...]:
    """The Python of a command, and the options before its module or file: what can be warmed. Empty for others."""
    if not command or not re.fullmatch(r"python3?(\.\d+)?", command[0].rpartition("/")[2]):
        return ()
    options = 1
    while options < len(command) and re.fullmatch(r"-[bBdEiIOqsSuvx]+", command[options]):
        options += 1
    return command[:options]


def hostname(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:63].strip("-") or "oslet"
