"""Lock ↔ its file: TOML, one block a package and one line a fact, so that a diff of two reads as what changed."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from oslet.codec.declaration import parse_toml
from oslet.codec.nearest import suggestion
from oslet.codec.places import Key, line_of, locate, spell
from oslet.errors import DeclarationError
from oslet.model.lock import Foreign, Lock, Package, Wheel

FORMAT = 1
MAX_ENTRIES = 50_000
MAX_LAYERS = 512

_HEADER = """\
# What `oslet lock` resolved; keep it beside the declaration and under version control.
# `oslet lock --upgrade` renews it. Every image built from it holds exactly these packages.
"""
_LINE = re.compile(r'([a-z0-9]+) = (?:"([^"\\\x00-\x1f\x7f]*)"|(\d{1,18}))')
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HINT = "take the lock from version control, or write it anew with `oslet lock`"


def write_lock(lock: Lock) -> str:
    """The text of a lock file. ``read_lock`` gives the same lock back; the same lock gives the same text."""
    import tomli_w

    head: dict[str, Any] = {"format": FORMAT, "wants": lock.wants, "suite": lock.suite, "arch": lock.arch}
    if lock.python:
        head["python"] = lock.python
    blocks = [tomli_w.dumps(head)]
    if lock.image is not None:
        blocks.append(_image(lock.image))
    for table, entries in (("package", lock.packages), ("wheel", lock.wheels)):
        blocks += [f"[[{table}]]\n{tomli_w.dumps(_facts(entry))}" for entry in entries]
    return _HEADER + "\n".join(blocks)


def _facts(entry: Package | Wheel) -> dict[str, Any]:
    """An entry's fields, without those that are empty: they would say nothing on every other line."""
    return {name: value for name, value in msgspec.structs.asdict(entry).items() if value != ""}


def _image(image: Foreign) -> str:
    import tomli_w

    facts = msgspec.to_builtins(image)
    facts["start"] = {name: value for name, value in facts["start"].items() if value is not None}
    return tomli_w.dumps({"image": facts})


def read_lock(text: str, where: str) -> Lock:
    """The lock that a lock file's text spells. DeclarationError at ``where`` and the line if it spells none.

    The file may come from anywhere: digests, sizes and paths are checked here; bytes where they are fetched.
    """
    table = _plain(text)
    if table is None:
        table = parse_toml(text, where)
    version = table.pop("format", None)
    if version != FORMAT:
        raise _error(text, where, ("format",), f"lock format {version!r} isn't {FORMAT}")
    packages, wheels = table.pop("package", []), table.pop("wheel", [])
    if not isinstance(packages, list) or not isinstance(wheels, list) or len(packages) + len(wheels) > MAX_ENTRIES:
        raise _error(text, where, ("package",), f"isn't a list of at most {MAX_ENTRIES} packages")
    try:
        lock = msgspec.convert(table, Lock)
    except msgspec.ValidationError as error:
        raise _error(text, where, (), str(error)) from None
    if lock.image is not None:
        _check_image(lock.image, text, where)
    return msgspec.structs.replace(
        lock,
        packages=tuple(_entry(each, Package, ("package", i), text, where) for i, each in enumerate(packages)),
        wheels=tuple(_entry(each, Wheel, ("wheel", i), text, where) for i, each in enumerate(wheels)),
    )


def _check_image(image: Foreign, text: str, where: str) -> None:
    if len(image.layers) > MAX_LAYERS:
        raise _error(text, where, ("image", "layers"), f"are over {MAX_LAYERS}")
    for digest in (image.manifest, *(layer.digest for layer in image.layers)):
        if not _DIGEST.fullmatch(digest):
            raise _error(text, where, ("image",), f"{digest[:80]!r} isn't a digest")
    if any(layer.size < 0 for layer in image.layers):
        raise _error(text, where, ("image", "layers"), "a size is less than 0")


def _entry(facts: Any, shape: type[Any], key: Key, text: str, where: str) -> Any:
    names = shape.__struct_fields__
    if not isinstance(facts, dict):
        raise _error(text, where, key, "isn't a table")
    for name in facts:
        if name not in names:
            raise _error(text, where, (*key, name), "no such key", suggestion(name, names, kind="keys"))
    empty = dict.fromkeys({"archive", "by", "request"} & set(names), "")
    try:
        entry = msgspec.convert({**empty, **facts}, shape)
    except msgspec.ValidationError as error:
        raise _error(text, where, key, str(error)) from None
    if not _SHA256.fullmatch(entry.sha256):
        raise _error(text, where, (*key, "sha256"), "isn't a sha256 in hex")
    if entry.size < 0:
        raise _error(text, where, (*key, "size"), "is less than 0")
    path = entry.path if isinstance(entry, Package) else entry.file
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise _error(text, where, (*key, "path" if isinstance(entry, Package) else "file"), "leads out of its archive")
    if isinstance(entry, Wheel) and "/" in path:
        raise _error(text, where, (*key, "file"), "isn't a file's name")
    return entry


def _plain(text: str) -> dict[str, Any] | None:
    """The table of a text spelled as ``write_lock`` does, ten times quicker than TOML at large; None of any other."""
    table: dict[str, Any] = {}
    here = table
    for line in text.split("\n"):
        if match := _LINE.fullmatch(line):
            name, word, number = match.groups()
            if name in here:
                return None
            here[name] = word if number is None else int(number)
        elif line in ("[[package]]", "[[wheel]]"):
            here = {}
            entries = table.setdefault(line[2:-2], [])
            if not isinstance(entries, list):
                return None
            entries.append(here)
        elif line and not line.startswith("#"):
            return None
    return table


def _error(text: str, where: str, key: Key, what: str, hint: str = "") -> DeclarationError:
    try:
        line = line_of(locate(text), key)
    except (IndexError, RecursionError):
        line = 0
    place = f"{where}:{line}" if line else where
    shown = spell(key)
    return DeclarationError(what, where=f"{place}: {shown}" if shown else place, hint=hint or _HINT)
