"""A declaration where it stands: its value, its folder, its lock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oslet.bind import at_build
from oslet.codec.declaration import read_toml
from oslet.codec.locks import read_lock, write_lock
from oslet.errors import DeclarationError
from oslet.model.lock import Lock
from oslet.model.oslet import Oslet

MAX_LOCK = 16 << 20


class Declared(NamedTuple):
    """A declaration, the folder that its paths are relative to, and where its lock stands."""

    oslet: Oslet
    beside: Path
    lock_file: Path

    @classmethod
    def read(cls, file: Path, build_arguments: Mapping[str, Any] | None = None) -> Declared:
        """The declaration in a TOML file, its build-time params filled. Raises DeclarationError."""
        file = file.absolute()
        oslet = read_toml(file)
        if oslet.policy.features:
            from oslet.trim.features import check

            check(oslet.policy.features, file.name)
        return cls(at_build(oslet, build_arguments or {}), file.parent, file.with_suffix(".lock"))

    @property
    def trace_file(self) -> Path:
        """Where the declaration's trace stands, if it has one."""
        return self.lock_file.with_suffix(".trace")

    def lock(self) -> Lock | None:
        """The lock beside the declaration, or None when there is none yet."""
        return lock_file(self.lock_file)

    def write_lock(self, lock: Lock) -> None:
        """Write the lock beside the declaration; a crash leaves the old one or the new one."""
        new = self.lock_file.with_name(f".{self.lock_file.name}.{os.getpid()}")
        try:
            with new.open("w", encoding="utf-8") as stream:
                stream.write(write_lock(lock))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self.lock_file)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise DeclarationError(
                f"can't write the lock: {error.strerror}",
                where=str(self.lock_file),
                hint="copy the declaration to a folder of your own",
            ) from None


def lock_file(file: Path) -> Lock | None:
    """The lock in a file, or None when there is none. Raises DeclarationError for what is no lock."""
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_LOCK + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeclarationError(f"can't read it: {error.strerror}", where=str(file)) from None
    if len(text) > MAX_LOCK:
        raise DeclarationError(f"over {MAX_LOCK >> 20} MiB", where=str(file))
    return read_lock(text.decode("utf-8", "replace"), file.name)
