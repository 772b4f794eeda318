"""Starting: an image and its arguments become an instance."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket

from msgspec.structs import replace

from oslet.errors import RunError
from oslet.model.image import Image
from oslet.model.instance import Arguments, Instance
from oslet.run import config, ids, limits, monitor, network, placing, records, users, volumes
from oslet.run.monitor import Monitor, Stdio
from oslet.run.records import Record
from oslet.run.reserving import Making, Places, Sealed, Wish, decide, reserve
from oslet.run.tools import Tools

_LOOK = 0.001
"""Seconds between two looks."""


def silent(notice: str) -> None:
    """For who doesn't want to be told what a start made do without."""


def start(
    sealed: Sealed,
    arguments: Arguments,
    wish: Wish,
    tools: Tools,
    places: Places,
    *,
    notice: Callable[[str], None] = silent,
) -> Instance:
    """A detached instance, running when this returns. Its output goes to files, as the application writes it: they
    are not bounded. RunError when it can't be made; one that ends at once is no error, it is an instance that ended.
    """
    folder, record = launch(sealed, arguments, wish, tools, places, stdio=None, session=True, notice=notice)
    return records.observe(folder, record)


def launch(
    sealed: Sealed,
    arguments: Arguments,
    wish: Wish,
    tools: Tools,
    places: Places,
    *,
    stdio: Stdio | None,
    session: bool,
    notice: Callable[[str], None] = silent,
) -> tuple[Path, Record]:
    """Make an instance; it runs, or has already ended, when this returns. ``stdio`` of None means logs. ``notice`` is
    told, in a line for a person, what this machine doesn't let the instance have."""
    monitor.reap()
    making = decide(sealed, arguments, wish, tools, places)
    folder, record, doors = reserve(making)
    with ExitStack() as ends:
        for door in doors:
            ends.callback(door.close)

        @ends.push
        def undo(kind: type[BaseException] | None, *_: object) -> None:
            if kind:
                records.discard(places.state, folder, record)

        attached = volumes.chosen(making.contract.volumes, wish.volumes, places.data, record.name)
        record = replace(record, cgroups=tuple(map(str, limits.make(wish.limits, record.id))))
        with _pipe(making.network == "private") as (life, held):
            made = _enclose(making, folder, attached, stdio or _logged(folder), session, held, ends)
            record = replace(record, monitor=made.pid, began=records.began(made.pid) or 0)
            limits.enter(tuple(map(Path, record.cgroups)), (made.pid, *records.descendants(made.pid)))
            if wish.watched:
                from oslet.run import watching  # a start that isn't watched needs none of it

                watcher = watching.listen(made, sealed.tree, sealed.root, sealed.digest)
                record = replace(record, watcher=watcher, watcher_began=records.began(watcher) or 0)
            monitor.proceed(made)
            if life is not None:
                carrier = _carrier(made, folder, record, tools, life, doors, making.obstacle)
                ends.callback(os.close, carrier.ready)
                record = replace(record, carrier=carrier.pid, carrier_began=records.began(carrier.pid) or 0)
        _furnish(making, made, record, attached)
        if life is not None and making.obstacle:
            network.settle(carrier, folder)
        record = _set_going(made, replace(record, starting=False), places)
    if making.obstacle:
        forwarded = "; its ports are forwarded" if doors else ""
        way = "--network host shares the machine's network"
        notice(f"no way out of this instance: {making.obstacle}{forwarded} ({way})")
    return folder, record


def _enclose(
    making: Making,
    folder: Path,
    attached: Sequence[volumes.Volume],
    stdio: Stdio,
    session: bool,
    held: int | None,
    ends: ExitStack,
) -> Monitor:
    """A monitor in namespaces of its own, with the instance's ids; killed if ``ends`` end in an error."""
    given = monitor.arguments(
        making.sealed.root,
        making.tools.crun,
        making.places.state,
        folder,
        scratch=making.wish.limits.scratch,
        mapping=making.mapping,
        network=making.network,
        volumes=[v.host for v in attached],
    )
    made = monitor.spawn(
        folder,
        given,
        stdio=stdio,
        rootless=making.mapping.rootless,
        own_network=making.network == "private",
        session=session,
        life=held,
    )
    ends.callback(monitor.close, made)

    @ends.push
    def undo(kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            monitor.kill(made.pid)

    monitor.hear(made)
    monitor.map_ids(made, making.mapping)
    return made


def _furnish(making: Making, made: Monitor, record: Record, attached: tuple[volumes.Volume, ...]) -> None:
    """Everything the instance finds: its own files, its volumes, and what the runtime is told of it."""
    sealed, mapping = making.sealed, making.mapping
    image = sealed.image
    nodes = (
        *placing.owned(sealed.tree),
        *placing.names(_hostname(record.name), making.network),
        *placing.rendered(image.rendered, image.params, making.arguments, image.uid, image.gid),
    )
    wanted = config.config(
        _process(record, making),
        hostname=_hostname(record.name),
        mapping=mapping,
        volumes=[v.path for v in attached],
        own_network=making.network == "none",
    )
    index = placing.Index.of(sealed.tree)
    monitor.hear(made)
    _fill(made, nodes, index, sealed.root, mapping, attached, image, making.places)
    if making.wish.watched:
        from oslet.run import watching

        wanted = watching.watched(wanted, made.folder)
    (made.place / "config.json").write_text(json.dumps(wanted))


def _set_going(made: Monitor, record: Record, places: Places) -> Record:
    """Let the monitor run what it has; the record of what runs then."""
    records.write(made.folder, record)
    monitor.proceed(made)
    pid = _running(made, places.state / "runtime" / made.folder.name / "status")
    record = replace(record, pid=pid, pid_began=(records.began(pid) or 0) if pid else 0)
    records.write(made.folder, record)
    return record


def _carrier(
    made: Monitor,
    folder: Path,
    record: Record,
    tools: Tools,
    life: int,
    doors: Sequence[socket],
    obstacle: str,
) -> network.Carrier:
    """A private network's way out and its ports' way in; the latter alone where there is an ``obstacle`` to both."""
    if obstacle or tools.slirp4netns is None:
        ports = {door.fileno(): port.container for door, port in zip(doors, record.published, strict=True)}
        return network.share(made.pid, record.rootless, folder, life, ports)
    carrier = network.connect(tools.slirp4netns, made.pid, folder, life)
    try:
        network.settle(carrier, folder)
        network.forward(folder, record.published)
    except BaseException:
        os.close(carrier.ready)
        raise
    return carrier


def _hostname(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:63].strip("-") or "oslet"


def _fill(
    made: Monitor,
    nodes: tuple[placing.Node, ...],
    index: placing.Index,
    root: Path,
    mapping: ids.Mapping,
    attached: tuple[volumes.Volume, ...],
    image: Image,
    places: Places,
) -> None:
    """Write the instance's own layer, and who owns what in it and in its fresh volumes."""
    for name in ("upper", "work", "root", "own", "volumes"):
        (made.place / name).mkdir()
    placed = placing.place(made.place / "upper", nodes, index, root, mapping)
    owners = {owner: [f"{config.PLACE}/upper{p}" for p in paths] for owner, paths in placed.owners.items()}
    for number, volume in enumerate(attached):
        (made.place / "volumes" / str(number)).mkdir()
        fresh = volumes.prepare(volume, index, root, mapping, image.uid, image.gid, places.data)
        for owner, paths in fresh.items():
            owners.setdefault(owner, []).extend(paths)
    for owner, paths in owners.items():
        (made.place / "own" / owner).write_bytes("\0".join(paths).encode())


def _process(record: Record, making: Making) -> config.Process:
    image, contract = making.sealed.image, making.contract
    command = making.wish.command or contract.command
    if not command:
        raise RunError(f"{image.name} has no command", hint="give one after the image, or declare command = […]")
    groups = users.account(making.sealed.root, record.uid).groups
    return config.Process(
        args=tuple(command),
        env=record.env,
        workdir=contract.workdir,
        uid=record.uid,
        gid=record.gid,
        groups=tuple(g for g in groups if ids.has_gid(making.mapping, g)),
        capabilities=contract.capabilities,
        terminal=making.wish.tty,
    )


def _running(made: Monitor, status: Path) -> int:
    """Wait until the runtime says that the instance runs; its pid here, or 0 if it has ended meanwhile. RunError
    with what the runtime said if it never ran: an application that isn't there, most often."""
    try:
        watched = os.pidfd_open(made.pid)
    except ProcessLookupError:
        raise monitor.failure(made) from None
    try:
        while not status.exists():
            # The runtime tells nobody when it is done, so its state is looked for; an end is told at once.
            if monitor.readable(watched, _LOOK):
                if (made.folder / records.EXIT).exists() and not monitor.complaints(made.folder / records.RUNTIME_LOG):
                    return 0
                raise monitor.failure(made)
        return _first_process(made.pid)
    finally:
        os.close(watched)


def _logged(folder: Path) -> Stdio:
    """Logs as files. crun gives what it finds as 0, 1 and 2 to the service user, so that they must be readable to
    all; their folder is not."""
    for name in (records.STDOUT, records.STDERR):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    return Stdio(Path("/dev/null"), folder / records.STDOUT, folder / records.STDERR)


def _first_process(pid: int) -> int:
    """The instance's pid 1, as this machine counts: unshare, the shell, the runtime, and then it."""
    for _ in range(3):
        below = records.children(pid)
        if not below:
            return 0
        pid = below[0]
    return pid


@contextmanager
def _pipe(wanted: bool) -> Iterator[tuple[int | None, int | None]]:
    if not wanted:
        yield None, None
        return
    life, held = os.pipe()
    try:
        yield life, held
    finally:
        os.close(life)
        os.close(held)
