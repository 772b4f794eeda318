"""What postgres, redis and nginx are asked, by real clients."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .world import HERE, Probe

HIDDEN = re.compile(r"Date: .*|Last-Modified: .*|ETag: .*")


def postgres_probes(port: int) -> dict[str, Probe]:
    """One probe a paragraph of postgres.sql, and TLS."""
    import psycopg

    url = f"host=127.0.0.1 port={port} user=postgres password='correct horse'"

    def rows(statements: str) -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.cursor()
            *before, last = statements.split(";\n") if ";\n" in statements else [statements]
            for statement in before:
                cursor.execute(statement.encode())
            cursor.execute(last.encode())
            while cursor.nextset():
                pass
            return [[str(value) for value in row] for row in cursor.fetchall()] if cursor.description else None

    paragraphs = (HERE / "postgres.sql").read_text("utf-8").strip().split("\n\n")[1:]
    split = [p.partition("\n") for p in paragraphs]
    return {title.removeprefix("-- "): partial(rows, text) for title, _, text in split}


def redis_probes(port: int, tls: int, authority: Path) -> dict[str, Probe]:
    """Commands by name, and what needs several."""
    import redis

    client: Any = redis.Redis(port=port, protocol=3)

    def lua(script: str) -> Probe:
        return lambda: client.eval(script, 0)

    def saved(verb: str, field: str) -> Any:
        client.set("kept", "x" * 1000)
        said = client.execute_command(verb)
        for _ in range(100):
            status = client.info("persistence")
            if not status["rdb_bgsave_in_progress"] and not status["aof_rewrite_in_progress"]:
                break
            time.sleep(0.1)
        return [str(said), status[field]]

    def over_tls() -> Any:
        with redis.Redis(host="localhost", port=tls, ssl=True, ssl_ca_certs=str(authority)) as other:
            return [other.ping(), other.set("t", "ls"), other.get("t")]

    def expired() -> Any:
        client.set("e", 1, px=1)
        time.sleep(0.05)
        return client.get("e")

    def streamed() -> Any:
        client.xadd("s", {"a": 1}, id="1-1")
        client.xgroup_create("s", "g", "0")
        return str(client.xreadgroup("g", "c", {"s": ">"}))

    def published() -> Any:
        listener = client.pubsub()
        listener.subscribe("news")
        listener.get_message(timeout=2)
        client.publish("news", "hello")
        return str(listener.get_message(timeout=2))

    def allowed() -> Any:
        client.acl_setuser("a", enabled=True, passwords=["+p"], keys=["x:*"], commands=["+get"])
        with redis.Redis(port=port, username="a", password="p") as other:
            try:
                return [other.get("x:1"), other.set("y", 1)]
            except redis.exceptions.NoPermissionError as error:
                return [str(error), client.acl_whoami(), len(client.acl_cat())]

    return {
        "ping": client.ping,
        "version": lambda: client.info("server")["redis_version"],
        "allocator": lambda: client.info("memory")["mem_allocator"],
        "modules": lambda: str(client.module_list()),
        "lua": lua("return {redis.call('ping'), _VERSION, math.pi}"),
        "lua_cjson": lua("return cjson.encode({1, cjson.decode('{\"a\": [2]}').a[1]})"),
        "lua_cmsgpack": lua("return cmsgpack.unpack(cmsgpack.pack('x'))"),
        "lua_struct": lua("return struct.unpack('>I2', struct.pack('>I2', 258))"),
        "lua_bit": lua("return bit.bxor(5, 3)"),
        "lua_sha": lua("return redis.sha1hex('x')"),
        "functions": lambda: client.function_load(
            "#!lua name=lib\nredis.register_function('f', function() return 42 end)", replace=True
        ),
        "function_called": lambda: client.fcall("f", 0),
        "sorted_sets": lambda: [client.zadd("z", {"a": 1, "b": 2}), client.zrangebyscore("z", 1, 2)],
        "places": lambda: [client.geoadd("g", (2.35, 48.85, "Paris")), client.geohash("g", "Paris")],
        "counts": lambda: [client.pfadd("h", 1, 2, 2), client.pfcount("h"), client.bitcount("kept")],
        "streams": streamed,
        "publishing": published,
        "expiry": expired,
        "transactions": lambda: client.pipeline().set("p", 1).incr("p").execute(),
        "rdb": lambda: saved("BGSAVE", "rdb_last_bgsave_status"),
        "aof": lambda: saved("BGREWRITEAOF", "aof_last_bgrewrite_status"),
        "aof_on": lambda: client.config_set("appendonly", "yes"),
        "reloaded": lambda: [client.execute_command("DEBUG", "RELOAD"), client.get("kept") == b"x" * 1000],
        "dumped": lambda: [client.restore("kept2", 0, client.dump("kept"), replace=True), client.strlen("kept2")],
        "access": allowed,
        "settings": lambda: len(client.config_get("*")),
        "commands": lambda: client.command_count(),
        "latency": lambda: client.execute_command("LATENCY", "DOCTOR")[:10],
        "memory": lambda: str(client.execute_command("MEMORY", "USAGE", "kept")),
        "tls": over_tls,
    }


def nginx_probes(port: int, tls: int, authority: Path) -> dict[str, Probe]:
    """A path, its headers; the answer is status, headers and body."""
    trust = ssl.create_default_context(cafile=str(authority))

    def get(path: str, method: str = "GET", body: str | None = None, *, secure: bool = False, **headers: str) -> Probe:
        def asked() -> Any:
            talk = (
                http.client.HTTPSConnection("localhost", tls, timeout=20, context=trust)
                if secure
                else http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            )
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            talk.request(method, path, body, {"Host": "localhost", **named})
            answer = talk.getresponse()
            text = HIDDEN.sub("", str(answer.headers)).split("\n")
            return [answer.status, sorted(line for line in text if line), answer.read().decode("latin-1")]

        return asked

    def twice(probe: Probe) -> Probe:
        return lambda: [probe(), probe()]

    def without_times(probe: Probe) -> Callable[[], Any]:
        return lambda: re.sub(r'"mtime":"[^"]*"|\d+ bytes|Active.*|\d+', "", str(probe()))

    kinds = ("webp", "woff2", "svg", "mjs", "wasm", "avif")
    return {
        "index": get("/"),
        "text": get("/plain.txt"),
        **{f"type_of_{kind}": get(f"/a.{kind}") for kind in kinds},
        "packed": get("/plain.txt", Accept_Encoding="gzip"),
        "part": get("/plain.txt", Range="bytes=2-6"),
        "unchanged": get("/plain.txt", If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT"),
        "missing": get("/nothing"),
        "above": get("/../etc/passwd"),
        "proxied": twice(get("/proxied/plain.txt")),
        "proxied_by_name": get("/named/plain.txt"),
        "dead": get("/dead"),
        "included": get("/ssi/a.html"),
        "rewritten": get("/old/2026/x.html"),
        "mapped": get("/map/%C3%A9t%C3%A9"),
        "moved": get("/gone"),
        "listed": without_times(get("/list/")),
        "replaced": get("/sub"),
        "closed": get("/secret"),
        "opened": get("/secret", Authorization="Basic dXNlcjpwYXNzd29yZA=="),
        "refused": get("/from/"),
        "limited": lambda: sorted(get("/limited")()[0] for _ in range(3)),
        "over_tls": get("/", secure=True),
        "tls_words": get("/tls", secure=True),
        "status": without_times(get("/status")),
        "mirrored": get("/mirror"),
        "pixel": get("/empty"),
        "sliced": get("/slice"),
        "put": get("/dav/a/b", "PUT", "hello"),
        "bad_method": get("/", "BREW"),
    }
