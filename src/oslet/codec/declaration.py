"""A declaration as written → ``Oslet``: reads, checks everything at once, and lowers.

The TOML and the Python spelling both come through ``lower``, so that they can't differ.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oslet.codec import content, cutting, parts, starting
from oslet.codec.conform import Faults, Place, conform
from oslet.codec.places import Key, line_of, locate, spell
from oslet.codec.shape import Declaration
from oslet.errors import DeclarationError
from oslet.model.oslet import Oslet, Policy, Start, Wants
from oslet.model.source import Oci

MAX_DECLARATION = 1 << 20

_TOML_WORDS = {
    "Cannot overwrite a value": "this key is there already",
    "Illegal character '\\n'": "the text doesn't end on its line",
    "Unclosed array": "a list doesn't end: ] is missing",
}


def read_toml(path: Path) -> Oslet:
    """The value of the declaration in the TOML file ``path``, with its templates read.

    DeclarationError with every fault found, each at ``FILE:LINE: KEY``.
    """
    where = shown(path)
    text = text_of(path, where)
    return lower(parse_toml(text, where), path.parent, placed_in(text, where))


def placed_in(text: str, where: str) -> Place:
    """Where each key of a TOML text stands; found out when it is first asked."""
    placed: dict[Key, int] = {}

    def place(key: Key) -> tuple[int, str]:
        if not placed:
            placed.update(locate(text))
        line = line_of(placed, key)
        word = spell(key)
        return line, f"{where}:{line}: {word}" if line and word else f"{where}: {word}" if word else where

    return place


def lower(table: dict[str, Any], folder: Path, place: Place) -> Oslet:
    """The value of a declaration of the shape ``codec.shape.Declaration``; ``folder`` is what its paths start from."""
    faults = Faults()
    table = conform(table, Declaration, (), faults)
    params = parts.params(table.get("params", {}), faults)
    texts = parts.Texts({param.name: param for param in params}, faults)
    for name in table.get("params", {}).keys() - texts.params.keys():
        texts.broken.add(name)
    value = Oslet(
        name=table.get("name", ""),
        help=table.get("help", ""),
        wants=Wants(
            packages=parts.packages(table, texts),
            wheels=parts.wheels(table, texts),
            recommends=table.get("recommends", False),
        ),
        source=parts.source(table.get("source", {}), folder, faults),
        files=content.files(table.get("files", {}), folder, texts),
        params=params,
        start=Start(
            command=starting.command(table, texts),
            env=starting.env(table, texts),
            workdir=starting.workdir(table, texts),
            user=starting.user(table, faults),
            ports=starting.ports(table, texts),
            volumes=starting.volumes(table, texts),
            health=starting.health(table, texts),
            network=table.get("network", "private"),
            capabilities=starting.capabilities(table, faults),
            stop_signal=starting.stop_signal(table, faults),
            url=starting.url(table, texts),
            warm=starting.warm(table, texts),
            machine=starting.machine(table, faults),
        ),
        policy=Policy(
            trim=table.get("trim", "safe"),
            features=cutting.features(table.get("features", {})),
            keep=starting.inside(table, "keep", faults),
            setuid=starting.inside(table, "setuid", faults),
            scripts=starting.scripts(table.get("scripts", {}), faults),
        ),
        checks=cutting.checks(table, texts),
    )
    faults.raise_any(place)
    return _unsaid(value, table) if isinstance(value.source, Oci) else value


def _unsaid(value: Oslet, table: dict[str, Any]) -> Oslet:
    """The value with nothing where the declaration says nothing: the image that it starts from says it then."""
    nothing = {name: "" for name in ("workdir", "user", "stop_signal") if name not in table}
    return replace(value, start=replace(value.start, **nothing))


def shown(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def text_of(path: Path, where: str) -> str:
    """The text of a file that a person wrote; DeclarationError for what is none, or is over 1 MiB."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_DECLARATION + 1)
    except IsADirectoryError:
        raise DeclarationError("is a folder", where=where, hint="name the declaration in it, a .toml file") from None
    except FileNotFoundError:
        near = parts.near_file(path)
        hint = f"did you mean {shown(near)!r}?" if near else "`oslet new` writes a declaration to start from"
        raise DeclarationError("no such file", where=where, hint=hint) from None
    except OSError as error:
        raise DeclarationError(f"can't be read: {error.strerror}", where=where) from None
    if len(data) > MAX_DECLARATION:
        raise DeclarationError("larger than 1 MiB", where=where, hint="put long texts into files beside it")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DeclarationError("isn't UTF-8", where=f"{where}:{line}", hint="save the file as UTF-8") from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The table that a TOML text spells; DeclarationError at ``where`` and the line where it doesn't parse."""
    from tomllib import TOMLDecodeError, loads

    try:
        return loads(text)
    except RecursionError:
        raise DeclarationError("nested too deeply", where=where, hint="flatten it") from None
    except TOMLDecodeError as error:
        said = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", str(error), re.DOTALL)
        what, line = (said[1], said[2]) if said else (str(error), None)
        line = line or str(text.count("\n") + (not text.endswith("\n")) or 1)
        what = _TOML_WORDS.get(what, what[:1].lower() + what[1:])
        raise DeclarationError(f"not TOML: {what}", where=f"{where}:{line}", hint=_toml_hint(text, int(line))) from None
    except ValueError as error:  # a date or number out of Python's range
        raise DeclarationError(f"not TOML: {error}", where=where) from None


def _toml_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    shown = lines[line - 1].strip()[:80] if 0 < line <= len(lines) else ""
    if re.match(r"[A-Za-z0-9_-]+\s*=\s*[A-Za-z/.]", shown) and not re.search(r"=\s*(true|false|inf|nan)\b", shown):
        return f"text needs quotes: {shown}"
    return f"the line is: {shown}" if shown else ""
