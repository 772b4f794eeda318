"""A declaration where it stands: its value, its folder, its lock."""

from __future__ import annotations

import os
import re
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

_CLASS = re.compile(r"(?!sha256:)([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|.+\.py):([A-Za-z_]\w*)", re.DOTALL)


def is_declaration(target: str) -> bool:
    """Whether a target means a declaration: a TOML file, or a class, as ``MODULE:CLASS`` or ``FILE.py:CLASS``."""
    return target.endswith(".toml") or _CLASS.fullmatch(target) is not None


class Declared(NamedTuple):
    """A declaration, the folder that its paths are relative to, and where its lock stands."""

    oslet: Oslet
    beside: Path
    lock_file: Path

    @classmethod
    def read(cls, target: Path | str, build_arguments: Mapping[str, Any] | None = None) -> Declared:
        """The declaration in a TOML file or of a class, its build-time params filled. Raises DeclarationError."""
        if named := _CLASS.fullmatch(os.fspath(target)):
            found: Declared = _class(*named.groups()).declared(**(build_arguments or {}))
            return found
        file = Path(target).absolute()
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
            self.lock_file.parent.mkdir(parents=True, exist_ok=True)
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


def unfilled(target: Path | str) -> Oslet:
    """The declaration in a TOML file or of a class, its build-time params still open. Raises DeclarationError."""
    if named := _CLASS.fullmatch(os.fspath(target)):
        found: Oslet = _class(*named.groups()).lower()
        return found
    return read_toml(Path(target).absolute())


def _class(module: str, name: str) -> Any:
    """A class that declares, from a module that can be imported or a file. Raises DeclarationError."""
    where = f"{module}:{name}"
    try:
        loaded = _module_of(Path(module)) if module.endswith(".py") else _imported(module)
    except (KeyboardInterrupt, DeclarationError):
        raise
    except BaseException as error:  # the author's own code may raise anything, SystemExit too
        raise DeclarationError(f"importing it failed: {type(error).__name__}: {error}"[:300], where=where) from error
    found = getattr(loaded, name, None)
    if not callable(getattr(found, "declared", None)):
        from oslet.codec.nearest import suggestion

        others = [each for each in dir(loaded) if callable(getattr(getattr(loaded, each), "declared", None))]
        raise DeclarationError(f"{module} has no oslet {name!r}", where=where, hint=suggestion(name, others))
    return found


def _imported(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and lacks another
        hint = "it is looked for in the current folder and among Python's packages; a file is FILE.py:CLASS"
        raise DeclarationError(f"there is no module {error.name!r}", where=name, hint=hint) from None


def _module_of(file: Path) -> Any:
    """A Python file as a module of a name of its own, so that it hides no package of the same name."""
    import sys
    from importlib.util import module_from_spec, spec_from_file_location

    file = file.absolute()
    if not file.is_file():
        raise DeclarationError("no such file", where=str(file))
    name = f"oslet declaration {file}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, file)
        assert spec and spec.loader
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


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
