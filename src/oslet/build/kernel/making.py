"""The build of a kernel: unpacked, configured, held to its options, compiled in an isolated instance, stripped.

Same inputs, same bytes: the toolchain is a locked tree of the store, paths inside the instance are fixed, and what a
kernel would tell of its build (time, user, host, number) is a constant (Documentation/kbuild/reproducible-builds.rst).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from oslet.build.kernel import config
from oslet.build.kernel.source import dependencies_in, unpack, version
from oslet.build.kernel.tables import Base, base
from oslet.build.sandbox import Sandbox
from oslet.errors import BuildError
from oslet.model.kernel import Kernel

RECIPE = 1
"""The version of this recipe: another one makes other bytes from the same inputs."""
PACKAGES = (
    *("linux-source", "gcc", "make", "flex", "bison", "bc", "libelf-dev", "xz-utils", "zstd"),
    *("dash", "bash", "coreutils", "sed", "grep", "findutils", "diffutils", "gzip", "mawk"),
)
"""Debian's packages that kernels are made of and with: ``linux-source`` is the suite's own kernel. The second half are
essential, so that nothing depends on them (Policy 3.8)."""
PLACE = "/build"
TIMEOUT = 3 * 3600.0
_LOG = "log"
_ENVIRONMENT = (
    f"PATH={PLACE}/bin:/usr/bin:/bin",
    "KBUILD_BUILD_TIMESTAMP=1970-01-01 00:00:01 UTC",
    "KBUILD_BUILD_USER=oslet",
    "KBUILD_BUILD_HOST=oslet",
    "KBUILD_BUILD_VERSION=1",
)
_NAMES = {"awk": "/usr/bin/mawk"}
"""Names that Debian leaves to the alternatives system (Policy, appendix F), which a tree of packages alone lacks."""
_RECORDED = 'exec "$@" >>/build/log 2>&1'
_TAIL = 8
_UNPACKED = 39_000
"""About how many files of the source are needed; only progress tells it."""

Progress = Callable[[str, int, int], None]


class Bench(NamedTuple):
    """Where a kernel is made: the tree of the toolchain, the source's archive, an empty folder, what runs programs in
    the tree, who hears of progress, and how many jobs at once."""

    rootfs: Path
    archive: Path
    folder: Path
    sandbox: Sandbox
    progress: Progress
    jobs: int


def make(kernel: Kernel, bench: Bench, owner: int | None = None) -> dict[str, Path]:
    """Make ``kernel``: its files by name, ``config`` among them. ``owner`` is who plays the instance's root on disk.
    BuildError for an option that can't be had, and for what the compiler refuses."""
    target = base(kernel.target)
    for name in ("src", "out", "bin"):
        (bench.folder / name).mkdir()
    for name, path in _NAMES.items():
        (bench.folder / "bin" / name).symlink_to(path)
    unpack(
        bench.archive,
        bench.folder / "src",
        target.edits,
        lambda done: bench.progress("unpacking the kernel's source", done, _UNPACKED),
    )
    (bench.folder / "options").write_text(config.fragment(kernel))
    _give(bench.folder, owner)
    configure(kernel, target, bench)
    with _told(bench, target.objects):
        _run(bench, _make(target, f"-j{bench.jobs}", *target.goals))
    return _collect(target, bench)


def configure(kernel: Kernel, target: Base, bench: Bench) -> None:
    """The .config, held against what is asked for: once as it is made, and again as a build would complete it."""
    bench.progress("configuring the kernel", 0, 0)
    _run(bench, _make(target, f"KCONFIG_ALLCONFIG={PLACE}/options", "allnoconfig"))
    _run(bench, _make(target, "olddefconfig"))
    found = config.read((bench.folder / "out/.config").read_text())
    config.agree(kernel, found, lambda symbol: dependencies_in(bench.folder / "src", symbol))


def release(bench: Bench) -> str:
    """The version of the source that was unpacked."""
    return version((bench.folder / "src/Makefile").read_text())


def _make(target: Base, *words: str) -> tuple[str, ...]:
    architecture = "um" if target.source == "um" else target.arch
    return ("make", "-C", f"{PLACE}/src", f"O={PLACE}/out", f"ARCH={architecture}", *words)


def _run(bench: Bench, command: tuple[str, ...]) -> None:
    """Run a command; what it says goes to the log. BuildError with the last of it when it fails."""
    done = bench.sandbox(
        bench.rootfs,
        ("sh", "-c", _RECORDED, "sh", "env", *_ENVIRONMENT, *command),
        folders=((bench.folder, PLACE),),
        timeout=TIMEOUT,
    )
    if done.code:
        log = (bench.folder / _LOG).read_text("utf-8", "replace").splitlines()
        faults = [line for line in log if "error:" in line or "***" in line] or log
        said = done.stderr.decode("utf-8", "replace").strip()
        raise BuildError(f"the kernel can't be made: {command[0]} ended with {done.code}",
                         where="; ".join([*faults[-_TAIL:], said])[-1500:])  # fmt: skip


def _collect(target: Base, bench: Bench) -> dict[str, Path]:
    found = {}
    for name, path in target.products:
        if name in ("vmlinux", "linux"):
            _run(bench, ("strip", "--strip-all", "-o", f"{PLACE}/out/{name}.stripped", f"{PLACE}/out/{path}"))
            path = f"{name}.stripped"
        found[name] = bench.folder / "out" / path
    return {**found, "config": bench.folder / "out/.config"}


def _give(folder: Path, owner: int | None) -> None:
    """Let the instance's root write where the build does; the source it only reads."""
    folder.chmod(0o755)
    if owner is not None:
        for path in (folder, folder / "out"):
            os.chown(path, owner, owner)


@contextmanager
def _told(bench: Bench, objects: int) -> Iterator[None]:
    """Tell how many files are compiled, from the log, while they are."""
    ended = threading.Event()
    log = bench.folder / _LOG
    begun = log.stat().st_size if log.exists() else 0

    def watch() -> None:
        done = 0
        with log.open("rb") as stream:
            stream.seek(begun)
            while not ended.wait(0.5):
                done += stream.read().count(b"\n  ")
                bench.progress("compiling the kernel", done, max(done + 1, objects))

    log.touch()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
