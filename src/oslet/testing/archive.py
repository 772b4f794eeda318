"""``FakeArchive``: a small Debian archive in a folder, signed with a key of its own, as a mirror serves one."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from oslet.model.source import Debian
from oslet.testing.makers import Made, make_deb

WEEK = 7 * 86400.0


class FakeArchive:
    """A folder mirror with signed suites of packages that are made as they are declared.

    ``add`` makes a package and puts it into a suite; ``release`` writes that suite's indexes and signs them;
    ``source`` is what a declaration would say. ``folder`` is the main archive, ``archive("security")`` the one beside.
    """

    def __init__(self, root: Path, *, arch: str = "amd64", now: float | None = None) -> None:
        from pysequoia import Tsk

        self.now = time.time() if now is None else now
        self.folder = root / "debian"
        self.arch = arch
        self.keyring = root / "keyring.gpg"
        self._key = Tsk.generate("FakeArchive <archive@example.invalid>")
        self._stanzas: dict[tuple[str, str], list[str]] = {}
        root.mkdir(parents=True, exist_ok=True)
        self.keyring.write_bytes(bytes(self._key.extract_certificate()))

    def archive(self, name: str = "") -> Path:
        return self.folder.with_name(f"{self.folder.name}-{name}") if name else self.folder

    def source(self, suite: str = "trixie", pockets: Sequence[str] = (), *, mirror: str = "") -> Debian:
        return Debian(suite, tuple(pockets), ("main",), mirror or str(self.folder), str(self.keyring))

    def add(
        self,
        name: str,
        version: str = "1.0",
        *,
        suite: str = "trixie",
        archive: str = "",
        files: Mapping[str, bytes | str | Made] | None = None,
        scripts: Mapping[str, str] | None = None,
        **fields: str,
    ) -> Path:
        """Make a package and offer it in ``suite``; keywords are control fields (``depends="b | c"``)."""
        control = {key.replace("_", "-").title(): value for key, value in fields.items()}
        arch = control.pop("Architecture", "all")
        data = make_deb(name, version, arch=arch, files=files, control=control, scripts=scripts)
        path = self.archive(archive) / f"pool/main/{name[0]}/{name}/{name}_{version.replace(':', '%3a')}_{arch}.deb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        lines = {
            "Package": name,
            "Version": version,
            "Architecture": arch,
            **control,
            "Filename": path.relative_to(self.archive(archive)).as_posix(),
            "Size": str(len(data)),
            "SHA256": hashlib.sha256(data).hexdigest(),
        }
        self._stanzas.setdefault((archive, suite), []).append("".join(f"{k}: {v}\n" for k, v in lines.items()))
        return path

    def release(
        self,
        suite: str = "trixie",
        *,
        archive: str = "",
        date: float | None = None,
        valid: float = WEEK,
        signed: bool = True,
        by_hash: bool = True,
        packing: str = "xz",
        fields: Mapping[str, str] | None = None,
    ) -> Path:
        """Write and sign a suite's indexes; its InRelease.

        ``date`` (POSIX seconds) is a minute before the archive's ``now`` when not given; ``valid`` is in seconds from
        it, 0 for no end. ``packing`` is ``xz``, ``gz`` or empty.
        """
        date = self.now - 60 if date is None else date
        top = self.archive(archive) / "dists" / suite
        folder = top / f"main/binary-{self.arch}"
        folder.mkdir(parents=True, exist_ok=True)
        plain = "\n".join(self._stanzas.get((archive, suite), [])).encode()
        packed = _packed(plain, packing)
        name = f"Packages.{packing}" if packing else "Packages"
        (folder / name).write_bytes(packed)
        if by_hash:
            (folder / "by-hash/SHA256").mkdir(parents=True, exist_ok=True)
            (folder / "by-hash/SHA256" / hashlib.sha256(packed).hexdigest()).write_bytes(packed)
        listed = {name: packed, "Packages": plain}
        head = {
            "Origin": "Fake",
            "Suite": suite,
            "Codename": suite,
            "Date": _date(date),
            **({"Valid-Until": _date(date + valid)} if valid else {}),
            "Acquire-By-Hash": "yes" if by_hash else "no",
            "Architectures": self.arch,
            "Components": "main",
            **(fields or {}),
        }
        text = "".join(f"{k}: {v}\n" for k, v in head.items()) + "SHA256:\n"
        text += "".join(
            f" {hashlib.sha256(d).hexdigest()} {len(d):8} main/binary-{self.arch}/{n}\n" for n, d in listed.items()
        )
        path = top / "InRelease"
        path.write_bytes(self.sign(text) if signed else text.encode())
        return path

    def sign(self, text: str) -> bytes:
        """The text, clear-signed by this archive's key."""
        from pysequoia import SignatureMode, sign

        return bytes(sign(self._key.signer(), text.encode(), mode=SignatureMode.CLEAR))

    @contextmanager
    def served(self) -> Iterator[Served]:
        """The archives over HTTP on loopback."""
        server = Served(self.folder.parent)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Served(ThreadingHTTPServer):
    """The HTTP server of a FakeArchive. ``requests`` are the paths that were asked for, in order."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(root)))

    @property
    def url(self) -> str:
        """The main archive's URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/debian"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Served

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        super().do_GET()

    def log_message(self, *args: Any) -> None:
        """Says nothing: tests look at ``requests``."""


def _packed(plain: bytes, packing: str) -> bytes:
    if packing == "xz":
        return lzma.compress(plain)
    return gzip.compress(plain, mtime=0) if packing == "gz" else plain


def _date(seconds: float) -> str:
    from email.utils import formatdate

    return formatdate(seconds, usegmt=True).replace("GMT", "UTC")
