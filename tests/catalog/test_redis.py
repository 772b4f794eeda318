"""Redis and Memcached, asked by a client and in their own words."""

from __future__ import annotations

import socket

import pytest
import redis

import oslet
from oslet import Secret
from oslet.catalog import Memcached, Redis

from .conftest import Port, Serve

pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_redis_keeps_what_it_was_told_for_who_knows_the_password(serve: Serve, free_port: Port) -> None:
    password = Secret("pa'ss{w}ord/#")
    bound = Redis(port=free_port(), password=password, memory="8MiB", eviction="allkeys-lru", settings=["hz 50"])
    first = serve(bound, "kept")
    with redis.Redis.from_url(first.url) as client:
        assert client.set("answer", "42")
        assert client.eval("return redis.call('get', KEYS[1])", 1, "answer") == b"42"
        told = {"maxmemory": str(8 << 20), "maxmemory-policy": "allkeys-lru", "hz": "50", "appendonly": "no"}
        assert client.config_get(*told) == told
    for wrong in ("pass", None):
        with redis.Redis(port=bound.port, password=wrong) as client, pytest.raises(redis.AuthenticationError):
            client.get("answer")
    assert first.end() == 0
    with redis.Redis.from_url(serve(bound, "kept").url) as client:
        assert client.get("answer") == b"42"


def test_redis_without_a_password_logs_each_write(serve: Serve, free_port: Port) -> None:
    bound = Redis(port=free_port(), appendonly="yes", settings=["appendfsync always"])
    first = serve(bound, "logged")
    with redis.Redis.from_url(first.url) as client:
        assert client.set("answer", "42")
    first.running.stop(grace=0)  # killed: no snapshot was taken
    first.running.remove()
    with redis.Redis.from_url(serve(bound, "logged").url) as client:
        assert client.get("answer") == b"42"


@pytest.mark.parametrize("password", ["short", "two words", 'a"quoted one', "back\\slash", "line\nbreak"])
def test_a_password_that_the_configuration_could_not_hold_is_refused(password: str) -> None:
    with pytest.raises(oslet.DeclarationError, match=r"Redis\.password|the secret") as refused:
        Redis(password=Secret(password))
    assert password not in str(refused.value)


def test_memcached(serve: Serve, free_port: Port) -> None:
    bound = Memcached(port=free_port(), megabytes=8, item="2MiB")
    served = serve(bound)
    assert served.url == f"memcached://127.0.0.1:{bound.port}"
    with socket.create_connection(("127.0.0.1", bound.port), timeout=10) as talk, talk.makefile("rwb") as stream:

        def ask(words: bytes, end: bytes) -> list[bytes]:
            stream.write(words)
            stream.flush()
            found = [stream.readline().strip()]
            while found[-1] != end:
                found.append(stream.readline().strip())
            return found

        assert ask(b"set answer 0 0 2\r\n42\r\n", b"STORED")
        assert ask(b"get answer\r\n", b"END") == [b"VALUE answer 0 2", b"42", b"END"]
        settings = ask(b"stats settings\r\n", b"END")
        assert {b"STAT maxbytes 8388608", b"STAT item_size_max 2097152", b"STAT maxconns 1024"} <= set(settings)
