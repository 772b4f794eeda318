"""Which file a Python import means: the image's ``sys.path`` on a tree as a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from oslet.model.tree import Entry

_EXTENSION = re.compile(r"\.(?:cpython-[\w-]+|abi3|pypy[\w-]+)?\.?so\Z")
MAX_BELOW = 2_000
"""Modules that one dynamic import may mean."""


def search_path(python: str) -> tuple[str, ...]:
    """Where Debian's Python looks for modules, in its order (python-policy §2.5)."""
    if not python:
        return ()
    library = f"/usr/lib/python{python}"
    return (
        library,
        f"{library}/lib-dynload",
        f"/usr/local/lib/python{python}/dist-packages",
        f"/usr/lib/python{python.partition('.')[0]}/dist-packages",
    )


def name_of(path: str, root: str) -> str:
    """The dotted name of the module at ``path`` below ``root``; empty for what is no module."""
    inner = path[len(root) + 1 :]
    stem = inner.removesuffix(".py") if inner.endswith(".py") else _EXTENSION.sub("", inner)
    if stem == inner or "." in stem:
        return ""
    return stem.removesuffix("/__init__").replace("/", ".")


class Modules:
    """The modules of a tree by name. Of several with one name, all count: which comes first depends on the start."""

    def __init__(self, entries: Iterable[Entry], roots: Sequence[str]) -> None:
        self._named: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}
        ordered = sorted(roots, key=len, reverse=True)
        for entry in entries:
            if entry.kind == "dir" or not entry.path.endswith((".py", ".so")):
                continue
            for root in ordered:
                if entry.path.startswith(f"{root}/") and (name := name_of(entry.path, root)):
                    self._named.setdefault(name, []).append(entry.path)
                    self._names.setdefault(entry.path, []).append(name)
                    self._below.setdefault(name.rpartition(".")[0], []).append(name)

    def names(self, path: str) -> list[str]:
        """What the module at ``path`` may be called: from each folder of ``sys.path`` that is above it."""
        return self._names.get(path, [])

    def find(self, written: str, importer: str) -> Iterator[tuple[str, str]]:
        """Path and name of each module that ``written`` means in the module at ``importer``, packages above it first.

        ``a.b`` may be a module or a name in one; ``.b`` is relative; ``a.*`` means whatever lies in ``a``.
        """
        for name in self._absolute(written, importer):
            stem, star, _ = name.partition("*")
            yield from self._chain(stem.rstrip("."))
            if star:
                for below in self._below.get(stem.rpartition(".")[0], [])[:MAX_BELOW]:
                    if below.startswith(stem):
                        yield from ((path, below) for path in self._named[below])

    def _absolute(self, written: str, importer: str) -> Iterator[str]:
        if not written.startswith("."):
            yield written
            return
        bare = written.lstrip(".")
        up = len(written) - len(bare)
        for own in self.names(importer):
            parts = own.split(".")
            package = parts if importer.endswith("/__init__.py") else parts[:-1]
            if len(package) >= up - 1:
                yield ".".join([*package[: len(package) - up + 1], *([bare] if bare else [])])

    def _chain(self, name: str) -> Iterator[tuple[str, str]]:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            above = ".".join(parts[:length])
            yield from ((path, above) for path in self._named.get(above, ()))
