"""Evidence → options → a kernel. Pure; more evidence never means fewer options."""

from __future__ import annotations

from collections.abc import Iterable

from oslet.build.kernel.tables import Base, Row, base, within
from oslet.errors import BuildError
from oslet.model.kernel import SHARED, Class, Evidence, Kernel, Option, Target

DARK = "dark"
"""The fact that a file may make any call."""
_ANY: Class = "net"
"""The class whose calls a file is taken to make when it may make any: programs that ask for rarer ones (io_uring,
landlock) look whether they are there, and such files are common: each program in Go is one."""


def derive(evidence: Iterable[Evidence], target: Target) -> tuple[Option, ...]:
    """What an image asks for on a target, the target's own options aside; by symbol, each once, with its reason."""
    where: dict[str, str] = {}
    for each in evidence:
        where.setdefault(each.fact, each.where)
    found: dict[str, Option] = {}
    for row in base(target).rows:
        if row.on and row.given <= where.keys() and (reason := _reason(row, where)):
            for symbol in row.symbols:
                found.setdefault(symbol, Option(symbol, row.value, f"{row.why}: {reason}"))
    return tuple(found[symbol] for symbol in sorted(found))


def _reason(row: Row, where: dict[str, str]) -> str:
    for fact in sorted(row.on & where.keys()):
        kind, _, name = fact.partition(":")
        return f"{name} by {where[fact]}" if kind == "call" else where[fact]
    calls = any(fact.startswith("call:") for fact in row.on)
    return where[DARK] if DARK in where and calls and within(row.name, _ANY) else ""


def of_class(name: Class, target: Target) -> Kernel:
    """The kernel of a shared class: the target's own options, and those of every row of the class or a smaller one."""
    return Kernel(target, name, _options(base(target), name))


def _options(chosen: Base, name: Class) -> tuple[Option, ...]:
    found: dict[str, Option] = {}
    for row in chosen.rows:
        if not within(row.name, name):
            continue
        for symbol in row.symbols:
            # What a row turns on stays on, whichever file says that kernels are without it.
            if symbol not in found or row.value != "n":
                found[symbol] = Option(symbol, row.value, row.why if not row.on else f"class {row.name}: {row.why}")
    return tuple(found[symbol] for symbol in sorted(found))


def class_of(options: Iterable[Option], target: Target) -> tuple[Class, tuple[Option, ...]]:
    """The smallest shared class that has all the options that any has, and the options that none has."""
    wanted = list(options)
    has = {name: {(o.symbol, o.value) for o in of_class(name, target).options} for name in SHARED}
    beyond = tuple(o for o in wanted if (o.symbol, o.value) not in has["full"])
    rest = {(o.symbol, o.value) for o in wanted} - {(o.symbol, o.value) for o in beyond}
    return next(name for name in SHARED if rest <= has[name]), beyond


def kernel(options: tuple[Option, ...], target: Target, choice: Class | None = None) -> Kernel:
    """The kernel for an image that asks for ``options``: the smallest shared class that serves it, or the one chosen;
    with an option that no class has, that class and the option. BuildError where the chosen one lacks something."""
    smallest, beyond = class_of(options, target)
    if choice and not within(smallest, choice):
        lacks = _lacking(options, choice, target)
        raise BuildError(
            f"a kernel of class {choice} lacks {lacks.symbol} ({lacks.why})",
            where="machine.kernel",
            hint=f'kernel = "auto" takes the smallest that serves: {smallest}',
        )
    shared = of_class(choice or smallest, target)
    if not beyond:
        return shared
    own = {o.symbol: o for o in (*shared.options, *beyond)}
    return Kernel(target, "own", tuple(own[symbol] for symbol in sorted(own)))


def _lacking(options: tuple[Option, ...], choice: Class, target: Target) -> Option:
    there = {(o.symbol, o.value) for o in of_class(choice, target).options}
    full = {(o.symbol, o.value) for o in of_class("full", target).options}
    return next(o for o in options if (o.symbol, o.value) in full - there)
