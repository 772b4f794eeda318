"""A stack as written: its value, its faults each at its line, its schema."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oslet.codec.schema import stack_schema
from oslet.codec.stacks import read_stack
from oslet.errors import DeclarationError
from oslet.model.oslet import Oslet
from oslet.model.source import Oci
from oslet.model.stack import Doors, Given, Need, Share

from ..conftest import ROOT

WHOLE = """\
name = "shop"
network = "back"

[members.db]
target = "postgres"
arguments = { password = "@./password", connections = 10 }
build = { version = "17" }
publish = [5432, "0.0.0.0:5433:5432"]
volumes = { "/var/lib/postgresql" = "data", "/srv" = "./srv" }
limits = { memory = "64MiB", cpus = 0.5, pids = 20 }
restart = "always"
allow = []

[members.migrate]
target = "0123abcd"
after = ["db"]

[members.web]
command = ["serve", "{db.ports.2}", "{{literal}}"]
env = { CACHE = "{cache_1.host}" }
after = { migrate = "done", db = "started" }
network = "host"
wait = false

[members.web.declare]
source = { oci = "./web.tar" }
ports = [8080]

[members.cache_1]
declare = { name = "redis", packages = ["redis-server"], command = ["redis-server"] }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "stack.toml"
    file.write_text(text)
    return file


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        read_stack(written(folder, text))
    return [f"{fault.where.rpartition('stack.toml:')[2]}: {fault.what} [{fault.hint}]" for fault in caught.value.faults]


def test_everything_lands_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "web.tar").touch()
    stack = read_stack(written(tmp_path, WHOLE)).stack
    db, migrate, web, cache = stack.members
    assert (stack.name, stack.network) == ("shop", "back")
    assert (db.target, db.declared, db.restart, db.wait) == ("postgres", None, "always", True)
    assert db.given == Given((("connections", 10), ("password", "@./password")), (("version", "17"),))
    assert db.share == Share(64 << 20, 0.5, 20)
    assert db.doors == Doors(
        ("5432:5432", "0.0.0.0:5433:5432"), (("/srv", "./srv"), ("/var/lib/postgresql", "data")), "", ()
    )
    assert migrate.needs == (Need("db", "healthy"),)
    assert web.needs == (Need("cache_1", "healthy"), Need("db", "started"), Need("migrate", "done"))
    assert isinstance(web.declared, Oslet) and web.declared.source == Oci("./web.tar") and web.declared.name == "web"
    assert web.declared.start.user == ""  # the image says
    assert cache.declared is not None and cache.declared.name == "redis"


def test_every_fault_is_told_at_once_and_where(tmp_path: Path) -> None:
    (tmp_path / "nginx.toml").touch()
    found = faults(
        tmp_path,
        """\
name = "shop"
[members.db]
target = "./nginxx.toml"
publish = ["80", "80:http", 70000]
limits = { memory = "much", cpu = 1 }
volumes = { "data" = "a/b" }
[members.Web]
target = "x"
declare = { packages = ["x y"] }
arguments = { one = "{bd.url}", two = "{db}", three = "{db.uri}" }
after = { db = "helthy", web = "done" }
[members.self]
command = ["{self.url}"]
declare = { packages = ["x y"], ports = [0] }
""",
    )
    assert found == [
        "3: members.db.target: there is no file \"./nginxx.toml\" [did you mean 'nginx.toml'?]",
        '4: members.db.publish[2]: "80:http" isn\'t a port to publish [write such as "8080:80"]',
        '4: members.db.publish[3]: 70000 isn\'t a port to publish [write such as "8080:80"]',
        "5: members.db.limits.cpu: no such key [did you mean 'cpus'?]",
        '5: members.db.limits.memory: "much" isn\'t a size '
        '[write bytes, or a number with a unit, such as "64MiB" or "1.5 GB"]',
        '6: members.db.volumes.data: "data" isn\'t an absolute path below / [begin it with / and leave out . and ..]',
        '6: members.db.volumes.data: "a/b" is neither a volume\'s name nor a folder [a folder begins with ./ or /]',
        '7: members.Web: "Web" can\'t name a member [write small letters, digits, - and _, at most 30]',
        '7: members.Web: target and declare are two images [write one of target = "./x.toml" and declare = { … }]',
        "10: members.Web.arguments.three: {db.uri} is no reference to a member [write {{db.uri}} for literal braces]",
        "10: members.Web.arguments.two: {db} is no reference to a member "
        "[write such as {db.url} (or host, port, ports.2), or {{db}} for literal braces]",
        "10: members.Web.arguments.one: there is no member \"bd\" [did you mean 'db'?]",
        "11: members.Web.after.db: \"helthy\" is not how far a member can be [did you mean 'healthy'?]",
        '11: members.Web.after.web: there is no member "web" [members: db, self]',
        "13: members.self.command[1]: self can't need itself []",
        '9: members.Web.declare.packages[1]: "x y" isn\'t a Debian package [write "x-y"]',
        '14: members.self.declare.packages[1]: "x y" isn\'t a Debian package [write "x-y"]',
        '14: members.self.declare.ports[1]: 0 isn\'t a port [write 1 to 65535, or "{port}" for a param]',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"', "members is missing"),
        ('name = "x"\nmembers = {}', "there is no member in it"),
        ('name = "A b"\n[members.a]\ntarget = "x"', "isn't a name"),
        ('name = "x"\n[members.a]\nafter = ["a"]', "a can't need itself"),
        ('name = "x"\n[members.a]\n', "says no image"),
        ('name = "x"\n[members.a]\ntarget = "i"\narguments = { x = { y = 1 } }', "expected text, a number"),
        ('name = "x"\n[members]\na = 1', "expected a table, got 1"),
        ('name = "x"\nnetwork = "a b"\n[members.a]\ntarget = "i"', "can't name a network"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in each for each in faults(tmp_path, text)), faults(tmp_path, text)


def test_a_circle_is_named_from_one_end_to_the_other(tmp_path: Path) -> None:
    text = 'name = "x"\n' + "".join(
        f'[members.{a}]\ntarget = "i"\nenv = {{ O = "{{{b}.host}}" }}\n' for a, b in ("ab", "bc", "ca")
    )
    (found,) = faults(tmp_path, text)
    assert "needs itself: " in found and found.count("→") == 3


def test_the_schema_accepts_what_the_reader_does() -> None:
    schema = stack_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (WHOLE, (ROOT / "examples/stack/stack.toml").read_text()):
        jsonschema.validate(tomllib.loads(text), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "A b"},
        {"members": {"A": {"target": "x"}}},
        {"members": {"a": {}}},
        {"members": {"a": {"target": "x", "declare": {}}}},
        {"members": {"a": {"target": "x", "after": {"b": "soon"}}}},
        {"other": 1},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_does(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "members": {"a": {"target": "x"}}, **change}, stack_schema())
