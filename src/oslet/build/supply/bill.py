"""Image × Lock × Tree × what the packages say → Bill: what an image is made of, before any format of telling it."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from oslet.build.scripts.reading import control_fields
from oslet.build.supply.licences import MAX_TEXT, Licence, of_copyright, of_metadata
from oslet.build.supply.status import MAX_FIELD, summary
from oslet.codec import canonical
from oslet.errors import IntegrityError
from oslet.model.image import Image
from oslet.model.lock import Arch, Lock, Package, Wheel
from oslet.model.tree import Contents, Entry, Tree, follow
from oslet.store import Store

EPOCH = "1970-01-01T00:00:00Z"
"""When a document says it was made, unless SOURCE_DATE_EPOCH says otherwise: equal images give equal documents."""


class Told(Struct, frozen=True):
    """What a package says of itself. ``source`` is the source package of a Debian one; ``files`` counts what it
    brings, folders aside, and ``size`` its bytes."""

    licence: Licence = Licence()
    supplier: str = ""
    homepage: str = ""
    summary: str = ""
    source: str = ""
    source_version: str = ""
    files: int = 0
    size: int = 0


class Component(Struct, frozen=True):
    """One locked package of an image: who it is, what it says of itself, and which of its files the image keeps.

    ``key`` is ``deb:NAME`` or ``wheel:NAME``, ``by`` the key of the component that needs it, empty when the declaration
    names it. ``kept`` are regular files and links; ``dropped`` counts those that were left out.
    """

    key: str
    kind: Literal["deb", "wheel"]
    name: str
    version: str
    purl: str
    file: str
    sha256: str
    by: str
    request: str
    told: Told
    kept: tuple[Entry, ...]
    dropped: int
    dropped_size: int

    @property
    def kept_size(self) -> int:
        return sum(e.size for e in self.kept)

    @property
    def whole(self) -> bool:
        """Whether the image holds every file of it as the package brought it."""
        return len(self.kept) == self.told.files and not self.dropped

    @property
    def extent(self) -> str:
        """How much of it the image holds, in one sentence."""
        total = max(self.told.files, len(self.kept) + self.dropped)
        if self.whole:
            return f"whole: all {total} files, {self.kept_size} bytes"
        left = f"{self.dropped} left out ({self.dropped_size} bytes)"
        return f"partial: {len(self.kept)} of {total} files, {self.kept_size} bytes; {left}"


class Bill(Struct, frozen=True):
    """What an image is made of. ``own`` are the files that no package brought as they are: the declaration's and what
    the build made. ``maker`` is oslet's version."""

    name: str
    digest: str
    arch: Arch
    components: tuple[Component, ...]
    own: tuple[Entry, ...]
    maker: str
    created: str = EPOCH


def bill(
    image: Image,
    digest: str,
    lock: Lock,
    tree: Tree,
    told: Mapping[str, Told],
    distribution: tuple[str, str],
    *,
    maker: str,
    created: str = EPOCH,
) -> Bill:
    """The bill of an image. ``told`` is by origin; ``distribution`` the image's ID and VERSION_ID (os-release(5))."""
    kept: dict[str, list[Entry]] = defaultdict(list)
    dropped: dict[str, list[int]] = defaultdict(list)
    for entry in tree.entries:
        if entry.kind != "dir":
            kept[entry.origin].append(entry)
    for entry in tree.dropped:
        if entry.kind != "dir":
            dropped[entry.origin].append(entry.size)
    components = []
    for item in lock.items:
        kind: Literal["deb", "wheel"] = "deb" if isinstance(item, Package) else "wheel"
        origin = item.name if kind == "deb" else f"wheel:{item.name}"
        own = told.get(origin, Told())
        component = Component(
            key=f"{kind}:{item.name}",
            kind=kind,
            name=item.name,
            version=item.version,
            purl=purl(item, own, distribution),
            file=item.path.rpartition("/")[2] if isinstance(item, Package) else item.file,
            sha256=item.sha256,
            by=item.by if not item.by or item.by.startswith("wheel:") else f"{kind}:{item.by}",
            request=item.request,
            told=own,
            kept=tuple(kept.pop(origin, ())),
            dropped=len(dropped[origin]),
            dropped_size=sum(dropped[origin]),
        )
        components.append(component)
    rest = tuple(sorted((e for entries in kept.values() for e in entries), key=lambda e: e.path))
    return Bill(image.name, digest, image.arch, tuple(components), rest, maker, created)


def purl(item: Package | Wheel, told: Told, distribution: tuple[str, str]) -> str:
    """The package's URL (https://github.com/package-url/purl-spec), with the distribution and the source package as
    scanners look for them."""
    version = _quoted(item.version)
    if isinstance(item, Wheel):
        return f"pkg:pypi/{_quoted(item.name)}@{version}"
    vendor, release = distribution
    qualifiers = {"arch": item.arch, "distro": f"{vendor}-{release}" if release else vendor}
    if told.source and (told.source, told.source_version) != (item.name, item.version):
        same = told.source_version == item.version
        qualifiers["upstream"] = told.source if same else f"{told.source}@{told.source_version}"
    written = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()))
    return f"pkg:deb/{_quoted(vendor)}/{_quoted(item.name)}@{version}?{written}"


def _quoted(text: str) -> str:
    return quote(text, safe=":~._-")


def document_id(document: object) -> str:
    """A URN for a document, from all that it says: equal documents have equal ones."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, canonical(document).decode())}"


# What packages say


def distribution(tree: Tree, store: Store) -> tuple[str, str]:
    """ID and VERSION_ID of the image's os-release, for package URLs; Debian without a version where there is none."""
    found = next((e for e in tree.entries if e.path == "/usr/lib/os-release" and e.kind == "file"), None)
    text = store.read(found.digest, 1 << 16).decode("utf-8", "replace") if found else ""
    facts = dict(re.findall(r'^(ID|VERSION_ID)="?([a-z0-9._-]+)"?$', text, re.MULTILINE))
    return facts.get("ID", "debian"), facts.get("VERSION_ID", "")


def told(contents: Sequence[Contents], store: Store) -> dict[str, Told]:
    """What every package says of itself, by origin; licence texts are read from the packages, not from the image."""
    docs = {e.path: e for c in contents for e in c.entries if e.path.startswith("/usr/share/doc/")}
    return {c.origin: _wheel(c, store) if c.origin.startswith("wheel:") else _deb(c, docs, store) for c in contents}


def _deb(contents: Contents, docs: Mapping[str, Entry], store: Store) -> Told:
    fields = control_fields(contents.control.get("control", ""))
    source, _, version = fields.get("Source", contents.origin).partition(" ")
    try:
        copyright_file = docs.get(follow(f"/usr/share/doc/{contents.origin}/copyright", docs.get)[0])
    except ValueError:  # links in circles
        copyright_file = None
    text = _text(copyright_file, store).decode("utf-8", "replace")
    return Told(
        of_copyright(text),
        fields.get("Maintainer", "")[:MAX_FIELD],
        fields.get("Homepage", "")[:MAX_FIELD],
        summary(contents),
        source,
        version.strip("() ") or fields.get("Version", ""),
        *_extent(contents),
    )


def _wheel(contents: Contents, store: Store) -> Told:
    from packaging.metadata import parse_email

    metadata = _text(next(_in_dist_info(contents, r"METADATA"), None), store)
    texts = [_text(e, store).decode("utf-8", "replace") for e in _in_dist_info(contents, r"(licenses/.+|LICEN[CS]E.*)")]
    raw, _ = parse_email(metadata)
    urls = {label.lower(): url for label, url in raw.get("project_urls", {}).items()}
    return Told(
        of_metadata(metadata, texts, contents.origin.removeprefix("wheel:")),
        (raw.get("author_email") or raw.get("author") or raw.get("maintainer_email", ""))[:MAX_FIELD],
        (raw.get("home_page") or urls.get("homepage") or urls.get("source", ""))[:MAX_FIELD],
        raw.get("summary", "")[:MAX_FIELD],
        "",
        "",
        *_extent(contents),
    )


def _in_dist_info(contents: Contents, name: str) -> Iterator[Entry]:
    pattern = re.compile(rf"/.+/[^/]+\.dist-info/{name}")
    return (e for e in contents.entries if e.kind == "file" and pattern.fullmatch(e.path))


def _extent(contents: Contents) -> tuple[int, int]:
    return sum(e.kind != "dir" for e in contents.entries), sum(e.size for e in contents.entries)


def _text(entry: Entry | None, store: Store) -> bytes:
    """A text of a package; empty when it is missing or longer than any such text."""
    if entry is None or entry.kind != "file" or entry.size > MAX_TEXT:
        return b""
    try:
        return store.read(entry.digest, MAX_TEXT)
    except IntegrityError:
        return b""
