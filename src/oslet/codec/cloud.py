"""What a cloud gives a machine when it starts (user-data, meta-data) → values for params, each with its place.

``#cloud-config`` (YAML) whose key ``oslet`` holds ``params``, as cloud-init passes over keys it doesn't know; the same
as JSON or TOML; or the params alone, as JSON, TOML or ``NAME=VALUE`` lines. What they may be is ``bind``'s to say.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from oslet.codec.nearest import suggestion
from oslet.codec.places import Key
from oslet.errors import DeclarationError

MAX_TEXT = 256 << 10
_HEAD = "#cloud-config"
_RECORD = (b"OSLETBT1", b"T1NMRVRCVD")
"""A boot record, raw or in base64url, which holds no params any more."""
_OTHERS = {
    "#!": "a script",
    "#include": "a list of addresses to fetch from",
    "#cloud-boothook": "a script",
    "## template:": "a template",
    "Content-Type:": "a MIME archive",
    "MIME-Version:": "a MIME archive",
}
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(?![\"'\[{])(\S.*|)")
_UNSEEN = re.compile("[^\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Given(NamedTuple):
    """Values by param, and where each stands: ``FILE:LINE: KEY``."""

    values: dict[str, Any]
    places: dict[str, str]


class Meta(NamedTuple):
    """What a cloud calls a machine; empty where it doesn't say."""

    instance: str = ""
    hostname: str = ""


def user_data(data: bytes, where: str) -> Given:
    """The params that a cloud's user-data gives, gzip'd or plain. DeclarationError at ``where`` for what gives none."""
    text = _text(data, where)
    if text.startswith(_HEAD):
        table, place = _yaml(text, where)
        if "oslet" not in table:
            hint = "write oslet: {params: {NAME: VALUE}} into it"
            raise DeclarationError("this cloud-config says nothing to oslet", where=where, hint=hint)
        return _params(table, place)
    for begins, word in _OTHERS.items():
        if text.startswith(begins):
            hint = "user-data for oslet is #cloud-config with the key oslet, JSON, TOML or NAME=VALUE lines"
            raise DeclarationError(f"{word} for cloud-init gives no params", where=where, hint=hint)
    if text.lstrip().startswith("{"):
        return _params(*_json(text, where))
    lines = _lines(text, where)
    return lines if lines is not None else _params(*_toml(text, where))


def meta_data(data: bytes, where: str) -> Meta:
    """The names in a cloud's meta-data, which is YAML or JSON. What else it says is passed over."""
    text = _text(data, where)
    table, _ = _json(text, where) if text.lstrip().startswith("{") else _yaml(text, where)
    said = {key: str(table.get(key) or "") for key in ("instance-id", "local-hostname", "hostname")}
    return Meta(said["instance-id"][:200], (said["local-hostname"] or said["hostname"])[:253])


def cloud_config(values: Mapping[str, Any]) -> str:
    """Values, in canonical form and with secrets as what they are, as a cloud-config that ``user_data`` reads."""
    written = json.dumps({"params": dict(values)}, ensure_ascii=False, separators=(", ", ": "))
    shown = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
    return f"{_HEAD}\noslet: {shown}\n"


def _text(data: bytes, where: str) -> str:
    if data.startswith(b"\x1f\x8b"):
        data = _unzipped(data, where)
    if data.startswith(_RECORD):
        hint = "a machine starts with it; oslet run takes the params themselves"
        raise DeclarationError("a boot record, in which the params are bound already", where=where, hint=hint)
    if len(data) > MAX_TEXT:
        raise DeclarationError(f"larger than {MAX_TEXT >> 10} KiB", where=where)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise DeclarationError("not UTF-8 text", where=where) from None


def _unzipped(data: bytes, where: str) -> bytes:
    reader = zlib.decompressobj(31)
    try:
        found = reader.decompress(data, MAX_TEXT + 1)
    except zlib.error:
        raise DeclarationError("not whole gzip data", where=where) from None
    if not reader.eof and len(found) <= MAX_TEXT:
        raise DeclarationError("not whole gzip data", where=where)
    return found


_Place = Callable[[Key], str]


def _yaml(text: str, where: str) -> tuple[dict[str, Any], _Place]:
    from oslet.codec.compose.marked import read_yaml

    marked = read_yaml(text, where)
    return _table(marked.value, where), lambda key: f"{where}:{marked.lines.get(key, 1)}: {key[-1]}"


def _json(text: str, where: str) -> tuple[dict[str, Any], _Place]:
    import msgspec

    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DeclarationError(f"not JSON: {error}", where=where) from None
    return _table(found, where), lambda key: f"{where}: {key[-1]}"


def _toml(text: str, where: str) -> tuple[dict[str, Any], _Place]:
    from oslet.codec.declaration import parse_toml, placed_in

    place = placed_in(text, where)
    try:
        return parse_toml(text, where), lambda key: place(key)[1]
    except DeclarationError as error:  # its hint shows the line, in which a secret may stand
        hint = "NAME=VALUE lines have no space before the sign; in TOML a text has quotes"
        raise DeclarationError(error.what, where=error.where, hint=hint) from None


def _lines(text: str, where: str) -> Given | None:
    """``NAME=VALUE`` on each line, no space before the sign and no quote behind it; None for what is TOML."""
    values, places = {}, {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if (found := _LINE.fullmatch(line)) is None:
            return None
        name = found[1]
        if name in values:
            raise DeclarationError("said twice", where=f"{where}:{number}: {name}", hint="leave one out")
        values[name], places[name] = found[2], f"{where}:{number}: {name}"
    return Given(values, places)


def _table(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise DeclarationError("not a table of names and values", where=where)


def _params(table: dict[str, Any], place: _Place) -> Given:
    """Those under ``oslet.params``; or, where nothing is called ``oslet``, the whole table."""
    key: Key = ()
    if "oslet" in table:
        for word in ("oslet", "params"):
            key = (*key, word)
            inner = table.get(word, {})
            if not isinstance(inner, dict):
                raise DeclarationError("not a table", where=place(key), hint="write oslet: {params: {NAME: VALUE}}")
            for other in inner if word == "oslet" else ():
                if other != "params":
                    hint = suggestion(other, ("params",), kind="keys")
                    raise DeclarationError("no such key", where=place((*key, other)), hint=hint)
            table = inner
    for name, value in table.items():
        if value is None:
            raise DeclarationError("has no value", where=place((*key, name)), hint='write "" for an empty text')
    return Given(dict(table), {name: place((*key, name)) for name in table})
