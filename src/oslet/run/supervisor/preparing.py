"""Preparing: an image's ``warm.prepare`` fills a volume, once, in an instance of its own; that is a snapshot then.

That instance has the image's user and no network, nor any of the files that are rendered at a start: what the snapshot
is known by doesn't tell of them, and secrets may be in them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oslet.errors import RunError
from oslet.run import cloning, output, records, snapshots, volumes, wire
from oslet.run.asking import Clone, Wish
from oslet.run.copying import dig
from oslet.run.supervisor.facts import Layout
from oslet.run.volumes import Volume

if TYPE_CHECKING:
    from oslet.run.supervisor.deciding import Asked
    from oslet.run.supervisor.service import Service

_PATIENCE = 600.0
"""Seconds that a preparation may take."""
_LINES = 8

_locks: dict[Path, threading.Lock] = {}
_making: set[str] = set()
"""Tokens of the preparations of this supervisor."""


def prepare(service: Service, asked: Asked, layout: Layout) -> None:
    """Have the snapshot that a slot of this layout needs. RunError when its command fails."""
    place = snapshots.place(Path(layout.data), layout.image, asked.contract)
    if place is None or place.is_dir() or not any(_begins(v, place, asked) for v in layout.attached):
        return
    with _locks.setdefault(place, threading.Lock()):
        if not place.is_dir():
            _make(service, asked, layout, place)


def _begins(volume: Volume, place: Path, asked: Asked) -> bool:
    if isinstance(volume.host, Clone):
        return volume.host.of == str(place)
    return volume.first == place and not (volume.host.is_dir() and volumes.used(volume.host, asked.facts.mapping))


def _make(service: Service, asked: Asked, layout: Layout, place: Path) -> None:
    for _, record in records.records(service.state):  # of a supervisor that was killed: nobody waits for it any more
        if record.name.startswith(_name(asked)) and record.token not in _making:
            service.stop(wire.Stop(record.id, 0, remove=True))
    warm = asked.contract.warm
    with cloning.making(Path(layout.data)) as fresh:
        token = fresh.name
        _making.add(token)
        try:
            wish = Wish(name=_name(asked) + token[:6], limits=asked.start.wish.limits)
            apart = layout._replace(attached=(Volume(warm.snapshot, fresh),), network="none", warm=(), hardware=None)
            start = replace(asked.start, wish=wish, token=token, attached=False)
            facts = service.decisions.facts(start)  # a container's, whatever the instance is to be
            life, _ = service.start(
                asked._replace(
                    start=start, facts=facts, command=warm.prepare, rendered=(), published=(), network="none",
                    name=wish.name, layout=apart,
                ),
                None,
            )  # fmt: skip
            ended = life.ended.wait(_PATIENCE)
            said = [line.text.decode("utf-8", "replace")[:200] for line in output.logs(service.state, life.record.id)]
            service.stop(wire.Stop(life.record.id, 0, remove=True))
        finally:
            _making.discard(token)
        if not ended or life.code:
            why = f"ended with {life.code}" if ended else f"took more than {_PATIENCE:g} s"
            raise RunError(
                f"the data of {asked.facts.image.name} can't be prepared: {warm.prepare[0]} {why}",
                where="warm.prepare",
                hint="\n    ".join(["its last words:", *(line.rstrip() for line in said[-_LINES:])]) if said else "",
            )
        dig(fresh)
        cloning.whole(fresh)
        cloning.land(fresh, place)


def _name(asked: Asked) -> str:
    return f"{asked.facts.image.name}-prepare-"
