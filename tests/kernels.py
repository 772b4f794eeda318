"""The kernels that tests boot, made once a checkout: ``./dev test`` runs this as a program before the tests."""

from __future__ import annotations

import sys
from pathlib import Path

from oslet.build.kernel.derive import of_class
from oslet.errors import IntegrityError, OsletError
from oslet.model.kernel import Target
from oslet.store import Store
from oslet.store.contents import hash_file
from oslet.workspace import Workspace, kernels

TARGETS: tuple[Target, ...] = ("microvm", "uml")
"""Each in the class ``full``, which serves every image of the tests."""


def make(home: Path) -> None:
    """Have the kernels in a store of their own, and nothing else there afterwards."""
    told: set[str] = set()

    def tell(label: str, done: int, total: int) -> None:
        step = f"{label}{f', {100 * done // total // 10 * 10} %' if total else ''}"
        if step not in told:
            told.add(step)
            print(f"dev: {step}", file=sys.stderr)

    workspace = Workspace(home, progress=tell)
    asked = [kernels.shared(of_class("full", target)) for target in TARGETS]
    lacking = [each for each in asked if kernels.kept(workspace, each) is None]
    for each in lacking:
        print(f"dev: making the kernel for {each.kernel.target}, once: some minutes", file=sys.stderr)
        told.clear()
        kernels.have(workspace, each)
    if lacking:
        workspace.store.gc()


def adopt(cache: Path, home: Path) -> str:
    """Copy the kernels from ``cache`` to the store at ``home``, each file held against its digest; the target that
    there is none for, or nothing."""
    source, target = Store(cache), Workspace(home)
    for name in TARGETS:
        wanted = kernels.shared(of_class("full", name))
        if kernels.kept(target, wanted):
            continue
        if (folder := source.kernels.find(wanted.wanted)) is None:
            return name
        record = source.kernels.record(folder)
        files = {each: folder / each for each in record.files}
        if wrong := [each for each, path in files.items() if hash_file(path) != record.files[each]]:
            raise IntegrityError("not what was made", where=str(files[wrong[0]]), hint="remove the folder")
        target.store.kernels.keep(folder.name, files, record)
    return ""


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]))
    except OsletError as error:
        sys.exit(f"dev: {error}")
