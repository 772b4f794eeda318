"""Images to and from registries, by the OCI distribution specification 1.1.

Ours and small rather than PyPI's ``oras`` (0.2.43, Apache-2.0, kept up), which was tried against a real registry: it
accepted a blob that had been altered there, holds an uploaded blob in memory whole (335 MB for one of 300 MB), sets no
timeout, bounds no answer, and takes 0.4 s and ten packages to import.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from oslet.archive.authority import Authority
from oslet.archive.exchange import Answer, Body, Exchange, loopback
from oslet.errors import IntegrityError, NetworkError
from oslet.formats import oci
from oslet.store import Store

Progress = Callable[[str, int, int], None]

_WORKERS = 4
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Reference(NamedTuple):
    """A place in a registry: ``host[:port]``, repository, and a tag, or a digest that what is there must have."""

    scheme: str
    host: str
    repository: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


class Pulled(NamedTuple):
    """What was pulled, each byte verified: the manifest and its config read, its layers as blobs of the store."""

    digest: str
    manifest: oci.Manifest
    config: oci.Config
    layers: tuple[oci.Blob, ...]


def read_reference(text: str, *, insecure: bool = False) -> Reference:
    """``[http[s]://]HOST[:PORT]/NAME[:TAG][@sha256:…]``; NetworkError says which part isn't one.

    The host is always said: no registry is the default. This machine's is spoken to in plain HTTP.
    """
    scheme, _, rest = text.rpartition("://")
    rest, at, digest = rest.partition("@")
    host, slash, path = rest.partition("/")
    repository, colon, tag = path.partition(":")
    hint = "write it as HOST/NAME:TAG"
    if not slash or not (":" in host or "." in host or host == "localhost" or host.startswith("[")):
        raise NetworkError("it names no registry", where=text[:200], hint=hint)
    if not _HOST.fullmatch(host) or scheme not in ("", "http", "https"):
        raise NetworkError(f"{host[:80]!r} is no host of a registry", where=text[:200], hint=hint)
    if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
        raise NetworkError(f"{repository[:80]!r} is no name of a repository (lower case)", where=text[:200], hint=hint)
    if colon and not _TAG.fullmatch(tag):
        raise NetworkError(f"{tag[:80]!r} is no tag", where=text[:200], hint=hint)
    if at:
        oci.check_digest(digest, where=text[:200])
    plain = insecure or loopback(host if host.endswith("]") else host.partition(":")[0] or host)
    if host.startswith("["):
        plain = insecure or loopback(host.partition("]")[0].strip("["))
    return Reference(scheme or ("http" if plain else "https"), host, repository, tag or "latest", digest)


def push(
    reference: str,
    parcel: oci.Parcel,
    *,
    insecure: bool = False,
    mount_from: str = "",
    progress: Progress | None = None,
) -> str:
    """Sends the parcel's blobs, those that are there already excepted, and then its manifest; the manifest's digest.

    ``mount_from`` is a repository of the same registry to take blobs from where it has them. Raises NetworkError, and
    IntegrityError when the registry says it got something else.
    """
    place = read_reference(reference, insecure=insecure)
    with _Registry(place, "pull,push", insecure=insecure) as registry:
        unique = {blob.descriptor.digest: blob for blob in parcel.blobs}
        total = sum(blob.descriptor.size for blob in unique.values())
        told = _Told(progress, f"pushing to {place}", total)

        def send(blob: oci.Blob) -> None:
            registry.send(blob, mount_from)
            told(blob.descriptor.size)

        _all(send, list(unique.values()))
        registry.put_manifest(parcel, place.digest or place.tag)
    return parcel.descriptor.digest


def pull(
    reference: str,
    store: Store,
    *,
    architecture: str,
    insecure: bool = False,
    progress: Progress | None = None,
) -> Pulled:
    """Fetches an image's manifest, config and layers, the layers into the store; every digest is verified.

    Of an index, the image for Linux on ``architecture``. Raises NetworkError and IntegrityError.
    """
    place = read_reference(reference, insecure=insecure)
    where = str(place)
    with _Registry(place, "pull", insecure=insecure) as registry:
        data, media_type, digest = registry.manifest(place.digest or place.tag)
        if media_type in oci.INDEXES:
            chosen = oci.choose(oci.read_index(data, where=where), architecture, where=where)
            data, media_type, digest = registry.manifest(chosen.digest)
        manifest = oci.read_manifest(data, where=where)
        raw = b"".join(registry.blob(manifest.config))
        _verify(raw, manifest.config.digest, where)
        config = oci.read_config(raw, manifest, where=where)
        told = _Told(progress, f"pulling {place}", sum(d.size for d in manifest.layers))

        def fetch(descriptor: oci.Descriptor) -> oci.Blob:
            path = store.blob(descriptor.sha256) or store.add_blob(
                registry.blob(descriptor), descriptor.sha256, descriptor.size, where=f"{where}: {descriptor.digest}"
            )
            told(descriptor.size)
            return oci.Blob(descriptor, path)

        unique = {descriptor.digest: descriptor for descriptor in manifest.layers}
        fetched = dict(zip(unique, _all(fetch, list(unique.values()))))
    return Pulled(digest, manifest, config, tuple(fetched[d.digest] for d in manifest.layers))


class _Registry:
    """One repository and what its protocol's requests are."""

    def __init__(self, place: Reference, actions: str, *, insecure: bool) -> None:
        self._place = place
        self._base = f"{place.scheme}://{place.host}/v2/{place.repository}/"
        self._exchange = Exchange(insecure=insecure)
        self._authority = Authority(place.host, place.repository, actions, self._exchange)

    def __enter__(self) -> _Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._exchange.close()

    def manifest(self, reference: str) -> tuple[bytes, str, str]:
        """A manifest's or index's bytes, media type and digest, which is verified where ``reference`` is one."""
        url = f"{self._base}manifests/{reference}"
        answer = self._ask("GET", url, {"Accept": ", ".join((*oci.MANIFESTS, *oci.INDEXES))})
        self._expect(answer, (200,), "no such image" if answer.status == 404 else "the image can't be read")
        data = answer.read(oci.MAX_DOCUMENT)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        claimed = reference if reference.startswith("sha256:") else answer.headers.get("docker-content-digest", digest)
        if claimed.startswith("sha256:"):
            _verify(data, claimed, str(self._place))
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        return data, media_type, digest

    def blob(self, descriptor: oci.Descriptor) -> Iterator[bytes]:
        """A blob's bytes, no more than it says it has; the caller verifies them."""
        answer = self._ask("GET", f"{self._base}blobs/{descriptor.digest}", {})
        self._expect(answer, (200,), f"the blob {descriptor.digest} can't be read")
        left = descriptor.size
        for chunk in answer.chunks:
            left -= len(chunk)
            if left < 0:
                raise IntegrityError(f"the blob is over its {descriptor.size} bytes", where=descriptor.digest)
            yield chunk

    def send(self, blob: oci.Blob, mount_from: str) -> None:
        """Uploads a blob whole, unless the registry has it (end-2, end-4, end-6, end-11 of the specification)."""
        digest = blob.descriptor.digest
        there = self._ask("HEAD", f"{self._base}blobs/{digest}", {})
        there.read(1 << 16)
        if there.status == 200:
            return
        query = "?" + urlencode({"mount": digest, "from": mount_from}) if mount_from else ""
        started = self._ask("POST", f"{self._base}blobs/uploads/{query}", {"Content-Length": "0"})
        if started.status == 201:  # mounted from beside
            started.read(1 << 16)
            return
        self._expect(started, (202,), "the upload isn't accepted")
        started.read(1 << 16)
        location = urljoin(started.url, started.headers.get("location", ""))
        url = location + ("&" if urlsplit(location).query else "?") + urlencode({"digest": digest})
        done = self._ask("PUT", url, {"Content-Type": "application/octet-stream"}, blob.path)
        self._expect(done, (201, 204), f"the blob {digest} isn't accepted")
        done.read(1 << 16)

    def put_manifest(self, parcel: oci.Parcel, reference: str) -> None:
        url = f"{self._base}manifests/{reference}"
        answer = self._ask("PUT", url, {"Content-Type": parcel.descriptor.media_type}, parcel.manifest)
        self._expect(answer, (201, 202), "the manifest isn't accepted")
        answer.read(1 << 16)
        got = answer.headers.get("docker-content-digest", "")
        if got.startswith("sha256:") and got != parcel.descriptor.digest:
            raise IntegrityError(
                f"the registry has {got} where {parcel.descriptor.digest} was sent", where=str(self._place)
            )

    def _ask(self, verb: str, url: str, headers: dict[str, str], body: Body = b"") -> Answer:
        """Asks as whoever the user is to this registry; only its own host is told."""
        ours = urlsplit(url).netloc == self._place.host and urlsplit(url).scheme == self._place.scheme
        said = self._authority.header() if ours else {}
        answer = self._exchange(verb, url, {**headers, **said}, body)
        if answer.status == 401 and ours and self._authority.challenged(answer, said):
            answer.read(1 << 20)
            answer = self._exchange(verb, url, {**headers, **self._authority.header()}, body)
        return answer

    def _expect(self, answer: Answer, wanted: Sequence[int], what: str) -> None:
        if answer.status in wanted:
            return
        said = _said(answer)
        hint = ""
        if answer.status in (401, 403):
            what, hint = "the registry doesn't let you", f"docker login {self._place.host}, or podman login"
        raise NetworkError(f"{what} (HTTP {answer.status}{said})", where=str(self._place), hint=hint)


class _Told:
    """Progress from several threads."""

    def __init__(self, progress: Progress | None, label: str, total: int) -> None:
        self._progress, self._label, self._total = progress, label, total
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, size: int) -> None:
        with self._lock:
            self._done += size
            if self._progress:
                self._progress(self._label, self._done, self._total)


def _all(work: Callable[..., object], items: Sequence[object]) -> list:  # type: ignore[type-arg]
    """``work`` on every item, a few at once; the first failure ends the rest."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        futures = [pool.submit(partial(work, item)) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _verify(data: bytes, digest: str, where: str) -> None:
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise IntegrityError(f"what came is not {digest}", where=where)


def _said(answer: Answer) -> str:
    """The registry's own word for what is wrong: the error code of the specification, nothing else of its answer."""
    try:
        found = re.search(rb'"code"\s*:\s*"([A-Z_]{1,40})"', answer.read(1 << 16))
    except NetworkError:
        return ""
    return f", {found[1].decode()}" if found else ""
