"""Arguments from a cloud: each param type comes through each form of user-data as it went in; faults are located."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.bind import bind
from oslet.codec.cloud import MAX_TEXT, Meta, cloud_config, meta_data, user_data
from oslet.codec.kinds import show
from oslet.errors import DeclarationError
from oslet.model.instance import Secret
from oslet.model.param import (
    AddressKind,
    BoolKind,
    DurationKind,
    EnumKind,
    FloatKind,
    IntKind,
    ListKind,
    Param,
    PathKind,
    PortKind,
    SecretKind,
    SizeKind,
    StrKind,
    UrlKind,
)
from oslet.run.wishing import bound

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60)
WORD = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
FINITE = st.floats(0, 1e12, allow_nan=False)
VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (StrKind(), TEXT),
    "whole": (IntKind(), st.integers(-(2**63) + 1, 2**63 - 1)),
    "number": (FloatKind(), st.floats(-1e300, 1e300)),
    "flag": (BoolKind(), st.booleans()),
    "choice": (EnumKind(("on", "no", "1.0", "null")), st.sampled_from(["on", "no", "1.0", "null"])),
    "port": (PortKind(), st.integers(1, 65535)),
    "size": (SizeKind(), st.integers(0, 2**63 - 1)),
    "time": (DurationKind(), FINITE.map(lambda n: round(n, 6))),
    "url": (UrlKind(), WORD.map(lambda w: f"https://u:{w}%40@{w}.example.org:8080/{w}?q=#f")),
    "path": (PathKind(), WORD.map(lambda w: f"/srv/{w}")),
    "address": (AddressKind(), st.sampled_from(["[2001:db8::1]:80", "192.0.2.1:1", "host"])),
    "secret": (SecretKind(), TEXT),
    "words": (ListKind(StrKind(), separator=";"), st.lists(TEXT, max_size=4)),
    "ports": (ListKind(PortKind()), st.lists(st.integers(1, 65535), max_size=4)),
}
PARAMS = [Param(name, kind) for name, (kind, _) in VALUES.items()]
ALL = st.fixed_dictionaries({name: strategy for name, (_, strategy) in VALUES.items()})


def lines(values: dict[str, Any]) -> str | None:
    """As NAME=VALUE, if it can be said so: a line is a text without quotes, and no more than one."""
    written = []
    for param in PARAMS:
        value = values[param.name]
        text = value if isinstance(value, str) else show(param.kind, value)
        if (
            text != text.strip()
            or text[:1] in "\"'[{"
            or any(c in text for c in "\n\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e")
        ):
            return None
        if isinstance(value, list) and (
            any(isinstance(each, str) and (";" in each or each != each.strip() or not each) for each in value)
        ):
            return None
        written.append(f"{param.name}={text}")
    return "# of a test\n" + "\n".join(written)


@settings(max_examples=150)
@given(ALL)
def test_each_type_comes_through_each_form(values: dict[str, Any]) -> None:
    forms = [
        cloud_config(values),
        json.dumps(values),
        json.dumps({"oslet": {"params": values}}),
        tomli_w.dumps(values),
        tomli_w.dumps({"oslet": {"params": values}}),
        *filter(None, [lines(values)]),
    ]
    expected = {name: Secret(value) if name == "secret" else value for name, value in values.items()}
    for form in forms:
        found = user_data(form.encode(), "user-data")
        assert bind(PARAMS, found.values).values == expected, form
    assert user_data(gzip.compress(forms[0].encode()), "u") == user_data(forms[0].encode(), "u")


GOLDENS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "cloud-config": (
        "#cloud-config\npackages: [nginx]\nusers:\n  - default\noslet:\n  params:\n    port: 8080\n    db: no\n",
        {"port": 8080, "db": "no"},
        {"port": "u:7: port", "db": "u:8: db"},
    ),
    "JSON": ('{"port": 8080, "debug": true}', {"port": 8080, "debug": True}, {"port": "u: port", "debug": "u: debug"}),
    "TOML": (
        '\nport = 8080\nhosts = ["a"]\n',
        {"port": 8080, "hosts": ["a"]},
        {"port": "u:2: port", "hosts": "u:3: hosts"},
    ),
    "TOML below oslet": ("[oslet.params]\nport = 1\n", {"port": 1}, {"port": "u:2: oslet.params.port"}),
    "lines": (
        "#c\nport=8080\r\ndb=postgres://u:p@h/d?a=b\nnone=\n",
        {"port": "8080", "db": "postgres://u:p@h/d?a=b", "none": ""},
        {"port": "u:2: port", "db": "u:3: db", "none": "u:4: none"},
    ),
    "nothing": ("", {}, {}),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_forms(name: str) -> None:
    text, values, places = GOLDENS[name]
    assert user_data(text.encode(), "u") == (values, places)


@pytest.mark.parametrize(
    ("text", "where", "word"),
    [
        (b"#cloud-config\npackages: [nginx]\n", "u", "says nothing to oslet"),
        (b"#cloud-config\noslet: [1]\n", "u:2: oslet", "not a table"),
        (b"#cloud-config\noslet:\n  params: 3\n", "u:3: params", "not a table"),
        (b"#cloud-config\noslet:\n  parms: {}\n", "u:3: parms", "no such key"),
        (b"#cloud-config\noslet:\n  params:\n    a:\n", "u:4: a", "no value"),
        (b"#cloud-config\noslet:\n  params:\n    a: 1\n    a: 2\n", "u:5", "twice"),
        (b"#cloud-config\noslet: !!python/object:os.system {}\n", "u:2", "tag"),
        (b"#cloud-config\n- a\n", "u", "not a table"),
        (b"#!/bin/sh\necho\n", "u", "a script"),
        (b"#include\nhttps://example.org\n", "u", "addresses"),
        (b"Content-Type: multipart/mixed; boundary=x\n", "u", "MIME"),
        (b"OSLETBT1\0\0\0\0\0\0\0\0", "u", "boot record"),
        (b"T1NMRVRCVDF9AAAA", "u", "boot record"),
        (b'{"a": ', "u", "not JSON"),
        (b"[1", "u:1", "not TOML"),
        (b"a = b", "u:1", "not TOML"),
        (b"a=1\na=2", "u:2: a", "twice"),
        (b"\xff\xfe", "u", "UTF-8"),
        (b"\x1f\x8bxx", "u", "gzip"),
        (gzip.compress(b"x" * (MAX_TEXT + 1), mtime=0), "u", "larger"),
        (gzip.compress(b"a=1", mtime=0)[:-4], "u", "gzip"),
        (b"x" * (MAX_TEXT + 1), "u", "larger"),
        (b"#cloud-config\n" + b"[" * 500, "u", ""),
    ],
)  # fmt: skip
def test_faults_say_where(text: bytes, where: str, word: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        user_data(text, "u")
    assert raised.value.where.startswith(where) and word in raised.value.what


def test_a_fault_of_a_value_is_where_it_stands_and_options_go_before_it() -> None:
    params = [Param("port", PortKind()), Param("who", StrKind(), "you"), Param("token", SecretKind())]
    cloud = user_data(b"#cloud-config\noslet:\n  params:\n    port: x\n    token: 7\n    wo: a\n", "ud.yaml")
    with pytest.raises(DeclarationError) as raised:
        bound(params, {}, {}, cloud)
    assert [(f.where, f.hint) for f in raised.value.faults] == [
        ("ud.yaml:4: port", "write a port, such as 8080"),
        ("ud.yaml:5: token", ""),
        ("ud.yaml:6: wo", "did you mean 'who'?"),
    ]
    good = user_data(b"port=80\ntoken=t\n", "u")
    assert bound(params, {"port": "81"}, {}, good).values == {"port": 81, "who": "you", "token": Secret("t")}
    with pytest.raises(DeclarationError) as raised:
        bound(params, {"port": "x"}, {}, good)
    assert raised.value.where == "--port"


def test_no_secret_is_in_an_error() -> None:
    for text in (b"token = hunter2", b"a=1\ntoken = hunter2\n", b'{"token": hunter2}', b"#cloud-config\nt: [hunter2\n"):
        with pytest.raises(DeclarationError) as raised:
            user_data(text, "u")
        assert "hunter2" not in str(raised.value)


def test_meta_data() -> None:
    assert meta_data(b"instance-id: i-1\nlocal-hostname: web.example.org\n", "m") == Meta("i-1", "web.example.org")
    assert meta_data(b'{"instance-id": 7, "hostname": "h", "public-keys": []}', "m") == Meta("7", "h")
    assert meta_data(b"", "m") == Meta()
    with pytest.raises(DeclarationError):
        meta_data(b"- a\n", "m")
