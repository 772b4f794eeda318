"""Builds and starts each oslet of the catalog, and writes what it measured: ``python -m tests.catalog.measure``."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

from oslet import catalog
from oslet.catalog.shelf import entries
from oslet.run import Wish
from oslet.workspace import Workspace

FILE = Path(catalog.__file__).with_name("measured.toml")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measured(spelled: str) -> tuple[int, int, int]:
    """Bytes, files, and the milliseconds of the quickest of three starts; a password is given where one is needed."""
    cls = getattr(catalog, spelled)
    required = {p.name for p in cls.lower().params if p.required}
    image = cls.build().image
    took = []
    for _ in range(3):
        bound = cls(port=free_port(), **dict.fromkeys(required, "not-for-real"))
        began = time.perf_counter()
        with bound.start(Wish(name=f"measure-{image.name}", network="host")):
            took.append(1000 * (time.perf_counter() - began))
    shutil.rmtree(Workspace().places.data / f"measure-{image.name}", ignore_errors=True)
    return image.size, image.files, round(min(took))


def main() -> None:
    head = [line for line in FILE.read_text("utf-8").splitlines() if line.startswith("#")]
    rows = []
    for each in entries():
        if not any(p.required and p.at == "build" for p in each.oslet.params):
            size, files, healthy = measured(each.spelled)
            rows.append(f"{each.name} = {{ size = {size}, files = {files}, healthy = {healthy} }}")
            print(rows[-1], flush=True)
    FILE.write_text("\n".join([*head, *rows, ""]), "utf-8")


if __name__ == "__main__":
    main()
