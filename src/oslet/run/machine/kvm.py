"""Whether KVM works here: asked by running a guest, since a device that opens may still never run one.

The guest runs in a process of its own, which gets two seconds. The answer holds until the machine boots again, or the
device's owner or mode changes.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

DEVICE = Path("/dev/kvm")
_ASK = Path(__file__).with_name("ask_kvm.py")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START, _PATIENCE, _GRACE = 30.0, 2.0, 1.0
"""Seconds: for a program to begin, on a machine with much else to do; for its guest; to be gone when it is killed."""


class Kvm(NamedTuple):
    """The answer; ``why`` ends a sentence that begins with "there is no KVM"."""

    works: bool
    why: str = ""


def kvm(state: Path, device: Path = DEVICE) -> Kvm:
    """Whether this user's guests can have KVM. ``state`` is a folder of this user's that keeps the answer."""
    if not device.exists():
        return Kvm(False, f"{device} is missing")
    if not os.access(device, os.R_OK | os.W_OK):
        return Kvm(False, f"{device} is closed to you")
    file, now = state / "kvm", _now(device)
    known = _recall(file, now)
    if known:
        return known
    # Kept before it is asked, so that who can't be killed is asked once: whoever comes meanwhile does without.
    _keep(file, now, Kvm(False, f"{device} doesn't answer"))
    answer = _ask(device)
    _keep(file, now, answer)
    return answer


def _ask(device: Path) -> Kvm:
    words = [sys.executable, "-I", "-S", str(_ASK), str(device)]
    asked = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, cwd="/"
    )
    assert asked.stdout and asked.stderr
    try:
        select.select([asked.stdout], [], [], _START)
        _, said = asked.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        asked.kill()
        with suppress(subprocess.TimeoutExpired):  # one that waits in the kernel goes when that lets it
            asked.wait(_GRACE)
        asked.stdout.close()
        asked.stderr.close()
        return Kvm(False, f"{device} opens, but no guest runs there")
    if asked.returncode == 0:
        return Kvm(True)
    why = said.decode("utf-8", "replace").strip()[:200] or "a guest does not do there what it should"
    return Kvm(False, f"{device}: {why}")


def _now(device: Path) -> list[object]:
    """What an answer holds for: this boot, this user, and the device as it is."""
    status = device.stat()
    return [_BOOT.read_text().strip(), os.geteuid(), status.st_rdev, status.st_uid, status.st_gid, status.st_mode]


def _recall(file: Path, now: list[object]) -> Kvm | None:
    try:
        known = json.loads(file.read_bytes()[:4096])
        return Kvm(bool(known["works"]), str(known["why"])) if known["of"] == now else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, now: list[object], answer: Kvm) -> None:
    with suppress(OSError):  # a state that can't be written costs two seconds each time
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_text(json.dumps({"of": now, **answer._asdict()}))
        fresh.replace(file)
