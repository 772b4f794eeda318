"""Fixtures: an oslet's instance as a value that pytest hands to tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    from oslet.declare import Oslet
    from oslet.run import Wish
    from oslet.workspace.running import Running

Scope: TypeAlias = Literal["function", "class", "module", "package", "session"]
MARK = "_oslet"
"""The attribute by which a fixture's function tells what it is."""


class Spec(NamedTuple):
    """What one fixture starts, and for how long."""

    cls: type[Oslet]
    arguments: Mapping[str, Any]
    scope: str
    wish: Wish | None

    @property
    def needs(self) -> tuple[str, ...]:
        """The fixtures that arguments are made of."""
        makers = [value for value in self.arguments.values() if callable(value)]
        return tuple(dict.fromkeys(name for each in makers for name in inspect.signature(each).parameters))

    def filled(self, needed: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments' values; of an instance among ``needed``, what this one will see of it."""
        from oslet.testing.instances import network
        from oslet.workspace.running import Running

        apart = network(self.cls, self.wish) != "host"
        seen = {n: each.inside if apart and isinstance(each, Running) else each for n, each in needed.items()}
        return {
            name: value(**{n: seen[n] for n in inspect.signature(value).parameters}) if callable(value) else value
            for name, value in self.arguments.items()
        }


def fixture(
    cls: type[Oslet],
    /,
    *,
    scope: Scope = "function",
    name: str | None = None,
    wish: Wish | None = None,
    params: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """A fixture of pytest's that is a healthy instance of ``cls`` (a ``Running``), new for each ``scope``.

    ``arguments`` are the oslet's; those that this function has names for itself stand in ``params``. One that is a
    function is called with the fixtures that its parameters name: ``db=lambda postgres: postgres.url``; an instance is
    told there as this one will see it. ``wish`` is what a start may choose beside them: unless it says so, ports are
    published on free ones, no volume is kept, and the network is one that all instances of this process share.
    """
    spec = Spec(cls, {**(params or {}), **arguments}, scope, wish)

    def start(request: pytest.FixtureRequest, **needed: Any) -> Running:
        from oslet.testing.plugin import instances

        return instances(request.config).serve(request, spec, needed)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    asks = [inspect.Parameter(each, kind) for each in dict.fromkeys(("request", *spec.needs))]
    start.__signature__ = inspect.Signature(asks)  # type: ignore[attr-defined] # by which pytest knows what to hand in
    start.__doc__ = f"An instance of {cls.__name__}."
    setattr(start, MARK, spec)
    decorate: Callable[[Any], Any] = pytest.fixture(scope=scope, name=name)
    return decorate(start)


def specs(item: pytest.Item) -> tuple[Spec, ...]:
    """What the fixtures that a test uses start, its fixtures' own included."""
    known: Mapping[str, Any] = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    found = (getattr(each.func, MARK, None) for each_name in known.values() for each in each_name)
    return tuple(spec for spec in found if isinstance(spec, Spec))
