"""What every test may use: the command line as a person types it, in a home of the test run's own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from .monitors import Monitors

ROOT = Path(__file__).parents[1]

hypothesis.settings.register_profile("house", deadline=None)  # tests never assert wall time
hypothesis.settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a minute or more comes first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/test_ordinary_user.py"))


class Oslet:
    """The command line of the checkout, with a store of its own."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.folder = folder
        self.started: list[str] = []
        self.environment = {
            **os.environ,
            "OSLET_HOME": str(home),
            "PYTHONUNBUFFERED": "1",
            "OSLET_DEBUG": "1",
            "PYTHONFAULTHANDLER": "1",
        }

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``oslet WORDS`` in the test's folder; fails the test unless it exits with ``code``."""
        done = subprocess.run(
            (sys.executable, "-m", "oslet", *words),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, f"oslet {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").stdout)

    def start(self, target: Path | str, *words: str) -> str:
        """Start an instance in the background and wait until it is healthy; its name. Removed when the test ends."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        self.started.append(name)
        self("run", str(target), "-d", "--wait", "--name", name, *words)
        return name

    def example(self, name: str, suite: str = "trixie") -> Path:
        """A copy of an example in the test's folder, on the given suite; its declaration's path."""
        shutil.copytree(ROOT / "examples" / name, self.folder / name, ignore=shutil.ignore_patterns("*.lock"))
        declaration = self.folder / name / f"{name}.toml"
        if suite != "trixie":
            declaration.write_text(f"{declaration.read_text()}\n[source]\nsuite = {suite!r}\n")
        return declaration


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One store for the whole run: all workers share what was fetched, as a user's shells do. Its supervisor ends with
    the run; where workers share it, with the last of them."""
    base = tmp_path_factory.getbasetemp()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    shared = base.parent if worker else base
    yield shared / "home"
    from oslet.errors import RunError
    from oslet.run import end

    with suppress(RunError):
        end(shared / "home/instances", force=not worker)


@pytest.fixture(scope="session")
def runtime(home: Path) -> None:
    """The OCI runtime in the run's store, where the machine has none: a made archive couldn't bring it."""
    if shutil.which("crun") is None:
        from oslet.model.source import Debian
        from oslet.store import Store
        from oslet.workspace.tools import provision

        provision("crun", Store(home), lambda *_: None, Debian())


@pytest.fixture(scope="session")
def kernels(home: Path) -> None:
    """The kernels that ``./dev test`` made, in the run's store: class full, for microvm and uml. Checked anew."""
    from .kernels import adopt

    cache = Path(os.environ.get("OSLET_DEV") or ROOT / ".dev") / "kernels"
    if lacking := adopt(cache, home):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"no kernel for {lacking}: ./dev test makes it"
        )


@pytest.fixture(scope="session")
def monitors(home: Path, kernels: None, tmp_path_factory: pytest.TempPathFactory) -> Monitors:
    """QEMU and user-mode Linux, to start guests in without a sandbox."""
    from .monitors import monitors

    return monitors(home, tmp_path_factory.mktemp("monitors"))


@pytest.fixture
def oslet(home: Path, tmp_path: Path) -> Iterator[Oslet]:
    command = Oslet(home, tmp_path)
    yield command
    there = {instance["name"] for instance in command.json("ps", "--all")}
    for name in there.intersection(command.started):
        command("rm", "--force", name)


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static busybox: the machine's, or Debian's by apt."""
    from oslet.run.provision import has_interpreter

    for found in filter(None, (shutil.which("busybox"), "/usr/lib/initramfs-tools/bin/busybox")):
        if Path(found).exists() and not has_interpreter(Path(found)):
            return Path(found)
    folder = tmp_path_factory.mktemp("busybox")
    got = subprocess.run(["apt-get", "download", "busybox-static"], cwd=folder, capture_output=True, check=False)
    if got.returncode or not shutil.which("dpkg-deb"):
        pytest.skip("no static busybox here, and apt can't get one")
    subprocess.run(["dpkg-deb", "-x", next(folder.glob("*.deb")), folder], check=True)
    return next(p for p in (folder / "bin/busybox", folder / "usr/bin/busybox") if p.exists())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key, as PEM files."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"
