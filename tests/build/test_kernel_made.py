"""Kernels as they come: the distribution's with its modules, a source unpacked, and those that ``./dev test`` made."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from oslet.build.kernel import config, distribution, source
from oslet.build.kernel.derive import of_class
from oslet.build.kernel.tables import Edit
from oslet.errors import BuildError, IntegrityError
from oslet.formats import kmod
from oslet.model.kernel import Option
from oslet.model.tree import Entry
from oslet.store import Store
from oslet.store.contents import hash_file
from oslet.testing.makers import Made, make_tar
from oslet.workspace import Workspace
from oslet.workspace import kernels as rooms


def module(folder: Path, name: str, depends: str = "") -> bytes:
    texts = (f"name={name}", f"depends={depends}")
    lines = [
        f'static const char t{n}[] __attribute__((section(".modinfo"), used)) = "{t}";' for n, t in enumerate(texts)
    ]
    (folder / "m.c").write_text("\n".join(lines))
    words = ["-target", "x86_64-linux-gnu.2.36", "-c", "-o", f"{folder}/m.ko", f"{folder}/m.c"]
    done = subprocess.run([sys.executable, "-m", "ziglang", "cc", *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    return lzma.compress((folder / "m.ko").read_bytes())


def package(store: Store, files: dict[str, bytes]) -> list[Entry]:
    return [Entry(p, "file", 0o644, size=len(d), digest=store.put(d)) for p, d in sorted(files.items())]


SETTINGS = "".join(f"CONFIG_{symbol}=y\n" for symbol in ("EPOLL", "NET")) + "CONFIG_VIRTIO_NET=m\nCONFIG_EROFS_FS=m\n"


def test_the_distributions_kernel_has_what_is_needed_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    room = "/usr/lib/modules/6.12-cloud/kernel"
    entries = package(
        store,
        {
            "/boot/vmlinuz-6.12-cloud": b"kernel",
            "/boot/config-6.12-cloud": SETTINGS.encode(),
            f"{room}/a/virtio_net.ko.xz": module(tmp_path, "virtio_net", "net_failover,failover"),
            f"{room}/b/net_failover.ko.xz": module(tmp_path, "net_failover", "failover"),
            f"{room}/c/failover.ko.xz": module(tmp_path, "failover"),
            f"{room}/d/erofs.ko.xz": module(tmp_path, "erofs"),
            f"{room}/e/sound.ko.xz": b"never read",
        },
    )
    wish = [Option(symbol, "y", "asked") for symbol in ("EPOLL", "VIRTIO_NET", "EROFS_FS")]
    made = distribution.choose(entries, store, wish, tmp_path / "modules")
    assert made.release == "6.12-cloud" and made.image.read_bytes() == b"kernel"
    assert [path.stem for path in made.modules] == ["failover", "net_failover", "virtio_net", "erofs"]
    assert kmod.read(made.modules[2].read_bytes(), where="").needs == ("net_failover", "failover")
    with pytest.raises(BuildError, match=r"lacks CAN \(the bus\)"):
        distribution.choose(entries, store, [Option("CAN", "y", "the bus")], tmp_path / "other")


def archive(folder: Path, files: dict[str, Made]) -> Path:
    made = folder / "linux-source-6.12.tar.xz"
    made.write_bytes(lzma.compress(make_tar({f"/linux-source-6.12/{path}": file for path, file in files.items()})))
    return made


def test_a_source_is_unpacked_without_what_nobody_needs_and_changed(tmp_path: Path) -> None:
    files = {
        "Makefile": Made("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 9\n"),
        "mm/init.c": Made("int size = 2;\n"),
        "scripts/run.sh": Made("#!/bin/sh\n", 0o755),
        "arch/arm64/kernel/head.S": Made("nop"),
        "arch/x86/boot/dts": Made(link="../kernel"),
        "sound/core/sound.c": Made("x"),
        "sound/core/Kconfig": Made('config SOUND\n\tbool "Sound"\n'),
    }
    made = tmp_path / "src"
    source.unpack(archive(tmp_path, files), made, [Edit("mm/init.c", "size = 2", "size = 4", "")], lambda done: None)
    there = {str(path.relative_to(made)) for path in made.rglob("*") if not path.is_dir() or path.is_symlink()}
    assert there == {"Makefile", "mm/init.c", "scripts/run.sh", "arch/x86/boot/dts", "sound/core/Kconfig"}
    assert (made / "mm/init.c").read_text() == "int size = 4;\n"
    assert (made / "scripts/run.sh").stat().st_mode & 0o111
    assert source.version((made / "Makefile").read_text()) == "6.12.9"
    assert source.dependencies_in(made, "SOUND") == "; it has no dependencies of its own (sound/core/Kconfig)"
    with pytest.raises(BuildError, match="lacks a file"):
        source.unpack(archive(tmp_path, files), tmp_path / "b", [Edit("gone.c", "a", "b", "")], lambda done: None)


def test_a_link_that_leads_out_of_the_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="leads out"):
        source.unpack(archive(tmp_path, {"a/b": Made(link="../../etc")}), tmp_path / "src", [], lambda done: None)


def test_the_kernels_that_were_made_are_what_they_say(kernels: None, home: Path) -> None:
    """Each option is in the configuration, each file is the one recorded; and a larger kernel serves for a smaller."""
    workspace = Workspace(home)
    for target in ("microvm", "uml"):
        asked = rooms.shared(of_class("full", target))
        made = rooms.kept(workspace, asked)
        assert made and made.kernel == asked.kernel
        config.agree(made.kernel, config.read((made.folder / "config").read_text()), lambda symbol: "")
        record = workspace.store.kernels.record(made.folder)
        assert {name: hash_file(made.folder / name) for name in record.files} == record.files
        assert ("linux" in record.files) == (target == "uml")
        assert rooms.served(workspace, rooms.shared(of_class("net", target))) is not None
    assert any(line.startswith("gcc ") for line in record.sources)
