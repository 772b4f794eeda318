"""Makers of real packages for tests: small, deterministic, accepted by the field's own tools."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import IO, Any, Literal, NamedTuple, TypeAlias, cast

from oslet.formats.tar import Member, Writer

Compression: TypeAlias = Literal["xz", "zst", "gz", "bz2", ""]


class Made(NamedTuple):
    """A file or folder of a made package with its own facts; ``link`` makes it a symbolic link, ``hard`` a hard one."""

    data: bytes | str = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    kind: Literal["file", "dir"] = "file"
    link: str = ""
    hard: str = ""


def make_deb(
    name: str = "hello",
    version: str = "1.0",
    *,
    arch: str = "amd64",
    files: Mapping[str, bytes | str | Made] | None = None,
    control: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    compression: Compression = "xz",
) -> bytes:
    """A Debian package (deb(5)) as bytes; equal arguments give equal bytes.

    ``files`` map absolute paths to content: text, bytes or ``Made``; parents are made. A path under a ``bin`` folder is
    executable unless ``Made`` says otherwise. ``control`` adds fields (``Depends``, ``Provides``, …); ``scripts`` are
    control members beside it (``postinst``, ``triggers``, ``conffiles``, …).
    """
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": arch,
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": f"{name}, made for a test",
        **(control or {}),
    }
    text = "".join(f"{key}: {value}\n" for key, value in fields.items())
    members = {"/control": Made(text)}
    for key, script in (scripts or {}).items():
        executable = key in ("preinst", "postinst", "prerm", "postrm", "config")
        members[f"/{key}"] = Made(script, 0o755 if executable else 0o644)
    data = {
        path: content if isinstance(content, Made) else _plain(path, content) for path, content in (files or {}).items()
    }
    suffix = f".{compression}" if compression else ""
    return make_ar(
        {
            "debian-binary": b"2.0\n",
            f"control.tar{suffix}": _compress(make_tar(members), compression),
            f"data.tar{suffix}": _compress(make_tar(data), compression),
        }
    )


def make_tar(files: Mapping[str, Made]) -> bytes:
    """A tar of ``files`` by absolute path, with their parents, in path order (hard links last)."""
    whole = {"/": Made(kind="dir", mode=0o755)}
    for path, made in files.items():
        parent = path.rpartition("/")[0]
        while parent:
            whole.setdefault(parent, Made(kind="dir", mode=0o755))
            parent = parent.rpartition("/")[0]
        whole[path] = made
    out = io.BytesIO()
    writer = Writer(cast(IO[bytes], out))
    for path in sorted(whole, key=lambda path: (bool(whole[path].hard), path)):
        made = whole[path]
        data = made.data.encode() if isinstance(made.data, str) else made.data
        if made.link:
            writer.add(Member(path, "link", 0o777, made.uid, made.gid, 0, made.link))
        elif made.hard:
            writer.add(Member(path, "hardlink", made.mode, made.uid, made.gid, 0, made.hard))
        elif made.kind == "dir":
            writer.add(Member(path, "dir", made.mode, made.uid, made.gid))
        else:
            writer.add(Member(path, "file", made.mode, made.uid, made.gid, len(data)), (data,))
    writer.close()
    return out.getvalue()


def make_ar(parts: Mapping[str, bytes]) -> bytes:
    """An ar archive (ar(5), as deb(5) uses it)."""
    out = [b"!<arch>\n"]
    for name, data in parts.items():
        out.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
        out.append(data + b"\n" * (len(data) % 2))
    return b"".join(out)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(path: str, content: bytes | str) -> Made:
    folder = path.rpartition("/")[0]
    return Made(content, 0o755 if folder.endswith("bin") else 0o644)


def _compress(data: bytes, compression: Compression) -> bytes:
    if compression == "xz":
        import lzma

        return lzma.compress(data)
    if compression == "gz":
        import gzip

        return gzip.compress(data, mtime=0)
    if compression == "bz2":
        import bz2

        return bz2.compress(data)
    return zstd_compress(data) if compression == "zst" else data


def zstd_compress(data: bytes) -> bytes:
    return cast(bytes, _zstd().compress(data))


def _zstd() -> Any:
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
