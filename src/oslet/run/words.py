"""Reading the words of ``run`` and ``exec``: oslet's own options, and an image's params as options of its own.

Own code, since the options after TARGET are known only once TARGET is read, and since a start can't pay for click. The
supervisor reads them, too, for a command line that imports nothing (``wire.Words``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oslet.errors import DeclarationError
from oslet.model.param import BoolKind, Param, SecretKind


class Option(NamedTuple):
    """One option: its long name, short name, the word for its value (empty for a flag), and one line of help."""

    name: str
    short: str
    value: str
    help: str
    many: bool = False


class Read(NamedTuple):
    """What was read: own options' values, given params, and the words that were neither."""

    options: dict[str, list[str]]
    given: dict[str, str]
    rest: list[str]


def read(
    words: Sequence[str], own: Sequence[Option], params: Sequence[Param] = (), *, stop_at_word: bool = False
) -> Read:
    """Read ``words``; a param wins over an own option of the same name. ``--`` ends the options.

    With ``stop_at_word`` the first word that is no option, and all after it, are the rest. Raises DeclarationError for
    an unknown option (with the nearest), a missing value, or an own option given twice.
    """
    by_name = {f"--{o.name}": o for o in own} | {f"-{o.short}": o for o in own if o.short}
    by_param = _param_options(params)
    found = Read({}, {}, [])
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word == "--" or (stop_at_word and not word.startswith("-")):
            found.rest.extend(todo if word == "--" else [word, *todo])
            break
        if not word.startswith("-") or word == "-":
            found.rest.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in by_param:
            param, constant = by_param[name]
            found.given[param.name] = value if equals else constant or _next(todo, name)
        elif name in by_name:
            option = by_name[name]
            values = found.options.setdefault(option.name, [])
            if values and not option.many and option.value:
                raise DeclarationError("given twice", where=name)
            values.append("" if not option.value else value if equals else _next(todo, name))
        elif len(word) > 2 and word[1] != "-" and word[:2] in by_name:
            todo[:0] = [word[:2], word[2:]] if by_name[word[:2]].value else [word[:2], f"-{word[2:]}"]
        else:
            raise _unknown(name, [*by_param, *(f"--{o.name}" for o in own)], bool(params))
    return found


def _param_options(params: Sequence[Param]) -> dict[str, tuple[Param, str]]:
    """Each param's options, and the value that an option alone means (``--debug``, ``--no-debug``)."""
    options: dict[str, tuple[Param, str]] = {}
    for param in params:
        name = param.name.replace("_", "-")
        is_flag = isinstance(param.kind, BoolKind)
        options[f"--{name}"] = options[f"--{param.name}"] = (param, "true" if is_flag else "")
        if is_flag:
            options[f"--no-{name}"] = (param, "false")
    return options


def _next(todo: list[str], name: str) -> str:
    if not todo:
        raise DeclarationError("needs a value", where=name)
    return todo.pop(0)


def _unknown(name: str, known: Sequence[str], has_params: bool) -> DeclarationError:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else "--help lists the options" + (" and params" if has_params else "")
    return DeclarationError("no such option", where=name, hint=hint)


def pair(word: str, sign: str, where: str, *, reverse: bool = False) -> tuple[str, str]:
    """``NAME=VALUE`` as a pair, or ``WHAT:PATH`` as (path, what) with ``reverse``."""
    left, found, right = word.rpartition(sign) if reverse else word.partition(sign)
    if not found or not left or (reverse and not right):
        raise DeclarationError(f"{word!r} is not {'WHAT:PATH' if reverse else 'NAME=VALUE'}", where=where)
    return (right, left) if reverse else (left, right)


def secret_values(given: Mapping[str, str], params: Sequence[Param], environment: Mapping[str, str]) -> dict[str, str]:
    """``given`` with each secret read from where its word points: ``@FILE``, ``@-`` (stdin) or ``env:NAME``.

    A secret itself is refused: on a command line any user of the machine could read it. One newline at the end of a
    file is not part of the secret.
    """
    secrets = {p.name for p in params if isinstance(p.kind, SecretKind)}
    return {n: _secret(n, v, environment) if n in secrets else v for n, v in given.items()}


def _secret(name: str, word: str, environment: Mapping[str, str]) -> str:
    import sys
    from pathlib import Path

    where = f"--{name}"
    if word == "@-":
        return sys.stdin.read(1 << 20).removesuffix("\n")
    if word.startswith("@"):
        try:
            with Path(word[1:]).open(encoding="utf-8") as stream:
                return stream.read(1 << 20).removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DeclarationError(f"can't read the secret's file: {error}", where=where) from None
    if word.startswith("env:"):
        if word[4:] not in environment:
            raise DeclarationError(f"there is no environment variable {word[4:]}", where=where)
        return environment[word[4:]]
    raise DeclarationError(
        "a secret does not belong on a command line, where every user of the machine can read it",
        where=where,
        hint=f"give it as {where} @FILE, {where} @- (standard input) or {where} env:NAME",
    )
