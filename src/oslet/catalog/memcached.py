"""Memcached."""

from __future__ import annotations

from oslet.declare import Int, Oslet, Port, Size, param
from oslet.model.oslet import Check, Tcp


class Memcached(Oslet):
    """A Memcached server.

    It keeps nothing, and asks nobody for a password.
    """

    packages = ["memcached"]
    trim = "lean"  # the package has scripts, which would bring Perl
    user = "nobody"
    command = [
        *("memcached", "--listen=0.0.0.0", "--port={port}", "--memory-limit={megabytes}"),
        *("--conn-limit={connections}", "--max-item-size={item}", "--threads={threads}"),
    ]
    ports = ["{port}"]
    url = "memcached://{host}:{port}"
    health = Tcp("{port}")
    checks = [Check("what it can do", run=("memcached", "--help"))]

    port: Port = param(11211, help="where it listens")
    megabytes: Int = param(64, min=1, max=1 << 20, help="how much data to hold, in MiB")
    connections: Int = param(1024, min=1, max=1 << 20, help="how many clients at once")
    item: Size = param("1MiB", min="1KiB", max="1GiB", help="the largest item")
    threads: Int = param(4, min=1, max=128, help="how many threads answer")
