"""A PostgreSQL server; the first start makes the cluster in its volume."""

import oslet


class Postgres(oslet.Oslet):
    """A PostgreSQL server; the first start makes the cluster in its volume."""

    packages = ["postgresql", "dash"]  # initdb and the start script need a shell
    user = "postgres"
    command = ["/bin/sh", "/usr/local/bin/start-postgres", "{port}", "{connections}"]
    ports = ["{port}"]
    volumes = ["/var/lib/postgresql/data"]
    stop_signal = "SIGINT"
    files = {"/usr/local/bin/start-postgres": "./start"}
    features = {
        "postgres": {"jit": False},  # no LLVM, which is larger than all the rest
        "charsets": [],  # PostgreSQL converts by itself
    }
    health = oslet.Tcp("{port}")

    port: oslet.Port = oslet.param(5432, help="where PostgreSQL listens")
    connections: oslet.Int = oslet.param(50, min=5, max=1000, help="how many clients at once")
    password: oslet.Secret = oslet.param(min_length=8, help="the password of the user postgres")
