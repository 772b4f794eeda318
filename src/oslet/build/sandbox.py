"""Sandbox: how a build step runs the image's own programs, apart from the machine that builds.

The protocol alone stands here; ``run/`` has the real one, and the workspace hands it to the steps that need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class Captured(NamedTuple):
    """What a finished command left: its exit code (``-N`` or ``128+N`` for signal N) and its two streams, whole."""

    code: int
    stdout: bytes
    stderr: bytes


class Sandbox(Protocol):
    """Runs one command in ``rootfs`` and waits for it.

    The command sees no network, is uid 0 of its own user namespace, and can't write to the root: unless ``changes``
    is given, a file to be, which receives what it changed as an OCI layer's tar (image-spec, layer.md): owners as the
    command saw them, ``.wh.NAME`` for what it removed. ``folders`` are folders of this machine that it may write to,
    and where it has them. ``timeout`` is in seconds.
    Raises BuildError when the sandbox itself can't be made, or the command outlives ``timeout``.
    """

    def __call__(
        self,
        rootfs: Path,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        changes: Path | None = None,
        folders: Sequence[tuple[Path, str]] = (),
        timeout: float = 300,
    ) -> Captured: ...
