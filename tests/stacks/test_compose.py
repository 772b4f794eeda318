"""Compose files: what they say as a stack, what of them is told to be left out, and what is refused."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from oslet.codec.compose import Converted, compose_name, read_compose
from oslet.codec.compose.interpolation import Interpolation, read_env
from oslet.codec.compose.marked import MAX_TEXT, read_yaml
from oslet.codec.conform import Faults
from oslet.codec.schema import stack_schema
from oslet.codec.stacks import lower
from oslet.codec.texts import TextError
from oslet.errors import DeclarationError
from oslet.model.oslet import Exec
from oslet.model.stack import Need

IMAGE = "reg.example.org/x:1"
WHOLE = """\
name: Shop
version: "3.8"
x-common: &common
  restart: unless-stopped
  environment: &env {MODE: "${MODE:-dev}", PORT: 22:22}
services:
  web:
    <<: *common
    image: reg.example.org/web:1
    entrypoint: [/entry]
    command: sh -c "echo {x} $$HOME"
    environment:
      <<: *env
      EXTRA:
      GIVEN:
    env_file: [web.env, {path: none.env, required: false}]
    ports: ["8080:80", "127.0.0.1:9000-9001:9000-9001", {target: 70, published: "7070"}, "53:53/udp", "81"]
    expose: [82]
    depends_on: {db: {condition: service_healthy}, job: {condition: service_completed_successfully}}
    volumes: ["./data:/data", "cache:/cache", /anon, {type: bind, source: ./data, target: /more, read_only: true},
              {type: tmpfs, target: /tmp}]
    mem_limit: 512m
    cpus: ".5"
    pids_limit: 50
    user: 33:34
    working_dir: /srv
    stop_signal: quit
    cap_add: [NET_BIND_SERVICE]
    hostname: web
    privileged: true
    labels: {a: b}
    secrets: [pw, {source: key, target: /etc/key}]
  db:
    image: reg.example.org/db@sha256:%s
    healthcheck: {test: [CMD-SHELL, "pg_isready || exit 1"], interval: 5s}
    deploy: {resources: {limits: {memory: 1gb}}, replicas: 2}
    network_mode: host
  job:
    image: ./job.tar
    depends_on: [db]
    command: migrate
    networks: [back]
  debug:
    image: reg.example.org/debug
    profiles: [debug]
volumes: {cache: {}}
networks: {back: {internal: true}}
secrets: {pw: {file: ./pw.txt}, key: {environment: KEY}}
""" % ("0" * 64)


def converted(folder: Path, text: str, *profiles: str, registry: str = "", **environment: str) -> Converted:
    file = folder / "compose.yaml"
    file.write_text(text)
    return read_compose(file, environment, profiles, registry, lambda source: ("/image-entry", source))


def member(folder: Path, service: str, **more: Any) -> dict[str, Any]:
    """The member of the one service that has an image and what ``service`` says in flow style."""
    text = f"services: {{a: {{image: {IMAGE}, {service}}}, b: {{image: {IMAGE}}}}}"
    found: dict[str, Any] = converted(folder, text, **more).table["members"]["a"]
    return found


def refused(folder: Path, text: str, **more: Any) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        converted(folder, text, **more)
    return [f"{fault.where.rpartition('compose.yaml:')[2]}: {fault.what}" for fault in caught.value.faults]


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("# said\nexport A='1 # 2'\nB=2 # two\nEXTRA=x\nMODE=file\n")
    (tmp_path / "job.tar").touch()
    found = converted(tmp_path, WHOLE, GIVEN="yes")
    web, db, job = (found.table["members"][name] for name in ("web", "db", "job"))
    assert found.table["name"] == "shop" and "debug" not in found.table["members"]
    assert web["declare"] == {
        "trim": "packages",
        "command": ["/entry", "sh", "-c", "echo {{x}} $HOME"],
        "user": "33",
        "workdir": "/srv",
        "stop_signal": "SIGQUIT",
        "capabilities": ["NET_BIND_SERVICE"],
        "ports": ["80", "9000", "9001", "70", "81", "82"],
        "volumes": ["/data", "/cache", "/anon", "/more"],
        "params": {"secret_1": {"type": "secret", "help": "pw"}, "secret_2": {"type": "secret", "help": "key"}},
        "files": {"/run/secrets/pw": {"secret": "secret_1"}, "/etc/key": {"secret": "secret_2"}},
        "source": {"oci": "reg.example.org/web:1"},
    }
    assert web["env"] == {"A": "1 # 2", "B": "2", "GIVEN": "yes", "MODE": "dev", "PORT": "22:22"}
    assert web["publish"] == ["8080:80", "127.0.0.1:9000:9000", "127.0.0.1:9001:9001", "7070:70"]
    assert web["volumes"] == {"/data": "./data", "/cache": "cache", "/more": "./data"}
    assert web["arguments"] == {"secret_1": "@./pw.txt", "secret_2": "env:KEY"}
    assert web["limits"] == {"memory": 512 << 20, "cpus": 0.5, "pids": 50}
    assert (web["restart"], web["after"]) == ("always", {"db": "healthy", "job": "done"})
    assert db["declare"]["health"] == {"exec": ["/bin/sh", "-c", "pg_isready || exit 1"]}
    assert (db["network"], db["limits"]) == ("host", {"memory": 1 << 30})
    assert job["declare"]["command"] == ["/image-entry", "./job.tar", "migrate"]
    assert (job["network"], job["after"]) == ("shop-back", {"db": "started"})
    assert [note.rpartition("compose.yaml:")[2].partition(": not")[0] for note in found.notes] == [
        "47: networks.back",
        "30: services.web.privileged",
        "25: services.web.user",
        "4: services.web.restart",
        "17: services.web.ports",
        "17: services.web.ports",
        "20: services.web.volumes",
        "35: services.db.healthcheck",
        "36: services.db.deploy.replicas",
    ]


def test_a_converted_file_is_a_stack(tmp_path: Path) -> None:
    (tmp_path / "web.env").touch()
    (tmp_path / "job.tar").touch()
    found = converted(tmp_path, WHOLE)
    table = tomllib.loads(tomli_w.dumps(found.table))
    jsonschema.validate(table, stack_schema())
    stack = lower(table, tmp_path, found.place)
    assert stack == lower(found.table, tmp_path, found.place)
    web, db, job = stack.members
    assert web.needs == (Need("db", "healthy"), Need("job", "done"))
    assert db.declared is not None and db.declared.start.health == Exec(("/bin/sh", "-c", "pg_isready || exit 1"))
    assert job.needs == (Need("db", "started"),)


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("command: [a, 1, true]", "command", ["/image-entry", IMAGE, "a", "1", "true"]),
        ("entrypoint: x -y", "command", ["x", "-y"]),
        ("ports: ['[::1]:80:8080']", "ports", ["8080"]),
        ("ports: [{target: 8080, protocol: udp}]", "ports", None),
        ("healthcheck: {test: [CMD, a, '{b}']}", "health", {"exec": ["a", "{{b}}"]}),
        ("healthcheck: {test: a b}", "health", {"exec": ["/bin/sh", "-c", "a b"]}),
        ("healthcheck: {test: [NONE]}", "health", None),
        ("healthcheck: {disable: true}", "health", None),
        ("stop_signal: SIGINT", "stop_signal", "SIGINT"),
        ("user: www-data:www-data", "user", "www-data"),
    ],
)
def test_what_belongs_to_the_declaration(tmp_path: Path, service: str, key: str, value: Any) -> None:
    assert member(tmp_path, service)["declare"].get(key) == value


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("environment: [A=1, B, C=], ", "env", {"A": "1", "C": ""}),
        ("environment: {A: true, B: 1.5, C: }", "env", {"A": "true", "B": "1.5"}),
        ("depends_on: [b]", "after", {"b": "started"}),
        ("depends_on: {z: {condition: service_started, required: false}}", "after", {}),
        ("restart: on-failure:3", "restart", "on-failure"),
        ("restart: 'no'", "restart", None),
        ("deploy: {resources: {limits: {cpus: '0.25', pids: 9}}}", "limits", {"cpus": 0.25, "pids": 9}),
        ("mem_limit: 1.5gb", "limits", {"memory": 3 << 29}),
        ("network_mode: none", "network", "none"),
        ("networks: [default]", "network", None),
        ("volumes: ['/srv/x:/x:ro,z']", "volumes", {"/x": "/srv/x"}),
        ("ports: ['[::1]:80:8080']", "publish", ["[::1]:80:8080"]),
    ],
)
def test_what_belongs_to_the_member(tmp_path: Path, service: str, key: str, value: Any) -> None:
    assert member(tmp_path, service).get(key) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {a: {image: redis}}", '1: services.a.image: "redis" says no registry'),
        ("services: {a: {build: .}}", "1: services.a: names no image"),
        ("services: {a: {image: x.y/z, comand: x}}", "1: services.a.comand: no such key"),
        ("service: {}", "service: no such key"),
        ("services: []", "1: services: there are no services in it"),
        ("services: {a: 1}", "1: services.a: expected a mapping, got 1"),
        ("- 1", "expected a mapping, got a list"),
        ("services:\n a:\n  image: x.y/z\n  ports: [http]", '4: services.a.ports[1]: "http" isn\'t a port to publish'),
        ("services:\n a:\n  image: x.y/z\n  ports: ['1-900:1-900']", "isn't a port to publish"),
        ("services: {a: {image: x.y/z, restart: ever}}", '"ever" is no restart'),
        ("services: {a: {image: x.y/z, mem_limit: lots}}", '"lots" isn\'t a size'),
        ("services: {a: {image: x.y/z, env_file: no.env}}", "can't be read: No such file"),
        ("services: {a: {image: x.y/z, secrets: [s]}}", 'there is no secret "s" with a file'),
        ("services: {a: {image: x.y/z, command: 'a \"b'}}", "doesn't split into words"),
        ("services: {a: {image: '${TAG:?say which}'}}", "TAG has no value: say which"),
        ("services: {a: {image: x.y/z, depends_on: {b: {condition: soon}}}}", '"soon" is no condition'),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    found = refused(tmp_path, text)
    assert any(said in each for each in found), found


def test_images_that_say_no_registry_are_of_the_one_that_is_given(tmp_path: Path) -> None:
    text = "services: {a: {image: redis:7}, b: {image: me/app}, c: {image: x.example/y}}"
    members = converted(tmp_path, text, registry="r.example").table["members"]
    found = [each["declare"]["source"]["oci"] for each in members.values()]
    assert found == ["r.example/library/redis:7", "r.example/me/app", "x.example/y"]


def test_several_networks_become_one_and_it_is_said(tmp_path: Path) -> None:
    text = "services: {a: {image: x.y/z, networks: [f, g]}, b: {image: x.y/z, networks: {g: }}}\nnetworks: {f: , g: }"
    found = converted(tmp_path, text)
    assert not any("network" in each for each in found.table["members"].values())
    assert "what was kept apart is not" in found.notes[0]


def test_a_profile_brings_its_services(tmp_path: Path) -> None:
    text = "services: {a: {image: x.y/z}, b: {image: x.y/z, profiles: [debug]}}"
    assert list(converted(tmp_path, text).table["members"]) == ["a"]
    assert list(converted(tmp_path, text, "debug").table["members"]) == ["a", "b"]


def test_the_name_is_the_files_or_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "My App_1"
    folder.mkdir()
    file = folder / "compose.yaml"
    file.write_text("services: {}")
    assert compose_name(file, {}) == "myapp_1"
    file.write_text("name: ${N:-Other}\n")
    assert (compose_name(file, {}), compose_name(file, {"N": "x"})) == ("other", "x")
    (folder / ".env").write_text("N=beside\n")
    assert compose_name(file, {}) == "beside"


# ${…}: the tables of the specification


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$SET and ${SET}", "yes and yes"),
        ("$$SET ${SET}$$", "$SET yes$"),
        ("${EMPTY:-d} ${EMPTY-d} ${NONE:-d} ${NONE-d} ${SET:-d}", "d  d d yes"),
        ("${SET:+r} ${EMPTY:+r} ${EMPTY+r} ${NONE+r}", "r  r "),
        ("${NONE:-${ALSO:-${SET}}}", "yes"),
        ("${NONE:-a}b}", "ab}"),
        ("${SET?e} ${EMPTY?e}", "yes "),
        ("${NONE}", ""),
    ],
)
def test_substitutions(text: str, filled: str) -> None:
    assert Interpolation({"SET": "yes", "EMPTY": ""}, Faults()).text(text) == filled


@pytest.mark.parametrize(
    "text", ["$", "$1", "${", "${}", "${A", "${A!b}", "${A:?}", "${A:?no}", "${A:-" * 20 + "}" * 20]
)
def test_what_is_no_substitution(text: str) -> None:
    with pytest.raises(TextError):
        Interpolation({}, Faults()).text(text)


@given(st.text(max_size=60))
def test_doubled_dollars_are_literal(text: str) -> None:
    assert Interpolation({}, Faults()).text(text.replace("$", "$$")) == text


@given(st.text(alphabet="ab=#'\" \n\t$", max_size=60))
def test_any_env_file_is_read(text: str) -> None:
    assert all(name.isidentifier() for name in read_env(text))


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 22:22", {"a": "22:22"}),
        ("[yes, on, NO, true, False, ~, null, '']", ["yes", "on", "NO", True, False, None, None, ""]),
        ("[1, -2, 1.5, .5, 1e3, 0x10, 010, 1_000, 1.2.3]", [1, -2, 1.5, 0.5, 1e3, "0x10", 10, "1_000", "1.2.3"]),
        ("['1', \"true\"]", ["1", "true"]),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\nf: {b: 3, <<: [*x]}",
         {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}, "f": {"b": 3}}),
        ("", None),
    ],
)  # fmt: skip
def test_yaml(text: str, value: Any) -> None:
    assert read_yaml(text, "f").value == value


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB, "[" * 5000, "- " * 5000, "a: &a [*a]", "a: &a {<<: *a}", "a: 1\na: 2",
        "a: !!python/object:os.system x", "a: !x 1",
        "{a: 1", "a: *b", "? [a]\n: b", "a: b: c", "\x00", "%YAML 9.9\n---\na", '"\\UFFFFFFFF"', "x" * (MAX_TEXT + 1),
        "--- a\n--- b",
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_yaml_that_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read_yaml(text, "compose.yaml")
    assert caught.value.where.startswith("compose.yaml")


@given(st.text(alphabet="ab:-[]{}&*<|>'\"\n #!,?%", max_size=80))
def test_any_text_is_yaml_or_refused(text: str) -> None:
    with suppress(DeclarationError):
        read_yaml(text, "f")
