"""One static binary, and nothing else."""

import oslet


class Hello(oslet.Oslet):
    """One static binary, and nothing else."""

    packages = ["busybox-static"]
    command = ["busybox", "echo", "Hello, {who}!"]
    network = "none"

    who: oslet.Str = oslet.param("world", max_length=100, help="whom to greet")
