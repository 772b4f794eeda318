"""A table as written against its shape: every fault at once, each with its key.

msgspec's own conversion stops at the first fault and speaks of JSON types; a person should see all of them, in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from oslet.codec.kinds import told
from oslet.codec.nearest import suggestion
from oslet.codec.places import Key
from oslet.errors import DeclarationError, Fault

MAX_FAULTS = 100
MAX_DEPTH = 16

Place: TypeAlias = Callable[[Key], tuple[int, str]]
"""Where a key stands: its line (0 when unknown), and how to say it."""


class Faults:
    """The faults found so far, each with the key it is at."""

    def __init__(self) -> None:
        self.found: list[tuple[Key, str, str]] = []

    def add(self, key: Key, what: str, hint: str = "") -> None:
        if len(self.found) < MAX_FAULTS and not any(key == other and what == said for other, said, _ in self.found):
            self.found.append((key, what, hint))

    def under(self, key: Key) -> bool:
        """Whether anything at or within ``key`` is faulty already."""
        return any(other[: len(key)] == key for other, _, _ in self.found)

    def raise_any(self, place: Place) -> None:
        """DeclarationError with every fault, in the order they stand in the declaration."""
        if not self.found:
            return
        placed = [(place(key), what, hint) for key, what, hint in self.found]
        placed.sort(key=lambda each: each[0][0])
        raise DeclarationError.of([Fault(what, where, hint) for (_, where), what, hint in placed])


def conform(value: Any, shape: Any, key: Key, faults: Faults) -> Any:
    """``value`` as ``shape`` (a type as in ``codec.shape``) has it, with what is faulty left out; UNSET if all is.

    Tables become dicts of the keys that are present.
    """
    if len(key) > MAX_DEPTH:
        faults.add(key, "nested too deeply")
        return UNSET
    origin = get_origin(shape)
    if origin is Annotated:
        result = conform(value, get_args(shape)[0], key, faults)
        pattern = next((m.pattern for m in get_args(shape)[1:] if isinstance(m, Meta) and m.pattern), None)
        if pattern and isinstance(result, str) and not re.search(pattern, result):
            word = "path" if key[-1] == "http" else key[-1]
            faults.add(key, f"{told(result)} isn't a {word}", _pattern_hint(key, result))
            return UNSET
        return result
    options = _options(shape)
    if options is not None:
        return _one_of(value, options, key, faults)
    if shape is Any:
        return value
    if isinstance(shape, type) and issubclass(shape, Struct):
        return _table(value, shape, key, faults)
    if origin is list:
        return _list(value, get_args(shape)[0], key, faults)
    if origin is dict:
        return _map(value, get_args(shape)[1], key, faults)
    if origin is Literal:
        if not isinstance(value, str):
            return _unexpected(value, shape, key, faults)
        if value not in get_args(shape):
            faults.add(key, f"{told(value)} is no {key[-1]}", suggestion(value, get_args(shape), kind="there are"))
            return UNSET
        return value
    if not _fits(value, shape):
        return _unexpected(value, shape, key, faults)
    if isinstance(value, str) and "\0" in value:
        faults.add(key, "holds a NUL character", "leave it out")
        return UNSET
    return value


def fields_of(shape: type[Struct]) -> dict[str, tuple[Any, bool]]:
    """Each key of a table's shape: its type, and whether it must be there."""
    return _fields(shape)


@lru_cache(maxsize=64)
def _fields(shape: type[Struct]) -> dict[str, tuple[Any, bool]]:
    return {field.name: (field.type, field.required) for field in msgspec.structs.fields(shape)}


def _options(shape: Any) -> tuple[Any, ...] | None:
    if get_origin(shape) not in (Union, UnionType):
        return None
    return tuple(each for each in get_args(shape) if each is not UnsetType)


def _one_of(value: Any, options: tuple[Any, ...], key: Key, faults: Faults) -> Any:
    if len(options) == 1:
        return conform(value, options[0], key, faults)
    tables = [each for each in options if isinstance(each, type) and issubclass(each, Struct)]
    if len(tables) > 1:
        return _tagged(value, tables, key, faults)
    for option in options:
        if _fits(value, get_origin(option) or option):
            return conform(value, option, key, faults)
    return _unexpected(value, Union[options], key, faults)  # noqa: UP007 - made from a tuple


def _tagged(value: Any, tables: list[type[Struct]], key: Key, faults: Faults) -> Any:
    """A table whose ``type`` says which it is."""
    by_tag = {str(table.__struct_config__.tag): table for table in tables}
    if not isinstance(value, Mapping):
        example = f'{{ type = "{_guess(value)}", default = {told(value)} }}' if _scalar(value) else '{ type = "str" }'
        faults.add(key, f"expected a table, got {told(value)}", f"write {key[-1]} = {example}")
        return UNSET
    tag = value.get("type")
    if tag is None:
        faults.add(key, "type is missing", f"there are: {', '.join(by_tag)}")
        return UNSET
    if not isinstance(tag, str) or tag not in by_tag:
        faults.add((*key, "type"), f"{told(tag)} is no type", _type_hint(str(tag), by_tag))
        return UNSET
    rest = {name: each for name, each in value.items() if name != "type"}
    return {"type": tag, **_table(rest, by_tag[tag], key, faults)}


_OTHER_WORDS = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "bytes": "size",
    "password": "secret",
    "uri": "url",
    "array": "list",
    "host": "address",
    "time": "duration",
    "choice": "enum",
}


def _type_hint(tag: str, by_tag: Mapping[str, Any]) -> str:
    other = _OTHER_WORDS.get(tag.lower())
    return f"did you mean {other!r}?" if other else suggestion(tag, by_tag, kind="there are")


def _table(value: Any, shape: type[Struct], key: Key, faults: Faults) -> Any:
    if not isinstance(value, Mapping):
        return _unexpected(value, shape, key, faults)
    fields = _fields(shape)
    result: dict[str, Any] = {}
    for name, each in value.items():
        if name == "default" and shape.__struct_config__.tag == "secret" and each != "":
            hint = 'leave it out: it is given when an instance starts; "" lets one start without'
            faults.add((*key, name), "a secret can't have a default", hint)
            continue
        if name not in fields:
            where = f"{spoken} has no such key" if (spoken := _spoken(shape)) else "no such key"
            faults.add((*key, str(name)), where, suggestion(str(name), fields, kind="keys"))
            continue
        conformed = conform(each, fields[name][0], (*key, name), faults)
        if conformed is not UNSET:
            result[name] = conformed
    for name, (_, required) in fields.items():
        if required and name not in value:
            faults.add(key, f"{name} is missing", _missing_hint(name))
    return result


def _spoken(shape: type[Struct]) -> str:
    tag = shape.__struct_config__.tag
    return f"a param of type {tag}" if tag else ""


def _missing_hint(name: str) -> str:
    return {"name": 'begin with name = "…"', "choices": 'write choices = ["…", "…"]'}.get(name, "")


def _list(value: Any, item: Any, key: Key, faults: Faults) -> Any:
    if not isinstance(value, list | tuple):
        hint = ""
        if isinstance(value, str):
            words = _split(value) if key[-1] in ("command", "exec") else [value]
            hint = "write [" + ", ".join(f'"{word}"' for word in words)[:200] + "]"
        faults.add(key, f"expected a list, got {told(value)}", hint)
        return UNSET
    return [conform(each, item, (*key, position), faults) for position, each in enumerate(value)]


def _split(command: str) -> list[str]:
    from shlex import split

    try:
        return split(command[:200])
    except ValueError:
        return command[:200].split()


def _map(value: Any, item: Any, key: Key, faults: Faults) -> Any:
    if not isinstance(value, Mapping):
        faults.add(key, f"expected a table, got {told(value)}", f"write [{key[-1]}] and a line for each")
        return UNSET
    result = {}
    for name, each in value.items():
        if not isinstance(name, str):
            faults.add(key, f"the key {told(name)} isn't text")
            continue
        conformed = conform(each, item, (*key, name), faults)
        if conformed is not UNSET:
            result[name] = conformed
    return result


def _fits(value: Any, shape: Any) -> bool:
    if (isinstance(shape, type) and issubclass(shape, Struct)) or shape is dict:
        return isinstance(value, Mapping)
    if shape is list:
        return isinstance(value, list | tuple)
    if shape in (int, float):
        return isinstance(value, shape) and not isinstance(value, bool)
    return shape is not Literal and isinstance(value, shape)


def _unexpected(value: Any, shape: Any, key: Key, faults: Faults) -> UnsetType:
    options = _options(shape) or (shape,)
    words = " or ".join(dict.fromkeys(_word(option) for option in options))
    hint = ""
    if (str in options and _scalar(value)) or (get_origin(shape) is Literal and isinstance(value, bool)):
        hint = f'write "{told(value)}"'
    elif bool in options and isinstance(value, str) and value.lower() in ("true", "false"):
        hint = f"write {value.lower()}, without quotes"
    elif {int, float} & set(options) and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        hint = f"write {value}, without quotes"
    if key[-1] == "mode":
        hint = 'write permission bits in octal, in quotes, such as "0640"'
    faults.add(key, f"expected {words}, got {told(value)}", hint)
    return UNSET


def _word(shape: Any) -> str:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if get_origin(shape) is Literal:
        return " or ".join(f'"{each}"' for each in get_args(shape))
    return words.get(shape) or ("a list" if get_origin(shape) is list else "a table")


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def _guess(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "str")


def _pattern_hint(key: Key, value: str) -> str:
    if key == ("name",):
        better = re.sub(r"[^a-z0-9._-]+", "-", value.lower()).strip("-._")[:63]
        return f'write "{better}"' if better else "write small letters, digits, - . and _"
    if key[-1] == "mode":
        return 'write permission bits in octal, such as "0640"'
    return 'begin it with /, such as "/healthz"' if key[-1] == "http" else ""
