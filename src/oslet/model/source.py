"""Sources: where files come from."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

DEFAULT_SUITE = "trixie"


class Debian(Struct, frozen=True, tag="debian", tag_field="type", forbid_unknown_fields=True):
    """A Debian or derivative suite with its pockets.

    ``pockets`` are read after ``suite`` itself; each is ``suffix`` or ``archive:suffix``, where the suite read is
    ``{suite}-{suffix}`` and ``archive`` is an archive beside the main one (``debian-security`` beside ``debian``,
    as Debian does it; empty for the same archive, as Ubuntu does it).
    ``mirror`` is the main archive's URL or folder; when empty, what the machine's apt uses or ``OSLET_MIRROR``.
    ``keyring`` is a file of OpenPGP certificates; when empty, the machine's Debian keyring.
    Neither takes part in an image's identity.
    """

    suite: str = DEFAULT_SUITE
    pockets: tuple[str, ...] = ("updates", "security:security")
    components: tuple[str, ...] = ("main",)
    mirror: str = ""
    keyring: str = ""

    @property
    def wanted(self) -> str:
        """What a lock's ``wants`` says of its source."""
        return self.suite


class Oci(Struct, frozen=True, tag="oci", tag_field="type", forbid_unknown_fields=True):
    """An image that another tool made: its files, packages and Python distributions are what there is to choose from.

    ``oci`` is a reference (``HOST/NAME:TAG`` or ``HOST/NAME@sha256:…``), or the path of an OCI layout (folder or tar)
    or of what ``docker save`` wrote, relative to the declaration; ``PATH#NAME`` is one of several images in it.
    """

    oci: str

    @property
    def wanted(self) -> str:
        """What a lock's ``wants`` says of its source."""
        return f"oci:{self.oci}"

    @property
    def path(self) -> tuple[str, str] | None:
        """Path and name in it of an image on disk; None of one in a registry."""
        path, _, name = self.oci.partition("#")
        host, slash, _ = path.partition("/")
        remote = "://" in path or (slash and host.strip(".") and (":" in host or "." in host or host == "localhost"))
        return None if remote else (path, name)


Source: TypeAlias = Debian | Oci
