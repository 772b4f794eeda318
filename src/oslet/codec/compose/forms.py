"""The forms in which a Compose service says one thing: ports, volumes, needs, health checks, sizes, words.

Each takes a value with its substitutions made and gives what a stack has for it; what is wrong goes to ``faults``.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

from oslet.codec.conform import Faults
from oslet.codec.kinds import told
from oslet.codec.places import Key

MAX_RANGE = 100
_SIZE = re.compile(r"(\d{1,12})(\.\d{1,6})?\s*([kmgt]?)(i?b)?", re.IGNORECASE)
_SHORT_PORT = re.compile(
    r"(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{1,5}(?:-\d{1,5})?)?:)?(\d{1,5}(?:-\d{1,5})?)(?:/(\w+))?"
)
_UNTIL = {"service_started": "started", "service_healthy": "healthy", "service_completed_successfully": "done"}


class Port(NamedTuple):
    """One TCP port: inside, where this machine has it (0 for nowhere said), and on which address."""

    inside: int
    outside: int
    address: str

    @property
    def published(self) -> str:
        """As ``publish`` writes it."""
        return f"{self.address}:{self.outside}:{self.inside}" if self.address else f"{self.outside}:{self.inside}"


class Mount(NamedTuple):
    """A path inside, and the folder or volume behind it; empty for a volume without a name."""

    path: str
    source: str
    read_only: bool = False


def words(value: Any, key: Key, faults: Faults) -> list[str] | None:
    """A command's words, from a list or as a shell splits them; None for none."""
    if value is None:
        return None
    if isinstance(value, list):
        return [plain(each, (*key, i), faults) for i, each in enumerate(value)]
    try:
        return shlex.split(plain(value, key, faults))
    except ValueError as error:
        faults.add(key, f"{told(value)} doesn't split into words: {error}", "write a list")
        return None


def plain(value: Any, key: Key, faults: Faults) -> str:
    """One value as text, as Compose takes numbers and booleans for texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    faults.add(key, f"expected text, got {told(value)}")
    return ""


def pairs(value: Any, key: Key, faults: Faults) -> dict[str, str | None]:
    """A mapping, or a list of ``NAME=VALUE``; None for a name alone."""
    found: dict[str, str | None] = {}
    if isinstance(value, dict):
        for name, each in value.items():
            found[name] = None if each is None else plain(each, (*key, name), faults)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            name, equals, text = plain(each, (*key, i), faults).partition("=")
            found[name] = text if equals else None
    elif value is not None:
        faults.add(key, f"expected a mapping, got {told(value)}")
    return found


def listed(value: Any, key: Key, faults: Faults) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        faults.add(key, f"expected a list, got {told(value)}")
        return []
    return value


def ports(value: Any, key: Key, faults: Faults) -> tuple[list[Port], list[str]]:
    """The TCP ports, and in words what of the others can't be had."""
    found: list[Port] = []
    lost: list[str] = []
    for i, each in enumerate(listed(value, key, faults)):
        if isinstance(each, dict):
            inside, outside = str(each.get("target", "")), str(each.get("published") or "")
            address, protocol = str(each.get("host_ip") or ""), str(each.get("protocol") or "tcp")
        elif match := _SHORT_PORT.fullmatch(str(each)):
            address, outside, inside, protocol = (word or "" for word in match.groups())
        else:
            address = outside = inside = protocol = ""
        inner, outer = _range(inside), _range(outside)
        if not inner or (outside and len(outer) != len(inner)):
            faults.add((*key, i), f"{told(each)} isn't a port to publish", 'write such as "8080:80"')
        elif protocol not in ("", "tcp"):
            lost.append(f"{inside}/{protocol}: only TCP ports are published")
        else:
            found += [Port(n, outer[j] if outer else 0, address) for j, n in enumerate(inner)]
    return found, lost


def _range(word: str) -> list[int]:
    """``80`` and ``8000-8010`` as numbers; none for what is neither, or no ports, or too many."""
    first, _, last = word.partition("-")
    if not (first.isdecimal() and first.isascii()) or (last and not last.isdecimal()):
        return []
    numbers = range(int(first), int(last or first) + 1)
    return list(numbers) if 0 < len(numbers) <= MAX_RANGE and numbers[0] > 0 and numbers[-1] < 65536 else []


def volumes(value: Any, key: Key, faults: Faults) -> tuple[list[Mount], list[str]]:
    """What stands behind paths, and in words what can't be had."""
    found: list[Mount] = []
    lost: list[str] = []
    for i, each in enumerate(listed(value, key, faults)):
        if isinstance(each, dict):
            kind, source, path = (str(each.get(name) or "") for name in ("type", "source", "target"))
            if kind == "tmpfs":
                continue  # what an instance writes outside its volumes is in memory as it is
            if kind not in ("bind", "volume"):
                lost.append(f"{path or told(each)}: volumes of type {kind or 'none'}")
                continue
            found.append(Mount(path, source, bool(each.get("read_only"))))
        else:
            source, path, mode = _short_volume(plain(each, (*key, i), faults))
            found.append(Mount(path, source, "ro" in mode.split(",")))
        if not found[-1].path.startswith("/"):
            faults.add((*key, i), f"{told(each)} isn't a volume", 'write such as "data:/var/lib/app"')
    return found, lost


def _short_volume(text: str) -> tuple[str, str, str]:
    """``[SOURCE:]PATH[:MODE]``."""
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], ""
    return parts[0], parts[1], ":".join(parts[2:])


def after(value: Any, key: Key, faults: Faults, known: dict[str, Any]) -> dict[str, str]:
    """``depends_on``: each service with how far it has to be."""
    found: dict[str, str] = {}
    if isinstance(value, dict):
        for name, each in value.items():
            said = each if isinstance(each, dict) else {}
            condition = str(said.get("condition", "service_started"))
            if condition not in _UNTIL:
                faults.add((*key, name), f"{told(condition)} is no condition", f"there are: {', '.join(_UNTIL)}")
            elif name in known or said.get("required", True):
                found[name] = _UNTIL[condition]
    else:
        found = {plain(each, (*key, i), faults): "started" for i, each in enumerate(listed(value, key, faults))}
    return found


def health(value: Any, key: Key, faults: Faults) -> tuple[list[str], list[str]]:
    """A health check's command (empty for none), and the keys of it that have no counterpart."""
    if not isinstance(value, dict):
        faults.add(key, f"expected a mapping, got {told(value)}")
        return [], []
    test = value.get("test")
    lost = [name for name in value if name not in ("test", "disable")]
    if isinstance(test, str):
        return ["/bin/sh", "-c", test], lost
    said = words(test, (*key, "test"), faults) or []
    if value.get("disable") or said[:1] == ["NONE"]:
        return [], []
    if said[:1] == ["CMD"] and len(said) > 1:
        return said[1:], lost
    if said[:1] == ["CMD-SHELL"] and len(said) == 2:
        return ["/bin/sh", "-c", said[1]], lost
    if test is not None:
        faults.add((*key, "test"), f"{told(test)} is no test", 'write ["CMD", "…"] or ["CMD-SHELL", "…"]')
    return [], lost


def size(value: Any, key: Key, faults: Faults) -> int | None:
    """Bytes, written with units by 1024: ``512m``, ``1gb``."""
    match = _SIZE.fullmatch(str(value).strip())
    if not match or isinstance(value, bool) or not (found := _bytes(match)):
        faults.add(key, f"{told(value)} isn't a size", 'write such as "512m"')
        return None
    return found


def _bytes(match: re.Match[str]) -> int:
    unit: int = 1024 ** ("kmgt".index(match[3].lower()) + 1 if match[3] else 0)
    return int(match[1]) * unit + (int(float(match[2]) * unit) if match[2] else 0)


def number(value: Any, key: Key, faults: Faults) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(value, bool) or not 0 < found < 1e6:
        faults.add(key, f"{told(value)} isn't a number of these")
        return None
    return found
