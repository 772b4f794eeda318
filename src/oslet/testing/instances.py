"""Instances for tests: on ports that are free, with volumes that nobody had before, gone at the end."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet.errors import RunError

if TYPE_CHECKING:
    from oslet.declare import Oslet
    from oslet.model.image import Built
    from oslet.model.instance import Arguments
    from oslet.run import Parked, Wish
    from oslet.workspace import Workspace
    from oslet.workspace.running import Running

READY = 60.0
"""Seconds until an instance has to be healthy."""


@contextmanager
def fresh(
    cls: type[Oslet], /, *, wish: Wish | None = None, home: Path | None = None, timeout: float = READY, **arguments: Any
) -> Iterator[Running]:
    """A healthy instance during the block, whatever ``wish`` says of its life: it ends with the block, or with this
    process, and nothing of it is kept. RunError when it can't be had or isn't healthy after ``timeout`` seconds."""
    starter = Starter(home)
    asked = starter.ask(cls, arguments, wish)
    running = starter.start(asked)
    with starter.held(running):
        yield running.ready(timeout)


class Asked(NamedTuple):
    """A start in the words of the workspace."""

    built: Built
    arguments: Arguments
    wish: Wish


class Starter:
    """A workspace with the images that it was asked for. Threads share it."""

    def __init__(self, home: Path | None = None, tell: Callable[[str], None] | None = None) -> None:
        from oslet.workspace import Workspace

        said = {""}

        def once(label: str, *_: int) -> None:
            if tell and label not in said:
                said.add(label)
                tell(label)

        self.workspace: Workspace = Workspace(home, progress=once, notice=once)
        self._network = f"test-{secrets.token_hex(4)}"
        self._built: dict[Any, Built] = {}
        self._lock = threading.Lock()

    def ask(self, cls: type[Oslet], arguments: Mapping[str, Any], wish: Wish | None = None) -> Asked:
        """What a start of ``cls`` is to be. DeclarationError for arguments that it doesn't have; what builds raise."""
        from oslet.bind import start_with
        from oslet.declare import lower
        from oslet.model.instance import Arguments
        from oslet.run import Wish

        wish = wish or Wish()
        declared = lower(cls)
        wanted = network(cls, wish)
        chosen = _ports(cls, arguments) if wanted == "host" else {}
        bound = cls(**{**chosen, **arguments}).arguments
        early = {p.name: bound.values[p.name] for p in declared.params if p.at == "build"}
        late = Arguments({n: v for n, v in bound.values.items() if n not in early}, bound.separators)
        built = self._build(cls, early)
        published = () if wanted in ("host", "none") else start_with(built.image.start, late).ports
        given = {text.rpartition(":")[2] for text in wish.publish}
        publish = (*wish.publish, *(f"0:{port}" for port in published if port not in given))
        shared = self._network if wanted == "private" and not wish.network else wish.network
        wish = wish._replace(fresh=True, publish=publish, network=shared, remove=False)
        return Asked(built, late, self.workspace.fitted(built, wish))

    def _build(self, cls: type[Oslet], early: Mapping[str, Any]) -> Built:
        with self._lock:
            key = (cls, tuple((name, repr(value)) for name, value in early.items()))
            if key not in self._built:
                self._built[key] = self.workspace.build(cls.declared(**early))
            return self._built[key]

    def start(self, asked: Asked, label: str = "") -> Running:
        """An instance with a name that no other test's has."""
        name = asked.wish.name or "-".join(
            word for word in (asked.built.image.name, label, secrets.token_hex(3)) if word
        )
        wish, notice = asked.wish._replace(name=name), self.workspace.notice
        return self.workspace.start(asked.built, asked.arguments, wish, notice=notice)

    @contextmanager
    def held(self, running: Running) -> Iterator[None]:
        """Have an instance end with the block, or with this process."""
        from oslet.run import hold

        connection = hold(self.workspace.places, running.id)
        try:
            yield
        finally:
            with suppress(RunError):  # a test may have removed it itself
                running.remove()
            connection.close()

    def park(self, asked: Asked, count: int) -> Parked:
        return self.workspace.parked(asked.built, asked.arguments, asked.wish, count)


def network(cls: type[Oslet], wish: Wish | None) -> str:
    """Which network an instance is to have, as far as it is said."""
    from oslet.declare import lower

    return (wish.network if wish else None) or lower(cls).start.network


def _ports(cls: type[Oslet], arguments: Mapping[str, Any]) -> dict[str, int]:
    """Free ports for the params that say where an instance listens: on the machine's network they are the machine's."""
    from oslet.declare import lower
    from oslet.model.param import PortKind
    from oslet.run.network import free_port

    declared = lower(cls)
    listened = set(declared.start.ports)
    return {
        p.name: free_port()
        for p in declared.params
        if isinstance(p.kind, PortKind) and f"{{{p.name}}}" in listened and p.name not in arguments
    }
