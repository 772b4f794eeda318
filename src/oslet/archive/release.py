"""A suite's signed list of indexes: signature, age, name and digests, checked before anything in it is used."""

from __future__ import annotations

import calendar
import re
from typing import NamedTuple

from oslet.errors import IntegrityError
from oslet.formats.deb822 import paragraph

MAX_RELEASE = 8 << 20
MAX_INDEX = 1 << 30
"""Bytes of the largest index that is read, packed or plain."""
FUTURE = 86400.0
"""Seconds that an archive's clock may be ahead of ours."""
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_DATE = re.compile(r"\w{3}, +(\d{1,2}) (\w{3}) (\d{4}) (\d{1,2}):(\d\d):(\d\d) (?:UTC|GMT|\+0000|Z)")


class Listed(NamedTuple):
    """One file that a Release lists: its size in bytes and its sha256."""

    size: int
    sha256: str


class Release(NamedTuple):
    """What a signed Release says. Times are POSIX seconds; ``valid_until`` is 0 when it sets none."""

    suite: str
    codename: str
    date: float
    valid_until: float
    by_hash: bool
    architectures: frozenset[str]
    all_apart: bool
    """Packages for any architecture are in an index of their own (``binary-all``)."""
    files: dict[str, Listed]


def signed_text(data: bytes, keyring: bytes, *, where: str) -> str:
    """The text of an InRelease that one of the keyring's certificates signed: nothing outside the signature.

    Raises IntegrityError when there is no good signature.
    """
    from pysequoia import Cert, verify

    if len(data) > MAX_RELEASE:
        raise IntegrityError(f"an InRelease of {len(data)} bytes", where=where)
    if not data.lstrip().startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise IntegrityError(
            "the suite's InRelease is not signed", where=where, hint="use a mirror that serves the archive as it is"
        )
    try:
        certs = Cert.split_bytes(keyring)
    except Exception as error:  # pysequoia raises bare Exceptions
        raise IntegrityError(f"the keyring can't be read: {error}", where="source.keyring") from None
    try:
        result = verify(data, store=lambda ids: certs)
        text = bytes(result.bytes or b"").decode()
    except Exception as error:
        said = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise IntegrityError(
            f"the suite's InRelease has no good signature: {said}",
            where=where,
            hint="it was altered or cut short on its way, or its key isn't in the keyring (source.keyring)",
        ) from None
    return text


def read_release(text: str, *, where: str) -> Release:
    """What a Release's text says; IntegrityError when it lacks what is needed."""
    fields = paragraph(text, where=where)
    files: dict[str, Listed] = {}
    for line in fields.get("sha256", "").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not re.fullmatch("[0-9a-f]{64}", words[0]) or not words[1].isdecimal():
            raise IntegrityError(f"{line[:80]!r} is no line of a digest list", where=where)
        files[words[2]] = Listed(int(words[1][:15]), words[0])
    if not files:
        raise IntegrityError("the Release lists no sha256", where=where, hint="use a suite of Debian 8 or newer")
    architectures = frozenset(fields.get("architectures", "").split())
    return Release(
        suite=fields.get("suite", ""),
        codename=fields.get("codename", ""),
        date=_seconds(fields.get("date", ""), where),
        valid_until=_seconds(fields["valid-until"], where) if "valid-until" in fields else 0.0,
        by_hash=fields.get("acquire-by-hash", "no").lower() == "yes",
        architectures=architectures,
        all_apart="all" in architectures
        and "Packages" not in fields.get("no-support-for-architecture-all", "").split(),
        files=files,
    )


def _seconds(text: str, where: str) -> float:
    match = _DATE.fullmatch(text.strip())
    if match is None or match[2] not in MONTHS:
        raise IntegrityError(f"{text[:40]!r} is no date of a Release", where=where)
    day, month, year, hour, minute, second = match.groups()
    parts = (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
    return float(calendar.timegm(parts))


def written(seconds: float) -> str:
    """A time as people write it, in UTC."""
    import time

    return time.strftime("%-d %B %Y %H:%M UTC", time.gmtime(seconds))


def check_release(release: Release, suite: str, arch: str, now: float, newest: float, *, where: str) -> None:
    """Raises IntegrityError unless this is ``suite``, of use for ``arch``, in date at ``now``, and not older than
    ``newest``, the newest date seen of it."""
    if suite not in (release.suite, release.codename):
        raise IntegrityError(
            f"this is {release.codename or release.suite!r}, not {suite!r}", where=where, hint="check suite and mirror"
        )
    if release.date > now + FUTURE:
        raise IntegrityError(
            f"the suite is from the future: {written(release.date)}", where=where, hint="set this machine's clock"
        )
    check_age(release.valid_until, now, where=where)
    if release.date < newest:
        raise IntegrityError(
            f"the mirror serves {suite} of {written(release.date)}, older than seen before ({written(newest)})",
            where=where,
            hint="an old index can hide security updates: use a mirror that is up to date",
        )
    if release.architectures and arch not in release.architectures:
        known = ", ".join(sorted(release.architectures - {"all"}))
        raise IntegrityError(f"{suite} has nothing for {arch}; it has {known}", where=where)


def check_age(valid_until: float, now: float, *, where: str) -> None:
    """Raises IntegrityError when what was signed is past its date."""
    if valid_until and now > valid_until:
        raise IntegrityError(
            f"the suite's index expired on {written(valid_until)}",
            where=where,
            hint="its mirror is no longer kept up to date, or this machine's clock is wrong: use another mirror",
        )


def indexes(release: Release, component: str, arch: str, *, where: str) -> list[tuple[str, Listed, Listed | None]]:
    """The Packages files to read for a component: (path, as packed, as plain if listed), the smallest packing known.

    A component without packages for ``arch`` gives none; one that isn't in the Release is an IntegrityError.
    """
    found = []
    for folder in [f"binary-{arch}", "binary-all"] if release.all_apart else [f"binary-{arch}"]:
        plain = f"{component}/{folder}/Packages"
        packed = next((plain + end for end in (".xz", ".gz", "") if plain + end in release.files), None)
        if packed is None:
            if folder == "binary-all":
                continue
            raise IntegrityError(
                f"there is no component {component!r} for {arch}", where=where, hint="check source.components"
            )
        found.append((packed, release.files[packed], release.files.get(plain)))
    return found
