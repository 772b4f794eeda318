"""The distribution's own kernel with exactly the modules that an image needs: the choice that builds nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oslet.build.files import Objects
from oslet.build.kernel import config
from oslet.build.kernel.tables import modules_of
from oslet.errors import BuildError
from oslet.formats import kmod
from oslet.model.kernel import Option
from oslet.model.tree import Entry

PACKAGES = {"amd64": "linux-image-cloud-amd64", "arm64": "linux-image-cloud-arm64"}
"""The kernel that Debian makes for virtual machines, by architecture."""
IMAGE = re.compile(r"linux-image-\d.*")
"""The package that holds it; the one above only names the newest."""
_KERNEL = re.compile(r"/boot/vmlinuz-(.+)")
_MODULE = re.compile(r"(?:/usr)?/lib/modules/[^/]+/(.*/)?([^/]+)\.ko(?:\.xz)?")


class Distributed(NamedTuple):
    """The kernel's release, its image and configuration, and the modules in the order they are loaded in."""

    release: str
    image: Path
    config: Path
    modules: tuple[Path, ...]


def wanted(options: Iterable[Option]) -> tuple[Option, ...]:
    """What is asked of the distribution's kernel: what any guest needs, and what the image asks for."""
    always = tuple(Option(symbol, "y", "each guest's devices and root") for symbol in modules_of().always)
    return (*always, *(o for o in options if o.value == "y"))


def choose(entries: Sequence[Entry], store: Objects, options: Iterable[Option], folder: Path) -> Distributed:
    """The kernel of a package's ``entries``, its modules unpacked into ``folder``. BuildError for an option that it
    lacks, located; IntegrityError for modules that can't be read."""
    kernel = next((e for e in entries if _KERNEL.fullmatch(e.path)), None)
    if kernel is None:
        raise BuildError("the distribution's package holds no kernel", where="kernel")
    release = kernel.path.removeprefix("/boot/vmlinuz-")
    settings = next(e for e in entries if e.path == f"/boot/config-{release}")
    found = {kmod.plain(m[2]): e for e in entries if (m := _MODULE.fullmatch(e.path))}
    names = named(options, config.read(store.read(settings.digest).decode()), release)

    @cache
    def text(name: str) -> bytes:
        return kmod.unpacked(store.read(found[name].digest), where=found[name].path)

    ordered = kmod.order(names, found, lambda name: kmod.read(text(name), where=found[name].path))
    folder.mkdir(exist_ok=True)
    for name in ordered:
        (folder / f"{name}.ko").write_bytes(text(name))
    paths = tuple(folder / f"{name}.ko" for name in ordered)
    return Distributed(release, store.object(kernel.digest), store.object(settings.digest), paths)


def named(options: Iterable[Option], settings: Mapping[str, str], release: str) -> tuple[str, ...]:
    """The modules behind options, in their order; BuildError with each that the kernel lacks."""
    known = modules_of().modules
    names: dict[str, None] = {}
    lacking = []
    for option in options:
        value = settings.get(option.symbol, "n")
        if value == "m" and option.symbol in known:
            names[known[option.symbol]] = None
        elif value != "y":
            lacking.append(f"{option.symbol} ({option.why})")
    if lacking:
        raise BuildError(
            f"the distribution's kernel lacks {'; '.join(lacking[:4])}",
            where=f"kernel {release}",
            hint='kernel = "auto" makes one that has it',
        )
    return tuple(names)
