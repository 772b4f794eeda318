"""Starting: an image and its arguments become an instance."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Literal, NamedTuple

from oslet.errors import RunError
from oslet.model.image import Image
from oslet.model.instance import Arguments, Instance
from oslet.model.oslet import Start
from oslet.model.tree import Tree
from oslet.run import config, ids, limits, monitor, network, placing, records, users, volumes
from oslet.run.monitor import Monitor, Stdio
from oslet.run.tools import Tools

_LOOK = 0.001
"""Seconds between two looks."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Sealed(NamedTuple):
    """An image ready to run: its value and digest, its tree as a value and as a folder on disk."""

    image: Image
    digest: str
    tree: Tree
    root: Path


class Wish(NamedTuple):
    """What a start may choose beside the arguments. Ports are written as Docker's ``-p``.

    ``volumes`` map a path inside to a folder, or to a volume's name. ``name`` is made up when empty. ``command``,
    when given, is run in the image's stead. An instance with ``remove`` leaves nothing when it ends.
    """

    name: str = ""
    limits: limits.Limits = limits.Limits()
    volumes: Mapping[str, Path | str] = {}
    publish: tuple[str, ...] = ()
    network: Literal["private", "host", "none"] | None = None
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    tty: bool = False
    remove: bool = False


class Places(NamedTuple):
    """Where instances are kept (gone at the next boot), and volumes (kept)."""

    state: Path
    data: Path


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
) -> tuple[Path, records.Record]:
    """Make an instance; it runs, or has already ended, when this returns. ``stdio`` of None means logs. ``notice`` is
    told, in a line for a person, what this machine doesn't let the instance have."""
    from oslet.bind import start_with

    image = sealed.image
    contract = start_with(image.start, arguments)
    mode = wish.network or contract.network
    mapping = ids.mapping(image.uid, image.gid)
    monitor.reap()
    obstacle = ""
    if mode == "private":
        network.check_rights()
        obstacle = network.obstacle(tools.slirp4netns)
    folder, record, doors = _reserve(sealed, contract, wish, mode, mapping, tools, places, keep=bool(obstacle))
    made: Monitor | None = None
    carrier: network.Carrier | None = None
    try:
        index = placing.Index.of(sealed.tree)
        attached = volumes.chosen(contract.volumes, wish.volumes, places.data, record.name)
        groups = limits.make(wish.limits, record.id)
        record = _with(record, cgroups=tuple(map(str, groups)))
        with _pipe(mode == "private") as (life, held):
            made = monitor.spawn(
                folder,
                monitor.arguments(
                    sealed.root,
                    tools.crun,
                    places.state,
                    folder,
                    scratch=wish.limits.scratch,
                    mapping=mapping,
                    network=mode,
                    volumes=[v.host for v in attached],
                ),
                stdio=stdio or _logged(folder),
                rootless=mapping.rootless,
                own_network=mode == "private",
                session=session,
                life=held,
            )
            monitor.hear(made)
            monitor.map_ids(made, mapping)
            record = _with(record, monitor=made.pid, began=records.began(made.pid) or 0)
            limits.enter(groups, (made.pid, *records.descendants(made.pid)))
            monitor.proceed(made)
            if life is not None:
                carrier = _carrier(made, folder, record, tools, life, doors, obstacle)
                record = _with(record, carrier=carrier.pid, carrier_began=records.began(carrier.pid) or 0)
        nodes = (
            *placing.owned(sealed.tree),
            *placing.names(_hostname(record.name), mode),
            *placing.rendered(image.rendered, image.params, arguments, image.uid, image.gid),
        )
        run = _process(record, contract, wish, mapping, sealed)
        wanted = config.config(
            run,
            hostname=_hostname(record.name),
            mapping=mapping,
            volumes=[v.path for v in attached],
            own_network=mode == "none",
        )
        monitor.hear(made)
        _fill(made, nodes, index, sealed.root, mapping, attached, image, places)
        (made.place / "config.json").write_text(json.dumps(wanted))
        if carrier and obstacle:
            network.settle(carrier, folder)
        record = _with(record, starting=False)
        records.write(folder, record)
        monitor.proceed(made)
        pid = _running(made, places.state / "runtime" / folder.name / "status")
        record = _with(record, pid=pid, pid_began=(records.began(pid) or 0) if pid else 0)
        records.write(folder, record)
    except BaseException:
        if made:
            monitor.kill(made.pid)
        records.discard(places.state, folder, record)
        raise
    finally:
        if made:
            monitor.close(made)
        if carrier:
            os.close(carrier.ready)
        for door in doors:
            door.close()
    if obstacle:
        forwarded = "; its ports are forwarded" if doors else ""
        notice(
            f"no way out of this instance: {obstacle}{forwarded} (--network host shares the machine's network)",
        )
    return folder, record


def _carrier(
    made: Monitor,
    folder: Path,
    record: records.Record,
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


def _reserve(
    sealed: Sealed,
    contract: Start,
    wish: Wish,
    mode: Literal["private", "host", "none"],
    mapping: ids.Mapping,
    tools: Tools,
    places: Places,
    *,
    keep: bool,
) -> tuple[Path, records.Record, tuple[socket, ...]]:
    """A folder and a name, with everything checked that can be before anything starts; with ``keep``, also the ports'
    listening sockets."""
    image = sealed.image
    account = users.account(sealed.root, image.uid)
    ports = network.published(contract.ports, wish.publish) if mode != "none" else ()
    if mode == "host" and any(p.container != p.host for p in ports):
        raise RunError(
            "with --network host a port can't be published under another number",
            hint="leave -p out, and set the application's own port by its parameter",
        )
    places.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(places.state):
        others = [(f, r) for f, r in records.records(places.state)]
        living = [r for _, r in others if records.alive(r)]
        name = _name(wish.name or image.name, bool(wish.name), living)
        doors = network.claim(ports, living, keep=keep)
        for old_folder, old in others:
            if old.name == name:
                records.discard(places.state, old_folder, old)
        folder = records.create(places.state)
        record = records.Record(
            id=folder.name,
            name=name,
            image=sealed.digest,
            image_name=image.name,
            created=time.time(),
            boot=records.boot(),
            monitor=os.getpid(),
            began=records.began(os.getpid()) or 0,
            pid=0,
            uid=image.uid,
            gid=image.gid,
            rootless=mapping.rootless,
            single=mapping.single,
            crun=str(tools.crun),
            env=_environment(contract, wish, account.home),
            workdir=contract.workdir,
            capabilities=contract.capabilities,
            stop_signal=contract.stop_signal,
            published=ports,
            network=mode,
            cgroups=(),
            health=contract.health,
            remove=wish.remove,
            starting=True,
        )
        records.write(folder, record)
    return folder, record, doors


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One start at a time chooses its name and ports."""
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _name(wanted: str, given: bool, living: list[records.Record]) -> str:
    """The name itself; a made-up one gets a number while another runs under it. An ended one's is free again."""
    if not wanted or "/" in wanted or wanted.startswith((".", "-")) or not wanted.isprintable() or len(wanted) > 200:
        raise RunError(f"{wanted!r} is no name for an instance", hint="letters, digits, dots and dashes will do")
    taken = {r.name for r in living}
    if wanted not in taken:
        return wanted
    if given:
        raise RunError(f"an instance {wanted!r} runs already", hint=f"oslet stop {wanted}, or give another --name")
    return next(f"{wanted}-{n}" for n in range(2, len(taken) + 3) if f"{wanted}-{n}" not in taken)


def _hostname(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:63].strip("-") or "oslet"


def _environment(contract: Start, wish: Wish, home: str) -> tuple[tuple[str, str], ...]:
    given = {"PATH": _PATH, "HOME": home, **({"TERM": os.environ.get("TERM", "xterm")} if wish.tty else {})}
    return tuple({**given, **dict(contract.env), **dict(wish.env)}.items())


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


def _process(
    record: records.Record, contract: Start, wish: Wish, mapping: ids.Mapping, sealed: Sealed
) -> config.Process:
    command = wish.command or contract.command
    if not command:
        raise RunError(f"{sealed.image.name} has no command", hint="give one after the image, or declare command = […]")
    return config.Process(
        args=tuple(command),
        env=record.env,
        workdir=contract.workdir,
        uid=record.uid,
        gid=record.gid,
        groups=tuple(g for g in users.account(sealed.root, record.uid).groups if ids.has_gid(mapping, g)),
        capabilities=contract.capabilities,
        terminal=wish.tty,
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


def _with(record: records.Record, **changes: object) -> records.Record:
    import msgspec

    return msgspec.structs.replace(record, **changes)
