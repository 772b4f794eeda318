"""A stack as written → ``Stack``: every fault at once, each at its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple, get_args

from msgspec import UNSET

from oslet.codec import texts
from oslet.codec.conform import Faults, Place, conform
from oslet.codec.declaration import lower as lower_declaration
from oslet.codec.declaration import parse_toml, placed_in, shown, text_of
from oslet.codec.kinds import KindError, is_absolute, parse, told
from oslet.codec.nearest import suggestion
from oslet.codec.parts import near_file
from oslet.codec.places import Key
from oslet.codec.stackshape import NAME, StackTable
from oslet.errors import DeclarationError, Fault
from oslet.model.oslet import Oslet
from oslet.model.param import FloatKind, IntKind, Kind, SizeKind
from oslet.model.stack import Doors, Given, Member, Need, Share, Stack, Until

MAX_MEMBERS = 200
_PORT = r"[0-9]{1,5}"
_PUBLISH = re.compile(rf"(?:(?:[0-9.]+|\[[0-9a-fA-F:.]+\]):)?{_PORT}:{_PORT}")
_NETWORK = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


class Read(NamedTuple):
    """A stack, the folder that its paths begin from, and where each of its keys stands."""

    stack: Stack
    beside: Path
    place: Place


def read_stack(path: Path) -> Read:
    """The stack in the TOML file ``path``. DeclarationError with every fault found, each at ``FILE:LINE: KEY``."""
    where = shown(path)
    text = text_of(path, where)
    place = placed_in(text, where)
    return Read(lower(parse_toml(text, where), path.absolute().parent, place), path.absolute().parent, place)


def lower(table: dict[str, Any], folder: Path, place: Place) -> Stack:
    """The value of a stack of the shape ``StackTable``; ``folder`` is what its paths begin from."""
    faults = Faults()
    table = conform(_with_names(table), StackTable, (), faults)
    declared: list[Fault] = []
    members = []
    for name, written in table.get("members", {}).items():
        key: Key = ("members", name)
        if not re.fullmatch(NAME, name):
            faults.add(key, f"{told(name)} can't name a member", "write small letters, digits, - and _, at most 30")
        members.append(_member(key, written, table["members"], folder, place, faults, declared))
    if "members" in table and not 0 < len(members) <= MAX_MEMBERS:
        faults.add(("members",), f"{len(members)} members" if members else "there is no member in it")
    network = _network(("network",), table.get("network", ""), faults)
    _no_cycle(members, faults)
    try:
        faults.raise_any(place)
    except DeclarationError as error:
        raise DeclarationError.of([*error.faults, *declared]) from None
    if declared:
        raise DeclarationError.of(declared)
    return Stack(table["name"], tuple(members), network)


def _with_names(table: dict[str, Any]) -> dict[str, Any]:
    """Declarations in place named as their members are, where they say no name."""
    members = table.get("members")
    if not isinstance(members, Mapping):
        return table
    named = {
        name: {**each, "declare": {"name": name if re.fullmatch(NAME, str(name)) else "x", **each["declare"]}}
        if isinstance(each, Mapping) and isinstance(each.get("declare"), Mapping)
        else each
        for name, each in members.items()
    }
    return {**table, "members": named}


def _member(
    key: Key,
    written: dict[str, Any],
    others: Mapping[str, Any],
    folder: Path,
    place: Place,
    faults: Faults,
    declared: list[Fault],
) -> Member:
    given = Given(
        arguments=tuple(sorted(written.get("arguments", {}).items())),
        build=tuple(sorted(written.get("build", {}).items())),
        env=tuple(sorted(written.get("env", {}).items())),
        command=tuple(word for word in written.get("command", ()) if word is not UNSET),
    )
    return Member(
        name=str(key[-1]),
        target=_target(key, written, folder, faults),
        declared=_declared(key, written, folder, place, faults, declared),
        given=given,
        doors=Doors(
            publish=_publish(key, written, faults),
            volumes=_volumes(key, written, faults),
            network=_network((*key, "network"), written.get("network", ""), faults),
            allow=tuple(written["allow"]) if "allow" in written else None,
        ),
        share=_share(key, written.get("limits", {}), faults),
        restart=written.get("restart", "no"),
        needs=_needs(key, written, given, others, faults),
        wait=written.get("wait", True),
    )


def _target(key: Key, written: dict[str, Any], folder: Path, faults: Faults) -> str:
    target: str = written.get("target", "")
    if ("target" in written) == ("declare" in written) and not faults.under((*key, "declare")):
        what = "target and declare are two images" if target else "says no image"
        faults.add(key, what, 'write one of target = "./x.toml" and declare = { … }')
    if target.endswith(".toml") and not (file := folder / target).is_file():
        near = near_file(file)
        hint = f"did you mean {str(Path(target).with_name(near.name))!r}?" if near else ""
        faults.add((*key, "target"), f"there is no file {told(target)}", hint)
    return target


def _declared(
    key: Key, written: dict[str, Any], folder: Path, place: Place, faults: Faults, declared: list[Fault]
) -> Oslet | None:
    if "declare" not in written or faults.under((*key, "declare")):
        return None
    try:
        return lower_declaration(written["declare"], folder, lambda at: place((*key, "declare", *at)))
    except DeclarationError as error:
        declared.extend(error.faults)
        return None


def _publish(key: Key, written: dict[str, Any], faults: Faults) -> tuple[str, ...]:
    found = []
    for i, each in enumerate(written.get("publish", ())):
        port = f"{each}:{each}" if re.fullmatch(_PORT, str(each)) else str(each)
        numbers = [int(word) for word in port.rsplit(":", 2)[-2:] if word.isdecimal()]
        if not _PUBLISH.fullmatch(port) or not all(0 < n < 65536 for n in numbers):
            faults.add((*key, "publish", i), f"{told(each)} isn't a port to publish", 'write such as "8080:80"')
        found.append(port)
    return tuple(found)


def _volumes(key: Key, written: dict[str, Any], faults: Faults) -> tuple[tuple[str, str], ...]:
    for path, source in written.get("volumes", {}).items():
        at: Key = (*key, "volumes", path)
        if not is_absolute(path) or path == "/":
            faults.add(at, f"{told(path)} isn't an absolute path below /", "begin it with / and leave out . and ..")
        if not source.startswith((".", "/", "~")) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", source):
            faults.add(at, f"{told(source)} is neither a volume's name nor a folder", "a folder begins with ./ or /")
    return tuple(sorted(written.get("volumes", {}).items()))


def _network(key: Key, name: str, faults: Faults) -> str:
    if name and not _NETWORK.fullmatch(name):
        faults.add(key, f"{told(name)} can't name a network", "write small letters, digits, - . and _")
    return name


def _share(key: Key, written: dict[str, Any], faults: Faults) -> Share:
    kinds: dict[str, Kind] = {"memory": SizeKind(min=1), "cpus": FloatKind(min=0.01), "pids": IntKind(min=1)}
    found = {}
    for name, value in written.items():
        try:
            found[name] = parse(kinds[name], value)
        except KindError as error:
            faults.add((*key, "limits", name), error.what, error.hint)
    return Share(**found)


def _needs(
    key: Key, written: dict[str, Any], given: Given, others: Mapping[str, Any], faults: Faults
) -> tuple[Need, ...]:
    """What stands under ``after``, and what references imply."""
    after = written.get("after", {})
    if isinstance(after, list):
        asked = [((*key, "after", i), name, "healthy") for i, name in enumerate(after) if name is not UNSET]
    else:
        asked = [((*key, "after", name), name, until) for name, until in after.items()]
    found: dict[str, Any] = {}
    for at, name, until in asked:
        if until not in get_args(Until):
            faults.add(at, f"{told(until)} is not how far a member can be", suggestion(until, get_args(Until)))
        elif _other(at, name, key, others, faults):
            found[name] = until
    for at, reference in _references(key, given, faults):
        name = reference.partition(".")[0]
        if _other(at, name, key, others, faults):
            found.setdefault(name, "healthy")
    return tuple(Need(name, found[name]) for name in sorted(found))


def _other(at: Key, name: str, key: Key, others: Mapping[str, Any], faults: Faults) -> bool:
    if name == key[-1]:
        faults.add(at, f"{name} can't need itself")
    elif name not in others:
        known = [other for other in others if other != key[-1]]
        faults.add(at, f"there is no member {told(name)}", suggestion(name, known, kind="members"))
    return name != key[-1] and name in others


def _references(key: Key, given: Given, faults: Faults) -> list[tuple[Key, str]]:
    written: list[tuple[Key, Any]] = []
    for word, values in (("arguments", given.arguments), ("env", given.env), ("command", enumerate(given.command))):
        for name, value in values:
            items = value if isinstance(value, list) else [value]
            written += [((*key, word, name), each) for each in items]
    found = []
    for at, text in written:
        if isinstance(text, str):
            try:
                found += [(at, name) for name in texts.references(text)]
            except texts.TextError as error:
                faults.add(at, error.what, error.hint)
        elif not isinstance(text, bool | int | float):
            faults.add(at, f"expected text, a number, true or false, or a list of these, got {told(text)}")
    return found


def _no_cycle(members: list[Member], faults: Faults) -> None:
    sorter = TopologicalSorter({member.name: [need.member for need in member.needs] for member in members})
    try:
        sorter.prepare()
    except CycleError as error:
        way = list(reversed(error.args[1]))
        faults.add(
            ("members", way[0]),
            f"needs itself: {' → '.join(way[:12])}",
            "leave out one of these needs: no member of a circle can be the first to start",
        )
