"""Kernels in the store: found by what they were wanted for, whole or not there, kept while somebody uses them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from oslet.errors import IntegrityError
from oslet.model.kernel import Kernel, Option, Recorded
from oslet.store import Store
from oslet.store.kernels import KEPT


def kept(store: Store, folder: Path, key: str, wanted: str) -> Path:
    for name in ("bzImage", "a.ko"):
        (folder / name).write_text(key)
    made = Kernel("microvm", "net", (Option("EPOLL", "y", "waiting"),))
    record = Recorded(wanted, "6.12", made, {"bzImage": "", "modules/a.ko": ""}, ("modules/a.ko",), ())
    return store.kernels.keep(key, {"bzImage": folder / "bzImage", "modules/a.ko": folder / "a.ko"}, record)


def aged(folder: Path, seconds: float) -> None:
    for path in (folder / "kernel.json", folder):
        os.utime(path, (time.time() - seconds,) * 2)


def test_the_newest_kernel_for_a_wish_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.kernels.find("w") is None and store.kernels.get("old") is None
    old, new = kept(store, tmp_path, "old", "w"), kept(store, tmp_path, "new", "w")
    other = kept(store, tmp_path, "other", "x")
    aged(old, 60)
    assert store.kernels.find("w") == new == store.kernels.get("new")
    assert store.kernels.find("x") == other
    assert (new / "modules/a.ko").read_text() == "new"
    assert store.kernels.record(new).modules == ("modules/a.ko",)
    assert kept(store, tmp_path, "new", "w") == new  # two that make the same leave one


def test_gc_drops_what_was_replaced_and_what_nobody_uses(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    old, new, unused = (kept(store, tmp_path, *words) for words in (("old", "w"), ("new", "w"), ("unused", "x")))
    aged(old, 60)
    aged(unused, KEPT + 60)
    assert store.gc(dry_run=True).kernels == 2 and old.is_dir()
    freed = store.gc()
    assert (freed.kernels, old.exists(), unused.exists(), new.is_dir()) == (2, False, False, True)
    assert freed.bytes > 0


def test_a_use_keeps_a_kernel(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    aged(kept(store, tmp_path, "key", "w"), KEPT + 60)
    assert store.kernels.find("w")
    assert store.gc().kernels == 0


def test_a_damaged_record_is_located(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (kept(store, tmp_path, "key", "w") / "kernel.json").write_text("{}")
    with pytest.raises(IntegrityError) as error:
        store.kernels.find("w")
    assert "key/kernel.json" in error.value.where
