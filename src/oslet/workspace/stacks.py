"""Stacks: brought up, each member after what it needs, and down."""

from __future__ import annotations

import fcntl
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from oslet import group
from oslet.codec.stacks import Read
from oslet.codec.stackshape import NAME
from oslet.errors import RunError
from oslet.group import Ready
from oslet.model.instance import Instance
from oslet.model.stack import Membership
from oslet.run import inspect, remove, remove_volume, stop
from oslet.run import records as kept
from oslet.workspace.prepared import Prepared, members
from oslet.workspace.running import Running

if TYPE_CHECKING:
    from oslet.run import Wish
    from oslet.workspace import Workspace

PATIENCE = 60.0
"""Seconds that a member may take until it is healthy, or done."""
_AT_ONCE = 8


class Came(Struct, frozen=True):
    """One member that is up: how far it is, and what this machine connects with, without secrets."""

    member: str
    state: Literal["healthy", "running", "done", "ended"]
    url: str
    instance: Instance


def up(
    workspace: Workspace,
    prepared: Prepared,
    *,
    keep: bool = False,
    patience: float = PATIENCE,
    notice: Callable[[str], None],
) -> tuple[Came, ...]:
    """Make what runs what is asked for, and wait until it is healthy. RunError names the member that isn't; what this
    call started is stopped then, unless it is to ``keep`` it. RunError, too, if it changed meanwhile."""
    name = prepared.read.stack.name
    with _alone(workspace, name):
        if {each.id for each in members(workspace, name)} != {each.id for each in prepared.seen}:
            raise RunError(f"the stack {name} was changed meanwhile", hint="look again, with `oslet up --plan`")
        todo = {move.member: move.what for move in prepared.moves}
        for each in reversed(prepared.seen):
            if todo.get(each.membership.member) in ("stop", "replace"):
                workspace.progress(f"stopping {each.membership.member}", 0, 0)
                _end(workspace, each.id)
        rising = _Rising(workspace, prepared, todo, patience, notice, keep)
        try:
            return rising.rise()
        except BaseException:
            rising.fall()  # what was still on its way when the others were stopped
            raise


def down(workspace: Workspace, name: str, *, grace: float = 10, volumes: bool = False) -> tuple[str, ...]:
    """End a stack's instances, last started first, and remove all but their volumes; with ``volumes``, these too.
    The names of what was there. RunError when there is nothing of that name."""
    with _alone(workspace, name):
        seen = members(workspace, name)
        ranks = sorted({each.membership.rank for each in seen}, reverse=True)
        for rank in ranks:
            wave = [each for each in seen if each.membership.rank == rank]
            workspace.progress(f"stopping {', '.join(each.membership.member for each in wave)}", 0, 0)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda each: _end(workspace, each.id, grace), wave))
        data = workspace.places.data
        own = sorted(path.name for path in data.glob(f"{name}.*")) if volumes and data.is_dir() else []
        for volume in own:
            remove_volume(data, volume)
    if not seen and not own:
        raise RunError(f"nothing runs of a stack {name!r}", hint="oslet ps --all shows each instance's stack")
    return (*(each.membership.member for each in reversed(seen)), *own)


class _Rising:
    """One bringing up: members start as soon as what they need is there, each in a thread of its own."""

    def __init__(
        self,
        workspace: Workspace,
        prepared: Prepared,
        todo: Mapping[str, str],
        patience: float,
        notice: Callable[[str], None],
        keep: bool,
    ) -> None:
        self.workspace = workspace
        self.prepared = prepared
        self.todo = todo
        self.patience = patience
        self.notice = notice
        self.keep = keep
        self.ids = {each.membership.member: each.id for each in prepared.seen}
        self.started: list[str] = []
        self.failed = threading.Event()
        self.asked = {each.member.name: each.contract.health for each in prepared.ready}
        needs = [need for ready in prepared.ready for need in ready.member.needs]
        self.awaited = {until: {n.member for n in needs if n.until == until} for until in ("healthy", "done")}

    def rise(self) -> tuple[Came, ...]:
        ready = {each.member.name: each for each in self.prepared.ready}
        sorter = TopologicalSorter({n: [need.member for need in each.member.needs] for n, each in ready.items()})
        sorter.prepare()
        running: dict[Future[None], str] = {}
        later: list[str] = []
        there = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                while sorter.is_active():
                    for name in sorter.get_ready():
                        running[pool.submit(self.bring, ready[name])] = name
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        future.result()
                        name = running.pop(future)
                        later += [] if self.needed(name) else [name]
                        sorter.done(name)
                        there += 1
                        self.workspace.progress(f"{name} is there", there, len(ready))
                list(pool.map(self.settle, [name for name in later if ready[name].member.wait]))
            except BaseException:
                self.fall()  # before the threads are waited for, since what they wait for ends with it
                raise
        return tuple(self.came(each) for each in self.prepared.ready)

    def needed(self, name: str) -> bool:
        """Whether somebody waits for more than this member's start."""
        return any(name in waiting for waiting in self.awaited.values())

    def bring(self, ready: Ready) -> None:
        name = ready.member.name
        if self.failed.is_set():
            return
        if self.todo[name] != "keep":
            self.workspace.progress(f"starting {name}", 0, 0)
            wish = wish_of(self.prepared, ready)
            running = self.workspace.start(
                ready.built, ready.arguments, wish, notice=lambda said: self.notice(f"{name}: {said}")
            )
            self.ids[name] = running.id
            self.started.append(name)
        if self.needed(name):
            self.settle(name)

    def settle(self, name: str) -> None:
        """Wait until a member is as far as the others need it, or healthy. RunError if it comes to nothing."""
        running = Running(inspect(self.workspace.places.state, self.ids[name]), self.workspace)
        if name not in self.awaited["done"]:
            self.workspace.progress(f"waiting for {name}", 0, 0)
            try:
                running.ready(self.patience)
            except RunError:
                if self.asked[name] or running.observed.exit_code != 0:
                    raise  # one without a health check may have done its work already
        elif (code := running.wait(self.patience)) != 0:
            said = running.logs().splitlines()[-8:]
            raise RunError(
                f"{running.name} ended with exit code {code}, and others need it done",
                hint="\n    ".join(["its last words:", *(line[:200] for line in said)]) if said else "",
            )

    def came(self, ready: Ready) -> Came:
        name = ready.member.name
        instance = inspect(self.workspace.places.state, self.ids[name])
        waited = ready.member.wait or self.needed(name)
        state: Literal["healthy", "running", "done", "ended"] = (
            "healthy" if ready.contract.health and waited else "running"
        )
        if instance.state == "exited":
            state = "done" if instance.exit_code == 0 else "ended"
        published = dict(_published(self.workspace, instance.id))
        ports = {port: published.get(int(port)) for port in ready.contract.ports}
        reached = ready.network == "host" or all(ports.values())
        url = group.shown_url(ready, published) if ready.contract.url and reached else ""
        return Came(name, state, url, instance)

    def fall(self) -> None:
        """Start nothing more, and stop what was started, last first; its logs stay."""
        self.failed.set()
        if self.keep:
            return
        for name in reversed(self.started):
            with suppress(RunError):
                stop(self.workspace.places.state, self.ids[name], 5)


def wish_of(prepared: Prepared, ready: Ready) -> Wish:
    """What a member's start chooses beside its arguments."""
    from oslet.run import Limits, Wish

    stack, member = prepared.read.stack, ready.member
    share = member.share
    return Wish(
        name=group.instance_name(stack.name, member.name),
        limits=Limits(memory=share.memory, cpus=share.cpus, pids=share.pids),
        volumes={path: _volume(prepared.read, source) for path, source in member.doors.volumes},
        publish=member.doors.publish,
        network=ready.network,
        allow=member.doors.allow,
        restart=member.restart,
        env=ready.env,
        command=ready.command,
        membership=Membership(stack.name, member.name, ready.rank, prepared.marks[member.name]),
    )


def _volume(read: Read, source: str) -> str:
    """A folder, which begins from the stack's, or a volume of the stack's."""
    if source.startswith("~"):
        return source  # the user's own, which a start knows
    if source.startswith((".", "/")):
        return str((read.beside / source).absolute())
    return group.instance_name(read.stack.name, source)


def _published(workspace: Workspace, instance: str) -> Iterator[tuple[int, int]]:
    _, record = kept.find(workspace.places.state, instance)
    return ((port.container, port.host) for port in record.published)


def _end(workspace: Workspace, instance: str, grace: float = 10) -> None:
    stop(workspace.places.state, instance, grace)
    with suppress(RunError):  # it asked to leave nothing
        remove(workspace.places.state, instance, force=True)
    workspace.store.unpin(instance)


@contextmanager
def _alone(workspace: Workspace, name: str) -> Iterator[None]:
    """One change of a stack at a time. RunError while another is at work, and for what is no stack's name."""
    if not re.fullmatch(NAME, name):
        raise RunError(f"{name[:60]!r} is no stack's name", hint="oslet ps --all shows each instance's stack")
    folder = workspace.places.state / "stacks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"the stack {name} is being brought up or down already", hint="wait for that") from None
        yield
