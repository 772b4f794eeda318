"""Before a start: what it decides, and the folder, name and ports that it takes, with nothing running yet."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Literal, NamedTuple

from oslet.errors import RunError
from oslet.model.image import Image
from oslet.model.instance import Arguments
from oslet.model.oslet import Start
from oslet.model.stack import Membership
from oslet.model.tree import Tree
from oslet.run import ids, limits, network, records, users
from oslet.run.tools import Tools

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Sealed(NamedTuple):
    """An image ready to run: its value and digest, its tree as a value and as a folder on disk."""

    image: Image
    digest: str
    tree: Tree
    root: Path


class Wish(NamedTuple):
    """What a start may choose beside the arguments. Ports are written as Docker's ``-p``.

    ``volumes`` map a path inside to a folder, to a volume's name, or to a clone. ``network`` may also name one of the
    user's networks, where instances find each other by name. ``allow`` are the addresses (``HOST``, ``HOST:PORT``,
    ``NET/BITS``) that it may reach; None is all. ``restart`` says what an end is followed by. ``name`` is made up when
    empty. ``command``, when given, is run in the image's stead. An instance with ``remove`` leaves nothing when it
    ends. Of a ``watched`` one every path that it uses is recorded (``watching``). One with a ``membership`` is found by
    its member's name, too, on its network.
    """

    name: str = ""
    limits: limits.Limits = limits.Limits()
    volumes: Mapping[str, Path | str | Clone] = {}
    publish: tuple[str, ...] = ()
    network: str | None = None
    allow: tuple[str, ...] | None = None
    restart: Literal["no", "on-failure", "always"] = "no"
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    tty: bool = False
    remove: bool = False
    watched: bool = False
    membership: Membership | None = None


class Clone(NamedTuple):
    """A volume that begins as another's content and is the instance's own: nothing of it outlives the instance.

    ``of`` is a folder that nobody writes to meanwhile.
    """

    of: Path


class Places(NamedTuple):
    """Where instances are kept (gone at the next boot), and volumes (kept)."""

    state: Path
    data: Path


class Making(NamedTuple):
    """What a start has decided. ``contract`` has the arguments in it; ``obstacle`` is why a private network has no way
    out, or empty."""

    sealed: Sealed
    arguments: Arguments
    wish: Wish
    tools: Tools
    places: Places
    contract: Start
    network: str
    mapping: ids.Mapping
    obstacle: str


def decide(sealed: Sealed, arguments: Arguments, wish: Wish, tools: Tools, places: Places) -> Making:
    """What this machine lets an instance have. RunError for what it doesn't and the instance can't do without."""
    from oslet.bind import start_with

    contract = start_with(sealed.image.start, arguments)
    mode = wish.network or contract.network
    obstacle = ""
    if mode == "private":
        network.check_rights()
        obstacle = network.obstacle(tools.slirp4netns)
    mapping = ids.mapping(sealed.image.uid, sealed.image.gid)
    return Making(sealed, arguments, wish, tools, places, contract, mode, mapping, obstacle)


def reserve(making: Making) -> tuple[Path, records.Record, tuple[socket, ...]]:
    """A folder and a name, with everything checked that can be before anything starts; where the ports are to be
    forwarded, also their listening sockets."""
    image, wish, contract, state = making.sealed.image, making.wish, making.contract, making.places.state
    ports = network.published(contract.ports, wish.publish) if making.network != "none" else ()
    if making.network == "host" and any(p.container != p.host for p in ports):
        raise RunError(
            "with --network host a port can't be published under another number",
            hint="leave -p out, and set the application's own port by its parameter",
        )
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(state):
        others = records.records(state)
        living = [r for _, r in others if records.alive(r)]
        name = _name(wish.name or image.name, bool(wish.name), living)
        doors = network.claim(ports, living, keep=bool(making.obstacle))
        for folder, old in others:
            if old.name == name:
                records.discard(state, folder, old)
        folder = records.create(state)
        record = _record(making, folder.name, name, ports)
        records.write(folder, record)
    return folder, record, doors


def _record(making: Making, number: str, name: str, ports: tuple[records.Published, ...]) -> records.Record:
    """The instance as it is before its monitor runs: until then this process answers for it."""
    image, contract = making.sealed.image, making.contract
    return records.Record(
        id=number,
        name=name,
        image=making.sealed.digest,
        image_name=image.name,
        created=time.time(),
        boot=records.boot(),
        monitor=os.getpid(),
        began=records.began(os.getpid()) or 0,
        pid=0,
        uid=image.uid,
        gid=image.gid,
        rootless=making.mapping.rootless,
        single=making.mapping.single,
        crun=str(making.tools.crun),
        env=_environment(contract, making.wish, users.account(making.sealed.root, image.uid).home),
        workdir=contract.workdir,
        capabilities=contract.capabilities,
        stop_signal=contract.stop_signal,
        published=ports,
        network=making.network,
        cgroups=(),
        health=contract.health,
        remove=making.wish.remove,
        starting=True,
        membership=making.wish.membership,
    )


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


def _environment(contract: Start, wish: Wish, home: str) -> tuple[tuple[str, str], ...]:
    given = {"PATH": _PATH, "HOME": home, **({"TERM": os.environ.get("TERM", "xterm")} if wish.tty else {})}
    return tuple({**given, **dict(contract.env), **dict(wish.env)}.items())
