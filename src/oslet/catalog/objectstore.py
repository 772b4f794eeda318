"""An object store with S3's interface: moto's server."""

from __future__ import annotations

from oslet.declare import Oslet, Port, param
from oslet.model.oslet import Check, Http


class ObjectStore(Oslet):
    """An object store with the interface of S3, for tests.

    It is moto's server: objects are in memory and gone at the end, and any credentials will do. Debian has no object
    store that is one process: Ceph's gateway and Swift want a cluster around them, MinIO and Garage aren't packaged.
    """

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
