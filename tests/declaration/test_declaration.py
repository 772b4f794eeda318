"""Declarations: both spellings are one value; the schema says what the reader says; everything has its bound."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

import oslet
from oslet.codec import canonical, decode, digest
from oslet.codec.declaration import read_toml
from oslet.codec.reference import reference
from oslet.codec.schema import declaration_schema
from oslet.codec.templates import MAX_TEMPLATE
from oslet.declare import lower
from oslet.model import oslet as model
from oslet.model.param import EnumKind, IntKind, ListKind, PortKind, SizeKind

from ..conftest import ROOT
from .test_declaration_bad import CASES

EXAMPLES = sorted(file for file in ROOT.glob("examples/*/*.toml") if file.name != "stack.toml")

WORLD = """
name = "whole-world"
help = "Everything a declaration can say."
packages = ["python3", "nginx=1.22.1-9", "python{version}-venv"]
wheels = ["flask>=3", "uvicorn"]
recommends = true
command = ["serve", "--port", "{port}", "{{literal}}", "{peers}"]
env = { B = "{level}", A = "x" }
workdir = "/srv"
user = "www-data"
ports = ["{port}", 9000]
volumes = ["/var/lib/web"]
network = "host"
capabilities = ["NET_BIND_SERVICE"]
stop_signal = "SIGINT"
url = "http://{host}:9000"
trim = "packages"
keep = ["/usr/share/doc/**"]
setuid = ["/usr/bin/su"]

[source]
suite = "bookworm"
pockets = ["updates"]
components = ["main", "contrib"]

[files]
"/etc/b.ini" = { template = "./app.ini", mode = "0600" }
"/app" = "./app"
"/etc/key" = { secret = "key" }
"/etc/motd" = { text = "port {port}\\n" }

[params]
port = { type = "port", default = 8080, help = "where it listens" }
level = { type = "enum", choices = ["info", "debug"], default = "info" }
memory = { type = "size", default = "64MiB", min = "1MiB" }
timeout = { type = "duration", default = "1h30m" }
peers = { type = "list", of = { type = "address" }, default = ["a:1"], separator = ";" }
db = { type = "url", schemes = ["postgres"] }
version = { type = "str", default = "3", at = "build" }
key = { type = "secret", min_length = 8 }
token = { type = "secret" }

[warm]
modules = ["json"]
snapshot = "/var/lib/web"
prepare = ["/bin/init", "{version}"]

[machine]
kernel = "distribution"
memory = "64MiB"

[health]
http = "/healthz"
port = 9000

[scripts]
nginx = "ignore"
adduser = "run"
dbus = { users = ["messagebus"], directories = ["/run/dbus:0755"], links = { "/a" = "b" }, files = { "/c" = "d" } }
"""

TWIN = '''
import oslet
from oslet import Address, Duration, List, param


class WholeWorld(oslet.Oslet):
    """Everything a declaration can say."""

    packages = ["python3", "nginx=1.22.1-9", "python{version}-venv"]
    wheels = ["flask>=3", "uvicorn"]
    recommends = True
    command = ["serve", "--port", "{port}", "{{literal}}", "{peers}"]
    env = {"A": "x", "B": "{level}"}
    workdir = "/srv"
    user = "www-data"
    ports = ["{port}", 9000]
    volumes = ["/var/lib/web"]
    network = "host"
    capabilities = ["CAP_NET_BIND_SERVICE"]
    stop_signal = "SIGINT"
    url = "http://{host}:9000"
    warm = oslet.Warm(modules=("json",), snapshot="/var/lib/web", prepare=("/bin/init", "{version}"))
    machine = oslet.Machine(kernel="distribution", memory=64 << 20)
    trim = "packages"
    keep = ["/usr/share/doc/**"]
    setuid = ["/usr/bin/su"]
    source = oslet.Debian("bookworm", pockets=("updates",), components=("main", "contrib"))
    files = {
        "/app": "./app",
        "/etc/b.ini": oslet.Template("./app.ini", mode=0o600),
        "/etc/key": oslet.SecretFile("key"),
        "/etc/motd": oslet.Text("port {port}\\n"),
    }
    health = oslet.Http("/healthz", "9000")
    scripts = {
        "nginx": "ignore",
        "adduser": "run",
        "dbus": oslet.Rule(("messagebus",), ("/run/dbus:0755",), {"/a": "b"}, {"/c": "d"}),
    }

    port: oslet.Port = param(8080, help="where it listens")
    level: oslet.Enum = param("info", choices=["info", "debug"])
    memory: oslet.Size = param("64MiB", min="1MiB")
    timeout: Duration = param("1h30m")
    peers: List[Address] = param(["a:1"], separator=";")
    db: oslet.Url = param(schemes=["postgres"])
    version: oslet.Str = param("3", at="build")
    key: oslet.Secret = param(min_length=8)
    token: oslet.Secret
'''


def load(file: Path) -> Any:
    """The one declaration class of a Python file."""
    spec = importlib.util.spec_from_file_location(f"declared_{abs(hash(file))}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    (found,) = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == spec.name)
    return found


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app.ini").write_text("port = {{ port }}\n{% if level == 'debug' %}verbose{% endif %}\n")
    (tmp_path / "world.toml").write_text(WORLD)
    return tmp_path / "world.toml"


def same(toml: model.Oslet, python: model.Oslet) -> None:
    assert toml == python
    assert digest(toml) == digest(python)
    assert decode(canonical(toml), model.Oslet) == toml


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_both_spellings_of_an_example_are_one_value(file: Path) -> None:
    same(read_toml(file), lower(load(file.with_suffix(".py"))))


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["plain", "strings"])
def test_both_spellings_of_everything_are_one_value(world: Path, future: str) -> None:
    world.with_suffix(".py").write_text(future + TWIN)
    same(read_toml(world), lower(load(world.with_suffix(".py"))))


def test_everything_lands_where_it_belongs(world: Path) -> None:
    value = read_toml(world)
    by_name = {param.name: param for param in value.params}
    assert list(by_name) == ["port", "level", "memory", "timeout", "peers", "db", "version", "key", "token"]
    assert (by_name["memory"].default, by_name["memory"].kind) == (64 << 20, SizeKind(min=1 << 20))
    assert by_name["timeout"].default == 5400.0
    assert [file.path for file in value.files] == ["/app", "/etc/b.ini", "/etc/key", "/etc/motd", "/run/secrets/token"]
    assert value.files[1].content == model.Template("app.ini", (world.parent / "app.ini").read_text(), 0o600)
    assert value.start.env == (("A", "x"), ("B", "{level}"))
    assert value.start.ports == ("{port}", "9000")
    assert value.start.capabilities == ("CAP_NET_BIND_SERVICE",)
    assert [name for name, _ in value.policy.scripts] == ["adduser", "dbus", "nginx"]


def test_a_template_takes_part_in_identity(world: Path) -> None:
    before = digest(read_toml(world))
    world.with_name("app.ini").write_text("other {{ port }}\n")
    assert digest(read_toml(world)) != before


def test_identity_knows_no_folder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import shutil

    other = shutil.copytree(world.parent, tmp_path_factory.mktemp("other") / "deep")
    assert digest(read_toml(other / "world.toml")) == digest(read_toml(world))


def test_a_large_template_is_refused(world: Path) -> None:
    world.with_name("app.ini").write_bytes(b"x" * (MAX_TEMPLATE + 1))
    with pytest.raises(oslet.DeclarationError, match="larger than 4 MiB"):
        read_toml(world)


# the Python spelling on its own


class Web(oslet.Oslet):
    """A small API."""

    packages = ["python3"]
    command = ["serve", "{port}"]
    ports = ["{port}"]

    port: oslet.Port = oslet.param(8080)
    mode: Literal["fast", "safe"] = "safe"
    hosts: oslet.List[oslet.Address] = oslet.param([])
    token: oslet.Secret


class SlowWeb(Web):
    packages = [*Web.packages, "curl"]
    port = 9000
    tries: oslet.Int = oslet.param(3, min=1)


def test_calling_the_class_binds() -> None:
    web = Web(token=oslet.Secret("hunter2"), port=81)
    assert (web.port, web.mode, web.hosts, web.token) == (81, "safe", [], oslet.Secret("hunter2"))
    assert repr(web) == "Web(port=81, mode='safe', hosts=[], token=Secret(…))"


def test_the_class_is_the_value() -> None:
    value = lower(Web)
    assert (value.name, value.help) == ("web", "A small API.")
    assert [param.kind for param in value.params[:3]] == [
        PortKind(), EnumKind(("fast", "safe")), ListKind(lower(Web).params[2].kind.of),  # type: ignore[union-attr]
    ]  # fmt: skip
    assert lower(Web) is value


def test_subclassing_extends() -> None:
    value = lower(SlowWeb)
    assert (value.name, value.help) == ("slow-web", "")
    assert value.wants.packages == ("python3", "curl")
    assert [(param.name, param.required) for param in value.params] == [
        *[("port", False), ("mode", False), ("hosts", False), ("token", True), ("tries", False)]
    ]
    assert (value.params[0].default, value.params[-1].kind) == (9000, IntKind(min=1))
    assert lower(Web).params[0].default == 8080


def test_faults_of_a_call_come_all_at_once() -> None:
    with pytest.raises(oslet.DeclarationError) as caught:
        Web(port=99999, mode="fats", prot=1)  # type: ignore[call-arg, arg-type]
    assert [str(fault).replace("\n ", ":") for fault in caught.value.faults] == [
        "Web.port: 99999 is more than 65535: the most is 65535",
        "Web.mode: \"fats\" is no choice: did you mean 'fast'?",
        "Web.token: needs a value: give a secret",
        "Web.prot: no such param: did you mean 'port'?",
    ]


def test_faults_of_a_class_name_their_place() -> None:
    class Bad(oslet.Oslet):
        packages = ["Nginx"]
        command = ["serve", "{prt}"]
        port: oslet.Port = oslet.param("x")
        files_: complex

    with pytest.raises(oslet.DeclarationError) as caught:
        lower(Bad)
    assert "Bad.files_" in str(caught.value)

    class Worse(oslet.Oslet):
        packages = ["Nginx"]
        command = ["serve", "{prt}"]
        port: oslet.Port = oslet.param("x")

    with pytest.raises(oslet.DeclarationError) as caught:
        lower(Worse)
    assert {fault.where for fault in caught.value.faults} == {
        f"{Path(__file__).name}: Worse.{key}" for key in ("packages[1]", "command[2]", "port.default")
    }


def test_type_checkers_check_the_call(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import oslet\n\n"
        "class Web(oslet.Oslet):\n"
        "    packages = ['python3']\n"
        "    port: oslet.Port = oslet.param(8080)\n"
        "    size: oslet.Size = oslet.param('1MiB')\n"
        "    peers: oslet.List[oslet.Address] = oslet.param([])\n"
        "    token: oslet.Secret\n\n"
        "Web(port=1, size='2MiB', peers=['a'], token=oslet.Secret('x'))\n"
        "Web(port='1', token=oslet.Secret('x'))\n"
        "Web(prot=1, token=oslet.Secret('x'))\n"
        "Web(port=1)\n"
        "Web(token='x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", "use.py"],
        cwd=tmp_path, env={"MYPYPATH": str(ROOT / "src"), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("use.py") and "error" in line]
    assert lines == ["11", "12", "13", "14"], done.stdout + done.stderr


def test_every_public_name_is_there() -> None:
    for name in oslet.__all__:
        if name != "Workspace":
            assert getattr(oslet, name) is not None
    with pytest.raises(AttributeError):
        oslet.Oslt  # noqa: B018


# the schema and the reference

WORDS = (
    ": no such key",
    ": a param of type port has no such key",
    ": expected",
    " is missing",
    " can't have a default",
)
STRUCTURAL = [
    case for case in CASES if any(word in case[2].splitlines()[0] for word in WORDS) and "TOML" not in case[0]
]


def test_the_schema_accepts_what_the_reader_does(world: Path) -> None:
    checker = jsonschema.Draft202012Validator(declaration_schema())
    checker.check_schema(declaration_schema())
    for file in [*EXAMPLES, world]:
        checker.validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(("name", "toml", "said"), STRUCTURAL, ids=[name for name, *_ in STRUCTURAL])
def test_the_schema_refuses_what_has_no_such_shape(name: str, toml: str, said: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(toml), declaration_schema())


def test_every_key_has_its_sentence() -> None:
    for table in declaration_schema()["$defs"].values():
        for name, key in table["properties"].items():
            assert name == "type" or "description" in key, (table["title"], name)


def test_the_reference_is_up_to_date() -> None:
    page = ROOT / "docs/reference.md"
    assert page.read_text().startswith(reference().rstrip()), f"run: python -m oslet.codec.reference > {page}"
