"""An object store with S3's interface: moto's server."""

from __future__ import annotations

from oslet.declare import Oslet, Port, param
from oslet.model.oslet import Check, Http


class ObjectStore(Oslet):
    """An object store with the interface of S3, for tests: it is in memory, and lets everybody in."""

    packages = ["python3"]
    wheels = ["moto[s3]>=5.1", "flask>=3", "flask-cors>=5"]
    user = "nobody"
    command = ["python3", "-m", "moto.server", "--host", "0.0.0.0", "--port", "{port}"]
    ports = ["{port}"]
    url = "http://{host}:{port}"
    env = {"PYTHONUNBUFFERED": "1"}
    health = Http("/moto-api/")
    checks = [Check("no buckets", http="/")]

    port: Port = param(9000, help="where it listens")
