"""A secret can be used, and not shown: each way out of a process is tried."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import reprlib
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from oslet.bind import bind
from oslet.codec import canonical
from oslet.errors import DeclarationError
from oslet.model.instance import Arguments, Secret
from oslet.model.param import ListKind, Param, SecretKind

WORD = "hunter2-xyzzy"
SECRET = Secret(WORD)


@dataclasses.dataclass
class Holder:
    secret: Secret


class Held(msgspec.Struct):
    secret: Secret


SHOWN: dict[str, Callable[[], Any]] = {
    "str": lambda: str(SECRET),
    "repr": lambda: repr(SECRET),
    "f-string": lambda: f"{SECRET}",
    "f-string with width": lambda: f"{SECRET:>40}",
    "f-string repr": lambda: f"{SECRET!r}",
    "f-string ascii": lambda: f"{SECRET!a}",
    "percent s": lambda: "%s" % SECRET,  # noqa: UP031
    "percent r": lambda: "%r" % SECRET,  # noqa: UP031
    "format": lambda: "{0} {0!r} {0!s}".format(SECRET),  # noqa: UP032
    "list": lambda: [SECRET],
    "dict": lambda: {SECRET: SECRET},
    "dataclass": lambda: Holder(SECRET),
    "struct": lambda: Held(SECRET),
    "arguments": lambda: Arguments({"token": SECRET}),
    "pprint": lambda: pprint.pformat({"a": [SECRET]}),
    "reprlib": lambda: reprlib.repr([SECRET]),
    "dir": lambda: dir(SECRET),
    "json default=str": lambda: json.dumps({"a": SECRET}, default=str),
    "exception": lambda: ValueError(SECRET),
}


@pytest.mark.parametrize("way", SHOWN)
def test_shows_nothing(way: str) -> None:
    shown = SHOWN[way]()
    assert WORD not in str(shown)
    assert WORD not in repr(shown)


REFUSED: dict[str, Callable[[], Any]] = {
    **{f"pickle {n}": partial(pickle.dumps, SECRET, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "copy": lambda: copy.copy(SECRET),
    "deepcopy": lambda: copy.deepcopy({"a": SECRET}),
    "json": lambda: json.dumps({"a": SECRET}),
    "msgspec json": lambda: msgspec.json.encode(SECRET),
    "msgspec json of a struct": lambda: msgspec.json.encode(Held(SECRET)),
    "msgspec msgpack": lambda: msgspec.msgpack.encode([SECRET]),
    "msgspec builtins": lambda: msgspec.to_builtins(Arguments({"t": SECRET})),
    "canonical": lambda: canonical(Arguments({"t": SECRET})),
    "asdict": lambda: dataclasses.asdict(Holder(SECRET)),
    "vars": lambda: vars(SECRET),
    "len": lambda: len(SECRET),  # type: ignore[arg-type]
    "iter": lambda: list(SECRET),  # type: ignore[call-overload]
    "join": lambda: "".join([SECRET]),  # type: ignore[list-item]
    "add": lambda: "x" + SECRET,  # type: ignore[operator]
    "bytes": lambda: bytes(SECRET),  # type: ignore[call-overload]
    "write": lambda: io.StringIO().write(SECRET),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("way", REFUSED)
def test_is_refused(way: str) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as caught:
        REFUSED[way]()
    assert WORD not in str(caught.value)


def test_shallow_views_hold_the_secret_itself() -> None:
    assert msgspec.structs.asdict(Held(SECRET)) == {"secret": SECRET}
    assert WORD not in repr(msgspec.structs.asdict(Held(SECRET)))


def test_logs_and_tracebacks_show_nothing() -> None:
    stream = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("token %s %r", SECRET, SECRET)
    logger.warning(SECRET)
    try:
        json.dumps({"token": SECRET})
    except TypeError as error:
        logger.exception("failed: %s", SECRET)
        rich = traceback.TracebackException.from_exception(error, capture_locals=True)
        stream.write("".join(rich.format()))
    assert "token" in stream.getvalue()
    assert WORD not in stream.getvalue()


def test_a_refused_secret_is_not_in_the_error() -> None:
    for kind in (SecretKind(min_length=99), SecretKind()):
        for value in (WORD, Secret(WORD), WORD + "\0", [WORD], Secret(WORD + "\0")):
            try:
                bind([Param("token", kind)], {"token": value})
            except DeclarationError as error:
                assert WORD not in str(error) + repr(error) + repr(error.faults)
    with pytest.raises(DeclarationError) as caught:
        bind([Param("token", SecretKind()), Param("tags", ListKind())], {"tags": Secret(WORD)})
    assert WORD not in str(caught.value)


def test_equal_secrets_are_equal_and_hash_says_nothing() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("b"))
    assert (bool(Secret("")), bool(Secret("a"))) == (False, True)
    assert Secret("a").reveal() == "a"


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        SECRET.other = 1  # type: ignore[attr-defined]
