"""Redis."""

from __future__ import annotations

from oslet.declare import Enum, List, Oslet, Port, Size, Str, param
from oslet.model.instance import Secret
from oslet.model.oslet import Check, Tcp, Text

CONFIGURATION = """\
bind * -::*
protected-mode no
port {port}
dir /var/lib/redis
maxmemory {memory}
maxmemory-policy {eviction}
appendonly {appendonly}
requirepass "{password}"
{settings}
"""
EVICTIONS = (
    *("noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)
SCRIPT = "return {{cjson.encode({{redis.call('set', 'k', 'v')}}), redis.sha1hex('x'), #redis.call('command', 'list')}}"


class Redis(Oslet):
    """A Redis server that keeps its data in a volume.

    Without a password whoever reaches the port is let in, as with Postgres.
    """

    packages = ["redis-server"]
    user = "redis"
    command = ["redis-server", "/etc/oslet/redis.conf"]
    ports = ["{port}"]
    volumes = ["/var/lib/redis"]
    url = "redis://:{password}@{host}:{port}/0"
    files = {"/etc/oslet/redis.conf": Text(CONFIGURATION)}
    features = {"openssl": {"legacy": False, "engines": False}}
    health = Tcp("{port}")
    checks = [Check("a script", exec=("redis-cli", "-p", "{port}", "eval", SCRIPT, "0"))]

    port: Port = param(6379, help="where it listens")
    password: Secret = param(
        "", min_length=8, pattern=r"[!#-\[\]-~]+", help="that clients give; without, none is asked"
    )
    memory: Size = param("64MiB", min="1MiB", help="how much data to hold")
    eviction: Enum = param("noeviction", choices=EVICTIONS, help="what goes when memory is full")
    appendonly: Enum = param("no", choices=("no", "yes"), help="whether each write is logged, beside snapshots")
    settings: List[Str] = param([], separator="\n", help="more lines of redis.conf")
