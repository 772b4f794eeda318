"""``{name}`` in texts: which names a text holds, and filling them.

A text is literal but for ``{name}``, a param; ``{{`` and ``}}`` stand for literal braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PARAM_NAME = r"[a-z][a-z0-9_]{0,62}"

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(PARAM_NAME)
_PLAIN = re.compile(r"[A-Za-z0-9._~-]")
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\.(?:url|host|port|ports\.[1-9][0-9]?)")


class TextError(ValueError):
    """A text that can't be read: ``args`` are what is wrong and what to do."""

    @property
    def what(self) -> str:
        return str(self.args[0])

    @property
    def hint(self) -> str:
        return str(self.args[1]) if len(self.args) > 1 else ""


def _pieces(text: str, form: re.Pattern[str] = _NAME) -> Iterator[tuple[str, str]]:
    """(literal, "") and ("", name), in order; names have the given form."""
    at = 0
    for match in _PIECE.finditer(text):
        if match.start() > at:
            yield text[at : match.start()], ""
        at = match.end()
        piece, name = match.group(), match.group(1)
        if piece in ("{{", "}}"):
            yield piece[0], ""
        elif name is None:
            raise TextError(f"a lone {piece!r} in {_short(text)}", f"write {piece * 2} for a literal brace")
        elif not form.fullmatch(name):
            literal = f"{{{{{_clip(name)}}}}} for literal braces"
            if form is _NAME:
                raise TextError(f"{{{_clip(name)}}} is no param's name", f"write {literal}")
            such = f"such as {{{name}.url}} (or host, port, ports.2), or " if _NAME.fullmatch(name) else ""
            raise TextError(f"{{{_clip(name)}}} is no reference to a member", f"write {such}{literal}")
        else:
            yield "", name
    if at < len(text):
        yield text[at:], ""


def names(text: str) -> tuple[str, ...]:
    """The params a text holds, in order of first appearance. TextError if its braces don't read."""
    if "{" not in text and "}" not in text:
        return ()
    return tuple(dict.fromkeys(name for _, name in _pieces(text) if name))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every ``{name}`` replaced and literal braces single. KeyError for a name without a value."""
    if "{" not in text and "}" not in text:
        return text
    return "".join(values[name] if name else literal for literal, name in _pieces(text))


def references(text: str) -> tuple[str, ...]:
    """The references to other members in a stack's text (``db.url``, ``db.ports.2``). TextError as ``names``."""
    if "{" not in text and "}" not in text:
        return ()
    return tuple(dict.fromkeys(name for _, name in _pieces(text, _REFERENCE) if name))


def refer(text: str, values: Mapping[str, str]) -> str:
    """A stack's text with every reference replaced and literal braces single. KeyError for one without a value."""
    if "{" not in text and "}" not in text:
        return text
    return "".join(values[name] if name else literal for literal, name in _pieces(text, _REFERENCE))


def fill_some(text: str, values: Mapping[str, str]) -> str:
    """The text with only the names in ``values`` replaced: still a text, with its escapes."""
    if "{" not in text and "}" not in text:
        return text
    return "".join(
        escape(values.get(name, literal)) if literal or name in values else f"{{{name}}}"
        for literal, name in _pieces(text)
    )


def escape(literal: str) -> str:
    """The text that stands for ``literal``."""
    return literal.replace("{", "{{").replace("}", "}}")


def plain(value: Any, separator: str = ",") -> str:
    """A canonical value as an application reads it: whole numbers without a point, booleans as true and false,
    sizes in bytes, durations in seconds, lists joined by ``separator``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, list | tuple):
        return separator.join(plain(each) for each in value)
    return str(value)


def quoted(text: str, safe: str = "") -> str:
    """A text as it stands in a URL: all but unreserved characters (RFC 3986, 2.3) and ``safe`` ones in percent."""
    return "".join(chr(b) if chr(b) in safe or _PLAIN.match(chr(b)) else f"%{b:02X}" for b in text.encode())


def _clip(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _short(text: str) -> str:
    return repr(_clip(text))
