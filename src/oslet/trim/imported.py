"""Which Python modules the application imports, as far as texts tell: those that are worth byte code. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from oslet.trim.asked import Asked, asks
from oslet.trim.reach import imports
from oslet.trim.rules import startup
from oslet.trim.world import World

OWN = ("files", "image")


def imported(world: World, asked: Asked) -> frozenset[str]:
    """The modules that the declaration's command, its own files and console scripts lead to, and those of every start.

    Names in texts count as well (``"a.b:c"``), since programs load plugins by them.
    """
    found: set[str] = set()
    todo = list(dict.fromkeys(_first(world, asked)))
    while todo:
        path = todo.pop()
        if path in found or (entry := world.places.get(path)) is None or entry.kind != "file":
            continue
        found.add(path)
        todo += [module for module, _, _ in imports(world, path, world.read(entry)) if module not in found]
    return frozenset(found)


def _first(world: World, asked: Asked) -> Iterator[str]:
    for entry in world.places.entries.values():
        if entry.origin in OWN and entry.kind == "file":
            yield entry.path
    for name in startup():
        yield from (path for path, _ in world.modules.find(name, ""))
    for ask in asks(asked):
        if ask.kind == "module":
            for name in (ask.what, f"{ask.what}.__main__"):
                yield from (path for path, _ in world.modules.find(name, ""))
        elif path := world.places.program(ask.what):
            yield world.places.trail(path)[0]
