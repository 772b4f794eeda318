"""``make_wheel``: a wheel written in code, well-formed unless it is told otherwise."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from oslet.model.lock import Wheel

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def make_wheel(
    folder: Path,
    name: str = "app",
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    entry_points: str = "",
    requires: tuple[str, ...] = (),
    tag: str = "py3-none-any",
    executable: tuple[str, ...] = (),
    links: Mapping[str, str] | None = None,
    record: str | None = None,
    compress: bool = True,
) -> tuple[Wheel, Path]:
    """Write ``NAME-VERSION-TAG.whl`` with ``files`` into ``folder``; its line of a lock, and its path.

    RECORD is right unless ``record`` gives it; ``links`` are symbolic links, which no wheel may hold.
    """
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    metadata = METADATA.format(name=name, version=version) + "".join(f"Requires-Dist: {r}\n" for r in requires)
    members: dict[str, str | bytes] = {
        **(files or {f"{stem}/__init__.py": ""}),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: oslet\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if entry_points:
        members[f"{info}/entry_points.txt"] = entry_points
    rows = ""
    path = folder / f"{stem}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:

        def add(member: str, data: bytes, mode: int) -> None:
            entry = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = mode << 16
            entry.compress_type = archive.compression
            archive.writestr(entry, data)

        for member, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            add(member, data, stat.S_IFREG | (0o755 if member in executable else 0o644))
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            name_field = f'"{member}"' if "," in member else member
            rows += f"{name_field},sha256={digest},{len(data)}\n"
        for member, target in (links or {}).items():
            add(member, target.encode(), stat.S_IFLNK | 0o777)
        add(f"{info}/RECORD", (rows + f"{info}/RECORD,,\n" if record is None else record).encode(), 0o100644)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(name, version, path.name, path.stat().st_size, sha256, "", name), path
