"""Seeding: arguments from what a cloud gives a machine, and arguments as what a machine is started with.

A guest has no Python and binds nothing: a host binds, and the guest gets a boot record (docs/guest.md). A host that
runs oslet takes the params themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from oslet.codec.cloud import Given, Meta, cloud_config, meta_data, user_data
from oslet.errors import DeclarationError, IntegrityError
from oslet.formats import boot as records
from oslet.formats import cpio, iso9660
from oslet.model.boot import Boot, GuestFile, Identity
from oslet.model.instance import Arguments, Secret

if TYPE_CHECKING:
    from oslet.model.image import Image

Form: TypeAlias = Literal["cmdline", "initramfs", "fw-cfg", "disk", "nocloud", "user-data", "cloud-config"]
FORMS: tuple[Form, ...] = ("cmdline", "initramfs", "fw-cfg", "disk", "nocloud", "user-data", "cloud-config")
LABEL = "cidata"
_MOST = 1 << 20
_SECTOR = 512
_USER, _META = ("user-data", "user_dat"), ("meta-data", "meta_dat")
"""The names of a NoCloud disk's files, and what ISO 9660 without extensions makes of them."""


class Cloud(NamedTuple):
    """What a cloud says: values for params, and what it calls the machine."""

    given: Given
    meta: Meta

    @property
    def name(self) -> str:
        """An instance's name: the first part of the host's, else the cloud's own; empty where neither would do."""
        for said in (self.meta.hostname.partition(".")[0], self.meta.instance):
            if (name := re.sub(r"[^A-Za-z0-9.-]+", "-", said).strip("-.")[:63]) and name:
                return name
        return ""


def cloud(user: Path | None, meta: Path | None) -> Cloud:
    """What is in a file of user-data, in a folder or ISO image with both, and in a file of meta-data. DeclarationError,
    located, for what can't be read."""
    pair = _pair(user) if user else {}
    if meta:
        pair["meta"] = (_bytes(meta), str(meta))
    return Cloud(
        user_data(*pair["user"]) if "user" in pair else Given({}, {}),
        meta_data(*pair["meta"]) if "meta" in pair else Meta(),
    )


def cloud_of(options: Mapping[str, list[str]]) -> Cloud | None:
    """What the options --user-data and --meta-data lead to; None where neither is there."""
    user, meta = (Path(options[name][-1]) if name in options else None for name in ("user-data", "meta-data"))
    return cloud(user, meta) if user or meta else None


def _pair(path: Path) -> dict[str, tuple[bytes, str]]:
    if path.is_dir():
        found = {"user": path / _USER[0], "meta": path / _META[0]}
        if not found["user"].exists():
            raise DeclarationError("no user-data in this folder", where=str(path))
        return {what: (_bytes(file), str(file)) for what, file in found.items() if file.exists()}
    data = _bytes(path, iso9660.MAX_IMAGE)
    if not iso9660.begins(data):
        return {"user": (data, str(path))}
    try:
        files = iso9660.read(data, where=str(path))
    except IntegrityError as error:
        raise DeclarationError(error.what, where=str(path)) from None
    named = {"user": _USER, "meta": _META}
    pair = {what: (files[name], f"{path}: {name}") for what, names in named.items() for name in names if name in files}
    if "user" not in pair:
        raise DeclarationError("no user-data in this image", where=str(path))
    return pair


def _bytes(path: Path, most: int = _MOST) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise DeclarationError(f"can't be read: {error.strerror}", where=str(path)) from None
    if len(data) > most:
        raise DeclarationError(f"larger than {most >> 20} MiB", where=str(path))
    return data


def seed(
    image: Image,
    arguments: Arguments,
    form: Form,
    *,
    hostname: str = "",
    command: tuple[str, ...] = (),
    env: Mapping[str, str] = {},
) -> bytes:
    """The arguments as what a machine is started with. DeclarationError for a secret on a kernel's command line."""
    if form == "cloud-config":
        plain = {n: v.reveal() if isinstance(v, Secret) else v for n, v in arguments.values.items()}
        return cloud_config(plain).encode()
    told = boot(image, arguments, hostname=hostname, command=command, env=env)
    if form == "cmdline":
        return f"oslet.boot={records.command_line(told)}\n".encode()
    record = records.encode(told)
    match form:
        case "initramfs":
            return _appended(record)
        case "fw-cfg":
            return record
        case "disk":
            return record + bytes(-len(record) % _SECTOR)
        case "user-data":
            return f"{records.text(record)}\n".encode()
        case "nocloud":
            name = hostname or image.name
            return iso9660.write({_USER[0]: f"{records.text(record)}\n".encode(), _META[0]: _meta(name, record)}, LABEL)


def _meta(name: str, record: bytes) -> bytes:
    """A machine is another one when what it is told is: cloud-init's rule for ``instance-id``."""
    from hashlib import sha256

    return f"instance-id: {name}-{sha256(record).hexdigest()[:12]}\nlocal-hostname: {name}\n".encode()


def boot(
    image: Image,
    arguments: Arguments,
    *,
    hostname: str = "",
    command: tuple[str, ...] = (),
    env: Mapping[str, str] = {},
) -> Boot:
    """What depends on the arguments: the command, the environment, and the files that only instances have. The rest is
    the sealed machine's own."""
    from oslet.bind import start_with
    from oslet.run.placing import rendered

    contract = start_with(image.start, arguments)
    nodes = rendered(image.rendered, image.params, arguments, image.uid, image.gid)
    names = [GuestFile("/etc/hostname", f"{hostname}\n".encode())] if hostname else []
    return Boot(
        argv=command or contract.command,
        env={**dict(contract.env), **env},
        workdir=contract.workdir,
        identity=Identity(hostname=hostname),
        files=(
            *names,
            *(
                GuestFile(
                    node.path,
                    node.data or b"",
                    node.mode,
                    node.uid,
                    node.gid,
                    secret=node.mode == _KEPT and bool(node.data),
                )
                for node in nodes
            ),
        ),
    )


_KEPT = 0o400
"""The mode of what holds a secret (``bind.mode_of``)."""


def _appended(record: bytes) -> bytes:
    """An archive that is appended to an initramfs, or given after it."""
    folders = (cpio.folder("/.oslet", 0o700), cpio.folder("/.oslet/boot.d", 0o700))
    return cpio.pack([*folders, cpio.file("/.oslet/boot.d/seed", record, 0o600)])
