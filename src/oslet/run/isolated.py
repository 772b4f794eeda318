"""Isolated: a build step's own sandbox. One command in a tree, with no network and nothing of this machine in sight.

What a maintainer script may need is allowed that an instance is not: to be root of its own user namespace, with the
capabilities by which files get owners. It can't write to the tree; at most to a layer over it, which is then kept.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from oslet.errors import BuildError, RunError
from oslet.run import config, ids, layer, monitor, records
from oslet.run.inside import inside
from oslet.run.monitor import Stdio
from oslet.run.tools import Tools, program

_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
_ENVIRONMENT = (
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C.UTF-8"),
    ("HOME", "/root"),
    ("DEBIAN_FRONTEND", "noninteractive"),
)
_SCRATCH = 1 << 30
_MADE = "the instance can't be made: "
_OUTPUT = 64 << 20
"""Bytes of each stream that are kept."""


class Captured(NamedTuple):
    """What a finished command left: its exit code (``128+N`` for signal N) and its two streams."""

    code: int
    stdout: bytes
    stderr: bytes


class Isolated(NamedTuple):
    """``build.sandbox.Sandbox``, by way of the OCI runtime."""

    tools: Tools

    def __call__(
        self,
        rootfs: Path,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        changes: Path | None = None,
        folders: Sequence[tuple[Path, str]] = (),
        timeout: float = 300,
    ) -> Captured:
        """Run ``command`` in ``rootfs``; ``changes``, a file to be, receives what it changed as an OCI layer's tar,
        owners and all as the instance has them. ``folders`` are folders here that it may write to, and where it has
        them. BuildError when it can't be run, or takes longer than ``timeout``.
        """
        mapping = ids.mapping(0, 0)
        try:
            with _folder(mapping) as folder, _streams(stdin) as stdio:
                stage = _stage(folder) if changes else None
                whole = _config(tuple(command), mapping, folders, writable=stage is not None)
                code = _run(self.tools, rootfs, whole, folder, stage, stdio, timeout, mapping)
                captured = Captured(code, _whole(stdio.stdout), _whole(stdio.stderr))
                if changes and stage:
                    _collect(stage / "upper", changes, folder, mapping)
            return captured
        except RunError as error:
            raise BuildError(
                f"{command[0]} can't be run in the image: {error.what.removeprefix(_MADE)}", hint=error.hint
            ) from None


def _run(
    tools: Tools,
    rootfs: Path,
    whole: dict[str, Any],
    folder: Path,
    stage: Path | None,
    stdio: Stdio,
    timeout: float,
    mapping: ids.Mapping,
) -> int:
    given = monitor.arguments(rootfs, tools.crun, folder, folder, scratch=_SCRATCH, mapping=mapping, changes=stage)
    made = monitor.spawn(folder, given, stdio=stdio, rootless=mapping.rootless)
    try:
        monitor.hear(made)
        monitor.map_ids(made.pid, mapping)
        monitor.proceed(made)
        monitor.hear(made)
        for name in ("upper", "work", "root", "changes"):
            (made.place / name).mkdir()
        upper = stage / "upper" if stage else made.place / "upper"
        upper.chmod(0o755)
        if not mapping.rootless:
            root = ids.through(mapping.inner_uids, 0) or 0
            os.chown(upper, root, root)
        (made.place / "config.json").write_text(json.dumps(whole))
        monitor.proceed(made)
        if not monitor.finished(made, timeout):
            raise BuildError(f"{whole['process']['args'][0]} didn't end within {timeout:g} s")
        try:
            code = int((folder / records.EXIT).read_text())
        except (OSError, ValueError):
            raise monitor.failure(made) from None
        if code and monitor.complaints(folder / records.RUNTIME_LOG):
            raise monitor.failure(made)
        return code
    finally:
        monitor.kill(made.pid)
        monitor.close(made)


def _config(
    command: tuple[str, ...], mapping: ids.Mapping, folders: Sequence[tuple[Path, str]], *, writable: bool
) -> dict[str, Any]:
    run = config.Process(command, _ENVIRONMENT, "/", 0, 0, capabilities=_CAPABILITIES)
    volumes = [(str(here), there) for here, there in folders]
    whole = config.config(run, hostname="build", mapping=mapping, volumes=volumes, writable=writable)
    for path in ("/tmp", "/run"):
        options = ["nosuid", "nodev", "mode=1777" if path == "/tmp" else "mode=755", "size=1g"]
        whole["mounts"].append({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options})
    return whole


@contextmanager
def _folder(mapping: ids.Mapping) -> Iterator[Path]:
    """A folder for the monitor, removed even where files in it belong to subordinate ids."""
    folder = Path(tempfile.mkdtemp(prefix="oslet-build-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() and mapping.rootless:
            inside(mapping, [program("rm"), "-rf", "--", str(folder)], failed=folder / "failed")


def _stage(folder: Path) -> Path:
    """Where the layer is written, and the working folder that an overlay wants beside it."""
    stage = folder / "changes"
    for place in (stage, stage / "upper", stage / "work"):
        place.mkdir()
    return stage


def _collect(upper: Path, changes: Path, folder: Path, mapping: ids.Mapping) -> None:
    if not mapping.rootless:
        layer.write(upper, changes, mapping)
        return
    made = folder / "layer.tar"
    # Its own program, since only root of the namespace may read what the script gave to others.
    command = [sys.executable, "-m", "oslet.run.layer", str(upper), str(made)]
    if not inside(mapping, command, failed=folder / "failed", timeout=600):
        said = made.read_bytes()[:300].decode("utf-8", "replace") if made.exists() else "it took too long"
        raise BuildError(f"what the script changed can't be kept: {said}")
    shutil.move(made, changes)


@contextmanager
def _streams(stdin: bytes) -> Iterator[Stdio]:
    """Files in memory: no pipe to fill up, nobody to relay."""
    opened = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
    try:
        with os.fdopen(os.dup(opened[0]), "wb") as file:
            file.write(stdin)
        os.lseek(opened[0], 0, os.SEEK_SET)
        yield Stdio(*opened)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _whole(descriptor: int | Path) -> bytes:
    if isinstance(descriptor, Path):
        return descriptor.read_bytes()
    return os.pread(descriptor, min(os.fstat(descriptor).st_size, _OUTPUT), 0)
