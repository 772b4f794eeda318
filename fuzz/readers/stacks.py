"""Stacks, and the Compose files that are read as such."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w

from fuzz.judge import Reader, promise
from oslet.codec import canonical, decode
from oslet.codec.compose import read_compose
from oslet.codec.stacks import lower, read_stack
from oslet.errors import DeclarationError
from oslet.group import waves
from oslet.model.stack import Stack

_STACK = b"""\
name = "shop"
network = "back"
[members.db]
target = "postgres"
arguments = { password = "@./password", n = [1, "a"] }
publish = [5432, "0.0.0.0:5433:5432"]
volumes = { "/var/lib/x" = "data", "/srv" = "./srv" }
limits = { memory = "64MiB", cpus = 0.5, pids = 20 }
restart = "always"
allow = []
[members.web]
command = ["serve", "{db.ports.2}", "{{literal}}"]
env = { CACHE = "{db.host}" }
after = { db = "started" }
wait = false
[members.web.declare]
packages = ["python3"]
command = ["x"]
"""
_COMPOSE = b"""\
name: ${N:-shop}
x-a: &a {restart: unless-stopped, environment: {A: "$$b", B: }}
services:
  web:
    <<: *a
    image: r.example/web:1
    command: sh -c "echo {x}"
    ports: ["127.0.0.1:9000-9001:9000-9001", {target: 70, published: "7070"}, "53:53/udp"]
    volumes: ["./d:/d:ro", "c:/c", {type: tmpfs, target: /t}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: [CMD, a], interval: 1s}
    mem_limit: 1.5gb
    secrets: [pw]
  db: {image: r.example/db, deploy: {resources: {limits: {cpus: '.5'}}}, networks: [x]}
secrets: {pw: {file: ./pw}}
"""


def _stack(data: bytes, room: Path) -> object:
    file = room / "stack.toml"
    file.write_bytes(data)
    return _promised(read_stack(file).stack)


def _promised(stack: Stack) -> Stack:
    promise(sum(map(len, waves(stack))) == len(stack.members), "an order that lacks a member")
    promise(decode(canonical(stack), Stack) == stack or "e400" in repr(stack), "a stack that isn't the same as JSON")
    return stack


def _compose(data: bytes, room: Path) -> object:
    file = room / "compose.yaml"
    file.write_bytes(data)
    found = read_compose(file, {"SET": "x", "EMPTY": ""}, ("p",), "r.example", lambda source: ("/entry",))
    try:
        stack = lower(found.table, room, found.place)
    except DeclarationError:
        return found.table
    written = tomllib.loads(tomli_w.dumps(found.table))
    promise(lower(written, room, found.place) == stack, "a stack that is another one when it is written")
    return _promised(stack)


_YAML = (b"&a ", b"*a", b"<<: ", b"!!", b"|-\n", b"{", b"}", b"[", b"]", b"${SET:-", b"$$", b"\n  - ", b": ", b"---\n")
READERS = (
    Reader(
        "stack", "codec/stacks.py", lambda: [_STACK, _STACK[:200]], _stack, (b"{db.url}", b"{{", b"[members.", b"after")
    ),
    Reader(
        "compose", "codec/compose/", lambda: [_COMPOSE, _COMPOSE[:300], b"services: {a: {image: ./x}}"], _compose, _YAML
    ),
)
