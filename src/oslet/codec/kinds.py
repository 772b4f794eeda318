"""Param kinds: written value → canonical value, and back to text.

A written value is a string (from a command line) or a TOML or Python value. The canonical value is what identity,
arguments and templates see: bytes as int, seconds as float, lists as list, everything else as its own type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from oslet.codec.nearest import suggestion
from oslet.codec.texts import TextError, plain
from oslet.model.instance import Secret
from oslet.model.param import (
    AddressKind,
    BoolKind,
    DurationKind,
    EnumKind,
    FloatKind,
    IntKind,
    Kind,
    ListKind,
    PathKind,
    PortKind,
    SecretKind,
    SizeKind,
    StrKind,
    UrlKind,
)

MAX_TEXT = 1 << 20
MAX_ITEMS = 10_000
MAX_INT = 2**63 - 1

_SIZES = {
    "": 1,
    "b": 1,
    "k": 1024,
    "m": 1024**2,
    "g": 1024**3,
    "t": 1024**4,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "pb": 1000**5,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
    "pib": 1024**5,
}
# patterns stay texts: re compiles each when it is first used, and most declarations use few
_SIZE = r"(\d{1,19})(?:\.(\d{1,9}))?\s*([a-z]{0,3})"
_TIMES = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME = r"(\d{1,15}(?:\.\d{1,9})?)\s*(min|ms|us|d|h|m|s)\s*"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_SCHEME = r"[a-z][a-z0-9+.-]*"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class KindError(TextError):
    """A value that its kind refuses: what is wrong (never the value of a secret), and what to write."""


def parse(kind: Kind, value: Any) -> Any:
    """The canonical value of what is written; KindError if ``kind`` refuses it."""
    return _PARSERS[type(kind)](kind, value)


def show(kind: Kind, value: Any) -> str:
    """A canonical value as a person writes it: ``64MiB``, ``1h30m``; ``parse`` reads it back. Secrets show as ``…``."""
    if isinstance(kind, SizeKind):
        return _show_size(value)
    if isinstance(kind, DurationKind):
        return _show_duration(value)
    if isinstance(kind, ListKind):
        return kind.separator.join(show(kind.of, each) for each in value)
    return repr(value) if isinstance(kind, FloatKind) else plain(value)


def kind_name(kind: Kind) -> str:
    """The word a declaration writes as ``type``."""
    return str(kind.__struct_config__.tag)


def told(value: Any) -> str:
    """What was written, for an error: short, in the declaration's own spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:59]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Secret):
        return "a secret"
    if isinstance(value, int | float):
        return repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return f"a {type(value).__name__}"


def _str(kind: StrKind, value: Any) -> str:
    text = _text(value, "text")
    if len(text) < kind.min_length:
        raise KindError(f"{told(text)} has {len(text)} characters; the least is {kind.min_length}")
    if kind.max_length is not None and len(text) > kind.max_length:
        raise KindError(f"{told(text)} has {len(text)} characters; the most is {kind.max_length}")
    if kind.pattern is not None and not re.fullmatch(kind.pattern, text):
        raise KindError(f"{told(text)} doesn't match the pattern {kind.pattern}")
    return text


def _int(kind: IntKind | PortKind, value: Any, word: str = "a whole number") -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,19}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise KindError(f"{told(value)} isn't {word}", f"write {word}, such as {_example(kind)}")
    _between(value, kind.min, kind.max, str)
    if abs(value) > MAX_INT:
        raise KindError("the number doesn't fit in 64 bits")
    return value


def _example(kind: IntKind | PortKind) -> str:
    return "8080" if isinstance(kind, PortKind) else str(kind.min if kind.min is not None else 10)


def _port(kind: PortKind, value: Any) -> int:
    return _int(kind, value, "a port")


def _float(kind: FloatKind, value: Any) -> float:
    number = _number(value)
    if number is None:
        raise KindError(f"{told(value)} isn't a number", "write a number, such as 0.5")
    _between(number, kind.min, kind.max, plain)
    return number


def _bool(kind: BoolKind, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise KindError(f"{told(value)} isn't true or false", "write true or false")


def _enum(kind: EnumKind, value: Any) -> str:
    text = _text(value, "one of the choices")
    if text not in kind.choices:
        raise KindError(f"{told(text)} is no choice", suggestion(text, kind.choices, kind="choices"))
    return text


def _size(kind: SizeKind, value: Any) -> int:
    size = value if isinstance(value, int) and not isinstance(value, bool) else None
    if (
        isinstance(value, str)
        and (match := re.fullmatch(_SIZE, value.strip(), re.ASCII | re.IGNORECASE))
        and match[3].lower() in _SIZES
    ):
        unit = _SIZES[match[3].lower()]
        fraction = match[2] or ""
        size = (int(match[1] + fraction) * unit) // 10 ** len(fraction)  # whole bytes; never through a float
    if size is None or size < 0:
        raise KindError(
            f"{told(value)} isn't a size", 'write bytes, or a number with a unit, such as "64MiB" or "1.5 GB"'
        )
    if size > MAX_INT:
        raise KindError("the size doesn't fit in 64 bits")
    _between(size, kind.min, kind.max, _show_size)
    return size


def _duration(kind: DurationKind, value: Any) -> float:
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        text, at, total, order = value.strip().lower(), 0, 0.0, math.inf
        while match := re.compile(_TIME, re.ASCII).match(text, at):
            unit = _TIMES[match[2]]
            if unit >= order:  # each unit once, the largest first, so that a slip such as 5m1h is no duration
                break
            total, at, order = total + float(match[1]) * unit, match.end(), unit
        if text and at == len(text):
            seconds = round(total, 6)
    if seconds is None or seconds < 0 or seconds > 1e12:
        raise KindError(
            f"{told(value)} isn't a duration", 'write seconds, or numbers with units, such as "1h30m" or "250ms"'
        )
    _between(seconds, kind.min, kind.max, _show_duration)
    return seconds


def _url(kind: UrlKind, value: Any) -> str:
    """RFC 3986 as far as an application needs it: a scheme, and a host unless it is a file."""
    text = _text(value, "a URL")
    scheme, mark, rest = text.partition("://")
    hint = "write scheme://host/path" + (f" with the scheme {' or '.join(kind.schemes)}" if kind.schemes else "")
    if not mark or not re.fullmatch(_SCHEME, scheme.lower(), re.ASCII) or re.search(r"[\s\x00-\x20<>\"]", text):
        raise KindError(f"{_unsigned(text)} isn't a URL", hint)
    if kind.schemes and scheme.lower() not in kind.schemes:
        raise KindError(f"the scheme {told(scheme)} isn't accepted", suggestion(scheme, kind.schemes, kind="schemes"))
    where = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not where and scheme.lower() not in ("file", "unix", "sqlite"):
        raise KindError(f"{_unsigned(text)} names no host", hint)
    if where and not all(_is_address(each) for each in where.split(",")):  # several hosts: postgres, mongodb, kafka
        raise KindError(f"{told(where)} isn't a host, or a host and port", hint)
    return text


def _unsigned(text: str) -> str:
    """A URL for an error, without the password it may hold."""
    return told(re.sub(r"(?<=:)[^/@]*(?=@)", "…", text))


def _path(kind: PathKind, value: Any) -> str:
    text = _text(value, "a path")
    if not is_absolute(text):
        raise KindError(f"{told(text)} isn't an absolute path", "begin it with / and leave out . and ..")
    return text


def is_absolute(path: str) -> bool:
    """Whether a path is absolute and normal: no empty part, ``.`` or ``..``, no slash at its end."""
    return path == "/" or (
        path.startswith("/") and not any(part in ("", ".", "..") or "\0" in part for part in path[1:].split("/"))
    )


def _address(kind: AddressKind, value: Any) -> str:
    text = _text(value, "an address")
    if not _is_address(text):
        raise KindError(
            f"{told(text)} isn't an address", "write host, host:port, 192.0.2.1:80, [2001:db8::1] or [2001:db8::1]:80"
        )
    return text


def _is_address(text: str) -> bool:
    from ipaddress import IPv4Address, IPv6Address

    if text.startswith("["):
        inside, mark, rest = text[1:].partition("]")
        try:
            IPv6Address(inside)
        except ValueError:
            return False
        return bool(mark) and (not rest or (rest.startswith(":") and _is_port(rest[1:])))
    host, colon, port = text.partition(":")
    if colon and not _is_port(port):
        return False
    if re.fullmatch(r"[\d.]+", host, re.ASCII):
        try:
            IPv4Address(host)
        except ValueError:
            return False
    return len(host) <= 253 and bool(re.fullmatch(_HOST, host, re.ASCII))


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,5}", text, re.ASCII)) and 1 <= int(text) <= 65535


def _secret(kind: SecretKind, value: Any) -> Secret:
    secret = Secret(value) if isinstance(value, str) else value
    if not isinstance(secret, Secret):
        raise KindError("a secret is text")
    size = len(secret.reveal())
    if size < kind.min_length:
        raise KindError(f"the secret has {size} characters; the least is {kind.min_length}")
    if size > MAX_TEXT or "\0" in secret.reveal():
        raise KindError("the secret is longer than 1 MiB or holds a NUL")
    if kind.pattern is not None and not re.fullmatch(kind.pattern, secret.reveal()):
        raise KindError(f"the secret doesn't match the pattern {kind.pattern}")
    return secret


def _list(kind: ListKind, value: Any) -> list[Any]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(kind.separator)] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise KindError(
            f"{told(value)} isn't a list", f"write a list, or text with {kind.separator!r} between the items"
        )
    if len(value) < kind.min_length:
        raise KindError(f"{len(value)} items; the least is {kind.min_length}")
    if len(value) > (MAX_ITEMS if kind.max_length is None else kind.max_length):
        raise KindError(f"{len(value)} items; the most is {MAX_ITEMS if kind.max_length is None else kind.max_length}")
    items = []
    for position, each in enumerate(value):
        try:
            items.append(parse(kind.of, each))
        except KindError as error:
            raise KindError(f"item {position + 1}: {error.what}", error.hint) from None
    return items


def _text(value: Any, word: str) -> str:
    if not isinstance(value, str):
        raise KindError(
            f"{told(value)} isn't {word}", f'write {word} in quotes: "{plain(value)}"' if _scalar(value) else ""
        )
    if len(value) > MAX_TEXT:
        raise KindError("the text is longer than 1 MiB")
    if "\0" in value:
        raise KindError(f"{told(value)} holds a NUL character", "leave it out")
    return value


def _scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        if not re.fullmatch(r"\s*[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?\s*", value, re.ASCII):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return None if math.isnan(value) else float(value)


def _between(value: Any, least: Any, most: Any, shown: Callable[[Any], str]) -> None:
    if least is not None and value < least:
        raise KindError(f"{shown(value)} is less than {shown(least)}", f"the least is {shown(least)}")
    if most is not None and value > most:
        raise KindError(f"{shown(value)} is more than {shown(most)}", f"the most is {shown(most)}")


def _show_size(size: int) -> str:
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit.lower()] == 0:
            return f"{size // _SIZES[unit.lower()]}{unit}"
    return str(size)


def _show_duration(seconds: float) -> str:
    micros = round(seconds * 1e6)
    if (micros % 1000 and micros / 1e6 != seconds) or seconds > 1e9:
        return plain(seconds)
    shown = ""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)):
        count, micros = divmod(micros, size)
        shown += f"{count}{unit}" if count else ""
    for unit, size in (("ms", 1000), ("us", 1)):
        count, micros = divmod(micros, size)
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


_PARSERS: dict[type, Callable[[Any, Any], Any]] = {
    StrKind: _str,
    IntKind: _int,
    FloatKind: _float,
    BoolKind: _bool,
    EnumKind: _enum,
    PortKind: _port,
    SizeKind: _size,
    DurationKind: _duration,
    UrlKind: _url,
    PathKind: _path,
    AddressKind: _address,
    SecretKind: _secret,
    ListKind: _list,
}
