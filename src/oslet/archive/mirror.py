"""Which mirror and which keyring: the declaration's, the environment's, or what this machine's apt uses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from oslet.archive.transport import local_path
from oslet.errors import DeclarationError, OsletError
from oslet.formats.deb822 import paragraphs
from oslet.model.source import Debian

SUITES = frozenset(
    (
        *("oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental", "sid"),
        *("bullseye", "bookworm", "trixie", "forky", "duke"),
    )
)
KEYRINGS = ("usr/share/keyrings/debian-archive-keyring.gpg", "usr/share/keyrings/debian-archive-keyring.pgp")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")


class AptEntry(NamedTuple):
    """One place that apt reads (sources.list(5)): a URI with its suites."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


class Mirror(NamedTuple):
    """The main archive's URL or folder, without a slash at its end, and what apt itself says of other archives."""

    url: str
    entries: tuple[AptEntry, ...] = ()

    def archive(self, name: str) -> str:
        """The archive ``name`` beside this one: ``M-NAME``, or ``M/NAME`` inside a folder that ``vendor`` wrote."""
        if not name:
            return self.url
        if is_folder(self.url):
            inside = local_path(self.url) / name
            return str(inside) if inside.is_dir() else f"{self.url}-{name}"
        for entry in self.entries:
            if any(suite.endswith(f"-{name}") for suite in entry.suites):
                return entry.uri
        return f"{self.url}-{name}"


def is_folder(url: str) -> bool:
    return urlsplit(url).scheme in ("", "file")


def mirror(source: Debian, *, root: Path = Path("/")) -> Mirror:
    """``source.mirror``, else ``OSLET_MIRROR``, else apt's under ``root``; DeclarationError when there is none."""
    if chosen := source.mirror or os.environ.get("OSLET_MIRROR", ""):
        return Mirror(chosen.rstrip("/"))
    entries = tuple(apt_entries(root))
    named = SUITES | {source.suite, _codename(root)}
    fit = [e for e in entries if named & set(e.suites) and (not e.components or "main" in e.components)]
    if fit:
        best = min(fit, key=lambda e: "archive-keyring" not in e.signed_by)  # others publish suites by that name too
        return Mirror(best.uri, entries)
    raise DeclarationError(
        "no Debian mirror is known: this machine's apt has none",
        where="source.mirror",
        hint='set mirror = "URL or folder" under [source], or the environment variable OSLET_MIRROR',
    )


def apt_entries(root: Path = Path("/")) -> Iterator[AptEntry]:
    """What this machine's apt reads, in apt's order; sources that can't be read as such are passed over."""
    apt = root / "etc/apt"
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources"):
            continue
        try:
            text = path.read_text(errors="replace")
            yield from _deb822(text) if path.suffix == ".sources" else _lines(text)
        except (OSError, OsletError):
            continue


def _lines(text: str) -> Iterator[AptEntry]:
    for line in text.splitlines():
        if match := _ONE_LINE.fullmatch(line.strip().partition("#")[0].strip()):
            options = dict(o.partition("=")[::2] for o in (match["options"] or "").split())
            for uri in _uris(match["uri"]):
                signed = options.get("signed-by", "")
                yield AptEntry(uri, (match["suite"],), tuple(match["components"].split()), signed)


def _deb822(text: str) -> Iterator[AptEntry]:
    for fields in paragraphs(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        signed = fields.get("signed-by", "")
        for written in fields.get("uris", "").split():
            for uri in _uris(written):
                suites, components = fields.get("suites", ""), fields.get("components", "")
                yield AptEntry(uri, tuple(suites.split()), tuple(components.split()), signed)


def _uris(uri: str) -> Iterator[str]:
    """The URI as one that can be read; of a mirror list in a file (apt-transport-mirror(1)), its lines."""
    if uri.startswith(("http://", "https://", "file:")):
        yield uri.rstrip("/")
    elif uri.startswith("mirror+file:"):
        try:
            for line in Path(uri.removeprefix("mirror+file:")).read_text().splitlines():
                if words := line.split("#")[0].split():
                    yield from _uris(words[0])
        except OSError:
            return


def _codename(root: Path) -> str:
    try:
        found = re.search(r"^VERSION_CODENAME=\"?([\w.-]+)", (root / "etc/os-release").read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def keyring(source: Debian, found: Mirror, *, root: Path = Path("/")) -> bytes:
    """The certificates that may sign the source's indexes, as bytes; DeclarationError when there are none.

    ``source.keyring``, else the machine's Debian keyring and what apt says signs this mirror, else what apt trusts.
    """
    if source.keyring:
        try:
            return Path(source.keyring).expanduser().read_bytes()
        except OSError as error:
            raise DeclarationError(
                f"the keyring can't be read: {error.strerror}", where=f"source.keyring: {source.keyring}"
            ) from None
    paths = [root / name for name in KEYRINGS]
    paths += [Path(e.signed_by) for e in found.entries if e.uri == found.url and e.signed_by.startswith("/")]
    data = b"".join(_binary(path) for path in dict.fromkeys(paths) if path.is_file())
    trusted = root / "etc/apt/trusted.gpg.d"
    data = data or b"".join(_binary(p) for p in sorted(trusted.glob("*")) if p.suffix in (".gpg", ".asc"))
    if data:
        return data
    raise DeclarationError(
        "this machine has no Debian keyring to check signatures with",
        where="source.keyring",
        hint="install the package debian-archive-keyring, or set keyring = FILE under [source]",
    )


def _binary(path: Path) -> bytes:
    """A keyring's certificates, freed of ASCII armour so that files can be put one after another."""
    data = path.read_bytes()
    if data[:1] != b"-":
        return data
    from pysequoia import Cert

    return b"".join(bytes(cert) for cert in Cert.split_bytes(data))
