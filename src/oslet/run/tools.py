"""Tools: the programs that make instances. The OCI runtime may come from the store; the rest are every Linux's."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError


class Tools(NamedTuple):
    """The OCI runtime, crun, and slirp4netns where there is one: the machine's or oslet's own."""

    crun: Path
    slirp4netns: Path | None = None


_PACKAGES = {
    "unshare": "util-linux",
    "mount": "mount",
    "sh": "dash",
    "newuidmap": "uidmap",
    "newgidmap": "uidmap",
}
_BESIDE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""An ordinary user's PATH may leave out sbin."""


def found(name: str) -> str | None:
    """The path of one of the machine's own programs, or None."""
    return _found(name, os.environ.get("PATH", ""))


@cache
def _found(name: str, path: str) -> str | None:
    import shutil  # a build looks for no programs

    return shutil.which(name, path=f"{path}:{_BESIDE}")


def program(name: str) -> str:
    """The path of one of the machine's own programs; RunError that says which package has it."""
    if path := found(name):
        return path
    raise RunError(
        f"this machine has no {name}",
        hint=f"install {_PACKAGES.get(name, name)} (Debian's name of the package): instances are made with it",
    )
