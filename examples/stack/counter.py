"""A page that says how often it was asked for, counted in Redis."""

import oslet


class Counter(oslet.Oslet):
    """A page that says how often it was asked for, counted in Redis."""

    packages = ["python3"]
    command = ["python3", "/app/main.py", "{port}", "{redis}"]
    ports = ["{port}"]
    url = "http://{host}:{port}/"
    files = {"/app": "./app"}
    health = oslet.Http("/healthz")

    port: oslet.Port = oslet.param(8080, help="where the page is")
    redis: oslet.Url = oslet.param(schemes=["redis"], help="where the count is kept")
