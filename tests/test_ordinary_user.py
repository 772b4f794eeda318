"""What must also work for an ordinary user, run as one: by root, who makes a user for each of these and removes it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT
from .escape.probes import static

pytestmark = [pytest.mark.slow, pytest.mark.network]

GUEST = "tests/machine/test_microvm.py::test_in_the_foreground_it_is_the_application[uml]"
SUBJECTS = (
    "tests/run",
    "tests/native",
    "tests/examples",
    "tests/cli",
    "tests/escape",
    "tests/testing",
    "tests/catalog/test_postgres.py",
    GUEST,
)
"""A folder at a time, whose tests share a home: getting an OCI runtime takes longer than most of them.
Only GUEST is given kernels: the other tests of guests skip."""
KERNELS = Path(os.environ.get("OSLET_DEV") or ROOT / ".dev") / "kernels"
NOT_COPIED = shutil.ignore_patterns(".git", ".dev", ".venv", ".*_cache", ".hypothesis", "*.lock", "*.pyc.*")
"""Byte code is copied (but what is just being written), lest each `oslet` compile what it loads."""
PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "OSLET_MIRROR")


def edit_users(*command: str) -> None:
    """useradd and userdel take turns by a lock file, and refuse rather than wait."""
    for _ in range(50):
        done = subprocess.run(command, capture_output=True, text=True)
        if "lock" not in done.stderr:
            break
        time.sleep(0.2)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def of_user(uid: int) -> list[int]:
    """The living processes whose user is ``uid``; one that ended is its parent's to take note of, here init's."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue  # ended meanwhile
    return found


@pytest.fixture
def user() -> Iterator[tuple[str, int, Path]]:
    """A new ordinary user: name, uid, and a short-named folder of theirs (sockets live in it)."""
    name = f"oslet-{secrets.token_hex(4)}"
    room = Path(tempfile.mkdtemp(prefix="ou", dir="/tmp"))
    room.chmod(0o755)
    edit_users("useradd", "--create-home", "--home-dir", str(room / "home"), "--shell", "/bin/sh", name)
    uid = (room / "home").stat().st_uid
    try:
        yield name, uid, room
    finally:
        left = of_user(uid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        edit_users("userdel", "--force", name)
        shutil.rmtree(room)
        assert not left, f"{len(left)} processes of the user outlived the tests"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make users; you are an ordinary one already")
@pytest.mark.skipif(shutil.which("useradd") is None, reason="no useradd here")
@pytest.mark.parametrize("subject", SUBJECTS)
def test_as_ordinary_user(subject: str, user: tuple[str, int, Path]) -> None:
    name, uid, room = user
    checkout = room / "checkout"
    if subject == "tests/escape":  # to the user, the compiler would be new, and make a C library first
        for source in (ROOT / subject).glob("*.c"):
            static(source)
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    own = {"HOME": room / "home", "TMPDIR": room / "tmp", "XDG_RUNTIME_DIR": room / "run"}
    own["TMPDIR"].mkdir()
    if subject == GUEST and KERNELS.is_dir():
        own["OSLET_DEV"] = room / "dev"
        shutil.copytree(KERNELS, own["OSLET_DEV"] / "kernels", symlinks=True)
    own["XDG_RUNTIME_DIR"].mkdir(mode=0o700)
    for path in (room, *room.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
    environment = {n: v for n, v in os.environ.items() if n in PASSED_ON or n.startswith("UV_")}
    environment |= {n: str(v) for n, v in own.items()}
    environment |= {"USER": name, "PYTHONPATH": str(checkout / "src")}
    environment.pop("UV_CACHE_DIR", None)
    enter = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        str(ROOT / "tests" / "ordinary.py"),
        name,
    ]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not bookworm", subject]
    done = subprocess.run(
        [*enter, sys.prefix, sys.base_prefix, "--", *pytest_],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    print(done.stdout)
    assert done.returncode in (0, 5), f"as an ordinary user:\n{done.stdout[-20_000:]}"
