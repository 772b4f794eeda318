"""Binding: laws of kinds, located faults, texts and templates filled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.bind import at_build, bind, contents, interpolate, is_rendered, mode_of, render, start_with, url_with
from oslet.codec import texts
from oslet.codec.kinds import KindError, parse, show
from oslet.codec.templates import fill_template, is_simple, render_template, template_names
from oslet.errors import DeclarationError, OsletError, RunError
from oslet.model.instance import Arguments, Secret
from oslet.model.oslet import Copy, File, Http, Oslet, SecretFile, Start, Template, Text, Wants
from oslet.model.param import (
    AddressKind,
    BoolKind,
    DurationKind,
    EnumKind,
    FloatKind,
    IntKind,
    Kind,
    ListKind,
    Param,
    PathKind,
    PortKind,
    SecretKind,
    SizeKind,
    StrKind,
    UrlKind,
)

GOOD: list[tuple[Kind, Any, Any]] = [
    (StrKind(pattern="[a-z]+"), "abc", "abc"),
    (IntKind(), "42", 42),
    (IntKind(), " -7 ", -7),
    (FloatKind(), "2.5e3", 2500.0),
    (FloatKind(), 1, 1.0),
    (BoolKind(), "Yes", True),
    (BoolKind(), "0", False),
    (EnumKind(("a", "b")), "b", "b"),
    (PortKind(), "8080", 8080),
    (SizeKind(), "64MiB", 64 << 20),
    (SizeKind(), "1.5 GB", 1_500_000_000),
    (SizeKind(), "2k", 2048),
    (SizeKind(), "0", 0),
    (SizeKind(), "0.1 KiB", 102),
    (DurationKind(), "1h30m", 5400.0),
    (DurationKind(), "250ms", 0.25),
    (DurationKind(), "1d 2h", 93600.0),
    (DurationKind(), "90", 90.0),
    (DurationKind(), 0.5, 0.5),
    (UrlKind(), "postgres://u:p%40@db.example:5432/app?x=1", "postgres://u:p%40@db.example:5432/app?x=1"),
    (UrlKind(), "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    (UrlKind(), "postgres://a:1,b:2/x", "postgres://a:1,b:2/x"),
    (UrlKind(), "file:///srv/x", "file:///srv/x"),
    (UrlKind(("http", "https")), "HTTPS://example.org", "HTTPS://example.org"),
    (PathKind(), "/var/lib/x", "/var/lib/x"),
    (AddressKind(), "localhost", "localhost"),
    (AddressKind(), "192.0.2.1:80", "192.0.2.1:80"),
    (AddressKind(), "[2001:db8::1]:443", "[2001:db8::1]:443"),
    (AddressKind(), "[::]", "[::]"),
    (ListKind(PortKind()), "1, 2,3", [1, 2, 3]),
    (ListKind(StrKind(), separator=" "), "a b", ["a", "b"]),
    (ListKind(), "", []),
    (ListKind(SizeKind()), ["1k", 2], [1024, 2]),
]

BAD: list[Any] = [
    *[(StrKind(min_length=2), "a"), (StrKind(max_length=2), "abc"), (StrKind(pattern="[a-z]+"), "ab1"), (StrKind(), 3)],
    *[(IntKind(), "1.5"), (IntKind(), True), (IntKind(max=3), 4), (IntKind(), "9" * 30), (IntKind(), 2**70)],
    *[(FloatKind(), "nan"), (FloatKind(), "x"), (FloatKind(), float("nan"))],
    *[(FloatKind(min=0), -1), (FloatKind(), "inf")],
    *[(BoolKind(), "maybe"), (BoolKind(), 1), (EnumKind(("a",)), "c"), (EnumKind(("1",)), 1)],
    *[(PortKind(), 0), (PortKind(), "65536"), (PortKind(), "http"), (PortKind(), "８０"), (PortKind(min=1024), 80)],
    *[(SizeKind(), "-1"), (SizeKind(), "1 XB"), (SizeKind(), 1.5), (SizeKind(), "9999999 PiB")],
    *[(SizeKind(max=9), "1k"), (SizeKind(), "")],
    *[(DurationKind(), "1m1h"), (DurationKind(), "5 parsecs"), (DurationKind(), -1), (DurationKind(), "1h1h")],
    *[(UrlKind(), "db"), (UrlKind(), "http://"), (UrlKind(), "http://a b/"), (UrlKind(("http",)), "ftp://x")],
    *[(UrlKind(), "http://x:99999/"), (UrlKind(), "1http://x"), (UrlKind(), "http://a/\n")],
    *[(PathKind(), "x"), (PathKind(), "/a/../b"), (PathKind(), "/a/"), (PathKind(), "/a\0"), (PathKind(), "//a")],
    *[(AddressKind(), "1.2.3.256"), (AddressKind(), "a:0"), (AddressKind(), "::1")],
    *[(AddressKind(), "[::1"), (AddressKind(), "")],
    *[(AddressKind(), "a b"), (AddressKind(), "-a"), (AddressKind(), "[::1]x"), (AddressKind(), "a:b")],
    *[(ListKind(min_length=1), ""), (ListKind(max_length=1), "a,b"), (ListKind(PortKind()), "1,x"), (ListKind(), 3)],
    *[(SecretKind(min_length=3), "ab"), (SecretKind(), 3)],
]  # fmt: skip


@pytest.mark.parametrize(("kind", "written", "value"), GOOD)
def test_parses(kind: Kind, written: Any, value: Any) -> None:
    found = parse(kind, written)
    assert (found, type(found)) == (value, type(value))
    assert parse(kind, found) == found
    assert parse(kind, show(kind, found)) == found


@pytest.mark.parametrize(("kind", "written"), BAD)
def test_refuses(kind: Kind, written: Any) -> None:
    with pytest.raises(KindError) as caught:
        parse(kind, written)
    assert len(caught.value.what) < 200


def test_a_password_in_a_bad_url_is_not_shown() -> None:
    for url in ("http://u:hunter2@", "http://u:hunter2@x y/", "db:hunter2@x"):
        with pytest.raises(KindError) as caught:
            parse(UrlKind(), url)
        assert "hunter2" not in str(caught.value.args)


@given(st.integers(0, 2**63 - 1))
def test_showing_a_size_loses_nothing(size: int) -> None:
    shown = show(SizeKind(), size)
    assert parse(SizeKind(), shown) == size
    assert show(SizeKind(), parse(SizeKind(), shown)) == shown


@given(st.floats(0, 1e12) | st.integers(0, 10**9).map(lambda n: n / 1000) | st.integers(0, 10**8).map(float))
def test_showing_a_duration_is_a_fixed_point(seconds: float) -> None:
    first = parse(DurationKind(), show(DurationKind(), seconds))
    shown = show(DurationKind(), first)
    assert parse(DurationKind(), shown) == first
    assert abs(first - seconds) <= 1e-6 * max(1.0, seconds)


KINDS: st.SearchStrategy[Kind] = st.sampled_from([kind for kind, *_ in GOOD] + [SecretKind()])


@given(KINDS, st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.text()))
def test_parsing_answers_or_refuses(kind: Kind, value: Any) -> None:
    try:
        found = parse(kind, value)
    except KindError:
        return
    assert parse(kind, found) == found


# binding

PARAMS = (
    Param("port", PortKind(), 8080),
    Param("db", UrlKind(), help="the database"),
    Param("peers", ListKind(PortKind(), separator=";"), [1, 2]),
    Param("wait", DurationKind(), 1.5),
    Param("debug", BoolKind(), False),
    Param("token", SecretKind()),
)


def arguments(**given: object) -> Arguments:
    return bind(PARAMS, {"db": "http://db", "token": "s3cret", **given})


def test_binding_the_defaults_changes_nothing() -> None:
    defaults = {param.name: param.default for param in PARAMS if not param.required}
    assert arguments() == arguments(**defaults)
    assert arguments() == bind(PARAMS, arguments().values)
    assert list(arguments().values) == [param.name for param in PARAMS]


def test_every_fault_at_once() -> None:
    with pytest.raises(DeclarationError) as caught:
        bind(PARAMS, {"port": "x", "bd": "http://x", "wait": "soon"}, where="--")
    assert str(caught.value) == (
        '--port: "x" isn\'t a port\n'
        "  write a port, such as 8080\n"
        "--db: needs a value: the database\n"
        "  give scheme://host/path\n"
        '--wait: "soon" isn\'t a duration\n'
        '  write seconds, or numbers with units, such as "1h30m" or "250ms"\n'
        "--token: needs a value\n"
        "  give a secret\n"
        "--bd: no such param\n"
        "  did you mean 'db'?"
    )


def test_interpolation() -> None:
    text = "{port} {db} {peers} {wait} {debug} {{port}} }}"
    assert interpolate(text, arguments()) == "8080 http://db 1;2 1.5 false {port} }"
    with pytest.raises(RunError, match="would show"):
        interpolate("{token}", arguments())
    with pytest.raises(RunError, match="has no value"):
        interpolate("{other}", arguments())


@given(st.text())
def test_an_escaped_text_is_itself(text: str) -> None:
    assert texts.fill(texts.escape(text), {}) == text
    assert texts.fill(texts.fill_some("{a}" + texts.escape(text), {"a": text}), {}) == text + text
    assert texts.fill(texts.fill_some("{a}{b}", {"a": text}), {"b": "{x}"}) == text + "{x}"


def test_the_start_contract_is_filled() -> None:
    start = Start(("a", "{port}"), (("A", "{db}"),), "/{port}", "root", ("{port}",), ("/v",), Http("/", "{port}"))
    filled = start_with(start, arguments(port=1))
    assert filled == Start(("a", "1"), (("A", "http://db"),), "/1", "root", ("1",), ("/v",), Http("/", "1"))
    assert start_with(filled, arguments()) == filled


def test_what_is_rendered_and_with_which_mode() -> None:
    secret, plain = Template("x", "{{ token }}"), Template("x", "{{ port }}", 0o640)
    assert [is_rendered(c) for c in (Copy("x"), secret, SecretFile("token"), Text("x"), Text("{port}"))] == [
        *[False, True, True, False, True]
    ]
    assert [mode_of(c, PARAMS) for c in (secret, plain, SecretFile("token"), Text("x"))] == [0o400, 0o640, 0o400, 0o644]
    assert contents(secret, arguments()) == contents(SecretFile("token"), arguments()) == "s3cret"
    assert contents(Text("{port}{{}}"), arguments()) == "8080{}"


# templates


def test_simple_templates_need_no_language() -> None:
    assert is_simple("server { listen {{ port }}; } # {x} }}")
    assert not is_simple("{% if x %}{% endif %}")
    assert not is_simple("{{ port + 1 }}")


def test_templates_with_control_flow() -> None:
    text = "{% for p in peers %}{{ p }} {% endfor %}{% if debug %}x{% endif %}{{ debug }} {{ peers }} {{ wait }}\n"
    assert template_names(text) == ("debug", "peers", "wait")
    assert render(Template("x", text), arguments()) == "1 2 false 1;2 1.5\n"
    assert render(Template("x", "{{ token }}{% if 1 %}{{ token }}{% endif %}"), arguments()) == "s3crets3cret"


HOSTILE = [
    "{{ port.__class__.__mro__ }}",
    "{{ ''.__class__ }}",
    "{{ port ** port ** port }}",
    "{{ 'x' * 999999999 }}",
    "{{ '%999999999d' % port }}",
    "{{ '{:>999999999}'.format(port) }}",
    "{{ 'x'.ljust(999999999) }}",
    "{% for a in range(99999) %}{% for b in range(999) %}xxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "{{ range(9999999) | list }}",
    "{{ nothing.at_all }}",
    "{{ 1 / 0 }}",
    "{{ self._TemplateReference__context }}",
    "{{ 'abc' | map(attribute='__class__') | list }}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_template_is_refused(text: str) -> None:
    with pytest.raises(RunError) as caught:
        render(Template("x.ini", text), arguments())
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{% include 'x' %}", "{% if %}", "{{ a | nosuch }}", "{% extends a %}", "{{ " + "(" * 9999]
)
def test_a_broken_template_is_refused_when_read(text: str) -> None:
    with pytest.raises(texts.TextError):
        template_names(text)


# params of the build

BUILT = Oslet(
    "x",
    wants=Wants(("python{version}",), ("flask=={version}",)),
    files=(
        File("/a", Template("a", "{{ version }} {{ port }}")),
        File("/b", Template("b", "{% if version == '3' %}{{ port }}{% endif %}")),
        File("/c", Text("{version} {port} {{}}")),
    ),
    params=(Param("port", PortKind(), 80), Param("version", StrKind(), "3", at="build")),
    start=Start(("run", "{version}", "{port}", "{{v}}"), health=Http("/{version}")),
)


def test_params_of_the_build_are_filled_in_and_gone() -> None:
    built = at_build(BUILT, {"version": "{3}"})
    assert built.wants == Wants(("python{3}",), ("flask=={3}",))
    assert [param.name for param in built.params] == ["port"]
    late = bind(built.params, {})
    assert start_with(built.start, late).command == ("run", "{3}", "80", "{v}")
    assert contents(built.files[0].content, late) == "{3} 80"
    assert contents(built.files[1].content, late) == ""
    assert contents(built.files[2].content, late) == "{3} 80 {}"
    assert contents(at_build(BUILT, {}).files[1].content, late) == "80"
    assert at_build(built, {}) is built


def test_a_param_of_the_start_is_refused_at_build() -> None:
    with pytest.raises(DeclarationError, match="is filled when an instance starts"):
        at_build(BUILT, {"port": 1})


@given(st.text(max_size=40))
def test_a_template_filled_in_two_goes_is_one_filled_at_once(word: str) -> None:
    for text in ("a {{ v }} {{ w }}", "{% if v %}{{ v }}{% endif %}{{ w }}"):
        once = render_template(text, {"v": word, "w": "w"})
        assert render_template(fill_template(text, {"v": word}), {"w": "w"}) == once


def test_errors_are_short() -> None:
    with pytest.raises(OsletError) as caught:
        bind(PARAMS, {f"unknown{i}": "x" * 10_000 for i in range(99)})
    assert len(str(caught.value)) < 4000


def test_a_url_holds_secrets_quoted_and_the_ports_of_its_reader() -> None:
    params = (
        Param("port", PortKind(), 5432),
        Param("password", SecretKind(), ""),
        Param("settings", ListKind(), ()),
        Param("base", PathKind(), "/a b"),
    )
    start = Start(url="db://u:{password}@{host}:{port}{base}")
    given = bind(params, {"password": "a/b:c@ä?"})
    assert url_with(start, given, "::1", {5432: 40001}) == "db://u:a%2Fb%3Ac%40%C3%A4%3F@[::1]:40001/a%20b"
    assert url_with(start, bind(params, {}), "db") == "db://u:@db:5432/a%20b"


def test_a_secret_may_be_left_out_where_its_default_is_empty() -> None:
    params = (Param("token", SecretKind(min_length=8, pattern="[a-z]+"), ""),)
    for nothing in ("", Secret("")):
        assert bind(params, {"token": nothing}).values["token"] == bind(params, {}).values["token"] == Secret("")
    for wrong in ("short", "has 3 blanks"):
        with pytest.raises(DeclarationError) as refused:
            bind(params, {"token": wrong})
        assert wrong not in str(refused.value)
    text = Text("token={token}", 0o644)
    assert contents(text, bind(params, {"token": "longenough"})) == "token=longenough"
    assert mode_of(text, params) == 0o400
