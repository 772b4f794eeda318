"""A Redis server that keeps its data in a volume."""

import oslet


class Redis(oslet.Oslet):
    """A Redis server that keeps its data in a volume."""

    packages = ["redis-server"]
    user = "redis"
    command = [
        *("redis-server", "--bind", "0.0.0.0", "--port", "{port}", "--dir", "/var/lib/redis"),
        *("--maxmemory", "{memory}", "--protected-mode", "no"),
    ]
    ports = ["{port}"]
    volumes = ["/var/lib/redis"]
    url = "redis://{host}:{port}"
    health = oslet.Exec(["redis-cli", "-p", "{port}", "ping"])

    port: oslet.Port = oslet.param(6379, help="where Redis listens")
    memory: oslet.Size = oslet.param("64MiB", min="1MiB", help="how much data to hold")
