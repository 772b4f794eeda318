"""Sources: where files come from."""

from __future__ import annotations

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
